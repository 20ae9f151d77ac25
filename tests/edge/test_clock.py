from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import Clock, FloorFile
from edge.timekeeping import Anchor, AnswerOutcome, Timekeeper
from healthcode.messages import TimeAnswer
from healthcode.terms import ClockState

NOON = 1_583_323_200.0
HOUR = 3600.0
DAY = 24 * HOUR
NONCE = "a" * 32


def answer(wall: float, nonce: str = NONCE) -> TimeAnswer:
    return TimeAnswer(unit="north", nonce=nonce, at_ms=round(wall * 1000))


def started(floor: float | None = NOON - HOUR, system: float = NOON) -> Timekeeper:
    return Timekeeper(floor, Anchor(system, 0.0))


def told(keeper: Timekeeper, wall: float, mono: float) -> tuple[Timekeeper, AnswerOutcome]:
    return keeper.ask(mono, NONCE).answer(answer(wall), mono)


def test_without_any_signed_time_ever_nothing_is_believed() -> None:
    assert started(floor=None).state(1.0) is ClockState.UNTRUSTED


def test_after_a_start_the_systems_time_holds_over() -> None:
    keeper = started()
    assert keeper.state(5.0) is ClockState.HOLDOVER
    assert keeper.now(5.0) == NOON + 5


def test_an_answer_to_our_nonce_is_trusted_and_moves_the_floor() -> None:
    keeper, outcome = told(started(), NOON + 12, 10.0)
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
    keeper, _ = told(started(), NOON, 10.0)
    assert keeper.answer(answer(NOON + DAY), 11.0)[1] is AnswerOutcome.NOT_ASKED


def test_an_answer_behind_the_floor_moves_nothing() -> None:
    keeper, outcome = told(started(floor=NOON), NOON - 61, 10.0)
    assert outcome is AnswerOutcome.BEHIND
    assert keeper.floor == NOON


def test_a_jump_waits_for_a_second_answer_ten_minutes_later() -> None:
    week = NOON + 7 * DAY
    keeper = started(floor=NOON, system=week)
    keeper, first = told(keeper, week, 0.0)
    keeper, early = told(keeper, week + 599, 599.0)
    assert (first, early) == (AnswerOutcome.HELD, AnswerOutcome.HELD)
    assert keeper.floor == NOON
    assert keeper.state(599.0) is ClockState.HOLDOVER
    assert keeper.due(599.0) == 600.0
    keeper, second = told(keeper, week + 600, 600.0)
    assert second is AnswerOutcome.TAKEN
    assert keeper.floor == week + 600


def test_a_second_answer_that_contradicts_the_first_begins_the_wait_anew() -> None:
    keeper, _ = told(started(floor=NOON), NOON + 7 * DAY, 0.0)
    keeper, outcome = told(keeper, NOON + 400 * DAY, 700.0)
    assert outcome is AnswerOutcome.HELD
    assert keeper.floor == NOON
    assert told(keeper, NOON + 400 * DAY + 600, 1300.0)[1] is AnswerOutcome.TAKEN


def test_the_very_first_answer_is_taken_as_it_is() -> None:
    keeper, outcome = told(started(floor=None), NOON + 1000 * DAY, 0.0)
    assert outcome is AnswerOutcome.TAKEN
    assert keeper.floor == NOON + 1000 * DAY


@pytest.mark.parametrize(("off", "expected"), [(59.0, ClockState.TRUSTED), (61.0, ClockState.UNTRUSTED), (-61.0, ClockState.UNTRUSTED)])
def test_a_system_that_disagrees_with_the_signed_time_is_untrusted(off: float, expected: ClockState) -> None:
    keeper, _ = told(started(), NOON, 0.0)
    assert keeper.tick(100.0, NOON + 100 + off, is_synchronised=True).state(100.0) is expected
    assert keeper.tick(100.0, NOON + 100 + off, is_synchronised=True).now(100.0) == NOON + 100


@pytest.mark.parametrize("system", [0.0, NOON - 3 * DAY, NOON + 40 * DAY])
def test_a_clock_that_follows_no_network_says_nothing_against_the_signed_time(system: float) -> None:
    keeper, _ = told(started(system=system), NOON, 0.0)
    alone = keeper.tick(100.0, system + 100, is_synchronised=False)
    assert alone.state(100.0) is ClockState.TRUSTED
    assert alone.now(100.0) == NOON + 100


