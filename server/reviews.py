"""The officers' queue: what does not agree with the data, claims on residents, fevers that were no facts, codes that were at two gates.

An import of a hundred thousand close contacts contradicts a hundred thousand people who had said in good faith that they knew of none.
Those wait together, as one line for each import and contradiction: an officer may let the import stand for all of them at once, but for
those whom it did not turn (their codes are green), who are looked at one by one. Operators import and officers decide: nobody is both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from sqlalchemy import Connection

from healthcode.messages import PassEvent
from healthcode.terms import ClockState, Colour
from server import audit
from server.actors import OFFICERS, Actor
from server.audit import Action
from server.charges import HouseholdFault, Refused
from server.deadlines import DEADLINE_S
from server.facts import FeverAtGate, Reviewed
from server.registry import Registry
from server.store import Store, events, reviews, to_ms
from server.store.reviews import GroupRow, ReviewRow, WaitingRow

TURNED = frozenset({Colour.YELLOW.value, Colour.RED.value})
"""Colours of people whom what an import says has turned already."""
CLOSED_AT_ONCE = 1000
"""Reviews that are closed in one transaction."""


class ReviewKind(StrEnum):
    """What waits, the gravest first. Stable words: stored. A claim is decided by HandOvers.decide."""

    FEVER = "fever"
    CONTRADICTION = "contradiction"
    SAYS = "says"
    COPIED = "copied"
    DECLARATION = "declaration"
    CLAIM = "claim"


class Decision(StrEnum):
    """What an officer may make of a review."""

    CLOSE = "close"
    BELIEVE = "believe"
    LET_IN = "let_in"
    REISSUE = "reissue"


DECISIONS: dict[ReviewKind, tuple[Decision, ...]] = {
    ReviewKind.FEVER: (Decision.BELIEVE, Decision.CLOSE),
    ReviewKind.CONTRADICTION: (Decision.CLOSE,),
    ReviewKind.SAYS: (Decision.CLOSE,),
    ReviewKind.COPIED: (Decision.REISSUE, Decision.CLOSE),
    ReviewKind.DECLARATION: (Decision.LET_IN, Decision.CLOSE),
    ReviewKind.CLAIM: (),
}


class ReviewReason(StrEnum):
    """On what an officer decides. Stable words: stored; sentences review.reason.{word}."""

    PERSON_ASKED = "person_asked"
    PAPERS_SEEN = "papers_seen"
    CLINIC_ASKED = "clinic_asked"
    DATA_MISTAKEN = "data_mistaken"
    DECLARATION_MISTAKEN = "declaration_mistaken"
    DEVICE_FAULTY = "device_faulty"
    NO_RISK = "no_risk"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True)
class NoReview:
    """There is no such review that waits, or it is decided elsewhere. Sentence: review.none."""

    key: str = "review.none"


@dataclass(frozen=True)
class Group:
    """The contradictions of one sort that came with one import: how many wait by the colour of whom they are about."""

    row: GroupRow
    colours: Mapping[str, int]

    @property
    def turned(self) -> int:
        """How many of them are not green: what the import says decides their colour already."""
        return sum(count for colour, count in self.colours.items() if colour in TURNED)


@dataclass(frozen=True)
class Mark:
    """Where a page of the queue ended: the kind, and the entry's time and number."""

    kind: ReviewKind
    received_ms: int
    review: int


