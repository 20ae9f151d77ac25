"""The broker and the network around it: retained messages, QoS 1, sessions, and what goes wrong on the way.

Units connect with clean sessions, the server's bridge with one that lasts: what it has not acknowledged comes again on its next
connection. A retained message that is lost takes the connection with it, as TCP does; what is not retained may be lost in silence, as a
broker whose queue for a client is full does. Only what goes to units is damaged: there everything is signed from end to end.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random

from healthcode import topics
from healthgate.simulation.faults import Faults
from healthgate.simulation.schedule import Schedule, Trace

BRIDGE = "bridge"
RECONNECT_S = 4.0
"""Longest wait of a client until it connects again."""


@dataclass(frozen=True)
class Message:
    """What a client hears; the bridge acknowledges it by `mid`."""

    topic: str
    payload: bytes
    is_retained: bool = False
    mid: int = 0


@dataclass(frozen=True)
class Client:
    """Somebody at the broker. `taken(topic, payload)`: the broker has acknowledged a message of theirs; `lost`: the connection is gone."""

    message: Callable[[Message], None]
    taken: Callable[[str, bytes], None]
    lost: Callable[[], None]


class Broker:
    """Joins the units and the bridge."""

    def __init__(self, schedule: Schedule, random: Random, faults: Faults, trace: Trace) -> None:
        self._schedule = schedule
        self._random = random
        self._faults = faults
        self._trace = trace
        self._clients: dict[str, tuple[int, Client]] = {}
        self._connections = count(1)
        self._free_at: dict[tuple[str, str], float] = {}  # a connection carries in order: until when each way is taken
        self._retained: dict[str, bytes] = {}
        self._has_session = False
        self._queue: dict[int, tuple[str, bytes]] = {}
        self._mids = count(1)

    def connect(self, name: str, client: Client) -> None:
        """A client is there and subscribed: what is retained for it, or what its session has kept, is on its way."""
        self._clients[name] = (next(self._connections), client)
        if name == BRIDGE:
            if not self._has_session:
                self._has_session = True
                for topic in sorted(topic for topic in self._retained if _reader(topic) == BRIDGE):
                    self._queue[next(self._mids)] = (topic, self._retained[topic])
            for mid in list(self._queue):
                self._carry_to_bridge(mid)
        else:
            self.resubscribe(name)

    def resubscribe(self, name: str) -> None:
        """What is retained for this unit is sent again."""
        for topic in sorted(topic for topic in self._retained if _reader(topic) in (name, "")):
            self._carry_to_unit(name, topic, self._retained[topic], is_retained=True)

    def disconnect(self, name: str) -> None:
        """The connection ends; both sides know. What is under way is lost."""
        if name in self._clients:
            _, client = self._clients.pop(name)
            self._trace.note(self._schedule.now, name, "disconnected")
            client.lost()

    def forget(self, name: str) -> None:
        """The client has died without a word."""
        self._clients.pop(name, None)

    def is_connected(self, name: str) -> bool:
        """Whether the client is there."""
        return name in self._clients

    def crash(self) -> None:
        """The broker dies and starts again with nothing: retained messages, sessions and what it had acknowledged are gone."""
        self._retained.clear()
        self._queue.clear()
        self._has_session = False
        for name in sorted(self._clients):
            self.disconnect(name)

    def publish(self, name: str, topic: str, payload: bytes, *, retain: bool) -> None:
        """A client publishes with QoS 1."""
        if name not in self._clients:
            return
        connection, client = self._clients[name]
        if self._random.random() < self._faults.drop:
            self._trace.note(self._schedule.now, name, f"lost {_short(topic)}")
            if retain:
                self._schedule.after(0.0, lambda: self._break(name, connection))
            return

        def arrive() -> None:
            if self._clients.get(name, (0, None))[0] != connection:
                return
            self._accept(topic, payload, retain=retain)
            client.taken(topic, payload)

        self._schedule.after(self._delay(name, "up"), arrive)

    def acknowledge(self, mid: int) -> None:
        """The bridge is done with a message."""
        self._queue.pop(mid, None)

    def _accept(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if retain and payload:
            self._retained[topic] = payload
        elif retain:
            self._retained.pop(topic, None)
        reader = _reader(topic)
        if reader == BRIDGE:
            if self._has_session:
                copies = 2 if self._random.random() < self._faults.duplicate else 1
                for _ in range(copies):
                    mid = next(self._mids)
                    self._queue[mid] = (topic, payload)
                    self._carry_to_bridge(mid)
            return
        for name in sorted(self._clients) if reader == "" else [reader]:
            if name != BRIDGE:
                self._carry_to_unit(name, topic, payload, is_retained=False, loses_connection=retain)

    def _carry_to_bridge(self, mid: int) -> None:
        if BRIDGE not in self._clients:
            return
        connection, client = self._clients[BRIDGE]

        def arrive() -> None:
            if self._clients.get(BRIDGE, (0, None))[0] == connection and mid in self._queue:
                topic, payload = self._queue[mid]
                client.message(Message(topic, payload, mid=mid))

        self._schedule.after(self._delay(BRIDGE, "down"), arrive)

    def _carry_to_unit(self, name: str, topic: str, payload: bytes, *, is_retained: bool, loses_connection: bool = True) -> None:
        if name not in self._clients:
            return
        connection, client = self._clients[name]
        if self._random.random() < self._faults.drop:
            self._trace.note(self._schedule.now, name, f"lost {_short(topic)}")
            if loses_connection:
                self._schedule.after(0.0, lambda: self._break(name, connection))
            return
        copies = 2 if self._random.random() < self._faults.duplicate else 1
        for _ in range(copies):
            if self._random.random() < self._faults.damage:
                self._carry(name, connection, client, topic, damaged(payload, self._random), is_retained)
            self._carry(name, connection, client, topic, payload, is_retained)

    def _carry(self, name: str, connection: int, client: Client, topic: str, payload: bytes, is_retained: bool) -> None:
        def arrive() -> None:
            if self._clients.get(name, (0, None))[0] == connection:
                self._trace.note(self._schedule.now, name, f"hears {_short(topic)} {len(payload)} {zlib.crc32(payload):08x}")
                client.message(Message(topic, payload, is_retained))

        self._schedule.after(self._delay(name, "down"), arrive)

    def _break(self, name: str, connection: int) -> None:
        if self._clients.get(name, (0, None))[0] == connection:
            self.disconnect(name)

    def _delay(self, name: str, way: str) -> float:
        delay = self._random.uniform(0.001, 0.1)
        if self._random.random() < self._faults.slow:
            delay += self._random.uniform(0.0, 15.0)
        if self._random.random() < self._faults.reorder:
            return delay + self._random.uniform(0.0, 3.0)
        at = max(self._schedule.now + delay, self._free_at.get((name, way), 0.0))
        self._free_at[(name, way)] = at
        return at - self._schedule.now


def damaged(payload: bytes, random: Random) -> bytes:
    """A message with one bit turned, or cut short."""
    if not payload or random.random() < 0.2:
        return payload[: random.randrange(len(payload) + 1)]
    place = random.randrange(len(payload))
    return payload[:place] + bytes([payload[place] ^ 1 << random.randrange(8)]) + payload[place + 1 :]


def _reader(topic: str) -> str:
    """Who reads a topic: the bridge, a unit by its name, all units (empty), or nobody (-)."""
    match topics.parse(topic):
        case topics.UpTopic():
            return BRIDGE
        case topics.DownTopic(unit=unit):
            return unit
        case topics.ListTopic() | topics.TRUST_HEAD | topics.TRUST_ROOTS:
            return ""
        case _:
            return "-"


def _short(topic: str) -> str:
    return topic.removeprefix(topics.ROOT + "/")
