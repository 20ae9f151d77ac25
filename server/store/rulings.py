"""Queries about facts, rulings and the rules in force. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, TextClause, bindparam

from server.store.sql import text, write_many

PAUSED_MS = 2**60
"""`due_ms` of residents whose green waits for the end of an outage."""


@dataclass(frozen=True)
class FactRow:
    """A stored fact: its kind's word, its fields as JSON, when it happened and when it was recorded."""

    resident: str
    kind: str
    at_ms: int
    recorded_ms: int
    body: str


@dataclass(frozen=True)
class StandRow:
    """Where a resident stands: index, when the ruling is due again, and the ruling in force (None each before the first)."""

    resident: str
    uri: str
    idx: int
    due_ms: int | None
    colour: str | None
    rule: str | None
    since_ms: int | None
    why: str | None
    ruled_at: int | None
    ruled_uri: str | None
    ruled_idx: int | None
    revision: int


@dataclass(frozen=True)
class RulingRow:
    """A ruling to be stored and put in force."""

    resident: str
    uri: str
    idx: int
    colour: str
    rule: str
    since_ms: int
    why: str
    ruled_at: int
    made_ms: int
    policy: int


@dataclass(frozen=True)
class OutageRow:
    """A time in which people could not check in; `ended_ms` is None while it lasts."""

    outage: int
    began_ms: int
    ended_ms: int | None
    note: str
    recorded_by: str


_STANDS = (
    "SELECT r.resident, r.uri, r.idx, r.due_ms, g.colour, g.rule, g.since_ms, g.why, g.ruled_at, g.uri AS ruled_uri, g.idx AS ruled_idx,"
    " (SELECT revision FROM rulebook) AS revision"
    " FROM residents r LEFT JOIN rulings g ON g.ruling = r.ruling WHERE r.resident IN :residents"
)
_FACTS = "SELECT resident, kind, at_ms, recorded_ms, body FROM facts WHERE resident IN :residents ORDER BY resident, at_ms, fact"
# What imports in force say of people is theirs by the hash of their number alone: whoever registers has it, whoever withdraws takes it.
_IMPORTED = (
    "SELECT r.resident, e.kind, e.at_ms, (SELECT min(coalesce(i.in_force_ms, :now_ms)) FROM epidemic_rows w"
    " JOIN epidemic_imports i ON i.import = w.import WHERE w.fact = e.fact AND (i.state = 'in_force' OR i.import = :also)) AS recorded_ms,"
    " e.body FROM residents r JOIN epidemic_facts e ON e.number_hash = r.number_hash WHERE r.resident IN :residents"
)
_INSERT_FACT = text("INSERT INTO facts (resident, kind, at_ms, recorded_ms, body) VALUES (:resident, :kind, :at_ms, :recorded_ms, :body)")
_INSERT_RULING = text(
    "INSERT INTO rulings (resident, uri, idx, colour, rule, since_ms, why, ruled_at, made_ms, policy)"
    " VALUES (:resident, :uri, :idx, :colour, :rule, :since_ms, :why, :ruled_at, :made_ms, :policy)"
)
_IN_FORCE = text(
    "UPDATE residents SET ruling = (SELECT max(g.ruling) FROM rulings g WHERE g.resident = :resident) WHERE resident = :resident"
)
_SET_DUE = text("UPDATE residents SET due_ms = :due_ms WHERE resident = :resident")


def find_stands(connection: Connection, residents: Collection[str]) -> list[StandRow]:
    """Where these residents stand; unknown ones are left out."""
    return [StandRow(*row) for row in execute_about(connection, _STANDS, residents)]


def list_facts(connection: Connection, residents: Collection[str], also: tuple[int, int] | None = None) -> dict[str, list[FactRow]]:
    """The facts of each of these residents, in the order in which they happened, with those that imports in force say.

    `also`: (number, now_ms) of an import that is not in force, as if it were since `now_ms`.
    """
    found: dict[str, list[FactRow]] = defaultdict(list)
    for row in execute_about(connection, _FACTS, residents):
        found[row[0]].append(FactRow(*row))
    if residents:
        list_imported(connection, list(residents), found, also)
    return found


def list_imported(
    connection: Connection, residents: list[str], found: dict[str, list[FactRow]], also: tuple[int, int] | None = None
) -> None:
    """Puts among the facts `found` of these residents those that imports in force say."""
    number, now_ms = also or (0, 0)
    told = execute_about(connection, _IMPORTED, residents, also=number, now_ms=now_ms)
    imported = [FactRow(*row) for row in told if row[3] is not None]
    for fact in imported:
        found[fact.resident].append(fact)
    for resident in {fact.resident for fact in imported}:
        found[resident].sort(key=lambda row: row.at_ms)


def insert_facts(connection: Connection, rows: Sequence[FactRow]) -> None:
    """Stores facts."""
    if rows:
        write_many(connection, _INSERT_FACT, [vars(row) for row in rows])


def newest_recorded_ms(connection: Connection, resident: str) -> int:
    """When the newest of the resident's facts was recorded, 0 for none."""
    own = connection.execute(
        text(
            "SELECT max(heard) FROM (SELECT coalesce(max(recorded_ms), 0) AS heard FROM facts WHERE resident = :resident AND folded = 0"
            " UNION ALL SELECT coalesce(max(heard_ms), 0) FROM folds WHERE resident = :resident) AS told"
        ),
        {"resident": resident},
    )
    told = execute_about(connection, _IMPORTED, [resident], also=0, now_ms=0)
    return max([int(own.scalar_one()), *(int(row[3]) for row in told if row[3] is not None)])