class Reviews:
    """What officers look at. `now` gives seconds since 1970; `pause` is called between slices with the seconds to leave to others."""

    def __init__(self, store: Store, registry: Registry, now: Callable[[], float], pause: Callable[[float], None] = lambda _: None) -> None:
        self._store = store
        self._registry = registry
        self._now = now
        self._pause = pause

    def waiting(self, actor: Actor, limit: int = 100, *, kind: ReviewKind | None = None, after: int = 0) -> list[ReviewRow] | Refused:
        """What waits, oldest first, beyond the review `after`."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.read() as tx:
            return reviews.list_open(tx, limit, kind=None if kind is None else kind.value, after=after)

    def queue(
        self,
        actor: Actor,
        limit: int,
        *,
        kinds: Sequence[ReviewKind] = tuple(ReviewKind),
        districts: Collection[str] = (),
        after: Mark | None = None,
    ) -> list[WaitingRow] | Refused:
        """What waits of these kinds, the gravest kind first, in it the oldest, beyond `after`; in these districts where any are named."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        found: list[WaitingRow] = []
        with self._store.read() as tx:
            for kind in kinds:
                if after is not None and kinds.index(kind) < kinds.index(after.kind):
                    continue
                begin = (after.received_ms, after.review) if after is not None and kind is after.kind else (-1, 0)
                found += reviews.list_waiting(tx, kind.value, limit - len(found), after=begin, districts=districts)
                if len(found) == limit:
                    break
        return found

    def groups(self, actor: Actor) -> list[GroupRow] | Refused:
        """What came with imports and waits, a line for each import and contradiction, the oldest first."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.read() as tx:
            return reviews.list_groups(tx)

    def group(self, actor: Actor, number: int, why: str) -> Group | NoReview | Refused:
        """What waits of one import with one contradiction."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.read() as tx:
            row = next((row for row in reviews.list_groups(tx) if (row.number, row.why) == (number, why)), None)
            return NoReview() if row is None else Group(row, reviews.count_colours(tx, number, why))

    def members(self, actor: Actor, number: int, why: str, limit: int, *, turned: bool, after: int = 0) -> list[WaitingRow] | Refused:
        """Those of a group whom the import turned, or whom it did not, beyond the review `after`."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.read() as tx:
            return reviews.list_members(tx, number, why, TURNED, limit, after, turned=turned)

    def let_stand(
        self, actor: Actor, number: int, why: str, reason: ReviewReason, progress: Callable[[int], None] = lambda _: None
    ) -> int | NoReview | Refused:
        """Closes what waits of one import with one contradiction, but for people who are green; how many that were.

        In slices, each with an entry in the log; `progress` hears how many are closed.
        """
        found = self.group(actor, number, why)
        if not isinstance(found, Group):
            return found
        done = after = 0
        while True:
            with self._store.write() as tx:
                part = [row.review for row in reviews.list_members(tx, number, why, TURNED, CLOSED_AT_ONCE, after, turned=True)]
                if part:
                    at = self._now()
                    reviews.close_many(tx, part, "closed", actor.role.value, reason.value, to_ms(at))
                    detail: audit.Detail = {"kind": "contradiction", "why": why, "reviews": len(part), "reason": reason.value}
                    audit.append(tx, actor, Action.REVIEWS_CLOSED, audit.about("import", number), detail, at)
            if not part:
                return done
            done, after = done + len(part), part[-1]
            progress(done)
            self._pause(0.005)

    def count(self, actor: Actor) -> dict[str, int] | Refused:
        """How many wait, by kind; those that came with an import are not among them (`groups`)."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.read() as tx:
            return reviews.count_open(tx)

    def count_late(self, actor: Actor) -> int | Refused:
        """How many wait longer than anybody should, those that came with imports among them."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.read() as tx:
            return sum(count for count, _ in reviews.count_received(tx, to_ms(self._now() - DEADLINE_S)).values())

    def look(self, actor: Actor, review: int) -> ReviewRow | NoReview | Refused:
        """A review that waits, for an officer's eyes: the log says that they looked."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = reviews.find_review(tx, review)
            if row is None or row.state != "open":
                return NoReview()
            audit.append(tx, actor, Action.RESIDENT_VIEWED, audit.about("resident", row.resident), {"review": review}, self._now())
            return row

    def decide(self, actor: Actor, review: int, decision: Decision, reason: ReviewReason) -> NoReview | Refused | None:
        """An officer has looked, and this follows; `DECISIONS` says what may.

        Close: nothing; who waits for a first review waits until they declare anew. Let in: the person gets a code of the colour that the
        rules say. Believe: the fever is a fact. Reissue: every code of the person ends, and they get new ones.
        """
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = reviews.find_review(tx, review)
            if row is None or row.state != "open" or decision not in DECISIONS[ReviewKind(row.kind)]:
                return NoReview()
            at = self._now()
            match decision:
                case Decision.LET_IN:
                    self._registry.record(tx, row.resident, Reviewed(at, actor.role.value), at, actor)
                    reviews.close_declarations(tx, row.resident, actor.role.value, to_ms(at))
                case Decision.BELIEVE:
                    self._registry.record(tx, row.resident, fever_of(tx, row, at), at, actor)
                case Decision.REISSUE:
                    if self._registry.reissue(tx, row.resident, at, actor) is not None:
                        return Refused(HouseholdFault.NO_ROOM)
                case Decision.CLOSE:
                    pass
            state = "closed" if decision is Decision.CLOSE else "passed"
            reviews.close_review(tx, review, state, actor.role.value, reason.value, to_ms(at))
            detail: audit.Detail = {"review": review, "kind": row.kind, "decision": decision.value, "reason": reason.value}
            audit.append(tx, actor, Action.REVIEW_CLOSED, audit.about("resident", row.resident), detail, at)
            return None


def fever_of(tx: Connection, row: ReviewRow, at: float) -> FeverAtGate:
    """The fact that a fever becomes which an officer believes, at the latest `at`; without its figure where the event is purged."""
    stored = events.find_event(tx, row.unit, row.boot_id, row.seq)
    event = None if stored is None else msgspec.json.decode(stored.body, type=PassEvent)
    body_c, clock = (None, ClockState.UNTRUSTED) if event is None else (event.body_c, event.clock)
    return FeverAtGate(min(row.at_ms / 1000, at), row.unit, body_c, clock, believed=True)
