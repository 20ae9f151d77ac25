"""Signing in and out: sessions that end, guessing that gets slow, and staff's coming and going in the log.

A session is a random token of which the database holds the hash; it ends after a rest, after its longest life, at sign-out and when
the password changes.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from server import audit, throttle
from server.accounts import AccountFault, Accounts, Refused, busy, put_password
from server.actors import BY_STRANGER, STAFF, Actor, Role, Who
from server.audit import Action
from server.names import normal_name
from server.sealing import Seal
from server.store import Store, accounts, to_ms
from server.store.accounts import AccountRow
from server.throttle import Limits

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


class Sessions:
    """The sessions of one registry's accounts. `now` gives seconds since 1970; `random` so many random bytes."""

    def __init__(
        self, store: Store, book: Accounts, seal: Seal, now: Callable[[], float], random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._store = store
        self._book = book
        self._seal = seal
        self._now = now
        self._random = random
        self._browser_key = seal.derive("browser")

    def register(self, name: str, password: str, address: str) -> SignedIn | Refused:
        """A resident makes an account of their own from `address`, and is signed in to it."""
        with self._store.write() as tx:
            wait_s = throttle.attempt(tx, [(self._key("register", _network(address)), OF_REGISTRATIONS)], self._now())
        if wait_s:
            return _wait(wait_s)
        made = self._book.add(name, password, Role.RESIDENT, None)
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
            row = self._book.row_of(tx, plain) if plain else None
            known = row is not None and self._is_mark_of(browser, row.account)
            one = (self._key("browser", browser), OF_BROWSER) if known else (self._key("name", plain), OF_NAME)
            keys = [one, (self._key("address", _network(address)), OF_ADDRESS)]
            wait_s = throttle.attempt(tx, keys, self._now())
        if wait_s:
            return _wait(wait_s)
        passwords = self._book.passwords
        is_right = passwords.check(row.password if row is not None else None, password)
        if is_right is None:
            return busy()
        if row is None:
            return Refused(AccountFault.WRONG, "name or password is wrong")
        if not is_right or row.disabled_ms is not None:
            self._note_refusal(row, "disabled" if is_right else "wrong_password")
            return Refused(AccountFault.WRONG, "name or password is wrong")
        fresh = passwords.make(password) if passwords.is_dated(row.password) else None
        with self._store.write() as tx:
            now_row = accounts.find(tx, row.account)
            if now_row is None or now_row.password != row.password or now_row.disabled_ms is not None:
                return Refused(AccountFault.WRONG, "the account changed meanwhile")
            throttle.succeeded(tx, keys, self._now(), cleared=one[0])
            if fresh is not None:
                accounts.set_password(tx, row.account, fresh, row.password_ms)
            signed_in = self._begin(tx, row.account, plain, Role(row.role))
            _note(tx, signed_in.session.actor, Action.SIGNED_IN, row, {}, self._now())
            return signed_in

    def session(self, token: str, *, is_use: bool = True) -> Session | None:
        """The session of a token while it lasts. A page that looks on by itself is no use of it: a session nobody uses ends."""
        hashed, at = _hash(token), self._now()
        with self._store.read() as tx:
            row = accounts.find_session(tx, hashed)
        if row is None or row.disabled_ms is not None or to_ms(at) >= min(row.ends_ms, row.used_ms + row.idle_ms):
            return None
        if is_use and to_ms(at) - row.used_ms >= TOUCH_MS:
            with self._store.write_together() as tx:
                accounts.touch_session(tx, hashed, to_ms(at))
        name = self._book.name_of(row.account, row.sealed)
        return Session(Actor(row.account, Role(row.role)), name, row.began_ms / 1000, row.ends_ms / 1000)

    def sign_out(self, token: str) -> None:
        """Ends the session."""
        with self._store.write() as tx:
            held = accounts.find_session(tx, _hash(token))
            row = None if held is None else accounts.find(tx, held.account)
            if row is not None:
                _note(tx, Actor(row.account, Role(row.role)), Action.SIGNED_OUT, row, {}, self._now())
            accounts.end_session(tx, _hash(token))

    def change_password(self, actor: Actor, old: str, new: str) -> SignedIn | Refused:
        """Another password by who knows the old one. Every session of the account ends; the one that comes back is new."""
        refused = self.prove(actor, old)
        if refused is not None:
            return refused
        with self._store.read() as tx:
            row = accounts.find(tx, actor.account)
        if row is None:
            return Refused(AccountFault.WRONG, "the account is gone")
        name = self._book.name_of(row.account, row.sealed)
        made = self._book.find_bad(new, name, Role(row.role)) or self._book.passwords.make(new) or busy()
        if isinstance(made, Refused):
            return made
        with self._store.write() as tx:
            put_password(tx, row.account, made, actor, self._now())
            return self._begin(tx, row.account, name, Role(row.role))

    def prove(self, actor: Actor, password: str) -> Refused | None:
        """Whether who is signed in knows the password of the account: asked before what cannot be undone. Attempts are counted."""
        with self._store.write() as tx:
            row = accounts.find(tx, actor.account)
            keys = [(self._key("change", actor.account), OF_NAME)]
            wait_s = throttle.attempt(tx, keys, self._now())
        if wait_s:
            return _wait(wait_s)
        if row is None or row.disabled_ms is not None:
            return Refused(AccountFault.WRONG, "the account is gone")
        is_right = self._book.passwords.check(row.password, password)
        if is_right is None:
            return busy()
        if not is_right:
            self._note_refusal(row, "wrong_old_password", actor)
            return Refused(AccountFault.WRONG, "the old password is wrong")
        with self._store.write() as tx:
            throttle.succeeded(tx, keys, self._now(), cleared=keys[0][0])
        return None

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

    def _note_refusal(self, row: AccountRow, reason: str, who: Who = BY_STRANGER) -> None:
        with self._store.write() as tx:
            _note(tx, who, Action.SIGN_IN_REFUSED, row, {"reason": reason}, self._now())

    def _mark(self, account: str, nonce: str) -> str:
        return hmac.digest(self._browser_key, f"{account} {nonce}".encode(), "sha256").hex()

    def _is_mark_of(self, browser: str, account: str) -> bool:
        nonce, _, mark = browser.partition(".")
        return hmac.compare_digest(mark.encode(), self._mark(account, nonce).encode())

    def _key(self, kind: str, what: str) -> bytes:
        return self._seal.fingerprint(f"throttle {kind} {what}")


def _note(tx: Connection, who: Who, action: Action, row: AccountRow, detail: audit.Detail, at: float) -> None:
    """Staff's coming and going is in the log, which is kept for ever; when residents look at their codes is nobody's business."""
    if Role(row.role) in STAFF:
        audit.append(tx, who, action, audit.about("account", row.account), detail, at)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _network(address: str) -> str:
    """What attempts are counted for: an IPv4 address, or the /64 that one subscriber has of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # a socket of the file system has no number
        return address
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


def _wait(seconds: float) -> Refused:
    return Refused(AccountFault.WAIT, f"too many attempts: wait {seconds:.0f} s", seconds)
