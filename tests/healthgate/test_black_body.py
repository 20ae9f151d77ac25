"""A calibration on the bench: a simulated sensor before a simulated black body, on a clock that the bench moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from edge.calibration import WARM_UP_S, Applied, Calibration, Cold, Refused, judge
from edge.config import Config, ScreeningPolicy, Sensor
from edge.drivers.simulated_sensor import IDENTITY, SimulatedBus
from edge.drivers.world import WorldClient
from edge.thermal import Reading, Thermometer
from healthgate.black_body import Asked, Bench, Plan, Step, Taken, Time, Watched
from healthgate.world import World

NOW = 1_600_000_000.0
BLACK = 0.99


class Hall:
    """A unit's sensor before a black body that whoever is asked sets to the right temperature."""

    def __init__(self, folder: Path, powered_s: float = 7200.0) -> None:
        self.now = 1000.0
        self.steps: list[Step] = []
        self.deaf = False
        self.world = World(folder / "w")
        self.world.set("north", emissivity=BLACK, powered_s=powered_s)
        self.client = WorldClient(str(folder / "w"), "north")
        self._news = threading.Event()
        self.bus = SimulatedBus(self.client, seed=3, clock=lambda: self.now)
        self.client.on_change(lambda scene: self._news.set())
        self.config = Config("north", "simulated", str(folder), ("root",), world=str(folder / "w"))

    def set(self, **changes: object) -> None:
        self._news.clear()
        self.world.set("north", **changes)
        assert self._news.wait(5)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def tell(self, step: Step) -> None:
        self.steps.append(step)
        if isinstance(step, Asked) and not self.deaf:
            self.set(skin_c=step.black_body_c)

    def thermometer(self, sensor: Sensor, kept: Calibration | None = None) -> Thermometer:
        powered_s = self.client.scene.powered_s
        return Thermometer(self.bus, sensor, self.now, powered_s, self.pause, calibration=kept, wall=lambda: NOW)

    def calibrate(self, patient: bool = False, tell: Callable[[Step], None] | None = None) -> Calibration | Refused:
        thermometer = self.thermometer(msgspec.structs.replace(self.config.sensor, emissivity=BLACK))
        plan = Plan("Guard Wang", (35.0, 37.0, 39.0), 20, 60.0, patient)
        time = Time(lambda: self.now, lambda: NOW, self.pause)
        return Bench(thermometer, self.config, plan, time, tell or self.tell).run()

    def close(self) -> None:
        self.client.close()
        self.world.close()


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(tmp_path)
    yield hall
    hall.close()


@pytest.mark.parametrize(("error", "supply"), [(0.0, 3.3), (0.31, 3.3), (-0.42, 3.0)])
def test_the_offset_that_is_found_makes_the_sensor_true(hall: Hall, error: float, supply: float) -> None:
    hall.set(error_c=error, supply_v=supply)
    hall.config = msgspec.structs.replace(hall.config, sensor=Sensor(supply_v=supply))
    found = hall.calibrate()
    assert isinstance(found, Calibration), found
    assert found.offset_c == pytest.approx(-error, abs=0.03)
    assert found.sensor == "".join(f"{word:04x}" for word in IDENTITY.values())
    assert (found.operator, found.supply_v) == ("Guard Wang", supply)
    assert [step.black_body_c for step in hall.steps if isinstance(step, Asked)] == [35.0, 37.0, 39.0]
    assert [step.point for step in hall.steps if isinstance(step, Taken)] == list(found.points)
    assert isinstance(judge(found, found.sensor, NOW, 365), Applied)
    hall.set(skin_c=34.5, emissivity=0.98)
    hall.pause(2)
    unit = hall.thermometer(hall.config.sensor, found)
    readings = []
    for _ in range(20):
        hall.pause(0.3)
        readings.append(unit.read(hall.now))
    skins = [one.skin_c for one in readings if isinstance(one, Reading)]
    assert sum(skins) / len(skins) == pytest.approx(34.5, abs=0.05)


def test_a_sensor_that_is_too_far_off_is_to_be_replaced(hall: Hall) -> None:
    hall.set(error_c=0.6)
    found = hall.calibrate()
    assert isinstance(found, Refused)
    assert "off by -0.6" in found.detail
    assert "expected at most 0.5" in found.detail


def test_nobody_who_sets_the_black_body_is_waited_for_in_vain(hall: Hall) -> None:
    hall.deaf = True
    found = hall.calibrate()
    assert isinstance(found, Refused)
    assert "no steady reading at 35 C within 60 s: reads 25.0 C" in found.detail
    assert 60 < hall.now - 1000 < 70


def test_a_sensor_that_was_just_plugged_in_is_refused(tmp_path: Path) -> None:
    hall = Hall(tmp_path, powered_s=600)
    found = hall.calibrate()
    hall.close()
    assert found == Refused("the sensor has had power for 10 min, expected 30")
    assert hall.steps == []


def test_or_waited_for_and_then_it_is_warm(tmp_path: Path) -> None:
    hall = Hall(tmp_path, powered_s=WARM_UP_S - 100)
    found = hall.calibrate(patient=True)
    hall.close()
    assert isinstance(found, Calibration)
    cold = [step.left_s for step in hall.steps if isinstance(step, Cold)]
    assert 90 < cold[0] <= 100
    assert cold == sorted(cold, reverse=True)


def test_in_the_cold_nothing_is_calibrated(hall: Hall) -> None:
    hall.config = msgspec.structs.replace(hall.config, screening=ScreeningPolicy(ambient_low_c=18.0, ambient_drift_c_per_min=1.0))
    hall.set(ambient_c=10.0)
    hall.pause(1000)
    found = hall.calibrate()
    assert isinstance(found, Refused)
    assert "has 10.0 C, expected 18 to 40 C" in found.detail


@pytest.mark.parametrize(("condition", "words"), [("unplugged", "NO_ANSWER"), ("bad_pec", "BAD_PEC"), ("stuck", "FROZEN")])
def test_a_sensor_that_fails_ends_it(hall: Hall, condition: str, words: str) -> None:
    def tell(step: Step) -> None:
        hall.tell(step)
        if isinstance(step, Taken):
            hall.set(sensor=condition)

    found = hall.calibrate(tell=tell)
    assert isinstance(found, Refused)
    assert words in found.detail
    assert len([step for step in hall.steps if isinstance(step, Taken)]) == 1


def test_a_black_body_that_still_warms_up_is_waited_for(hall: Hall) -> None:
    slope: list[float] = []

    def tell(step: Step) -> None:
        hall.steps.append(step)
        if isinstance(step, Asked):
            hall.set(skin_c=step.black_body_c - 1.0)
            slope[:] = [step.black_body_c - 1.0, step.black_body_c]
        elif isinstance(step, Watched) and slope[0] < slope[1]:
            slope[0] = min(slope[1], slope[0] + 0.05)
            hall.set(skin_c=slope[0])

    found = hall.calibrate(tell=tell)
    assert isinstance(found, Calibration)
    assert abs(found.offset_c) < 0.06
    assert any("still moves" in step.waiting.detail for step in hall.steps if isinstance(step, Watched))
