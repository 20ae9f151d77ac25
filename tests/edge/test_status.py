"""The unit's numbers and alerts, from a unit on the bench; what carries them only notes them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge import lane
from edge.alerts import NAMES
from edge.board import Board
from edge.config import Board as BoardConfig
from edge.config import Camera as CameraConfig
from edge.drivers.camera import open_camera
from edge.feeds import CameraFeed, Device, DeviceBack, DeviceLost
from edge.hours import Hours
from edge.scan import Reader
from edge.status import LOOK_EVERY_S, SOONER_S, Reporter
from edge.unusual import Concluded
from healthcode.messages import Alert, Lane, UnitStatus, encode, stamp
from healthcode.terms import Decision, LaneMode, Reason, Status
from tests.edge.unit_bench import Bench

PERIOD_S = 60.0


class Notes:
    """A carrier with a broker, or without."""

    def __init__(self) -> None:
        self.is_connected = True
        self.said: list[UnitStatus] = []
        self.alerts: list[tuple[str, Alert | None]] = []
        self.lanes: list[Lane] = []

    def status(self, status: UnitStatus) -> None:
        assert msgspec.json.decode(encode(status), type=UnitStatus) == status
        self.said.append(status)

    def lane(self, lane: Lane) -> None:
        assert msgspec.json.decode(encode(lane), type=Lane) == lane
        self.lanes.append(lane)

    def alert(self, name: str, alert: Alert | None) -> None:
        self.alerts.append((name, alert))

    def raised(self) -> set[str]:
        """What stands, as the broker would have it retained."""
        return {name for name, alert in dict(self.alerts).items() if alert is not None}


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def camera(bench: Bench) -> CameraFeed:
    return CameraFeed(lambda: open_camera(CameraConfig(source="simulated"), bench.client), Reader(["zxing_local"]), lambda item: None)


@pytest.fixture
def hours(bench: Bench) -> Hours:
    return Hours(bench.folder / "hours.json")


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """What a Pi's kernel shows: its processor at 48.3 C, its supply well."""
    folder = tmp_path / "sys"
    for name, words in (("hwmon0", ("cpu_thermal", "")), ("hwmon1", ("rpi_volt", "0"))):
        (folder / name).mkdir(parents=True)
        (folder / name / "name").write_text(f"{words[0]}\n")
        if words[1]:
            (folder / name / "in0_lcrit_alarm").write_text(f"{words[1]}\n")
    (folder / "temp").write_text("48312\n")
    return folder


@pytest.fixture
def board(bench: Bench, sys: Path) -> Board:
    return Board(BoardConfig(temperature=str(sys / "temp"), hwmon=str(sys), disk_free_mb=10), bench.folder)


@pytest.fixture
def refused() -> list[str]:
    """Why the newest configuration came to nothing: the last one counts."""
    return [""]


@pytest.fixture
def reporter(bench: Bench, camera: CameraFeed, board: Board, hours: Hours, refused: list[str]) -> Reporter:
    return Reporter(bench.config, bench.unit, bench.cache, bench.outbox, bench.clock, camera, board, hours, lambda: refused[-1], bench.at)


def test_the_numbers_go_out_at_once_and_then_once_a_period(bench: Bench, reporter: Reporter, notes: Notes) -> None:
    for second in range(int(3 * PERIOD_S)):
        reporter.report(bench.at + second, notes)
    assert [status.uptime_s for status in notes.said] == [0.0, PERIOD_S, 2 * PERIOD_S]


def test_a_part_that_works_or_fails_is_told_before_the_minute_is_over_and_not_without_end(
    bench: Bench, reporter: Reporter, notes: Notes
) -> None:
    for second in range(20):
        if second in {1, 2, 3, 12}:
            bench.give(DeviceBack(Device.CAMERA, bench.at) if second % 2 else DeviceLost(Device.CAMERA, "gone", bench.at))
        reporter.report(bench.at + second, notes)
    told = [(status.uptime_s, status.camera_ok) for status in notes.said]
    assert told == [(0.0, 0), (SOONER_S, 1), (12.0, 0)]


