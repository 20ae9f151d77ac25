"""A command's connection to the broker: let in or told why not, and every question waits for the broker's answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from healthcode.settings import why_unread
from server.config import Broker

LIMIT_S = 15.0
"""How long the broker may take for anything."""
REFUSED = 128
"""Answers from here on say no."""
_LOST = -1
"""In the place of the broker's answer."""


class NoBroker(Exception):
    """The broker cannot be reached, or does not do what it should; the text is one line."""


class ConnectionLost(NoBroker):
    """The broker ended the connection: somebody else may have come under its name."""


class BrokerSession:
    """One connection with a clean session, which does not come again when it was lost."""

    def __init__(self, broker: Broker, name: str, prepare: Callable[[mqtt.Client], None]) -> None:
        """Connects as `name`, so called where it is not let in, after `prepare` said who that is; NoBroker where it is not, in time."""
        self.where = f"{broker.host}:{broker.port}"
        self._name = name
        self._codes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._connected = threading.Event()
        self._refused = ""
        client = self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = lambda _c, _d, _mid, codes, _p: self._codes.put(max(code.value for code in codes))
        client.on_message = lambda _c, _d, message: self._hear(message)
        try:
            prepare(client)
            client.connect_timeout = LIMIT_S
            client.connect(broker.host, broker.port, clean_start=True)
        except (OSError, ValueError) as wrong:
            self._forget()
            raise NoBroker(f"the broker at {self.where} cannot be reached: {why_unread(wrong)}") from None
        client.loop_start()
        if not self._connected.wait(LIMIT_S) or self._refused:
            self.close()
            raise NoBroker(f"the broker at {self.where} does not let {name} in: {self._refused or 'no answer'}")

    def subscribe(self, topic: str, qos: int = 1) -> None:
        """From now on messages on `topic` come; NoBroker where the broker does not allow that."""
        self._client.subscribe(topic, qos=qos)
        if self._answer() >= REFUSED:
            raise NoBroker(f"the broker at {self.where} does not let {self._name} read {topic}")

    def close(self) -> None:
        """Ends the connection."""
        self._client.disconnect()
        self._client.loop_stop()
        self._forget()

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        """A message has come; in the connection's own thread."""

    def _lose(self, why: str) -> None:
        """The connection is gone; in its own thread."""

    def _answer(self) -> int:
        """The broker's answer to what was asked last."""
        try:
            code = self._codes.get(timeout=LIMIT_S)
        except queue.Empty:
            raise NoBroker(f"the broker at {self.where} does not answer") from None
        if code == _LOST:
            raise ConnectionLost(f"the broker at {self.where} ended the connection")
        return code

    def _on_connect(self, _client: mqtt.Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        self._refused = str(code) if getattr(code, "is_failure", False) else ""
        self._connected.set()

    def _on_disconnect(self, _client: mqtt.Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        """Where a broker refuses a certificate it says no more than this."""
        if not self._connected.is_set():
            self._refused = f"it ends the connection, {code}"
            self._connected.set()
        self._codes.put(_LOST)
        self._lose(str(code))

    def _forget(self) -> None:
        """Lets go of the client: its inner pair of sockets is closed when nothing refers to it."""
        client = self._client
        client.on_connect = client.on_disconnect = client.on_subscribe = client.on_publish = client.on_message = None
