"""What waits for an answer longer than people were promised: an alert while anything does, which ends when all of it is answered."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from server.store import Store, appeals, events, reviews, to_ms

DEADLINE_S = 48 * 3600.0
"""Within so long whoever waits for an officer has an answer, in seconds: August 2021, decided within 48 hours."""
LOOK_S = 60.0
"""How often it is looked at, in seconds."""
APPEALS_OVERDUE = "appeals_overdue"
"""The alert that requests for conversion wait beyond their deadline."""
REVIEWS_OVERDUE = "reviews_overdue"
"""The alert that reviews do, claims on residents among them."""

Overdue = tuple[str, int]
"""What waits beyond its deadline, in words, and when the first of it was due in milliseconds."""


class Deadlines:
    """Watches what waits. `now` gives seconds since 1970."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._looked = float("-inf")

    def step(self) -> None:
        """Looks, where a minute has passed."""
        at = self._now()
        if self._looked <= at < self._looked + LOOK_S:
            return
        self._looked = at
        self.look(at)

    def look(self, at: float) -> None:
        """Raises, tells anew or ends each alert as things stand at `at`; nothing is written where it says so already."""
        at_ms = to_ms(at)
        with self._store.read() as tx:
            told = _told(tx)
            found = {name: _detail(overdue, at_ms) for name, overdue in _find(tx, at_ms).items()}
        if told == {name: detail for name, detail in found.items() if detail}:
            return
        with self._store.write() as tx:
            for name, overdue in _find(tx, at_ms).items():
                detail = _detail(overdue, at_ms)
                if not detail:
                    events.end_alert(tx, name, "")
                elif detail != told.get(name):
                    events.raise_alert(tx, name, "", detail, at_ms)


def _find(tx: Connection, at_ms: int) -> dict[str, Overdue]:
    """What is overdue, by the name of its alert; no words where nothing is."""
    requests, first_ms = appeals.count_overdue(tx, at_ms)
    late = reviews.count_received(tx, at_ms - to_ms(DEADLINE_S))
    words = ", ".join(f"{kind} {count}" for kind, (count, _) in sorted(late.items()))
    oldest_ms = min((received_ms for _, received_ms in late.values()), default=0)
    return {
        APPEALS_OVERDUE: (f"requests for conversion: {requests}" if requests else "", first_ms or 0),
        REVIEWS_OVERDUE: (f"reviews: {words}" if words else "", oldest_ms + to_ms(DEADLINE_S)),
    }


def _detail(overdue: Overdue, at_ms: int) -> str:
    words, first_ms = overdue
    return f"{words} wait beyond 48 hours, the longest since {(at_ms - first_ms) // 3_600_000} h" if words else ""


def _told(tx: Connection) -> dict[str, str]:
    return {name: detail for name, _, _, detail in events.list_alerts(tx) if name in (APPEALS_OVERDUE, REVIEWS_OVERDUE)}
