"""Queries about units and what they report: events, boots, fevers, reviews, quarantine, alerts. Inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, TableClause, bindparam, column, table
from sqlalchemy.dialects import postgresql, sqlite

from server.marks import Mark
from server.store.sql import text

QUARANTINE_LIMIT = 10_000
"""Rows that quarantine may have: strangers cannot fill the disk. What comes after is counted only."""
AT_ONCE = 500
"""Events that one question names: databases bound how many values one may have."""
BEYOND = 5000
"""Seqs read at a time while a mark moves up."""
_EVENTS = table("events", *(column(name) for name in ("unit", "boot_id", "seq", "kind", "at_ms", "received_ms", "hash", "body")))
_INSERT: dict[str, Callable[[TableClause], sqlite.Insert | postgresql.Insert]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""Both databases have ON CONFLICT and RETURNING in an insert of many rows; SQLAlchemy keeps the two apart."""


@dataclass(frozen=True)
class UnitRow:
    """A unit that the server knows. What is known of it now: `server.store.fleet`."""

    unit: str
    note: str
    added_ms: int
    watermark_ms: int
    site: str


@dataclass(frozen=True)
class EventRow:
    """An event as it is stored; `hash` is the SHA-256 of `body`."""

    unit: str
    boot_id: str
    seq: int
    kind: str
    at_ms: int
    received_ms: int
    hash: bytes
    body: str


@dataclass(frozen=True)
class Quarantined:
    """Something that was refused and is kept for people to look at."""

    why: str
    topic: str
    unit: str
    boot_id: str
    seq: int
    received_ms: int
    body: bytes


def add_unit(connection: Connection, unit: str, note: str, at_ms: int, site: str = "") -> bool:
    """Makes a unit known; False where it already is. Units of one `site` are a few steps apart."""
    row = connection.execute(
        text(
            "INSERT INTO units (unit, note, added_ms, watermark_ms, site)"
            " VALUES (:unit, :note, :at_ms, 0, :site) ON CONFLICT DO NOTHING RETURNING unit"
        ),
        {"unit": unit, "note": note, "at_ms": at_ms, "site": site},
    ).one_or_none()
    return row is not None


def place_unit(connection: Connection, unit: str, note: str, site: str) -> None:
    """Where a known unit stands from now on; what is empty stays as it was."""
    query = "UPDATE units SET note = CASE WHEN :note = '' THEN note ELSE :note END, site = CASE WHEN :site = '' THEN site ELSE :site END"
    connection.execute(text(f"{query} WHERE unit = :unit"), {"unit": unit, "note": note, "site": site})


def list_units(connection: Connection) -> list[UnitRow]:
    """Every unit by name."""
    rows = connection.execute(text("SELECT unit, note, added_ms, watermark_ms, site FROM units ORDER BY unit"))
    return [UnitRow(**row._mapping) for row in rows]


def units_in_service(connection: Connection) -> list[str]:
    """Every unit that is not retired, by name."""
    return [str(unit) for (unit,) in connection.execute(text("SELECT unit FROM units WHERE retired_ms IS NULL ORDER BY unit"))]


def count_units(connection: Connection) -> int:
    """How many units there are."""
    return int(connection.execute(text("SELECT count(*) FROM units")).scalar_one())


def find_units(connection: Connection, units: Collection[str]) -> list[UnitRow]:
    """Those of these units that the server knows, by name."""
    query = text("SELECT unit, note, added_ms, watermark_ms, site FROM units WHERE unit IN :units ORDER BY unit")
    query = query.bindparams(bindparam("units", expanding=True))
    asked = sorted(units)
    found: list[UnitRow] = []
    for begin in range(0, len(asked), AT_ONCE):
        found += [UnitRow(**row._mapping) for row in connection.execute(query, {"units": asked[begin : begin + AT_ONCE]})]
    return found


def find_unit(connection: Connection, unit: str) -> UnitRow | None:
    """A unit that the server knows."""
    return next(iter(find_units(connection, [unit])), None)


def known_units(connection: Connection, units: Collection[str]) -> frozenset[str]:
    """Those of `units` that the server knows and that are not retired."""
    query = text("SELECT unit FROM units WHERE unit IN :units AND retired_ms IS NULL").bindparams(bindparam("units", expanding=True))
    return frozenset(str(unit) for (unit,) in connection.execute(query, {"units": sorted(units)})) if units else frozenset()


