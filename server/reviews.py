"""The officers' queue: declarations that do not agree with the data, claims on residents, fevers that were no facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from server import audit
from server.actors import OFFICERS, Actor
from server.audit import Action
from server.charges import HouseholdFault, Refused
from server.facts import Reviewed
from server.registry import Registry
from server.store import Store, reviews, to_ms
from server.store.reviews import ReviewRow


class ReviewKind(StrEnum):
    """What waits. Stable words: stored. A claim is decided by HandOvers.decide."""

    FEVER = "fever"
    DECLARATION = "declaration"
    CONTRADICTION = "contradiction"
    CLAIM = "claim"


@dataclass(frozen=True)
class NoReview:
    """There is no such review that waits, or it is decided elsewhere. Sentence: review.none."""

    key: str = "review.none"


class Reviews:
    """What officers look at. `now` gives seconds since 1970."""

    def __init__(self, store: Store, registry: Registry, now: Callable[[], float]) -> None:
        self._store = store
        self._registry = registry
        self._now = now

    def waiting(self, actor: Actor, limit: int = 100, *, kind: ReviewKind | None = None, after: int = 0) -> list[ReviewRow] | Refused:
        """What waits, oldest first, beyond the review `after`."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.read() as tx:
            return reviews.list_open(tx, limit, kind=None if kind is None else kind.value, after=after)

    def count(self, actor: Actor) -> dict[str, int] | Refused:
        """How many wait, by kind."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.read() as tx:
            return reviews.count_open(tx)

    def let_in(self, actor: Actor, review: int) -> NoReview | Refused | None:
        """An officer has looked at the declaration and the person gets a code, of the colour that the rules say."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = reviews.find_review(tx, review)
            if row is None or row.state != "open" or row.kind != ReviewKind.DECLARATION.value:
                return NoReview()
            at = self._now()
            self._registry.record(tx, row.resident, Reviewed(at, actor.role.value), at, actor)
            reviews.close_declarations(tx, row.resident, actor.role.value, to_ms(at))
            return None

    def close(self, actor: Actor, review: int) -> NoReview | Refused | None:
        """An officer has looked, and nothing follows from it. Who waits for a first review goes on waiting until they declare anew."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = reviews.find_review(tx, review)
            if row is None or row.state != "open" or row.kind == ReviewKind.CLAIM.value:
                return NoReview()
            at = self._now()
            reviews.close_review(tx, review, "closed", actor.role.value, to_ms(at))
            audit.append(tx, actor, Action.REVIEW_CLOSED, audit.about("resident", row.resident), {"review": review, "kind": row.kind}, at)
            return None
