"""What time it is, and how far the unit believes it. Pure: two clocks are passed in, nothing is asked.

Only a `time` key's answer to a nonce of our own is evidence. Such an answer anchors our time to the monotonic clock and moves the floor,
below which it can never be. Answers that together lie over 48 h ahead of the floor, or of the first answer since the start, must be
confirmed by another one ten minutes later. The system's time (NTP, a battery clock, the last shutdown) is used while there is no anchor,
and distrusted where it lies below the floor, was put back, or is over 60 s away from what was signed. Tokens and lists never move anything
here. Only a reset that the root signed for this unit lowers the floor, once each.

    UNTRUSTED   there is a `doubt`: no floor yet; a system behind the floor, put back, or following a network's time that disagrees with
                the newest signed time; a jump that waits for its confirmation; a time key that says less than one said before
    HOLDOVER    no doubt, but nothing signed since the start, or not for a day
    TRUSTED     no doubt, and an answer within the last day
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from healthcode.messages import ClockReset, TimeAnswer, stamp
from healthcode.terms import ClockState

DISAGREE_S = 60.0
JUMP_S = 48 * 3600.0
CONFIRM_AFTER_S = 600.0
"""DESIGN, Time: how far the system may be off, what a jump is, and when its second answer counts."""
ANSWER_WITHIN_S = 10.0
"""An answer that took longer says too little about now; its time is taken to be half the way back."""
ASK_EVERY_S = 900.0
ASK_AGAIN_S = 5.0
ASK_AGAIN_MOST_S = 120.0
TRUSTED_FOR_S = 86_400.0
"""A crystal of a Pi is off by at most 100 ppm: 9 s in a day."""


LAST = 253_402_300_799.0
"""The end of the year 9999, the last second that can be written as a date."""


class AnswerOutcome(StrEnum):
    """What became of a verified time answer."""

    TAKEN = "TAKEN"
    HELD = "HELD"
    NOT_ASKED = "NOT_ASKED"
    LATE = "LATE"
    BEHIND = "BEHIND"


class ResetOutcome(StrEnum):
    """What became of a verified reset that names this unit."""

    TAKEN = "TAKEN"
    OLD = "OLD"
    NOT_LOWER = "NOT_LOWER"


@dataclass(frozen=True)
class Anchor:
    """At `mono` (monotonic seconds) it was `wall` (seconds since 1970)."""

    wall: float
    mono: float

    def at(self, mono: float) -> float:
        """The wall time at `mono`."""
        return self.wall + (mono - self.mono)


@dataclass(frozen=True)
class Timekeeper:
    """The state. `floor` and `serial`, the number of the last reset, are on disk; `system` follows the operating system's clock.

    `furthest` is the latest that the system's clock has said since the start. `base` is what jumps are measured from: the first answer, and
    each that was confirmed. `jump` waits for its confirmation; `behind` is the newest answer that said less than the floor.
    `is_synchronised`: the operating system says that its clock follows a network's time. One that does not may be wrong without saying
    anything about the signed time, as on a Pi without battery clock or time server.
    """

    floor: float | None
    system: Anchor
    serial: int = 0
    furthest: Anchor | None = None
    base: Anchor | None = None
    signed: Anchor | None = None
    jump: Anchor | None = None
    behind: Anchor | None = None
    nonce: str | None = None
    asked_at: float = 0.0
    asks: int = 0
    is_synchronised: bool = False

    def now(self, mono: float) -> float:
        """Seconds since 1970: the signed time where there is one, else the system's."""
        return (self.signed or self.system).at(mono)

    def state(self, mono: float) -> ClockState:
        """How far `now` is to be believed."""
        if self.doubt(mono):
            return ClockState.UNTRUSTED
        if self.signed is None or mono - self.signed.mono > TRUSTED_FOR_S:
            return ClockState.HOLDOVER
        return ClockState.TRUSTED

    def doubt(self, mono: float) -> str:
        """Why `now` is not to be believed, one line for people that stays the same while nothing changes; empty where it may be."""
        system, newest = self.system.at(mono), self.jump or self.signed
        if self.floor is None:
            return "no time server has ever answered"
        if self.behind is not None:
            return f"the time server says {told(self.behind.wall)}, and has said {told(self.floor)} before"
        if newest is not None and self.is_synchronised and abs(system - newest.at(mono)) > DISAGREE_S:
            return f"the system's clock, which follows a time server, and the signed time are {span(system - newest.at(mono))} apart"
        if self.jump is not None and abs(self.now(mono) - self.jump.at(mono)) > DISAGREE_S:
            return f"the time server said {told(self.jump.wall)}, {span(self.jump.at(mono) - self.now(mono))} ahead, not confirmed yet"
        if newest is None and system < self.floor - DISAGREE_S:
            return f"the system's clock is before {told(self.floor)}, which the time server has said"
        if newest is None and self.furthest is not None and system < self.furthest.at(mono) - DISAGREE_S:
            return f"the system's clock was put back by {span(self.furthest.at(mono) - system)}"
        return ""

    def tick(self, mono: float, system: float, is_synchronised: bool) -> Timekeeper:
        """Takes in what the operating system says now."""
        furthest = self.furthest or self.system
        if system >= furthest.at(mono):
            furthest = Anchor(system, mono)
        return replace(self, system=Anchor(system, mono), furthest=furthest, is_synchronised=is_synchronised)

    def due(self, mono: float) -> float:
        """The monotonic time at which the next question is to be asked."""
        if self.nonce is not None or self.asks:
            return self.asked_at + min(ASK_AGAIN_MOST_S, ASK_AGAIN_S * 2.0 ** max(0, self.asks - 1))
        if self.jump is not None:
            return self.jump.mono + CONFIRM_AFTER_S
        return mono if self.signed is None else self.signed.mono + ASK_EVERY_S

    def ask(self, mono: float, nonce: str) -> Timekeeper:
        """A question with this fresh nonce goes out now; answers to earlier ones no longer count."""
        return replace(self, nonce=nonce, asked_at=mono, asks=min(self.asks + 1, 16))

    def connected(self) -> Timekeeper:
        """A new connection: a question that was under way is lost, and need not wait to be asked again."""
        return replace(self, nonce=None, asks=0)

    def answer(self, answer: TimeAnswer, mono: float) -> tuple[Timekeeper, AnswerOutcome]:
        """Takes in a verified answer that names this unit."""
        if self.nonce is None or answer.nonce != self.nonce:
            return self, AnswerOutcome.NOT_ASKED
        took = mono - self.asked_at
        if took > ANSWER_WITHIN_S:
            return replace(self, nonce=None), AnswerOutcome.LATE
        keeper = replace(self, nonce=None, asks=0)
        said = Anchor(answer.at_ms / 1000 + took / 2, mono)
        if self.floor is not None and said.wall < self.floor - DISAGREE_S:
            return replace(keeper, asks=self.asks, behind=said), AnswerOutcome.BEHIND
        expected = self.base.at(mono) if self.base is not None else self.floor
        if expected is not None and said.wall - expected > JUMP_S:
            return keeper._consider(said)
        return keeper._taken(said, self.base or said), AnswerOutcome.TAKEN

    def reset(self, reset: ClockReset, mono: float) -> tuple[Timekeeper, ResetOutcome]:
        """Takes in a reset that the root signed and that names this unit; the caller has checked both.

        Each counts once: its serial must be above that of the last one. What the system's clock said is forgotten with the rest.
        """
        if reset.serial <= self.serial:
            return self, ResetOutcome.OLD
        if self.floor is not None and reset.floor >= self.floor:
            return self, ResetOutcome.NOT_LOWER
        system = Anchor(self.system.at(mono), mono)
        return Timekeeper(float(reset.floor), system, serial=reset.serial, is_synchronised=self.is_synchronised), ResetOutcome.TAKEN

    def _taken(self, said: Anchor, base: Anchor) -> Timekeeper:
        return replace(self, signed=said, base=base, jump=None, behind=None, floor=max(said.wall, self.floor or 0.0))

    def _consider(self, said: Anchor) -> tuple[Timekeeper, AnswerOutcome]:
        first = self.jump
        if first is None or abs(first.at(said.mono) - said.wall) > DISAGREE_S:
            return replace(self, jump=said, behind=None), AnswerOutcome.HELD
        if said.mono - first.mono < CONFIRM_AFTER_S:
            return self, AnswerOutcome.HELD
        return self._taken(said, said), AnswerOutcome.TAKEN


def told(wall: float) -> str:
    """`wall`, seconds since 1970, as a date and time in UTC that people read."""
    return f"{stamp(min(max(wall, 0.0), LAST)):%Y-%m-%d %H:%M:%S} UTC"


def span(seconds: float) -> str:
    """A length of time as people say it: minutes, hours or days, rounded."""
    size = abs(seconds)
    if size < 2 * 3600:
        return f"{size / 60:.0f} min"
    return f"{size / 3600:.0f} h" if size < 2 * 86_400 else f"{size / 86_400:.0f} days"
