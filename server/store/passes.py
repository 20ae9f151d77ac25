"""Queries about whose code was read where and when. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam

from server.store.sql import text

AT_ONCE = 500
"""Entries that one question names: databases bound how many values one may have."""


@dataclass(frozen=True)
class PassRow:
    """A code of the entry `idx` of the list `uri` was read at a unit; (unit, boot_id, seq) is the event."""

    unit: str
    boot_id: str
    seq: int
    uri: str
    idx: int
    at_ms: int

    @property
    def person(self) -> tuple[str, int]:
        """(list, index) of the code."""
        return (self.uri, self.idx)


_NEAR = text(
    "SELECT unit, boot_id, seq, uri, idx, at_ms FROM passes WHERE (uri, idx) IN :persons AND at_ms BETWEEN :since AND :until"
).bindparams(bindparam("persons", expanding=True))
_HOLDERS = text("SELECT uri, idx, resident FROM assignments WHERE (uri, idx) IN :persons AND revoked_ms IS NULL").bindparams(
    bindparam("persons", expanding=True)
)
_FACT_TIMES = text(
    "SELECT resident, at_ms FROM facts WHERE resident IN :residents AND folded IN (0, 1) AND at_ms BETWEEN :since AND :until"
    " AND kind = :kind"
).bindparams(bindparam("residents", expanding=True))


def insert_passes(connection: Connection, rows: Sequence[PassRow]) -> None:
    """Notes where codes were read."""
    if rows:
        connection.execute(
            text("INSERT INTO passes (unit, boot_id, seq, uri, idx, at_ms) VALUES (:unit, :boot_id, :seq, :uri, :idx, :at_ms)"),
            [vars(row) for row in rows],
        )


def find_passes(connection: Connection, persons: Collection[tuple[str, int]], since_ms: int, until_ms: int) -> list[PassRow]:
    """Where codes of these (list, index) were read between two times."""
    asked = sorted(persons)
    found: list[PassRow] = []
    for begin in range(0, len(asked), AT_ONCE):
        values = {"persons": asked[begin : begin + AT_ONCE], "since": since_ms, "until": until_ms}
        found += [PassRow(*row) for row in connection.execute(_NEAR, values)]
    return found


def find_holders(connection: Connection, persons: Collection[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """The residents whose codes stand under these (list, index) now."""
    asked = sorted(persons)
    found: dict[tuple[str, int], str] = {}
    for begin in range(0, len(asked), AT_ONCE):
        for uri, idx, resident in connection.execute(_HOLDERS, {"persons": asked[begin : begin + AT_ONCE]}):
            found[(str(uri), int(idx))] = str(resident)
    return found


def find_fact_times(connection: Connection, residents: Collection[str], kind: str, since_ms: int, until_ms: int) -> list[tuple[str, int]]:
    """(resident, at_ms) of these residents' facts of a kind between two times."""
    asked = sorted(residents)
    found: list[tuple[str, int]] = []
    for begin in range(0, len(asked), AT_ONCE):
        values = {"residents": asked[begin : begin + AT_ONCE], "kind": kind, "since": since_ms, "until": until_ms}
        found += [(str(resident), int(at_ms)) for resident, at_ms in connection.execute(_FACT_TIMES, values)]
    return found


def unit_sites(connection: Connection) -> dict[str, str]:
    """Where each unit stands; an empty word where nobody said."""
    return {str(unit): str(site) for unit, site in connection.execute(text("SELECT unit, site FROM units"))}
