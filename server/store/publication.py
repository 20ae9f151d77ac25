"""Queries about what is published: waiting changes, deltas, heads, snapshots, trust lists. Inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from healthcode.terms import Status
from server.store.sql import text, write_many


@dataclass(frozen=True)
class Change:
    """An entry that the next delta has to set; `ruled_at` is the ruling's time in seconds."""

    change: int
    idx: int
    status: Status
    ruled_at: int


@dataclass(frozen=True)
class Waiting:
    """What the next delta of `uri` shall say of the entry `idx`; `ruled_at` is the ruling's time in seconds."""

    uri: str
    idx: int
    status: Status
    ruled_at: int


@dataclass(frozen=True)
class HeadRow:
    """The newest signed head of a list."""

    uri: str
    issuer: str
    epoch: int
    version: int
    as_of: int
    is_ours: bool
    body: bytes


@dataclass(frozen=True)
class SnapshotRow:
    """A stored snapshot without its bytes."""

    epoch: int
    version: int
    sha256: bytes
    size: int
    made_ms: int


def insert_changes(connection: Connection, changes: Sequence[Waiting]) -> None:
    """Has the next deltas set these entries."""
    if changes:
        write_many(
            connection,
            text("INSERT INTO list_changes (uri, idx, status, ruled_at) VALUES (:uri, :idx, :status, :ruled_at)"),
            [{**vars(change), "status": int(change.status)} for change in changes],
        )


def has_changes(connection: Connection, uri: str) -> bool:
    """Whether any change waits for the next delta."""
    return connection.execute(text("SELECT 1 FROM list_changes WHERE uri = :uri LIMIT 1"), {"uri": uri}).first() is not None


def waiting_changes(connection: Connection, uri: str, limit: int) -> list[Change]:
    """The oldest waiting changes, at most `limit`."""
    rows = connection.execute(
        text("SELECT change, idx, status, ruled_at FROM list_changes WHERE uri = :uri ORDER BY change LIMIT :limit"),
        {"uri": uri, "limit": limit},
    )
    return [Change(int(change), int(idx), Status(int(status)), int(ruled_at)) for change, idx, status, ruled_at in rows]


def delete_changes(connection: Connection, changes: Sequence[Change]) -> None:
    """Takes out changes that a delta now says."""
    if changes:
        connection.execute(text("DELETE FROM list_changes WHERE change = :change"), [{"change": change.change} for change in changes])


def every_status(connection: Connection, uri: str) -> list[tuple[int, str | None]]:
    """(index, colour) of every assignment of the list that is not green; a revoked one has the colour None."""
    rows = connection.execute(
        text(
            "SELECT a.idx, CASE WHEN a.revoked_ms IS NULL THEN g.colour END FROM assignments a"
            " JOIN residents r ON r.resident = a.resident JOIN rulings g ON g.ruling = r.ruling"
            " WHERE a.uri = :uri AND (a.revoked_ms IS NOT NULL OR g.colour NOT IN ('green', 'pending')) ORDER BY a.idx"
        ),
        {"uri": uri},
    )
    return [(int(idx), colour) for idx, colour in rows]


def insert_delta(connection: Connection, uri: str, epoch: int, start: int, to: int, body: bytes) -> None:
    """Stores a signed delta."""
    connection.execute(
        text(
            "INSERT INTO deltas (uri, epoch, from_version, to_version, body) VALUES (:uri, :epoch, :start, :to_version, :body)"
            " ON CONFLICT DO NOTHING"
        ),
        {"uri": uri, "epoch": epoch, "start": start, "to_version": to, "body": body},
    )


def list_deltas(connection: Connection, uri: str, epoch: int, start: int, to: int, limit: int) -> list[bytes]:
    """The signed deltas from version `start` on up to version `to`, in order, at most `limit`."""
    rows = connection.execute(
        text(
            "SELECT body FROM deltas WHERE uri = :uri AND epoch = :epoch AND from_version >= :start AND to_version <= :to_version"
            " ORDER BY from_version LIMIT :limit"
        ),
        {"uri": uri, "epoch": epoch, "start": start, "to_version": to, "limit": limit},
    )
    return [bytes(body) for (body,) in rows]


def bytes_after(connection: Connection, uri: str, epoch: int, version: int) -> int:
    """How many bytes the deltas are that follow version `version`."""
    found = connection.execute(
        text("SELECT sum(length(body)) FROM deltas WHERE uri = :uri AND epoch = :epoch AND from_version >= :version"),
        {"uri": uri, "epoch": epoch, "version": version},
    ).scalar_one()
    return int(found or 0)


