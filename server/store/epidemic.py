"""Queries about imports of epidemic data and their facts. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text, write_many


@dataclass(frozen=True)
class ImportRow:
    """An import. `state`: staging, discarded, in_force or withdrawn; `changed` is JSON: how many went from which colour to which."""

    number: int
    kind: str
    file: str
    digest: bytes
    source: str
    state: str
    begun_ms: int
    made_by: str
    row_count: int
    left_out: int
    fact_count: int
    new_count: int
    in_force_ms: int | None
    withdrawn_ms: int | None
    withdrawn_by: str
    withdrawn_why: str
    ruled_fact: int
    ruled_count: int
    is_ruled: int
    changed: str
    flagged: int


@dataclass(frozen=True)
class StagedFact:
    """A fact of an import: about whom (keyed hash of the number), and `name`, a hash of what it says."""

    number_hash: bytes
    name: bytes
    kind: str
    at_ms: int
    body: str


@dataclass(frozen=True)
class Told:
    """A fact of an import and the resident whom it is about; None: nobody registered, or told with an earlier fact of the import."""

    fact: int
    resident: str | None


_IMPORT = (
    "SELECT import AS number, kind, file, digest, source, state, begun_ms, made_by, row_count, left_out, fact_count, new_count,"
    " in_force_ms, withdrawn_ms, withdrawn_by, withdrawn_why, ruled_fact, ruled_count, is_ruled, changed, flagged FROM epidemic_imports "
)
_INSERT_FACT = text(
    "INSERT INTO epidemic_facts (number_hash, name, kind, at_ms, body) VALUES (:number_hash, :name, :kind, :at_ms, :body)"
    " ON CONFLICT (number_hash, name) DO NOTHING"
)
_INSERT_ROW = text(
    "INSERT INTO epidemic_rows (import, fact) SELECT :number, fact FROM epidemic_facts WHERE number_hash = :number_hash AND name = :name"
    " ON CONFLICT (import, fact) DO NOTHING"
)
# The plus keeps SQLite from going through the whole import for each fact: there are few facts of one number.
_TOLD = text(
    "SELECT w.fact, CASE WHEN r.resident IS NOT NULL AND NOT EXISTS (SELECT 1 FROM epidemic_facts f JOIN epidemic_rows v ON v.fact = f.fact"
    " WHERE f.number_hash = e.number_hash AND f.fact < e.fact AND +v.import = :number) THEN r.resident END FROM epidemic_rows w"
    " JOIN epidemic_facts e ON e.fact = w.fact LEFT JOIN residents r ON r.number_hash = e.number_hash"
    " WHERE w.import = :number AND w.fact > :after ORDER BY w.fact LIMIT :limit"
)


def insert_import(connection: Connection, kind: str, file: str, source: str, by: str, at_ms: int) -> int:
    """A new import that counts for nothing yet; its number."""
    return int(
        connection.execute(
            text(
                "INSERT INTO epidemic_imports (kind, file, digest, source, state, begun_ms, touched_ms, made_by)"
                " VALUES (:kind, :file, :digest, :source, 'staging', :at_ms, :at_ms, :made_by) RETURNING import"
            ),
            {"kind": kind, "file": file, "digest": b"", "source": source, "made_by": by, "at_ms": at_ms},
        ).scalar_one()
    )


def find_import(connection: Connection, number: int) -> ImportRow | None:
    """The import of this number."""
    return _one(connection, "WHERE import = :number", {"number": number})


def find_same(connection: Connection, kind: str, source: str, digest: bytes) -> ImportRow | None:
    """The import in force of the very same file."""
    return _one(
        connection,
        "WHERE state = 'in_force' AND digest = :digest AND kind = :kind AND source = :source ORDER BY import LIMIT 1",
        {"digest": digest, "kind": kind, "source": source},
    )


def find_unruled(connection: Connection) -> ImportRow | None:
    """The oldest import whose rulings have not all followed."""
    return _one(connection, "WHERE is_ruled = 0 ORDER BY import LIMIT 1", {})


def list_imports(connection: Connection, limit: int) -> list[ImportRow]:
    """The imports that were put in force, the newest first."""
    rows = connection.execute(text(_IMPORT + "WHERE in_force_ms IS NOT NULL ORDER BY import DESC LIMIT :limit"), {"limit": limit})
    return [_import(row._mapping) for row in rows]


def list_telling(connection: Connection, resident: str) -> list[tuple[ImportRow, int]]:
    """The imports that say or said something of a resident, the newest first, each with how many facts about them."""
    rows = connection.execute(
        text(
            "SELECT w.import, count(*) FROM residents r JOIN epidemic_facts e ON e.number_hash = r.number_hash"
            " JOIN epidemic_rows w ON w.fact = e.fact WHERE r.resident = :resident GROUP BY w.import ORDER BY w.import DESC"
        ),
        {"resident": resident},
    ).all()
    found = [(find_import(connection, int(number)), int(count)) for number, count in rows]
    return [(row, count) for row, count in found if row is not None and row.in_force_ms is not None]


def count_said(connection: Connection, number_hash: bytes) -> int:
    """How many facts imports in force say of a number, whoever has it."""
    return int(
        connection.execute(
            text(
                "SELECT count(*) FROM epidemic_facts e WHERE e.number_hash = :number_hash AND EXISTS (SELECT 1 FROM epidemic_rows w"
                " JOIN epidemic_imports i ON i.import = w.import WHERE w.fact = e.fact AND i.state = 'in_force')"
            ),
            {"number_hash": number_hash},
        ).scalar_one()
    )


def list_abandoned(connection: Connection, before_ms: int) -> list[int]:
    """Imports that were begun and not gone on with since `before_ms`."""
    rows = connection.execute(
        text("SELECT import FROM epidemic_imports WHERE state = 'staging' AND touched_ms < :before"), {"before": before_ms}
    )
    return [int(number) for (number,) in rows]


def touch(connection: Connection, number: int, at_ms: int) -> bool:
    """Notes that the import goes on; whether it is still there."""
    found = connection.execute(
        text("UPDATE epidemic_imports SET touched_ms = :at_ms WHERE import = :number AND state = 'staging'"),
        {"number": number, "at_ms": at_ms},
    )
    return found.rowcount == 1


def stage(connection: Connection, number: int, facts: Sequence[StagedFact]) -> None:
    """Adds facts to an import. A fact that is known is not stored again, and one that the import has told is not told again."""
    write_many(connection, _INSERT_FACT, [vars(fact) for fact in facts])
    write_many(connection, _INSERT_ROW, [{"number": number, "number_hash": fact.number_hash, "name": fact.name} for fact in facts])


def count_facts(connection: Connection, number: int) -> tuple[int, int, int, int]:
    """Of an import: (facts, those that no import in force says yet, people, people who are registered)."""
    values = {"number": number}
    fact_count = connection.execute(text("SELECT count(*) FROM epidemic_rows WHERE import = :number"), values).scalar_one()
    known = connection.execute(
        text(
            "SELECT count(*) FROM epidemic_rows w WHERE w.import = :number AND EXISTS (SELECT 1 FROM epidemic_rows v"
            " JOIN epidemic_imports i ON i.import = v.import WHERE v.fact = w.fact AND v.import <> :number AND i.state = 'in_force')"
        ),
        values,
    ).scalar_one()
    people, registered = connection.execute(
        text(
            "SELECT count(*), count(r.resident) FROM (SELECT DISTINCT e.number_hash FROM epidemic_rows w JOIN epidemic_facts e"
            " ON e.fact = w.fact WHERE w.import = :number) AS told LEFT JOIN residents r ON r.number_hash = told.number_hash"
        ),
        values,
    ).one()
    return int(fact_count), int(fact_count) - int(known), int(people), int(registered)


def describe(connection: Connection, number: int, digest: bytes, rows: int, left_out: int, facts: int, new: int) -> None:
    """Notes what was read of an import."""
    connection.execute(
        text(
            "UPDATE epidemic_imports SET digest = :digest, row_count = :rows, left_out = :left_out, fact_count = :facts, new_count = :new"
            " WHERE import = :number"
        ),
        {"number": number, "digest": digest, "rows": rows, "left_out": left_out, "facts": facts, "new": new},
    )


def put_in_force(connection: Connection, number: int, at_ms: int) -> bool:
    """From now on the import's facts count, all of them; False where it is not staged (any more)."""
    found = connection.execute(
        text(
            "UPDATE epidemic_imports SET state = 'in_force', in_force_ms = :at_ms, ruled_fact = 0, ruled_count = 0, is_ruled = 0"
            " WHERE import = :number AND state = 'staging'"
        ),
        {"number": number, "at_ms": at_ms},
    )
    return found.rowcount == 1


