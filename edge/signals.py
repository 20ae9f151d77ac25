"""What people see and hear, as data: a signal for every reason, a light and a sound pattern for every signal. Pure.

Colour is never alone (IEC 60073), and here it is not even needed: every light has a rhythm of its own, told from all others by its number
of flashes or by a flash or pause twice as long. Only `pass` stays lit; whatever goes out within a second is not a pass, for whoever sees no
colours and for a lamp of which one colour is dead. The light is on or off in each of its three colours, never dimmed: dimming would beat
with the camera's shutter.
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


def _flashes(lit: tuple[tuple[Rgb, float], ...], dark_s: float, pause_s: float = 0.0) -> Pattern[Rgb]:
    """Flashes with `dark_s` after each, and `pause_s` more after the last."""
    steps = tuple(step for flash in lit for step in (flash, (DARK, dark_s)))
    return Pattern((*steps[:-1], (DARK, dark_s + pause_s)), DARK, repeat=True)


def _beeps(count: int, hertz: int, seconds: float) -> Pattern[int]:
    return Pattern(((hertz, seconds), (SILENT, seconds)) * count, SILENT, repeat=False)


_NONE: Pattern[int] = Pattern((), SILENT, repeat=False)
_RISING = ((LOW, 0.12), (MEDIUM, 0.12), (HIGH, 0.12), (SILENT, 0.2))

TABLE: dict[Signal, Row] = {
    Signal.READY: Row(_flashes(((WHITE, 0.6),), 1.9), _NONE, 0.0),
    Signal.MEASURING: Row(_flashes(((BLUE, 0.25),), 0.25), _beeps(1, MEDIUM, 0.08), 12.0),
    Signal.WAIT: Row(_flashes(((BLUE, 0.2),), 0.8), _beeps(1, MEDIUM, 0.08), 2.0),
    Signal.PASS: Row(_steady(GREEN), _beeps(1, HIGH, 0.6), 2.0),
    Signal.YELLOW: Row(_flashes(((YELLOW, 0.5),), 0.5), _beeps(2, MEDIUM, 0.25), 4.0),
    Signal.RED: Row(_flashes(((RED, 0.8),), 0.2), _beeps(3, LOW, 0.25), 4.0),
    Signal.INVALID: Row(_flashes(((RED, 0.5), (RED, 0.15)), 0.15, 0.05), _beeps(1, LOW, 0.8), 4.0),
    Signal.FEVER: Row(
        _flashes(((RED, 0.15), (BLUE, 0.15), (RED, 0.15), (BLUE, 0.15)), 0.1, 0.5), Pattern(_RISING * 4, SILENT, repeat=False), 12.0
    ),
    Signal.GUARD: Row(
        _flashes(((YELLOW, 0.15), (YELLOW, 0.15)), 0.15, 0.9),
        Pattern(((MEDIUM, 0.08), (SILENT, 0.12), (MEDIUM, 0.08), (SILENT, 4.72)), SILENT, repeat=True),
        10.0,
    ),
    Signal.ALARM: Row(_flashes(((RED, 0.1),), 0.1), Pattern(((HIGH, 3600.0),), HIGH, repeat=True), 0.0),
    Signal.CLOSED: Row(_flashes(((RED, 0.1),), 1.9), _NONE, 2.0),
    Signal.FIRE: Row(_flashes(((WHITE, 0.5), (WHITE, 0.5), (WHITE, 0.5)), 0.5, 1.0), _NONE, 0.0),
    Signal.IDENTIFY: Row(_flashes(((WHITE, 0.1), (WHITE, 0.1), (WHITE, 0.6)), 0.2, 0.1), _beeps(3, HIGH, 0.08), 5.0),
}
"""docs/signals.svg shows the same. Fire has the rhythm of ISO 8201 (evacuate) and no sound: the building's alarm has that."""

