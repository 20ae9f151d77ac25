"""Queries about what waits for an officer's eyes: reviews of fevers, declarations and claims. Inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam

from server.store.sql import text


@dataclass(frozen=True)
class ReviewRow:
    """Something that waits, or has waited. `why` is words with spaces between; a fever's event is (unit, boot_id, seq)."""

    review: int
    kind: str
    why: str
    unit: str
    boot_id: str
    seq: int
    resident: str
    claim: int | None
    at_ms: int
    received_ms: int
    state: str


@dataclass(frozen=True)
class WaitingRow:
    """What waits, with the district of whom it is about and their colour (empty where there is none)."""

    review: int
    kind: str
    why: str
    unit: str
    resident: str
    at_ms: int
    received_ms: int
    district: str
    colour: str


_REVIEW = "SELECT review, kind, why, unit, boot_id, seq, resident, claim, at_ms, received_ms, state FROM reviews "
_WAITING = (
    "SELECT v.review, v.kind, v.why, v.unit, v.resident, v.at_ms, v.received_ms, coalesce(r.district, '') AS district,"
    " coalesce(g.colour, '') AS colour FROM reviews v LEFT JOIN residents r ON r.resident = v.resident"
    " LEFT JOIN rulings g ON g.ruling = r.ruling WHERE v.state = 'open' AND v.kind = :kind"
    " AND (v.received_ms, v.review) > (:received_ms, :review)"
)
_BY_AGE = " ORDER BY v.received_ms, v.review LIMIT :limit"
_WAITING_ANYWHERE = text(_WAITING + _BY_AGE)
_WAITING_IN = text(_WAITING + " AND r.district IN :districts" + _BY_AGE).bindparams(bindparam("districts", expanding=True))


def list_waiting(
    connection: Connection, kind: str, limit: int, *, after: tuple[int, int] = (-1, 0), districts: Collection[str] = ()
) -> list[WaitingRow]:
    """What waits of a kind, oldest first, beyond (received_ms, review) `after`, in these districts or, with none named, everywhere."""
    values: dict[str, object] = {"kind": kind, "limit": limit, "received_ms": after[0], "review": after[1]}
    if districts:
        values["districts"] = list(districts)
    rows = connection.execute(_WAITING_IN if districts else _WAITING_ANYWHERE, values)
    return [WaitingRow(**row._mapping) for row in rows]


_OPEN_OF_MANY = text("SELECT resident, why FROM reviews WHERE resident IN :residents AND state = 'open' AND kind = :kind").bindparams(
    bindparam("residents", expanding=True)
)
_OPEN = text(
    "INSERT INTO reviews (kind, why, unit, boot_id, seq, resident, at_ms, received_ms)"
    " VALUES (:kind, :why, '', '', 0, :resident, :at_ms, :at_ms)"
)


def open_review(connection: Connection, kind: str, why: str, resident: str, at_ms: int, claim: int | None = None, unit: str = "") -> int:
    """Puts something before an officer; its number. What waits already for the same reasons is not put there twice."""
    values = {"kind": kind, "why": why, "resident": resident, "at_ms": at_ms, "claim": claim, "unit": unit}
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
                " VALUES (:kind, :why, :unit, '', 0, :resident, :claim, :at_ms, :at_ms) RETURNING review"
            ),
            values,
        ).scalar_one()
    )


def open_many(connection: Connection, kind: str, why: Mapping[str, str], at_ms: int) -> None:
    """Puts several before an officer, each resident with why; what waits already for the same reasons is not put there twice."""
    if not why:
        return
    rows = connection.execute(_OPEN_OF_MANY, {"residents": list(why), "kind": kind})
    known = {(resident, told) for resident, told in rows}
    fresh = [{"kind": kind, "why": told, "resident": who, "at_ms": at_ms} for who, told in why.items() if (who, told) not in known]
    if fresh:
        connection.execute(_OPEN, fresh)


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


def close_review(connection: Connection, review: int, state: str, by: str, why: str, at_ms: int) -> None:
    """Notes what an officer made of it, passed or closed, and the word of the reason."""
    connection.execute(
        text("UPDATE reviews SET state = :state, decided_by = :by, decided_why = :why, decided_ms = :at_ms WHERE review = :review"),
        {"review": review, "state": state, "by": by, "why": why, "at_ms": at_ms},
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
