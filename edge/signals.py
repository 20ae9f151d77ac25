"""What people see and hear, as data: a signal for every reason, a light and a sound pattern for every signal. Pure.

Colour is never alone (IEC 60073): no two signals share both rhythm and sound, so that a colour-blind guard tells them apart. The light is
on or off in each of its three colours, never dimmed: dimming would beat with the camera's shutter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from healthcode.terms import Decision, Reason

V = TypeVar("V")
Rgb = tuple[bool, bool, bool]

DARK: Rgb = (False, False, False)
RED: Rgb = (True, False, False)
GREEN: Rgb = (False, True, False)
BLUE: Rgb = (False, False, True)
YELLOW: Rgb = (True, True, False)
WHITE: Rgb = (True, True, True)

SILENT, LOW, MEDIUM, HIGH = 0, 440, 880, 1760
"""Tones of the buzzer in hertz."""


class Signal(StrEnum):
    """What the gate tells the people in front of it."""

    READY = "ready"
    MEASURING = "measuring"
    WAIT = "wait"
    PASS = "pass"  # noqa: S105  a word, not a secret
    YELLOW = "yellow"
    RED = "red"
    INVALID = "invalid"
    FEVER = "fever"
    GUARD = "guard"
    ALARM = "alarm"
    CLOSED = "closed"
    FIRE = "fire"
    IDENTIFY = "identify"


@dataclass(frozen=True)
class Pattern(Generic[V]):
    """Values in turn, each for so many seconds; then again from the start, or `rest` for good."""

    steps: tuple[tuple[V, float], ...]
    rest: V
    repeat: bool

    def value(self, elapsed_s: float) -> V:
        """The value `elapsed_s` after the start."""
        left = self._place(elapsed_s)
        for value, seconds in self.steps:
            if left < seconds:
                return value
            left -= seconds
        return self.rest

    def next_change(self, elapsed_s: float) -> float | None:
        """How many seconds after `elapsed_s` the value may change; None where it never will."""
        left = self._place(elapsed_s)
        for _, seconds in self.steps:
            if left < seconds:
                return None if self.repeat and len(self.steps) == 1 else seconds - left
            left -= seconds
        return None

    def _place(self, elapsed_s: float) -> float:
        length = sum(seconds for _, seconds in self.steps)
        return elapsed_s % length if self.repeat else elapsed_s


@dataclass(frozen=True)
class Row:
    """A signal's light, its sound, and for how many seconds it stands after a verdict before the gate shows its rest again."""

    light: Pattern[Rgb]
    sound: Pattern[int]
    hold_s: float


def _steady(colour: Rgb) -> Pattern[Rgb]:
    return Pattern(((colour, 3600.0),), colour, repeat=True)


def _blink(colour: Rgb, hertz: float, other: Rgb = DARK) -> Pattern[Rgb]:
    return Pattern(((colour, 0.5 / hertz), (other, 0.5 / hertz)), DARK, repeat=True)


def _beeps(count: int, hertz: int, seconds: float) -> Pattern[int]:
    return Pattern(((hertz, seconds), (SILENT, seconds)) * count, SILENT, repeat=False)


_NONE: Pattern[int] = Pattern((), SILENT, repeat=False)
_RISING = ((LOW, 0.12), (MEDIUM, 0.12), (HIGH, 0.12), (SILENT, 0.2))

