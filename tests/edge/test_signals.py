"""The table of signals: every reason shows one, and no two of them look and sound alike to somebody who sees no colours."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.signals import DARK, HIGH, SIGNAL_OF_REASON, SILENT, TABLE, WHITE, Pattern, Rgb, Signal, signal_of
from healthcode.terms import Decision, Reason


def test_every_reason_has_a_signal_and_every_signal_a_row() -> None:
    assert set(SIGNAL_OF_REASON) == set(Reason)
    assert set(TABLE) == set(Signal)


@pytest.mark.parametrize("reason", Reason)
def test_only_green_looks_like_a_pass(reason: Reason) -> None:
    assert (signal_of(Decision.REFUSE, reason) is Signal.PASS) == (reason is Reason.GREEN)
    assert signal_of(Decision.CALL_GUARD, reason) is Signal.GUARD


def rhythm(light: Pattern[Rgb]) -> tuple[tuple[bool, float], ...]:
    """The light as somebody sees it who sees no colours; red and blue alternating is two hues of one brightness."""
    return tuple((colour != DARK, seconds) for colour, seconds in light.steps)


def test_no_two_signals_are_told_apart_by_colour_alone() -> None:
    for one, other in itertools.combinations(Signal, 2):
        assert (rhythm(TABLE[one].light), TABLE[one].sound) != (rhythm(TABLE[other].light), TABLE[other].sound), (one, other)


def flashes_in_ten_seconds(signal: Signal) -> int:
    lit = [TABLE[signal].light.value(tick / 100 + 0.001) != DARK for tick in range(1000)]
    return sum(now and not before for before, now in itertools.pairwise([False, *lit]))


@pytest.mark.parametrize(
    ("signal", "flashes"),
    [
        (Signal.READY, 4),
        (Signal.MEASURING, 20),
        (Signal.PASS, 1),
        (Signal.YELLOW, 10),
        (Signal.RED, 1),
        (Signal.INVALID, 20),
        (Signal.ALARM, 50),
    ],
)
def test_lights_flash_as_often_as_the_table_says(signal: Signal, flashes: int) -> None:
    assert flashes_in_ten_seconds(signal) == flashes


def beeps_in_ten_seconds(signal: Signal) -> int:
    tones = [TABLE[signal].sound.value(tick / 200 + 0.001) for tick in range(2000)]
    return sum(now != SILENT and before == SILENT for before, now in itertools.pairwise([SILENT, *tones]))


@pytest.mark.parametrize(
    ("signal", "beeps"),
    [
        (Signal.READY, 0),
        (Signal.MEASURING, 1),
        (Signal.PASS, 1),
        (Signal.YELLOW, 2),
        (Signal.RED, 3),
        (Signal.INVALID, 1),
        (Signal.FEVER, 4),
        (Signal.GUARD, 4),
        (Signal.ALARM, 1),
        (Signal.FIRE, 0),
    ],
)
def test_sounds_count_as_the_table_says(signal: Signal, beeps: int) -> None:
    assert beeps_in_ten_seconds(signal) == beeps


def test_an_alarm_does_not_stop_by_itself() -> None:
    assert TABLE[Signal.ALARM].sound.value(1e6 + 0.3) == HIGH
    assert TABLE[Signal.ALARM].sound.next_change(5.0) is None


@given(st.sampled_from(Signal), st.integers(0, 100_000))
def test_the_value_holds_until_the_next_change(signal: Signal, tick: int) -> None:
    elapsed = tick / 1000 + 0.0005
    light = TABLE[signal].light
    left = light.next_change(elapsed)
    assert left is None or left > 0
    assert light.value(elapsed + 0.99 * (left if left is not None else 1.0)) == light.value(elapsed)


def test_a_pattern_that_does_not_repeat_ends_at_rest() -> None:
    once = Pattern(((WHITE, 1.0),), DARK, repeat=False)
    assert [once.value(at) for at in (0.5, 1.5)] == [WHITE, DARK]
    assert once.next_change(1.5) is None
