"""The calibration of a unit's thermometer before a black body, step by step. Who is told comes in from outside, and so does time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from edge.calibration import Calibration, Cold, Point, Refused, Waiting, conclude, find_cold, take_point
from edge.config import Config
from edge.thermal import Reading, SensorFault, Thermometer

MOST_FAULTS = 10
"""Failed cycles in a row after which there is no sense in going on."""


@dataclass(frozen=True)
class Asked:
    """The black body is to be set to this temperature, degrees Celsius."""

    black_body_c: float


@dataclass(frozen=True)
class Watched:
    """One more cycle of a point that is not taken yet."""

    black_body_c: float
    found: Reading | SensorFault
    waiting: Waiting


@dataclass(frozen=True)
class Taken:
    """A point is done."""

    point: Point


Step = Cold | Asked | Watched | Taken


@dataclass(frozen=True)
class Plan:
    """What is to be measured. `samples` readings make a point; one that takes longer than `limit_s` seconds ends it all.

    With `patient` a cold sensor is waited for.
    """

    operator: str
    points_c: Sequence[float]
    samples: int
    limit_s: float
    patient: bool


@dataclass(frozen=True)
class Time:
    """How time passes: seconds of a clock that never jumps, seconds since 1970, and a wait."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    pause: Callable[[float], None]


class Bench:
    """One thermometer, uncorrected by any calibration, before a black body. `tell` hears of every step; what it does may take its time."""

    def __init__(self, thermometer: Thermometer, config: Config, plan: Plan, time: Time, tell: Callable[[Step], None]) -> None:
        self._thermometer = thermometer
        self._config = config
        self._plan = plan
        self._time = time
        self._tell = tell
        self._faults = 0
        self._ambients: list[float] = []

    def run(self) -> Calibration | Refused:
        """All points, one after the other, and what they come to."""
        cold = self._warm_up()
        if cold:
            return cold
        points: list[Point] = []
        for black_body_c in self._plan.points_c:
            self._tell(Asked(black_body_c))
            point = self._point(black_body_c)
            if isinstance(point, Refused):
                return point
            points.append(point)
            self._tell(Taken(point))
        time, sensor = self._time, self._config.sensor
        return conclude(points, self._thermometer.identity, fmean(self._ambients), sensor.supply_v, time.wall(), self._plan.operator)

    def _read(self) -> Reading | SensorFault | Refused:
        """The next cycle, after the silence that it needs; Refused where too many have failed."""
        self._time.pause(self._config.sensor.quiet_s)
        found = self._thermometer.read(self._time.monotonic())
        self._faults = self._faults + 1 if isinstance(found, SensorFault) else 0
        if isinstance(found, SensorFault) and self._faults >= MOST_FAULTS:
            return Refused(f"the thermometer fails, {found.kind.value}: {found.detail}")
        return found

    def _warm_up(self) -> Refused | None:
        """Waits until the sensor is warm, or says that it is not."""
        while True:
            found = self._read()
            if isinstance(found, Refused):
                return found
            if isinstance(found, SensorFault):
                self._tell(Cold(0.0, f"{found.kind.value}: {found.detail}"))
                continue
            cold = find_cold(self._thermometer.state(found.at), found.ambient_c, self._config.screening)
            if cold is None:
                return None
            if not self._plan.patient:
                return Refused(cold.detail)
            self._tell(cold)

    def _point(self, black_body_c: float) -> Point | Refused:
        readings: deque[Reading] = deque(maxlen=self._plan.samples)
        until = self._time.monotonic() + self._plan.limit_s
        waiting = Waiting(0)
        while self._time.monotonic() < until:
            found = self._read()
            if isinstance(found, Refused):
                return found
            if isinstance(found, SensorFault):
                readings.clear()
                waiting = Waiting(0, f"{found.kind.value}: {found.detail}")
            else:
                readings.append(found)
                result = take_point(black_body_c, list(readings), self._plan.samples)
                if isinstance(result, Point):
                    self._ambients += [one.ambient_c for one in readings]
                    return result
                waiting = result
            self._tell(Watched(black_body_c, found, waiting))
        why = waiting.detail or f"{waiting.done} of {self._plan.samples} readings"
        return Refused(f"no steady reading at {black_body_c:g} C within {self._plan.limit_s:.0f} s: {why}")
