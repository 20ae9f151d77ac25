"""The unit's own process on the kernel's drivers: one passage from camera to relay, its death at every point of one, and a rival."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.outbox import Outbox
from healthcode.messages import PassageEvent, PassEvent, ReleaseEvent, UnitEvent
from healthcode.terms import Decision, PassageOutcome
from tests.edge.codes import qr
from tests.kernel import sensor
from tests.kernel.header import Header
from tests.kernel.screen import Scene
from tests.kernel.unit import AIR_C, LIMIT_S, PINS, SKIN_C, Unit, code, enrol, wait_until

OUTPUTS = (PINS.relay, PINS.buzzer, PINS.led_red, PINS.led_green, PINS.led_blue)
LONG_S = 5.0


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    playing = Scene()
    yield playing
    playing.close()


@pytest.fixture(scope="module")
def long_pulse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A unit's configuration, and its disk, with a relay that stays on long enough to be killed under it."""
    return enrol(tmp_path_factory.mktemp("unit"), LONG_S)


class Lane:
    """The world around one unit."""

    def __init__(self, config: Path, header: Header, scene: Scene) -> None:
        self.header, self._scene = header, scene
        self.nobody()
        sensor.break_with(sensor.Fault.NONE)
        self.unit = Unit(config, header)
        self.unit.wait_until_up()
        header.changes()

    def somebody(self, index: int, skin_c: float = SKIN_C) -> None:
        """Holds up a green code; the forehead is in front of the sensor."""
        sensor.show(sensor.word(AIR_C), sensor.word(skin_c))
        self._scene.show(qr(code(index), scale=4))

    def nobody(self) -> None:
        """Goes away."""
        sensor.show(sensor.word(AIR_C), sensor.word(AIR_C))
        self._scene.show(None)

    def go_through(self) -> None:
        """Breaks the beam."""
        self.unit.put("beam", True)


@pytest.fixture
def lane(tmp_path: Path, header: Header, scene: Scene) -> Iterator[Lane]:
    made = Lane(enrol(tmp_path), header, scene)
    yield made
    made.nobody()
    made.unit.close()


def test_one_passage_from_the_camera_to_the_relay(lane: Lane) -> None:
    lane.somebody(7)
    rise = lane.header.wait_for(PINS.relay, 1, LIMIT_S)
    granted = [event for event in lane.unit.events() if isinstance(event, PassEvent)]
    assert [(event.decision, event.index) for event in granted] == [(Decision.ADMIT, 7)], "on disk by the time the relay is on"
    fall = lane.header.wait_for(PINS.relay, 0, LIMIT_S)
    assert fall.at - rise.at == pytest.approx(0.5, rel=0.1)
    lane.go_through()
    wait_until(lambda: bool(outcomes(lane.unit)), "the passage is told")
    lane.nobody()
    lane.unit.put("beam", False)
    assert lane.unit.end(signal.SIGTERM) == 0
    assert lane.unit.log.endswith("gate north is down, relay off")
    (passed,) = outcomes(lane.unit)
    assert (passed.outcome, passed.index, passed.grant) == (PassageOutcome.USED, 7, granted[0].seq)
    assert [lane.header.level(bcm) for bcm in OUTPUTS] == [0] * 5


def outcomes(unit: Unit) -> list[PassageEvent]:
    """How passages ended after the start, while the contacts were still open."""
    return [event for event in unit.events() if isinstance(event, PassageEvent) and event.outcome is not PassageOutcome.FORCED]


def at_rest(lane: Lane) -> None:
    pass


def being_measured(lane: Lane) -> None:
    lane.somebody(11, skin_c=AIR_C)
    lane.header.wait_for(PINS.led_blue, 1, LIMIT_S)


def granted(lane: Lane) -> None:
    lane.somebody(12)
    lane.header.wait_for(PINS.relay, 1, LIMIT_S)


