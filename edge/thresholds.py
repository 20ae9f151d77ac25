"""Whether somebody with a high fever could pass by a unit's thresholds, found by screening such a person. Pure.

Each threshold has bounds of its own, and several that are each within theirs can still open together: a late fever threshold, a wide spread
and a part of standard accuracy. So the whole is tried out, with `edge.screening` itself, before a unit starts.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.config import ScreeningPolicy, Sensor
from edge.mlx90614 import PARTS, SKIN_EMISSIVITY, correct_emissivity, seen_of
from edge.screening import Reading, Screened, SensorState, screen, skin_of
from healthcode.terms import Screening

HIGH_FEVER_C = 39.0
"""A body temperature with which nobody may pass, whatever a configuration says."""

AMBIENT_STEP_C, SKIN_STEP_C = 2.0, 0.25
BELOW_C = 1e-6
WARM = SensorState(float("inf"), 0.0)


def find_hole(policy: ScreeningPolicy, sensor: Sensor) -> str | None:
    """How HIGH_FEVER_C would pass by `policy` with `sensor`, in one line that names the keys; None where it cannot.

    Two ways are tried at every ambient temperature in which the unit screens. All readings of the person are as low as the part's error and
    the spread that is allowed can make them. Or the first measurement is true, and the second whatever may come.
    """
    part = PARTS[sensor.part]
    for ambient_c in ambients(policy):
        read_c = skin_as_read(HIGH_FEVER_C, ambient_c, sensor)
        lowest = read_c - part.accuracy_c - policy.spread_c
        if passes(policy, ambient_c, lowest, lowest):
            return (
                f"screening.fever_c = {policy.fever_c:g} with screening.spread_c = {policy.spread_c:g}, sensor.part = {part.name} "
                f"(true to {part.accuracy_c} C) and sensor.emissivity = {sensor.emissivity:g}: expected thresholds by which nobody of "
                f"{HIGH_FEVER_C:g} C passes, at {ambient_c:g} C of air they do"
            )
        if any(passes(policy, ambient_c, read_c, second) for second in _seconds(policy, ambient_c, read_c)):
            return (
                f"screening.disagree_c = {policy.disagree_c:g} with screening.fever_c = {policy.fever_c:g}: expected thresholds by which "
                f"a second reading never clears a first of {HIGH_FEVER_C:g} C, at {ambient_c:g} C of air it does"
            )
    return None


def ambients(policy: ScreeningPolicy) -> Iterator[float]:
    """The ambient temperatures that are tried: both ends, steps between them, and both sides of the estimate's bend at 25 C."""
    span = policy.ambient_high_c - policy.ambient_low_c
    steps = max(1, round(span / AMBIENT_STEP_C))
    yield from (policy.ambient_low_c + span * number / steps for number in range(steps + 1))
    yield 25.0


def skin_as_read(body_c: float, ambient_c: float, sensor: Sensor) -> float:
    """What a sensor without error, corrected as `sensor` says, reads of the skin of somebody of `body_c`."""
    return correct_emissivity(seen_of(skin_of(body_c, ambient_c), ambient_c, SKIN_EMISSIVITY), ambient_c, sensor.emissivity)


def passes(policy: ScreeningPolicy, ambient_c: float, first_c: float, second_c: float) -> bool:
    """Whether skin that reads as `first_c`, and as `second_c` whenever it is measured again, ends NORMAL."""
    found = _measure(policy, ambient_c, first_c, None, 0.0)
    for _ in range(3):  # a recheck, then a suspicion, then its second measurement
        if not found.measure_again:
            break
        pause = policy.retest_after_s if found.screening is Screening.FEVER_SUSPECTED else 0.0
        found = _measure(policy, ambient_c, second_c, found, found.at + pause)
    return found.screening is Screening.NORMAL


def _measure(policy: ScreeningPolicy, ambient_c: float, skin_c: float, earlier: Screened | None, start: float) -> Screened:
    """One measurement of steady skin that begins at `start`."""
    readings = [Reading(skin_c, ambient_c, start + 0.01 * number) for number in range(1, policy.samples + 1)]
    return screen(readings, policy, WARM, earlier, start + 0.1, 0.0)


def _seconds(policy: ScreeningPolicy, ambient_c: float, first_c: float) -> Iterator[float]:
    """Second readings worth trying: just under each threshold, which is the nearest to the first, and steps downwards."""
    yield skin_of(policy.fever_c, ambient_c) - BELOW_C
    yield skin_of(policy.recheck_c, ambient_c) - BELOW_C
    yield from (first_c - SKIN_STEP_C * number for number in range(round(2 * policy.disagree_c / SKIN_STEP_C) + 1))
