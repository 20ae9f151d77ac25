"""The bridge between the broker and the database: a thin shell of threads and paho around `server.rounds`.

A message is acknowledged only after the database has committed it, and only on the connection that it came by: after a reconnect the
broker sends it again, and its old number may mean another message. Nothing that a stranger publishes ends a thread.
"""

from __future__ import annotations

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from sqlalchemy.exc import SQLAlchemyError

from healthcode import topics
from healthcode.messages import MAX_BATCH, MAX_HEAD, MAX_SAID, BadPayload
from healthcode.settings import why_unread
from server.bounded import Bounded
from server.config import Broker, Config, ConfigError
from server.home_assistant import ONLINE, status_topic
from server.intake import Incoming
from server.lists import Compacted, ListError, Publication, Publisher
from server.metrics import BridgeFigures
from server.rounds import Parts, Rounds
from server.turns import MOST_EACH

log = logging.getLogger(__name__)

RETRY_S = 1.0
RULE_EVERY_S = 0.5
"""How often it is asked whose colour time has changed."""
RULE_PAUSE_S = 0.05
"""Between two slices of them, so that others come to write."""
STALLED_S = 120.0
"""A loop that has not come round for so long (seconds) is stuck: the process ends with status 1 and its supervisor starts it again."""
MOST_REQUEST_BYTES = 10 * 1024 * 1024
"""Sync requests that may wait, some 10,000; units ask again for what is dropped."""
MOST_REQUESTS_EACH = 3 * MOST_EACH
"""Sync requests of one unit that may wait, so that one that floods has its own dropped and no other's: one of each kind for each list."""
MOST_WAITING_BYTES = 16 * 1024 * 1024
"""What may wait for the database and has no acknowledgement (QoS 0); of the rest the broker sends no more than `broker.in_flight`."""
MOST_WAITING_EACH = 100
"""Messages of one unit that may wait so that one more of QoS 0 is still taken: one that floods loses its own numbers and no other's."""
MOST_BATCH_BYTES = 2 * 1024 * 1024
"""A transaction ends with the message that brings it to so many bytes: some 4,000 events, a fifth of a second for those who wait."""
_PACKET_LIMIT = MAX_BATCH + 4096


@dataclass(frozen=True)
class _Waiting:
    """A message that is to be acknowledged on the connection with this number."""

    incoming: Incoming
    mid: int
    qos: int
    connection: int


@dataclass
class _Loop:
    """One of the threads, and when it last came round (monotonic seconds)."""

    name: str
    body: Callable[[], None]
    progress: float = field(default_factory=time.monotonic)
    thread: threading.Thread | None = None


