"""Apps of others, a telephone provider's say, that act for people: who they are, their secrets, and the tokens they come with.

A secret and a token are 32 random bytes each, of which the database holds the SHA-256: what cannot be guessed needs no slow hash
(docs/decisions/0174). A token is good for a quarter of an hour (RFC 6749, 4.4: client credentials; RFC 6750: bearer).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from server import audit
from server.actors import AT_CONSOLE
from server.audit import Action
from server.store import Store, to_ms
from server.store import apps as rows

TOKEN_S = 900
"""How long a bearer token is good."""
KEEP_OLD_S = 86_400
"""How long after a rotation the secret before is still good, unless it was lost."""
_SECRET_BYTES = 32
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_NAME = re.compile(r"[^\W_](?:[\w .·'-]{0,58}[^\W_])?")


class Scope(StrEnum):
    """What an app may do. Stable words: RFC 6749's scopes."""

    LINK = "link"
    REGISTER = "register"
    REPORT = "report"
    STANDING = "standing"
    CODE = "code"


MEANING = {
    Scope.LINK: "Act for people who give the app a one-time code; list and edit them and their family.",
    Scope.REGISTER: "Register people whom the app has identified, and members of their family.",
    Scope.REPORT: "Send declarations, check-ins and corrections.",
    Scope.STANDING: "Read the colour and its reasons.",
    Scope.CODE: "Fetch codes, and end them when a phone is lost.",
}


class AppFault(StrEnum):
    """Why something about an app was not done."""

    BAD_NAME = "bad_name"
    NAME_TAKEN = "name_taken"
    NO_SUCH_APP = "no_such_app"
    NO_SCOPE = "no_scope"


@dataclass(frozen=True)
class Refused:
    """What was not done: the fault, and one line for the command line."""

    fault: AppFault
    detail: str


@dataclass(frozen=True)
class App:
    """An app as people know it; times in seconds since 1970."""

    app: str
    name: str
    scopes: tuple[Scope, ...]
    added: float
    rotated: float
    disabled: float | None


@dataclass(frozen=True)
class Credentials:
    """An app and its secret, which is shown this once."""

    app: App
    secret: str


class TokenFault(StrEnum):
    """Why there is no token: the error words of RFC 6749, 5.2."""

    CLIENT = "invalid_client"
    SCOPE = "invalid_scope"


@dataclass(frozen=True)
class Token:
    """A bearer token, what it is good for, and for how many seconds."""

    token: str
    scopes: tuple[Scope, ...]
    lasts_s: int


@dataclass(frozen=True)
class Caller:
    """The app that a token belongs to, what the token is good for, and whether the person asked about is one of the app's."""

    app: str
    scopes: frozenset[Scope]
    is_its_person: bool


