"""From skin temperature to a screening result. Screening, never diagnosis.

Pure: the readings, the policy and the time come in, a value goes out.

How the unit drives it. A measurement begins at the person's first sighting (`since`). Each time a reading arrives, and on every tick, the
unit calls `screen` with the readings it has (older ones are dropped here) and looks at `screening`:

- PENDING: go on; `hint` says what to show meanwhile (TOO_FAR: come closer, UNSTEADY: hold still) and `tries` counts up with each retry,
  so a change of (hint, tries) is one short beep.
- RECHECK or FEVER_SUSPECTED (`measure_again` is true): keep this value as `earlier` and call on with it and the same `since`. The second
  measurement starts by itself: at once and silently after RECHECK, `retest_after_s` after FEVER_SUSPECTED; readings before that do not
  count. It ends NORMAL, FEBRILE, NOT_CLEARED, or, after RECHECK, FEVER_SUSPECTED, which is measured again in its turn.
- anything else is final.

A reading that failed is a SensorFault, which no rule below turns into a number. Two steady groups of samples stand behind every cleared
suspicion: in Changsha in 2020 a man was let go on 34.2 a minute after 37.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from edge.config import ScreeningPolicy
from healthcode.terms import Screening

FIRST_DATA_S = 0.3
"""Seconds after its power comes on in which the sensor's words mean nothing (MLX90614 datasheet: 0.25 s)."""

SECOND_CLEARS = (Screening.RECHECK, Screening.FEVER_SUSPECTED)


class SensorFaultKind(StrEnum):
    """Why there is no reading."""

    NO_BUS = "NO_BUS"
    NO_PEC = "NO_PEC"
    NO_ANSWER = "NO_ANSWER"
    BAD_PEC = "BAD_PEC"
    TIMEOUT = "TIMEOUT"
    BUS_ERROR = "BUS_ERROR"
    ERROR_FLAG = "ERROR_FLAG"
    NO_WORD = "NO_WORD"
    OUT_OF_SPAN = "OUT_OF_SPAN"
    FROZEN = "FROZEN"
    WRONG_SENSOR = "WRONG_SENSOR"
    CALIBRATION = "CALIBRATION"


LASTING = frozenset(
    {
        SensorFaultKind.NO_BUS,
        SensorFaultKind.NO_PEC,
        SensorFaultKind.FROZEN,
        SensorFaultKind.WRONG_SENSOR,
        SensorFaultKind.CALIBRATION,
    }
)
"""Faults that another try does not cure."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One pair of temperatures in degrees Celsius, corrected for supply, emissivity and calibration; `at` in monotonic seconds."""

    skin_c: float
    ambient_c: float
    at: float


@dataclass(frozen=True, slots=True)
class SensorFault:
    """No reading at `at`, after all the tries of one cycle; `detail` is one line for people."""

    kind: SensorFaultKind
    detail: str
    at: float


@dataclass(frozen=True, slots=True)
class SensorState:
    """How long the sensor has had power, in seconds, and how fast its ambient reading moves (degrees Celsius a minute, absolute)."""

    powered_s: float
    ambient_drift_c_per_min: float


@dataclass(frozen=True, slots=True)
class Screened:
    """What the readings say at `at`. Temperatures are medians of the group that decided, None where none did."""

    screening: Screening
    at: float
    skin_c: float | None = None
    ambient_c: float | None = None
    body_c: float | None = None
    samples: int = 0
    hint: Screening | None = None
    tries: int = 0

    @property
    def measure_again(self) -> bool:
        """Whether this calls for a second measurement."""
        return self.screening in SECOND_CLEARS


def estimate_body(skin_c: float, ambient_c: float) -> float:
    """Body temperature from forehead skin and ambient temperature, degrees Celsius.

    The forehead formula that thermometer projects on this part use, three lines joined at the ends of a band of normal skin temperatures.
    Strictly monotonic in skin for ambient 0 to 40. Two public copies carry 0.029321 for 0.829321, which hides fever.
    """
    low, high = _band(ambient_c)
    if skin_c < low:
        return LOW_C + _slope_below(ambient_c) * (skin_c - low)
    if skin_c <= high:
        return LOW_C + (HIGH_C - LOW_C) * (skin_c - low) / (high - low)
    return HIGH_C + _slope_above(ambient_c) * (skin_c - high)


def skin_of(body_c: float, ambient_c: float) -> float:
    """The skin temperature of which `estimate_body` makes `body_c`: its inverse; degrees Celsius."""
    low, high = _band(ambient_c)
    if body_c < LOW_C:
        return low + (body_c - LOW_C) / _slope_below(ambient_c)
    if body_c <= HIGH_C:
        return low + (high - low) * (body_c - LOW_C) / (HIGH_C - LOW_C)
    return high + (body_c - HIGH_C) / _slope_above(ambient_c)


LOW_C, HIGH_C = 36.3, 36.8
"""Body temperatures at the ends of the band."""


def _band(ambient_c: float) -> tuple[float, float]:
    """The ends of the band of normal skin temperatures."""
    warm = ambient_c - 25.0
    if ambient_c <= 25.0:
        return 32.66 + 0.186 * warm, 34.84 + 0.148 * warm
    return 32.66 + 0.086 * warm, 34.84 + 0.100 * warm


def _slope_below(ambient_c: float) -> float:
    return 0.551658 + 0.021525 * ambient_c


def _slope_above(ambient_c: float) -> float:
    return 0.829321 + 0.002364 * ambient_c


