"""What happened at a gate within an hour, counted: verdicts, reasons, temperatures, passages, and how old its lists were. Pure."""

from __future__ import annotations

from math import floor

import msgspec

from healthcode.messages import AnyEvent, PassageEvent, PassEvent, UnitStatus
from healthcode.terms import ClockState, Reason

HOUR_MS = 3_600_000
ALL = ""
"""Stands for all units together."""
AHEAD_MS = 60_000
"""An event so far ahead of the server's time is not dated by its unit's clock."""
BEHIND_MS = 30 * 86_400_000
"""Nor one so old: units keep events for days, not for months."""
BINS_PER_C = 5
NOT_FINAL = (Reason.FEVER_SUSPECTED, Reason.MEASURING)
"""Verdicts that another one follows."""


class Hour(msgspec.Struct, omit_defaults=True):
    """The counts. `body` has the estimated body temperatures by the lower end of their fifth of a degree, such as 36.6.

    `suspected` are first measurements of a fever; the second one is among the reasons. `list_age_s`: the oldest that a list was.
    """

    decisions: dict[str, int] = {}
    reasons: dict[str, int] = {}
    body: dict[str, int] = {}
    passages: dict[str, int] = {}
    suspected: int = 0
    list_age_s: float | None = None

    def count(self, event: AnyEvent) -> None:
        """Counts an event; what is no verdict and no passage changes nothing."""
        if isinstance(event, PassEvent):
            if event.reason in NOT_FINAL:
                self.suspected += event.reason is Reason.FEVER_SUSPECTED
                return
            _add(self.decisions, event.decision.value)
            _add(self.reasons, event.reason.value)
            if event.body_c is not None:
                _add(self.body, bin_of(event.body_c))
        elif isinstance(event, PassageEvent):
            _add(self.passages, event.outcome.value)

    def note_status(self, status: UnitStatus) -> bool:
        """Notes the age of the lists; whether that was news."""
        if status.list_age_s is None or (self.list_age_s is not None and status.list_age_s <= self.list_age_s):
            return False
        self.list_age_s = status.list_age_s
        return True

    def add(self, other: Hour) -> None:
        """Adds another's counts to these."""
        for mine, theirs in (
            (self.decisions, other.decisions),
            (self.reasons, other.reasons),
            (self.body, other.body),
            (self.passages, other.passages),
        ):
            for key, value in theirs.items():
                mine[key] = mine.get(key, 0) + value
        self.suspected += other.suspected
        ages = [age for age in (self.list_age_s, other.list_age_s) if age is not None]
        self.list_age_s = max(ages) if ages else None


def bin_of(celsius: float) -> str:
    """The lower end of the fifth of a degree that a temperature lies in."""
    return f"{floor(celsius * BINS_PER_C + 1e-9) / BINS_PER_C:.1f}"


def hour_of(event: AnyEvent, at_ms: int) -> int:
    """When the hour began that an event belongs to: by the unit's clock where that can be, else by the server's, `at_ms`."""
    event_ms = round(event.at.timestamp() * 1000)
    is_known = event.clock is not ClockState.UNTRUSTED and at_ms - BEHIND_MS <= event_ms <= at_ms + AHEAD_MS
    return start_of(event_ms if is_known else at_ms)


def start_of(at_ms: int) -> int:
    """When the hour of `at_ms` began."""
    return at_ms - at_ms % HOUR_MS


def _add(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
