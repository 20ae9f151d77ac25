"""Exposure and focus: which controls a camera gets, of those that it has. Pure; the drivers carry it out.

A lit screen is burnt out at the exposure that suits the lane: of glary presentations 40 of 100 frames are read, at a quarter of it 90, and
low light wants the whole. So while something moves every second frame is taken at a quarter. In between the camera meters by itself again,
because nobody else would notice that the sun came out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

SHORT = 0.25
"""The short exposure, as a share of the metered one."""
BURST_S, METER_S = 8.0, 1.0
"""Seconds of alternating exposure after which the camera meters anew, and how long it has for that."""

V4L2_EXPOSURE_AUTO, V4L2_EXPOSURE_ABSOLUTE, V4L2_FOCUS_AUTO = 0x009A0901, 0x009A0902, 0x009A090C
"""V4L2_CID_*, linux/v4l2-controls.h. Absolute exposure is in units of 100 microseconds."""
V4L2_EXPOSURE_MANUAL = 1
"""enum v4l2_exposure_auto_type."""


class Shot(Enum):
    """How the next frame is to be exposed."""

    AUTO = "auto"
    BASE = "base"
    SHORT = "short"


class Bracketing:
    """Says, frame by frame, what to change. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._meter_until = float("-inf")
        self._last = Shot.AUTO

    def next_shot(self, active: bool, at: float) -> Shot | None:
        """The exposure to ask for now that the frame of `at` is there; None where the camera may go on as it is.

        BASE and SHORT alternate; the first of a burst is SHORT, because BASE is what the camera has just metered.
        """
        if self._since is None:
            if not active or at < self._meter_until:
                return None
            self._since, self._last = at, Shot.SHORT
            return self._last
        if not active or at - self._since > BURST_S:
            self._since, self._last = None, Shot.AUTO
            self._meter_until = at + METER_S
            return self._last
        self._last = Shot.BASE if self._last is Shot.SHORT else Shot.SHORT
        return self._last


@dataclass(frozen=True)
class Exposure:
    """What a Pi's camera metered: exposure time in microseconds and analogue gain."""

    time_us: float
    gain: float


def pi_exposure(known: Mapping[str, Any], shot: Shot, base: Exposure) -> dict[str, Any]:
    """libcamera's controls for `shot`; none where the camera lacks one of them. `known` maps a control to (least, most, default)."""
    if not {"AeEnable", "ExposureTime", "AnalogueGain"} <= known.keys():
        return {}
    if shot is Shot.AUTO:
        return {"AeEnable": True}
    wanted = base.time_us * base.gain * (SHORT if shot is Shot.SHORT else 1.0)
    time_us = _within(base.time_us * (SHORT if shot is Shot.SHORT else 1.0), known["ExposureTime"])
    return {"AeEnable": False, "ExposureTime": round(time_us), "AnalogueGain": _within(wanted / time_us, known["AnalogueGain"])}


@dataclass(frozen=True)
class Range:
    """A V4L2 control: the values that it takes, its default, and what it is now."""

    least: int
    most: int
    default: int
    value: int


def v4l2_start(known: Mapping[int, Range]) -> dict[int, int]:
    """What a USB camera gets at its start: continuous focus, where it has any."""
    return {V4L2_FOCUS_AUTO: 1} if V4L2_FOCUS_AUTO in known else {}


def v4l2_exposure(known: Mapping[int, Range], shot: Shot) -> dict[int, int]:
    """A USB camera's controls for `shot`, in the order in which they are set; none where it lacks one. `known` is as it was metered."""
    if not {V4L2_EXPOSURE_AUTO, V4L2_EXPOSURE_ABSOLUTE} <= known.keys():
        return {}
    automatic, absolute = known[V4L2_EXPOSURE_AUTO], known[V4L2_EXPOSURE_ABSOLUTE]
    if shot is Shot.AUTO:
        return {V4L2_EXPOSURE_AUTO: automatic.default}
    wanted = round(absolute.value * (SHORT if shot is Shot.SHORT else 1.0))
    return {V4L2_EXPOSURE_AUTO: V4L2_EXPOSURE_MANUAL, V4L2_EXPOSURE_ABSOLUTE: min(absolute.most, max(absolute.least, wanted))}


def _within(value: float, limits: Any) -> float:
    least, most, *_ = limits
    return float(min(most, max(least, value)))
