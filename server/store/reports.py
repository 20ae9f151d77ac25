"""Queries about reports that were taken and drafts that were not sent yet. Every function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text


@dataclass(frozen=True)
class SubmissionRow:
    """A report that was taken under the id that its sender gave it. `hash` is the keyed hash of what was sent."""

    account: str
    submission: str
    resident: str
    kind: str
    hash: bytes
    at_ms: int
    corrects_ms: int | None
    outcome: str


def find_submission(connection: Connection, account: str, submission: str) -> SubmissionRow | None:
    """The report of this id; None where it did not come yet."""
    row = connection.execute(
        text(
            "SELECT account, submission, resident, kind, hash, at_ms, corrects_ms, outcome FROM submissions"
            " WHERE account = :account AND submission = :submission"
        ),
        {"account": account, "submission": submission},
    ).one_or_none()
    return None if row is None else SubmissionRow(**{**row._mapping, "hash": bytes(row.hash)})


def insert_submission(connection: Connection, row: SubmissionRow) -> None:
    """Notes a report that was taken."""
    connection.execute(
        text(
            "INSERT INTO submissions (account, submission, resident, kind, hash, at_ms, corrects_ms, outcome)"
            " VALUES (:account, :submission, :resident, :kind, :hash, :at_ms, :corrects_ms, :outcome)"
        ),
        vars(row),
    )


def count_since(connection: Connection, resident: str, since_ms: int) -> tuple[int, int]:
    """(reports, corrections among them) about the resident from `since_ms` on."""
    row = connection.execute(
        text("SELECT count(*), count(corrects_ms) FROM submissions WHERE resident = :resident AND at_ms >= :since_ms"),
        {"resident": resident, "since_ms": since_ms},
    ).one()
    return int(row[0]), int(row[1])


def put_draft(connection: Connection, account: str, resident: str, kind: str, sealed: bytes, at_ms: int) -> None:
    """Keeps a draft in place of the one before."""
    connection.execute(
        text(
            "INSERT INTO drafts (account, resident, kind, sealed, saved_ms) VALUES (:account, :resident, :kind, :sealed, :at_ms)"
            " ON CONFLICT (account, resident, kind) DO UPDATE SET sealed = excluded.sealed, saved_ms = excluded.saved_ms"
        ),
        {"account": account, "resident": resident, "kind": kind, "sealed": sealed, "at_ms": at_ms},
    )


def find_draft(connection: Connection, account: str, resident: str, kind: str) -> tuple[bytes, int] | None:
    """(sealed, when it was saved) of a draft."""
    row = connection.execute(
        text("SELECT sealed, saved_ms FROM drafts WHERE account = :account AND resident = :resident AND kind = :kind"),
        {"account": account, "resident": resident, "kind": kind},
    ).one_or_none()
    return None if row is None else (bytes(row[0]), int(row[1]))


def delete_draft(connection: Connection, account: str, resident: str, kind: str) -> None:
    """Forgets a draft."""
    connection.execute(
        text("DELETE FROM drafts WHERE account = :account AND resident = :resident AND kind = :kind"),
        {"account": account, "resident": resident, "kind": kind},
    )


def forget_drafts(connection: Connection, before_ms: int) -> int:
    """Drops drafts that were last saved by then; how many."""
    return int(connection.execute(text("DELETE FROM drafts WHERE saved_ms <= :before"), {"before": before_ms}).rowcount)
