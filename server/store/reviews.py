"""Queries about what waits for an officer's eyes: reviews of fevers, declarations and claims. Inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    number: int | None
    """The import that it came with."""


@dataclass(frozen=True)
class GroupRow:
    """What waits of one import with one contradiction: how many, since when; and what the import is."""

    number: int
    why: str
    people: int
    oldest_ms: int
    kind: str
    file: str
    source: str
    made_by: str


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


_REVIEW = "SELECT review, kind, why, unit, boot_id, seq, resident, claim, at_ms, received_ms, state, import AS number FROM reviews "
_ABOUT = (
    "SELECT v.review, v.kind, v.why, v.unit, v.resident, v.at_ms, v.received_ms, coalesce(r.district, '') AS district,"
    " coalesce(g.colour, '') AS colour FROM reviews v LEFT JOIN residents r ON r.resident = v.resident"
    " LEFT JOIN rulings g ON g.ruling = r.ruling WHERE v.state = 'open'"
)
_WAITING = _ABOUT + " AND v.import IS NULL AND v.kind = :kind AND (v.received_ms, v.review) > (:received_ms, :review)"
_BY_AGE = " ORDER BY v.received_ms, v.review LIMIT :limit"
_WAITING_ANYWHERE = text(_WAITING + _BY_AGE)
_WAITING_IN = text(_WAITING + " AND r.district IN :districts" + _BY_AGE).bindparams(bindparam("districts", expanding=True))


def list_waiting(
    connection: Connection, kind: str, limit: int, *, after: tuple[int, int] = (-1, 0), districts: Collection[str] = ()
) -> list[WaitingRow]:
    """What waits of a kind, oldest first, beyond (received_ms, review) `after`, in these districts or, with none named, everywhere.

    What came with an import is not among it: `list_groups`.
    """
    values: dict[str, object] = {"kind": kind, "limit": limit, "received_ms": after[0], "review": after[1]}
    if districts:
        values["districts"] = list(districts)
    rows = connection.execute(_WAITING_IN if districts else _WAITING_ANYWHERE, values)
    return [WaitingRow(**row._mapping) for row in rows]


_OPEN_OF_MANY = text("SELECT resident, why FROM reviews WHERE resident IN :residents AND state = 'open' AND kind = :kind").bindparams(
    bindparam("residents", expanding=True)
)
_OPEN = text(
    "INSERT INTO reviews (kind, why, unit, boot_id, seq, resident, at_ms, received_ms, import)"
    " VALUES (:kind, :why, '', '', 0, :resident, :at_ms, :at_ms, :number)"
)
_GROUPS = text(
    "SELECT v.number, v.why, v.people, v.oldest_ms, i.kind, i.file, i.source, i.made_by FROM"
    " (SELECT import AS number, why, count(*) AS people, min(received_ms) AS oldest_ms FROM reviews"
    " WHERE state = 'open' AND import IS NOT NULL GROUP BY import, why) AS v JOIN epidemic_imports i ON i.import = v.number"
    " ORDER BY v.oldest_ms, v.number, v.why"
)
_CLOSE = text(
    "UPDATE reviews SET state = :state, decided_by = :by, decided_why = :why, decided_ms = :at_ms WHERE review IN :reviews"
).bindparams(bindparam("reviews", expanding=True))
_CLOSE_OF_IMPORT = text(
    "UPDATE reviews SET state = 'closed', decided_by = :by, decided_why = :why, decided_ms = :at_ms"
    " WHERE state = 'open' AND import = :number AND resident IN :residents"
).bindparams(bindparam("residents", expanding=True))
_MEMBERS = {
    turned: text(
        f"{_ABOUT} AND v.import = :number AND v.why = :why AND v.review > :after"
        f" AND coalesce(g.colour, '') {'IN' if turned else 'NOT IN'} :colours ORDER BY v.review LIMIT :limit"
    ).bindparams(bindparam("colours", expanding=True))
    for turned in (True, False)
}


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


def open_many(connection: Connection, kind: str, why: Mapping[str, str], at_ms: int, number: int) -> None:
    """Puts several before an officer that came with an import, each resident with why.

    What waits already for the same reasons is not put there twice.
    """
    if not why:
        return
    rows = connection.execute(_OPEN_OF_MANY, {"residents": list(why), "kind": kind})
    known = {(resident, told) for resident, told in rows}
    fresh = [
        {"kind": kind, "why": told, "resident": who, "at_ms": at_ms, "number": number}
        for who, told in why.items()
        if (who, told) not in known
    ]
    if fresh:
        connection.execute(_OPEN, fresh)


def list_groups(connection: Connection) -> list[GroupRow]:
    """What came with imports and waits, a row for each import and contradiction, the oldest first."""
    return [GroupRow(**row._mapping) for row in connection.execute(_GROUPS)]


def count_colours(connection: Connection, number: int, why: str) -> dict[str, int]:
    """How many wait of an import with a contradiction, by the colour that they have now."""
    rows = connection.execute(
        text(
            "SELECT coalesce(g.colour, ''), count(*) FROM reviews v LEFT JOIN residents r ON r.resident = v.resident"
            " LEFT JOIN rulings g ON g.ruling = r.ruling WHERE v.state = 'open' AND v.import = :number AND v.why = :why"
            " GROUP BY coalesce(g.colour, '')"
        ),
        {"number": number, "why": why},
    )
    return {str(colour): int(count) for colour, count in rows}


def list_members(
    connection: Connection, number: int, why: str, colours: Collection[str], limit: int, after: int, *, turned: bool
) -> list[WaitingRow]:
    """Who waits of an import with a contradiction, beyond the review `after`: people of these colours, or of others."""
    values = {"number": number, "why": why, "limit": limit, "after": after, "colours": sorted(colours)}
    return [WaitingRow(**row._mapping) for row in connection.execute(_MEMBERS[turned], values)]


def close_many(connection: Connection, numbers: Sequence[int], state: str, by: str, why: str, at_ms: int) -> None:
    """Notes what was made of several reviews."""
    connection.execute(_CLOSE, {"reviews": list(numbers), "state": state, "by": by, "why": why, "at_ms": at_ms})


def close_of_import(connection: Connection, number: int, residents: Sequence[str], by: str, why: str, at_ms: int) -> None:
    """Closes what waits of these residents because of an import that was withdrawn."""
    if residents:
        connection.execute(_CLOSE_OF_IMPORT, {"number": number, "residents": list(residents), "by": by, "why": why, "at_ms": at_ms})


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
    """How many wait, by kind, but for those that came with an import."""
    rows = connection.execute(text("SELECT kind, count(*) FROM reviews WHERE state = 'open' AND import IS NULL GROUP BY kind"))
    return {str(kind): int(count) for kind, count in rows}


def count_received(connection: Connection, until_ms: int) -> dict[str, tuple[int, int]]:
    """(how many wait, when the oldest came) of those that came until then, by kind."""
    rows = connection.execute(
        text("SELECT kind, count(*), min(received_ms) FROM reviews WHERE state = 'open' AND received_ms <= :until GROUP BY kind"),
        {"until": until_ms},
    )
    return {str(kind): (int(count), int(oldest)) for kind, count, oldest in rows}


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
