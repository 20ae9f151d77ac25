"""All that is held of one person, for an officer's eyes: whoever opens it is written in the log before they see anything.

Names and numbers are masked until they are asked for, which the log says as well. A person is found by their id or by the keyed hash of
their number; the log says that somebody looked for one, found or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from server import audit
from server.actors import OFFICERS, Actor
from server.audit import Action
from server.charges import HouseholdFault, Refused
from server.colours import Ruling
from server.explanations import Sentence
from server.facts import Cleared, Fact, Reviewed
from server.faults import Fault
from server.identity import Paper, age, mask_name, mask_number, mask_phone, read_identity
from server.persons import Person, fingerprint, read_person
from server.registry import Refused as NotDone
from server.registry import Registry, Resident
from server.reviews import Decision, fever_of
from server.rulings import read_why
from server.sealing import Seal
from server.store import Store, households, people, reviews, rulings
from server.store import audit as log
from server.store.audit import EntryRow
from server.store.people import IssueRow
from server.store.reviews import ReviewRow

MOST_ROWS = 50
"""Rulings, codes and entries of the log that are shown; facts all are."""
_ID = re.compile(r"[2-9a-z]{8}")


@dataclass(frozen=True)
class Made:
    """A ruling that was made at `at`, by the policy of this version."""

    at: float
    colour: str
    why: Sentence
    policy: int


@dataclass(frozen=True)
class Dossier:
    """What is held of a resident. `relations`: what those are to them who look after them. `shows`: whether name and number are in clear.

    `looked` are those entries of the log that say who looked, `done` those that say who did something.
    """

    resident: str
    name: str
    number: str
    phone: str
    paper: Paper
    years: int | None
    district: str
    shows: bool
    relations: tuple[str, ...]
    ruling: Ruling
    facts: tuple[Fact, ...]
    made: tuple[Made, ...]
    issues: tuple[IssueRow, ...]
    waiting: tuple[ReviewRow, ...]
    looked: tuple[EntryRow, ...]
    done: tuple[EntryRow, ...]


@dataclass(frozen=True)
class Effect:
    """What something would do to one person now: colours, or `pending`, before and after, and why it would be the one after."""

    before: str
    after: str
    why: Sentence
    until: float | None


class Dossiers:
    """Opens dossiers for officers. `now` gives seconds since 1970."""

    def __init__(self, store: Store, registry: Registry, seal: Seal, now: Callable[[], float]) -> None:
        self._store = store
        self._registry = registry
        self._seal = seal
        self._now = now

    def find(self, actor: Actor, paper: Paper, typed: str, state: str = "") -> str | Fault | None:
        """The id of a resident by id or number; None where there is nobody, a fault where the number can be nobody's."""
        if actor.role not in OFFICERS:
            return None
        at = self._now()
        plain = typed.strip().casefold()
        with self._store.write() as tx:
            if _ID.fullmatch(plain):
                found = plain if people.find(tx, plain) is not None else None
            else:
                identity = read_identity(paper, typed, at, state=state)
                if isinstance(identity, Fault):
                    return identity
                found = people.find_by_number(tx, fingerprint(self._seal, identity))
            subject = audit.about("resident", found) if found else audit.about("residents", "sought")
            audit.append(tx, actor, Action.RESIDENTS_LISTED, subject, {"found": int(found is not None)}, at)
        return found

    def open(self, actor: Actor, resident: str, *, shows: bool = False) -> Dossier | Refused:
        """Opens a dossier; the log says so, and whether it `shows` name and number in clear."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.write() as tx:
            at = self._now()
            person = read_person(tx, self._seal, resident)
            if person is None:
                return Refused(HouseholdFault.NOT_YOURS)
            subject = audit.about("resident", resident)
            audit.append(tx, actor, Action.RESIDENT_VIEWED, subject, {"name": "shown" if shows else "masked"}, at)
            return self._read(tx, resident, person, at, shows=shows)

    def effect(self, resident: str, *also: Fact) -> Effect | None:
        """What these further facts would do to a resident now. Nothing is written."""
        with self._store.read() as tx:
            if people.find_sealed(tx, resident) is None:
                return None
            at = max([self._now(), *(fact.at for fact in also)])
            ((before, after),) = self._registry.rulings.suppose(tx, [resident], also, at)
        return Effect(before.word, after.word, after.why, after.until)

    def effect_of(self, review: ReviewRow, decision: Decision, actor: Actor) -> Effect | None:
        """What a decision on a review would do to whom it is about; None where it changes nothing that is known of them."""
        match decision:
            case Decision.LET_IN:
                return self.effect(review.resident, Reviewed(self._now(), actor.role.value))
            case Decision.BELIEVE:
                with self._store.read() as tx:
                    fact = fever_of(tx, review, self._now())
                return self.effect(review.resident, fact)
            case Decision.REISSUE | Decision.CLOSE:
                return None

    def clear(self, actor: Actor, resident: str, body_c: float) -> Resident | NotDone | Refused:
        """An officer measured a normal temperature with a clinical thermometer."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        return self._registry.clear(resident, body_c, actor)

    def reissue(self, actor: Actor, resident: str) -> Resident | NotDone | Refused:
        """Every code of the resident ends, and new ones of the same colour can be had."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        return self._registry.revoke(resident, actor)

    def cleared(self, actor: Actor, body_c: float) -> Cleared:
        """The fact that a clinical thermometer's reading is, taken now."""
        return Cleared(self._now(), body_c, actor.role.value)

    def most_c(self) -> float:
        """From which temperature on a reading is fever by the policy in force, in degrees Celsius."""
        with self._store.read() as tx:
            return self._registry.rulings.policy(tx).declared.fever_c

    def _read(self, tx: Connection, resident: str, person: Person, at: float, *, shows: bool) -> Dossier:
        subject = audit.about("resident", resident)
        return Dossier(
            resident,
            person.name if shows else mask_name(person.name),
            person.number if shows else mask_number(person.number) if person.number else "",
            person.phone if shows else mask_phone(person.phone) if person.phone else "",
            person.paper,
            None if person.born is None else age(person.born, at),
            person.district,
            shows,
            tuple(relation for _, relation in households.holders(tx, resident)),
            self._registry.rulings.explain(tx, resident, at),
            tuple(self._registry.rulings.facts(tx, resident)),
            tuple(
                Made(row.made_ms / 1000, row.colour, read_why(row.why), row.policy) for row in rulings.list_rulings(tx, resident, MOST_ROWS)
            ),
            tuple(people.list_issues(tx, resident, MOST_ROWS)),
            tuple(reviews.list_open_of(tx, resident)),
            tuple(log.list_newest(tx, MOST_ROWS, subject=subject, action=Action.RESIDENT_VIEWED.value)),
            tuple(entry for entry in log.list_newest(tx, MOST_ROWS, subject=subject) if entry.action != Action.RESIDENT_VIEWED.value),
        )
