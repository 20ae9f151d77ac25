"""What the dialogue with the server says to the clock: time answers and resets, verified first. Nothing else moves its floor.

A time answer is signed by a `time` key and counts at the floor's time and by a trust list of any age: a wrong clock must not lock out its
own cure. A reset is signed by a root. Both must name this unit. A reset comes over the link, retained, or as a letter in the data folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge.clock import Clock, ResetLetter
from edge.linkwords import ClockAnswered, ClockWasReset
from edge.timekeeping import AnswerOutcome, ResetOutcome, told
from healthcode import signed
from healthcode.messages import ClockReset, TimeAnswer
from healthcode.signed import SignedFault
from healthcode.trust import KeyRing

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
"""How often it is looked for a letter."""

Complain = Callable[[str, str], None]
"""Counts what is wrong under a stable name, and logs one line about it now and then."""


class ClockTalk:
    """One unit's. `read` gives a reset that a root signed; `complain` hears of everything that does not count."""

    def __init__(
        self, unit: str, clock: Clock, read: Callable[[bytes], ClockReset | SignedFault], letter: ResetLetter | None, complain: Complain
    ) -> None:
        self._unit = unit
        self._clock = clock
        self._read = read
        self._letter = letter
        self._complain = complain
        self._look_at = float("-inf")

    def answer(self, payload: bytes, ring: KeyRing | None, at: float) -> ClockAnswered | None:
        """A time answer came at `at` (monotonic seconds); None where it is not one, or not ours."""
        found = SignedFault.UNKNOWN_KEY if ring is None else signed.read(payload, TimeAnswer, ring, self._clock.floor or 0.0)
        if isinstance(found, SignedFault):
            self._complain(f"time_{found.value}", f"time: not accepted: {found.value}")
            return None
        if found.message.unit != self._unit:
            self._complain("time_unit", f"time answer for unit {found.message.unit}: expected {self._unit}")
            return None
        outcome = self._clock.answer(found.message)
        doubt = self._clock.doubt() if outcome in (AnswerOutcome.HELD, AnswerOutcome.BEHIND) else ""
        if doubt:
            self._complain(f"time_answer_{outcome.value}", doubt)
        if self._clock.disk_error:
            self._complain("floor_disk", self._clock.disk_error)
        return ClockAnswered(outcome, at, doubt)

    def reset(self, payload: bytes, at: float) -> ClockWasReset | None:
        """A reset came at `at`; None where it changes nothing. OSError where the disk does not take it, and it does not count."""
        reset = self._read(payload)
        if isinstance(reset, SignedFault):
            self._complain(f"reset_{reset.value}", f"clock reset: not accepted: {reset.value}")
            return None
        if reset.unit != self._unit:
            self._complain("reset_unit", f"clock reset for unit {reset.unit}: expected {self._unit}")
            return None
        before, serial = self._clock.floor, self._clock.serial
        match self._clock.reset(reset):
            case ResetOutcome.TAKEN:
                was = "there was none" if before is None else f"it was {told(before)}"
                detail = f"the clock's floor is {told(reset.floor)} by reset {reset.serial}; {was}"
                log.warning("%s", detail)
                return ClockWasReset(detail, at)
            case ResetOutcome.OLD if reset.serial < serial:  # the one that was taken stays on its topic
                self._complain("reset_OLD", f"clock reset {reset.serial}: expected a serial above {serial}")
            case ResetOutcome.NOT_LOWER:
                self._complain("reset_NOT_LOWER", f"clock reset {reset.serial} to {told(reset.floor)}: expected a time below the floor")
            case ResetOutcome.OLD:
                pass
        return None

    def letter(self, at: float) -> bytes | None:
        """A reset that somebody left in the data folder."""
        if self._letter is None or at < self._look_at:
            return None
        self._look_at = at + LOOK_EVERY_S
        return self._letter.take()
