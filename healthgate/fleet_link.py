"""An operator's connection to the broker: which units are there, requests to them, and their answers."""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from healthcode import topics
from healthcode.messages import BadPayload, Response, decode
from healthcode.settings import why_unread
from healthcode.topics import UpTopic
from server.config import Broker

LIMIT_S = 15.0
"""How long the broker may take for anything."""


class NoBroker(Exception):
    """The broker cannot be reached, or does not do what it should; the text is one line."""


@dataclass(frozen=True)
class Answer:
    """What a unit answered. `at` in monotonic seconds."""

    unit: str
    response: Response
    at: float


@dataclass(frozen=True)
class Lost:
    """The connection is gone, and why: no answer comes any more."""

    why: str


class OperatorLink:
    """One connection with a clean session. `heard` holds answers, and at the end that the connection was lost."""

    def __init__(self, broker: Broker) -> None:
        """Connects; NoBroker where it is not let in."""
        self.heard: queue.SimpleQueue[Answer | Lost] = queue.SimpleQueue()
        self.units: dict[str, bool] = {}
        """Every unit that the broker has heard of, and whether it is on line."""
        self.where = f"{broker.host}:{broker.port}"
        self._codes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._connected = threading.Event()
        self._refused = ""
        client = self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = lambda _c, _d, _mid, codes, _p: self._codes.put(max(code.value for code in codes))
        client.on_message = self._on_message
        try:
            if broker.ca:
                context = ssl.create_default_context(cafile=broker.ca)
                context.load_cert_chain(broker.certificate, broker.key)
                client.tls_set_context(context)
            if broker.username:
                secret = Path(broker.password_file).read_text(encoding="utf-8").strip() if broker.password_file else None
                client.username_pw_set(broker.username, secret)
            client.connect_timeout = LIMIT_S
            client.connect(broker.host, broker.port, clean_start=True)
        except (OSError, ValueError) as wrong:
            self._forget()
            raise NoBroker(f"the broker at {self.where} cannot be reached: {why_unread(wrong)}") from None
        client.loop_start()
        if not self._connected.wait(LIMIT_S) or self._refused:
            self.close()
            raise NoBroker(f"the broker at {self.where} does not let this account in: {self._refused or 'no answer'}")

    def look(self) -> dict[str, bool]:
        """Every unit that the broker has heard of, and whether it is on line now."""
        state = f"{topics.ROOT}/gates/+/up/state"
        self._subscribe(state, qos=0)  # what is retained comes in order, without a window to wait for
        self._subscribe(state, qos=0)  # and before the answer to this
        return dict(self.units)

    def listen(self, command: str) -> None:
        """From now on `heard` gets the units' answers to `command`."""
        self._subscribe(f"{topics.ROOT}/gates/+/up/response/{command}", qos=1)

    def ask(self, unit: str, command: str, payload: bytes) -> None:
        """Sends a request."""
        self._client.publish(topics.down(unit, "request", command), payload, qos=1)

    def close(self) -> None:
        """Ends the connection."""
        self._client.disconnect()
        self._client.loop_stop()
        self._forget()

    def _subscribe(self, topic: str, qos: int) -> None:
        self._client.subscribe(topic, qos=qos)
        try:
            code = self._codes.get(timeout=LIMIT_S)
        except queue.Empty:
            raise NoBroker(f"the broker at {self.where} does not answer") from None
        if code >= 128:
            raise NoBroker(f"the broker at {self.where} does not let this account read {topic}")

    def _on_connect(self, _client: mqtt.Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        self._refused = str(code) if getattr(code, "is_failure", False) else ""
        self._connected.set()

    def _on_disconnect(self, _client: mqtt.Client, _data: object, _flags: object, code: object, _properties: object) -> None:
        """Where a broker refuses a certificate it says no more than this."""
        if not self._connected.is_set():
            self._refused = f"it ends the connection, {code}"
            self._connected.set()
        self.heard.put(Lost(str(code)))

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        match topics.parse(message.topic):
            case UpTopic(unit, "state"):
                if message.payload:
                    self.units[unit] = message.payload == b"online"
                else:
                    self.units.pop(unit, None)
            case UpTopic(unit, "response"):
                try:
                    self.heard.put(Answer(unit, decode(bytes(message.payload), Response), time.monotonic()))
                except BadPayload:
                    return  # whatever that is, it answers nothing that was asked
            case _:
                return

    def _forget(self) -> None:
        """Lets go of the client: its inner pair of sockets is closed when nothing refers to it."""
        client = self._client
        client.on_connect = client.on_disconnect = client.on_subscribe = client.on_message = None


@contextmanager
def open_link(broker: Broker) -> Iterator[OperatorLink]:
    """A connection, closed at the end. NoBroker where there is none."""
    link = OperatorLink(broker)
    try:
        yield link
    finally:
        link.close()
