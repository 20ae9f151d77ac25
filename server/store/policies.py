"""Queries about rules that are proposed at the desk. Every function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text


@dataclass(frozen=True)
class PolicyProposalRow:
    """Proposed rules; who decided is empty while nobody has, `force_ms` is when approved ones count. `body` and `tried` are JSON."""

    proposal: int
    version: int
    name: str
    body: str
    reason: str
    tried: str
    account: str
    role: str
    made_ms: int
    expires_ms: int
    not_before_ms: int
    state: str
    decided_account: str
    decided_role: str
    decided_ms: int | None
    force_ms: int | None


_PROPOSAL = """SELECT proposal, version, name, body, reason, tried, account, role, made_ms, expires_ms, not_before_ms, state,
decided_account, decided_role, decided_ms, force_ms FROM policy_proposals """


def insert(tx: Connection, **values: str | int) -> int:
    """A new open proposal; its number."""
    return int(
        tx.execute(
            text(
                "INSERT INTO policy_proposals"
                " (version, name, body, reason, tried, account, role, made_ms, expires_ms, not_before_ms, state) VALUES"
                " (:version, :name, :body, :reason, :tried, :account, :role, :made_ms, :expires_ms, :not_before_ms, 'open')"
                " RETURNING proposal"
            ),
            values,
        ).scalar_one()
    )


def find(tx: Connection, proposal: int) -> PolicyProposalRow | None:
    """The proposal of this number."""
    row = tx.execute(text(_PROPOSAL + "WHERE proposal = :proposal"), {"proposal": proposal}).one_or_none()
    return None if row is None else PolicyProposalRow(**row._mapping)


def list_newest(tx: Connection, most: int) -> list[PolicyProposalRow]:
    """The newest proposals."""
    return [PolicyProposalRow(**row._mapping) for row in tx.execute(text(_PROPOSAL + "ORDER BY proposal DESC LIMIT :most"), {"most": most})]


def set_state(tx: Connection, proposal: int, state: str) -> None:
    """What became of a proposal of itself."""
    tx.execute(text("UPDATE policy_proposals SET state = :state WHERE proposal = :proposal"), {"proposal": proposal, "state": state})


def decide(tx: Connection, proposal: int, state: str, account: str, role: str, at_ms: int, force_ms: int | None = None) -> None:
    """Somebody decides: `force_ms` is when an approved one counts."""
    tx.execute(
        text(
            "UPDATE policy_proposals SET state = :state, decided_account = :account, decided_role = :role, decided_ms = :at_ms,"
            " force_ms = :force_ms WHERE proposal = :proposal"
        ),
        {"proposal": proposal, "state": state, "account": account, "role": role, "at_ms": at_ms, "force_ms": force_ms},
    )


def list_due(tx: Connection, at_ms: int) -> list[PolicyProposalRow]:
    """Open ones whose time to be decided is over, and approved ones that count by now, in their order."""
    rows = tx.execute(
        text(
            _PROPOSAL + "WHERE (state = 'open' AND expires_ms <= :at_ms) OR (state = 'approved' AND force_ms <= :at_ms)"
            " ORDER BY force_ms, proposal"
        ),
        {"at_ms": at_ms},
    )
    return [PolicyProposalRow(**row._mapping) for row in rows]


def is_by_officers(tx: Connection, version: int) -> bool:
    """Whether the rules of this version came in force by a proposal at the desk."""
    found = tx.execute(
        text("SELECT 1 FROM policy_proposals WHERE version = :version AND state = 'in_force' LIMIT 1"), {"version": version}
    ).one_or_none()
    return found is not None
