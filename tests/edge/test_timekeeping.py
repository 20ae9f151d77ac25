"""What time it is, as tables and stories: wrong clocks, lying servers, and the floor that only evidence moves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.timekeeping import (
    ANSWER_WITHIN_S,
    CONFIRM_AFTER_S,
    DISAGREE_S,
    JUMP_S,
    TRUSTED_FOR_S,
    Anchor,
    AnswerOutcome,
    ResetOutcome,
    Timekeeper,
    span,
    told,
)
from healthcode.messages import ClockReset, TimeAnswer
from healthcode.terms import ClockState

NOON = 1_583_323_200.0
HOUR = 3600.0
DAY = 24 * HOUR
YEAR_1970, YEAR_2099 = 0.0, 4_070_908_800.0
NONCE = "a" * 32


def answer(wall: float, nonce: str = NONCE) -> TimeAnswer:
    return TimeAnswer(unit="north", nonce=nonce, at_ms=round(wall * 1000))


def started(floor: float | None = NOON - HOUR, system: float = NOON) -> Timekeeper:
    return Timekeeper(floor, Anchor(system, 0.0))


def hear(keeper: Timekeeper, wall: float, mono: float) -> tuple[Timekeeper, AnswerOutcome]:
    return keeper.ask(mono, NONCE).answer(answer(wall), mono)


def test_without_any_signed_time_ever_nothing_is_believed() -> None:
    assert started(floor=None).state(1.0) is ClockState.UNTRUSTED


def test_after_a_start_the_systems_time_holds_over() -> None:
    keeper = started()
    assert keeper.state(5.0) is ClockState.HOLDOVER
    assert keeper.now(5.0) == NOON + 5


def test_an_answer_to_our_nonce_is_trusted_and_moves_the_floor() -> None:
    keeper, outcome = hear(started(), NOON + 12, 10.0)
    assert outcome is AnswerOutcome.TAKEN
    assert keeper.floor == NOON + 12
    assert keeper.state(10.0) is ClockState.TRUSTED
    assert keeper.now(20.0) == NOON + 22


def test_half_the_way_back_is_added() -> None:
    keeper, _ = started().ask(10.0, NONCE).answer(answer(NOON + 11), 14.0)
    assert keeper.now(14.0) == NOON + 13


@pytest.mark.parametrize(
    ("nonce", "mono", "expected"),
    [("b" * 32, 10.0, AnswerOutcome.NOT_ASKED), (NONCE, 20.5, AnswerOutcome.LATE)],
)
def test_a_strangers_nonce_and_a_late_answer_move_nothing(nonce: str, mono: float, expected: AnswerOutcome) -> None:
    keeper, outcome = started().ask(10.0, NONCE).answer(answer(NOON + 10, nonce), mono)
    assert outcome is expected
    assert (keeper.floor, keeper.signed) == (NOON - HOUR, None)


def test_an_answer_counts_once() -> None:
    keeper, _ = hear(started(), NOON, 10.0)
    assert keeper.answer(answer(NOON + DAY), 11.0)[1] is AnswerOutcome.NOT_ASKED


def test_an_answer_behind_the_floor_moves_nothing() -> None:
    keeper, outcome = hear(started(floor=NOON), NOON - 61, 10.0)
    assert outcome is AnswerOutcome.BEHIND
    assert keeper.floor == NOON


def test_a_jump_waits_for_a_second_answer_ten_minutes_later() -> None:
    week = NOON + 7 * DAY
    keeper = started(floor=NOON, system=week)
    keeper, first = hear(keeper, week, 0.0)
    keeper, early = hear(keeper, week + 599, 599.0)
    assert (first, early) == (AnswerOutcome.HELD, AnswerOutcome.HELD)
    assert keeper.floor == NOON
    assert keeper.state(599.0) is ClockState.HOLDOVER
    assert keeper.due(599.0) == 600.0
    keeper, second = hear(keeper, week + 600, 600.0)
    assert second is AnswerOutcome.TAKEN
    assert keeper.floor == week + 600


def test_a_second_answer_that_contradicts_the_first_begins_the_wait_anew() -> None:
    keeper, _ = hear(started(floor=NOON), NOON + 7 * DAY, 0.0)
    keeper, outcome = hear(keeper, NOON + 400 * DAY, 700.0)
    assert outcome is AnswerOutcome.HELD
    assert keeper.floor == NOON
    assert hear(keeper, NOON + 400 * DAY + 600, 1300.0)[1] is AnswerOutcome.TAKEN


def test_the_very_first_answer_is_taken_as_it_is() -> None:
    keeper, outcome = hear(started(floor=None), NOON + 1000 * DAY, 0.0)
    assert outcome is AnswerOutcome.TAKEN
    assert keeper.floor == NOON + 1000 * DAY


@pytest.mark.parametrize(("off", "expected"), [(59.0, ClockState.TRUSTED), (61.0, ClockState.UNTRUSTED), (-61.0, ClockState.UNTRUSTED)])
def test_a_system_that_disagrees_with_the_signed_time_is_untrusted(off: float, expected: ClockState) -> None:
    keeper, _ = hear(started(), NOON, 0.0)
    assert keeper.tick(100.0, NOON + 100 + off, is_synchronised=True).state(100.0) is expected
    assert keeper.tick(100.0, NOON + 100 + off, is_synchronised=True).now(100.0) == NOON + 100


@pytest.mark.parametrize("system", [0.0, NOON - 3 * DAY, NOON + 40 * DAY])
def test_a_clock_that_follows_no_network_says_nothing_against_the_signed_time(system: float) -> None:
    keeper, _ = hear(started(system=system), NOON, 0.0)
    alone = keeper.tick(100.0, system + 100, is_synchronised=False)
    assert alone.state(100.0) is ClockState.TRUSTED
    assert alone.now(100.0) == NOON + 100


def test_a_pi_without_battery_or_time_server_is_untrusted_until_it_is_told() -> None:
    keeper = started(floor=NOON, system=0.0).tick(5.0, 5.0, is_synchronised=False)
    assert keeper.state(5.0) is ClockState.UNTRUSTED
    keeper, _ = hear(keeper, NOON + HOUR, 5.0)
    assert keeper.state(5.0) is ClockState.TRUSTED


def test_a_jump_that_waits_is_untrusted_whoever_keeps_the_system_s_time() -> None:
    for is_synchronised in (False, True):
        keeper, _ = hear(started(floor=NOON).tick(0.0, NOON, is_synchronised), NOON + 7 * DAY, 0.0)
        assert keeper.state(1.0) is ClockState.UNTRUSTED


def test_a_jump_with_which_the_system_agrees_is_held_over_until_it_is_confirmed() -> None:
    keeper, outcome = hear(started(floor=NOON, system=NOON + 7 * DAY), NOON + 7 * DAY, 0.0)
    assert outcome is AnswerOutcome.HELD
    assert keeper.state(1.0) is ClockState.HOLDOVER


def test_a_system_time_under_the_floor_is_untrusted() -> None:
    assert started(floor=NOON, system=NOON - 61).state(0.0) is ClockState.UNTRUSTED


def test_trust_ages_into_holdover() -> None:
    keeper, _ = hear(started(), NOON, 0.0)
    assert keeper.state(DAY) is ClockState.TRUSTED
    assert keeper.state(DAY + 1) is ClockState.HOLDOVER


def test_questions_back_off_until_answered_and_then_come_every_quarter_of_an_hour() -> None:
    keeper = started()
    assert keeper.due(3.0) == 3.0
    keeper = keeper.ask(3.0, NONCE)
    assert keeper.due(3.0) == 8.0
    keeper = keeper.ask(8.0, "b" * 32)
    assert keeper.due(8.0) == 18.0
    keeper, _ = keeper.answer(answer(NOON, "b" * 32), 9.0)
    assert keeper.due(9.0) == 909.0


@pytest.mark.parametrize("system", [YEAR_1970, NOON - DAY])
def test_a_system_behind_the_floor_says_so_and_is_no_time(system: float) -> None:
    keeper = started(floor=NOON, system=system)
    assert keeper.state(1.0) is ClockState.UNTRUSTED
    assert keeper.doubt(1.0) == "the system's clock is before 2020-03-04 12:00:00 UTC, which the time server has said"


def test_a_system_that_is_put_back_by_a_day_is_no_time_until_a_time_key_answers() -> None:
    keeper = started(floor=NOON - 26 * HOUR).tick(100.0, NOON + 100, False)
    assert keeper.state(100.0) is ClockState.HOLDOVER
    keeper = keeper.tick(200.0, NOON + 200 - DAY, False)
    assert keeper.state(200.0) is ClockState.UNTRUSTED
    assert keeper.doubt(200.0) == "the system's clock was put back by 24 h"
    keeper = keeper.tick(2 * HOUR, NOON + 2 * HOUR - DAY, False)
    assert keeper.state(2 * HOUR) is ClockState.UNTRUSTED, "going on does not make it right"
    keeper, _ = hear(keeper, NOON + 2 * HOUR, 2 * HOUR)
    assert keeper.state(2 * HOUR) is ClockState.TRUSTED


def test_a_system_that_is_put_forward_by_its_time_server_after_the_boot_holds_over() -> None:
    keeper = started(floor=NOON - DAY, system=NOON - DAY).tick(30.0, NOON + 30, True)
    assert keeper.state(30.0) is ClockState.HOLDOVER
    assert keeper.now(30.0) == NOON + 30


def test_a_system_in_2099_holds_over_and_moves_no_floor() -> None:
    keeper = started(floor=NOON, system=YEAR_2099).tick(10.0, YEAR_2099 + 10, False)
    assert (keeper.state(10.0), keeper.floor) == (ClockState.HOLDOVER, NOON)
    keeper, outcome = hear(keeper, NOON + HOUR, 20.0)
    assert outcome is AnswerOutcome.TAKEN
    assert (keeper.state(20.0), keeper.now(20.0)) == (ClockState.TRUSTED, NOON + HOUR)


@pytest.mark.parametrize("jump", [DAY, -DAY, -NOON, YEAR_2099 - NOON])
def test_no_jump_of_the_system_moves_a_signed_time(jump: float) -> None:
    keeper, _ = hear(started(), NOON, 0.0)
    jumped = keeper.tick(100.0, NOON + 100 + jump, is_synchronised=False)
    assert (jumped.now(100.0), jumped.floor, jumped.state(100.0)) == (NOON + 100, NOON, ClockState.TRUSTED)
    hostile = keeper.tick(100.0, NOON + 100 + jump, is_synchronised=True)
    assert (hostile.now(100.0), hostile.floor, hostile.state(100.0)) == (NOON + 100, NOON, ClockState.UNTRUSTED)
    assert hostile.doubt(100.0).endswith(f"{span(jump)} apart")


def test_a_stolen_time_key_that_lies_by_less_than_two_days_is_found_out_by_the_true_server() -> None:
    keeper, lie = hear(hear(started(), NOON, 0.0)[0], NOON + 40 * HOUR, 900.0)
    assert lie is AnswerOutcome.TAKEN
    keeper, truth = hear(keeper, NOON + 1800, 1800.0)
    assert truth is AnswerOutcome.BEHIND
    assert keeper.state(1800.0) is ClockState.UNTRUSTED
    assert keeper.doubt(1800.0) == "the time server says 2020-03-04 12:30:00 UTC, and has said 2020-03-06 04:00:00 UTC before"


def test_a_stolen_time_key_cannot_push_further_than_two_days_by_many_small_lies() -> None:
    keeper, _ = hear(started(), NOON, 0.0)
    outcomes = []
    for step in range(1, 6):
        keeper, outcome = hear(keeper, NOON + step * 20 * HOUR, step * 100.0)
        outcomes.append(outcome)
    assert outcomes == [AnswerOutcome.TAKEN] * 2 + [AnswerOutcome.HELD] * 3
    assert keeper.floor == NOON + 40 * HOUR
    assert keeper.state(500.0) is ClockState.UNTRUSTED


def test_a_time_key_whose_server_is_put_right_by_minutes_is_believed_again_when_the_time_has_come() -> None:
    keeper, _ = hear(started(), NOON + 120, 0.0)
    keeper, early = hear(keeper, NOON + 30, 30.0)
    assert (early, keeper.state(30.0)) == (AnswerOutcome.BEHIND, ClockState.UNTRUSTED)
    keeper, later = hear(keeper, NOON + 90, 90.0)
    assert (later, keeper.state(90.0)) == (AnswerOutcome.TAKEN, ClockState.TRUSTED)
    assert (keeper.now(90.0), keeper.floor) == (NOON + 90, NOON + 120)


def test_a_man_in_the_middle_who_delays_every_answer_moves_the_time_by_five_seconds_and_no_further() -> None:
    keeper, mono = started(), 0.0
    for _ in range(50):
        keeper = keeper.ask(mono, NONCE)
        keeper, outcome = keeper.answer(answer(NOON + mono + ANSWER_WITHIN_S), mono + ANSWER_WITHIN_S)  # the question was held up
        assert outcome is AnswerOutcome.TAKEN
        assert abs(keeper.now(mono + 10) - (NOON + mono + 10)) <= ANSWER_WITHIN_S / 2
        keeper = keeper.ask(mono + 20, NONCE)
        keeper, outcome = keeper.answer(answer(NOON + mono + 20), mono + 30)  # the answer was
        assert outcome is AnswerOutcome.TAKEN
        assert abs(keeper.now(mono + 30) - (NOON + mono + 30)) <= ANSWER_WITHIN_S / 2
        mono += 60.0
        assert keeper.floor is not None
        assert keeper.floor <= NOON + mono + ANSWER_WITHIN_S / 2


def reset(to: float, serial: int = 1) -> ClockReset:
    return ClockReset(unit="north", serial=serial, floor=int(to))


def test_a_reset_lowers_the_floor_once() -> None:
    keeper = started(floor=YEAR_2099)
    assert keeper.state(0.0) is ClockState.UNTRUSTED
    keeper, outcome = keeper.reset(reset(NOON - HOUR), 5.0)
    assert (outcome, keeper.floor, keeper.serial) == (ResetOutcome.TAKEN, NOON - HOUR, 1)
    assert keeper.state(5.0) is ClockState.HOLDOVER
    keeper, _ = hear(keeper, NOON + 10, 10.0)
    assert keeper.state(10.0) is ClockState.TRUSTED
    for serial in (0, 1):
        again, outcome = keeper.reset(replace_serial(reset(NOON - HOUR), serial), 20.0)
        assert (again, outcome) == (keeper, ResetOutcome.OLD)


def replace_serial(given: ClockReset, serial: int) -> ClockReset:
    return ClockReset(unit=given.unit, serial=serial, floor=given.floor)


def test_a_reset_forgets_what_made_the_time_doubtful() -> None:
    keeper, _ = hear(started(), NOON + 40 * HOUR, 0.0)
    keeper, _ = hear(keeper, NOON + 100, 100.0)
    keeper, _ = hear(keeper, NOON + 400 * DAY, 200.0)
    assert keeper.state(200.0) is ClockState.UNTRUSTED
    keeper, outcome = keeper.reset(reset(NOON), 300.0)
    assert outcome is ResetOutcome.TAKEN
    assert keeper.state(300.0) is ClockState.HOLDOVER
    assert keeper.due(300.0) == 300.0, "and asks at once"


def test_a_reset_does_not_raise_the_floor_and_gives_one_where_there_is_none() -> None:
    keeper = started(floor=NOON)
    assert keeper.reset(reset(NOON), 0.0) == (keeper, ResetOutcome.NOT_LOWER)
    assert keeper.reset(reset(YEAR_2099), 0.0) == (keeper, ResetOutcome.NOT_LOWER)
    found, outcome = started(floor=None).reset(reset(NOON - HOUR), 0.0)
    assert (outcome, found.floor, found.state(0.0)) == (ResetOutcome.TAKEN, NOON - HOUR, ClockState.HOLDOVER)


@pytest.mark.parametrize(
    ("seconds", "said"), [(61, "1 min"), (-3600, "60 min"), (7200, "2 h"), (-86_400, "24 h"), (6 * 86_400, "6 days"), (2.5e9, "28935 days")]
)
def test_lengths_of_time_as_people_say_them(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("wall", "said"),
    [
        (0.0, "1970-01-01 00:00:00 UTC"),
        (-5.0, "1970-01-01 00:00:00 UTC"),
        (NOON, "2020-03-04 12:00:00 UTC"),
        (1e12, "9999-12-31 23:59:59 UTC"),
    ],
)
def test_every_time_can_be_told(wall: float, said: str) -> None:
    assert told(wall) == said


WALLS = st.one_of(
    st.floats(NOON - 10 * DAY, NOON + 10 * DAY),
    st.sampled_from([YEAR_1970, YEAR_2099, NOON - DAY, NOON + DAY, NOON + JUMP_S - 1, NOON + JUMP_S + 1]),
)


LIES = (0.0, 0.0, 30.0, -30.0, HOUR, -HOUR, 20 * HOUR, 40 * HOUR, 60 * HOUR, 400 * DAY)
"""How far a server's time may be off, in seconds; the same server says the same again."""


