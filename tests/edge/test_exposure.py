"""Exposure and focus as tables: what a camera is asked for, and never anything that it does not have."""

from __future__ import annotations

from typing import Any

import pytest

from edge.drivers.exposure import (
    BURST_S,
    METER_S,
    V4L2_EXPOSURE_ABSOLUTE,
    V4L2_EXPOSURE_AUTO,
    V4L2_FOCUS_AUTO,
    Bracketing,
    Exposure,
    Range,
    Shot,
    pi_exposure,
    v4l2_exposure,
    v4l2_start,
)

PI: dict[str, Any] = {"AeEnable": (False, True, True), "ExposureTime": (100, 33_000, 20_000), "AnalogueGain": (1.0, 16.0, 1.0)}
USB = {V4L2_EXPOSURE_AUTO: Range(0, 3, 3, 3), V4L2_EXPOSURE_ABSOLUTE: Range(3, 2047, 250, 160)}


@pytest.mark.parametrize(
    ("shot", "base", "wanted"),
    [
        (Shot.BASE, Exposure(8000, 2.0), {"AeEnable": False, "ExposureTime": 8000, "AnalogueGain": 2.0}),
        (Shot.SHORT, Exposure(8000, 2.0), {"AeEnable": False, "ExposureTime": 2000, "AnalogueGain": 2.0}),
        (Shot.SHORT, Exposure(200, 4.0), {"AeEnable": False, "ExposureTime": 100, "AnalogueGain": 2.0}),
        (Shot.SHORT, Exposure(100, 1.0), {"AeEnable": False, "ExposureTime": 100, "AnalogueGain": 1.0}),
        (Shot.AUTO, Exposure(8000, 2.0), {"AeEnable": True}),
    ],
)
def test_a_pi_s_camera_is_asked_for_a_share_of_what_it_metered(shot: Shot, base: Exposure, wanted: dict[str, Any]) -> None:
    assert pi_exposure(PI, shot, base) == wanted


@pytest.mark.parametrize("missing", PI)
@pytest.mark.parametrize("shot", Shot)
def test_a_camera_without_one_of_the_controls_is_left_alone(missing: str, shot: Shot) -> None:
    known = {name: limits for name, limits in PI.items() if name != missing}
    assert pi_exposure(known, shot, Exposure(8000, 1.0)) == {}


@pytest.mark.parametrize(
    ("shot", "wanted"),
    [
        (Shot.BASE, {V4L2_EXPOSURE_AUTO: 1, V4L2_EXPOSURE_ABSOLUTE: 160}),
        (Shot.SHORT, {V4L2_EXPOSURE_AUTO: 1, V4L2_EXPOSURE_ABSOLUTE: 40}),
        (Shot.AUTO, {V4L2_EXPOSURE_AUTO: 3}),
    ],
)
def test_a_usb_camera_is_set_to_manual_first_and_back_to_its_own_default(shot: Shot, wanted: dict[int, int]) -> None:
    assert v4l2_exposure(USB, shot) == wanted
    assert list(v4l2_exposure(USB, shot)) == list(wanted)


def test_a_usb_camera_s_limits_are_kept() -> None:
    dark = USB | {V4L2_EXPOSURE_ABSOLUTE: Range(100, 2047, 250, 160)}
    assert v4l2_exposure(dark, Shot.SHORT)[V4L2_EXPOSURE_ABSOLUTE] == 100


@pytest.mark.parametrize("missing", USB)
@pytest.mark.parametrize("shot", Shot)
def test_a_usb_camera_without_one_of_the_controls_is_left_alone(missing: int, shot: Shot) -> None:
    assert v4l2_exposure({number: limits for number, limits in USB.items() if number != missing}, shot) == {}


def test_focus_is_continuous_where_there_is_any() -> None:
    assert v4l2_start(USB) == {}
    assert v4l2_start(USB | {V4L2_FOCUS_AUTO: Range(0, 1, 1, 0)}) == {V4L2_FOCUS_AUTO: 1}


def test_exposures_alternate_while_something_moves_and_the_camera_meters_in_between() -> None:
    bracketing = Bracketing()
    assert bracketing.next_shot(False, 0.0) is None
    asked = [bracketing.next_shot(True, 1.0 + number / 10) for number in range(6)]
    assert asked == [Shot.SHORT, Shot.BASE] * 3
    assert bracketing.next_shot(False, 1.6) is Shot.AUTO
    assert bracketing.next_shot(False, 1.7) is None
    assert bracketing.next_shot(True, 1.8) is None
    assert bracketing.next_shot(True, 1.6 + METER_S) is Shot.SHORT


def test_a_long_burst_is_broken_off_for_metering() -> None:
    bracketing = Bracketing()
    asked = [bracketing.next_shot(True, number / 10) for number in range(round(10 * (BURST_S + METER_S)) + 5)]
    assert asked.count(Shot.AUTO) == 1
    assert asked[asked.index(Shot.AUTO) + 1] is None
    assert asked[-1] in (Shot.SHORT, Shot.BASE)
