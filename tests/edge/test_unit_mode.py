"""The lane's mode in a whole unit: set at the unit, kept over a restart, free only as long as its end is known."""

from __future__ import annotations

import pytest

from edge import lane
from edge.door import Answered, Asked
from healthcode.messages import LaneEvent, UnitEvent, stamp
from healthcode.terms import Decision, LaneMode, Reason
from tests.edge.unit_bench import Bench

FIRST = 7


def lanes(bench: Bench) -> list[LaneEvent]:
    return [event for event in bench.disk.events() if isinstance(event, LaneEvent)]


def set_mode(bench: Bench, mode: LaneMode, for_s: float = 0.0) -> Answered:
    answered = bench.unit.ask_mode(Asked(mode, bench.at, for_s, "li: market day"))
    bench.unit.tick()
    return answered


@pytest.mark.parametrize(("mode", "reason"), [(LaneMode.LOCKED, Reason.LANE_LOCKED), (LaneMode.OUT_OF_SERVICE, Reason.OUT_OF_SERVICE)])
def test_a_lane_that_was_closed_stays_closed_over_a_restart(bench: Bench, mode: LaneMode, reason: Reason) -> None:
    assert set_mode(bench, mode) == Answered(bench.at, mode)
    bench.restart()
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [(Decision.REFUSE, reason)]
    assert [(event.mode, event.note) for event in lanes(bench)] == [(mode, "li: market day"), (mode, "kept over the restart")]
    set_mode(bench, LaneMode.CONTROLLED)
    bench.leave()
    bench.restart()
    bench.show(bench.code(FIRST))
    assert bench.relay() == 1


def test_free_ends_at_a_restart(bench: Bench) -> None:
    set_mode(bench, LaneMode.FREE, 3600)
    assert bench.relay() == 1
    bench.restart()
    assert bench.relay() == 0
    assert bench.unit.state.mode is LaneMode.CONTROLLED


def test_free_ends_at_its_end_and_the_record_says_who_and_when(bench: Bench) -> None:
    until = bench.wall + 60
    set_mode(bench, LaneMode.FREE, 60)
    bench.wait(59.8)
    assert bench.relay() == 1
    bench.wait(0.4)
    assert bench.relay() == 0
    first, last = lanes(bench)
    assert (first.mode, first.until, first.note) == (LaneMode.FREE, stamp(until), "li: market day")
    assert (last.mode, last.until) == (LaneMode.CONTROLLED, None)


def test_free_ends_when_the_clock_is_not_trusted_and_is_refused_until_it_is(bench: Bench) -> None:
    set_mode(bench, LaneMode.FREE, 3600)
    bench.clock_is_off_s = 600.0
    bench.unit.tick()
    assert bench.relay() == 0
    assert lanes(bench)[-1].note == "the clock is not trusted"
    answered = set_mode(bench, LaneMode.FREE, 3600)
    assert answered.mode is LaneMode.CONTROLLED
    assert "does not know the time" in answered.refused
    assert set_mode(bench, LaneMode.LOCKED).refused == "", "a lane can always be closed"


def test_free_without_an_end_is_refused(bench: Bench) -> None:
    assert "how long" in set_mode(bench, LaneMode.FREE).refused
    assert bench.relay() == 0


def test_a_damaged_file_locks_the_lane_says_so_and_ends_when_somebody_sets_the_mode(bench: Bench) -> None:
    (bench.folder / "mode").write_bytes(b"\x00\x00\x00")
    bench.restart()
    assert bench.unit.state.mode is LaneMode.LOCKED
    assert "locked until somebody sets it" in bench.unit.troubles["lane_mode"]
    assert [event.what for event in bench.disk.events() if isinstance(event, UnitEvent)][-1] == "mode_lost"
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [(Decision.REFUSE, Reason.LANE_LOCKED)]
    bench.press()
    assert bench.relay() == 1, "the guard opens all the same"
    set_mode(bench, LaneMode.LOCKED)
    assert bench.unit.troubles == {}


def test_locking_takes_an_open_grant_back_and_the_code_may_be_used_again(bench: Bench) -> None:
    bench.show(bench.code(FIRST))
    set_mode(bench, LaneMode.LOCKED)
    assert bench.relay() == 0
    assert [event.outcome.value for event in bench.passages()] == ["not_used"]
    set_mode(bench, LaneMode.CONTROLLED)
    bench.leave()
    bench.show(bench.code(FIRST))
    assert bench.relay() == 1


def test_a_grant_that_nobody_used_is_given_back_and_the_code_may_be_used_again(bench: Bench) -> None:
    bench.show(bench.code(FIRST))
    bench.leave()
    assert [event.outcome.value for event in bench.passages()] == ["not_used"]
    bench.show(bench.code(FIRST))
    bench.walk()
    bench.leave()
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [*[(Decision.ADMIT, Reason.GREEN)] * 2, (Decision.REFUSE, Reason.REPLAY)]


def test_a_free_lane_lets_everybody_through_and_still_refuses_on_fire(bench: Bench) -> None:
    set_mode(bench, LaneMode.FREE, 3600)
    bench.give(lane.Fire(bench.at, True))
    assert bench.relay() == 0
    bench.give(lane.Fire(bench.at, False))
    assert bench.relay() == 1