def test_a_pi_without_battery_or_time_server_is_untrusted_until_it_is_told() -> None:
    keeper = started(floor=NOON, system=0.0).tick(5.0, 5.0, is_synchronised=False)
    assert keeper.state(5.0) is ClockState.UNTRUSTED
    keeper, _ = told(keeper, NOON + HOUR, 5.0)
    assert keeper.state(5.0) is ClockState.TRUSTED


def test_a_jump_that_waits_is_untrusted_whoever_keeps_the_system_s_time() -> None:
    for is_synchronised in (False, True):
        keeper, _ = told(started(floor=NOON).tick(0.0, NOON, is_synchronised), NOON + 7 * DAY, 0.0)
        assert keeper.state(1.0) is ClockState.UNTRUSTED


def test_a_jump_with_which_the_system_agrees_is_held_over_until_it_is_confirmed() -> None:
    keeper, outcome = told(started(floor=NOON, system=NOON + 7 * DAY), NOON + 7 * DAY, 0.0)
    assert outcome is AnswerOutcome.HELD
    assert keeper.state(1.0) is ClockState.HOLDOVER


def test_a_system_time_under_the_floor_is_untrusted() -> None:
    assert started(floor=NOON, system=NOON - 61).state(0.0) is ClockState.UNTRUSTED


def test_trust_ages_into_holdover() -> None:
    keeper, _ = told(started(), NOON, 0.0)
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


def test_a_reset_lowers_the_floor() -> None:
    keeper = started(floor=NOON + 400 * DAY).reset(NOON - DAY)
    assert keeper.state(0.0) is ClockState.HOLDOVER


@given(
    steps=st.lists(st.tuples(st.floats(0, 5000), st.floats(NOON - 10 * DAY, NOON + 10 * DAY), st.booleans(), st.floats(0, 12)), max_size=30)
)
def test_the_floor_never_goes_back_and_only_our_own_answers_move_it(steps: list[tuple[float, float, bool, float]]) -> None:
    keeper, mono = started(floor=NOON), 0.0
    for wait, wall, ours, took in steps:
        mono += wait
        before = keeper.floor
        keeper = keeper.tick(mono, wall, is_synchronised=True).ask(mono, NONCE)
        keeper, outcome = keeper.answer(answer(wall, NONCE if ours else "b" * 32), mono + took)
        mono += took
        assert keeper.floor is not None
        assert before is not None
        assert keeper.floor >= before
        if keeper.floor > before:
            assert outcome is AnswerOutcome.TAKEN
            assert ours


@dataclass
class Hands:
    """Clocks that a test moves."""

    mono: float = 100.0
    system: float = NOON
    drawn: list[str] = field(default_factory=list)

    def draw(self) -> str:
        self.drawn.append(f"{len(self.drawn):032x}")
        return self.drawn[-1]


def clock(path: Path, hands: Hands) -> Clock:
    read: tuple[Callable[[], float], Callable[[], float]] = (lambda: hands.mono, lambda: hands.system)
    return Clock(FloorFile(path), monotonic=read[0], system=read[1], draw=hands.draw, synchronised=lambda: True)


def test_the_clock_keeps_its_floor_over_a_restart(tmp_path: Path) -> None:
    hands = Hands()
    first = clock(tmp_path / "floor", hands)
    assert first.state() is ClockState.UNTRUSTED
    question = first.question()
    assert question is not None
    assert first.question() is None
    assert first.answer(answer(NOON + 1, question.nonce)) is AnswerOutcome.TAKEN
    assert first.state() is ClockState.TRUSTED
    hands.mono, hands.system = 1.0, NOON + 30
    again = clock(tmp_path / "floor", hands)
    assert again.floor == NOON + 1
    assert again.state() is ClockState.HOLDOVER
    hands.system = NOON - DAY
    assert again.state() is ClockState.UNTRUSTED


@pytest.mark.parametrize("content", [b"", b"yesterday", b"nan", b"-5", b"1e300", b"\xff\xfe"])
def test_a_damaged_floor_is_no_floor(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "floor").write_bytes(content)
    assert FloorFile(tmp_path / "floor").load() is None


def test_a_half_written_floor_is_never_seen(tmp_path: Path) -> None:
    file = FloorFile(tmp_path / "floor")
    file.store(NOON)
    (tmp_path / "floor.new").write_bytes(b"15")
    assert file.load() == NOON
