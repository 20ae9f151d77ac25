"""Queries about families: charges, claims and one-time codes. Every function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text


@dataclass(frozen=True)
class ChargeRow:
    """A resident whom an account looks after."""

    resident: str
    account: str
    relation: str
    since_ms: int
    sealed: bytes


@dataclass(frozen=True)
class ClaimRow:
    """Somebody's claim on a resident who was registered before. `holder` is what those who look after the resident said."""

    claim: int
    resident: str
    account: str
    relation: str
    sealed: bytes
    asked_ms: int
    state: str
    holder: str


_CHARGE = """
SELECT c.resident, c.account, c.relation, c.since_ms, r.sealed FROM charges c JOIN residents r ON r.resident = c.resident
"""
_ON_OTHERS = """WHERE state = 'open' AND holder <> 'no' AND account <> :account
AND resident IN (SELECT resident FROM charges WHERE account = :account) ORDER BY claim"""
_CLAIM = "SELECT claim, resident, account, relation, sealed, asked_ms, state, holder FROM claims "


def list_charges(connection: Connection, account: str) -> list[ChargeRow]:
    """Whom the account looks after, itself first, then in the order in which they came."""
    rows = connection.execute(
        text(_CHARGE + "WHERE c.account = :account ORDER BY CASE WHEN c.relation = 'self' THEN 0 ELSE 1 END, c.since_ms, c.resident"),
        {"account": account},
    )
    return [_charge(row._mapping) for row in rows]


def find_charge(connection: Connection, account: str, resident: str) -> ChargeRow | None:
    """The charge of the account on the resident; None where the account does not look after them."""
    row = connection.execute(
        text(_CHARGE + "WHERE c.account = :account AND c.resident = :resident"), {"account": account, "resident": resident}
    ).one_or_none()
    return None if row is None else _charge(row._mapping)


def insert_charge(connection: Connection, account: str, resident: str, relation: str, at_ms: int) -> None:
    """The account looks after the resident from now on; one that it has already becomes of this relation."""
    connection.execute(
        text(
            "INSERT INTO charges (account, resident, relation, since_ms) VALUES (:account, :resident, :relation, :at_ms)"
            " ON CONFLICT (account, resident) DO UPDATE SET relation = excluded.relation"
        ),
        {"account": account, "resident": resident, "relation": relation, "at_ms": at_ms},
    )


def delete_charge(connection: Connection, account: str, resident: str) -> None:
    """The account looks after the resident no more: the codes and drafts that it made for them go too."""
    who = {"account": account, "resident": resident}
    for table in ("charges", "hand_overs", "drafts"):
        connection.execute(text(f"DELETE FROM {table} WHERE account = :account AND resident = :resident"), who)  # noqa: S608


def delete_drafts(connection: Connection, account: str) -> None:
    """Nothing that the account has begun to fill in is left."""
    connection.execute(text("DELETE FROM drafts WHERE account = :account"), {"account": account})


def holders(connection: Connection, resident: str) -> list[tuple[str, str]]:
    """(account, relation) of all who look after the resident."""
    rows = connection.execute(
        text("SELECT account, relation FROM charges WHERE resident = :resident ORDER BY since_ms"), {"resident": resident}
    )
    return [(str(account), str(relation)) for account, relation in rows]


def insert_claim(connection: Connection, account: str, resident: str, relation: str, sealed: bytes, at_ms: int) -> int:
    """A new open claim; its number."""
    return int(
        connection.execute(
            text(
                "INSERT INTO claims (resident, account, relation, sealed, asked_ms, state)"
                " VALUES (:resident, :account, :relation, :sealed, :at_ms, 'open') RETURNING claim"
            ),
            {"resident": resident, "account": account, "relation": relation, "sealed": sealed, "at_ms": at_ms},
        ).scalar_one()
    )


def find_claim(connection: Connection, claim: int) -> ClaimRow | None:
    """The claim of this number."""
    row = connection.execute(text(_CLAIM + "WHERE claim = :claim"), {"claim": claim}).one_or_none()
    return None if row is None else _claim(row._mapping)