class Bridge:
    """Runs until told to stop."""

    def __init__(self, config: Config, parts: Parts, figures: BridgeFigures | None = None) -> None:
        self._config = config
        self._figures = figures
        self._rounds = Rounds(parts, config.lists.head_period_s, self._publish)
        self._stopping = threading.Event()
        self._waiting: Bounded[_Waiting] = Bounded(MOST_WAITING_BYTES, MOST_WAITING_EACH)
        self._requests: Bounded[tuple[str, bytes]] = Bounded(MOST_REQUEST_BYTES, MOST_REQUESTS_EACH)
        self._too_long = 0
        self._announce = threading.Event()
        self._tell_devices = threading.Event()
        self._connection = 0
        self._unreachable = False
        self._connection_lock = threading.Lock()
        self._compacting: tuple[Publisher, Future[Compacted]] | None = None
        self._compactor = ThreadPoolExecutor(1, "snapshot")
        self._client = self._make_client(config.broker)
        self._loops = [_Loop("intake", self._take_batch), _Loop("answers", self._answer_one), _Loop("lists", self._publish_due)]
        self._loops.append(_Loop("rules", self._rule_due))
        if figures is not None:
            figures.watch(self._client.is_connected, lambda: self._waiting.waiting_bytes, self._count_dropped)

    def run(self, stop: threading.Event) -> int:
        """Serves until `stop` is set; 0 then, 1 where a loop was stuck."""
        broker = self._config.broker
        self._client.connect_async(broker.host, broker.port, broker.keepalive_s, clean_start=False, properties=_session(broker))
        self._client.loop_start()
        for loop in self._loops:
            loop.thread = threading.Thread(target=self._run_loop, args=(loop,), name=loop.name, daemon=True)
            loop.thread.start()
        status = 0
        while not stop.wait(0.5):
            stuck = [loop.name for loop in self._loops if time.monotonic() - loop.progress > STALLED_S]
            if stuck:
                log.error("no progress for %d s in %s: ending", STALLED_S, ", ".join(stuck))
                status = 1
                break
        self._shut_down()
        return status

    def _shut_down(self) -> None:
        self._stopping.set()
        for loop in self._loops:
            if loop.thread is not None:
                loop.thread.join(10.0)
        self._compactor.shutdown(wait=False, cancel_futures=True)
        try:
            self._rounds.leave()
        except SQLAlchemyError as wrong:
            log.error("that nobody listens any more is not noted: %s", str(wrong).splitlines()[0])
        if self._client.is_connected():
            info = self._client.publish(topics.BRIDGE_STATE, b"offline", qos=1, retain=True)
            info.wait_for_publish(2.0)
        self._client.disconnect()
        self._client.loop_stop()

    def _run_loop(self, loop: _Loop) -> None:
        while not self._stopping.is_set():
            try:
                loop.body()
            except (SQLAlchemyError, ListError, OSError) as wrong:
                log.error("%s: %s; going on in %.0f s", loop.name, str(wrong).splitlines()[0], RETRY_S)
                self._stopping.wait(RETRY_S)
            except Exception:
                log.exception("%s: going on in %.0f s", loop.name, RETRY_S)
                self._stopping.wait(RETRY_S)
            loop.progress = time.monotonic()

    # ---- from the broker

    def _make_client(self, broker: Broker) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=broker.client_id, protocol=mqtt.MQTTv5, manual_ack=True)
        if broker.username:
            client.username_pw_set(broker.username, _read_password(broker.password_file))
        if broker.ca:
            client.tls_set_context(tls_context(broker))
        client.will_set(topics.BRIDGE_STATE, b"offline", qos=1, retain=True)
        client.reconnect_delay_set(1, broker.backoff_max_s)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: object, _flags: mqtt.ConnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if code.is_failure:
            log.error("broker %s:%d refuses the connection: %s", self._config.broker.host, self._config.broker.port, code)
            return
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        client.subscribe(topics.ALL_UP, options=options)
        if self._config.home_assistant.enabled:
            client.subscribe(status_topic(self._config.home_assistant.prefix), options=SubscribeOptions(qos=1))
        client.publish(topics.BRIDGE_STATE, b"online", qos=1, retain=True)
        log.info("connected to the broker %s:%d", self._config.broker.host, self._config.broker.port)
        self._unreachable = False
        self._announce.set()

    def _on_connect_fail(self, _client: mqtt.Client, _data: object) -> None:
        """One line for an outage, however often it is tried."""
        if not self._unreachable:
            log.warning("broker %s:%d cannot be reached; trying on", self._config.broker.host, self._config.broker.port)
        self._unreachable = True

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: mqtt.DisconnectFlags, code: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._connection_lock:
            self._connection += 1
        if not self._stopping.is_set():
            log.warning("connection to the broker lost: %s", code)

    def _on_message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        """Sorts only. An exception here would end paho's thread in silence, so whatever goes wrong is named and the message let go."""
        try:
            if self._config.home_assistant.enabled and message.topic == status_topic(self._config.home_assistant.prefix):
                if message.payload == ONLINE and not message.retain:
                    self._tell_devices.set()
                client.ack(message.mid, message.qos)
                return
            topic = topics.parse(message.topic)
            if isinstance(topic, topics.UpTopic) and topic.channel == "sync":
                self._ask(topic.unit, bytes(message.payload))
                client.ack(message.mid, message.qos)
                return
            waiting = _Waiting(Incoming(message.topic, bytes(message.payload), message.retain), message.mid, message.qos, self._connection)
            unit = topic.unit if isinstance(topic, topics.UpTopic) else ""
            if message.qos == 0 and len(message.payload) > MAX_SAID:
                self._too_long += 1
                _warn_now_and_then(self._too_long, f"message of {len(message.payload)} bytes at QoS 0: expected at most {MAX_SAID}", unit)
                return
            if not self._waiting.put(waiting, len(message.payload), always=message.qos > 0, sender=unit):
                _warn_now_and_then(self._waiting.dropped, "too many messages wait for the database: one of QoS 0 is dropped", message.topic)
        except Exception:
            log.exception("a message could not be read")
            client.ack(message.mid, message.qos)

    def _ask(self, unit: str, payload: bytes) -> None:
        if len(payload) > MAX_HEAD:
            self._too_long += 1
            _warn_now_and_then(self._too_long, f"sync request of {len(payload)} bytes: expected at most {MAX_HEAD}", unit)
        elif not self._requests.put((unit, payload), len(payload), sender=unit):
            _warn_now_and_then(self._requests.dropped, "too many sync requests wait: one is dropped", unit)

    # ---- to the database

    def _take_batch(self) -> None:
        self._rounds.settle(time.monotonic())
        batch = self._gather()
        if not batch:
            return
        incoming = [waiting.incoming for waiting in batch]
        while True:
            try:
                began = time.monotonic()
                taken = self._rounds.take(incoming, lambda: self._acknowledge(batch), began)
                if self._figures is not None:
                    self._figures.taken(len(incoming), taken, time.monotonic() - began)
                return
            except SQLAlchemyError as wrong:
                log.error("the database does not take %d messages: %s", len(batch), str(wrong).splitlines()[0])
                if self._stopping.wait(RETRY_S):
                    return

    def _gather(self) -> list[_Waiting]:
        intake = self._config.intake
        try:
            batch = [self._waiting.get(0.2)]
        except queue.Empty:
            return []
        until = time.monotonic() + intake.batch_ms / 1000
        size = 0
        while len(batch) < intake.batch_messages and (size := size + len(batch[-1].incoming.payload)) < MOST_BATCH_BYTES:
            try:
                batch.append(self._waiting.get(max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return batch

    def _acknowledge(self, batch: Sequence[_Waiting]) -> None:
        with self._connection_lock:
            for waiting in batch:
                if waiting.connection == self._connection:
                    self._client.ack(waiting.mid, waiting.qos)

    def _answer_one(self) -> None:
        wait_s = self._rounds.answer(time.monotonic())
        try:
            unit, payload = self._requests.get(0.2 if wait_s is None else min(0.2, wait_s))
        except queue.Empty:
            return
        dropped = self._rounds.dropped
        try:
            self._rounds.ask(unit, payload)
        except BadPayload as wrong:
            log.warning("%s: %s", topics.up(unit, "sync"), ascii(str(wrong)[:200])[1:-1])
        if self._rounds.dropped > dropped:
            _warn_now_and_then(self._rounds.dropped, "fetches more at once than any unit does: a request is dropped", unit)

    def _count_dropped(self) -> dict[str, int]:
        """Messages that were dropped so far, by what they were."""
        waiting, requests = self._waiting.dropped, self._requests.dropped + self._too_long
        return {"message": waiting, "request": requests, "fetch": self._rounds.dropped}

    def _rule_due(self) -> None:
        has_more = self._rounds.rule_due()
        self._stopping.wait(RULE_PAUSE_S if has_more else RULE_EVERY_S)

    # ---- to the units

    def _publish_due(self) -> None:
        announces = self._announce.is_set()
        self._announce.clear()
        if self._tell_devices.is_set():
            self._tell_devices.clear()
            self._rounds.tell_devices()
        try:
            self._rounds.due(time.monotonic(), is_connected=self._client.is_connected(), announces=announces)
        except Exception:
            if announces:
                self._announce.set()
            raise
        self._compact()
        self._stopping.wait(self._config.lists.poll_s)

    def _compact(self) -> None:
        if self._compacting is None:
            found = self._rounds.to_compact()
            if found is not None:
                publisher, copy = found
                self._compacting = (publisher, self._compactor.submit(publisher.compact, copy))
        elif self._compacting[1].done():
            (publisher, future), self._compacting = self._compacting, None
            self._rounds.compacted(publisher, future.result())

    def _publish(self, publications: Sequence[Publication]) -> None:
        """Sends what is due. Without a connection it is dropped: heads and watermarks go again on connecting, units ask for the rest."""
        for item in publications:
            if self._client.is_connected():
                self._client.publish(item.topic, item.payload, qos=1, retain=item.retain)
                if self._figures is not None:
                    self._figures.published()


def _warn_now_and_then(times: int, what: str, whom: str) -> None:
    """One line for the first, second, fourth... of its kind: a flood must not fill the log either."""
    if times & (times - 1) == 0:
        log.warning("%s: %s (%d so far)", ascii(whom[:120])[1:-1], what, times)


def tls_context(broker: Broker) -> ssl.SSLContext:
    """What a connection to the broker needs, from the files that the configuration names; ConfigError where they cannot be used."""
    try:
        context = ssl.create_default_context(cafile=broker.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(broker.certificate, broker.key)
    except (OSError, ValueError) as wrong:
        where = f"broker.ca {broker.ca}, broker.certificate {broker.certificate}, broker.key {broker.key}"
        raise ConfigError(f"{where}: {wrong}: expected files in PEM that belong together") from None
    return context


def _read_password(path: str) -> str | None:
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"broker.password_file {path}: cannot be read: {why_unread(wrong)}") from None


def _session(broker: Broker) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = broker.session_s
    properties.ReceiveMaximum = broker.in_flight
    properties.MaximumPacketSize = _PACKET_LIMIT
    return properties
