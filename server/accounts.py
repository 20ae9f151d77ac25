"""Accounts: who may sign in, as what, and until when.

A name is a telephone number or one that was chosen; it is stored as a keyed hash and sealed. A session is a random token of which
the database holds the hash; it ends after a rest, after its longest life, at sign-out and when the password changes.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from server import audit, throttle
from server.actors import AT_CONSOLE, Actor, Role, Who
from server.audit import Action
from server.passwords import PasswordFault, Passwords, find_fault
from server.sealing import Seal
from server.store import Store, accounts, to_ms
from server.throttle import Limits

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LETTERS = 10
_TOKEN_BYTES = 32
TOUCH_MS = 60_000
"""A session's last use is written at most this often."""

OF_NAME = Limits(free=5, base_s=2, ceiling_s=900, forget_s=86_400)
"""Five attempts at one account, then waits that grow to 15 minutes: at most about 100 guesses a day."""
OF_ADDRESS = Limits(free=50, base_s=2, ceiling_s=300, forget_s=3600)
"""Many people share an address behind a carrier's translator, so that this is for floods."""
OF_BROWSER = OF_NAME
OF_REGISTRATIONS = Limits(free=20, base_s=5, ceiling_s=300, forget_s=3600)


@dataclass(frozen=True)
class Lifetime:
    """How long a session may rest and last, in seconds."""

    idle_s: int
    most_s: int


RESIDENTS_SESSION = Lifetime(7 * 86_400, 30 * 86_400)
"""A phone that shows its owner's code every day. NIST SP 800-63B, 4.1.3: at assurance level 1 at most 30 days."""
STAFF_SESSION = Lifetime(1800, 12 * 3600)
"""Who sees others' data. NIST SP 800-63B, 4.2.3: at assurance level 2 after 30 minutes of rest and after 12 hours."""
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


@dataclass(frozen=True)
class Session:
    """A session in force: who, the sign-in name, since when and until when at the latest (seconds since 1970)."""

    actor: Actor
    name: str
    began: float
    ends: float


@dataclass(frozen=True)
class SignedIn:
    """A new session: its token and the browser's mark for cookies, and the session itself."""

    token: str
    browser: str
    session: Session


