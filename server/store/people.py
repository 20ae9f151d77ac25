"""Queries about residents, their indices and issued codes. Every function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.engine import Row

from server.store.sql import text


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


_RESIDENT = """
SELECT r.resident, r.sealed, r.added_ms, r.uri, r.idx, g.ruling, g.colour, g.rule, g.since_ms, g.why, g.ruled_at
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


def find_sealed(connection: Connection, resident: str) -> bytes | None:
    """What is sealed about a resident, ruled or not; None where there is none of this id."""
    found = connection.execute(text("SELECT sealed FROM residents WHERE resident = :resident"), {"resident": resident}).scalar_one_or_none()
    return None if found is None else bytes(found)


def put_sealed(connection: Connection, resident: str, sealed: bytes, number_hash: bytes | None, district: str) -> None:
    """Writes what is sealed about a resident anew, with the keyed hash of their number and the code of their district."""
    connection.execute(
        text("UPDATE residents SET sealed = :sealed, number_hash = :number_hash, district = :district WHERE resident = :resident"),
        {"resident": resident, "sealed": sealed, "number_hash": number_hash, "district": district},
    )


def list_all(connection: Connection) -> list[ResidentRow]:
    """Every resident in order of registration."""
    return [_resident(row) for row in connection.execute(_ALL)]


def find_by_index(connection: Connection, uri: str, idx: int) -> str | None:
    """The id of the resident whose code in force has this index."""
    found: str | None = connection.execute(_BY_INDEX, {"uri": uri, "idx": idx}).scalar_one_or_none()
    return found


def number_hash_of(connection: Connection, resident: str) -> bytes | None:
    """The keyed hash of the resident's number; None where they have none."""
    found = connection.execute(text("SELECT number_hash FROM residents WHERE resident = :resident"), {"resident": resident}).scalar()
    return None if found is None else bytes(found)


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


@dataclass(frozen=True)
class IssueRow:
    """Codes that were issued at once: how many, of which form, for which time (seconds), when (ms); `is_over`: their index has ended."""

    form: str
    codes: int
    not_before: int
    expires: int
    issued_ms: int
    is_over: bool


def list_issues(connection: Connection, resident: str, most: int) -> list[IssueRow]:
    """What was issued to a resident, the newest first."""
    rows = connection.execute(
        text(
            "SELECT c.form, c.codes, c.not_before, c.expires, c.issued_ms, a.revoked_ms IS NOT NULL AS is_over FROM codes_issued c"
            " JOIN assignments a ON a.uri = c.uri AND a.idx = c.idx WHERE c.resident = :resident ORDER BY c.issue DESC LIMIT :most"
        ),
        {"resident": resident, "most": most},
    )
    return [IssueRow(**{**row._mapping, "is_over": bool(row.is_over)}) for row in rows]


def _resident(row: Row[tuple[object, ...]]) -> ResidentRow:
    found = row._mapping
    return ResidentRow(**{**found, "sealed": bytes(found["sealed"])})