def passing(lane: Lane) -> None:
    lane.somebody(13)
    lane.header.wait_for(PINS.relay, 1, LIMIT_S)
    lane.go_through()
    wait_until(lambda: any(event.index == 13 for event in outcomes(lane.unit)), "the passage is told")


def released(lane: Lane) -> None:
    lane.unit.put("staff", True)
    lane.header.wait_for(PINS.relay, 1, LIMIT_S)


def forced(lane: Lane) -> None:
    lane.go_through()
    lane.header.wait_for(PINS.buzzer, 1, LIMIT_S)


POINTS: dict[Callable[[Lane], None], int] = {at_rest: 0, being_measured: 0, granted: 1, passing: 1, released: 1, forced: 0}
"""How a lane gets to each point of a passage, and the relay's level there."""


@pytest.mark.parametrize("reach", POINTS, ids=lambda reach: str(reach.__name__))
def test_killed_at_any_point_of_a_passage_all_lines_fall_and_no_event_is_lost(
    long_pulse: Path, header: Header, scene: Scene, reach: Callable[[Lane], None]
) -> None:
    lane = Lane(long_pulse, header, scene)
    try:
        reach(lane)
        assert header.level(PINS.relay) == POINTS[reach]
        before = lane.unit.events()
        assert lane.unit.end(signal.SIGKILL) == -signal.SIGKILL
        assert [header.level(bcm) for bcm in OUTPUTS] == [0] * 5
        assert header.held() == []
        assert lane.unit.events()[: len(before)] == before
    finally:
        lane.nobody()
        lane.unit.close()
        for name in ("beam", "staff"):
            lane.unit.put(name, False)


def test_the_events_of_all_units_that_were_killed_are_whole(long_pulse: Path) -> None:
    outbox = Outbox(long_pulse.parent / "data" / "outbox.sqlite", "f" * 32)
    stored = outbox.pending(1000)
    outbox.close()
    assert outbox.damaged is None
    boots = list(dict.fromkeys(each.boot_id for each in stored))
    assert len(boots) == len(POINTS)
    for boot in boots:
        events = [each.event for each in stored if each.boot_id == boot]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert isinstance(events[0], UnitEvent)
    assert [each.event.index for each in stored if isinstance(each.event, PassEvent) and each.event.decision is Decision.ADMIT] == [12, 13]
    assert sum(isinstance(each.event, ReleaseEvent) for each in stored) == 1


def test_a_second_unit_on_the_same_pins_says_so_in_one_line_and_opens_nothing(lane: Lane, tmp_path: Path) -> None:
    rival = tmp_path / "rival"
    rival.mkdir()
    done = subprocess.run([sys.executable, "-m", "edge", str(enrol(rival))], capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "the gate's pins cannot be used" in line
    assert "busy" in line
    assert lane.header.level(PINS.relay) == 0
    assert not [change for change in lane.header.changes() if change.bcm == PINS.relay and change.level]
    lane.somebody(21)
    assert lane.header.wait_for(PINS.relay, 1, LIMIT_S), "the first one works on"


def test_a_thermometer_that_is_pulled_and_put_back_while_the_unit_runs(lane: Lane) -> None:
    sensor.break_with(sensor.Fault.UNPLUGGED)
    wait_until(lambda: "sensor lost" in lane.unit.log, "the loss is told")
    lane.somebody(31)
    ends = time.monotonic() + 5.0
    wait_until(lambda: time.monotonic() > ends or lane.header.level(PINS.relay) == 1, "five seconds have gone")
    assert lane.header.level(PINS.relay) == 0
    lane.nobody()
    sensor.break_with(sensor.Fault.NONE)
    wait_until(lambda: "sensor is back" in lane.unit.log, "the return is told")
    assert not [event for event in lane.unit.events() if isinstance(event, PassEvent) and event.decision is Decision.ADMIT]
    told = [event.what for event in lane.unit.events() if isinstance(event, UnitEvent)]
    assert [what for what in told if what.startswith("sensor")] == ["sensor_lost", "sensor_back"]
