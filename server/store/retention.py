"""Deletes what need not be kept any longer, a bounded number of rows at a time. Every function works inside the caller's transaction."""

from __future__ import annotations

from sqlalchemy import Connection

from server.store.sql import text

PURGED = "purged"
"""The kind of an event whose content is gone while its number is still needed for the watermark."""
_BELOW_MARK = """EXISTS (SELECT 1 FROM boots b WHERE b.unit = e.unit AND b.boot_id = e.boot_id AND b.up_to >= e.seq)"""
_OLD = "e.kind IN ('pass', 'passage') AND (e.at_ms <= :cutoff OR (e.at_ms > :at_ms AND e.received_ms <= :cutoff))"
_REST = "e.kind NOT IN ('pass', 'passage', 'purged') AND e.at_ms <= :cutoff"


def purge_passes(tx: Connection, cutoff_ms: int, at_ms: int, limit: int) -> int:
    """Events with a code, and where codes were read, up to the cutoff; how many.

    Which numbers of a boot are held must stay known: a row at or below the boot's mark goes, of one above the content.
    """
    values = {"cutoff": cutoff_ms, "at_ms": at_ms, "limit": limit}
    tx.execute(
        text(
            "DELETE FROM passes WHERE (unit, boot_id, seq) IN"
            " (SELECT unit, boot_id, seq FROM passes WHERE at_ms <= :cutoff ORDER BY at_ms LIMIT :limit)"
        ),
        values,
    )
    found = [
        {"unit": unit, "boot_id": boot_id, "seq": seq, "whole": bool(whole)}
        for unit, boot_id, seq, whole in tx.execute(
            text(f"SELECT e.unit, e.boot_id, e.seq, CASE WHEN {_BELOW_MARK} THEN 1 ELSE 0 END FROM events e WHERE {_OLD} LIMIT :limit"),  # noqa: S608
            values,
        )
    ]
    whole, rest = [row for row in found if row["whole"]], [row for row in found if not row["whole"]]
    key = "WHERE unit = :unit AND boot_id = :boot_id AND seq = :seq"
    if whole:
        tx.execute(text(f"DELETE FROM events {key}"), whole)  # noqa: S608
    if rest:
        tx.execute(text(f"UPDATE events SET kind = '{PURGED}', body = '' {key}"), rest)  # noqa: S608
    if found:
        tx.execute(text(f"DELETE FROM passes {key}"), found)  # noqa: S608
    return len(found)


def purge_other_events(tx: Connection, cutoff_ms: int, limit: int) -> int:
    """Events without a code below their boot's mark, up to the cutoff; how many."""
    sql = f"SELECT e.unit, e.boot_id, e.seq FROM events e WHERE {_REST} AND {_BELOW_MARK} LIMIT :limit"  # noqa: S608
    return tx.execute(
        text(f"DELETE FROM events WHERE (unit, boot_id, seq) IN ({sql})"),  # noqa: S608
        {"cutoff": cutoff_ms, "limit": limit},
    ).rowcount


def purge_quarantine(tx: Connection, cutoff_ms: int, limit: int) -> int:
    """What was refused, up to the cutoff: it may hold codes; how many."""
    return _drop(tx, "quarantine", "entry", "received_ms <= :cutoff", cutoff_ms, limit)


def purge_fevers(tx: Connection, cutoff_ms: int) -> int:
    """Fevers that no hour counts any more; how many."""
    return tx.execute(text("DELETE FROM fevers WHERE received_ms <= :cutoff"), {"cutoff": cutoff_ms}).rowcount


def purge_issues(tx: Connection, cutoff_ms: int, limit: int) -> int:
    """Notes of codes that ended before the cutoff; how many."""
    return _drop(tx, "codes_issued", "issue", "expires <= :cutoff / 1000", cutoff_ms, limit)


def purge_claims(tx: Connection, cutoff_ms: int, limit: int) -> int:
    """Claims decided before the cutoff, with the name as it was typed; how many."""
    return _drop(tx, "claims", "claim", "state <> 'open' AND decided_ms <= :cutoff", cutoff_ms, limit)


def purge_submissions(tx: Connection, cutoff_ms: int, limit: int) -> int:
    """Ids of reports sent before the cutoff: nobody sends them again; how many."""
    sql = "SELECT account, submission FROM submissions WHERE at_ms <= :cutoff LIMIT :limit"
    return tx.execute(
        text(f"DELETE FROM submissions WHERE (account, submission) IN ({sql})"),  # noqa: S608
        {"cutoff": cutoff_ms, "limit": limit},
    ).rowcount


def purge_papers(tx: Connection, cutoff_ms: int, limit: int) -> int:
    """Papers of requests that were answered before the cutoff; how many."""
    sql = (
        "SELECT p.appeal, p.paper FROM appeal_papers p JOIN appeals a ON a.appeal = p.appeal"
        " WHERE a.state = 'answered' AND a.decided_ms <= :cutoff LIMIT :limit"
    )
    return tx.execute(
        text(f"DELETE FROM appeal_papers WHERE (appeal, paper) IN ({sql})"),  # noqa: S608
        {"cutoff": cutoff_ms, "limit": limit},
    ).rowcount


def give_back_pages(tx: Connection, pages: int) -> int:
    """SQLite: gives so many free pages back to the disk where more than a tenth is free; how many were free. PostgreSQL does it itself."""
    if tx.dialect.name != "sqlite":
        return 0
    free, whole = (int(tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in ("freelist_count", "page_count"))
    if free * 10 <= whole:
        return 0
    for _ in range(min(pages, free)):
        tx.exec_driver_sql("PRAGMA incremental_vacuum(1)")  # Python's driver takes one step of it, one page, whatever number is asked for
    return free


def _drop(tx: Connection, table: str, key: str, where: str, cutoff_ms: int, limit: int) -> int:
    sql = f"SELECT {key} FROM {table} WHERE {where} ORDER BY {key} LIMIT :limit"  # noqa: S608  our own words
    return tx.execute(
        text(f"DELETE FROM {table} WHERE {key} IN ({sql})"),  # noqa: S608
        {"cutoff": cutoff_ms, "limit": limit},
    ).rowcount
