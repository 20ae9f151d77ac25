"""Commands carried out by a whole unit on the bench: what happens at the gate, what is answered, and what stands in the record."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from edge import lane
from edge.calibration import Calibration
from edge.config import Commands
from edge.feeds import Device, DeviceBack, Sample
from edge.linkwords import CommandRefused, Disk, Ordered, Requested
from edge.logring import LogRing
from edge.loudness import duty_of
from edge.mlx90614 import correct_emissivity, seen_of
from edge.orders import CALIBRATED_BY, REBOOT
from edge.screening import Reading, SensorFault, SensorFaultKind, SensorState
from edge.selftest import LASTS_S, PATIENCE_S
from edge.sensor_files import read_calibration
from edge.signals import Signal
from edge.transitions import Stage
from healthcode import topics
from healthcode.messages import (
    CalibrateOrder,
    LaneEvent,
    LogsOrder,
    ModeOrder,
    OpenOrder,
    Order,
    RebootOrder,
    Response,
    RestartOrder,
    SyncOrder,
    UnitEvent,
    UpdateOrder,
    encode,
)
from healthcode.terms import ClockState, Decision, LaneMode, Reason
from tests.edge.operators import command
from tests.edge.province import URI
from tests.edge.unit_bench import NORMAL_C, WARM, Bench

FIRST = 7


def order(bench: Bench, what: Order, by: str = "chen") -> Response:
    """A verified command reaches the deciding thread; what is answered."""
    asked = command(what, bench.wall)
    bench.give(Ordered(asked, by, bench.at))
    name, answer = bench.answers[-1]
    assert (name, answer.transaction) == (asked.name.value, asked.transaction)
    return answer


def noted(bench: Bench) -> list[tuple[str, str]]:
    """What the unit has said about commands, beyond what the lane says."""
    return [(event.what, event.detail) for event in bench.disk.events() if isinstance(event, UnitEvent) and "command" in event.what]


def test_open_is_one_grant_with_the_operators_name_and_reason_on_disk_before_the_relay(bench: Bench) -> None:
    answer = order(bench, OpenOrder())
    assert (answer.status, answer.data) == ("ok", {"mode": "controlled", "stage": "released"})
    (release,) = bench.releases()
    assert (release.by, release.note, release.clock) == ("command", "operator chen: a pram", ClockState.TRUSTED)
    assert bench.watched.rises == [[*bench.watched.rises[0][:-1], release]], "written before the relay rose"
    bench.walk()
    bench.leave()
    assert bench.pulses() == 1
    assert bench.unit.state.stage is Stage.LOCKED


@pytest.mark.parametrize(
    ("mode", "opens"), [(LaneMode.CONTROLLED, True), (LaneMode.LOCKED, True), (LaneMode.OUT_OF_SERVICE, True), (LaneMode.FREE, False)]
)
def test_open_does_what_the_staffs_button_does_in_that_mode(bench: Bench, mode: LaneMode, opens: bool) -> None:
    bench.give(lane.SetMode(bench.at, mode, bench.at + 600))
    answer = order(bench, OpenOrder())
    assert answer.status == ("ok" if opens else "error")
    assert len(bench.releases()) == opens


def test_open_does_nothing_on_fire_and_says_so(bench: Bench) -> None:
    bench.give(lane.Fire(bench.at, True))
    answer = order(bench, OpenOrder())
    assert (answer.status, answer.data, bench.pulses()) == ("error", {"fault": "NOT_DONE"}, 0)
    assert answer.error == "NOT_DONE: the lane is fire, where a release does nothing"
    assert noted(bench) == [("command_not_done", "open by operator chen: a pram: the lane is fire, where a release does nothing")]


def test_a_disk_that_takes_no_events_does_not_keep_an_operator_from_opening(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most_rows=1)
    answer = order(bench, OpenOrder())
    assert (answer.status, bench.pulses()) == ("ok", 1)
    assert bench.unit.unsaved > 0
    bench.close()


def test_a_mode_is_set_with_its_end_and_stands_in_the_lanes_record(bench: Bench) -> None:
    answer = order(bench, ModeOrder(mode=LaneMode.FREE, for_s=90))
    assert answer.data == {"mode": "free", "stage": "free", "free_for_s": 90}
    bench.wait(89.0)
    assert bench.relay() == 1
    bench.wait(1.2)
    assert bench.relay() == 0
    assert order(bench, ModeOrder(mode=LaneMode.LOCKED)).data == {"mode": "locked", "stage": "locked"}
    bench.restart()
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [(Decision.REFUSE, Reason.LANE_LOCKED)]
    notes = [event.note for event in bench.disk.events() if isinstance(event, LaneEvent)]
    assert notes[0] == notes[2] == "operator chen: a pram"
    assert noted(bench) == []


def test_a_mode_that_was_set_already_is_on_record_all_the_same(bench: Bench) -> None:
    assert order(bench, ModeOrder(mode=LaneMode.CONTROLLED)).status == "ok"
    assert noted(bench) == [("command", "mode controlled by operator chen: a pram: it was that already")]


@pytest.mark.parametrize(("what", "status"), [(RestartOrder(), 0), (RebootOrder(), REBOOT)])
def test_restart_and_reboot_end_the_process_in_order(bench: Bench, what: Order, status: int) -> None:
    assert order(bench, what, "wu").status == "ok"
    assert bench.ended == [status]
    ((kind, detail),) = noted(bench)
    assert (kind, detail) == ("command", f"{'reboot' if status else 'restart'} by operator wu: a pram")
    bench.flush()
    assert sum("reboot" in entry for entry in bench.world.entries("north")) == (status == REBOOT)


def test_nobody_is_let_fall_by_a_restart(bench: Bench) -> None:
    bench.press()
    for what in (RestartOrder(), RebootOrder()):
        answer = order(bench, what)
        assert (answer.status, answer.data) == ("error", {"fault": "BUSY"})
    assert bench.ended == []
    bench.leave()
    bench.leave()
    assert order(bench, RestartOrder()).status == "ok"


def test_reboot_must_be_allowed_in_the_configuration(bench: Bench) -> None:
    bench.commands = Commands()
    bench.restart()
    answer = order(bench, RebootOrder())
    assert (answer.status, bench.ended) == ("error", [])
    assert "commands.reboot is false" in answer.error


def test_sync_asks_now_and_is_on_record(bench: Bench) -> None:
    assert order(bench, SyncOrder()).status == "ok"
    assert bench.synced == [bench.at]
    assert noted(bench) == [("command", "sync by operator chen: a pram")]


def test_logs_are_the_last_lines_in_their_order_and_fit_an_answer(bench: Bench) -> None:
    answer = order(bench, LogsOrder(lines=90))
    assert list(answer.data) == sorted(answer.data)
    assert (len(answer.data), answer.data["01"], answer.data["90"]) == (90, "line 0", "line 89")
    assert len(encode(answer)) < 64 * 1024


def test_an_update_is_handed_on_with_its_transaction_and_operator_or_says_why_not(bench: Bench) -> None:
    assert order(bench, UpdateOrder(release="0.2.0")).error == "NOT_DONE: nobody updates this unit"
    handed: list[tuple[str, str, str]] = []

    def take(version: str, transaction: str, by: str) -> str:
        handed.append((version, transaction, by))
        if len(handed) == 3:
            raise OSError(28, "No space left on device")
        return "0.2.0 runs already" if len(handed) == 2 else ""

    bench.update = take
    bench.restart()
    answer = order(bench, UpdateOrder(release="0.2.0"), "wu")
    assert (answer.status, handed) == ("ok", [("0.2.0", answer.transaction, "wu")])
    assert noted(bench)[-1] == ("command", "update to 0.2.0 by operator wu: a pram")
    assert order(bench, UpdateOrder(release="0.2.0")).error == "NOT_DONE: 0.2.0 runs already"
    assert "No space left" in order(bench, UpdateOrder(release="0.2.0")).error


def test_a_refusal_is_an_event(bench: Bench) -> None:
    bench.give(CommandRefused("open by operator wu: ROLE: the role of wu is technician", bench.at))
    assert noted(bench) == [("command_refused", "open by operator wu: ROLE: the role of wu is technician")]


class BlackBody:
    """Something of a known temperature before the bench's thermometer, which reads it `error_c` too high, as skin."""

    def __init__(self, bench: Bench, celsius: float = 37.0, error_c: float = 0.0, emissivity: float = 0.99) -> None:
        self.bench = bench
        seen = seen_of(celsius, 25.0, emissivity) + error_c
        self.as_skin_c = correct_emissivity(seen, 25.0, bench.config.sensor.emissivity)

    def hold(self, readings: int = CALIBRATED_BY, state: SensorState = WARM) -> None:
        self.bench.sensor.thermometer.identity = "5d2191c444031a3f"
        for number in range(readings):
            self.bench.at += 0.2
            noise = 0.02 if number % 2 else -0.02
            self.bench.give(Sample(Reading(self.as_skin_c + noise, 25.0, self.bench.at), state))


