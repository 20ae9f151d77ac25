"""What is kept how long: passes 14 days by default, and all else that is not needed any more. The audit log stays.

The server's rounds call `step`; each works for a moment and says whether more waits. What goes is overwritten (SQLite: secure_delete),
and its pages are used again or given back.
"""

from __future__ import annotations

from collections.abc import Callable

from server import audit
from server.actors import BY_RULES
from server.audit import Action
from server.config import Privacy
from server.store import Store, fleet, retention, to_ms

SLICE = 1000
"""Rows that one step deletes of each kind: some tens of milliseconds."""
EVERY_S = 60.0
"""How often it is asked whether anything is due, in seconds."""
PAGES = 2000
"""SQLite pages that one step gives back: 8 MB."""
_DAY_MS = 86_400_000


class Retention:
    """Deletes on time. `now` gives seconds since 1970."""

    def __init__(self, store: Store, settings: Privacy, now: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._now = now
        self._next = float("-inf")

    def step(self) -> bool:
        """Deletes a slice of what is over; whether more waits."""
        at = self._now()
        if self._next - EVERY_S <= at < self._next:
            return False
        with self._store.write() as tx:
            at_ms, keep = to_ms(at), self._settings
            passes = at_ms - keep.passes_days * _DAY_MS
            gone: dict[str, str | int] = {
                "passes": retention.purge_passes(tx, passes, at_ms, SLICE),
                "events": retention.purge_other_events(tx, at_ms - keep.events_days * _DAY_MS, SLICE),
                "quarantine": retention.purge_quarantine(tx, passes, SLICE),
                "codes": retention.purge_issues(tx, passes, SLICE),
                "claims": retention.purge_claims(tx, at_ms - keep.papers_days * _DAY_MS, SLICE),
                "reports": retention.purge_submissions(tx, at_ms - keep.papers_days * _DAY_MS, SLICE),
                "papers": retention.purge_papers(tx, at_ms - keep.papers_days * _DAY_MS, SLICE),
            }
            retention.purge_fevers(tx, at_ms - _DAY_MS)
            fleet.purge_hours(tx, at_ms - keep.events_days * _DAY_MS)
            found = {name: count for name, count in gone.items() if count}
            if found:
                audit.append(tx, BY_RULES, Action.PURGED, "retention", found, at)
            has_more = SLICE in gone.values() or retention.give_back_pages(tx, PAGES) > PAGES
        if not has_more:
            self._next = at + EVERY_S
        return has_more