def withdraw(connection: Connection, number: int, by: str, why: str, at_ms: int) -> bool:
    """From now on the import's facts no longer count; False where it is not in force."""
    found = connection.execute(
        text(
            "UPDATE epidemic_imports SET state = 'withdrawn', withdrawn_ms = :at_ms, withdrawn_by = :by, withdrawn_why = :why,"
            " ruled_fact = 0, ruled_count = 0, is_ruled = 0, changed = '' WHERE import = :number AND state = 'in_force'"
        ),
        {"number": number, "at_ms": at_ms, "by": by, "why": why},
    )
    return found.rowcount == 1


def next_told(connection: Connection, number: int, after: int, limit: int) -> list[Told]:
    """The facts of an import beyond `after`, in order, each with the resident; a resident comes with the first of their facts alone."""
    rows = connection.execute(_TOLD, {"number": number, "after": after, "limit": limit})
    return [Told(int(fact), resident) for fact, resident in rows]


def advance(connection: Connection, number: int, fact: int, count: int, changed: str, flagged: int, *, is_last: bool) -> None:
    """Notes up to which fact rulings have followed, `count` more than before, and what they changed so far."""
    connection.execute(
        text(
            "UPDATE epidemic_imports SET ruled_fact = :fact, ruled_count = ruled_count + :count, changed = :changed,"
            " flagged = :flagged, is_ruled = :is_ruled"
            " WHERE import = :number"
        ),
        {"number": number, "fact": fact, "count": count, "changed": changed, "flagged": flagged, "is_ruled": int(is_last)},
    )