def test_a_calibration_from_afar_finds_the_offset_that_the_black_body_shows(bench: Bench) -> None:
    BlackBody(bench, error_c=0.3).hold()
    answer = order(bench, CalibrateOrder(black_body_c=37.0), "wu")
    assert answer.status == "ok", answer.error
    offset = answer.data["offset_c"]
    assert isinstance(offset, float)
    assert offset == pytest.approx(-0.3, abs=0.02)
    kept = read_calibration(bench.folder / "calibration.json")
    assert isinstance(kept, Calibration)
    assert (kept.operator, kept.offset_c, kept.sensor) == ("wu", offset, "5d2191c444031a3f")
    assert noted(bench)[-1][1].startswith("calibrate by operator wu: a pram: offset -0.3")
    assert "gave no reading" in order(bench, CalibrateOrder(black_body_c=37.0)).error, "what was read before was corrected otherwise"


def test_a_second_calibration_does_not_count_the_first_one_twice(bench: Bench) -> None:
    bench.sensor.thermometer.offset_c = -0.3
    body = BlackBody(bench, error_c=0.3)
    body.as_skin_c -= 0.3
    body.hold()
    offset = order(bench, CalibrateOrder(black_body_c=37.0)).data["offset_c"]
    assert isinstance(offset, float)
    assert offset == pytest.approx(-0.3, abs=0.02)


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        ({}, "gave no reading"),
        ({"celsius": 25.0}, "is the black body in view"),
        ({"readings": 7}, "7 of 20 readings"),
        ({"error_c": 0.8}, "expected at most 0.5"),
        ({"state": SensorState(600.0, 0.0)}, "power for 10 min"),
        ({"state": SensorState(7200.0, 0.5)}, "moves by 0.50 C a minute"),
    ],
)
def test_what_is_no_calibration_is_not_kept_and_says_why(bench: Bench, hold: dict[str, Any], said: str) -> None:
    if hold:
        how = {name: value for name, value in hold.items() if name in ("readings", "state")}
        BlackBody(bench, **{name: value for name, value in hold.items() if name not in how}).hold(**how)
    answer = order(bench, CalibrateOrder(black_body_c=37.0))
    assert (answer.status, said in answer.error) == ("error", True), answer.error
    assert not (bench.folder / "calibration.json").exists()
    assert noted(bench)[-1][0] == "command_not_done"


