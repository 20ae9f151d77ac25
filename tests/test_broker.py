"""The private broker: comes back on its port with what it kept, and holds each user to the access rules."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthcode import topics
from healthgate import broker as guarded
from tests.broker import Broker, Client

pytestmark = pytest.mark.slow

PASSWORDS = {"bridge": "b-secret", "north": "n-secret", "south": "s-secret"}


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
    bridge = Client(walled, "bridge", PASSWORDS["bridge"], session="bridge")
    assert bridge.subscribe(topics.ALL_UP) == [1]
    bridge.close()
    north = Client(walled, "north", PASSWORDS["north"])
    assert [north.publish(topics.up("north", "events"), b"%d" % number) for number in range(20)] == [0] * 20
    assert north.publish(topics.up("north", "state"), b"online", retain=True) in (0, 16)
    north.close()
    walled.stop()
    walled.start()
    bridge = Client(walled, "bridge", PASSWORDS["bridge"], session="bridge")
    heard = [bridge.next() for _ in range(21)]
    assert heard[:20] == [(topics.up("north", "events"), b"%d" % number) for number in range(20)]
    bridge.close()
    afresh = Client(walled, "bridge", PASSWORDS["bridge"])
    afresh.subscribe(topics.ALL_UP)
    assert afresh.next() == (topics.up("north", "state"), b"online")
    afresh.close()


@pytest.mark.parametrize("other", ["south", "bridge"])
def test_nobody_takes_over_anothers_session_by_its_client_id(walled: guarded.Broker, other: str) -> None:
    topic = topics.down("south", "ack") if other == "south" else topics.up("south", "events")
    victim = Client(walled, other, PASSWORDS[other], session=other)
    victim.subscribe(topic)
    thief = Client(walled, "north", PASSWORDS["north"], session=other)
    author = Client(walled, "bridge" if other == "south" else "south", PASSWORDS["bridge" if other == "south" else "south"])
    author.publish(topic, b"still there")
    assert victim.next() == (topic, b"still there")
    assert victim.lost.empty()
    assert thief.heard.empty()
    victim.close()
    author.publish(topic, b"waits")
    thief.close()
    Client(walled, "north", PASSWORDS["north"], session=other).close()
    victim = Client(walled, other, PASSWORDS[other], session=other)
    assert victim.next() == (topic, b"waits"), "what waited in the session is there"
    victim.close()
    author.close()


@pytest.mark.parametrize(("user", "password"), [("", ""), ("north", "wrong"), ("stranger", "s-secret")])
def test_nobody_comes_in_without_a_password(walled: guarded.Broker, user: str, password: str) -> None:
    client = Client(walled, user, password)
    assert client.refused == "Not authorized"
    client.close()


def test_a_unit_writes_only_under_its_own_up_and_reads_only_its_own_down_and_what_is_for_all(walled: guarded.Broker) -> None:
    bridge, north = Client(walled, "bridge", PASSWORDS["bridge"]), Client(walled, "north", PASSWORDS["north"])
    bridge.subscribe("healthgate/v1/#")
    assert north.publish(topics.up("north", "events")) == 0
    assert bridge.next() == (topics.up("north", "events"), b"x")
    forbidden = (
        topics.up("south", "events"),
        topics.up("south", "state"),
        topics.down("south", "ack"),
        topics.down("north", "ack"),
        topics.TRUST_HEAD,
        topics.list_topic("CN-HB", "https://hb.example/s/1", "head"),
        topics.list_topic("CN-HB", "https://hb.example/s/1", "delta"),
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