def test_the_numbers_are_what_happened(bench: Bench, camera: CameraFeed, reporter: Reporter, notes: Notes) -> None:
    reporter.report(bench.at, notes)
    bench.give(DeviceBack(Device.CAMERA, bench.at))
    bench.give(DeviceLost(Device.SENSOR, "gone", bench.at))
    bench.change(8, Status.RED)
    bench.see(bench.code(8))
    bench.leave()
    bench.show(bench.code(7))
    bench.leave()
    bench.show(bench.code(9), None, samples=6)
    camera.frames = 600
    bench.wait(PERIOD_S)
    reporter.report(bench.at, notes)
    first, status = notes.said
    assert (first.passes, first.sensor_ok, first.camera_ok) == (0, 0, 0)
    assert (status.passes, status.admitted, status.refused, status.called_guard) == (3, 1, 1, 1)
    assert (status.sensor_ok, status.camera_ok, status.clock_trusted) == (0, 1, 1)
    assert (status.trust_version, status.lists_held) == (1, 1)
    assert status.list_age_s == pytest.approx(bench.wall - bench.province.at, abs=0.1)
    assert status.frames_per_s == pytest.approx(600 / status.uptime_s, abs=0.1)
    assert status.outbox_pending == bench.outbox.waiting == len(bench.disk.events())


def test_a_unit_that_holds_nothing_says_so(tmp_path: Path, notes: Notes) -> None:
    bench = Bench(tmp_path, trust=False, knows_time=False)
    try:
        camera = CameraFeed(lambda: open_camera(CameraConfig(source="simulated"), bench.client), Reader(["zxing_local"]), lambda item: None)
        board, hours = Board(bench.config.board, tmp_path), Hours(tmp_path / "hours.json")
        reporter = Reporter(bench.config, bench.unit, bench.cache, bench.outbox, bench.clock, camera, board, hours, str, bench.at)
        reporter.report(bench.at, notes)
        (status,) = notes.said
        assert (status.trust_version, status.lists_held, status.list_age_s, status.clock_trusted) == (None, 0, None, 0)
        assert notes.raised() == {"trust", "clock"}
    finally:
        bench.close()


def test_an_alert_comes_once_and_goes_by_itself(bench: Bench, reporter: Reporter, notes: Notes) -> None:
    reporter.report(bench.at, notes)
    assert {name for name, _ in notes.alerts} == set(NAMES)
    notes.alerts.clear()
    bench.give(lane.Tamper(bench.at, True))
    since = bench.wall + LOOK_EVERY_S
    for _ in range(5):
        bench.wait(LOOK_EVERY_S)
        reporter.report(bench.at, notes)
    bench.give(lane.Tamper(bench.at, False))
    bench.wait(LOOK_EVERY_S)
    reporter.report(bench.at, notes)
    assert notes.alerts == [("tamper", Alert(name="tamper", since=stamp(since), detail="the housing is open")), ("tamper", None)]


def test_a_configuration_that_came_to_nothing_is_an_alert_until_a_later_one_is_in_force(
    bench: Bench, reporter: Reporter, notes: Notes, refused: list[str]
) -> None:
    assert look(bench, reporter, notes, 2) == set()
    refused.append("version 8 was rejected: desired 8:1: x")
    assert look(bench, reporter, notes, 2) == {"configuration"}
    refused.append("")
    assert look(bench, reporter, notes, 2) == set()


def test_after_a_new_connection_every_alert_is_said_or_cleared_again(bench: Bench, reporter: Reporter, notes: Notes) -> None:
    reporter.report(bench.at, notes)
    notes.is_connected = False
    bench.give(lane.Tamper(bench.at, True))
    bench.wait(LOOK_EVERY_S)
    reporter.report(bench.at, notes)
    notes.alerts.clear()
    notes.is_connected = True
    bench.wait(LOOK_EVERY_S)
    reporter.report(bench.at, notes)
    assert [name for name, _ in notes.alerts] == list(NAMES)
    assert notes.raised() == {"tamper"}


