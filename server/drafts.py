"""Answers that were begun and not sent yet, kept sealed for an account, so that they survive a lost line or another phone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from server.actors import Actor
from server.charges import Refused, charge_of
from server.faults import Fault
from server.sealing import Seal
from server.store import Store, reports, to_ms

MOST_BYTES = 16_384
"""Longest draft, as JSON."""


class DraftKind(StrEnum):
    """What a draft is of. Stable words: stored. A registration's is of nobody yet: its resident is empty."""

    REGISTRATION = "registration"
    DECLARATION = "declaration"
    CHECK_IN = "check_in"


@dataclass(frozen=True)
class Draft:
    """The answers so far, by field, and when they were saved (seconds since 1970)."""

    answers: Mapping[str, str | Sequence[str]]
    saved: float


_DECODER = msgspec.json.Decoder(dict[str, str | list[str]])


class Drafts:
    """Drafts of every account. `now` gives seconds since 1970; after `keep_s` without a change a draft is dropped."""

    def __init__(self, store: Store, seal: Seal, now: Callable[[], float], keep_s: float = 7 * 86_400.0) -> None:
        self._store = store
        self._seal = seal
        self._now = now
        self._keep_s = keep_s

    def save(self, actor: Actor, kind: DraftKind, resident: str, answers: Mapping[str, str | Sequence[str]]) -> Draft | Fault | Refused:
        """Keeps the answers in place of those before; a fault where they are too long to be anybody's."""
        body = msgspec.json.encode(dict(answers))
        if len(body) > MOST_BYTES:
            return Fault("draft.too_long", {"most": MOST_BYTES})
        at = self._now()
        with self._store.write() as tx:
            if kind is not DraftKind.REGISTRATION:
                relation = charge_of(tx, actor, resident)
                if isinstance(relation, Refused):
                    return relation
            whose = "" if kind is DraftKind.REGISTRATION else resident
            sealed = self._seal.close(body, _context(actor, kind, whose))
            reports.put_draft(tx, actor.account, whose, kind.value, sealed, to_ms(at))
        return Draft(answers, at)

    def load(self, actor: Actor, kind: DraftKind, resident: str = "") -> Draft | None:
        """The account's draft; None where there is none. Those about a resident who went elsewhere went with the charge."""
        with self._store.read() as tx:
            found = reports.find_draft(tx, actor.account, resident, kind.value)
        if found is None or found[1] <= to_ms(self._now() - self._keep_s):
            return None
        answers = _DECODER.decode(self._seal.open(found[0], _context(actor, kind, resident)))
        return Draft(answers, found[1] / 1000)

    def drop(self, actor: Actor, kind: DraftKind, resident: str = "") -> None:
        """Forgets a draft."""
        with self._store.write() as tx:
            reports.delete_draft(tx, actor.account, resident, kind.value)

    def tidy(self) -> int:
        """Drops every draft that is too old; how many."""
        with self._store.write() as tx:
            return reports.forget_drafts(tx, to_ms(self._now() - self._keep_s))


def _context(actor: Actor, kind: DraftKind, resident: str) -> str:
    return f"drafts.sealed {actor.account} {kind.value} {resident}"
