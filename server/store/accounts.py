"""Queries about accounts and their sessions. Every function works inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from server.store.sql import text


@dataclass(frozen=True)
class AccountRow:
    """An account; `sealed` opens with the seal only, `password` is an encoded Argon2 hash."""

    account: str
    sealed: bytes
    role: str
    password: str
    added_ms: int
    password_ms: int
    disabled_ms: int | None


@dataclass(frozen=True)
class SessionRow:
    """A session and its account; `idle_ms` is how long it may rest."""

    account: str
    sealed: bytes
    role: str
    began_ms: int
    used_ms: int
    idle_ms: int
    ends_ms: int
    disabled_ms: int | None


_NO_APPS = "WHERE account NOT IN (SELECT account FROM app_people) AND password <> '' "
"""Neither those that are closed."""
_ACCOUNT = "SELECT account, sealed, role, password, added_ms, password_ms, disabled_ms FROM accounts "
_SESSION = text(
    "SELECT a.account, a.sealed, a.role, s.began_ms, s.used_ms, s.idle_ms, s.ends_ms, a.disabled_ms"
    " FROM sessions s JOIN accounts a ON a.account = s.account WHERE s.session = :session"
)


def find_by_name(tx: Connection, name_hash: bytes) -> AccountRow | None:
    """The account whose name has this keyed hash."""
    row = tx.execute(text(_ACCOUNT + "WHERE name_hash = :name_hash"), {"name_hash": name_hash}).one_or_none()
    return None if row is None else _account(row._mapping)


def find(tx: Connection, account: str) -> AccountRow | None:
    """The account with this id."""
    row = tx.execute(text(_ACCOUNT + "WHERE account = :account"), {"account": account}).one_or_none()
    return None if row is None else _account(row._mapping)


def list_all(tx: Connection, role: str | None, most: int) -> list[AccountRow]:
    """Accounts in the order in which they were added, of one role or of all; not those that apps have for people."""
    where = "" if role is None else "AND role = :role "
    rows = tx.execute(
        text(f"{_ACCOUNT}{_NO_APPS}{where}ORDER BY added_ms, account LIMIT :most"), {"role": role, "most": most} if role else {"most": most}
    )
    return [_account(row._mapping) for row in rows]


def insert(tx: Connection, account: str, name_hash: bytes, sealed: bytes, role: str, password: str, at_ms: int) -> None:
    """A new account."""
    tx.execute(
        text(
            "INSERT INTO accounts (account, name_hash, sealed, role, password, added_ms, password_ms)"
            " VALUES (:account, :name_hash, :sealed, :role, :password, :at_ms, :at_ms)"
        ),
        {"account": account, "name_hash": name_hash, "sealed": sealed, "role": role, "password": password, "at_ms": at_ms},
    )


def set_password(tx: Connection, account: str, password: str, at_ms: int) -> None:
    """Another password hash."""
    tx.execute(
        text("UPDATE accounts SET password = :password, password_ms = :at_ms WHERE account = :account"),
        {"account": account, "password": password, "at_ms": at_ms},
    )


def set_disabled(tx: Connection, account: str, disabled_ms: int | None) -> None:
    """Since when nobody may sign in to the account; None: somebody may."""
    tx.execute(
        text("UPDATE accounts SET disabled_ms = :disabled_ms WHERE account = :account"), {"account": account, "disabled_ms": disabled_ms}
    )


def close(tx: Connection, account: str, name_hash: bytes, sealed: bytes, at_ms: int) -> None:
    """The account is closed: nothing finds it by name, and no password fits."""
    tx.execute(
        text("UPDATE accounts SET name_hash = :name_hash, sealed = :sealed, password = '', disabled_ms = :at_ms WHERE account = :account"),
        {"account": account, "name_hash": name_hash, "sealed": sealed, "at_ms": at_ms},
    )


def insert_session(tx: Connection, session: bytes, account: str, at_ms: int, idle_ms: int, ends_ms: int) -> None:
    """A new session under the hash of its token."""
    tx.execute(
        text(
            "INSERT INTO sessions (session, account, began_ms, used_ms, idle_ms, ends_ms)"
            " VALUES (:session, :account, :at_ms, :at_ms, :idle_ms, :ends_ms)"
        ),
        {"session": session, "account": account, "at_ms": at_ms, "idle_ms": idle_ms, "ends_ms": ends_ms},
    )


def find_session(tx: Connection, session: bytes) -> SessionRow | None:
    """The session with this hash, ended or not."""
    row = tx.execute(_SESSION, {"session": session}).one_or_none()
    return None if row is None else SessionRow(**{**row._mapping, "sealed": bytes(row._mapping["sealed"])})


def touch_session(tx: Connection, session: bytes, at_ms: int) -> None:
    """The session was used."""
    tx.execute(text("UPDATE sessions SET used_ms = :at_ms WHERE session = :session"), {"session": session, "at_ms": at_ms})


def end_session(tx: Connection, session: bytes) -> None:
    """The session with this hash is no more."""
    tx.execute(text("DELETE FROM sessions WHERE session = :session"), {"session": session})


def end_sessions(tx: Connection, account: str) -> int:
    """No session of the account is left; how many there were."""
    return int(tx.execute(text("DELETE FROM sessions WHERE account = :account"), {"account": account}).rowcount)


def drop_ended(tx: Connection, at_ms: int) -> int:
    """Forgets sessions that have ended; how many."""
    return int(tx.execute(text("DELETE FROM sessions WHERE ends_ms <= :at_ms OR used_ms + idle_ms <= :at_ms"), {"at_ms": at_ms}).rowcount)


def _account(found: object) -> AccountRow:
    values = dict(found)  # type: ignore[call-overload]
    return AccountRow(**{**values, "sealed": bytes(values["sealed"])})
