"""What time it is, and how far the unit believes it. Pure: two clocks are passed in, nothing is asked.

Only a `time` key's answer to a nonce of our own is evidence. Such an answer anchors our time to the monotonic clock and moves the floor,
below which it can never be. An answer over 48 h past the floor must be confirmed by another one ten minutes later. The system's time
(NTP, a battery clock, the last shutdown) is used while there is no anchor, and distrusted where it lies below the floor or over 60 s
away from what was signed. Tokens and lists never move anything here.

    UNTRUSTED   no floor yet; nothing signed since the start and the system's time over 60 s below the floor; a system that follows a
                network's time disagrees with the newest signed time; or a jump waits for its confirmation
    HOLDOVER    the system's time is possible, but nothing signed since the start, or not for a day
    TRUSTED     an answer within the last day, and the system agrees
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from healthcode.messages import TimeAnswer
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


class AnswerOutcome(StrEnum):
    """What became of a verified time answer."""

    TAKEN = "TAKEN"
    HELD = "HELD"
    NOT_ASKED = "NOT_ASKED"
    LATE = "LATE"
    BEHIND = "BEHIND"


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
    """The state. `floor` is on disk; `system` follows the operating system's clock; `jump` waits for its confirmation.

    `is_synchronised`: the operating system says that its clock follows a network's time. One that does not may be wrong without saying
    anything about the signed time, as on a Pi without battery clock or time server.
    """

    floor: float | None
    system: Anchor
    signed: Anchor | None = None
    jump: Anchor | None = None
    nonce: str | None = None
    asked_at: float = 0.0
    asks: int = 0
    is_synchronised: bool = False

    def now(self, mono: float) -> float:
        """Seconds since 1970: the signed time where there is one, else the system's."""
        return (self.signed or self.system).at(mono)

    def state(self, mono: float) -> ClockState:
        """How far `now` is to be believed."""
        system = self.system.at(mono)
        newest = self.jump or self.signed
        if self.floor is None or (newest is None and system < self.floor - DISAGREE_S):
            return ClockState.UNTRUSTED
        if newest is not None and self.is_synchronised and abs(system - newest.at(mono)) > DISAGREE_S:
            return ClockState.UNTRUSTED
        if self.jump is not None and abs(self.now(mono) - self.jump.at(mono)) > DISAGREE_S:
            return ClockState.UNTRUSTED
        if self.signed is None or mono - self.signed.mono > TRUSTED_FOR_S:
            return ClockState.HOLDOVER
        return ClockState.TRUSTED

    def tick(self, mono: float, system: float, is_synchronised: bool) -> Timekeeper:
        """Takes in what the operating system says now."""
        return replace(self, system=Anchor(system, mono), is_synchronised=is_synchronised)

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
            return replace(keeper, asks=self.asks), AnswerOutcome.BEHIND
        expected = self.signed.at(mono) if self.signed is not None else self.floor
        if expected is not None and said.wall - expected > JUMP_S:
            return keeper._consider(said)
        return replace(keeper, signed=said, jump=None, floor=max(said.wall, self.floor or 0.0)), AnswerOutcome.TAKEN

    def reset(self, wall: float) -> Timekeeper:
        """Lowers the floor to `wall`, as a reset says that is signed by the root and names this unit; the caller has checked that."""
        return replace(self, floor=wall, signed=None, jump=None, nonce=None, asks=0)

    def _consider(self, said: Anchor) -> tuple[Timekeeper, AnswerOutcome]:
        first = self.jump
        if first is None or abs(first.at(said.mono) - said.wall) > DISAGREE_S:
            return replace(self, jump=said), AnswerOutcome.HELD
        if said.mono - first.mono < CONFIRM_AFTER_S:
            return self, AnswerOutcome.HELD
        return replace(self, signed=said, jump=None, floor=said.wall), AnswerOutcome.TAKEN
