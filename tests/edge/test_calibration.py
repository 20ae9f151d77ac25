"""Calibration as a bench does it: a black body at three temperatures, an offset, and all that makes one worthless."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calibration import (
    DAY_S,
    POINTS_C,
    Applied,
    Calibration,
    Kept,
    Point,
    Refused,
    Unreadable,
    Waiting,
    conclude,
    judge,
    take_point,
)
from edge.screening import Reading

NOW = 1_600_000_000.0
SENSOR, OTHER = "5d2191c444031a3f", "77a00b1244039c01"


def made(offset_c: float = 0.2, days_ago: float = 10, sensor: str = SENSOR) -> Calibration:
    return Calibration(sensor, offset_c, 24.0, 3.3, datetime.fromtimestamp(NOW - days_ago * DAY_S, UTC), "Guard Wang")


@pytest.mark.parametrize(
    ("kept", "expected", "words"),
    [
        (made(), Applied(0.2), ""),
        (made(-0.5), Applied(-0.5), ""),
        (made(days_ago=364), Applied, "ends in 1 days"),
        (made(days_ago=336), Applied, "ends in 29 days"),
        (made(days_ago=366), Refused, "1 days overdue"),
        (made(days_ago=-0.5), Applied(0.2), ""),
        (made(days_ago=-2), Refused, "a day that has come"),
        (made(0.51), Refused, "+0.51 C, expected at most 0.5"),
        (made(-0.51), Refused, "-0.51 C"),
        (made(float("nan")), Refused, "nan"),
        (made(sensor=OTHER), Refused, f"that of sensor {OTHER}, expected {SENSOR}"),
        (None, Applied, "not calibrated"),
        (Unreadable("x: no JSON"), Refused, "x: no JSON"),
    ],
)
def test_which_calibration_counts(kept: Kept, expected: object, words: str) -> None:
    found = judge(kept, SENSOR, NOW, 365)
    assert found == expected or type(found) is expected
    assert words in (found.warning if isinstance(found, Applied) else found.detail)


@given(st.floats(-2, 2), st.floats(-500, 500), st.sampled_from([SENSOR, OTHER]), st.floats(1, 1100))
def test_whatever_is_applied_was_made_for_this_sensor_lately_and_is_small(offset: float, days: float, sensor: str, due: float) -> None:
    found = judge(made(offset, days, sensor), SENSOR, NOW, due)
    if isinstance(found, Applied):
        assert (sensor, found.offset_c) == (SENSOR, offset)
        assert abs(offset) <= 0.5
        assert -1 <= days <= due + 1e-3


def read(*skins: float) -> list[Reading]:
    return [Reading(skin, 24.0, 0.3 * number) for number, skin in enumerate(skins)]


@pytest.mark.parametrize(
    ("readings", "expected", "words"),
    [
        (read(), 0, ""),
        (read(25.0, 25.1), 0, "reads 25.1 C, expected 35 within 0.9"),
        (read(25.0, 34.8), 1, ""),
        (read(34.8, 34.8, 34.8), 3, ""),
        (read(34.8, 34.8, 34.8, 34.8), 4, "not one reading differs"),
        (read(37.0, 37.0, 37.02, 37.0), 0, "expected 35"),
        (read(34.3, 34.3, 34.8, 34.8), 4, "still moves, +0.50"),
        (read(34.6, 35.0, 34.6, 35.0), 4, "spread over 0.40"),
        (read(34.8, 34.8, 34.8, 25.0), 0, "in view"),
    ],
)
def test_a_point_waits_until_the_black_body_is_there_and_steady(readings: Sequence[Reading], expected: int, words: str) -> None:
    found = take_point(35.0, readings, 4)
    assert isinstance(found, Waiting)
    assert found.done == expected
    assert words in found.detail


def test_a_point_is_the_mean_of_the_last_steady_readings() -> None:
    assert take_point(35.0, read(25.0, 34.2, 34.8, 34.9, 34.8, 34.9), 4) == Point(35.0, 34.85, 0.1)


def points(*errors: float) -> list[Point]:
    return [Point(black_body, black_body + error, 0.1) for black_body, error in zip(POINTS_C, errors, strict=True)]


def test_the_offset_is_the_mean_deviation_and_keeps_what_it_came_from() -> None:
    found = conclude(points(-0.25, -0.3, -0.35), SENSOR, 24.1, 3.3, NOW, "Guard Wang")
    assert isinstance(found, Calibration)
    assert found.offset_c == pytest.approx(0.3, abs=0.001)
    assert (found.sensor, found.ambient_c, found.supply_v, found.operator, len(found.points)) == (SENSOR, 24.1, 3.3, "Guard Wang", 3)
    assert judge(found, SENSOR, NOW, 365) == Applied(found.offset_c)


@pytest.mark.parametrize(
    ("errors", "words"),
    [((0.6, 0.6, 0.6), "off by -0.60 C"), ((-0.55, -0.5, -0.5), "off by +0.52 C"), ((0.3, 0.0, -0.3), "no offset cures that")],
)
def test_a_sensor_that_an_offset_does_not_cure_is_refused(errors: tuple[float, float, float], words: str) -> None:
    found = conclude(points(*errors), SENSOR, 24.1, 3.3, NOW, "Guard Wang")
    assert isinstance(found, Refused)
    assert words in found.detail


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_what_is_concluded_corrects_every_point(errors: list[float]) -> None:
    found = conclude(points(*errors), SENSOR, 24.1, 3.3, NOW, "Guard Wang")
    if isinstance(found, Calibration):
        assert abs(found.offset_c) <= 0.5
        assert max(abs(error + found.offset_c) for error in errors) <= 0.2 + 0.001
