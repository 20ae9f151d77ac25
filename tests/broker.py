"""The demo's private mosquitto for tests that let anybody in: killed, frozen and restarted at will."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from healthgate import broker

LIMIT_S = 10.0

GUARDED = ("allow_anonymous false", "use_username_as_clientid", "password_file", "acl_file")


class Broker(broker.Broker):
    """One mosquitto process without passwords and access rules; `kill` is SIGKILL, and a restart finds what it had saved."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"anybody": "unused"})
        settings = self.folder / "mosquitto.conf"
        lines = [line for line in settings.read_text().splitlines() if not line.startswith(GUARDED)]
        settings.write_text("\n".join([*lines, "allow_anonymous true", ""]))

    def restart(self) -> None:
        """Kills the broker where it runs and starts it again on the same port and folder."""
        self.kill()
        self.start()


class Client:
    """Somebody with an account."""

    def __init__(self, broker: broker.Broker, user: str, password: str, *, session: str = "") -> None:
        """Connects; `session` names one that outlives the connection."""
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.granted: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self.acknowledged: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.lost: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.refused: str | None = None
        self._answered = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=session, protocol=mqtt.MQTTv5)
        if user:
            self.client.username_pw_set(user, password)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda _c, _d, _mid, codes, _p: self.granted.put([code.value for code in codes])
        self.client.on_publish = lambda _c, _d, _mid, code, _p: self.acknowledged.put(code.value)
        self.client.on_disconnect = lambda _c, _d, _flags, code, _p: self.lost.put(str(code))
        self.client.on_message = lambda _c, _d, message: self.heard.put((message.topic, bytes(message.payload)))
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if session:
            properties.SessionExpiryInterval = 3600
        self.client.connect(broker.host, broker.port, clean_start=not session, properties=properties)
        self.client.loop_start()
        assert self._answered.wait(LIMIT_S)

    def _on_connect(self, _client: mqtt.Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        self.refused = str(code) if getattr(code, "is_failure", False) else None
        self._answered.set()

    def subscribe(self, *filters: str) -> list[int]:
        """The broker's answer for each filter: 1 granted, 128 and above refused."""
        self.client.subscribe([(each, 1) for each in filters])
        return self.granted.get(timeout=LIMIT_S)

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False, properties: Properties | None = None) -> int:
        """The broker's answer: 0 or 16 taken, 128 and above refused."""
        self.client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        return self.acknowledged.get(timeout=LIMIT_S)

    def next(self, limit_s: float = LIMIT_S) -> tuple[str, bytes]:
        """The next message's topic and payload."""
        return self.heard.get(timeout=limit_s)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def listening(broker: broker.Broker, *filters: str) -> Iterator[Client]:
    """Somebody who hears these topics, of a broker that lets anybody in."""
    client = Client(broker, "", "")
    try:
        client.subscribe(*filters)
        yield client
    finally:
        client.close()
