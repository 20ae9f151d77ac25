"""Receipts: a unit is told what is held of its events, and cannot have itself told it without end."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from healthcode.budget import LEAST
from healthcode.messages import Watermark
from healthcode.signed import Signed, read
from server.__main__ import build
from server.admissions import Admissions
from server.fleet import Fleet
from server.lists import Publication
from server.office import Office
from server.receipts import AT_ONCE, PER_S, Receipts
from server.rounds import Rounds
from tests.server.office import Clock, Town
from tests.server.reports import batch, note

LONGEST = 90 * 1024
"""A signed watermark at its longest, and more (server.intake.MOST_GAPS)."""


def test_an_ordinary_gate_is_told_at_once() -> None:
    receipts, at = Receipts(), 1000.0
    for _ in range(1000):
        at += 1.0
        receipts.owe(["north"])
        assert receipts.due(at) == ["north"]
        receipts.sent("north", 250, at)
        assert receipts.due(at) == []


def test_who_was_told_much_waits_and_holds_up_nobody() -> None:
    receipts = Receipts()
    receipts.sent("greedy", AT_ONCE + 1000, 0.0)
    receipts.owe(["greedy", "modest"])
    assert receipts.due(0.0) == ["modest"]
    assert receipts.due(999 / PER_S) == ["modest"]
    assert receipts.due(1001 / PER_S) == ["greedy", "modest"]


@given(st.lists(st.tuples(st.floats(0.0, 600.0), st.integers(100, LONGEST)), min_size=1, max_size=100))
def test_no_hour_carries_more_than_a_megabyte_and_a_quarter(told: list[tuple[float, int]]) -> None:
    receipts, at = Receipts(), 0.0
    sent: list[tuple[float, int]] = []
    for later, amount in told:
        at += later
        receipts.owe(["greedy"])
        if receipts.due(at):
            receipts.sent("greedy", amount, at)
            sent.append((at, amount))
    for since, _ in sent:
        assert sum(amount for when, amount in sent if since <= when < since + 3600) <= LEAST + AT_ONCE + LONGEST


def test_many_boots_full_of_gaps_are_no_lever(office: Office, town: Town, clock: Clock, tmp_path: Path) -> None:
    fleet = Fleet(office.store, clock)
    assert fleet.add("greedy")
    assert fleet.add("modest")
    said: list[Publication] = []
    rounds = Rounds(build(office, clock), 30.0, said.extend)
    boots = [f"{number:032x}" for number in range(20)]
    for turn in range(200):
        clock.at += 0.05
        rounds.settle(clock())
        rounds.take([batch("greedy", [note(501 + turn // 20, clock())], boots[turn % 20])], lambda: None, clock())
    assert sum(len(each.payload) for each in said) < AT_ONCE + LONGEST
    said.clear()
    rounds.take([batch("modest", [note(1, clock())], boots[0])], lambda: None, clock())
    assert [each.topic.split("/")[3] for each in said] == ["modest"]
    said.clear()
    clock.at += LONGEST / PER_S
    rounds.settle(clock())
    (late,) = said
    found = read(late.payload, Watermark, town.ring(), clock())
    assert isinstance(found, Signed)
    assert {boot.boot_id: boot.up_to for boot in found.message.boots} == dict.fromkeys(boots, 510), "it says all that came meanwhile"
    rounds.settle(clock())
    assert len(said) == 1


def test_a_watermark_that_waits_does_not_go_to_a_unit_that_was_retired_meanwhile(office: Office, clock: Clock) -> None:
    """What the broker kept of it was cleared: this would be kept for ever."""
    assert Fleet(office.store, clock).add("greedy")
    said: list[Publication] = []
    rounds = Rounds(build(office, clock), 30.0, said.extend)
    for number in range(200):
        rounds.take([batch("greedy", [note(501 + number // 20, clock())], f"{number % 20:032x}")], lambda: None, clock())
    assert len(said) < 200, "some of it waits"
    said.clear()
    Admissions(office.store, clock).retire("greedy")
    clock.at += LONGEST / PER_S
    rounds.settle(clock())
    assert said == []
