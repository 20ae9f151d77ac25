"""Queries about all that is held of one resident, as they may take it away. Every function works inside the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from server.store.sql import text

_READINGS = text(
    "SELECT p.at_ms, p.unit, coalesce(nullif(u.site, ''), u.note, '') FROM assignments a"
    " JOIN passes p ON p.uri = a.uri AND p.idx = a.idx LEFT JOIN units u ON u.unit = p.unit"
    " WHERE a.resident = :resident AND p.at_ms > :since AND p.at_ms >= a.assigned_ms - 60000 ORDER BY p.at_ms DESC"
)


def list_readings(tx: Connection, resident: str, since_ms: int) -> list[tuple[int, str, str]]:
    """(when in ms, unit, its site or note) of every reading of the resident's codes since then, the newest first."""
    return [(int(at_ms), str(unit), str(place)) for at_ms, unit, place in tx.execute(_READINGS, {"resident": resident, "since": since_ms})]


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
