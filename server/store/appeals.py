"""Queries about requests for conversion and their papers. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text


@dataclass(frozen=True)
class AppealRow:
    """A request for conversion; `sealed` is what the person wrote, `colour` what their code was then."""

    appeal: int
    resident: str
    account: str
    sealed: bytes
    colour: str
    asked_ms: int
    due_ms: int
    state: str
    answer: str
    decided_account: str
    decided_role: str
    decided_ms: int | None
    proposal: int | None


@dataclass(frozen=True)
class PaperRow:
    """A paper that came with a request: its number in it, kind and size in bytes."""

    paper: int
    kind: str
    size: int


_APPEAL = """SELECT appeal, resident, account, sealed, colour, asked_ms, due_ms, state, answer, decided_account, decided_role, decided_ms,
proposal FROM appeals """


def insert_appeal(tx: Connection, resident: str, account: str, colour: str, asked_ms: int, due_ms: int, sealed: bytes) -> int:
    """A new open request; its number."""
    return int(
        tx.execute(
            text(
                "INSERT INTO appeals (resident, account, sealed, colour, asked_ms, due_ms, state)"
                " VALUES (:resident, :account, :sealed, :colour, :asked_ms, :due_ms, 'open') RETURNING appeal"
            ),
            {"resident": resident, "account": account, "sealed": sealed, "colour": colour, "asked_ms": asked_ms, "due_ms": due_ms},
        ).scalar_one()
    )


def insert_papers(tx: Connection, appeal: int, papers: Sequence[tuple[PaperRow, bytes]]) -> None:
    """The papers of a request, sealed."""
    if papers:
        tx.execute(
            text("INSERT INTO appeal_papers (appeal, paper, kind, size, sealed) VALUES (:appeal, :paper, :kind, :size, :sealed)"),
            [{"appeal": appeal, **vars(row), "sealed": sealed} for row, sealed in papers],
        )


def find(tx: Connection, appeal: int) -> AppealRow | None:
    """The request of this number."""
    row = tx.execute(text(_APPEAL + "WHERE appeal = :appeal"), {"appeal": appeal}).one_or_none()
    return None if row is None else _appeal(row._mapping)


def find_open(tx: Connection, resident: str) -> AppealRow | None:
    """The request of this resident that waits."""
    row = tx.execute(text(_APPEAL + "WHERE resident = :resident AND state = 'open'"), {"resident": resident}).one_or_none()
    return None if row is None else _appeal(row._mapping)


def list_of(tx: Connection, resident: str) -> list[AppealRow]:
    """The resident's requests, newest first."""
    rows = tx.execute(text(_APPEAL + "WHERE resident = :resident ORDER BY appeal DESC"), {"resident": resident})
    return [_appeal(row._mapping) for row in rows]


def list_open(tx: Connection, limit: int, after: tuple[int, int]) -> list[AppealRow]:
    """Those that wait, the one that is due first first, after the one with this (due_ms, appeal)."""
    rows = tx.execute(
        text(
            _APPEAL
            + "WHERE state = 'open' AND (due_ms > :due OR (due_ms = :due AND appeal > :appeal)) ORDER BY due_ms, appeal LIMIT :limit"
        ),
        {"due": after[0], "appeal": after[1], "limit": limit},
    )
    return [_appeal(row._mapping) for row in rows]


def count_overdue(tx: Connection, at_ms: int) -> tuple[int, int | None]:
    """(how many wait beyond their deadline, the first deadline that is over or is to come, in ms)."""
    row = tx.execute(
        text("SELECT coalesce(sum(CASE WHEN due_ms <= :at_ms THEN 1 ELSE 0 END), 0), min(due_ms) FROM appeals WHERE state = 'open'"),
        {"at_ms": at_ms},
    ).one()
    return int(row[0]), None if row[1] is None else int(row[1])


def count_since(tx: Connection, resident: str, since_ms: int) -> int:
    """How many requests there were about the resident since then."""
    found = tx.execute(
        text("SELECT count(*) FROM appeals WHERE resident = :resident AND asked_ms > :since"), {"resident": resident, "since": since_ms}
    )
    return int(found.scalar_one())


def answer(tx: Connection, appeal: int, word: str, account: str, role: str, at_ms: int, proposal: int | None) -> None:
    """Notes the answer."""
    tx.execute(
        text(
            "UPDATE appeals SET state = 'answered', answer = :word, decided_account = :account, decided_role = :role, decided_ms = :at_ms,"
            " proposal = :proposal WHERE appeal = :appeal"
        ),
        {"appeal": appeal, "word": word, "account": account, "role": role, "at_ms": at_ms, "proposal": proposal},
    )


def list_papers(tx: Connection, appeal: int) -> list[PaperRow]:
    """The papers of a request, without their content."""
    rows = tx.execute(text("SELECT paper, kind, size FROM appeal_papers WHERE appeal = :appeal ORDER BY paper"), {"appeal": appeal})
    return [PaperRow(*row) for row in rows]


def find_paper(tx: Connection, appeal: int, paper: int) -> tuple[str, bytes] | None:
    """(kind, sealed content) of a paper."""
    row = tx.execute(
        text("SELECT kind, sealed FROM appeal_papers WHERE appeal = :appeal AND paper = :paper"), {"appeal": appeal, "paper": paper}
    ).one_or_none()
    return None if row is None else (str(row[0]), bytes(row[1]))


def _appeal(found: object) -> AppealRow:
    values = dict(found)  # type: ignore[call-overload]
    return AppealRow(**{**values, "sealed": bytes(values["sealed"])})
