"""Queries about the log of changes and views, and its signed heads. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from server.store.sql import text, write_many

Said = tuple[int, int, str, str, str, str, str]
"""What a digest covers: entry, at_ms, account, role, action, subject, detail."""
GENESIS = bytes(32)
"""The digest before the first entry."""
_TRIGGERS = ("audit_no_update", "audit_no_delete", "audit_heads_no_update", "audit_heads_no_delete")


@dataclass(frozen=True)
class EntryRow:
    """An entry as it is stored; `detail` is a JSON object."""

    entry: int
    at_ms: int
    account: str
    role: str
    action: str
    subject: str
    detail: str
    digest: bytes

    @property
    def said(self) -> Said:
        """What the digest covers, beside the digest before."""
        return (self.entry, self.at_ms, self.account, self.role, self.action, self.subject, self.detail)


@dataclass(frozen=True)
class Tip:
    """The last entry that was written, and its digest."""

    entry: int
    digest: bytes


@dataclass(frozen=True)
class HeadRow:
    """A signed head that was stored."""

    entry: int
    at_ms: int
    body: bytes


_COLUMNS = "SELECT entry, at_ms, account, role, action, subject, detail, digest FROM audit "


def find_tip(tx: Connection) -> Tip:
    """Where the log ends."""
    row = tx.execute(text("SELECT entry, digest FROM audit_tip")).one()
    return Tip(int(row[0]), bytes.fromhex(row[1]))


def move_tip(tx: Connection, before: Tip, after: Tip) -> None:
    """Notes where the log ends now. RuntimeError where somebody else has moved it since: the caller does not hold the write lock."""
    moved = tx.execute(
        text("UPDATE audit_tip SET entry = :entry, digest = :digest WHERE entry = :before"),
        {"entry": after.entry, "digest": after.digest.hex(), "before": before.entry},
    ).rowcount
    if moved != 1:
        raise RuntimeError("two transactions wrote the audit log at once: expected one of Store.write")


def insert_entries(tx: Connection, entries: Sequence[EntryRow]) -> None:
    """Writes entries."""
    write_many(
        tx,
        text(
            "INSERT INTO audit (entry, at_ms, account, role, action, subject, detail, digest)"
            " VALUES (:entry, :at_ms, :account, :role, :action, :subject, :detail, :digest)"
        ),
        [vars(entry) for entry in entries],
    )


def list_after(tx: Connection, entry: int, limit: int) -> list[EntryRow]:
    """Entries after `entry` in their order, at most `limit`."""
    return _entries(tx.execute(text(_COLUMNS + "WHERE entry > :entry ORDER BY entry LIMIT :limit"), {"entry": entry, "limit": limit}))


def list_newest(
    tx: Connection, limit: int, *, before: int | None = None, subject: str = "", account: str = "", action: str = ""
) -> list[EntryRow]:
    """The newest entries before the entry `before`, newest first, of one subject, account or action where they are named."""
    wanted = {"subject": subject, "account": account, "action": action}
    where = [f"{name} = :{name}" for name, value in wanted.items() if value]
    if before is not None:
        where.append("entry < :before")
    values = {name: value for name, value in wanted.items() if value}
    sql = f"{_COLUMNS}{'WHERE ' if where else ''}{' AND '.join(where)} ORDER BY entry DESC LIMIT :limit"
    return _entries(tx.execute(text(sql), {**values, "limit": limit, **({} if before is None else {"before": before})}))


def count_by_role(tx: Connection, subject: str, actions: Sequence[str], since_ms: int) -> list[tuple[str, str, int, int]]:
    """(action, role, how often, when last in ms) of these actions on a subject since then."""
    found = tx.execute(
        text(
            "SELECT action, role, count(*), max(at_ms) FROM audit WHERE subject = :subject AND at_ms >= :since"
            " GROUP BY action, role ORDER BY action, role"
        ),
        {"subject": subject, "since": since_ms},
    )
    return [(str(action), str(role), int(count), int(last)) for action, role, count, last in found if action in actions]


def insert_head(tx: Connection, head: HeadRow) -> None:
    """Keeps a signed head."""
    tx.execute(text("INSERT INTO audit_heads (entry, at_ms, body) VALUES (:entry, :at_ms, :body)"), vars(head))


def newest_head(tx: Connection) -> HeadRow | None:
    """The signed head that was made last."""
    row = tx.execute(text("SELECT entry, at_ms, body FROM audit_heads ORDER BY at_ms DESC LIMIT 1")).one_or_none()
    return None if row is None else HeadRow(int(row[0]), int(row[1]), bytes(row[2]))


def list_heads(tx: Connection) -> list[HeadRow]:
    """Every signed head in order."""
    found = tx.execute(text("SELECT entry, at_ms, body FROM audit_heads ORDER BY at_ms"))
    return [HeadRow(int(entry), int(at_ms), bytes(body)) for entry, at_ms, body in found]


def is_guarded(tx: Connection) -> bool:
    """Whether the database refuses to change and to delete entries and heads."""
    if tx.dialect.name == "sqlite":
        found = tx.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
    else:
        found = tx.execute(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'"))
    return set(_TRIGGERS) <= {str(name) for (name,) in found}


def _entries(found: Iterable[Row[Any]]) -> list[EntryRow]:
    return [EntryRow(**{**row._mapping, "digest": bytes(row._mapping["digest"])}) for row in found]