def normal_name(name: str) -> str | None:
    """A sign-in name as it is compared; None where it can be none.

    A telephone number: mainland mobile numbers of 11 digits with or without +86, others with + and 8 to 15 digits. Or a chosen name
    of 3 to 64 letters, digits, dots, dashes, underscores and @ with at least one letter, which is not an identity number.
    """
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    digits = re.sub(r"[\s()-]", "", plain)
    if re.fullmatch(r"(\+?86)?1[3-9]\d{9}", digits):
        return digits[-11:]
    if re.fullmatch(r"\+[1-9]\d{7,14}", digits):
        return digits
    if re.fullmatch(r"[\w.@-]{3,64}", plain) and any(letter.isalpha() for letter in plain) and not re.fullmatch(r"\d{17}x", plain):
        return plain
    return None


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
        self._store = store
        self._seal = seal
        self._now = now
        self._passwords = passwords or Passwords()
        self._random = random
        self._browser_key = seal.derive("browser")

    def add(self, name: str, password: str, role: Role, who: Who | None = AT_CONSOLE) -> Account | Refused:
        """A new account, made by `who`; None: by its owner."""
        plain = normal_name(name)
        if plain is None:
            return _bad_name(name)
        refused = self._find_bad(password, plain, role)
        if refused:
            return refused
        with self._store.read() as tx:
            if accounts.find_by_name(tx, self._name_hash(plain)) is not None:
                return _taken()
        made = self._passwords.make(password)
        if made is None:
            return _busy()
        with self._store.write() as tx:
            if accounts.find_by_name(tx, self._name_hash(plain)) is not None:
                return _taken()
            at = self._now()
            account = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._random(_ID_LETTERS))
            sealed = self._seal.close(plain.encode(), _context(account))
            accounts.insert(tx, account, self._name_hash(plain), sealed, role.value, made, to_ms(at))
            maker = Actor(account, role) if who is None else who
            audit.append(tx, maker, Action.ACCOUNT_ADDED, audit.about("account", account), {"role": role.value}, at)
        return Account(account, plain, role, at, None)

    def register(self, name: str, password: str, address: str) -> SignedIn | Refused:
        """A resident makes an account of their own from `address`, and is signed in to it."""
        with self._store.write() as tx:
            wait_s = throttle.attempt(tx, [(self._key("register", _network(address)), OF_REGISTRATIONS)], self._now())
        if wait_s:
            return _wait(wait_s)
        made = self.add(name, password, Role.RESIDENT, None)
        if isinstance(made, Refused):
            return made
        with self._store.write() as tx:
            return self._begin(tx, made.account, made.name, made.role)

    def sign_in(self, name: str, password: str, address: str, browser: str = "") -> SignedIn | Refused:
        """A session for who knows the password.

        Attempts are counted for the account and for the network of `address`. A browser that was signed in to the account before
        carries a mark (`browser`), and its attempts count for themselves: so nobody can keep a person out by guessing wrongly.
        """
        plain = normal_name(name) or ""
        with self._store.write() as tx:
            row = accounts.find_by_name(tx, self._name_hash(plain)) if plain else None
            known = row is not None and self._is_mark_of(browser, row.account)
            one = (self._key("browser", browser), OF_BROWSER) if known else (self._key("name", plain), OF_NAME)
            keys = [one, (self._key("address", _network(address)), OF_ADDRESS)]
            wait_s = throttle.attempt(tx, keys, self._now())
        if wait_s:
            return _wait(wait_s)
        is_right = self._passwords.check(row.password if row is not None else None, password)
        if is_right is None:
            return _busy()
        if row is None or not is_right or row.disabled_ms is not None:
            return Refused(AccountFault.WRONG, "name or password is wrong")
        fresh = self._passwords.make(password) if self._passwords.is_dated(row.password) else None
        with self._store.write() as tx:
            now_row = accounts.find(tx, row.account)
            if now_row is None or now_row.password != row.password or now_row.disabled_ms is not None:
                return Refused(AccountFault.WRONG, "the account changed meanwhile")
            throttle.succeeded(tx, keys, self._now(), cleared=one[0])
            if fresh is not None:
                accounts.set_password(tx, row.account, fresh, row.password_ms)
            return self._begin(tx, row.account, plain, Role(row.role))

    def session(self, token: str) -> Session | None:
        """The session of a token while it lasts."""
        hashed, at = _hash(token), self._now()
        with self._store.read() as tx:
            row = accounts.find_session(tx, hashed)
        if row is None or row.disabled_ms is not None or to_ms(at) >= min(row.ends_ms, row.used_ms + row.idle_ms):
            return None
        if to_ms(at) - row.used_ms >= TOUCH_MS:
            with self._store.write() as tx:
                accounts.touch_session(tx, hashed, to_ms(at))
        name = self._seal.open(row.sealed, _context(row.account)).decode()
        return Session(Actor(row.account, Role(row.role)), name, row.began_ms / 1000, row.ends_ms / 1000)

    def sign_out(self, token: str) -> None:
        """Ends the session."""
        with self._store.write() as tx:
            accounts.end_session(tx, _hash(token))

    def change_password(self, actor: Actor, old: str, new: str) -> SignedIn | Refused:
        """Another password by who knows the old one. Every session of the account ends; the one that comes back is new."""
        with self._store.write() as tx:
            row = accounts.find(tx, actor.account)
            keys = [(self._key("change", actor.account), OF_NAME)]
            wait_s = throttle.attempt(tx, keys, self._now())
        if wait_s:
            return _wait(wait_s)
        if row is None or not self._passwords.check(row.password, old):
            return Refused(AccountFault.WRONG, "the old password is wrong")
        name = self._seal.open(row.sealed, _context(row.account)).decode()
        made = self._find_bad(new, name, Role(row.role)) or self._passwords.make(new) or _busy()
        if isinstance(made, Refused):
            return made
        with self._store.write() as tx:
            at = self._now()
            throttle.succeeded(tx, keys, at, cleared=keys[0][0])
            accounts.set_password(tx, row.account, made, to_ms(at))
            audit.append(tx, actor, Action.ACCOUNT_PASSWORD, audit.about("account", row.account), {}, at)
            accounts.end_sessions(tx, row.account)
            return self._begin(tx, row.account, name, Role(row.role))

    def set_password(self, name: str, password: str, who: Who = AT_CONSOLE) -> Account | Refused:
        """Another password for a person who lost theirs, set by who runs the server. Every session of the account ends."""
        found = self.find(name)
        if isinstance(found, Refused):
            return found
        made = self._find_bad(password, found.name, found.role) or self._passwords.make(password) or _busy()
        if isinstance(made, Refused):
            return made
        with self._store.write() as tx:
            at = self._now()
            accounts.set_password(tx, found.account, made, to_ms(at))
            audit.append(tx, who, Action.ACCOUNT_PASSWORD, audit.about("account", found.account), {}, at)
            accounts.end_sessions(tx, found.account)
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
            row = accounts.find_by_name(tx, self._name_hash(plain)) if plain else None
        if row is None:
            return Refused(AccountFault.NO_SUCH_ACCOUNT, f"no account {name[:64]!r}: expected one that `account list` shows")
        return self._open(row)

    def list_accounts(self, role: Role | None = None, most: int = 1000) -> list[Account]:
        """The accounts, of one role or of all, in the order in which they were added."""
        with self._store.read() as tx:
            return [self._open(row) for row in accounts.list_all(tx, role.value if role else None, most)]

    def tidy(self) -> None:
        """Forgets ended sessions and old attempts."""
        with self._store.write() as tx:
            accounts.drop_ended(tx, to_ms(self._now()))
            throttle.forget(tx, to_ms(self._now() - max(OF_NAME.forget_s, OF_ADDRESS.forget_s)))

    def _begin(self, tx: Connection, account: str, name: str, role: Role) -> SignedIn:
        at = self._now()
        lifetime = RESIDENTS_SESSION if role is Role.RESIDENT else STAFF_SESSION
        token = urlsafe_b64encode(self._random(_TOKEN_BYTES)).decode().rstrip("=")
        accounts.insert_session(tx, _hash(token), account, to_ms(at), lifetime.idle_s * 1000, to_ms(at + lifetime.most_s))
        nonce = self._random(16).hex()
        return SignedIn(token, f"{nonce}.{self._mark(account, nonce)}", Session(Actor(account, role), name, at, at + lifetime.most_s))

    def _mark(self, account: str, nonce: str) -> str:
        return hmac.digest(self._browser_key, f"{account} {nonce}".encode(), "sha256").hex()

    def _is_mark_of(self, browser: str, account: str) -> bool:
        nonce, _, mark = browser.partition(".")
        return hmac.compare_digest(mark.encode(), self._mark(account, nonce).encode())

    def _name_hash(self, plain: str) -> bytes:
        return self._seal.fingerprint(f"account {plain}")

    def _key(self, kind: str, what: str) -> bytes:
        return self._seal.fingerprint(f"throttle {kind} {what}")

    def _find_bad(self, password: str, name: str, role: Role) -> Refused | None:
        least = LEAST_LETTERS.get(role, LEAST_STAFF_LETTERS)
        fault = find_fault(password, name, least)
        if fault is None:
            return None
        return Refused(
            AccountFault(fault.value), f"{fault.value}: expected {least} to 128 characters that are not the name or easily guessed"
        )

    def _open(self, row: accounts.AccountRow) -> Account:
        name = self._seal.open(row.sealed, _context(row.account)).decode()
        disabled = None if row.disabled_ms is None else row.disabled_ms / 1000
        return Account(row.account, name, Role(row.role), row.added_ms / 1000, disabled)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _network(address: str) -> str:
    """What attempts are counted for: an IPv4 address, or the /64 that one subscriber has of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # a socket of the file system has no number
        return address
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


def _context(account: str) -> str:
    return f"accounts.sealed {account}"


def _bad_name(name: str) -> Refused:
    expected = "expected a telephone number, or 3 to 64 letters, digits, dots, dashes, underscores and @ with a letter among them"
    return Refused(AccountFault.BAD_NAME, f"name {name[:64]!r}: {expected}")


def _taken() -> Refused:
    return Refused(AccountFault.NAME_TAKEN, "there is an account with this name: expected another name")


def _wait(seconds: float) -> Refused:
    return Refused(AccountFault.WAIT, f"too many attempts: wait {seconds:.0f} s", seconds)


def _busy() -> Refused:
    return Refused(AccountFault.WAIT, "too many people are signing in: try again in a few seconds", 5.0)