WORDS: dict[Signal, tuple[str, str]] = {
    Signal.READY: ("show your code", "就绪，请出示健康码"),
    Signal.MEASURING: ("being measured: come closer, hold still", "正在测温，请靠近并保持不动"),
    Signal.WAIT: ("one person at a time", "请稍候，逐人通行"),
    Signal.PASS: ("go through", "请通行"),
    Signal.YELLOW: ("yellow code: no entry", "黄码，不能通行"),
    Signal.RED: ("red code: no entry", "红码，不能通行"),
    Signal.INVALID: ("code not valid: no entry", "健康码无效，不能通行"),
    Signal.FEVER: ("suspected: wait for the second measurement or the guard", "疑似发热，请等候复测或工作人员"),
    Signal.GUARD: ("the guard decides, or the unit is in trouble", "请联系工作人员"),
    Signal.ALARM: ("forced, tailgate, held open or housing open", "报警：闯入、尾随、滞留、开箱"),
    Signal.CLOSED: ("lane locked or out of service", "通道已关闭"),
    Signal.FIRE: ("follow the way out", "火警，请按疏散方向离开"),
    Signal.IDENTIFY: ("this is the unit that somebody looks for", "设备定位"),
}
"""What each signal means, in English and Chinese."""

SIGNAL_OF_REASON: dict[Reason, Signal] = {
    Reason.GREEN: Signal.PASS,
    Reason.YELLOW: Signal.YELLOW,
    Reason.RED: Signal.RED,
    Reason.REVOKED: Signal.INVALID,
    Reason.TOO_LONG: Signal.INVALID,
    Reason.PREFIX: Signal.INVALID,
    Reason.BASE45: Signal.INVALID,
    Reason.COMPRESSION: Signal.INVALID,
    Reason.CBOR: Signal.INVALID,
    Reason.COSE: Signal.INVALID,
    Reason.ALGORITHM: Signal.INVALID,
    Reason.UNKNOWN_KEY: Signal.INVALID,
    Reason.SIGNATURE: Signal.INVALID,
    Reason.CLAIMS: Signal.INVALID,
    Reason.NOT_YET_VALID: Signal.INVALID,
    Reason.EXPIRED: Signal.INVALID,
    Reason.ISSUER_SCOPE: Signal.INVALID,
    Reason.POLICY_MISSING: Signal.GUARD,
    Reason.NOT_ACCEPTED: Signal.INVALID,
    Reason.TEST_POSITIVE: Signal.RED,
    Reason.DOSES_MISSING: Signal.INVALID,
    Reason.TOO_RECENT: Signal.INVALID,
    Reason.TOO_OLD: Signal.INVALID,
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


_COLOURS = {DARK: "dark", RED: "red", GREEN: "green", BLUE: "blue", YELLOW: "yellow", WHITE: "white"}
_TONES = {SILENT: "silent", LOW: "low", MEDIUM: "medium", HIGH: "high"}


def light_in_words(light: Pattern[Rgb]) -> str:
    """The light as a sentence would have it: `red 0.8 s, dark 0.2 s`."""
    if len(light.steps) == 1:
        return f"{_COLOURS[light.steps[0][0]]}, steady"
    return _in_words([(_COLOURS[colour], seconds) for colour, seconds in light.steps])


def sound_in_words(sound: Pattern[int]) -> str:
    """The sound likewise: `3 × low 0.25 s, silent 0.25 s`; what repeats says so."""
    if not sound.steps:
        return "none"
    if len(sound.steps) == 1:
        return f"{_TONES[sound.steps[0][0]]}, continuous"
    steps = [(_TONES[hertz], seconds) for hertz, seconds in sound.steps]
    if len(steps) == 2 and not sound.repeat:
        return _in_words(steps[:1])
    words = _in_words(steps)
    return f"{words}, again and again" if sound.repeat else words


def _in_words(steps: list[tuple[str, float]]) -> str:
    """Steps in turn, the shortest group that makes them all said once with how often it comes."""
    for length in range(1, len(steps)):
        times, rest = divmod(len(steps), length)
        if not rest and steps == steps[:length] * times:
            return f"{times} × ({_in_words(steps[:length])})"
    return ", ".join(f"{name} {seconds:g} s" for name, seconds in steps)