def oldest_delta(connection: Connection, uri: str, epoch: int) -> int | None:
    """The version at which the stored deltas begin; None where there is none."""
    found = connection.execute(
        text("SELECT min(from_version) FROM deltas WHERE uri = :uri AND epoch = :epoch"), {"uri": uri, "epoch": epoch}
    ).scalar_one()
    return None if found is None else int(found)


def drop_deltas(connection: Connection, uri: str, epoch: int, before: int) -> None:
    """Forgets deltas that begin before version `before`, and those of other epochs."""
    connection.execute(
        text("DELETE FROM deltas WHERE uri = :uri AND (epoch <> :epoch OR from_version < :before)"),
        {"uri": uri, "epoch": epoch, "before": before},
    )


def put_head(connection: Connection, head: HeadRow) -> None:
    """Stores the newest head of a list in place of the one before."""
    connection.execute(
        text(
            "INSERT INTO heads (uri, issuer, epoch, version, as_of, is_ours, body)"
            " VALUES (:uri, :issuer, :epoch, :version, :as_of, :is_ours, :body)"
            " ON CONFLICT (uri) DO UPDATE SET issuer = excluded.issuer, epoch = excluded.epoch, version = excluded.version,"
            " as_of = excluded.as_of, is_ours = excluded.is_ours, body = excluded.body"
        ),
        {**vars(head), "is_ours": int(head.is_ours)},
    )


def list_heads(connection: Connection) -> list[HeadRow]:
    """The newest head of every list, ours and others'."""
    rows = connection.execute(text("SELECT uri, issuer, epoch, version, as_of, is_ours, body FROM heads ORDER BY uri"))
    return [
        HeadRow(str(uri), str(issuer), int(epoch), int(version), int(as_of), bool(is_ours), bytes(body))
        for uri, issuer, epoch, version, as_of, is_ours, body in rows
    ]


def insert_snapshot(connection: Connection, uri: str, row: SnapshotRow, body: bytes, keep: int = 2) -> None:
    """Stores a signed snapshot and forgets all of the list but the `keep` newest, so that a unit can finish what it is fetching.

    One of the same version, signed anew by another key, takes the place of the one before.
    """
    connection.execute(
        text(
            "INSERT INTO snapshots (uri, epoch, version, sha256, size, made_ms, body)"
            " VALUES (:uri, :epoch, :version, :sha256, :size, :made_ms, :body) ON CONFLICT (uri, epoch, version)"
            " DO UPDATE SET sha256 = excluded.sha256, size = excluded.size, made_ms = excluded.made_ms, body = excluded.body"
        ),
        {"uri": uri, "body": body, **vars(row)},
    )
    kept = connection.execute(
        text("SELECT epoch, version FROM snapshots WHERE uri = :uri ORDER BY epoch DESC, version DESC"), {"uri": uri}
    ).all()
    for epoch, version in kept[keep:]:
        connection.execute(
            text("DELETE FROM snapshots WHERE uri = :uri AND epoch = :epoch AND version = :version"),
            {"uri": uri, "epoch": epoch, "version": version},
        )


def newest_snapshot(connection: Connection, uri: str) -> SnapshotRow | None:
    """The newest snapshot of a list."""
    row = connection.execute(
        text("SELECT epoch, version, sha256, size, made_ms FROM snapshots WHERE uri = :uri ORDER BY epoch DESC, version DESC LIMIT 1"),
        {"uri": uri},
    ).one_or_none()
    return None if row is None else SnapshotRow(int(row[0]), int(row[1]), bytes(row[2]), int(row[3]), int(row[4]))


def snapshot_chunk(connection: Connection, uri: str, epoch: int, version: int, offset: int, length: int) -> tuple[int, bytes] | None:
    """(whole length, `length` bytes from `offset`) of a stored snapshot; None where it is not stored."""
    row = connection.execute(
        text("SELECT size, substr(body, :start, :length) FROM snapshots WHERE uri = :uri AND epoch = :epoch AND version = :version"),
        {"uri": uri, "epoch": epoch, "version": version, "start": offset + 1, "length": length},
    ).one_or_none()
    return None if row is None else (int(row[0]), bytes(row[1]))


def insert_trust_list(connection: Connection, version: int, body: bytes, seen_ms: int) -> None:
    """Keeps a copy of every trust list that was in force here."""
    connection.execute(
        text("INSERT INTO trust_lists (version, seen_ms, body) VALUES (:version, :seen_ms, :body) ON CONFLICT DO NOTHING"),
        {"version": version, "seen_ms": seen_ms, "body": body},
    )