class Clockwork(RuleBasedStateMachine):
    """A unit's life with every clock and every server lying as it likes; what happened is noted beside it and held against the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.mono = 0.0
        self.keeper = Timekeeper(NOON, Anchor(NOON, 0.0))
        self.taken_at: float | None = None
        self.confirmed = NOON  # what 48 hours are counted from: the floor at the start, the first answer, each that was confirmed
        self.confirmed_at: float | None = None
        self.held: list[tuple[float, float]] = []
        self.serials: list[int] = []
        self.nonces = 0

    def step(self, changed: Timekeeper, may_move: bool = False) -> None:
        """What comes after: unless it may move, the floor is what it was."""
        if not may_move:
            assert changed.floor == self.keeper.floor
        self.keeper = changed

    @rule(seconds=st.one_of(st.floats(0, 30), st.floats(0, 1000), st.floats(0, 3 * DAY)))
    def time_goes_by(self, seconds: float) -> None:
        self.mono += seconds

    @rule(wall=WALLS, is_synchronised=st.booleans())
    def the_system_says(self, wall: float, is_synchronised: bool) -> None:
        self.step(self.keeper.tick(self.mono, wall, is_synchronised))

    @rule()
    def the_unit_asks(self) -> None:
        self.nonces += 1
        self.step(self.keeper.ask(self.mono, f"{self.nonces:032x}"))

    @rule()
    def the_link_comes_back(self) -> None:
        self.step(self.keeper.connected())

    @rule(wall=WALLS, age=st.integers(1, 3))
    def an_old_answer_is_replayed(self, wall: float, age: int) -> None:
        changed, outcome = self.keeper.answer(answer(wall, f"{max(0, self.nonces - age):032x}"), self.mono)
        assert outcome is AnswerOutcome.NOT_ASKED
        self.step(changed)

    @rule(took=st.one_of(st.floats(0, 1), st.floats(0, 12)), wall=st.none() | WALLS, off=st.sampled_from(LIES))
    def somebody_answers(self, took: float, wall: float | None, off: float) -> None:
        if self.keeper.nonce is None:
            self.the_unit_asks()
        assert self.keeper.nonce is not None
        self.mono += took
        took = self.mono - self.keeper.asked_at
        wall = max(0.0, NOON + off + self.mono if wall is None else wall)
        said = round(wall * 1000) / 1000 + took / 2
        before = self.keeper.floor
        assert before is not None
        changed, outcome = self.keeper.answer(answer(wall, self.keeper.nonce), self.mono)
        self.step(changed, may_move=outcome is AnswerOutcome.TAKEN)
        assert changed.floor is not None
        assert changed.floor >= before
        if took > ANSWER_WITHIN_S:
            assert outcome is AnswerOutcome.LATE
        elif outcome is AnswerOutcome.HELD:
            self.held.append((said, self.mono))
        elif outcome is AnswerOutcome.TAKEN:
            expected = self.confirmed if self.confirmed_at is None else self.confirmed + self.mono - self.confirmed_at
            if said - expected > JUMP_S:
                seconds = [at for wall_then, at in self.held if abs(wall_then + self.mono - at - said) <= DISAGREE_S + 1]
                assert any(self.mono - at >= CONFIRM_AFTER_S for at in seconds), "a jump, and nobody had said so ten minutes before"
                self.confirmed, self.confirmed_at = said, self.mono
            elif self.confirmed_at is None:
                self.confirmed, self.confirmed_at = said, self.mono
            self.taken_at = self.mono

    @rule(to=WALLS, serial=st.integers(1, 6))
    def a_reset_comes(self, to: float, serial: int) -> None:
        before = self.keeper
        changed, outcome = before.reset(reset(to, serial), self.mono)
        self.step(changed, may_move=outcome is ResetOutcome.TAKEN)
        if outcome is not ResetOutcome.TAKEN:
            assert changed == before
            return
        assert before.floor is not None
        assert changed.floor is not None
        assert changed.floor < before.floor
        assert all(serial > taken for taken in self.serials)
        self.serials.append(serial)
        self.confirmed, self.confirmed_at, self.taken_at, self.held = changed.floor, None, None, []

    @precondition(lambda self: self.keeper.state(self.mono) is ClockState.TRUSTED)
    @invariant()
    def trusted_means_told_within_a_day_and_not_contradicted(self) -> None:
        keeper = self.keeper
        assert self.taken_at is not None
        assert self.mono - self.taken_at <= TRUSTED_FOR_S
        assert keeper.floor is not None
        assert keeper.now(self.mono) >= keeper.floor - DISAGREE_S
        if keeper.is_synchronised:
            assert abs(keeper.system.at(self.mono) - keeper.now(self.mono)) <= DISAGREE_S

    @invariant()
    def a_doubt_and_untrusted_are_the_same(self) -> None:
        assert (self.keeper.doubt(self.mono) != "") is (self.keeper.state(self.mono) is ClockState.UNTRUSTED)

    @invariant()
    def a_system_behind_the_floor_is_never_believed(self) -> None:
        keeper = self.keeper
        assert keeper.floor is not None
        if keeper.state(self.mono) is not ClockState.UNTRUSTED:
            assert keeper.now(self.mono) >= keeper.floor - DISAGREE_S


TestClockwork: Any = Clockwork.TestCase
TestClockwork.settings = settings(max_examples=150, stateful_step_count=40)
