"""What a flood can make the server hold, and what gates hear of other provinces' lists."""

from __future__ import annotations

import logging
import queue

import pytest
from paho.mqtt.client import MQTTMessage

from healthcode import topics
from healthcode.cose import SoftwareKey
from healthcode.messages import MAX_HEAD, MAX_SAID, TimeRequest, encode
from healthcode.status import StatusList
from healthcode.terms import Use
from server.__main__ import build
from server.bounded import OVERHEAD, Bounded
from server.foreign import ForeignHeads
from server.lists import import_foreign, make_pair
from server.mqtt_bridge import MOST_REQUEST_BYTES, MOST_REQUESTS_EACH, MOST_WAITING_BYTES, MOST_WAITING_EACH, Bridge
from server.office import Office
from tests.server.office import Clock, Town, entry

FOREIGN = "CN-HN"
URIS = ("https://hn.example/s/1", "https://hn.example/s/2")
TIME = encode(TimeRequest(nonce="0" * 32))


@pytest.fixture
def bridge(office: Office, clock: Clock) -> Bridge:
    """A bridge that is not connected and whose threads do not run: whatever comes waits."""
    return Bridge(office.config, build(office, clock))


def tell(bridge: Bridge, channel: str, payload: bytes, qos: int = 0, times: int = 1, unit: str = "north") -> None:
    message = MQTTMessage(topic=topics.up(unit, channel).encode())
    message.payload, message.qos = payload, qos
    for _ in range(times):
        bridge._on_message(bridge._client, None, message)


def test_sync_requests_that_are_too_long_do_not_wait(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell(bridge, "sync", bytes(MAX_HEAD + 1), times=1000)
    assert bridge._requests.waiting_bytes == 0
    assert len(caplog.records) == 10
    tell(bridge, "sync", bytes(MAX_HEAD))
    tell(bridge, "sync", TIME)
    assert bridge._requests.get(0)[1] == bytes(MAX_HEAD)
    assert bridge._requests.get(0)[1] == TIME


@pytest.mark.parametrize("payload", [b"", TIME, bytes(MAX_HEAD)])
def test_a_flood_of_sync_requests_is_cut(bridge: Bridge, caplog: pytest.LogCaptureFixture, payload: bytes) -> None:
    with caplog.at_level(logging.WARNING):
        for number in range(25_000):
            tell(bridge, "sync", payload, unit=f"gate-{number // 50}")
    assert MOST_REQUEST_BYTES - MAX_HEAD - OVERHEAD < bridge._requests.waiting_bytes <= MOST_REQUEST_BYTES
    assert len(caplog.records) < 20


def test_the_flood_of_one_unit_costs_no_other_its_requests(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell(bridge, "sync", TIME, times=25_000)
        tell(bridge, "sync", TIME, unit="south")
    waiting = [bridge._requests.get(0)[0] for _ in range(MOST_REQUESTS_EACH + 1)]
    assert waiting == ["north"] * MOST_REQUESTS_EACH + ["south"]
    assert bridge._requests.waiting_bytes == 0
    tell(bridge, "sync", TIME)
    assert bridge._requests.get(0) == ("north", TIME), "what was taken makes room"
    assert len(caplog.records) < 20


def test_a_flood_without_acknowledgement_is_cut_and_what_is_acknowledged_is_not(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell(bridge, "status", bytes(256 * 1024), times=200)
        tell(bridge, "events", bytes(256 * 1024), times=200)
    assert bridge._waiting.waiting_bytes <= MOST_WAITING_BYTES
    held = bridge._waiting.waiting_bytes
    tell(bridge, "events", bytes(1000), qos=1)
    assert bridge._waiting.waiting_bytes == held + 1000 + OVERHEAD
    assert len(caplog.records) < 20


def test_the_numbers_of_one_unit_that_floods_cost_no_other_its_own(bridge: Bridge, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell(bridge, "status", bytes(MAX_SAID), times=20_000)
        tell(bridge, "status", bytes(MAX_SAID + 1), unit="west")
        tell(bridge, "status", b"{}", unit="south")
    waiting = [bridge._waiting.get(0).incoming.topic for _ in range(MOST_WAITING_EACH + 1)]
    assert waiting == [topics.up("north", "status")] * MOST_WAITING_EACH + [topics.up("south", "status")]
    assert bridge._waiting.waiting_bytes == 0
    assert len(caplog.records) < 20


def test_room_comes_back_when_something_is_taken() -> None:
    bounded: Bounded[int] = Bounded(2 * (10 + OVERHEAD))
    assert [bounded.put(number, 10) for number in range(3)] == [True, True, False]
    assert bounded.dropped == 1
    assert (bounded.get(0), bounded.put(3, 10), bounded.get(0), bounded.get(0)) == (0, True, 1, 3)
    assert bounded.waiting_bytes == 0
    with pytest.raises(queue.Empty):
        bounded.get(0)


def test_heads_of_other_issuers_are_sent_when_they_change_and_all_again_every_period(office: Office, town: Town, clock: Clock) -> None:
    stranger = SoftwareKey.generate()
    town.publish([*town.entries, *(entry(stranger, Use.LIST, FOREIGN, uri) for uri in URIS)])

    def take(uri: str) -> bytes:
        head, snapshot = make_pair(StatusList.empty(uri, 1, 1024), stranger, int(clock()))
        import_foreign(office.store, uri, head, snapshot, (), town.ring(), clock())
        return head

    first, second = (take(uri) for uri in URIS)
    heads = ForeignHeads(office.store, 30.0)
    sent = heads.due(0.0)
    assert [(item.topic, item.payload, item.retain) for item in sent] == [
        (topics.list_topic(FOREIGN, uri, "head"), body, True) for uri, body in zip(URIS, (first, second), strict=True)
    ]
    clock.at += 60
    changed = take(URIS[1])
    assert heads.due(0.5) == []
    assert [item.payload for item in heads.due(1.0)] == [changed]
    assert heads.due(29.0) == []
    assert [item.payload for item in heads.due(30.0)] == [first, changed]
    assert heads.due(59.0) == []
    heads.again()
    assert [item.payload for item in heads.due(59.1)] == [first, changed]
