"""The calibration of one thermometer against a black body: when it counts, when it is refused, and how it is computed. Pure.

A calibration belongs to the one sensor whose factory identity it names. Without any the readings go uncorrected, with an alert. One that
was made and does not hold (another sensor, an offset that means a broken part, a date too long ago) is refused, and then nobody passes by
this thermometer: what somebody relied upon must not silently turn into nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.config import ScreeningPolicy
from edge.mlx90614 import correct_emissivity, seen_of
from edge.screening import Reading, SensorState

POINTS_C = (35.0, 37.0, 39.0)
"""Temperatures of the black body."""
MOST_OFFSET_C = 0.5
"""A sensor that is off by more is replaced, not corrected."""
MOST_RESIDUAL_C = 0.2
"""What may be left at each point after the offset: beyond it the fault is no offset but a dirty window or a black body that is not one."""
WARN_DAYS = 30.0
"""How long before its end a calibration is warned of."""
AHEAD_S = 86_400.0
"""A calibration dated further ahead of now was dated by a clock that was wrong, or now is."""

NEAR_C = 0.9
"""A reading further from the black body's temperature shows something else: the point before, for one, which is 2 C away."""
STEADY_SPREAD_C = 0.3
STEADY_DRIFT_C = 0.05
"""Readings are steady when they lie this close together and their two halves differ by no more than this."""

DAY_S = 86_400.0


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was read of the black body at one temperature; degrees Celsius."""

    black_body_c: Annotated[float, Meta(ge=20, le=50)]
    read_c: Annotated[float, Meta(ge=0, le=70)]
    spread_c: Annotated[float, Meta(ge=0, le=10)]


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What calibration found: `offset_c` is added to the skin's temperature that the sensor with this identity reads.

    `sensor` is the 16 hexadecimal digits of registers 0x3C to 0x3F; `ambient_c` and `supply_v` are those of the day.
    """

    sensor: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    offset_c: float
    ambient_c: float
    supply_v: float
    at: Annotated[datetime, Meta(tz=True)]
    operator: Annotated[str, Meta(min_length=1, max_length=80)]
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """There is a calibration file and it holds no calibration; `detail` is one line for people."""

    detail: str


Kept = Calibration | Unreadable | None
"""What the unit's folder holds; None for nothing."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A calibration holds: `offset_c` is to be added. `warning` says in one line what somebody should know, "" for nothing."""

    offset_c: float
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A calibration that does not hold; `detail` is one line for people. `other_sensor` where it is another sensor's."""

    detail: str
    other_sensor: bool = False


NOT_CALIBRATED = Applied(0.0, "the thermometer is not calibrated, its readings are uncorrected: healthgate edge calibrate")


def judge(kept: Kept, sensor: str, at: float, due_days: float) -> Applied | Refused:
    """Whether what is kept counts at `at` (seconds since 1970) for the sensor with that identity; it lasts for `due_days`."""
    match kept:
        case None:
            return NOT_CALIBRATED
        case Unreadable(detail=detail):
            return Refused(detail)
    if kept.sensor != sensor:
        return Refused(f"the calibration is that of sensor {kept.sensor}, expected {sensor}, which is on the bus: calibrate it", True)
    if not abs(kept.offset_c) <= MOST_OFFSET_C:
        return Refused(f"the calibration's offset is {kept.offset_c:+.2f} C, expected at most {MOST_OFFSET_C} C: replace the sensor")
    made = kept.at.timestamp()
    if made - at > AHEAD_S:
        return Refused(f"the calibration is dated {kept.at:%Y-%m-%d}, expected a day that has come: is the time right?")
    left = due_days - (at - made) / DAY_S
    if left < 0:
        return Refused(f"the calibration of {kept.at:%Y-%m-%d} is {-left:.0f} days overdue, expected one in {due_days:g} days: calibrate")
    if left < WARN_DAYS:
        return Applied(kept.offset_c, f"the calibration of {kept.at:%Y-%m-%d} ends in {left:.0f} days")
    return Applied(kept.offset_c)


WARM_UP_S = 1800.0
"""Since its power a sensor takes half an hour until it is worth calibrating, whatever the unit waits for before it screens."""