def test_the_lane_is_said_as_it_changes(bench: Bench, reporter: Reporter, notes: Notes) -> None:
    def look() -> list[tuple[str, str]]:
        notes.lanes.clear()
        for _ in range(3):
            bench.wait(LOOK_EVERY_S)
            reporter.report(bench.at, notes)
        return [(lane.stage, lane.signal) for lane in notes.lanes]

    assert look() == [("locked", "ready")]
    assert look() == []
    bench.show(bench.code(7))
    assert ("granted", "pass") in look()
    bench.leave()
    look()
    bench.give(lane.SetMode(bench.at, LaneMode.FREE, bench.at + 600, "market day"))
    began = bench.wall
    assert look()[-1] == ("free", "pass")
    (free,) = notes.lanes
    assert free.until is not None
    assert free.until.timestamp() == pytest.approx(began + 600, abs=0.01)
    assert free.mode is LaneMode.FREE


def look(bench: Bench, reporter: Reporter, notes: Notes, seconds: int) -> set[str]:
    for _ in range(seconds):
        bench.wait(LOOK_EVERY_S)
        reporter.report(bench.at, notes)
    return notes.raised()


def test_a_board_that_is_too_hot_is_so_until_it_is_cooler(bench: Bench, reporter: Reporter, notes: Notes, sys: Path) -> None:
    assert look(bench, reporter, notes, 3) == set()
    assert notes.said[0].board_c == 48.3
    seen = []
    for millidegrees in (79_900, 80_000, 75_100, 74_900):
        (sys / "temp").write_text(f"{millidegrees}\n")
        seen.append(look(bench, reporter, notes, 3))
    assert seen == [set(), {"board_hot"}, {"board_hot"}, set()]


def test_a_supply_that_was_too_low_for_a_moment_is_an_alert_for_a_minute(bench: Bench, reporter: Reporter, notes: Notes, sys: Path) -> None:
    (sys / "hwmon1" / "in0_lcrit_alarm").write_text("1\n")
    assert look(bench, reporter, notes, 2) == {"under_voltage"}
    (sys / "hwmon1" / "in0_lcrit_alarm").write_text("0\n")
    assert look(bench, reporter, notes, 50) == {"under_voltage"}
    assert look(bench, reporter, notes, 12) == set()
    assert [status.under_voltage for status in notes.said] == [1, 0]


def test_what_a_board_does_not_tell_is_not_told(bench: Bench, reporter: Reporter, notes: Notes, sys: Path) -> None:
    (sys / "temp").write_text("N/A\n")
    (sys / "hwmon1" / "name").unlink()
    assert look(bench, reporter, notes, 3) == set()
    assert (notes.said[0].board_c, notes.said[0].under_voltage) == (None, None)
    assert b"board_c" not in encode(notes.said[0])


def test_who_forces_the_lane_is_an_alert_for_a_while(bench: Bench, reporter: Reporter, notes: Notes) -> None:
    for _ in range(2):
        bench.give(lane.Beam(bench.at, True))
        bench.wait(0.5)
        bench.give(lane.Beam(bench.at, False))
        bench.wait(10)
    assert look(bench, reporter, notes, 1) == {"forced"}
    forced = dict(notes.alerts)["forced"]
    assert forced is not None
    assert forced.detail == "somebody crossed without a grant: 2 times"
    assert look(bench, reporter, notes, int(bench.config.lane.alert_s) - 12) == {"forced"}
    assert look(bench, reporter, notes, 12) == set()


def test_a_passage_that_is_held_open_is_an_alert_while_it_lasts_and_a_while_longer(bench: Bench, reporter: Reporter, notes: Notes) -> None:
    bench.show(bench.code(7))
    bench.give(lane.Beam(bench.at, True))
    assert look(bench, reporter, notes, 29) == set()
    assert look(bench, reporter, notes, 600) == {"held_open"}
    bench.give(lane.Beam(bench.at, False))
    assert look(bench, reporter, notes, 5) == set()


def test_fevers_beyond_what_is_usual_are_an_alert_for_an_hour(bench: Bench, reporter: Reporter, notes: Notes) -> None:
    bench.unit.concluded += [Concluded(bench.at, Decision.REFUSE, Reason.FEBRILE, True)] * 5
    assert look(bench, reporter, notes, 1) == {"fevers"}
    fevers = dict(notes.alerts)["fevers"]
    assert fevers is not None
    assert fevers.detail == "5 fevers among 5 people measured in the last hour, 0.0 are usual"
    bench.wait(3590)
    assert look(bench, reporter, notes, 1) == {"fevers"}
    assert look(bench, reporter, notes, 10) == set()
