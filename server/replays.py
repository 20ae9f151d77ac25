"""A request that changes something may come again under its key: the same one gets the answer that was given, another one none.

The key is reserved before anything is done and the answer kept after it, for a day; what was refused leaves its key free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from server.sealing import Seal
from server.store import Store, to_ms
from server.store import apps as rows
from server.store.apps import AnswerRow

KEEP_S = 86_400
"""How long answers are kept."""
PATIENCE_S = 60
"""A request that has not been answered for so long was cut off: its key may be used again for the same."""


@dataclass(frozen=True)
class Fresh:
    """Nobody has used the key: go on, then `keep` or `release`."""


@dataclass(frozen=True)
class Kept:
    """This request came before; its status and body."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Other:
    """The key belongs to another request."""


@dataclass(frozen=True)
class Busy:
    """The same request is being answered now."""


class Replays:
    """The keys of every app. `now` gives seconds since 1970."""

    def __init__(self, store: Store, seal: Seal, now: Callable[[], float]) -> None:
        self._store = store
        self._seal = seal
        self._now = now

    def begin(self, app: str, key: str, request: bytes) -> Fresh | Kept | Other | Busy:
        """Reserves the key for a request, of which `request` is everything that makes it this one."""
        name, told, at_ms = self._name(key), self._seal.fingerprint(f"request {request.hex()}"), to_ms(self._now())
        with self._store.write_together() as tx:
            row = rows.find_answer(tx, app, name)
            if row is not None and at_ms - row.at_ms < to_ms(KEEP_S):
                if row.hash != told:
                    return Other()
                if row.status:
                    return Kept(row.status, self._seal.open(row.sealed, _context(app, name)))
                if at_ms - row.at_ms < to_ms(PATIENCE_S):
                    return Busy()
            rows.put_answer(tx, app, name, AnswerRow(told, 0, b"", at_ms))
        return Fresh()

    def keep(self, app: str, key: str, request: bytes, status: int, body: bytes) -> None:
        """Keeps the answer to a request that was `Fresh`."""
        name, told = self._name(key), self._seal.fingerprint(f"request {request.hex()}")
        sealed = self._seal.close(body, _context(app, name))
        with self._store.write_together() as tx:
            rows.put_answer(tx, app, name, AnswerRow(told, status, sealed, to_ms(self._now())))

    def release(self, app: str, key: str) -> None:
        """Frees the key of a request that changed nothing."""
        with self._store.write_together() as tx:
            rows.delete_answer(tx, app, self._name(key))

    def tidy(self) -> None:
        """Forgets answers, and bearer tokens that have ended."""
        at = self._now()
        with self._store.write() as tx:
            rows.drop_ended(tx, to_ms(at), to_ms(at - KEEP_S))

    def _name(self, key: str) -> bytes:
        return self._seal.fingerprint(f"idempotency {key}")


def _context(app: str, name: bytes) -> str:
    return f"app_answers.sealed {app} {name.hex()}"
