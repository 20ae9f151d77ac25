"""Queries about colours and numbers that are proposed. Every function works inside the caller's transaction.

The colour of a proposal about a number is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text


@dataclass(frozen=True)
class ProposalRow:
    """A proposal; who decided it is empty while nobody has, `force_ms` is when an approved one counts.

    `sealed` is the number that is proposed, until it is decided.
    """

    proposal: int
    colour: str
    reason: str
    people: int
    account: str
    role: str
    made_ms: int
    expires_ms: int
    appeal: int | None
    state: str
    decided_account: str
    decided_role: str
    decided_ms: int | None
    force_ms: int | None
    sealed: bytes | None


@dataclass(frozen=True)
class CorrectedRow:
    """A resident's number was corrected at `at_ms`: why, by an account of which role, and with which role's agreement."""

    at_ms: int
    reason: str
    role: str
    decided_role: str


_PROPOSAL = """SELECT proposal, colour, reason, people, account, role, made_ms, expires_ms, appeal, state, decided_account, decided_role,
decided_ms, force_ms, sealed FROM proposals """

_OF_RESIDENT = " FROM proposals p JOIN proposal_residents r ON r.proposal = p.proposal "
_NUMBERS = "SELECT p.proposal" + _OF_RESIDENT
_CORRECTED = "SELECT p.decided_ms, p.reason, p.role, p.decided_role" + _OF_RESIDENT
_IN_FORCE = """WHERE state = 'in_force' AND colour <> '' AND proposal IN
(SELECT proposal FROM proposal_residents WHERE resident = :resident)
ORDER BY made_ms DESC, proposal DESC LIMIT 1"""


def insert_proposal(
    tx: Connection,
    colour: str,
    reason: str,
    residents: Sequence[str],
    account: str,
    role: str,
    made_ms: int,
    expires_ms: int,
    appeal: int | None,
    sealed: bytes | None = None,
) -> int:
    """A new open proposal; its number."""
    number = int(
        tx.execute(
            text(
                "INSERT INTO proposals (colour, reason, people, account, role, made_ms, expires_ms, appeal, state, sealed)"
                " VALUES (:colour, :reason, :people, :account, :role, :made_ms, :expires_ms, :appeal, 'open', :sealed) RETURNING proposal"
            ),
            {
                "colour": colour,
                "reason": reason,
                "people": len(residents),
                "account": account,
                "role": role,
                "made_ms": made_ms,
                "expires_ms": expires_ms,
                "appeal": appeal,
                "sealed": sealed,
            },
        ).scalar_one()
    )
    tx.execute(
        text("INSERT INTO proposal_residents (proposal, resident) VALUES (:proposal, :resident)"),
        [{"proposal": number, "resident": resident} for resident in residents],
    )
    return number


def find(tx: Connection, proposal: int) -> ProposalRow | None:
    """The proposal of this number."""
    row = tx.execute(text(_PROPOSAL + "WHERE proposal = :proposal"), {"proposal": proposal}).one_or_none()
    return None if row is None else ProposalRow(*row)


def list_newest(tx: Connection, limit: int, state: str | None, before: int | None) -> list[ProposalRow]:
    """The newest proposals before the one with the number `before`, of one state or of all."""
    where = [*(["state = :state"] if state else []), *(["proposal < :before"] if before is not None else [])]
    values = {"limit": limit, **({"state": state} if state else {}), **({} if before is None else {"before": before})}
    sql = f"{_PROPOSAL}{'WHERE ' if where else ''}{' AND '.join(where)} ORDER BY proposal DESC LIMIT :limit"
    return [ProposalRow(*row) for row in tx.execute(text(sql), values)]


def residents_of(tx: Connection, proposal: int) -> list[str]:
    """Whom the proposal is about."""
    rows = tx.execute(text("SELECT resident FROM proposal_residents WHERE proposal = :proposal ORDER BY resident"), {"proposal": proposal})
    return [str(resident) for (resident,) in rows]


def count_since(tx: Connection, account: str, since_ms: int) -> tuple[int, int]:
    """(people proposed one by one, proposals of many) by the account since then."""
    row = tx.execute(
        text(
            "SELECT coalesce(sum(CASE WHEN people = 1 THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN people > 1 THEN 1 ELSE 0 END), 0)"
            " FROM proposals WHERE account = :account AND made_ms > :since"
        ),
        {"account": account, "since": since_ms},
    ).one()
    return int(row[0]), int(row[1])


def decide(tx: Connection, proposal: int, state: str, account: str, role: str, at_ms: int, force_ms: int | None = None) -> None:
    """Notes what became of a proposal, by whom. What was sealed with it is forgotten."""
    tx.execute(
        text(
            "UPDATE proposals SET state = :state, decided_account = :account, decided_role = :role, decided_ms = :at_ms,"
            " force_ms = :force_ms, sealed = NULL WHERE proposal = :proposal"
        ),
        {"proposal": proposal, "state": state, "account": account, "role": role, "at_ms": at_ms, "force_ms": force_ms},
    )


def put_in_force(tx: Connection, proposal: int) -> None:
    """The proposal counts from now on."""
    tx.execute(text("UPDATE proposals SET state = 'in_force' WHERE proposal = :proposal"), {"proposal": proposal})


def find_due(tx: Connection, at_ms: int) -> ProposalRow | None:
    """The approved proposal that has waited longest beyond its delay."""
    row = tx.execute(
        text(_PROPOSAL + "WHERE state = 'approved' AND force_ms <= :at_ms ORDER BY force_ms, proposal LIMIT 1"), {"at_ms": at_ms}
    ).one_or_none()
    return None if row is None else ProposalRow(*row)


def expire(tx: Connection, at_ms: int) -> list[int]:
    """Ends open proposals that nobody decided in time; their numbers."""
    found = tx.execute(
        text("UPDATE proposals SET state = 'expired', sealed = NULL WHERE state = 'open' AND expires_ms <= :at_ms RETURNING proposal"),
        {"at_ms": at_ms},
    )
    return sorted(int(number) for (number,) in found)


def has_work(tx: Connection, at_ms: int) -> bool:
    """Whether anything is to be put in force or ended by then."""
    found = tx.execute(
        text(
            "SELECT 1 FROM proposals WHERE (state = 'approved' AND force_ms <= :at_ms) OR (state = 'open' AND expires_ms <= :at_ms) LIMIT 1"
        ),
        {"at_ms": at_ms},
    )
    return found.first() is not None


def newest_in_force(tx: Connection, resident: str) -> ProposalRow | None:
    """The proposal by which the resident's colour was set by hand last."""
    row = tx.execute(text(_PROPOSAL + _IN_FORCE), {"resident": resident}).one_or_none()
    return None if row is None else ProposalRow(*row)


def find_open_number(tx: Connection, resident: str, at_ms: int) -> int | None:
    """The proposal about the resident's number that waits at this time."""
    found = tx.execute(
        text(_NUMBERS + "WHERE r.resident = :resident AND p.colour = '' AND p.state = 'open' AND p.expires_ms > :at_ms LIMIT 1"),
        {"resident": resident, "at_ms": at_ms},
    ).scalar()
    return None if found is None else int(found)


def list_corrected(tx: Connection, resident: str) -> list[CorrectedRow]:
    """The corrections of the resident's number, the newest first."""
    rows = tx.execute(
        text(
            _CORRECTED
            + "WHERE r.resident = :resident AND p.colour = '' AND p.state = 'in_force' ORDER BY p.decided_ms DESC, p.proposal DESC"
        ),
        {"resident": resident},
    )
    return [CorrectedRow(*row) for row in rows]
