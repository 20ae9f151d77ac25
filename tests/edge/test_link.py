"""The link against a real broker, which is killed and restarted. The server here is a second MQTT client with the province's keys."""

from __future__ import annotations

import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.cache import Cache
from edge.clock import Clock, FloorFile
from edge.config import Link as LinkConfig
from edge.dialogue import Dialogue
from edge.link import Link, LinkDown, LinkNews, LinkUp
from edge.linkwords import EventsDone, ListChanged, Requested
from edge.outbox import UNNUMBERED, Outbox
from edge.syncwords import Timing
from healthcode import topics
from healthcode.messages import (
    MAX_CHUNK,
    Alert,
    BootMark,
    ChunkAnswer,
    ChunkRequest,
    DeltaAnswer,
    EventBatch,
    Info,
    Request,
    Response,
    SyncAnswer,
    TimeAnswer,
    TimeAnswerEnvelope,
    TimeRequest,
    UnitEvent,
    UnitStatus,
    Watermark,
    decode,
    decode_sync_request,
    encode,
    stamp,
)
from healthcode.signed import pack
from healthcode.terms import ClockState, Status
from tests.broker import Broker
from tests.edge.province import ROOTS, URI, Province, chunk, list_entry, time_answer, trust_list, watermark

pytestmark = pytest.mark.slow

LIMIT_S = 20.0


