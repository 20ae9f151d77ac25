"""Queries about what waits for an officer's eyes: reviews of fevers, declarations and claims. Inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class ReviewRow:
    """Something that waits, or has waited. `why` is words with spaces between for declarations and claims, a line for fevers."""

    review: int
    kind: str
    why: str
    unit: str
    resident: str
    claim: int | None
    at_ms: int
    received_ms: int
    state: str


_REVIEW = "SELECT review, kind, why, unit, resident, claim, at_ms, received_ms, state FROM reviews "


def open_review(connection: Connection, kind: str, why: str, resident: str, at_ms: int, claim: int | None = None) -> int:
    """Puts something before an officer; its number. What waits already for the same reasons is not put there twice."""
    values = {"kind": kind, "why": why, "resident": resident, "at_ms": at_ms, "claim": claim}
    if claim is None:
        known = connection.execute(
            text("SELECT review FROM reviews WHERE resident = :resident AND state = 'open' AND kind = :kind AND why = :why"), values
        ).first()
        if known is not None:
            return int(known[0])
    return int(
        connection.execute(
            text(
                "INSERT INTO reviews (kind, why, unit, boot_id, seq, resident, claim, at_ms, received_ms)"
                " VALUES (:kind, :why, '', '', 0, :resident, :claim, :at_ms, :at_ms) RETURNING review"
            ),
            values,
        ).scalar_one()
    )


def find_review(connection: Connection, review: int) -> ReviewRow | None:
    """The review of this number."""
    row = connection.execute(text(_REVIEW + "WHERE review = :review"), {"review": review}).one_or_none()
    return None if row is None else ReviewRow(**row._mapping)


def list_open(connection: Connection, limit: int, *, kind: str | None = None, after: int = 0) -> list[ReviewRow]:
    """What waits, oldest first, beyond the review `after`; at most `limit`."""
    rows = connection.execute(
        text(
            _REVIEW + f"WHERE state = 'open' AND review > :after{'' if kind is None else ' AND kind = :kind'} ORDER BY review LIMIT :limit"
        ),
        {"after": after, "limit": limit, **({} if kind is None else {"kind": kind})},
    )
    return [ReviewRow(**row._mapping) for row in rows]


def list_open_of(connection: Connection, resident: str) -> list[ReviewRow]:
    """What waits about a resident, oldest first."""
    rows = connection.execute(text(_REVIEW + "WHERE state = 'open' AND resident = :resident ORDER BY review"), {"resident": resident})
    return [ReviewRow(**row._mapping) for row in rows]


def count_open(connection: Connection) -> dict[str, int]:
    """How many wait, by kind."""
    rows = connection.execute(text("SELECT kind, count(*) FROM reviews WHERE state = 'open' GROUP BY kind"))
    return {str(kind): int(count) for kind, count in rows}


def close_review(connection: Connection, review: int, state: str, by: str, at_ms: int) -> None:
    """Notes what an officer made of it: passed or closed."""
    connection.execute(
        text("UPDATE reviews SET state = :state, decided_by = :by, decided_ms = :at_ms WHERE review = :review"),
        {"review": review, "state": state, "by": by, "at_ms": at_ms},
    )


def close_declarations(connection: Connection, resident: str, by: str, at_ms: int) -> None:
    """The resident's first review is made: every declaration of theirs that waits for it has passed."""
    connection.execute(
        text(
            "UPDATE reviews SET state = 'passed', decided_by = :by, decided_ms = :at_ms"
            " WHERE resident = :resident AND kind = 'declaration' AND state = 'open'"
        ),
        {"resident": resident, "by": by, "at_ms": at_ms},
    )