def next_watermark_ms(connection: Connection, unit: str, at_ms: int) -> int:
    """A time for the unit's next watermark, later than that of every one before, whatever the clock did."""
    return int(
        connection.execute(
            text(
                "UPDATE units SET watermark_ms = CASE WHEN watermark_ms >= :at_ms THEN watermark_ms + 1 ELSE :at_ms END"
                " WHERE unit = :unit RETURNING watermark_ms"
            ),
            {"unit": unit, "at_ms": at_ms},
        ).scalar_one()
    )


def insert_new(connection: Connection, rows: Sequence[EventRow]) -> set[tuple[str, str, int]]:
    """Inserts those events whose id is not there yet; the ids of those that are new. `rows` hold each id once."""
    if not rows:
        return set()
    insert = _INSERT[connection.dialect.name](_EVENTS).on_conflict_do_nothing()
    found = connection.execute(insert.returning(_EVENTS.c.unit, _EVENTS.c.boot_id, _EVENTS.c.seq), [vars(row) for row in rows])
    return {(str(unit), str(boot_id), int(seq)) for unit, boot_id, seq in found}


def stored_hashes(connection: Connection, keys: Sequence[tuple[str, str, int]]) -> dict[tuple[str, str, int], bytes]:
    """The content hashes of stored events, by (unit, boot_id, seq)."""
    query = text("SELECT unit, boot_id, seq, hash FROM events WHERE (unit, boot_id, seq) IN :keys")
    query = query.bindparams(bindparam("keys", expanding=True))
    found: dict[tuple[str, str, int], bytes] = {}
    for begin in range(0, len(keys), AT_ONCE):
        for unit, boot_id, seq, content in connection.execute(query, {"keys": keys[begin : begin + AT_ONCE]}):
            found[(str(unit), str(boot_id), int(seq))] = bytes(content)
    return found


def find_event(connection: Connection, unit: str, boot_id: str, seq: int) -> EventRow | None:
    """A stored event."""
    row = connection.execute(
        text(
            "SELECT unit, boot_id, seq, kind, at_ms, received_ms, hash, body FROM events"
            " WHERE unit = :unit AND boot_id = :boot_id AND seq = :seq"
        ),
        {"unit": unit, "boot_id": boot_id, "seq": seq},
    ).one_or_none()
    return None if row is None else EventRow(**row._mapping)


def seqs_beyond(connection: Connection, unit: str, boot_id: str, up_to: int, limit: int = BEYOND) -> list[int]:
    """The held seqs of a boot above `up_to`, ascending, at most `limit`."""
    rows = connection.execute(
        text("SELECT seq FROM events WHERE unit = :unit AND boot_id = :boot_id AND seq > :up_to ORDER BY seq LIMIT :limit"),
        {"unit": unit, "boot_id": boot_id, "up_to": up_to, "limit": limit},
    )
    return [int(seq) for (seq,) in rows]


def find_mark(connection: Connection, unit: str, boot_id: str) -> Mark:
    """The stored mark of a boot; an empty one where the boot is new."""
    row = connection.execute(
        text("SELECT up_to, missing FROM boots WHERE unit = :unit AND boot_id = :boot_id"), {"unit": unit, "boot_id": boot_id}
    ).one_or_none()
    return Mark() if row is None else Mark(int(row[0]), tuple(json.loads(row[1])))


def put_mark(connection: Connection, unit: str, boot_id: str, mark: Mark, at_ms: int) -> None:
    """Stores the mark of a boot."""
    connection.execute(
        text(
            "INSERT INTO boots (unit, boot_id, up_to, missing, touched_ms) VALUES (:unit, :boot_id, :up_to, :missing, :at_ms)"
            " ON CONFLICT (unit, boot_id) DO UPDATE SET up_to = excluded.up_to, missing = excluded.missing,"
            " touched_ms = excluded.touched_ms"
        ),
        {"unit": unit, "boot_id": boot_id, "up_to": mark.up_to, "missing": json.dumps(mark.missing), "at_ms": at_ms},
    )


