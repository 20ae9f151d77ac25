"""Whole stories at one gate: what people do, what the disk holds, and what the relay's line did."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge import lane
from edge.config import ScreeningPolicy
from edge.feeds import Calibrated, Device, DeviceBack, DeviceLost, Sample
from edge.link import LinkDown, LinkUp
from edge.linkwords import EventsDone, ListChanged, Requested, TrustChanged
from edge.presentation import SUSPECT_S
from edge.scan import Glimpse
from edge.screening import Reading, SensorFault, SensorFaultKind
from edge.signals import Signal
from edge.transitions import Stage
from healthcode.cose import SoftwareKey
from healthcode.messages import LaneEvent, PassEvent, ReleaseEvent, UnitEvent
from healthcode.terms import ClockState, Colour, Decision, LaneMode, PassageOutcome, Reason, Screening, Status
from tests.edge.province import URI
from tests.edge.unit_bench import FEVER_C, NORMAL_C, WARM, Bench

PASSED = (Decision.ADMIT, Reason.GREEN)
FIRST, SECOND, THIRD = 7, 8, 9
MOST_ROWS = 16


def refused(reason: Reason) -> tuple[Decision, Reason]:
    return (Decision.REFUSE, reason)


def guard(reason: Reason) -> tuple[Decision, Reason]:
    return (Decision.CALL_GUARD, reason)


def test_a_green_code_and_three_normal_samples_pass_and_the_event_is_on_disk_before_the_relay_rises(bench: Bench) -> None:
    bench.see(bench.code(FIRST))
    bench.measure(samples=2)
    assert bench.verdicts() == []
    assert bench.relay() == 0
    bench.measure(samples=1)
    assert bench.relay() == 1
    (before,) = bench.watched.rises
    assert isinstance(before[-1], PassEvent)
    assert (before[-1].decision, before[-1].index) == (Decision.ADMIT, FIRST)
    bench.walk()
    bench.leave()
    assert bench.relay() == 0
    assert bench.pulses() == 1
    (passed,), (passage,) = bench.passes(), bench.passages()
    assert (passed.decision, passed.reason, passed.screening, passed.samples) == (*PASSED, Screening.NORMAL, 3)
    assert (passed.skin_c, passed.ambient_c, passed.reader, passed.list, passed.colour) == (
        NORMAL_C,
        25.0,
        "zxing_local",
        URI,
        Colour.GREEN,
    )
    assert passed.code is not None and passed.code.startswith("HB1:")
    assert passed.clock is ClockState.TRUSTED
    assert passed.ms == pytest.approx(450.0)
    assert (passage.outcome, passage.grant, passage.list, passage.index) == (PassageOutcome.USED, passed.seq, URI, FIRST)
    assert bench.unit.counts == {Decision.ADMIT: 1}


def test_samples_from_before_the_code_was_seen_are_somebody_else_s(bench: Bench) -> None:
    bench.measure(samples=10)
    bench.show(bench.code(FIRST), samples=2)
    assert bench.pulses() == 0
    bench.measure(samples=1)
    assert bench.pulses() == 1


def test_a_sample_that_was_begun_before_the_code_was_seen_and_ended_after_it_is_somebody_else_s(bench: Bench) -> None:
    begun = bench.at
    bench.see(bench.code(FIRST))
    bench.give(Sample(Reading(NORMAL_C, 25.0, begun), WARM))
    bench.measure(samples=2)
    assert bench.pulses() == 0
    bench.measure(samples=1)
    assert bench.pulses() == 1


@pytest.mark.parametrize(("status", "reason"), [(Status.RED, Reason.RED), (Status.YELLOW, Reason.YELLOW), (Status.REVOKED, Reason.REVOKED)])
def test_who_is_not_green_is_refused_at_once_and_the_event_carries_no_reading(bench: Bench, status: Status, reason: Reason) -> None:
    bench.change(FIRST, status)
    bench.measure(FEVER_C, samples=3)
    bench.see(bench.code(FIRST))
    (event,) = bench.passes()
    assert (event.decision, event.reason) == refused(reason)
    assert (event.screening, event.skin_c, event.ambient_c, event.body_c, event.samples) == (None, None, None, None, 0)
    bench.measure(FEVER_C, samples=20)
    assert bench.verdicts() == [refused(reason)]
    assert bench.pulses() == 0


@pytest.mark.parametrize("skin_c", [NORMAL_C, FEVER_C])
def test_a_list_that_turns_red_while_the_temperature_is_being_taken_refuses(bench: Bench, skin_c: float) -> None:
    bench.see(bench.code(FIRST))
    bench.measure(skin_c, samples=2)
    bench.change(FIRST, Status.RED)
    bench.measure(skin_c, samples=1)
    (event,) = bench.passes()
    assert (event.decision, event.reason) == refused(Reason.RED)
    assert (event.screening, event.skin_c, event.body_c, event.samples) == (None, None, None, 0)
    assert bench.pulses() == 0


def test_a_code_that_stays_in_view_is_one_presentation_and_so_is_the_next_code_of_its_pack(bench: Bench) -> None:
    bench.show(bench.code(FIRST))
    bench.walk()
    texts = {bench.code(FIRST)}
    for _ in range(10):
        texts.add(bench.code(FIRST))
        bench.show(bench.code(FIRST))
        bench.wait(0.4)
    assert len(texts) > 2
    assert bench.verdicts() == [PASSED]
    assert bench.pulses() == 1


def test_a_new_code_of_the_pack_during_the_measurement_does_not_begin_it_again(bench: Bench) -> None:
    bench.see(bench.code(FIRST))
    bench.measure(samples=2)
    bench.at += 1.0
    bench.see(bench.code(FIRST))
    bench.measure(samples=1)
    assert bench.verdicts() == [PASSED]


def test_who_has_passed_and_shows_the_next_code_of_the_pack_is_refused_even_by_the_next_process(bench: Bench) -> None:
    bench.show(bench.code(FIRST))
    bench.walk()
    bench.leave()
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [PASSED, refused(Reason.REPLAY)]
    bench.restart()
    bench.show(bench.code(FIRST))
    bench.show(bench.code(SECOND))
    assert bench.verdicts() == [PASSED, refused(Reason.REPLAY), refused(Reason.REPLAY), PASSED]
    assert bench.pulses() == 2


def test_after_the_time_of_anti_passback_a_person_may_come_again(bench: Bench) -> None:
    bench.show(bench.code(FIRST))
    bench.walk()
    bench.wait(bench.config.lane.replay_s)
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [PASSED, PASSED]


def test_a_grant_that_was_not_used_is_given_back(bench: Bench) -> None:
    for _ in range(2):
        bench.show(bench.code(FIRST))
        bench.leave()
    assert bench.verdicts() == [PASSED, PASSED]
    assert [passage.outcome for passage in bench.passages()] == [PassageOutcome.NOT_USED] * 2
    assert bench.pulses() == 2


def test_two_codes_in_one_frame_are_refused_once_and_then_the_one_that_is_left_is_taken(bench: Bench) -> None:
    both = (bench.code(FIRST), bench.code(SECOND))
    for texts in (both, both[::-1], both):
        bench.see(*texts)
        bench.measure()
    assert bench.verdicts() == [refused(Reason.ONE_AT_A_TIME)]
    assert all(event.code is None and event.samples == 0 for event in bench.passes())
    bench.show(both[0])
    assert bench.verdicts() == [refused(Reason.ONE_AT_A_TIME), PASSED]


def test_a_suspected_fever_is_shown_measured_again_and_refused(bench: Bench) -> None:
    bench.show(bench.code(FIRST), FEVER_C)
    assert bench.verdicts() == [refused(Reason.FEVER_SUSPECTED)]
    assert bench.unit.state.light is Signal.FEVER
    for _ in range(40):
        bench.see(bench.code(FIRST))
        bench.sample(FEVER_C)
    assert bench.verdicts() == [refused(Reason.FEVER_SUSPECTED), refused(Reason.FEBRILE)]
    first, second = bench.passes()
    assert (first.screening, second.screening) == (Screening.FEVER_SUSPECTED, Screening.FEBRILE)
    assert first.body_c == second.body_c == pytest.approx(38.2, abs=0.1)
    assert first.code
    assert bench.pulses() == 0


def test_whoever_comes_back_with_a_suspicion_is_measured_a_second_time_and_not_a_first(bench: Bench) -> None:
    bench.show(bench.code(FIRST), FEVER_C)
    bench.wait(20.0)
    bench.show(bench.code(FIRST), 34.9)
    assert bench.verdicts()[-1] == guard(Reason.NOT_CLEARED)
    bench.leave()
    bench.show(bench.code(FIRST), FEVER_C)
    assert bench.verdicts()[-1] == refused(Reason.FEBRILE)
    assert bench.pulses() == 0


def test_a_long_wait_for_the_second_measurement_is_shown_to_its_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, screening=ScreeningPolicy(retest_after_s=30.0, retest_within_s=60.0))
    try:
        bench.show(bench.code(FIRST), FEVER_C)
        for _ in range(29):
            bench.see(bench.code(FIRST))
            bench.wait(1.0)
            assert bench.unit.state.light is Signal.FEVER, "not white: nobody else is to step up"
        bench.see(bench.code(FIRST))
        bench.wait(2.0)
        bench.show(bench.code(FIRST), FEVER_C)
        assert bench.verdicts()[-1] == refused(Reason.FEBRILE)
    finally:
        bench.close()


def test_a_measurement_with_much_patience_is_shown_to_its_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path, screening=ScreeningPolicy(give_up_s=60.0))
    try:
        bench.see(bench.code(FIRST))
        for _ in range(59):
            bench.see(bench.code(FIRST))
            bench.wait(0.9)
            assert bench.unit.state.light is Signal.MEASURING
    finally:
        bench.close()


@pytest.mark.parametrize("cooled_c", [34.9, 33.0], ids=["36.9", "36.4"])
def test_a_forehead_that_stays_cool_after_a_fever_clears_nobody_however_often_it_is_shown(bench: Bench, cooled_c: float) -> None:
    bench.show(bench.code(FIRST), FEVER_C)
    for _ in range(3):
        bench.leave()
        bench.show(bench.code(FIRST), cooled_c)
        assert bench.verdicts()[-1] == guard(Reason.NOT_CLEARED), "it lies over 1 C below the 38.2 C that called for it"
    assert bench.pulses() == 0


def test_a_suspicion_outlives_the_process(bench: Bench) -> None:
    bench.show(bench.code(FIRST), FEVER_C)
    bench.leave()
    bench.restart()
    bench.show(bench.code(FIRST), 34.9)
    assert bench.verdicts()[-1] == guard(Reason.NOT_CLEARED)
    bench.leave()
    bench.restart()
    bench.show(bench.code(FIRST), 34.9)
    assert bench.verdicts()[-1] == guard(Reason.NOT_CLEARED), "and the highest reading does, not the last"
    bench.wait(SUSPECT_S)
    bench.restart()
    bench.show(bench.code(FIRST), 34.9)
    assert bench.verdicts()[-1] == PASSED


def test_a_suspicion_that_was_cleared_stays_so_over_a_restart(bench: Bench) -> None:
    bench.show(bench.code(FIRST), 35.6)
    bench.leave()
    bench.show(bench.code(FIRST), 34.9)
    assert bench.verdicts() == [refused(Reason.FEVER_SUSPECTED), PASSED]
    bench.leave()
    bench.restart()
    bench.show(bench.code(FIRST), 33.0)
    assert bench.verdicts()[-1] == PASSED


def test_a_suspicion_that_was_cleared_is_over_and_the_next_time_is_a_first_one(bench: Bench) -> None:
    bench.show(bench.code(FIRST), 35.6)
    assert bench.verdicts() == [refused(Reason.FEVER_SUSPECTED)]
    bench.leave()
    bench.show(bench.code(FIRST), 34.9)
    assert bench.verdicts()[-1] == PASSED
    bench.leave()
    bench.show(bench.code(FIRST), 33.0)
    assert bench.verdicts()[-1] == PASSED, "of a suspicion that still stood it would be too far away"


def test_a_suspicion_is_of_the_person_and_not_of_the_gate(bench: Bench) -> None:
    bench.show(bench.code(FIRST), FEVER_C)
    bench.show(bench.code(SECOND))
    assert bench.verdicts() == [refused(Reason.FEVER_SUSPECTED), PASSED]


def test_a_full_outbox_calls_the_guard_whose_button_still_opens_and_is_logged_once_when_there_is_room(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most_rows=5)
    try:
        for is_open in (True, False, True, False):
            bench.give(lane.Tamper(bench.at, is_open))
        bench.show(bench.code(FIRST))
        assert bench.unit.counts == {Decision.CALL_GUARD: 1}
        assert bench.pulses() == 0
        bench.press()
        assert bench.relay() == 1
        bench.leave()
        assert (bench.relay(), bench.pulses(), bench.releases()) == (0, 1, [])
        bench.acknowledge()
        bench.wait(bench.config.lane.accessible_window_s)
        assert [release.by for release in bench.releases()] == ["staff"]
        assert bench.verdicts() == [guard(Reason.OUTBOX_FAULT)]
        bench.show(bench.code(SECOND))
        assert bench.verdicts()[-1] == PASSED
    finally:
        bench.close()


def test_a_passage_that_the_disk_did_not_take_is_remembered_all_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path, most_rows=2)
    try:
        bench.show(bench.code(FIRST))
        assert bench.verdicts() == [PASSED]
        bench.walk()
        bench.leave()
        assert bench.passages() == []
        bench.acknowledge()
        bench.wait(2.0)
        assert [passage.outcome for passage in bench.passages()] == [PassageOutcome.USED]
        bench.acknowledge()
        bench.show(bench.code(FIRST))
        assert bench.verdicts() == [refused(Reason.REPLAY)]
        bench.restart()
        bench.acknowledge()
        bench.show(bench.code(FIRST))
        assert bench.verdicts()[-1] == refused(Reason.REPLAY)
    finally:
        bench.close()


def test_a_thermometer_that_fails_calls_the_guard(bench: Bench) -> None:
    bench.show(bench.code(FIRST), None, samples=5)
    (event,) = bench.passes()
    assert (event.decision, event.reason) == guard(Reason.SENSOR_FAULT)
    assert (event.skin_c, event.body_c, event.samples) == (None, None, 0)
    assert bench.pulses() == 0


def test_a_thermometer_of_which_nothing_is_heard_calls_the_guard(bench: Bench) -> None:
    for _ in range(5):
        bench.see(bench.code(FIRST))
        bench.wait(bench.config.screening.give_up_s / 4)
    assert bench.verdicts() == [guard(Reason.SENSOR_FAULT)]


def test_without_a_trust_list_the_guard_is_called(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trust=False)
    try:
        bench.show(bench.code(FIRST))
        assert bench.verdicts() == [guard(Reason.TRUST_MISSING)]
        assert bench.passes()[0].code is None
        bench.province.fill(bench.cache)
        bench.leave()
        bench.show(bench.code(FIRST))
        assert bench.verdicts() == [guard(Reason.TRUST_MISSING), PASSED]
    finally:
        bench.close()


def test_a_list_that_is_not_held_calls_the_guard(bench: Bench) -> None:
    bench.cache.drop(URI)
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [guard(Reason.LIST_MISSING)]


def test_with_an_untrusted_clock_green_calls_the_guard_and_red_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, knows_time=False)
    try:
        bench.show(bench.code(FIRST))
        bench.change(SECOND, Status.RED)
        bench.show(bench.code(SECOND))
        assert bench.verdicts() == [guard(Reason.CLOCK_UNTRUSTED), refused(Reason.RED)]
        assert all(event.clock is ClockState.UNTRUSTED for event in bench.disk.events())
    finally:
        bench.close()


def test_a_clock_that_becomes_doubtful_during_the_measurement_calls_the_guard(bench: Bench) -> None:
    bench.see(bench.code(FIRST))
    bench.measure(samples=2)
    bench.clock_is_off_s = 300.0
    bench.measure(samples=1)
    assert bench.verdicts() == [guard(Reason.CLOCK_UNTRUSTED)]


def test_a_forged_code_is_refused_and_its_text_is_not_kept(bench: Bench) -> None:
    stranger = SoftwareKey.generate()
    bench.show(bench.code(FIRST, key=stranger))
    (event,) = bench.passes()
    assert (event.decision, event.reason) == refused(Reason.UNKNOWN_KEY)
    assert (event.code, event.list, event.index) == (None, None, None)


def test_while_a_grant_is_open_the_next_person_waits_and_is_then_taken_up(bench: Bench) -> None:
    bench.show(bench.code(FIRST))
    bench.show(bench.code(SECOND))
    assert bench.verdicts() == [PASSED]
    bench.walk()
    bench.wait(1.5)
    bench.show(bench.code(SECOND))
    assert bench.verdicts() == [PASSED, PASSED]
    assert [passage.index for passage in bench.passages()] == [FIRST]


def test_who_is_being_measured_when_the_guard_lets_somebody_in_is_not_admitted_on_top(bench: Bench) -> None:
    bench.see(bench.code(FIRST))
    bench.measure(samples=2)
    bench.press()
    bench.measure(samples=1)
    assert bench.verdicts() == []
    assert bench.pulses() == 1
    bench.wait(bench.config.lane.accessible_window_s + 0.2)
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [PASSED]


def test_on_fire_the_relay_falls_nobody_is_let_in_and_afterwards_all_is_as_before(bench: Bench) -> None:
    bench.show(bench.code(FIRST))
    assert bench.relay() == 1
    bench.give(lane.Fire(bench.at, True))
    assert bench.relay() == 0
    bench.show(bench.code(SECOND))
    bench.press()
    assert bench.relay() == 0
    assert bench.verdicts() == [PASSED, refused(Reason.FIRE)]
    bench.give(lane.Fire(bench.at, False))
    bench.leave()
    bench.show(bench.code(SECOND))
    assert bench.relay() == 1
    assert [(event.fire, event.mode) for event in bench.disk.events() if isinstance(event, LaneEvent)] == [
        (True, LaneMode.CONTROLLED),
        (False, LaneMode.CONTROLLED),
    ]


@pytest.mark.parametrize(("mode", "reason"), [(LaneMode.LOCKED, Reason.LANE_LOCKED), (LaneMode.OUT_OF_SERVICE, Reason.OUT_OF_SERVICE)])
def test_a_closed_lane_refuses(bench: Bench, mode: LaneMode, reason: Reason) -> None:
    bench.give(lane.SetMode(bench.at, mode))
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [refused(reason)]
    assert bench.pulses() == 0


def test_identify_is_answered(bench: Bench) -> None:
    bench.give(Requested("identify", "t1", bench.at))
    assert bench.unit.state.light is Signal.IDENTIFY
    ((what, identified),) = bench.answers
    assert (what, identified.status, identified.transaction) == ("identify", "ok", "t1")
    assert identified.data == {"stage": "locked", "mode": "controlled"}


def test_a_device_lost_and_back_is_said_once_each_and_shown(bench: Bench) -> None:
    bench.give(DeviceBack(Device.SENSOR, bench.at))
    for _ in range(3):
        bench.give(DeviceLost(Device.SENSOR, "NO_ANSWER: " + "x" * 400, bench.at))
    lights = [bench.unit.state.light]
    for _ in range(3):
        bench.give(DeviceBack(Device.SENSOR, bench.at))
    lights.append(bench.unit.state.light)
    assert lights == [Signal.GUARD, Signal.READY]
    assert [event.what for event in bench.disk.events() if isinstance(event, UnitEvent)] == ["started", "sensor_lost", "sensor_back"]


def test_a_thermometer_without_calibration_works_and_is_an_alert_until_it_has_one(bench: Bench) -> None:
    bench.give(Calibrated("the thermometer is not calibrated", bench.at))
    assert bench.unit.troubles == {"calibration": "the thermometer is not calibrated"}
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [PASSED]
    bench.give(Calibrated("", bench.at))
    assert bench.unit.troubles == {}
    said = [(event.what, event.detail) for event in bench.disk.events() if isinstance(event, UnitEvent) and event.what == "calibration"]
    assert said == [("calibration", "the thermometer is not calibrated"), ("calibration", "in force")]


def test_a_calibration_that_is_refused_calls_the_guard_with_an_alert_of_its_own(bench: Bench) -> None:
    bench.give(DeviceLost(Device.SENSOR, "CALIBRATION: 3 days overdue", bench.at, "calibration"))
    assert bench.unit.troubles == {"calibration": "CALIBRATION: 3 days overdue"}
    bench.see(bench.code(FIRST))
    bench.at += 0.1
    bench.give(Sample(SensorFault(SensorFaultKind.CALIBRATION, "3 days overdue", bench.at), WARM))
    assert bench.verdicts() == [(Decision.CALL_GUARD, Reason.SENSOR_FAULT)]
    assert bench.pulses() == 0


def test_what_the_link_tells_and_a_glimpse_change_no_verdict(bench: Bench) -> None:
    bench.see(bench.code(FIRST))
    at = bench.at
    news = (LinkUp(at), LinkDown("why", at), ListChanged(URI, 1, at), TrustChanged(2, at), EventsDone(1, 0, at), Glimpse(at))
    for item in news:
        bench.give(item)
    assert bench.verdicts() == []
    bench.measure()
    assert bench.verdicts() == [PASSED]


def test_a_code_that_can_only_be_glimpsed_after_its_verdict_is_still_the_same_presentation(bench: Bench) -> None:
    bench.change(FIRST, Status.RED)
    bench.see(bench.code(FIRST))
    for _ in range(20):
        bench.wait(0.5)
        bench.give(Glimpse(bench.at))
    bench.see(bench.code(FIRST))
    assert bench.verdicts() == [refused(Reason.RED)]


def test_a_line_that_is_crossed_without_a_grant_is_logged_as_forced(bench: Bench) -> None:
    bench.walk()
    assert [passage.outcome for passage in bench.passages()] == [PassageOutcome.FORCED]
    assert bench.unit.state.stage is Stage.FORCED
    assert bench.pulses() == 0


class AnyDay(RuleBasedStateMachine):
    """Whatever happens in whatever order: the relay rises only for what the disk holds already, or for the guard's own button."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="unit-"))
        self.bench = Bench(self.folder, most_rows=MOST_ROWS)
        self.presses = 0
        self.fire = self.tampered = False

    def teardown(self) -> None:
        self.bench.close()
        shutil.rmtree(self.folder)

    @rule(index=st.sampled_from([FIRST, SECOND, THIRD]))
    def somebody_shows_a_code(self, index: int) -> None:
        self.bench.see(self.bench.code(index))

    @rule(index=st.sampled_from([FIRST, SECOND, THIRD]), skin_c=st.sampled_from([NORMAL_C, NORMAL_C, FEVER_C]))
    def somebody_holds_still(self, index: int, skin_c: float) -> None:
        self.bench.show(self.bench.code(index), skin_c)

    @rule()
    def somebody_goes_through(self) -> None:
        self.bench.walk()

    @rule()
    def a_stranger_shows_something(self) -> None:
        self.bench.see("HB1:NONSENSE")

    @rule()
    def two_show_theirs(self) -> None:
        self.bench.see(self.bench.code(FIRST), self.bench.code(SECOND))

    @rule(skin_c=st.sampled_from([NORMAL_C, FEVER_C, 30.0, None]), samples=st.integers(1, 5))
    def the_thermometer_reads(self, skin_c: float | None, samples: int) -> None:
        self.bench.measure(skin_c, samples)

    @rule(index=st.sampled_from([FIRST, SECOND]), status=st.sampled_from(list(Status)))
    def the_server_rules(self, index: int, status: Status) -> None:
        if self.bench.province.list.get(index) is not Status.REVOKED:
            self.bench.change(index, status)

    @rule()
    def the_guard_presses(self) -> None:
        self.presses += 1
        self.bench.press()

    @rule(broken=st.booleans())
    def the_beam(self, broken: bool) -> None:
        self.bench.give(lane.Beam(self.bench.at, broken))

    @rule()
    def the_fire_loop(self) -> None:
        self.fire = not self.fire
        self.bench.give(lane.Fire(self.bench.at, self.fire))

    @rule(seconds=st.sampled_from([0.2, 1.5, 7.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.bench.wait(seconds)

    @rule()
    def the_outbox_fills_to_the_brim(self) -> None:
        while self.bench.outbox.waiting < MOST_ROWS:
            self.tampered = not self.tampered
            self.bench.give(lane.Tamper(self.bench.at, self.tampered))

    @rule()
    def the_server_has_everything(self) -> None:
        self.bench.acknowledge()

    @precondition(lambda self: not self.fire)
    @rule()
    def the_unit_starts_anew(self) -> None:
        self.check()
        self.bench.restart()
        self.presses = 0
        self.tampered = False

    @invariant()
    def check(self) -> None:
        watched = self.bench.watched
        unlogged = 0
        for before in watched.rises:
            newest = before[-1] if before else None
            is_grant = isinstance(newest, PassEvent) and newest.decision is Decision.ADMIT
            unlogged += not is_grant and not isinstance(newest, ReleaseEvent)
        assert unlogged <= self.presses
        assert not (self.fire and watched.relay)
        assert self.bench.gate._relay.value == watched.relay


AnyDay.TestCase.settings = settings(max_examples=30, stateful_step_count=40, suppress_health_check=list(HealthCheck))
TestAnyDay = AnyDay.TestCase