def discard(connection: Connection, number: int, limit: int) -> bool:
    """Forgets at most `limit` facts of a staged import, which is discarded with the last of them; whether more are left."""
    rows = connection.execute(
        text("SELECT fact FROM epidemic_rows WHERE import = :number ORDER BY fact LIMIT :limit"), {"number": number, "limit": limit}
    ).all()
    if rows:
        facts = [{"number": number, "fact": int(fact)} for (fact,) in rows]
        connection.execute(text("DELETE FROM epidemic_rows WHERE import = :number AND fact = :fact"), facts)
        connection.execute(
            text("DELETE FROM epidemic_facts WHERE fact = :fact AND NOT EXISTS (SELECT 1 FROM epidemic_rows WHERE fact = :fact)"), facts
        )
    if len(rows) == limit:
        return True
    # The row stays, for its number must not come again: somebody may still hold it.
    connection.execute(
        text("UPDATE epidemic_imports SET state = 'discarded' WHERE import = :number AND state = 'staging'"), {"number": number}
    )
    return False


def _one(connection: Connection, where: str, values: dict[str, object]) -> ImportRow | None:
    row = connection.execute(text(_IMPORT + where), values).one_or_none()
    return None if row is None else _import(row._mapping)


def _import(row: object) -> ImportRow:
    found = dict(row)  # type: ignore[call-overload]
    return ImportRow(**{**found, "digest": bytes(found["digest"])})
