"""A thousand units' connections in one thread: paho's client without its thread, TLS and a certificate for each, a unit's own back-off.

A link does what the network sees of a unit: it connects with a will and a clean start, subscribes to what a unit does, says its numbers,
and comes back after a full-jitter pause that doubles (`edge.link`). It keeps no lists and has no gate.
"""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from random import Random

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.config import Link as LinkConfig
from edge.link import FIRST_BACKOFF_S, STEADY_S
from healthcode import topics

HANDSHAKES_AT_ONCE = 16
"""Units are machines of their own and greet at once; this machine has a few threads for it."""
MISC_EVERY_S = 1.0
_HELD = LinkConfig()


@dataclass
class Link:
    """One unit's connection; `up_at` is when its subscriptions stood, monotonic seconds."""

    unit: str
    context: ssl.SSLContext
    client: mqtt.Client | None = None
    held: socket.socket | None = None
    up_at: float | None = None
    tries: int = 0
    heard: Counter[str] = field(default_factory=Counter)


class Links:
    """All of them, between `start` and `close`; `on_message` is told (unit, topic, payload, monotonic seconds)."""

    def __init__(
        self, host: str, port: int, random: Random, on_message: Callable[[str, str, bytes, float], None] = lambda *_: None
    ) -> None:
        self.links: list[Link] = []
        self.attempts: list[float] = []
        """When each attempt to connect began, monotonic seconds."""
        self._host, self._port, self._random, self._on_message = host, port, random, on_message
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int]] = []
        self._done: SimpleQueue[tuple[int, mqtt.Client, OSError | None]] = SimpleQueue()
        self._pool = ThreadPoolExecutor(HANDSHAKES_AT_ONCE)
        self._waker, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)
        self._selector.register(self._wakes, selectors.EVENT_READ, None)
        self._misc_due = 0.0

    def start(self, members: Sequence[tuple[str, ssl.SSLContext]]) -> None:
        """Units and what they show; each connects at once."""
        at = time.monotonic()
        for unit, context in members:
            self.links.append(Link(unit, context))
            heapq.heappush(self._due, (at, len(self.links) - 1))

    @property
    def up(self) -> int:
        """How many are connected and subscribed."""
        return sum(link.up_at is not None for link in self.links)

    def publish(self, place: int, channel: str, payload: bytes, qos: int = 0) -> bool:
        """A unit says something that the broker keeps; False where it is not connected."""
        link = self.links[place]
        if link.client is None or link.up_at is None:
            return False
        link.client.publish(topics.up(link.unit, channel), payload, qos=qos, retain=True)
        return True

    def run(self, is_done: Callable[[], bool], limit_s: float) -> bool:
        """Goes on until that is so; False where it was not within `limit_s`."""
        until = time.monotonic() + limit_s
        while not is_done():
            if time.monotonic() > until:
                return False
            self._turn()
        return True

    def close(self) -> None:
        """Ends every connection without a word."""
        self._pool.shutdown(cancel_futures=True)
        for link in self.links:
            if link.client is not None:
                self._drop(link)
        self._selector.close()
        self._waker.close()
        self._wakes.close()

    def _turn(self) -> None:
        at = time.monotonic()
        while self._due and self._due[0][0] <= at:
            self._connect(heapq.heappop(self._due)[1], at)
        self._take_connected()
        if at >= self._misc_due:
            self._misc_due = at + MISC_EVERY_S
            for place, link in enumerate(self.links):
                if (
                    link.client is not None
                    and link.client.socket() is not None
                    and link.client.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS
                ):
                    self._lose(place, link.client)
        wait = 0.05 if not self._due else min(0.05, max(0.0, self._due[0][0] - at))
        for key, events in self._selector.select(wait):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._wakes.recv(4096)
            else:
                self._serve(key.data, events)

    def _connect(self, place: int, at: float) -> None:
        link = self.links[place]
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=link.unit,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            userdata=place,
        )
        client.tls_set_context(link.context)
        client.will_set(topics.up(link.unit, "state"), b"offline", qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message_of
        link.client = client
        self.attempts.append(at)
        future = self._pool.submit(client.connect, self._host, self._port, _HELD.keepalive_s, clean_start=True)
        future.add_done_callback(lambda done: self._greeted(place, client, done))

    def _greeted(self, place: int, client: mqtt.Client, done: Future[MQTTErrorCode]) -> None:
        if done.cancelled():
            return
        wrong = done.exception()
        self._done.put((place, client, wrong if isinstance(wrong, OSError) else None if wrong is None else OSError(str(wrong))))
        with contextlib.suppress(OSError):
            self._waker.send(b"x")

    def _take_connected(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                place, client, wrong = self._done.get_nowait()
                held = client.socket()
                if wrong is not None or not isinstance(held, socket.socket):
                    self._lose(place, client)
                    continue
                self.links[place].held = held
                self._selector.register(held, selectors.EVENT_READ, place)
                self._serve(place, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _serve(self, place: int, events: int) -> None:
        client = self.links[place].client
        if client is None:
            return
        outcome = MQTTErrorCode.MQTT_ERR_SUCCESS
        if events & selectors.EVENT_WRITE and client.want_write():
            outcome = client.loop_write()
        if events & selectors.EVENT_READ and outcome == MQTTErrorCode.MQTT_ERR_SUCCESS:
            outcome = client.loop_read()
            held = client.socket()
            while outcome == MQTTErrorCode.MQTT_ERR_SUCCESS and isinstance(held, ssl.SSLSocket) and held.pending():
                outcome = client.loop_read()
                held = client.socket()
        if outcome != MQTTErrorCode.MQTT_ERR_SUCCESS or client.socket() is None:
            self._lose(place, client)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
        held = self.links[place].held
        if held is not None and self._selector.get_key(held).events != wanted:
            self._selector.modify(held, wanted, place)

    def _lose(self, place: int, client: mqtt.Client) -> None:
        """As `edge.link` does it: a pause drawn anew, longer with each try, begun anew after a connection that lasted."""
        link, at = self.links[place], time.monotonic()
        if link.client is not client:
            return
        if link.up_at is not None and at - link.up_at >= STEADY_S:
            link.tries = 0
        self._drop(link)
        longest = min(_HELD.backoff_max_s, FIRST_BACKOFF_S * 2.0 ** min(link.tries, 16))
        link.tries += 1
        heapq.heappush(self._due, (at + self._random.uniform(0, longest), place))

    def _drop(self, link: Link) -> None:
        client, link.client, link.up_at = link.client, None, None
        if client is not None and link.held is not None:
            self._selector.unregister(link.held)
            link.held.close()
            link.held = None

    def _on_connect(self, client: mqtt.Client, place: int, _flags: object, code: ReasonCode, _properties: object) -> None:
        if not code.is_failure:
            unit = self.links[place].unit
            client.subscribe([(each, SubscribeOptions(qos=1)) for each in (topics.down_all(unit), topics.ALL_DOWN)])

    def _on_subscribe(self, _client: mqtt.Client, place: int, _mid: int, _codes: object, _properties: object) -> None:
        self.links[place].up_at = time.monotonic()
        self.publish(place, "state", b"online", 1)

    def _on_message_of(self, _client: mqtt.Client, place: int, message: mqtt.MQTTMessage) -> None:
        link = self.links[place]
        link.heard[message.topic] += 1
        self._on_message(link.unit, message.topic, bytes(message.payload), time.monotonic())
