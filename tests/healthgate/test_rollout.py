"""A release on its way to many units: who is told when, and what stops it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthgate import rollout
from healthgate.rollout import Mark, Rollout, StagesError, away, heard, make, parse_stages, to_tell, told, wait

UNITS = [f"u{number:02d}" for number in range(20)]
NEW = "0.2.0"


def tell_all(state: Rollout, at: float = 0.0) -> Rollout:
    for unit in to_tell(state):
        state = told(state, unit, at)
    return state


def finish(state: Rollout) -> Rollout:
    for unit in UNITS:
        state = heard(state, unit, "update_done", f"release {NEW} has proved itself")
    return state


def test_a_canary_then_stages_each_when_all_before_it_are_through() -> None:
    state = make(NEW, UNITS, 1, parse_stages("10%,50%,100%"))
    sizes = []
    while to_tell(state):
        sizes.append(len(to_tell(state)))
        state = tell_all(state)
        assert to_tell(state) == ()
        state = finish(state)
    assert (sizes, state.is_over, state.stopped) == ([1, 1, 8, 10], True, "")


def test_without_canary_and_stages_all_are_told_at_once() -> None:
    assert to_tell(make(NEW, UNITS, 0, [1.0])) == tuple(UNITS)


def test_one_that_comes_back_stops_it_and_those_that_were_told_are_waited_for() -> None:
    state = finish(tell_all(make(NEW, UNITS, 1, [0.2, 1.0])))
    state = tell_all(state)
    state = heard(state, "u01", "update_trial", f"release {NEW}")
    state = heard(state, "u01", "update_refused", f"release {NEW} is refused here: the camera worked before and has not for 120 s")
    assert (to_tell(state), state.is_over) == ((), False)
    assert state.stopped == f"u01: release {NEW} is refused here: the camera worked before and has not for 120 s"
    state = finish(state)
    assert (state.is_over, to_tell(state), state.mark("u10")) == (True, (), Mark.WAITING)


def test_a_unit_that_refuses_at_once_stops_it() -> None:
    state = told(make(NEW, UNITS, 1, [1.0]), "u00", 0.0, "release 0.2.0 is refused here: it crashed")
    assert (state.is_over, to_tell(state)) == (True, ())


def test_a_canary_that_is_away_proves_nothing_and_another_is_left_out() -> None:
    canary = away(make(NEW, UNITS, 1, [1.0]), "u00", "no answer")
    assert canary.stopped == "u00, a canary, cannot be reached: no answer"
    state = finish(tell_all(make(NEW, UNITS, 1, [0.1, 1.0])))
    state = away(state, "u01", "no answer")
    assert (state.stopped, len(to_tell(state))) == ("", 18)


def test_news_of_another_release_or_of_nobody_who_was_told_changes_nothing() -> None:
    state = tell_all(make(NEW, UNITS, 1, [1.0]))
    assert heard(state, "u00", "update_done", "release 0.1.9 has proved itself") == state
    assert heard(state, "u00", "update_done", f"release {NEW}1 has proved itself") == state
    assert heard(state, "u05", "update_done", f"release {NEW} has proved itself") == state
    assert heard(state, "u00", "started", f"release {NEW}") == state
    assert heard(state, "u00", "update_waits", f"release {NEW}: the disk is full").said["u00"] == f"waits: release {NEW}: the disk is full"


def test_patience_ends() -> None:
    state = heard(tell_all(make(NEW, UNITS, 1, [1.0]), at=10.0), "u00", "update_trial", f"release {NEW}")
    assert wait(state, 3609.0, 3600.0) == state
    assert wait(state, 3610.0, 3600.0).stopped == "u00: not through after 60 minutes; last: trial: release 0.2.0"


@pytest.mark.parametrize("text", ["", "x", "50%", "50%,10%,100%", "0%,100%", "10%,10%,100%", "110%", "-1%,100%", "nan,100%"])
def test_stages_that_are_none(text: str) -> None:
    with pytest.raises(StagesError, match="expected percentages that go up to 100%"):
        parse_stages(text)


@given(st.integers(1, 60), st.integers(0, 70), st.lists(st.integers(1, 99), unique=True, max_size=5))
def test_everybody_is_in_one_group(count: int, canary: int, shares: list[int]) -> None:
    units = [str(number) for number in range(count)]
    found = make(NEW, units, min(canary, count), [share / 100 for share in [*sorted(shares), 100]])
    assert [unit for group in found.groups for unit in group] == units
    assert all(found.groups)
    assert rollout.to_tell(found) == found.groups[0]
