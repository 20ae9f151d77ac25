"""Queries about residents, their indices, facts, rulings and issued codes. Every function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.engine import Row


@dataclass(frozen=True)
class ResidentRow:
    """A resident and the ruling in force; `sealed` opens with the seal only."""

    resident: str
    sealed: bytes
    added_ms: int
    uri: str
    idx: int
    ruling: int
    colour: str
    rule: str
    since_ms: int
    why: str
    ruled_at: int
    ruled_uri: str
    ruled_idx: int

    @property
    def ruled_person(self) -> tuple[str, int]:
        """(list, index) that the ruling in force was made for."""
        return (self.ruled_uri, self.ruled_idx)


@dataclass(frozen=True)
class FactRow:
    """A stored fact: its kind's word and its fields as JSON."""

    kind: str
    body: str


_RESIDENT = """
SELECT r.resident, r.sealed, r.added_ms, r.uri, r.idx, g.ruling, g.colour, g.rule, g.since_ms, g.why, g.ruled_at,
    g.uri AS ruled_uri, g.idx AS ruled_idx
FROM residents r JOIN rulings g ON g.ruling = r.ruling
"""
_BY_ID = text(_RESIDENT + "WHERE r.resident = :resident")
_ALL = text(_RESIDENT + "ORDER BY r.added_ms, r.resident")
_BY_INDEX = text("SELECT resident FROM assignments WHERE uri = :uri AND idx = :idx AND revoked_ms IS NULL")
_BY_NUMBER = text("SELECT resident FROM residents WHERE number_hash = :number_hash")


def find(connection: Connection, resident: str) -> ResidentRow | None:
    """The resident with this id."""
    row = connection.execute(_BY_ID, {"resident": resident}).one_or_none()
    return None if row is None else _resident(row)


def find_person(connection: Connection, resident: str) -> tuple[str, int]:
    """(list, index) under which the codes of an existing resident stand, ruled or not."""
    uri, idx = connection.execute(text("SELECT uri, idx FROM residents WHERE resident = :resident"), {"resident": resident}).one()
    return (str(uri), int(idx))


def find_sealed(connection: Connection, resident: str) -> bytes | None:
    """What is sealed about a resident, ruled or not; None where there is none of this id."""
    found = connection.execute(text("SELECT sealed FROM residents WHERE resident = :resident"), {"resident": resident}).scalar_one_or_none()
    return None if found is None else bytes(found)


def put_sealed(connection: Connection, resident: str, sealed: bytes, number_hash: bytes | None) -> None:
    """Writes what is sealed about a resident anew, with the keyed hash of their number."""
    connection.execute(
        text("UPDATE residents SET sealed = :sealed, number_hash = :number_hash WHERE resident = :resident"),
        {"resident": resident, "sealed": sealed, "number_hash": number_hash},
    )


def list_all(connection: Connection) -> list[ResidentRow]:
    """Every resident in order of registration."""
    return [_resident(row) for row in connection.execute(_ALL)]


def find_by_index(connection: Connection, uri: str, idx: int) -> str | None:
    """The id of the resident whose code in force has this index."""
    found: str | None = connection.execute(_BY_INDEX, {"uri": uri, "idx": idx}).scalar_one_or_none()
    return found


def find_by_number(connection: Connection, number_hash: bytes) -> str | None:
    """The id of the resident whose number has this keyed hash."""
    found: str | None = connection.execute(_BY_NUMBER, {"number_hash": number_hash}).scalar_one_or_none()
    return found


def open_list(connection: Connection, uri: str, issuer: str, capacity: int) -> int:
    """Makes sure that the list is known; its capacity, which never changes."""
    connection.execute(
        text("INSERT INTO lists (uri, issuer, capacity, next_position) VALUES (:uri, :issuer, :capacity, 0) ON CONFLICT DO NOTHING"),
        {"uri": uri, "issuer": issuer, "capacity": capacity},
    )
    return int(connection.execute(text("SELECT capacity FROM lists WHERE uri = :uri"), {"uri": uri}).scalar_one())


def take_position(connection: Connection, uri: str) -> int | None:
    """The next unused position of the list, used from now on; None where the list is full."""
    row = connection.execute(
        text(
            "UPDATE lists SET next_position = next_position + 1 WHERE uri = :uri AND next_position < capacity RETURNING next_position - 1"
        ),
        {"uri": uri},
    ).one_or_none()
    return None if row is None else int(row[0])


