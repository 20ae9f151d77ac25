"""Queries about all that is held of one resident, as they may take it away. Every function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from server.store.sql import text

_READINGS = text(
    "SELECT p.at_ms, p.unit, coalesce(nullif(u.site, ''), u.note, '') AS place, e.body FROM assignments a"
    " JOIN passes p ON p.uri = a.uri AND p.idx = a.idx JOIN events e ON e.unit = p.unit AND e.boot_id = p.boot_id AND e.seq = p.seq"
    " LEFT JOIN units u ON u.unit = p.unit"
    " WHERE a.resident = :resident AND p.at_ms > :since AND p.at_ms >= a.assigned_ms - 60000 ORDER BY p.at_ms DESC LIMIT :most"
)


@dataclass(frozen=True)
class ReadingRow:
    """A unit says that it read a code of the resident; `place` is its site or note, `body` the event."""

    at_ms: int
    unit: str
    place: str
    body: str


def list_readings(tx: Connection, resident: str, since_ms: int, most: int) -> list[ReadingRow]:
    """The newest readings of the resident's codes since then, as units tell, the newest first."""
    found = tx.execute(_READINGS, {"resident": resident, "since": since_ms, "most": most})
    return [ReadingRow(**row._mapping) for row in found]


def shares_places(tx: Connection, resident: str) -> bool:
    """Whether the resident lets those who look after them see where their code was read."""
    return bool(tx.execute(text("SELECT shares_places FROM residents WHERE resident = :resident"), {"resident": resident}).scalar_one())


def set_shares_places(tx: Connection, resident: str, shares: bool) -> None:
    """The resident's word on whether those who look after them see where their code was read."""
    tx.execute(
        text("UPDATE residents SET shares_places = :shares WHERE resident = :resident"), {"resident": resident, "shares": int(shares)}
    )


def list_indices(tx: Connection, resident: str) -> list[dict[str, Any]]:
    """The resident's entries in status lists."""
    return _all(tx, "SELECT uri, idx, assigned_ms, revoked_ms FROM assignments WHERE resident = :resident ORDER BY assigned_ms", resident)


def list_rulings(tx: Connection, resident: str) -> list[dict[str, Any]]:
    """Every ruling on the resident; `why` is JSON."""
    return _all(tx, "SELECT colour, rule, since_ms, made_ms, policy, why FROM rulings WHERE resident = :resident ORDER BY ruling", resident)


def list_issues(tx: Connection, resident: str) -> list[dict[str, Any]]:
    """When codes were issued, of which form and for which time."""
    return _all(
        tx, "SELECT form, codes, not_before, expires, issued_ms FROM codes_issued WHERE resident = :resident ORDER BY issue", resident
    )


def list_relations(tx: Connection, resident: str) -> list[dict[str, Any]]:
    """What the resident is to those who look after them, and since when; not who they are."""
    return _all(tx, "SELECT relation, since_ms FROM charges WHERE resident = :resident ORDER BY since_ms", resident)


def _all(tx: Connection, sql: str, resident: str) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in tx.execute(text(sql), {"resident": resident})]