def test_a_thermometer_that_fails_is_not_calibrated(bench: Bench) -> None:
    BlackBody(bench).hold()
    bench.give(Sample(SensorFault(SensorFaultKind.BAD_PEC, "x", bench.at), WARM))
    assert "gave no reading" in order(bench, CalibrateOrder(black_body_c=37.0)).error


def selftest(bench: Bench, disk: Disk | None = None) -> dict[str, Any]:
    """Somebody asks for a selftest; the figures, once it is over."""
    bench.answers.clear()
    bench.give(Requested("selftest", "t1", bench.at, disk))
    bench.run(LASTS_S / 2)
    bench.camera.frames += 12
    bench.run(LASTS_S / 2 + 0.1)
    ((name, answer),) = bench.answers
    assert (name, answer.status, answer.transaction) == ("selftest", "ok", "t1")
    encode(answer)
    return dict(answer.data)


def ready(bench: Bench) -> None:
    for device in Device:
        bench.give(DeviceBack(device, bench.at))
    bench.sample(NORMAL_C)


def test_a_selftest_of_a_gate_at_rest_has_a_figure_for_every_part(bench: Bench) -> None:
    ready(bench)
    found = selftest(bench, Disk(3.2, 9000.5))
    mark = topics.list_mark(URI)
    assert (found["passed"], found["failed"]) == (True, "")
    assert 8 < found["camera_frames_per_s"] < 10
    assert (found["sensor_ok"], found["sensor_ambient_c"], found["sensor_bad_pec"]) == (True, 25.0, 0)
    assert (found["relay_ok"], found["relay_on"]) == (True, False)
    assert (found["light_ok"], found["light_seen"], found["buzzer_ok"], found["signals"]) == (True, "red green blue", True, "")
    assert found["buzzer_driven"] == pytest.approx(duty_of(bench.gate.loudness(Signal.IDENTIFY)), abs=0.001)
    assert (found["disk_ok"], found["disk_free_mb"], found["disk_fsync_ms"]) == (True, 9000.5, 3.2)
    assert (found["clock_ok"], found["clock_state"], found["clock_system_ahead_s"]) == (True, "trusted", 0.0)
    assert (found["lists_ok"], found["lists_held"], found["lists_wanted"], found["trust_version"]) == (True, 1, 1, 1)
    assert (found[f"list_{mark}_version"], found[f"list_{mark}_age_s"]) == (0, pytest.approx(bench.wall - bench.province.at, abs=1.0))
    assert (found["broker_ok"], found["broker_round_trip_ms"]) == (True, 3.5)
    assert bench.pulses() == 0, "the relay is not energised by a selftest"


