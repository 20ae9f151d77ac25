"""`healthgate edge mode`: what it asks for, and what it says; that a running unit obeys is in tests/edge/test_process_lane.py."""

from __future__ import annotations

import pytest

from edge.door import Answered, Silence
from healthcode.terms import LaneMode
from healthgate.lane_mode import NotSet, check_time, note_of, outcome


@pytest.mark.parametrize(
    ("mode", "minutes", "seconds"), [(LaneMode.FREE, 90, 5400), (LaneMode.FREE, 1440, 86_400), (LaneMode.LOCKED, None, 0)]
)
def test_only_free_has_a_time(mode: LaneMode, minutes: float | None, seconds: float) -> None:
    assert check_time(mode, minutes) == seconds


@pytest.mark.parametrize("minutes", [None, 0, -1, 1440.1, float("nan"), float("inf")])
def test_free_needs_an_end_of_a_day_at_most(minutes: float | None) -> None:
    with pytest.raises(NotSet, match="expected --minutes"):
        check_time(LaneMode.FREE, minutes)


def test_what_goes_on_record_is_one_short_line() -> None:
    assert note_of("li", " market\n\tday ") == "li: market day"
    assert len(note_of("li", "x" * 1000)) == 200


def test_what_is_said_afterwards() -> None:
    assert outcome("north", LaneMode.LOCKED, None, Answered(1.0, LaneMode.LOCKED)) == "the lane of north is locked"
    assert (
        outcome("north", LaneMode.FREE, 90.0, Answered(1.0, LaneMode.FREE)) == "the lane of north is free for 90 minutes, then controlled"
    )
    with pytest.raises(NotSet, match="does not know the time; the lane of north is locked"):
        outcome("north", LaneMode.FREE, 90.0, Answered(1.0, LaneMode.LOCKED, "does not know the time"))
    with pytest.raises(NotSet, match="does it run"):
        outcome("north", LaneMode.FREE, 90.0, Silence.UNHEARD)
    with pytest.raises(NotSet, match="its log says how the lane is now"):
        outcome("north", LaneMode.FREE, 90.0, Silence.UNTOLD)
