"""How loud: by day and at night, in the local time of the gate, and never too quiet for an alarm."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Sound
from edge.loudness import ALWAYS_HEARD, duty_of, is_night, volume_of
from edge.signals import Signal
from healthcode.terms import ClockState

WUHAN = Sound()
"""Night from 22:00 to 06:00, UTC+8."""


def at(text: str) -> float:
    """Seconds since 1970 of a UTC time of one winter's day."""
    return datetime.fromisoformat(f"2020-02-12T{text}").replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("utc", "night"),
    [("13:59:59", False), ("14:00:00", True), ("16:00:00", True), ("21:59:59", True), ("22:00:00", False), ("04:00:00", False)],
)
def test_the_night_is_the_gates_own(utc: str, night: bool) -> None:
    assert is_night(WUHAN, at(utc)) is night


@pytest.mark.parametrize(
    ("begins", "ends", "utc", "night"),
    [("12:00", "14:00", "05:00:00", True), ("12:00", "14:00", "07:00:00", False), ("22:00", "22:00", "14:00:00", False)],
)
def test_a_night_within_one_day_and_none(begins: str, ends: str, utc: str, night: bool) -> None:
    assert is_night(Sound(night_from=begins, night_until=ends), at(utc)) is night


def test_summer_time_moves_the_night_with_the_clocks_of_the_place() -> None:
    berlin = Sound(zone="Europe/Berlin")
    winter, summer = datetime(2020, 2, 12, 20, 30, tzinfo=UTC), datetime(2020, 7, 12, 20, 30, tzinfo=UTC)
    assert (is_night(berlin, winter.timestamp()), is_night(berlin, summer.timestamp())) == (False, True)


@pytest.mark.parametrize("clock", ClockState)
def test_without_a_trusted_clock_it_is_day(clock: ClockState) -> None:
    volume = volume_of(Signal.RED, WUHAN, at("16:00:00"), clock)
    assert volume == (WUHAN.volume if clock is ClockState.UNTRUSTED else WUHAN.night_volume)


@pytest.mark.parametrize("hour", ["04:00:00", "16:00:00"])
def test_an_alarm_is_heard_day_and_night_whatever_is_set(hour: str) -> None:
    silent = Sound(volume=0.0, night_volume=0.0, alarm_volume=0.3)
    for signal in Signal:
        assert volume_of(signal, silent, at(hour), ClockState.TRUSTED) == (0.3 if signal in ALWAYS_HEARD else 0.0)
    assert frozenset({Signal.ALARM}) == ALWAYS_HEARD


@given(st.floats(0, 1))
def test_a_duty_gives_the_sound_pressure_that_was_asked_for(volume: float) -> None:
    """Measured on the wave itself: the first harmonic of its Fourier series against that of the square wave."""
    duty, wave = duty_of(volume), np.arange(200_000) / 200_000
    assert 0 <= duty <= 0.5
    harmonic = abs(np.sum(np.exp(-2j * np.pi * wave[wave < duty])))
    loudest = abs(np.sum(np.exp(-2j * np.pi * wave[wave < 0.5])))
    assert harmonic / loudest == pytest.approx(volume, abs=1e-4)
