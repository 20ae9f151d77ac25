"""An operator's connection to the broker: which units are there, requests to them, and their answers."""

from __future__ import annotations

import queue
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt

from healthcode import topics
from healthcode.messages import BadPayload, Response, decode
from healthcode.topics import UpTopic
from healthgate.broker_session import BrokerSession
from server.config import Broker


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


class OperatorLink(BrokerSession):
    """One operator's connection. `heard` holds answers, and at the end that the connection was lost."""

    def __init__(self, broker: Broker) -> None:
        """Connects; NoBroker where it is not let in."""
        self.heard: queue.SimpleQueue[Answer | Lost] = queue.SimpleQueue()
        self.units: dict[str, bool] = {}
        """Every unit that the broker has heard of, and whether it is on line."""
        super().__init__(broker, "this account", lambda client: _sign_in(client, broker))

    def look(self) -> dict[str, bool]:
        """Every unit that the broker has heard of, and whether it is on line now."""
        state = f"{topics.ROOT}/gates/+/up/state"
        self.subscribe(state, qos=0)  # what is retained comes in order, without a window to wait for
        self.subscribe(state, qos=0)  # and before the answer to this
        return dict(self.units)

    def listen(self, command: str) -> None:
        """From now on `heard` gets the units' answers to `command`."""
        self.subscribe(f"{topics.ROOT}/gates/+/up/response/{command}", qos=1)

    def ask(self, unit: str, command: str, payload: bytes) -> None:
        """Sends a request."""
        self._client.publish(topics.down(unit, "request", command), payload, qos=1)

    def _lose(self, why: str) -> None:
        self.heard.put(Lost(why))

    def _hear(self, message: mqtt.MQTTMessage) -> None:
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


def _sign_in(client: mqtt.Client, broker: Broker) -> None:
    """Says who this is: by a certificate, by name and password, or by both, as the settings have it."""
    if broker.ca:
        context = ssl.create_default_context(cafile=broker.ca)
        context.load_cert_chain(broker.certificate, broker.key)
        client.tls_set_context(context)
    if broker.username:
        secret = Path(broker.password_file).read_text(encoding="utf-8").strip() if broker.password_file else None
        client.username_pw_set(broker.username, secret)


@contextmanager
def open_link(broker: Broker) -> Iterator[OperatorLink]:
    """A connection, closed at the end. NoBroker where there is none."""
    link = OperatorLink(broker)
    try:
        yield link
    finally:
        link.close()
