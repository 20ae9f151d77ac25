"""The private broker: comes back on its port with what it kept, and holds each user to the access rules."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from healthcode import topics
from healthgate import broker as guarded
from tests.broker import Broker

pytestmark = pytest.mark.slow

LIMIT_S = 10.0
PASSWORDS = {"bridge": "b-secret", "north": "n-secret", "south": "s-secret"}


class Client:
    """Somebody with an account."""

    def __init__(self, broker: guarded.Broker, user: str | None, *, session: str = "", password: str | None = None) -> None:
        self.heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.granted: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self.acknowledged: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.refused: str | None = None
        self._answered = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=session, protocol=mqtt.MQTTv5)
        if user:
            self.client.username_pw_set(user, password or PASSWORDS[user])
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda _c, _d, _mid, codes, _p: self.granted.put([code.value for code in codes])
        self.client.on_publish = lambda _c, _d, _mid, code, _p: self.acknowledged.put(code.value)
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

    def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> int:
        """The broker's answer: 0 or 16 taken, 128 and above refused."""
        self.client.publish(topic, payload, qos=1, retain=retain)
        return self.acknowledged.get(timeout=LIMIT_S)

    def next(self) -> tuple[str, bytes]:
        return self.heard.get(timeout=LIMIT_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def walled(tmp_path: Path) -> Iterator[guarded.Broker]:
    """The demo's broker as it is, with its passwords and access rules."""
    broker = guarded.Broker(tmp_path / "walled", PASSWORDS)
    broker.start()
    yield broker
    broker.stop()


def test_the_broker_can_be_killed_and_comes_back_on_its_port(broker: Broker) -> None:
    socket.create_connection((broker.host, broker.port), 5).close()
    broker.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((broker.host, broker.port), 5)
    broker.restart()
    socket.create_connection((broker.host, broker.port), 5).close()


def test_a_restart_keeps_retained_messages_and_those_that_wait_for_a_session(walled: guarded.Broker) -> None:
    bridge = Client(walled, "bridge", session="bridge")
    assert bridge.subscribe(topics.ALL_UP) == [1]
    bridge.close()
    north = Client(walled, "north")
    assert [north.publish(topics.up("north", "events"), b"%d" % number) for number in range(20)] == [0] * 20
    assert north.publish(topics.up("north", "state"), b"online", retain=True) in (0, 16)
    north.close()
    walled.stop()
    walled.start()
    bridge = Client(walled, "bridge", session="bridge")
    heard = [bridge.next() for _ in range(21)]
    assert heard[:20] == [(topics.up("north", "events"), b"%d" % number) for number in range(20)]
    south = Client(walled, "bridge")
    south.subscribe(topics.ALL_UP)
    assert south.next() == (topics.up("north", "state"), b"online")
    bridge.close()
    south.close()


@pytest.mark.parametrize(("user", "password"), [(None, None), ("north", "wrong"), ("stranger", "s-secret")])
def test_nobody_comes_in_without_a_password(walled: guarded.Broker, user: str | None, password: str | None) -> None:
    client = Client(walled, user, password=password)
    assert client.refused == "Not authorized"
    client.close()


def test_a_unit_writes_only_under_its_own_up_and_reads_only_its_own_down_and_what_is_for_all(walled: guarded.Broker) -> None:
    bridge, north = Client(walled, "bridge"), Client(walled, "north")
    bridge.subscribe("healthgate/v1/#")
    assert north.publish(topics.up("north", "events")) == 0
    assert bridge.next() == (topics.up("north", "events"), b"x")
    forbidden = (
        topics.up("south", "events"),
        topics.up("south", "state"),
        topics.down("south", "ack"),
        topics.down("north", "ack"),
        topics.TRUST_HEAD,
        topics.list_topic("CN-HB", "head"),
        topics.list_topic("CN-HB", "delta"),
        topics.BRIDGE_STATE,
        "healthgate/v1/gates/north",
        "elsewhere",
    )
    for topic in forbidden:
        assert north.publish(topic, retain=True) >= 128, topic
    assert north.publish(topics.up("north", "events"), b"last") == 0
    assert bridge.next() == (topics.up("north", "events"), b"last"), "nothing came through in between"

    assert all(code < 128 for code in north.subscribe(topics.down_all("north"), topics.ALL_DOWN))
    north.subscribe(topics.down_all("south"), "#", topics.ALL_UP, "healthgate/v1/bridge/#")
    for topic in (topics.down("south", "ack"), topics.up("south", "events"), topics.BRIDGE_STATE):
        bridge.publish(topic, b"not for north")
    bridge.publish(topics.down("north", "ack"), b"yours")
    heard: list[tuple[str, bytes]] = []
    while (topics.down("north", "ack"), b"yours") not in heard:
        heard.append(north.next())
    assert {topic for topic, _ in heard} == {topics.down("north", "ack")}
    bridge.close()
    north.close()