def test_a_selftest_while_somebody_passes_leaves_light_and_sound_alone(bench: Bench) -> None:
    ready(bench)
    bench.press()
    light = bench.unit.state.light
    found = selftest(bench)
    assert (found["light_ok"], found["buzzer_ok"], found["signals"]) == (None, None, "not tried: the gate shows something else")
    assert (found["passed"], found["relay_ok"]) == (True, True)
    assert bench.unit.state.light is light
    assert bench.pulses() == 1, "the guard's, and no other"


def test_a_selftest_names_what_failed(bench: Bench) -> None:
    ready(bench)
    bench.clock_is_off_s = 600.0
    bench.gate._relay._device.on()  # a line that is held high from outside
    bench.round_trip_ms = None
    bench.give(Requested("selftest", "t1", bench.at, Disk(0.4, 0.0, "data: Read-only file system")))
    bench.run(PATIENCE_S - 0.1)
    assert bench.answers == []
    bench.run(0.2)
    found = bench.answers[-1][1].data
    assert found["passed"] is False
    assert found["failed"] == "relay, disk, clock, broker"
    assert found["disk_error"] == "data: Read-only file system"
    assert "600" in str(found["clock_system_ahead_s"])


def test_the_log_in_memory_is_bounded_and_keeps_no_code(caplog: pytest.LogCaptureFixture) -> None:
    ring = LogRing(most=3)
    logger = logging.getLogger("tests.ring")
    logger.addHandler(ring)
    try:
        with caplog.at_level(logging.INFO, "tests.ring"):
            logger.info("first")
            logger.info("payload %r", "HB1:6BFOXN*TS0BI$ZD")
            logger.warning("two\nlines " + "x" * 1000)
            try:
                raise ValueError("no such thing")
            except ValueError:
                logger.exception("a fault")
            logger.debug("not kept")
    finally:
        logger.removeHandler(ring)
    code, long, fault = ring.lines(90)
    assert code.endswith("payload 'HB1:...")
    assert (len(long), "two lines xxx" in long) == (300, True)
    assert re.search(r"ERROR tests.ring: a fault: ValueError\('no such thing'\)$", fault)
    assert ring.lines(1) == [fault]