@dataclass(frozen=True, slots=True)
class Cold:
    """The sensor is not ready for `left_s` seconds yet (0.0: until its surroundings stand still); `detail` is one line."""

    left_s: float
    detail: str


def find_cold(state: SensorState, ambient_c: float, policy: ScreeningPolicy) -> Cold | None:
    """Why a sensor in `state`, in air of `ambient_c`, is not worth calibrating now; None where it is."""
    needed = max(WARM_UP_S, policy.warm_up_s)
    if state.powered_s < needed:
        detail = f"the sensor has had power for {state.powered_s / 60:.0f} min, expected {needed / 60:.0f}"
        return Cold(needed - state.powered_s, detail)
    if state.ambient_drift_c_per_min > policy.ambient_drift_c_per_min:
        drift = state.ambient_drift_c_per_min
        return Cold(0.0, f"the air at the sensor moves by {drift:.2f} C a minute, expected at most {policy.ambient_drift_c_per_min}")
    if not policy.ambient_low_c <= ambient_c <= policy.ambient_high_c:
        span = f"{policy.ambient_low_c:g} to {policy.ambient_high_c:g} C"
        return Cold(0.0, f"the air at the sensor has {ambient_c:.1f} C, expected {span}")
    return None


def without_correction(reading: Reading, offset_c: float, emissivity: float, black_body: float) -> Reading:
    """A reading of skin of `emissivity`, which `offset_c` was added to, as one of a surface of emissivity `black_body`, and uncorrected."""
    seen_c = seen_of(reading.skin_c - offset_c, reading.ambient_c, emissivity)
    return Reading(correct_emissivity(seen_c, reading.ambient_c, black_body), reading.ambient_c, reading.at)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A point that cannot be taken yet: `done` of the readings it needs are there; `detail` says what is wrong, "" for nothing."""

    done: int
    detail: str = ""


def take_point(black_body_c: float, readings: Sequence[Reading], count: int) -> Point | Waiting:
    """The point at `black_body_c` from the last `count` of `readings`, once they are all there, near it and steady."""
    last = readings[-count:]
    if not last:
        return Waiting(0)
    if abs(last[-1].skin_c - black_body_c) > NEAR_C:
        return Waiting(0, f"reads {last[-1].skin_c:.1f} C, expected {black_body_c:g} within {NEAR_C}: is the black body in view?")
    near = next((number for number, one in enumerate(reversed(last)) if abs(one.skin_c - black_body_c) > NEAR_C), len(last))
    if near < count:
        return Waiting(near)
    skins = [one.skin_c for one in last]
    drift = fmean(skins[count // 2 :]) - fmean(skins[: count // 2])
    spread = max(skins) - min(skins)
    if spread == 0.0:
        return Waiting(count, "not one reading differs, expected at least the noise of a live sensor")
    if abs(drift) > STEADY_DRIFT_C:
        return Waiting(count, f"still moves, {drift:+.2f} C: wait")
    if spread > STEADY_SPREAD_C:
        return Waiting(count, f"spread over {spread:.2f} C, expected at most {STEADY_SPREAD_C}: hold it still")
    return Point(black_body_c, round(fmean(skins), 3), round(spread, 3))


def conclude(points: Sequence[Point], sensor: str, ambient_c: float, supply_v: float, at: float, operator: str) -> Calibration | Refused:
    """The calibration that `points` give: the offset is their mean deviation. Refused where an offset does not cure this sensor."""
    deviations = [point.black_body_c - point.read_c for point in points]
    offset = fmean(deviations)
    found = ", ".join(f"{each:+.2f} at {point.black_body_c:.0f}" for each, point in zip(deviations, points, strict=True))
    if abs(offset) > MOST_OFFSET_C:
        return Refused(f"the sensor is off by {offset:+.2f} C ({found}), expected at most {MOST_OFFSET_C}: replace it or try again")
    left = max(abs(each - offset) for each in deviations)
    if left > MOST_RESIDUAL_C:
        what = f"the deviations ({found}) lie up to {left:.2f} C from their mean"
        return Refused(f"{what}, expected {MOST_RESIDUAL_C}: no offset cures that, look at the window and the black body")
    day = datetime.fromtimestamp(round(at), UTC)
    return Calibration(sensor, round(offset, 3), round(ambient_c, 2), supply_v, day, operator, tuple(points))
