"""The unit's MQTT connection: a thin shell that carries `edge.exchange` over paho.

Two threads beside the deciding one. paho's reads and writes the socket; its callbacks only put what came into a queue. The link's own
worker takes from that queue: signatures, lists, outbox rows and their disks are its work. So the network never holds up a verdict, and a
slow card does so by one commit at most, because the outbox does its long work in slices. The deciding thread calls `wake`, `status`,
`alert` and `respond`, which put into the same queue and never wait, and hears of changes through `post`.

Every connection is a new paho client with a clean start: what is in flight is known by the outbox and by sync, and by nobody else.
Between connections lies a full-jitter back-off of our own.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.config import Link as LinkConfig
from edge.dialogue import Dialogue
from edge.exchange import Exchange
from edge.identity import tls_context
from edge.linkwords import News, Publish, Reconnect, Resubscribe, Saying
from edge.renewal import AFTER_S, EVERY_S
from healthcode import topics
from healthcode.messages import MAX_SIGNED, Alert, Lane, Reported, Response, UnitStatus, encode

LOG = logging.getLogger(__name__)

TURN_S = 0.25
"""How long the worker sleeps at most when nothing arrives."""
CONNECT_WITHIN_S = 10.0
NAME_WITHIN_S = 300.0
"""How long the look-up of the broker's name may take: three servers that do not answer, some search domains. No sign of a hang."""
FIRST_BACKOFF_S = 2.0
STEADY_S = 10.0
"""A connection that lasted this long begins the back-off anew."""
TIMED_FOR_S = 10.0
"""How long one message's acknowledgement is waited for, until another is timed."""
MOST_QUEUED_BYTES = 32 * 1024 * 1024
LAST_INPUTS = 100
"""What is queued at `stop` is still carried out, up to so many."""
RECEIVE_MAXIMUM = 100
LARGEST_PACKET = MAX_SIGNED + 64 * 1024


@dataclass(frozen=True)
class LinkUp:
    """The broker has accepted the connection. `at`: monotonic seconds."""

    at: float


@dataclass(frozen=True)
class LinkDown:
    """The connection is gone, and why."""

    why: str
    at: float


LinkNews = News | LinkUp | LinkDown


@dataclass(frozen=True)
class _Arrived:
    client: mqtt.Client
    topic: str
    payload: bytes
    is_retained: bool


@dataclass(frozen=True)
class _Accepted:
    client: mqtt.Client


@dataclass(frozen=True)
class _Lost:
    client: mqtt.Client
    why: str


@dataclass(frozen=True)
class _Wake:
    pass


@dataclass(frozen=True)
class _Refresh:
    pass


@dataclass(frozen=True)
class _Timed:
    """A message on its way, by whose acknowledgement the broker is timed; `at` monotonic seconds."""

    client: mqtt.Client
    mid: int
    at: float


_Input = _Arrived | _Accepted | _Lost | _Wake | _Refresh | Publish