class Server:
    """The server's end in memory: events into a set, watermarks, answers."""

    def __init__(self, broker: Broker, province: Province) -> None:
        self.province = province
        self.events: list[tuple[str, int]] = []
        self.seen: list[tuple[str, bytes]] = []
        self.acknowledges = True
        self.changed = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bridge", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._on_message
        self._client.on_connect = self._on_connect
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(LIMIT_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client.on_connect = self._client.on_message = self._client.on_subscribe = None  # paho closes its last sockets when let go

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain)

    def heads(self) -> None:
        self.publish(topics.TRUST_HEAD, self.province.trust_head, retain=True)
        self.publish(topics.list_topic("CN-HB", URI, "head"), self.province.head, retain=True)

    def change(self, index: int, status: Status) -> None:
        self.publish(topics.list_topic("CN-HB", URI, "delta"), self.province.change({index: status}))
        self.heads()

    def wait_for(self, predicate: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(predicate, LIMIT_S)

    def wait_for_state(self, *states: bytes) -> None:
        """Waits until the unit's last states were these; after `online`, it is subscribed."""
        state = topics.up("north", "state")
        self.wait_for(lambda: tuple(payload for topic, payload in self.seen if topic == state)[-len(states) :] == states)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(topics.ALL_UP, qos=1)
        self.heads()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        with self.changed:
            self.seen.append((message.topic, bytes(message.payload)))
            topic = topics.parse(message.topic)
            if isinstance(topic, topics.UpTopic) and topic.channel == "events":
                batch = decode(bytes(message.payload), EventBatch)
                self.events += [(batch.boot_id, event.seq) for event in batch.events]
                if self.acknowledges:
                    self.acknowledge(batch.boot_id)
            elif isinstance(topic, topics.UpTopic) and topic.channel == "sync":
                for answer in self._answers(bytes(message.payload)):
                    self.publish(topics.down("north", "sync"), pack(answer))
            self.changed.notify_all()

    def acknowledge(self, boot_id: str) -> None:
        held = {seq for boot, seq in self.events if boot == boot_id}
        up_to = max(held)
        boots = [BootMark(boot_id=boot_id, up_to=up_to, missing=sorted(set(range(1, up_to)) - held)[:500])]
        self.publish(
            topics.down("north", "ack"), watermark(Watermark(unit="north", at_ms=time.time_ns() // 10**6, boots=boots)), retain=True
        )

    def _answers(self, payload: bytes) -> list[SyncAnswer]:
        request = decode_sync_request(payload)
        if isinstance(request, TimeRequest):
            answer = TimeAnswer(unit="north", nonce=request.nonce, at_ms=time.time_ns() // 10**6)
            return [TimeAnswerEnvelope(body=time_answer(answer))]
        if isinstance(request, ChunkRequest):
            data = self.province.snapshot if request.uri else self.province.trust_bytes
            body = chunk(data, request.offset)[:MAX_CHUNK]
            piece = ChunkAnswer(
                uri=request.uri, epoch=request.epoch, version=request.version, offset=request.offset, total=len(data), body=body
            )
            return [piece]
        return [DeltaAnswer(body=body) for body in self.province.deltas[request.from_version : request.to_version]]


class Unit:
    """A unit without devices: keeps, dialogue, link, and the deciding thread's queue."""

    def __init__(self, folder: Path, port: int) -> None:
        self.boot_id = secrets.token_hex(16)
        self.cache = Cache(folder / "cache", ROOTS)
        self.outbox = Outbox(folder / "outbox.db", self.boot_id)
        self.clock = Clock(
            FloorFile(folder / "floor"),
            monotonic=time.monotonic,
            system=time.time,
            draw=lambda: secrets.token_hex(16),
            synchronised=lambda: True,
        )
        self.cache.load(self.clock.now())
        self.news: queue.SimpleQueue[LinkNews] = queue.SimpleQueue()
        dialogue = Dialogue(
            Info(unit="north", boot_id=self.boot_id, software="0", hardware="simulated", started_at=stamp(0)),
            cache=self.cache,
            outbox=self.outbox,
            clock=self.clock,
            random=Random(0),
            at=time.monotonic(),
            resend_s=2.0,
            timing=Timing(jitter_s=0.05),
        )
        config = LinkConfig(host="127.0.0.1", port=port, backoff_max_s=1.0)
        self.link = Link("north", config, dialogue, post=self.news.put, random=Random(0))

    def append(self, count: int) -> None:
        self.outbox.append([UnitEvent(seq=UNNUMBERED, at=stamp(0), clock=ClockState.TRUSTED, what="x") for _ in range(count)])
        self.link.wake()

    def wait_for(self, predicate: Callable[[LinkNews], bool]) -> LinkNews:
        limit = time.monotonic() + LIMIT_S
        while not predicate(news := self.news.get(timeout=max(0.01, limit - time.monotonic()))):
            pass
        return news

    def wait_for_version(self, version: int) -> None:
        self.wait_for(lambda news: isinstance(news, ListChanged) and news.version == version)


@pytest.fixture
def province() -> Province:
    return Province(trust=trust_list(1, list_entry(), expires_at=2**40 - 1))


@pytest.fixture
def server(broker: Broker, province: Province) -> Iterator[Server]:
    server = Server(broker, province)
    yield server
    server.close()


@pytest.fixture
def unit(broker: Broker, tmp_path: Path) -> Iterator[Unit]:
    unit = Unit(tmp_path / "unit", broker.port)
    yield unit
    unit.link.stop()
    unit.outbox.close()
    unit.cache.close()


def test_trust_list_snapshot_time_and_a_change_arrive(unit: Unit, server: Server) -> None:
    unit.link.start()
    unit.wait_for_version(0)
    server.change(7, Status.RED)
    unit.wait_for_version(1)
    assert unit.cache.lists[URI].get(7) is Status.RED
    assert unit.clock.floor is not None


def test_events_arrive_and_are_done_only_by_watermark(unit: Unit, server: Server) -> None:
    server.acknowledges = False
    unit.link.start()
    unit.wait_for_version(0)
    unit.append(5)
    server.wait_for(lambda: len(server.events) >= 10)  # sent once, and again after resend_s
    assert unit.outbox.waiting == 5
    server.acknowledges = True
    server.wait_for(lambda: len(server.events) >= 15)
    unit.wait_for(lambda news: isinstance(news, EventsDone) and news.done == 5)
    assert unit.outbox.waiting == 0


def test_a_broker_killed_with_events_in_flight_loses_none(unit: Unit, server: Server, broker: Broker) -> None:
    unit.link.start()
    unit.wait_for_version(0)
    for _ in range(10):
        unit.append(3)
    broker.kill()
    unit.wait_for(lambda news: isinstance(news, LinkDown))
    for _ in range(50):
        unit.append(5)
    broker.restart()
    unit.wait_for(lambda news: isinstance(news, LinkUp))
    server.wait_for(lambda: {seq for _, seq in server.events} == set(range(1, 281)))
    server.change(9, Status.YELLOW)
    unit.wait_for_version(1)


def test_nothing_that_is_published_ends_the_link(unit: Unit, server: Server) -> None:
    unit.link.start()
    unit.wait_for_version(0)
    noise = [b"", b"\xff" * 100, b"{}", b"\xd2\x84\x40\xa0\x40\x40", b"x" * 400_000]
    for topic in (
        topics.TRUST_HEAD,
        topics.list_topic("CN-HB", URI, "head"),
        topics.list_topic("CN-HB", URI, "delta"),
        topics.down("north", "ack"),
        topics.down("north", "sync"),
        topics.down("north", "request", "identify"),
        topics.down("north", "desired"),
        f"{topics.ROOT}/all/\u2603",
    ):
        for payload in noise:
            server.publish(topic, payload)
    server.change(7, Status.RED)
    unit.wait_for_version(1)
    assert unit.link.counts["bad_payload"] >= 2
    assert unit.link.counts["delta_CBOR"] >= 1
    assert "worker_fault" not in unit.link.counts


def test_state_status_alerts_and_answers(unit: Unit, server: Server) -> None:
    unit.link.alert("camera", Alert(name="camera", since=stamp(0)))
    unit.link.start()
    server.wait_for_state(b"online")
    unit.link.status(UnitStatus(uptime_s=1.0, outbox_pending=0, lists_held=0))
    server.publish(topics.down("north", "request", "identify"), encode(Request(transaction="t1")))
    unit.wait_for(lambda news: isinstance(news, Requested) and news.transaction == "t1")
    unit.link.respond("identify", Response(status="ok", transaction="t1"))
    unit.link.stop()
    expected = {
        topics.up("north", "state"),
        topics.up("north", "info"),
        topics.up("north", "status"),
        topics.up("north", "alert", "camera"),
        topics.up("north", "response", "identify"),
    }
    server.wait_for(lambda: expected <= {topic for topic, _ in server.seen})
    server.wait_for_state(b"online", b"offline")


def test_the_broker_s_answer_to_a_selftest_is_timed_and_a_refresh_brings_what_is_retained(unit: Unit, server: Server) -> None:
    unit.link.start()
    unit.wait_for_version(0)
    server.publish(topics.down("north", "request", "selftest"), encode(Request(transaction="t1")))
    asked = unit.wait_for(lambda news: isinstance(news, Requested))
    poll(lambda: unit.link.round_trip_ms(asked.at) is not None)
    took_ms = unit.link.round_trip_ms(asked.at)
    assert took_ms is not None
    assert 0 < took_ms < LIMIT_S * 1000
    assert unit.link.round_trip_ms(time.monotonic()) is None, "of what goes out later nothing is known yet"
    before = unit.link.counts["sync_OLD"]
    unit.link.refresh()
    poll(lambda: unit.link.counts["sync_OLD"] > before)


def poll(predicate: Callable[[], bool]) -> None:
    """Waits for what no message tells."""
    until = time.monotonic() + LIMIT_S
    while not predicate():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_connection_that_breaks_leaves_the_last_will(unit: Unit, server: Server) -> None:
    unit.link.start()
    server.wait_for_state(b"online")
    assert unit.link._client is not None
    connection = unit.link._client.socket()
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RDWR)
    server.wait_for_state(b"online", b"offline", b"online")


def test_the_deciding_thread_never_waits_for_a_broker_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as deaf:  # accepts connections and says nothing
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        unit = Unit(tmp_path, deaf.getsockname()[1])
        unit.link.start()
        before = time.monotonic()
        for _ in range(1000):
            unit.link.wake()
            unit.link.status(UnitStatus(uptime_s=1.0, outbox_pending=0, lists_held=0))
        assert time.monotonic() - before < 1.0
        unit.link.stop()
        unit.outbox.close()
