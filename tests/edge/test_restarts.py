"""When a unit may be started anew: the lane's stages, modes and lines, in one table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.passage import State, initial
from edge.restarts import PATIENCE_S, may_end
from edge.transitions import ALARMS, OPENING, Stage
from healthcode.terms import LaneMode

REST = initial(0.0)
LONG = 30 * PATIENCE_S
FREE = replace(REST, stage=Stage.FREE, mode=LaneMode.FREE, free_until=9e9)
FIRE = replace(REST, stage=Stage.FIRE, fire=True)
CLOSED = initial(0.0, LaneMode.OUT_OF_SERVICE)


@pytest.mark.parametrize(
    ("state", "is_shown", "at_once", "in_the_end"),
    [
        (REST, False, True, True),
        (initial(0.0, LaneMode.LOCKED), False, True, True),
        (CLOSED, False, True, True),
        (replace(REST, tamper=True), False, True, True),
        (replace(REST, trouble=True), False, True, True),  # a camera that does not work is no reason to wait
        (REST, True, False, True),  # somebody shows a code: patience, but a queue has no end
        (FREE, False, False, False),
        (FREE, True, False, False),
        (FIRE, False, False, False),
        (replace(FIRE, mode=LaneMode.OUT_OF_SERVICE), False, False, False),
        (replace(FREE, stage=Stage.FIRE, fire=True), False, False, False),
        (replace(REST, beam=True), False, False, False),
        (replace(REST, arm=True), False, False, False),
        (replace(CLOSED, beam=True), False, False, False),  # in a lane that is closed somebody may stand, too
        *[(replace(REST, stage=stage), False, False, False) for stage in sorted(OPENING | ALARMS)],
    ],
)
def test_a_start_waits_for_people_and_for_a_lane_that_is_free(state: State, is_shown: bool, at_once: bool, in_the_end: bool) -> None:
    assert may_end(state, 0.0, is_shown=is_shown) is at_once
    assert may_end(state, LONG, is_shown=is_shown) is in_the_end


def test_patience_has_one_end() -> None:
    assert not may_end(REST, PATIENCE_S - 0.1, is_shown=True)
    assert may_end(REST, PATIENCE_S, is_shown=True)
    assert not may_end(replace(REST, beam=True), PATIENCE_S, is_shown=True)
