"""How often somebody may ask for what is dear to make: so many at once, then so many a minute. Held in memory, for one process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

MOST_KEYS = 10_000
"""Whoever has been quiet for longest is forgotten first."""


@dataclass(frozen=True)
class Rate:
    """`burst` at once, and `a_minute` from then on."""

    burst: int
    a_minute: float


class Rates:
    """Buckets by key, each filled anew with time."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._turn = threading.Lock()

    def take(self, key: str, at: float) -> float:
        """0 where `key` may at `at` (seconds; a clock that goes back gives nothing), and it counts; else how many seconds to wait."""
        with self._turn:
            left, since = self._held.pop(key, (float(self._rate.burst), at))
            left = min(float(self._rate.burst), left + max(0.0, at - since) * self._rate.a_minute / 60)
            may = left >= 1
            self._held[key] = (left - 1 if may else left, at)
            if len(self._held) > MOST_KEYS:
                self._held.popitem(last=False)
        return 0.0 if may else (1 - left) * 60 / self._rate.a_minute