class Apps:
    """The apps of one registry. `now` gives seconds since 1970; `random` so many random bytes."""

    def __init__(self, store: Store, now: Callable[[], float], random: Callable[[int], bytes] = os.urandom) -> None:
        self._store = store
        self._now = now
        self._random = random

    def add(self, name: str, scopes: Iterable[Scope]) -> Credentials | Refused:
        """A new app, and its secret."""
        if not _NAME.fullmatch(name):
            return Refused(
                AppFault.BAD_NAME,
                f"name {name[:64]!r}: expected 1 to 60 letters, digits, spaces, dots and dashes, as residents are to read it",
            )
        chosen = tuple(scope for scope in Scope if scope in set(scopes))
        if not chosen:
            return Refused(AppFault.NO_SCOPE, f"no scope: expected at least one of {', '.join(Scope)}")
        secret, at = self._draw(), self._now()
        app = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._random(10))
        with self._store.write() as tx:
            if rows.find_app_named(tx, name) is not None:
                return Refused(AppFault.NAME_TAKEN, f"there is an app {name!r}: expected another name")
            rows.insert_app(tx, app, name, " ".join(chosen), _hash(secret), to_ms(at))
            audit.append(tx, AT_CONSOLE, Action.APP_ADDED, audit.about("app", app), {"scopes": " ".join(chosen)}, at)
        return Credentials(App(app, name, chosen, at, at, None), secret)

    def list_apps(self) -> list[App]:
        """Every app in the order in which they were added."""
        with self._store.read() as tx:
            return [_open(row) for row in rows.list_apps(tx)]

    def rotate(self, app: str, keep_old_s: float = KEEP_OLD_S) -> Credentials | Refused:
        """Another secret. The one before is good for `keep_old_s` more; with 0 it ends at once, and every token with it."""
        secret, at = self._draw(), self._now()
        with self._store.write() as tx:
            if rows.find_app(tx, app) is None:
                return _unknown(app)
            rows.set_secret(tx, app, _hash(secret), to_ms(at), to_ms(at + keep_old_s))
            audit.append(tx, AT_CONSOLE, Action.APP_SECRET, audit.about("app", app), {"old_for_s": round(keep_old_s)}, at)
            if not keep_old_s:
                rows.end_tokens(tx, app)
            row = rows.find_app(tx, app)
        assert row is not None
        return Credentials(_open(row), secret)

    def set_enabled(self, app: str, enabled: bool) -> App | Refused:
        """Lets the app do nothing any more, and ends its tokens at once; or lets it again."""
        with self._store.write() as tx:
            if rows.find_app(tx, app) is None:
                return _unknown(app)
            at = self._now()
            rows.set_disabled(tx, app, None if enabled else to_ms(at))
            audit.append(tx, AT_CONSOLE, Action.APP_ENABLED if enabled else Action.APP_DISABLED, audit.about("app", app), {}, at)
            rows.end_tokens(tx, app)
            row = rows.find_app(tx, app)
        assert row is not None
        return _open(row)

    def token(self, app: str, secret: str, wanted: str = "") -> Token | TokenFault:
        """A token for an app that knows its secret, good for the scopes `wanted`, words with a space between; empty: all that it has."""
        at, hashed = self._now(), _hash(secret)
        with self._store.read() as tx:
            row = rows.find_app(tx, app)
        if row is None or row.disabled_ms is not None or not _is_secret(row, hashed, to_ms(at)):
            return TokenFault.CLIENT
        has = row.scopes.split()
        words = wanted.split() or has
        if any(word not in has for word in words):
            return TokenFault.SCOPE
        scopes = tuple(scope for scope in Scope if scope.value in words)
        token = self._draw()
        with self._store.write() as tx:
            rows.insert_token(tx, _hash(token), app, " ".join(scopes), to_ms(at + TOKEN_S))
        return Token(token, scopes, TOKEN_S)

    def caller(self, token: str, person: str = "") -> Caller | None:
        """Whose token it is while it is good. `person`: the app's account for a person, who is looked up in the same question."""
        with self._store.read() as tx:
            row = rows.find_token(tx, _hash(token), person)
        if row is None or row.disabled_ms is not None or to_ms(self._now()) >= row.ends_ms:
            return None
        return Caller(row.app, frozenset(Scope(word) for word in row.scopes.split()), row.person_of == row.app)

    def _draw(self) -> str:
        return urlsafe_b64encode(self._random(_SECRET_BYTES)).decode().rstrip("=")


def _is_secret(row: rows.AppRow, hashed: bytes, at_ms: int) -> bool:
    is_new = hmac.compare_digest(row.secret_hash, hashed)
    is_old = row.old_secret_hash is not None and hmac.compare_digest(row.old_secret_hash, hashed)
    return is_new or (is_old and at_ms < (row.old_ends_ms or 0))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _unknown(app: str) -> Refused:
    return Refused(AppFault.NO_SUCH_APP, f"no app {app[:40]!r}: expected an id that `app list` shows")


def _open(row: rows.AppRow) -> App:
    disabled = None if row.disabled_ms is None else row.disabled_ms / 1000
    scopes = tuple(Scope(word) for word in row.scopes.split())
    return App(row.app, row.name, scopes, row.added_ms / 1000, row.rotated_ms / 1000, disabled)
