"""How many residents of each district have which colour, day by day: counted in the background, so that no page counts everybody.

A count reads one state of the database and locks nobody out. The last count of a day stays as that day's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date

from server.identity import day_of
from server.store import Store, counts, to_ms
from server.store.counts import CountedRow

AGAIN_MS = 3_600_000
"""A count is made anew after so long although no ruling is new: people move to other districts."""


@dataclass(frozen=True)
class Series:
    """Counts over time: `people` by (day, colour or `pending`), for the days that were counted."""

    days: tuple[date, ...]
    people: dict[tuple[date, str], int]


@dataclass(frozen=True)
class DayCount:
    """A day's counts by (district, colour or `pending`), and when they were made (seconds since 1970)."""

    day: date
    at: float
    people: dict[tuple[str, str], int]


class Counts:
    """The daily counts. `now` gives seconds since 1970."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def refresh(self) -> bool:
        """Counts everybody for today, where anything changed since the last count; whether it did."""
        at = self._now()
        today = day_of(at).isoformat()
        with self._store.read() as tx:
            before = counts.find_counted(tx, today)
            if before is not None and before.ruling == counts.newest_ruling(tx) and to_ms(at) - before.counted_ms < AGAIN_MS:
                return False
            ruling, people = counts.count_everybody(tx)
        with self._store.write() as tx:
            counts.put_day(tx, CountedRow(today, to_ms(at), ruling), people)
        return True

    def series(self, since: date, until: date, districts: Collection[str] = ()) -> Series:
        """The counts of the days from `since` to `until`, of these districts together, of all where none are named."""
        first, last = since.isoformat(), until.isoformat()
        with self._store.read() as tx:
            days = counts.list_days(tx, first, last)
            people = counts.sum_by_day(tx, first, last, districts)
        return Series(
            tuple(date.fromisoformat(day) for day in days),
            {(date.fromisoformat(day), colour): count for (day, colour), count in people.items()},
        )

    def newest(self) -> DayCount | None:
        """The last count; None before the first."""
        with self._store.read() as tx:
            found = counts.newest_counted(tx)
            if found is None:
                return None
            return DayCount(date.fromisoformat(found.day), found.counted_ms / 1000, counts.list_day(tx, found.day))