TABLE: dict[Signal, Row] = {
    Signal.READY: Row(Pattern(((WHITE, 0.6), (DARK, 1.9)), DARK, repeat=True), _NONE, 0.0),
    Signal.MEASURING: Row(_blink(BLUE, 2), _beeps(1, MEDIUM, 0.08), 12.0),
    Signal.WAIT: Row(_steady(BLUE), _beeps(1, MEDIUM, 0.08), 2.0),
    Signal.PASS: Row(_steady(GREEN), _beeps(1, HIGH, 0.6), 2.0),
    Signal.YELLOW: Row(_blink(YELLOW, 1), _beeps(2, MEDIUM, 0.25), 4.0),
    Signal.RED: Row(_steady(RED), _beeps(3, LOW, 0.25), 4.0),
    Signal.INVALID: Row(_blink(RED, 2), _beeps(1, LOW, 0.8), 4.0),
    Signal.FEVER: Row(_blink(RED, 2, BLUE), Pattern(_RISING * 4, SILENT, repeat=False), 12.0),
    Signal.GUARD: Row(
        Pattern(((YELLOW, 0.15), (DARK, 0.15), (YELLOW, 0.15), (DARK, 1.05)), DARK, repeat=True),
        Pattern(((MEDIUM, 0.08), (SILENT, 0.12), (MEDIUM, 0.08), (SILENT, 4.72)), SILENT, repeat=True),
        10.0,
    ),
    Signal.ALARM: Row(_blink(RED, 5), Pattern(((HIGH, 3600.0),), HIGH, repeat=True), 0.0),
    Signal.CLOSED: Row(Pattern(((RED, 0.1), (DARK, 1.9)), DARK, repeat=True), _NONE, 2.0),
    Signal.FIRE: Row(_blink(WHITE, 1), _NONE, 0.0),
    Signal.IDENTIFY: Row(_blink(WHITE, 5), _beeps(3, HIGH, 0.08), 5.0),
}
"""hw/wiring.md shows the same table. Fire is silent here: the building's alarm has the sound."""

SIGNAL_OF_REASON: dict[Reason, Signal] = {
    Reason.GREEN: Signal.PASS,
    Reason.YELLOW: Signal.YELLOW,
    Reason.RED: Signal.RED,
    Reason.REVOKED: Signal.INVALID,
    Reason.TOO_LONG: Signal.INVALID,
    Reason.PREFIX: Signal.INVALID,
    Reason.BASE45: Signal.INVALID,
    Reason.CBOR: Signal.INVALID,
    Reason.COSE: Signal.INVALID,
    Reason.ALGORITHM: Signal.INVALID,
    Reason.UNKNOWN_KEY: Signal.INVALID,
    Reason.SIGNATURE: Signal.INVALID,
    Reason.CLAIMS: Signal.INVALID,
    Reason.NOT_YET_VALID: Signal.INVALID,
    Reason.EXPIRED: Signal.INVALID,
    Reason.ISSUER_SCOPE: Signal.INVALID,
    Reason.REPLAY: Signal.INVALID,
    Reason.ONE_AT_A_TIME: Signal.WAIT,
    Reason.LANE_LOCKED: Signal.CLOSED,
    Reason.OUT_OF_SERVICE: Signal.CLOSED,
    Reason.LANE_BUSY: Signal.WAIT,
    Reason.FIRE: Signal.FIRE,
    Reason.FEVER_SUSPECTED: Signal.FEVER,
    Reason.FEBRILE: Signal.FEVER,
    Reason.NOT_CLEARED: Signal.GUARD,
    Reason.MEASURING: Signal.MEASURING,
    Reason.WARMING: Signal.GUARD,
    Reason.OUT_OF_RANGE: Signal.GUARD,
    Reason.SENSOR_FAULT: Signal.GUARD,
    Reason.UNSTEADY: Signal.MEASURING,
    Reason.TOO_FAR: Signal.MEASURING,
    Reason.IMPLAUSIBLE: Signal.MEASURING,
    Reason.LIST_MISSING: Signal.GUARD,
    Reason.TRUST_MISSING: Signal.GUARD,
    Reason.STATEMENT_STALE: Signal.GUARD,
    Reason.CLOCK_UNTRUSTED: Signal.GUARD,
    Reason.OUTBOX_FAULT: Signal.GUARD,
}
"""The signal of a reason while it is not the guard's turn: TOO_FAR as a hint is "come closer", as a verdict it calls the guard."""


def signal_of(decision: Decision, reason: Reason) -> Signal:
    """The signal of a verdict: whatever calls the guard shows that, every other reason its own."""
    return Signal.GUARD if decision is Decision.CALL_GUARD else SIGNAL_OF_REASON[reason]