def open_claims_by(connection: Connection, account: str) -> list[ClaimRow]:
    """The account's own claims that nobody has decided yet."""
    rows = connection.execute(text(_CLAIM + "WHERE account = :account AND state = 'open' ORDER BY claim"), {"account": account})
    return [_claim(row._mapping) for row in rows]


def open_claims_on(connection: Connection, account: str) -> list[ClaimRow]:
    """Undecided claims of others on residents whom the account looks after, but for those to which the family said no."""
    rows = connection.execute(
        text(_CLAIM + _ON_OTHERS),
        {"account": account},
    )
    return [_claim(row._mapping) for row in rows]


def list_claims_of(connection: Connection, resident: str) -> list[ClaimRow]:
    """Undecided claims on the resident."""
    rows = connection.execute(text(_CLAIM + "WHERE resident = :resident AND state = 'open' ORDER BY claim"), {"resident": resident})
    return [_claim(row._mapping) for row in rows]


def set_claim_holder(connection: Connection, claim: int, said: str) -> None:
    """Notes what one who looks after the resident says of the claim."""
    connection.execute(text("UPDATE claims SET holder = :said WHERE claim = :claim"), {"claim": claim, "said": said})


def close_claim(connection: Connection, claim: int, state: str, by: str, at_ms: int) -> None:
    """Decides a claim, and with it the review that waits for it."""
    values = {"claim": claim, "state": state, "by": by, "at_ms": at_ms}
    connection.execute(text("UPDATE claims SET state = :state, decided_by = :by, decided_ms = :at_ms WHERE claim = :claim"), values)
    connection.execute(
        text(
            "UPDATE reviews SET state = CASE WHEN :state = 'granted' THEN 'passed' ELSE 'closed' END, decided_by = :by,"
            " decided_ms = :at_ms WHERE claim = :claim AND state = 'open'"
        ),
        values,
    )


def put_hand_over(connection: Connection, code_hash: bytes, resident: str, account: str, purpose: str, ends_ms: int) -> None:
    """A new one-time code; the ones that the account made before for this resident end."""
    connection.execute(
        text("DELETE FROM hand_overs WHERE account = :account AND resident = :resident"), {"account": account, "resident": resident}
    )
    connection.execute(
        text(
            "INSERT INTO hand_overs (code_hash, resident, account, purpose, ends_ms)"
            " VALUES (:code_hash, :resident, :account, :purpose, :ends_ms)"
        ),
        {"code_hash": code_hash, "resident": resident, "account": account, "purpose": purpose, "ends_ms": ends_ms},
    )


def find_hand_over(connection: Connection, code_hash: bytes, at_ms: int) -> tuple[str, str, str] | None:
    """(resident, account that gave it, purpose) of a code that is good still."""
    row = connection.execute(
        text("SELECT resident, account, purpose FROM hand_overs WHERE code_hash = :code_hash AND ends_ms > :at_ms"),
        {"code_hash": code_hash, "at_ms": at_ms},
    ).one_or_none()
    return None if row is None else (str(row[0]), str(row[1]), str(row[2]))


def delete_hand_overs(connection: Connection, resident: str) -> None:
    """Ends every one-time code for the resident."""
    connection.execute(text("DELETE FROM hand_overs WHERE resident = :resident"), {"resident": resident})


def forget_hand_overs(connection: Connection, before_ms: int) -> int:
    """Drops codes that have ended by then; how many."""
    return int(connection.execute(text("DELETE FROM hand_overs WHERE ends_ms <= :before"), {"before": before_ms}).rowcount)


def _charge(found: object) -> ChargeRow:
    values = dict(found)  # type: ignore[call-overload]
    return ChargeRow(**{**values, "sealed": bytes(values["sealed"])})


def _claim(found: object) -> ClaimRow:
    values = dict(found)  # type: ignore[call-overload]
    return ClaimRow(**{**values, "sealed": bytes(values["sealed"])})