def insert_rulings(connection: Connection, rows: Sequence[RulingRow]) -> None:
    """Stores rulings, at most one of each resident, and puts them in force."""
    if rows:
        write_many(connection, _INSERT_RULING, [vars(row) for row in rows])
        write_many(connection, _IN_FORCE, [{"resident": row.resident} for row in rows])


def list_rulings(connection: Connection, resident: str, most: int) -> list[RulingRow]:
    """The rulings on a resident, the newest first, at most `most` of them."""
    rows = connection.execute(
        text(
            "SELECT resident, uri, idx, colour, rule, since_ms, why, ruled_at, made_ms, policy FROM rulings"
            " WHERE resident = :resident ORDER BY ruling DESC LIMIT :most"
        ),
        {"resident": resident, "most": most},
    )
    return [RulingRow(**row._mapping) for row in rows]


def set_due(connection: Connection, due_ms: Sequence[tuple[str, int | None]]) -> None:
    """Notes when each (resident, due_ms) has to be ruled on again."""
    if due_ms:
        write_many(connection, _SET_DUE, [{"resident": resident, "due_ms": due} for resident, due in due_ms])


def find_due(connection: Connection, at_ms: int, limit: int) -> list[str]:
    """Residents whose ruling is due, the longest overdue first, at most `limit`."""
    rows = connection.execute(
        text("SELECT resident FROM residents WHERE due_ms <= :at_ms ORDER BY due_ms LIMIT :limit"), {"at_ms": at_ms, "limit": limit}
    )
    return [str(resident) for (resident,) in rows]


def everybody_is_due(connection: Connection, at_ms: int) -> int:
    """Has everybody ruled on again, in the worker's slices; how many they are."""
    return connection.execute(text("UPDATE residents SET due_ms = :at_ms WHERE ruling IS NOT NULL"), {"at_ms": at_ms}).rowcount


def paused_are_due(connection: Connection, at_ms: int) -> int:
    """Has those ruled on again whose green waited for the end of an outage."""
    return connection.execute(
        text("UPDATE residents SET due_ms = :at_ms WHERE due_ms = :paused"), {"at_ms": at_ms, "paused": PAUSED_MS}
    ).rowcount


def lapsed_are_due(connection: Connection, rule: str, at_ms: int) -> int:
    """Has those ruled on again who stand under `rule`."""
    return connection.execute(
        text("UPDATE residents SET due_ms = :at_ms WHERE ruling IN (SELECT ruling FROM rulings WHERE rule = :rule)"),
        {"at_ms": at_ms, "rule": rule},
    ).rowcount


def list_after(connection: Connection, resident: str, limit: int) -> list[str]:
    """Residents with a ruling, in the order of their ids, after `resident`, at most `limit`: to go through everybody in slices."""
    rows = connection.execute(
        text("SELECT resident FROM residents WHERE resident > :resident AND ruling IS NOT NULL ORDER BY resident LIMIT :limit"),
        {"resident": resident, "limit": limit},
    )
    return [str(found) for (found,) in rows]


def count_residents(connection: Connection) -> int:
    """How many residents there are."""
    return int(connection.execute(text("SELECT count(*) FROM residents")).scalar_one())


# The rules in force.


def find_revision(connection: Connection) -> int:
    """Goes up whenever policies or outages change."""
    return int(connection.execute(text("SELECT revision FROM rulebook")).scalar_one())


def newest_policy(connection: Connection) -> tuple[int, str] | None:
    """(version, body) of the policy in force."""
    row = connection.execute(text("SELECT version, body FROM policies ORDER BY version DESC LIMIT 1")).one_or_none()
    return None if row is None else (int(row[0]), str(row[1]))


def insert_policy(connection: Connection, version: int, body: str, since_ms: int) -> None:
    """Puts a policy in force."""
    connection.execute(
        text("INSERT INTO policies (version, body, since_ms) VALUES (:version, :body, :since_ms)"),
        {"version": version, "body": body, "since_ms": since_ms},
    )
    _revise(connection)


def list_outages(connection: Connection) -> list[OutageRow]:
    """Every outage in its order."""
    rows = connection.execute(text("SELECT outage, began_ms, ended_ms, note, recorded_by FROM outages ORDER BY began_ms, outage"))
    return [OutageRow(*row) for row in rows]


def insert_outage(connection: Connection, began_ms: int, ended_ms: int | None, note: str, by: str) -> None:
    """Notes an outage."""
    connection.execute(
        text("INSERT INTO outages (began_ms, ended_ms, note, recorded_by) VALUES (:began_ms, :ended_ms, :note, :by)"),
        {"began_ms": began_ms, "ended_ms": ended_ms, "note": note, "by": by},
    )
    _revise(connection)


def end_outage(connection: Connection, outage: int, ended_ms: int) -> None:
    """Notes the end of an outage."""
    connection.execute(text("UPDATE outages SET ended_ms = :ended_ms WHERE outage = :outage"), {"ended_ms": ended_ms, "outage": outage})
    _revise(connection)


def _revise(connection: Connection) -> None:
    connection.execute(text("UPDATE rulebook SET revision = revision + 1"))


def execute_about(connection: Connection, statement: str, residents: Collection[str], **values: int) -> Sequence[Any]:
    """Rows of a statement about `residents`. Of one it is asked in its own words: a list of blanks is written anew each time."""
    if not residents:
        return ()
    if len(residents) == 1:
        (one,) = residents
        return connection.execute(text(statement.replace("IN :residents", "= :resident")), {**values, "resident": one}).all()
    return connection.execute(_of_many(statement), {**values, "residents": list(residents)}).all()


@cache
def _of_many(statement: str) -> TextClause:
    return text(statement).bindparams(bindparam("residents", expanding=True))
