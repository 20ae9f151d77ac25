"""The barrier's stories, and a hypothesis machine that plays at random. tests/edge/test_passage_explored.py walks through every state."""

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.config import Lane
from edge.lane import (
    NEVER,
    Arm,
    Beam,
    CommandRelease,
    Decided,
    Event,
    ExitRequest,
    Fire,
    Forced,
    HeldOpen,
    Input,
    LaneChanged,
    Light,
    Notice,
    NotUsed,
    Relay,
    Released,
    SetMode,
    Sound,
    StaffButton,
    Tailgated,
    Tamper,
    Tick,
    Trouble,
    Used,
)
from edge.passage import Step, busy, deadline, initial, step
from edge.signals import Signal
from edge.transitions import REST_OF_MODE, Stage
from healthcode.terms import Decision, LaneMode, Reason

LANE = Lane()
WANG = ("https://hb.example/s/1", 7)
LI = ("https://hb.example/s/1", 8)
EVENING_S = 3600.0
"""How long a lane is set free here."""


class Story:
    """A lane with a clock that the test moves."""

    def __init__(self, mode: LaneMode = LaneMode.CONTROLLED, policy: Lane = LANE) -> None:
        self.policy = policy
        self.at = 100.0
        self.state = initial(self.at, mode)
        self.relay = False
        self.limit_s: float | None = 0.0
        self.events: list[Event] = []
        self.signals: list[Signal] = []
        self.sounds: list[Signal] = []
        self.tick(0)
        if mode is LaneMode.FREE:
            self.mode(mode)
            self.events.clear()

    def see(self, given: Input) -> Step:
        taken = step(self.state, given, self.policy)
        self.state = taken.state
        self.events += taken.events
        for effect in taken.effects:
            match effect:
                case Relay(on, limit_s):
                    self.relay, self.limit_s = on, limit_s
                case Light(signal):
                    self.signals.append(signal)
                case Sound(signal):
                    self.sounds.append(signal)
        return taken

    def shown(self) -> Signal:
        return self.signals[-1]

    def stage(self) -> Stage:
        return self.state.stage

    def tick(self, seconds: float) -> None:
        self.at += seconds
        self.see(Tick(self.at))

    def admit(self, person: tuple[str, int] = WANG, grant: int = 1) -> None:
        self.see(Decided(self.at, Decision.ADMIT, Reason.GREEN, person, grant))

    def refuse(self, reason: Reason, decision: Decision = Decision.REFUSE) -> None:
        self.see(Decided(self.at, decision, reason, WANG))

    def beam(self, broken: bool) -> None:
        self.see(Beam(self.at, broken))

    def arm(self, away: bool) -> None:
        self.see(Arm(self.at, away))

    def walk_through(self, seconds: float = 0.4) -> None:
        self.beam(True)
        self.tick(seconds)
        self.beam(False)

    def press(self) -> None:
        self.see(StaffButton(self.at, True))
        self.see(StaffButton(self.at, False))

    def fire(self, active: bool) -> None:
        self.see(Fire(self.at, active))

    def mode(self, mode: LaneMode) -> None:
        self.see(SetMode(self.at, mode, self.at + EVENING_S))

    def happened(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def test_a_lane_at_rest_is_locked_and_white() -> None:
    lane = Story()
    assert (lane.stage(), lane.relay, lane.signals) == (Stage.LOCKED, False, [Signal.READY])


def test_green_passes() -> None:
    lane = Story()
    lane.admit()
    assert (lane.relay, lane.shown(), lane.sounds[-1]) == (True, Signal.PASS, Signal.PASS)
    lane.tick(0.25)
    assert lane.relay
    lane.tick(0.25)
    assert not lane.relay, "a turnstile gets a pulse"
    assert lane.stage() is Stage.GRANTED, "and its window runs on"
    lane.tick(0.5)
    lane.walk_through()
    assert lane.events == [Used(101.0, 1, WANG)]
    assert lane.stage() is Stage.LOCKED
    assert lane.shown() is Signal.READY


def test_a_quick_walker_cuts_the_pulse_short() -> None:
    lane = Story()
    lane.admit()
    lane.walk_through(0.2)
    assert not lane.relay


def test_the_relay_is_told_for_how_long_at_most() -> None:
    lane = Story()
    lane.admit()
    assert (lane.relay, lane.limit_s) == (True, LANE.pulse_s)
    lane.tick(0.2)
    lane.press()
    assert (lane.relay, lane.limit_s) == (True, LANE.pulse_s), "the second pulse is told, too"
    lane.tick(0.2)
    lane.mode(LaneMode.FREE)
    assert (lane.relay, lane.limit_s) == (True, None)
    lane.press()
    assert len(lane.happened(Released)) == 1, "a lane that is free is not opened once more"
    lane.mode(LaneMode.CONTROLLED)
    assert not lane.relay


def test_a_grant_that_nobody_uses_is_given_back() -> None:
    lane = Story()
    lane.admit()
    lane.tick(5.0)
    assert lane.events == [NotUsed(105.0, 1, WANG)]
    assert lane.stage() is Stage.LOCKED
    lane.admit(grant=2)
    assert lane.relay


def test_a_grant_ends_on_time_even_if_no_tick_came() -> None:
    lane = Story()
    lane.admit()
    lane.at += 60
    lane.beam(True)
    assert lane.events == [NotUsed(105.0, 1, WANG), Forced(160.0)]


@pytest.mark.parametrize(
    ("reason", "decision", "signal"),
    [
        (Reason.RED, Decision.REFUSE, Signal.RED),
        (Reason.YELLOW, Decision.REFUSE, Signal.YELLOW),
        (Reason.SIGNATURE, Decision.REFUSE, Signal.INVALID),
        (Reason.FEBRILE, Decision.REFUSE, Signal.FEVER),
        (Reason.SENSOR_FAULT, Decision.CALL_GUARD, Signal.GUARD),
        (Reason.TOO_FAR, Decision.CALL_GUARD, Signal.GUARD),
    ],
)
def test_a_refusal_moves_nothing_and_shows_itself_for_a_while(reason: Reason, decision: Decision, signal: Signal) -> None:
    lane = Story()
    lane.refuse(reason, decision)
    assert (lane.relay, lane.events, lane.shown()) == (False, [], signal)
    lane.tick(30)
    assert lane.shown() is Signal.READY


def test_the_second_red_person_is_told_as_loudly_as_the_first() -> None:
    lane = Story()
    lane.refuse(Reason.RED)
    lane.tick(1)
    lane.refuse(Reason.RED)
    assert lane.sounds.count(Signal.RED) == 2


def test_measuring_shows_without_a_verdict() -> None:
    lane = Story()
    lane.see(Notice(lane.at, Signal.MEASURING))
    assert lane.shown() is Signal.MEASURING
    lane.admit()
    lane.walk_through()
    assert lane.shown() is Signal.READY


def test_a_second_person_behind_the_first_is_a_tailgate() -> None:
    lane = Story()
    lane.admit()
    lane.walk_through()
    lane.tick(0.5)
    lane.beam(True)
    assert lane.events[-1] == Tailgated(lane.at, 1)
    assert lane.shown() is Signal.ALARM
    lane.beam(False)
    lane.tick(LANE.alarm_s)
    assert lane.stage() is Stage.LOCKED


def test_beam_then_arm_is_one_person() -> None:
    lane = Story()
    lane.admit()
    lane.beam(True)
    lane.tick(0.1)
    lane.beam(False)
    lane.arm(True)
    lane.tick(0.3)
    lane.arm(False)
    assert lane.events == [Used(100.0, 1, WANG)]
    assert lane.stage() is Stage.LOCKED


def test_a_second_beam_under_an_open_arm_is_a_tailgate() -> None:
    lane = Story()
    lane.admit()
    lane.arm(True)
    lane.walk_through(0.1)
    lane.beam(True)
    assert lane.happened(Tailgated)


def test_somebody_who_climbs_over_is_seen() -> None:
    lane = Story()
    lane.beam(True)
    assert lane.events == [Forced(100.0)]
    assert (lane.relay, lane.shown()) == (False, Signal.ALARM)
    assert busy(lane.state)
    lane.tick(60)
    assert lane.stage() is Stage.FORCED, "as long as somebody stands there"
    lane.beam(False)
    lane.tick(0)
    assert lane.stage() is Stage.LOCKED
    assert not busy(lane.state)


def test_an_arm_that_is_held_open_is_an_alarm_after_thirty_seconds() -> None:
    lane = Story()
    lane.admit()
    lane.arm(True)
    lane.tick(29.9)
    assert not lane.happened(HeldOpen)
    lane.tick(0.2)
    assert lane.events[-1] == HeldOpen(130.0, 1)
    lane.arm(False)
    assert lane.stage() is Stage.LOCKED


def test_the_staff_may_always_let_somebody_in() -> None:
    for mode in (LaneMode.CONTROLLED, LaneMode.LOCKED, LaneMode.OUT_OF_SERVICE):
        lane = Story(mode)
        rest = lane.stage()
        lane.press()
        assert lane.relay
        assert lane.events == [Released(100.0, "staff")]
        lane.walk_through()
        lane.walk_through()
        assert len(lane.events) == 1, "a guard may bring somebody along"
        lane.tick(LANE.accessible_window_s)
        assert (lane.stage(), lane.relay) == (rest, False)


def test_a_wheelchair_has_fifteen_seconds_and_the_lane_is_free_for_others_soon_after() -> None:
    lane = Story()
    lane.press()
    lane.tick(14.9)
    lane.beam(True)
    lane.tick(6)
    lane.beam(False)
    assert lane.happened(Forced) == []
    lane.tick(LANE.accessible_window_s)
    assert lane.stage() is Stage.LOCKED
    lane.press()
    lane.walk_through(1)
    lane.tick(LANE.window_s)
    assert lane.stage() is Stage.LOCKED, "who was quick does not keep the next one waiting"


def test_the_staff_gives_more_time_to_somebody_with_a_grant() -> None:
    lane = Story()
    lane.admit()
    lane.tick(1)
    lane.press()
    lane.tick(14)
    lane.walk_through()
    assert lane.happened(Used) == [Used(115.0, 1, WANG)]
    assert not lane.happened(Tailgated)


def test_a_grant_taken_back_by_locking_the_lane_makes_no_crossing_lawful() -> None:
    lane = Story()
    lane.admit()
    lane.mode(LaneMode.LOCKED)
    lane.walk_through()
    assert lane.happened(Forced) == [Forced(100.0)]


def test_a_grant_ended_by_fire_makes_no_crossing_lawful_after_it() -> None:
    lane = Story()
    lane.admit()
    lane.fire(True)
    lane.fire(False)
    lane.walk_through()
    assert lane.happened(Forced)


def test_a_command_opens_and_says_who_asked() -> None:
    lane = Story()
    lane.see(CommandRelease(lane.at, "ambulance"))
    assert lane.relay
    assert lane.events == [Released(100.0, "command", "ambulance")]


def test_a_release_during_a_grant_keeps_the_grant() -> None:
    lane = Story()
    lane.admit()
    lane.tick(4.9)
    lane.press()
    lane.tick(1)
    lane.walk_through()
    assert lane.events[-1] == Used(105.9, 1, WANG)


def test_the_way_out_opens_nothing_and_is_no_alarm() -> None:
    lane = Story()
    lane.see(ExitRequest(lane.at))
    assert not lane.relay
    lane.walk_through()
    assert lane.events == [Released(100.0, "exit")]
    lane.tick(5)
    assert lane.stage() is Stage.LOCKED


def test_an_exit_just_after_a_passage_does_not_bring_the_pulse_back() -> None:
    lane = Story()
    lane.admit()
    lane.walk_through(0.1)
    lane.see(ExitRequest(lane.at))
    assert not lane.relay


@pytest.mark.parametrize("mode", LaneMode)
def test_fire_drops_the_relay_in_every_mode_and_gives_grants_back(mode: LaneMode) -> None:
    lane = Story(mode)
    lane.admit()
    lane.fire(True)
    assert (lane.relay, lane.stage(), lane.shown()) == (False, Stage.FIRE, Signal.FIRE)
    assert lane.happened(NotUsed) == [NotUsed(100.0, 1, WANG)]
    assert [event.fire for event in lane.events if isinstance(event, LaneChanged)] == [True]
    lane.walk_through()
    lane.press()
    lane.see(CommandRelease(lane.at, "ambulance"))
    assert not lane.relay
    assert not lane.happened(Released), "nothing opened, and the log must not say so"
    assert not lane.happened(Forced)
    lane.fire(False)
    assert lane.stage() is REST_OF_MODE[mode]
    assert lane.relay == (mode is LaneMode.FREE)


def test_people_still_in_the_lane_when_the_fire_is_over_have_not_broken_in() -> None:
    lane = Story()
    lane.fire(True)
    lane.beam(True)
    lane.fire(False)
    assert busy(lane.state)
    lane.beam(False)
    assert not lane.happened(Forced)
    assert not busy(lane.state)


def test_a_mode_set_during_a_fire_counts_after_it() -> None:
    lane = Story()
    lane.fire(True)
    lane.mode(LaneMode.FREE)
    assert not lane.relay
    lane.fire(False)
    assert lane.relay


def test_free_is_open_until_it_is_not() -> None:
    lane = Story()
    lane.mode(LaneMode.FREE)
    assert lane.relay
    for _ in range(3):
        lane.tick(100)
        lane.walk_through()
    assert lane.events == [LaneChanged(100.0, LaneMode.FREE, False, False, 100.0 + EVENING_S)]
    lane.mode(LaneMode.CONTROLLED)
    assert not lane.relay


def test_free_ends_at_its_end_even_if_no_tick_came() -> None:
    lane = Story()
    lane.see(SetMode(lane.at, LaneMode.FREE, lane.at + 60, "guard Li"))
    assert deadline(lane.state, LANE) == 160.0
    lane.tick(3000)
    assert not lane.relay
    assert lane.events == [
        LaneChanged(100.0, LaneMode.FREE, False, False, 160.0, "guard Li"),
        LaneChanged(160.0, LaneMode.CONTROLLED, False, False, None, "the time of the mode free is over"),
    ]


def test_free_may_be_made_longer_or_shorter() -> None:
    lane = Story()
    for until in (160.0, 200.0, 120.0):
        lane.see(SetMode(lane.at, LaneMode.FREE, until))
    assert [event.until for event in lane.events if isinstance(event, LaneChanged)] == [160.0, 200.0, 120.0]
    lane.tick(20)
    assert lane.state.mode is LaneMode.CONTROLLED


@pytest.mark.parametrize("until", [NEVER, 99.0, 100.0])
def test_free_without_an_end_ahead_is_not_entered(until: float) -> None:
    lane = Story()
    lane.see(SetMode(lane.at, LaneMode.FREE, until))
    assert (lane.relay, lane.events) == (False, [])


def test_free_ends_during_a_fire_too() -> None:
    lane = Story(LaneMode.FREE)
    lane.fire(True)
    lane.tick(EVENING_S)
    lane.fire(False)
    assert (lane.relay, lane.stage()) == (False, Stage.LOCKED)


def test_no_lane_starts_free() -> None:
    assert initial(0.0, LaneMode.FREE) == initial(0.0, LaneMode.CONTROLLED)


def test_a_code_shown_at_a_free_lane_is_used_by_the_next_crossing_or_given_back() -> None:
    lane = Story(LaneMode.FREE)
    lane.admit()
    lane.walk_through()
    lane.admit(LI, 2)
    lane.tick(5)
    assert lane.events == [Used(100.0, 1, WANG), NotUsed(105.4, 2, LI)]
    assert lane.relay


def test_locking_the_lane_takes_an_open_grant_back() -> None:
    lane = Story()
    lane.admit()
    lane.mode(LaneMode.LOCKED)
    assert (lane.relay, lane.shown()) == (False, Signal.CLOSED)
    assert lane.events[-1] == NotUsed(100.0, 1, WANG)


def test_an_opened_housing_is_loud_unless_the_lane_is_out_of_service() -> None:
    lane = Story()
    lane.see(Tamper(lane.at, True))
    assert lane.shown() is Signal.ALARM
    assert lane.events == [LaneChanged(100.0, LaneMode.CONTROLLED, False, True)]
    lane.mode(LaneMode.OUT_OF_SERVICE)
    assert lane.shown() is Signal.CLOSED
    lane.see(Tamper(lane.at, False))
    lane.mode(LaneMode.CONTROLLED)
    assert lane.shown() is Signal.READY


def test_a_unit_in_trouble_calls_the_guard_while_it_rests() -> None:
    lane = Story()
    lane.see(Trouble(lane.at, True))
    assert lane.shown() is Signal.GUARD
    lane.see(Trouble(lane.at, False))
    assert lane.shown() is Signal.READY


def test_the_same_news_twice_is_no_news() -> None:
    lane = Story()
    lane.fire(True)
    before = list(lane.events)
    lane.fire(True)
    lane.mode(LaneMode.CONTROLLED)
    lane.see(Tamper(lane.at, False))
    assert lane.events == before


def test_an_input_from_the_past_counts_as_now() -> None:
    lane = Story()
    lane.admit()
    lane.tick(1)
    lane.see(Beam(99.0, True))
    assert lane.events == [Used(101.0, 1, WANG)]


def test_a_loop_that_sleeps_until_the_deadline_misses_nothing() -> None:
    lane = Story()
    lane.admit()
    slept = []
    while (due := deadline(lane.state, LANE)) is not None:
        slept.append(due - 100)
        lane.tick(due - lane.at)
    assert slept == [0.5, 5.0]
    assert lane.happened(NotUsed)


class LaneMachine(RuleBasedStateMachine):
    """Anything may happen at any time; what the outside may rely on always holds."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = Story()
        self.seqs = count(1)
        self.granted: set[int] = set()
        self.opened_at = NEVER

    @rule(seconds=st.one_of(st.floats(0, 0.6), st.floats(0, 40)))
    def time_passes(self, seconds: float) -> None:
        self.lane.tick(seconds)

    @precondition(lambda self: not busy(self.lane.state) and not self.lane.state.fire and self.lane.state.mode is LaneMode.CONTROLLED)
    @rule()
    def somebody_is_admitted(self) -> None:
        seq = next(self.seqs)
        self.granted.add(seq)
        self.opened_at = self.lane.at
        self.lane.admit(grant=seq)
        assert self.lane.relay

    @rule(reason=st.sampled_from(Reason), decision=st.sampled_from([Decision.REFUSE, Decision.CALL_GUARD]))
    def somebody_is_refused(self, reason: Reason, decision: Decision) -> None:
        before = self.lane.relay
        self.lane.refuse(reason, decision)
        assert self.lane.relay <= before

    @rule(line=st.sampled_from([Beam, Arm]), crossed=st.booleans())
    def a_line_changes(self, line: type[Beam] | type[Arm], crossed: bool) -> None:
        before = self.lane.relay
        self.lane.see(line(self.lane.at, crossed))
        assert self.lane.relay <= before

    @rule()
    def the_staff_presses(self) -> None:
        self.opened_at = self.lane.at
        self.lane.press()

    @rule()
    def somebody_wants_out(self) -> None:
        before = self.lane.relay
        self.lane.see(ExitRequest(self.lane.at))
        assert self.lane.relay <= before

    @rule(active=st.booleans())
    def the_fire_loop_changes(self, active: bool) -> None:
        self.lane.fire(active)

    @rule(mode=st.sampled_from(LaneMode))
    def the_mode_changes(self, mode: LaneMode) -> None:
        self.lane.mode(mode)

    @invariant()
    def the_relay_has_a_reason(self) -> None:
        lane = self.lane
        if lane.relay:
            assert not lane.state.fire
            assert lane.state.mode is LaneMode.FREE or lane.at < self.opened_at + LANE.pulse_s

    @invariant()
    def every_grant_ends_once(self) -> None:
        ended = [event.grant for event in self.lane.events if isinstance(event, Used | NotUsed)]
        assert len(ended) == len(set(ended))
        assert set(ended) <= self.granted
        open_now = {self.lane.state.grant.seq} if self.lane.state.grant else set()
        assert set(ended) | open_now == self.granted

    @invariant()
    def the_next_deadline_lies_ahead(self) -> None:
        due = deadline(self.lane.state, LANE)
        assert due is None or due > self.lane.at or due == pytest.approx(self.lane.at)

    def teardown(self) -> None:
        for given in (Fire(0, False), Beam(0, False), Arm(0, False), SetMode(0, LaneMode.CONTROLLED)):
            self.lane.see(given)
        self.lane.tick(60)
        assert (self.lane.stage(), self.lane.relay) == (Stage.LOCKED, False)


TestLaneMachine = LaneMachine.TestCase
TestLaneMachine.settings = settings(max_examples=60, stateful_step_count=40)
