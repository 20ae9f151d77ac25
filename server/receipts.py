"""How soon a unit is told what the database holds of its events, so that it cannot have the server tell it without end. Pure, no clock.

A watermark says all that is held of a unit's boots, so the newest makes every one before it needless: where a unit has been told much, the
next waits, and says more. One with many gaps is tens of kilobytes long, and a unit that means harm asks for it by an event of 150 bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from healthcode.budget import HOUR_S, LEAST

AT_ONCE = 128 * 1024
"""Bytes that a unit which was told nothing for long may be told without a pause."""
PER_S = LEAST / HOUR_S
"""Bytes a second in the long run: in an hour as much as a unit may have of the shortest list. An ordinary watermark is 250 bytes."""


class Receipts:
    """Which units are owed a watermark, and which of them may have it now. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._owed: OrderedDict[str, None] = OrderedDict()
        self._told: dict[str, tuple[float, float]] = {}

    def owe(self, units: Iterable[str]) -> None:
        """Their events have come."""
        self._owed.update(dict.fromkeys(units))

    def forget(self, units: Iterable[str]) -> None:
        """They are told nothing any more: they were retired."""
        for unit in units:
            self._owed.pop(unit, None)

    def due(self, at: float) -> list[str]:
        """Whose watermark may go now, those who have waited longest first."""
        return [unit for unit in self._owed if self._weight(unit, at) < AT_ONCE]

    def sent(self, unit: str, amount: int, at: float) -> None:
        """A watermark of `amount` bytes went out."""
        self._owed.pop(unit, None)
        self._told[unit] = (self._weight(unit, at) + amount, at)

    def _weight(self, unit: str, at: float) -> float:
        """Bytes that count as told just now: what was told, less what time has made good."""
        weight, since = self._told.get(unit, (0.0, at))
        return max(0.0, weight - (at - since) * PER_S)
