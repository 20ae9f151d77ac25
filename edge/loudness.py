"""How loud the buzzer is: by day, at night, and for what must always be heard. Pure.

A buzzer is a square wave; its loudness is its duty cycle. The fundamental of a wave of duty d has the amplitude sin(pi d) of the greatest
(Fourier), which it has at one half. So a volume v, a share of the sound pressure, needs the duty asin(v) / pi.
"""

from __future__ import annotations

import math
from datetime import datetime
from zoneinfo import ZoneInfo

from edge import config
from edge.signals import Signal
from healthcode.terms import ClockState

ALWAYS_HEARD = frozenset({Signal.ALARM})
"""Signals that no setting and no night makes quieter than `alarm_volume`."""


def is_night(sound: config.Sound, at: float) -> bool:
    """Whether the local time at `at` (seconds since 1970) lies in the night; a night may span midnight, and one without length is none."""
    now = datetime.fromtimestamp(at, ZoneInfo(sound.zone)).strftime("%H:%M")
    if sound.night_from <= sound.night_until:
        return sound.night_from <= now < sound.night_until
    return now >= sound.night_from or now < sound.night_until


def volume_of(signal: Signal, sound: config.Sound, at: float, clock: ClockState) -> float:
    """The volume of `signal`, 0 to 1. A unit that does not know the time plays as by day: rather too loud at night than unheard by day."""
    return volume_by(signal, sound, at_night=clock is not ClockState.UNTRUSTED and is_night(sound, at))


def volume_by(signal: Signal, sound: config.Sound, *, at_night: bool) -> float:
    """The volume of `signal` by day or at night."""
    volume = sound.night_volume if at_night else sound.volume
    return max(volume, sound.alarm_volume) if signal in ALWAYS_HEARD else volume


def duty_of(volume: float) -> float:
    """The duty cycle, 0 to 0.5, that gives `volume`, a share of the greatest sound pressure."""
    return math.asin(volume) / math.pi
