"""Queries about configuration from afar: what units are to have, and what they say that they have. Inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text


@dataclass(frozen=True)
class DesiredRow:
    """A version that `unit` is, or was, to have; `wish` numbers the rows of all units. `settings` is TOML."""

    wish: int
    unit: str
    version: int
    settings: str
    set_ms: int
    set_by: str
    reason: str


@dataclass(frozen=True)
class ReportedRow:
    """What `unit` said last, healthcode.messages.Reported as JSON."""

    unit: str
    heard_ms: int
    body: str


def insert_desired(connection: Connection, row: DesiredRow) -> None:
    """Writes a version down; `row.wish` is not looked at, the table numbers it."""
    connection.execute(
        text(
            "INSERT INTO desired (unit, version, settings, set_ms, set_by, reason)"
            " VALUES (:unit, :version, :settings, :set_ms, :set_by, :reason)"
        ),
        {name: value for name, value in vars(row).items() if name != "wish"},
    )


def newest(connection: Connection) -> dict[str, DesiredRow]:
    """The newest version of every unit that was ever to have one."""
    sql = "SELECT d.* FROM desired d WHERE d.version = (SELECT max(version) FROM desired WHERE unit = d.unit)"
    return {row.unit: row for row in _rows(connection, sql)}


def newest_after(connection: Connection, wish: int) -> list[DesiredRow]:
    """The newest version of each unit in service for which there is a row after `wish`, in the order in which they were set."""
    sql = (
        "SELECT d.* FROM desired d JOIN units u ON u.unit = d.unit WHERE d.wish > :wish AND u.retired_ms IS NULL"
        " AND d.version = (SELECT max(version) FROM desired WHERE unit = d.unit) ORDER BY d.wish"
    )
    return _rows(connection, sql, wish=wish)


def find(connection: Connection, unit: str, version: int) -> DesiredRow | None:
    """One version of a unit."""
    rows = _rows(connection, "SELECT d.* FROM desired d WHERE d.unit = :unit AND d.version = :version", unit=unit, version=version)
    return rows[0] if rows else None


def history(connection: Connection, unit: str, limit: int) -> list[DesiredRow]:
    """The last versions of a unit, the newest first."""
    sql = "SELECT d.* FROM desired d WHERE d.unit = :unit ORDER BY d.version DESC LIMIT :limit"
    return _rows(connection, sql, unit=unit, limit=limit)


def put_reported(connection: Connection, rows: Sequence[ReportedRow]) -> None:
    """What units say now, in the place of what they said before."""
    if rows:
        connection.execute(
            text(
                "INSERT INTO reported (unit, heard_ms, body) VALUES (:unit, :heard_ms, :body)"
                " ON CONFLICT (unit) DO UPDATE SET heard_ms = excluded.heard_ms, body = excluded.body"
            ),
            [vars(row) for row in rows],
        )


def list_reported(connection: Connection) -> dict[str, ReportedRow]:
    """What every unit said last."""
    found = connection.execute(text("SELECT unit, heard_ms, body FROM reported"))
    return {str(unit): ReportedRow(str(unit), int(heard_ms), str(body)) for unit, heard_ms, body in found}


def find_reported(connection: Connection, unit: str) -> ReportedRow | None:
    """What a unit said last."""
    row = connection.execute(text("SELECT unit, heard_ms, body FROM reported WHERE unit = :unit"), {"unit": unit}).first()
    return None if row is None else ReportedRow(str(row[0]), int(row[1]), str(row[2]))


def _rows(connection: Connection, sql: str, **parameters: str | int) -> list[DesiredRow]:
    return [DesiredRow(**row) for row in connection.execute(text(sql), parameters).mappings()]
