"""Accounts: who may sign in, and as what. The book of them; server.sessions opens the door.

A name is a telephone number or one that was chosen; it is stored as a keyed hash and sealed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from server import audit
from server.actors import AT_CONSOLE, Actor, Role, Who
from server.audit import Action
from server.names import normal_name
from server.passwords import PasswordFault, Passwords, find_fault
from server.sealing import Seal
from server.store import Store, accounts, to_ms
from server.store.accounts import AccountRow

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LETTERS = 10
LEAST_LETTERS = {Role.RESIDENT: 8}
LEAST_STAFF_LETTERS = 12
"""NIST SP 800-63B, 5.1.1.1 asks for 8; staff, whose accounts reach others' data, need more."""


class AccountFault(StrEnum):
    """Why something about an account was not done."""

    WRONG = "wrong"
    WAIT = "wait"
    NAME_TAKEN = "name_taken"
    BAD_NAME = "bad_name"
    PASSWORD_SHORT = PasswordFault.SHORT.value
    PASSWORD_LONG = PasswordFault.LONG.value
    PASSWORD_COMMON = PasswordFault.COMMON.value
    NO_SUCH_ACCOUNT = "no_such_account"


@dataclass(frozen=True)
class Refused:
    """What was not done: the fault, one line for the command line, and with `WAIT` how many seconds."""

    fault: AccountFault
    detail: str
    wait_s: float = 0.0


@dataclass(frozen=True)
class Account:
    """An account as people know it; times in seconds since 1970."""

    account: str
    name: str
    role: Role
    added: float
    disabled: float | None

    @property
    def actor(self) -> Actor:
        """Who acts with this account."""
        return Actor(self.account, self.role)


class Accounts:
    """The accounts of one registry. `now` gives seconds since 1970; `random` so many random bytes."""

    def __init__(
        self,
        store: Store,
        seal: Seal,
        now: Callable[[], float],
        passwords: Passwords | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.passwords = passwords or Passwords()
        self._store = store
        self._seal = seal
        self._now = now
        self._random = random

    def add(self, name: str, password: str, role: Role, who: Who | None = AT_CONSOLE) -> Account | Refused:
        """A new account, made by `who`; None: by its owner."""
        plain = normal_name(name)
        if plain is None:
            return _bad_name(name)
        refused = self.find_bad(password, plain, role)
        if refused:
            return refused
        with self._store.read() as tx:
            if self.row_of(tx, plain) is not None:
                return _taken()
        made = self.passwords.make(password)
        if made is None:
            return busy()
        with self._store.write() as tx:
            if self.row_of(tx, plain) is not None:
                return _taken()
            at = self._now()
            account = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._random(_ID_LETTERS))
            sealed = self._seal.close(plain.encode(), _context(account))
            accounts.insert(tx, account, self._name_hash(plain), sealed, role.value, made, to_ms(at))
            maker = Actor(account, role) if who is None else who
            audit.append(tx, maker, Action.ACCOUNT_ADDED, audit.about("account", account), {"role": role.value}, at)
        return Account(account, plain, role, at, None)

    def set_password(self, name: str, password: str, who: Who = AT_CONSOLE) -> Account | Refused:
        """Another password for a person who lost theirs, set by who runs the server. Every session of the account ends."""
        found = self.find(name)
        if isinstance(found, Refused):
            return found
        made = self.find_bad(password, found.name, found.role) or self.passwords.make(password) or busy()
        if isinstance(made, Refused):
            return made
        with self._store.write() as tx:
            put_password(tx, found.account, made, who, self._now())
        return found

    def set_enabled(self, name: str, enabled: bool, who: Who = AT_CONSOLE) -> Account | Refused:
        """Lets nobody sign in to the account any more, and ends its sessions; or lets them again."""
        found = self.find(name)
        if isinstance(found, Refused):
            return found
        with self._store.write() as tx:
            at = self._now()
            accounts.set_disabled(tx, found.account, None if enabled else to_ms(at))
            action = Action.ACCOUNT_ENABLED if enabled else Action.ACCOUNT_DISABLED
            audit.append(tx, who, action, audit.about("account", found.account), {}, at)
            accounts.end_sessions(tx, found.account)
            row = accounts.find(tx, found.account)
        return found if row is None else self._open(row)

    def find(self, name: str) -> Account | Refused:
        """The account with this sign-in name."""
        plain = normal_name(name)
        with self._store.read() as tx:
            row = self.row_of(tx, plain) if plain else None
        if row is None:
            return Refused(AccountFault.NO_SUCH_ACCOUNT, f"no account {name[:64]!r}: expected one that `account list` shows")
        return self._open(row)

    def list_accounts(self, role: Role | None = None, most: int = 1000) -> list[Account]:
        """The accounts, of one role or of all, in the order in which they were added."""
        with self._store.read() as tx:
            return [self._open(row) for row in accounts.list_all(tx, role.value if role else None, most)]

    def row_of(self, tx: Connection, plain: str) -> AccountRow | None:
        """The stored account of a name as `normal_name` gives it."""
        return accounts.find_by_name(tx, self._name_hash(plain))

    def name_of(self, account: str, sealed: bytes) -> str:
        """The sign-in name of an account."""
        return self._seal.open(sealed, _context(account)).decode()

    def find_bad(self, password: str, name: str, role: Role) -> Refused | None:
        """Why `password` cannot be that of the account `name`; None where it can."""
        least = LEAST_LETTERS.get(role, LEAST_STAFF_LETTERS)
        fault = find_fault(password, name, least)
        if fault is None:
            return None
        return Refused(
            AccountFault(fault.value), f"{fault.value}: expected {least} to 128 characters that are not the name or easily guessed"
        )

    def _name_hash(self, plain: str) -> bytes:
        return self._seal.fingerprint(f"account {plain}")

    def _open(self, row: AccountRow) -> Account:
        disabled = None if row.disabled_ms is None else row.disabled_ms / 1000
        return Account(row.account, self.name_of(row.account, row.sealed), Role(row.role), row.added_ms / 1000, disabled)


def put_password(tx: Connection, account: str, made: str, who: Who, at: float) -> None:
    """Another hash of a password; the log says so, and every session of the account ends."""
    accounts.set_password(tx, account, made, to_ms(at))
    audit.append(tx, who, Action.ACCOUNT_PASSWORD, audit.about("account", account), {}, at)
    accounts.end_sessions(tx, account)


def close_account(tx: Connection, seal: Seal, account: str, unfindable: bytes, at: float) -> None:
    """Nobody signs in again: the name is free, nothing of it or of the password is left. The id stays, for the log names it."""
    accounts.close(tx, account, unfindable, seal.close(b"", _context(account)), to_ms(at))
    accounts.end_sessions(tx, account)


def busy() -> Refused:
    """Too many hashes are being made at once."""
    return Refused(AccountFault.WAIT, "too many people are signing in: try again in a few seconds", 5.0)


def _context(account: str) -> str:
    return f"accounts.sealed {account}"


def _bad_name(name: str) -> Refused:
    expected = "expected a telephone number, or 3 to 64 letters, digits, dots, dashes, underscores and @ with a letter among them"
    return Refused(AccountFault.BAD_NAME, f"name {name[:64]!r}: {expected}")


def _taken() -> Refused:
    return Refused(AccountFault.NAME_TAKEN, "there is an account with this name: expected another name")