def screen(
    readings: Sequence[Reading | SensorFault],
    policy: ScreeningPolicy,
    sensor: SensorState,
    earlier: Screened | None,
    at: float,
    since: float,
) -> Screened:
    """What `readings` (oldest first) say at `at` about the person first sighted at `since`.

    `earlier` is the first measurement where this is the second. In this order: a sensor that fails, one that is warming up, air outside its
    span, then the newest group of steady samples against the thresholds. See the module's text for how to call it.
    """
    start = max(since, _second_from(earlier, policy)) if earlier else since
    if earlier and at < start:
        return Screened(Screening.PENDING, at, hint=earlier.screening)
    mine = [reading for reading in readings if start <= reading.at <= at]
    found = _judge(mine, policy, sensor, start, at)
    if earlier is None:
        return found if found.body_c is None or found.screening is not Screening.PENDING else _first(found, policy)
    return _second(found, earlier, policy, at)


def _judge(mine: list[Reading | SensorFault], policy: ScreeningPolicy, sensor: SensorState, start: float, at: float) -> Screened:
    """The newest group's temperatures as PENDING with a body_c where they can be judged; otherwise why not."""
    faults = [one for one in mine if isinstance(one, SensorFault)]
    if len(faults) >= policy.failed_cycles or any(one.kind in LASTING for one in faults[-1:]):
        return Screened(Screening.SENSOR_FAULT, at)
    if sensor.powered_s < max(FIRST_DATA_S, policy.warm_up_s) or sensor.ambient_drift_c_per_min > policy.ambient_drift_c_per_min:
        return Screened(Screening.WARMING, at)
    group = [one for one in mine[-policy.samples :] if isinstance(one, Reading)]
    if len(group) < policy.samples:
        return _unready(Screening.SENSOR_FAULT, None, policy, start, at)
    skin, ambient = median(one.skin_c for one in group), median(one.ambient_c for one in group)
    body = estimate_body(skin, ambient)
    found = Screened(Screening.PENDING, at, skin, ambient, body, len(group))
    if not policy.ambient_low_c <= ambient <= policy.ambient_high_c:
        return Screened(Screening.OUT_OF_RANGE, at, ambient_c=ambient, samples=len(group))
    if max(one.skin_c for one in group) - min(one.skin_c for one in group) > policy.spread_c:
        return _unready(Screening.UNSTEADY, Screening.UNSTEADY, policy, start, at)
    if body < policy.too_far_c:
        return _unready(Screening.TOO_FAR, Screening.TOO_FAR, policy, start, at)
    if body > policy.implausible_c:
        return _unready(Screening.IMPLAUSIBLE, Screening.IMPLAUSIBLE, policy, start, at)
    return found


def _unready(end: Screening, hint: Screening | None, policy: ScreeningPolicy, start: float, at: float) -> Screened:
    """PENDING with a hint until the tries are over, then `end`. The tries divide `give_up_s`: a person needs time to step closer."""
    if at - start >= policy.give_up_s:
        return Screened(end, at)
    return Screened(Screening.PENDING, at, hint=hint, tries=int((at - start) / policy.give_up_s * policy.too_far_tries))


def _second_from(earlier: Screened, policy: ScreeningPolicy) -> float:
    """From when on a reading belongs to the second measurement: strictly after the first one's last sample."""
    pause = policy.retest_after_s if earlier.screening is Screening.FEVER_SUSPECTED else 1e-6
    return earlier.at + pause


def _first(found: Screened, policy: ScreeningPolicy) -> Screened:
    assert found.body_c is not None
    if found.body_c >= policy.fever_c:
        return _as(found, Screening.FEVER_SUSPECTED)
    return _as(found, Screening.RECHECK if found.body_c >= policy.recheck_c else Screening.NORMAL)


def _second(found: Screened, earlier: Screened, policy: ScreeningPolicy, at: float) -> Screened:
    """The second measurement: a suspicion ends FEBRILE, NOT_CLEARED or, on a credible lower value, NORMAL; it never just lapses."""
    suspected = earlier.screening is Screening.FEVER_SUSPECTED
    if found.body_c is None or found.screening is not Screening.PENDING:
        if not suspected:
            return found
        over = at - earlier.at >= policy.retest_within_s or found.screening is not Screening.PENDING
        return _as(found, Screening.NOT_CLEARED) if over else found
    if found.body_c >= policy.fever_c:
        return _as(found, Screening.FEBRILE if suspected else Screening.FEVER_SUSPECTED)
    if found.body_c < policy.clear_floor_c or _disagree(found, earlier, suspected) > policy.disagree_c:
        return _as(found, Screening.NOT_CLEARED)
    return _as(found, Screening.NORMAL)


def _disagree(found: Screened, earlier: Screened, suspected: bool) -> float:
    """By how much two measurements of one person differ, degrees Celsius.

    Of a suspicion the skin counts as well: the estimate's middle band squeezes 2.2 C of skin into 0.5 C, so two estimates look alike where
    the sensor saw two different things.
    """
    assert found.body_c is not None and earlier.body_c is not None and found.skin_c is not None and earlier.skin_c is not None
    body = abs(found.body_c - earlier.body_c)
    return max(body, abs(found.skin_c - earlier.skin_c)) if suspected else body


def _as(found: Screened, screening: Screening) -> Screened:
    return Screened(screening, found.at, found.skin_c, found.ambient_c, found.body_c, found.samples)
