"""Whose turn it is to be sent what they fetch, and when: so that news never waits behind snapshots. Pure, no clock.

What all units hear (deltas, heads) goes out at once; what one of them asks for waits here and goes out one answer at a time, at no more
than a rate that leaves the line half empty. Then a delta finds one chunk before it on the line, not one for each unit that fetches.
Ranges go before chunks: who misses a few deltas is nearly in step. But after so many ranges a chunk has its turn: a unit that asks for
ranges without end, which is not answered but takes its turns, must not keep all others from their snapshots. Each unit has one turn in each
round, however many lists it fetches, and one place for each: what it asks again takes the place of what it asked before, so a unit that is
kept waiting is not answered twice.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from healthcode.messages import ChunkRequest, RangeRequest

MOST_EACH = 32
"""Requests of one unit that wait, of each kind: more than the lists that a unit holds."""
MOST_UNITS = 50_000
RANGES_IN_A_ROW = 8
"""Ranges that go before a chunk which waits."""
CATCH_UP_S = 0.05
"""A thread that was held up for so long makes up for it; what was not used before that is gone."""

Fetch = RangeRequest | ChunkRequest


@dataclass
class _Round:
    """Units in the order of their turns, each with what it asked of each list."""

    units: OrderedDict[str, OrderedDict[str, Fetch]] = field(default_factory=OrderedDict)

    def put(self, unit: str, request: Fetch) -> bool:
        if unit not in self.units and len(self.units) >= MOST_UNITS:
            return False
        asked = self.units.setdefault(unit, OrderedDict())
        if request.uri not in asked and len(asked) >= MOST_EACH:
            return False
        asked[request.uri] = request
        return True

    def take(self) -> tuple[str, Fetch]:
        unit, asked = self.units.popitem(last=False)
        _, request = asked.popitem(last=False)
        if asked:
            self.units[unit] = asked
        return unit, request


class Turns:
    """What waits to be fetched. Times are monotonic seconds."""

    def __init__(self, mbit: float) -> None:
        """`mbit`: megabits a second."""
        self._bytes_per_s = mbit * 1e6 / 8
        self._ranges, self._chunks = _Round(), _Round()
        self._in_a_row = 0
        self._free_at = float("-inf")

    def put(self, unit: str, request: Fetch) -> bool:
        """`request` waits from now on; False where too much does."""
        return (self._ranges if isinstance(request, RangeRequest) else self._chunks).put(unit, request)

    def take(self, at: float) -> tuple[str, Fetch] | None:
        """Who is to be answered now; None where nobody is."""
        ranges, chunks = bool(self._ranges.units), bool(self._chunks.units)
        if at < self._free_at or not (ranges or chunks):
            return None
        if ranges and not (chunks and self._in_a_row >= RANGES_IN_A_ROW):
            self._in_a_row += 1
            return self._ranges.take()
        self._in_a_row = 0
        return self._chunks.take()

    def sent(self, amount: int, at: float) -> None:
        """`amount` bytes went out; what is next has its turn when the line would be through with them."""
        self._free_at = max(self._free_at, at - CATCH_UP_S) + amount / self._bytes_per_s

    def wait_s(self, at: float) -> float | None:
        """How long until somebody has a turn; None while nobody waits."""
        return max(0.0, self._free_at - at) if self._ranges.units or self._chunks.units else None
