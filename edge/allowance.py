"""How many events a stranger may cause: a bucket that fills slowly, so that two printed codes cannot fill a disk. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

BURST = 30
"""Refusals in a row that are all recorded."""
PER_S = 0.25
"""How many a second are recorded in the long run, each with a note of those that were not: eleven days to half a million rows."""


@dataclass(frozen=True)
class Allowance:
    """`left` events may be recorded at `at` (monotonic seconds); `missed` were not since the last one that was."""

    left: float = BURST
    at: float = 0.0
    missed: int = 0

    def take(self, at: float) -> tuple[Allowance, bool]:
        """The allowance after an event at `at`, and whether that one is recorded."""
        filled = min(BURST, self.left + max(0.0, at - self.at) * PER_S)
        if filled < 1:
            return Allowance(filled, at, self.missed + 1), False
        return Allowance(filled - 1, at, self.missed), True

    def reported(self) -> Allowance:
        """The allowance after it was said how many were missed."""
        return replace(self, missed=0)
