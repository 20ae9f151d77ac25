"""Queries about facts that are folded: which need not be read one by one. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.rulings import FactRow, execute_about, list_imported
from server.store.sql import text


@dataclass(frozen=True)
class FoldRow:
    """What is left of a resident's folded facts. `runs` is JSON; `kept`: how many facts up to `until_ms` are not folded."""

    resident: str
    basis: str
    until_ms: int
    kept: int
    heard_ms: int
    runs: str


_FOLDS = "SELECT resident, basis, until_ms, kept, heard_ms, runs FROM folds WHERE resident IN :residents"
_FACTS = "SELECT resident, kind, at_ms, recorded_ms, body FROM facts WHERE resident IN :residents"
_UNFOLDED = _FACTS + " AND folded = 0 ORDER BY resident, at_ms, fact"
_FOLDED = _FACTS + " AND folded = 1"


def list_counting(
    connection: Connection, residents: Collection[str], basis: str, also: tuple[int, int] | None = None
) -> tuple[dict[str, list[FactRow]], dict[str, FoldRow]]:
    """As `rulings.list_facts`, without those facts that are folded on this basis; and what is left of them.

    Where another basis was taken, or a fact came since that stands among them, all facts are there and nothing is folded.
    """
    found: dict[str, list[FactRow]] = defaultdict(list)
    if not residents:
        return found, {}
    asked = list(residents)
    for row in execute_about(connection, _UNFOLDED, asked):
        found[row[0]].append(FactRow(*row))
    folds = {}
    for fold in (FoldRow(*row) for row in execute_about(connection, _FOLDS, asked)):
        if fold.basis == basis and sum(row.at_ms <= fold.until_ms for row in found[fold.resident]) == fold.kept:
            folds[fold.resident] = fold
        else:
            for row in execute_about(connection, _FOLDED, [fold.resident]):
                found[fold.resident].append(FactRow(*row))
            found[fold.resident].sort(key=lambda row: row.at_ms)
    list_imported(connection, asked, found, also)
    return found, folds


def list_own(connection: Connection, resident: str) -> list[tuple[int, FactRow]]:
    """(number, fact) of every fact of a resident's own, none of them folded from now on."""
    connection.execute(text("UPDATE facts SET folded = 0 WHERE resident = :resident AND folded = 1"), {"resident": resident})
    connection.execute(text("DELETE FROM folds WHERE resident = :resident"), {"resident": resident})
    rows = connection.execute(
        text("SELECT fact, resident, kind, at_ms, recorded_ms, body FROM facts WHERE resident = :resident ORDER BY at_ms, fact"),
        {"resident": resident},
    )
    return [(int(fact), FactRow(*row)) for fact, *row in rows]


def put(connection: Connection, fold: FoldRow, facts: Sequence[int]) -> None:
    """Folds these facts of a resident."""
    connection.execute(text("UPDATE facts SET folded = 1 WHERE fact = :fact"), [{"fact": fact} for fact in facts])
    connection.execute(
        text(
            "INSERT INTO folds (resident, basis, until_ms, kept, heard_ms, runs)"
            " VALUES (:resident, :basis, :until_ms, :kept, :heard_ms, :runs)"
        ),
        vars(fold),
    )