class Link:
    """Connects, reconnects and carries, from `start` to `stop`."""

    def __init__(
        self,
        unit: str,
        config: LinkConfig,
        dialogue: Dialogue,
        *,
        post: Callable[[LinkNews], None],
        random: Random,
        monotonic: Callable[[], float] = time.monotonic,
        fetch: Callable[[], bool] | None = None,
        fetch_after_s: float = AFTER_S,
    ) -> None:
        """`post` must not block: it hands news to the deciding thread's queue.

        `fetch` looks for another certificate elsewhere, once there has been no connection for `fetch_after_s`; whether there is one.
        """
        self._unit = unit
        self._config = config
        self._dialogue = dialogue
        self._exchange = Exchange(dialogue)
        self._post = post
        self._random = random
        self._monotonic = monotonic
        self._inputs: queue.SimpleQueue[_Input] = queue.SimpleQueue()
        self._bytes_lock = threading.Lock()
        self._queued_bytes = 0
        self._stopping = threading.Event()
        self._client: mqtt.Client | None = None
        self._since: float | None = None
        self._attempt_at = 0.0
        self._tries = 0
        self._fetch = fetch
        self._fetch_after_s = fetch_after_s
        self._fetch_at = monotonic() + fetch_after_s
        self._timed: _Timed | None = None
        self._round_trip: tuple[float, float] | None = None
        self._last_turn = monotonic()
        self._worker = threading.Thread(target=self._work, name=f"link-{unit}", daemon=True)

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self._client is not None and self._since is not None

    @property
    def last_turn(self) -> float:
        """The monotonic time of the worker's last turn, for the watchdog; while it tries to connect it lies ahead."""
        return self._last_turn

    def round_trip_ms(self, since: float) -> float | None:
        """How long the broker took to acknowledge a message that went out at `since` (monotonic seconds) or later; None: none yet."""
        found = self._round_trip
        return found[1] * 1000 if found is not None and found[0] >= since else None

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each thing happened, by a stable name: events_sent, batches_resent, asked, overflow, delta_SIGNATURE..."""
        return dict(self._dialogue.counts)

    def start(self) -> None:
        """Begins to connect, in the link's own thread."""
        self._worker.start()

    def stop(self, limit_s: float = 5.0) -> None:
        """Says offline, disconnects and ends the worker, waiting at most `limit_s`."""
        self._stopping.set()
        self._inputs.put(_Wake())
        if self._worker.is_alive():
            self._worker.join(limit_s)

    def wake(self) -> None:
        """There are new events in the outbox."""
        self._inputs.put(_Wake())

    def refresh(self) -> None:
        """Asks for the newest heads and lists now."""
        self._inputs.put(_Refresh())

    def status(self, status: UnitStatus) -> None:
        """Publishes the unit's numbers, now or at the next connection."""
        self._inputs.put(Publish(topics.up(self._unit, "status"), encode(status), qos=0, retain=True))

    def lane(self, lane: Lane) -> None:
        """Publishes how the lane stands, now or at the next connection."""
        self._inputs.put(Publish(topics.up(self._unit, "lane"), encode(lane), qos=0, retain=True))

    def alert(self, name: str, alert: Alert | None) -> None:
        """Raises an alert, or clears it with None."""
        self._inputs.put(Publish(topics.up(self._unit, "alert", name), b"" if alert is None else encode(alert), retain=True))

    def reported(self, said: Reported) -> None:
        """Says what became of the configuration from afar."""
        self._inputs.put(Publish(topics.up(self._unit, "reported"), encode(said), retain=True))

    def respond(self, command: str, response: Response) -> None:
        """Answers a request."""
        self._inputs.put(Publish(topics.up(self._unit, "response", command), encode(response)))

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._last_turn = at = self._monotonic()
            try:
                self._turn(at)
            except Exception:  # our own fault must not end the thread that keeps the gate in step
                self._dialogue.counts["worker_fault"] += 1
                LOG.exception("link: a fault of our own, going on")
        self._say_goodbye()

    def _turn(self, at: float) -> None:
        if self._client is None and at >= self._fetch_at:
            self._look_for_a_certificate()
        if self._client is None and at >= self._attempt_at:
            self._connect(at)
        try:
            arrived: _Input | None = self._inputs.get(timeout=TURN_S)
        except queue.Empty:
            arrived = None
        at = self._monotonic()
        if arrived is None:
            self._say(self._exchange.tick(at))
        else:
            self._handle(arrived, at)
        for each in self._exchange.take_news():
            self._post(each)
        if self._client is not None and self._since is None and at > self._attempt_at + CONNECT_WITHIN_S:
            self._lose(f"no answer from the broker in {CONNECT_WITHIN_S:.0f} s", at)
        if self._client is not None and self._client._thread is None:  # paho tells of this nowhere else
            self._lose("paho's thread has ended", at)

    def _handle(self, arrived: _Input, at: float) -> None:
        match arrived:
            case _Arrived(client, topic, payload, is_retained):
                with self._bytes_lock:
                    self._queued_bytes -= len(payload)
                if client is self._client:
                    self._say(self._exchange.arrived(topic, payload, at, is_retained=is_retained))
            case _Accepted(client) if client is self._client:
                self._since = at
                LOG.info("link: connected to %s:%d", self._config.host, self._config.port)
                self._subscribe()
                self._say(self._exchange.accepted(at))
                self._post(LinkUp(at))
            case _Lost(client, why) if client is self._client:
                self._lose(why, at)
            case Publish():
                self._say(self._exchange.publish(arrived, at))
            case _Wake():
                self._say(self._exchange.wake(at))
            case _Refresh():
                self._say(self._exchange.refresh(at))
            case _:
                self._say(self._exchange.tick(at))

    def _look_for_a_certificate(self) -> None:
        """The broker has not let this unit in for long, perhaps because its certificate has ended."""
        self._last_turn = self._monotonic() + NAME_WITHIN_S
        try:
            if self._fetch is not None and self._fetch():
                self._tries, self._attempt_at = 0, self._monotonic()
        finally:
            self._last_turn = self._monotonic()
            self._fetch_at = self._monotonic() + EVERY_S

    def _connect(self, at: float) -> None:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=self._unit, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
        )
        self._client, self._since, self._attempt_at = client, None, at
        client.connect_timeout = CONNECT_WITHIN_S / 2
        client.max_inflight_messages_set(RECEIVE_MAXIMUM)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        will = self._dialogue.will
        client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = LARGEST_PACKET
        try:
            if self._config.username:
                client.username_pw_set(self._config.username, self._password())
            if self._config.ca:
                client.tls_set_context(tls_context(self._config))
            self._last_turn = self._monotonic() + NAME_WITHIN_S
            client.connect(self._config.host, self._config.port, self._config.keepalive_s, clean_start=True, properties=properties)
        except (OSError, ValueError, mqtt.WebsocketConnectionError) as wrong:
            self._lose(f"{self._config.host}:{self._config.port}: {wrong}", self._monotonic())
            return
        finally:
            self._last_turn = self._monotonic()
        client.loop_start()

    def _password(self) -> str | None:
        file = self._config.password_file
        return Path(file).read_text(encoding="utf-8").strip() if file else None

    def _lose(self, why: str, at: float) -> None:
        client, was_up = self._client, self._since is not None
        if self._since is not None and at - self._since >= STEADY_S:
            self._tries = 0
        self._client, self._since, self._timed = None, None, None
        longest = min(self._config.backoff_max_s, FIRST_BACKOFF_S * 2.0 ** min(self._tries, 16))
        self._attempt_at = at + self._random.uniform(0, longest)
        self._tries += 1
        self._dialogue.counts["connections_lost" if was_up else "attempts_failed"] += 1
        if was_up or self._tries & (self._tries - 1) == 0:
            LOG.warning("link: %s: %s (attempt %d)", "connection lost" if was_up else "no connection", why, self._tries)
        if client is not None:
            _hang_up(client)
        if was_up:
            self._fetch_at = at + self._fetch_after_s
            self._exchange.lost()
            self._post(LinkDown(why, at))

    def _subscribe(self) -> None:
        if self._client is not None:
            filters = (topics.down_all(self._unit), topics.ALL_DOWN)
            self._client.subscribe([(each, SubscribeOptions(qos=1)) for each in filters])

    def _say(self, sayings: list[Saying]) -> None:
        if self._client is None or self._since is None:
            return
        for saying in sayings:
            match saying:
                case Publish(topic, payload, qos, retain):
                    sent_at = self._monotonic()
                    sent = self._client.publish(topic, payload, qos=qos, retain=retain)
                    if qos and (self._timed is None or sent_at > self._timed.at + TIMED_FOR_S):
                        self._timed = _Timed(self._client, sent.mid, sent_at)
                        if sent.is_published():  # before it was noted that this one is timed
                            self._on_publish(self._client, None, sent.mid, None, None)
                case Resubscribe():
                    self._subscribe()
                case Reconnect():
                    self._begin_anew()
                    return

    def _begin_anew(self) -> None:
        """Another connection at once; the broker is told, so that it does not give this unit for lost."""
        client, self._client, self._since, self._timed = self._client, None, None, None
        if client is None:
            return
        _detach(client)
        client.disconnect()
        self._tries, self._attempt_at = 0, self._monotonic()
        self._fetch_at = self._attempt_at + self._fetch_after_s
        self._exchange.lost()
        self._post(LinkDown("reconnecting with a new certificate", self._attempt_at))

    def _say_goodbye(self) -> None:
        client = self._client
        if client is None:
            return
        if self._since is None:
            self._client = None
            _hang_up(client)
            return
        for _ in range(LAST_INPUTS):
            if self._inputs.empty():
                break
            self._handle(self._inputs.get(), self._monotonic())
        will = self._dialogue.will
        try:
            client.publish(will.topic, will.payload, qos=will.qos, retain=True).wait_for_publish(1.0)
        except (RuntimeError, ValueError) as wrong:
            LOG.warning("link: could not say offline: %s", wrong)
        self._client, self._since = None, None
        _detach(client)
        client.disconnect()

    def _on_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._inputs.put(_Lost(client, f"refused by the broker: {reason}") if reason.is_failure else _Accepted(client))

    def _on_disconnect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._inputs.put(_Lost(client, str(reason)))

    def _on_publish(self, client: mqtt.Client, _data: Any, mid: int, _reason: Any, _properties: Any) -> None:
        timed = self._timed
        if timed is not None and (timed.client, timed.mid) == (client, mid):
            self._round_trip, self._timed = (timed.at, self._monotonic() - timed.at), None

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        with self._bytes_lock:
            is_full = self._queued_bytes + len(message.payload) > MOST_QUEUED_BYTES
            self._queued_bytes += 0 if is_full else len(message.payload)
            self._dialogue.counts["overflow"] += is_full
        if is_full:
            return
        self._inputs.put(_Arrived(client, topic, bytes(message.payload), message.retain))


def _hang_up(client: mqtt.Client) -> None:
    """Ends a client's socket, and with it paho's thread, without waiting for either."""
    _detach(client)
    connection = client.socket()
    if isinstance(connection, socket.socket):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _detach(client: mqtt.Client) -> None:
    """Lets a client go: paho closes its inner pair of sockets only when nothing refers to it any more, and its callbacks refer to us."""
    client.on_connect = client.on_disconnect = client.on_message = client.on_publish = None