def newest_marks(connection: Connection, unit: str, limit: int) -> list[tuple[str, Mark, int]]:
    """(boot_id, mark, when it was heard of) of the unit's boots that were heard of last, at most `limit`."""
    rows = connection.execute(
        text("SELECT boot_id, up_to, missing, touched_ms FROM boots WHERE unit = :unit ORDER BY touched_ms DESC, boot_id LIMIT :limit"),
        {"unit": unit, "limit": limit},
    )
    return [(str(boot_id), Mark(int(up_to), tuple(json.loads(missing))), int(touched_ms)) for boot_id, up_to, missing, touched_ms in rows]


def note_fever(connection: Connection, unit: str, boot_id: str, seq: int, resident: str, at_ms: int) -> int:
    """Counts a fever that the unit found; how many it has found in the hour up to `at_ms`, the server's time."""
    connection.execute(
        text(
            "INSERT INTO fevers (unit, boot_id, seq, resident, received_ms) VALUES (:unit, :boot_id, :seq, :resident, :at_ms)"
            " ON CONFLICT DO NOTHING"
        ),
        {"unit": unit, "boot_id": boot_id, "seq": seq, "resident": resident, "at_ms": at_ms},
    )
    return int(
        connection.execute(
            text("SELECT count(*) FROM fevers WHERE unit = :unit AND received_ms > :since"), {"unit": unit, "since": at_ms - 3_600_000}
        ).scalar_one()
    )


def insert_review(connection: Connection, why: str, unit: str, boot_id: str, seq: int, resident: str, at_ms: int, received_ms: int) -> None:
    """Puts a fever before people instead of making it a fact."""
    connection.execute(
        text(
            "INSERT INTO reviews (why, unit, boot_id, seq, resident, at_ms, received_ms)"
            " VALUES (:why, :unit, :boot_id, :seq, :resident, :at_ms, :received_ms)"
        ),
        {
            "why": why,
            "unit": unit,
            "boot_id": boot_id,
            "seq": seq,
            "resident": resident,
            "at_ms": at_ms,
            "received_ms": received_ms,
        },
    )


def quarantine(connection: Connection, rows: Sequence[Quarantined]) -> int:
    """Keeps what was refused while there is room; how many rows were kept."""
    if not rows:
        return 0
    room = QUARANTINE_LIMIT - int(connection.execute(text("SELECT count(*) FROM quarantine")).scalar_one())
    kept = list(rows[: max(0, room)])
    if kept:
        connection.execute(
            text(
                "INSERT INTO quarantine (why, topic, unit, boot_id, seq, received_ms, body)"
                " VALUES (:why, :topic, :unit, :boot_id, :seq, :received_ms, :body)"
            ),
            [vars(row) for row in kept],
        )
    return len(kept)


def raise_alert(connection: Connection, name: str, unit: str, detail: str, at_ms: int) -> None:
    """Notes an alert; one that is already there is counted again."""
    connection.execute(
        text(
            "INSERT INTO alerts (name, unit, since_ms, last_ms, times, detail) VALUES (:name, :unit, :at_ms, :at_ms, 1, :detail)"
            " ON CONFLICT (name, unit) DO UPDATE SET last_ms = excluded.last_ms, times = alerts.times + 1, detail = excluded.detail"
        ),
        {"name": name, "unit": unit, "at_ms": at_ms, "detail": detail},
    )


def end_alert(connection: Connection, name: str, unit: str) -> bool:
    """Forgets an alert: what it was about is over. False where there was none."""
    done = connection.execute(text("DELETE FROM alerts WHERE name = :name AND unit = :unit"), {"name": name, "unit": unit})
    return done.rowcount > 0


@dataclass(frozen=True)
class AlertRow:
    """An alert of the server's own: since when, when it was raised last, how often, and what about."""

    name: str
    unit: str
    since_ms: int
    last_ms: int
    times: int
    detail: str


def find_alerts(connection: Connection, unit: str) -> list[AlertRow]:
    """The server's own alerts about a unit, the newest first."""
    rows = connection.execute(
        text("SELECT name, unit, since_ms, last_ms, times, detail FROM alerts WHERE unit = :unit ORDER BY last_ms DESC"), {"unit": unit}
    )
    return [AlertRow(**row._mapping) for row in rows]


def list_alerts(connection: Connection) -> list[tuple[str, str, int, str]]:
    """(name, unit, times, detail) of every alert."""
    rows = connection.execute(text("SELECT name, unit, times, detail FROM alerts ORDER BY last_ms DESC"))
    return [(str(name), str(unit), int(times), str(detail)) for name, unit, times, detail in rows]
