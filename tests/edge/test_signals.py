"""The table of signals: every reason shows one, and each flashes and beeps as often as it says."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.signals import (
    DARK,
    HIGH,
    SIGNAL_OF_REASON,
    SILENT,
    TABLE,
    WHITE,
    WORDS,
    Pattern,
    Signal,
    light_in_words,
    signal_of,
    sound_in_words,
)
from healthcode.terms import Decision, Reason


def test_every_reason_has_a_signal_and_every_signal_a_row() -> None:
    assert set(SIGNAL_OF_REASON) == set(Reason)
    assert set(TABLE) == set(WORDS) == set(Signal)


@pytest.mark.parametrize("reason", Reason)
def test_only_green_looks_like_a_pass(reason: Reason) -> None:
    assert (signal_of(Decision.REFUSE, reason) is Signal.PASS) == (reason is Reason.GREEN)
    assert signal_of(Decision.CALL_GUARD, reason) is Signal.GUARD


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
        (Signal.RED, 10),
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


@pytest.mark.parametrize(
    ("signal", "light", "sound"),
    [
        (Signal.READY, "white 0.6 s, dark 1.9 s", "none"),
        (Signal.PASS, "green, steady", "high 0.6 s"),
        (Signal.RED, "red 0.8 s, dark 0.2 s", "3 × (low 0.25 s, silent 0.25 s)"),
        (Signal.ALARM, "red 0.1 s, dark 0.1 s", "high, continuous"),
    ],
)
def test_a_signal_in_words(signal: Signal, light: str, sound: str) -> None:
    assert (light_in_words(TABLE[signal].light), sound_in_words(TABLE[signal].sound)) == (light, sound)


def test_the_wiring_page_has_the_table_of_signals() -> None:
    page = (Path(__file__).parents[2] / "hw" / "wiring.md").read_text(encoding="utf-8")
    for signal, (english, chinese) in WORDS.items():
        row = f"| {signal.value} | {english} {chinese} | {light_in_words(TABLE[signal].light)} | {sound_in_words(TABLE[signal].sound)} |"
        assert row in page.splitlines()