def insert_resident(
    connection: Connection, resident: str, sealed: bytes, number_hash: bytes | None, uri: str, idx: int, at_ms: int
) -> None:
    """A new resident with their first index and no ruling yet."""
    connection.execute(
        text(
            "INSERT INTO residents (resident, sealed, number_hash, added_ms, uri, idx)"
            " VALUES (:resident, :sealed, :number_hash, :at_ms, :uri, :idx)"
        ),
        {"resident": resident, "sealed": sealed, "number_hash": number_hash, "at_ms": at_ms, "uri": uri, "idx": idx},
    )
    _assign(connection, resident, uri, idx, at_ms)


def move_resident(connection: Connection, resident: str, old: tuple[str, int], new: tuple[str, int], at_ms: int) -> None:
    """Ends the old index and gives the resident the new one."""
    connection.execute(
        text("UPDATE assignments SET revoked_ms = :at_ms WHERE uri = :uri AND idx = :idx"),
        {"at_ms": at_ms, "uri": old[0], "idx": old[1]},
    )
    connection.execute(
        text("UPDATE residents SET uri = :uri, idx = :idx WHERE resident = :resident"),
        {"uri": new[0], "idx": new[1], "resident": resident},
    )
    _assign(connection, resident, *new, at_ms)


def _assign(connection: Connection, resident: str, uri: str, idx: int, at_ms: int) -> None:
    connection.execute(
        text("INSERT INTO assignments (uri, idx, resident, assigned_ms) VALUES (:uri, :idx, :resident, :at_ms)"),
        {"uri": uri, "idx": idx, "resident": resident, "at_ms": at_ms},
    )


def insert_fact(connection: Connection, resident: str, row: FactRow, at_ms: int, recorded_ms: int) -> None:
    """Stores a fact about a resident."""
    connection.execute(
        text("INSERT INTO facts (resident, kind, at_ms, recorded_ms, body) VALUES (:resident, :kind, :at_ms, :recorded_ms, :body)"),
        {"resident": resident, "kind": row.kind, "at_ms": at_ms, "recorded_ms": recorded_ms, "body": row.body},
    )


def list_facts(connection: Connection, resident: str) -> list[FactRow]:
    """The resident's facts in the order in which they were recorded."""
    rows = connection.execute(text("SELECT kind, body FROM facts WHERE resident = :resident ORDER BY fact"), {"resident": resident})
    return [FactRow(str(kind), str(body)) for kind, body in rows]


def newest_fact_ms(connection: Connection, resident: str) -> int:
    """When the newest of the resident's facts happened, 0 for none."""
    found = connection.execute(text("SELECT coalesce(max(at_ms), 0) FROM facts WHERE resident = :resident"), {"resident": resident})
    return int(found.scalar_one())


def insert_ruling(
    connection: Connection,
    resident: str,
    person: tuple[str, int],
    *,
    colour: str,
    rule: str,
    since_ms: int,
    why: str,
    ruled_at: int,
    made_ms: int,
) -> int:
    """Stores a ruling and puts it in force; its number."""
    ruling = int(
        connection.execute(
            text(
                "INSERT INTO rulings (resident, uri, idx, colour, rule, since_ms, why, ruled_at, made_ms)"
                " VALUES (:resident, :uri, :idx, :colour, :rule, :since_ms, :why, :ruled_at, :made_ms) RETURNING ruling"
            ),
            {
                "resident": resident,
                "uri": person[0],
                "idx": person[1],
                "colour": colour,
                "rule": rule,
                "since_ms": since_ms,
                "why": why,
                "ruled_at": ruled_at,
                "made_ms": made_ms,
            },
        ).scalar_one()
    )
    connection.execute(text("UPDATE residents SET ruling = :ruling WHERE resident = :resident"), {"ruling": ruling, "resident": resident})
    return ruling


def insert_issue(connection: Connection, row: ResidentRow, form: str, codes: int, not_before: int, expires: int, issued_ms: int) -> None:
    """Notes that codes were issued: how many, of which form, under which ruling, for which time."""
    connection.execute(
        text(
            "INSERT INTO codes_issued (resident, uri, idx, form, ruling, codes, not_before, expires, issued_ms)"
            " VALUES (:resident, :uri, :idx, :form, :ruling, :codes, :not_before, :expires, :issued_ms)"
        ),
        {
            "resident": row.resident,
            "uri": row.uri,
            "idx": row.idx,
            "form": form,
            "ruling": row.ruling,
            "codes": codes,
            "not_before": not_before,
            "expires": expires,
            "issued_ms": issued_ms,
        },
    )


def _resident(row: Row[tuple[object, ...]]) -> ResidentRow:
    found = row._mapping
    return ResidentRow(**{**found, "sealed": bytes(found["sealed"])})
