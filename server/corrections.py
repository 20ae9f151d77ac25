"""The number by which somebody is known, put right: what that would do, and doing it once two people have agreed (server.proposals).

The person keeps their record, their place in the status list and their codes: a code carries no number. What imports say belongs to a
number, whoever has it (docs/decisions/0166): what they say of the right one counts for the person from then on, and what they say of the
wrong one stays with that, which is free again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from sqlalchemy import Connection

from server import audit
from server.actors import Who
from server.audit import Action
from server.colours import Ruling
from server.contradictions import newly_contradicted
from server.enrolment import OWN_ACCOUNT_AGE, Relation
from server.explanations import Sentence
from server.identity import OF_AGE, Identity, Paper, age, mask_number
from server.persons import Person, fingerprint, put_person, read_person
from server.registry import Registry
from server.sealing import Seal
from server.store import apps, epidemic, households, people, reviews, to_ms

_MISTAKEN = "data_mistaken"
_IDENTITY = msgspec.json.Decoder(Identity)


class NumberReason(StrEnum):
    """Why a number is put right. Stable words: stored; sentences number.reason.{word}."""

    MISTYPED = "mistyped"
    OTHER_PAPER = "other_paper"
    REISSUED = "reissued"


@dataclass(frozen=True)
class Outlook:
    """What another number would do to one person now.

    `old` and `new` are what may be shown of the identities; `differs`: at which characters, counted from 1, the numbers differ that have
    one form. `before` and `after`: the rulings; `lost` and `found`: how many facts imports say of the old and of the new number.
    `claims` on the person end. `is_grown`: registered as a child, of age by the new number; `is_young`: too young for their own account.
    """

    old: Identity | None
    new: Identity
    differs: tuple[int, ...]
    before: Ruling
    after: Ruling
    lost: int
    found: int
    years_before: int | None
    years: int | None
    claims: int
    is_grown: bool
    is_young: bool

    def sentences(self) -> list[Sentence]:
        """What it would do beside the colour, for people."""
        told = []
        if self.found:
            told.append(Sentence("number.found", {"n": self.found}))
        if self.lost:
            told.append(Sentence("number.lost", {"n": self.lost}))
        if self.years is not None and self.years_before is None:
            told.append(Sentence("number.years_first", {"years": self.years}))
        elif self.years is not None and self.years_before is not None and self.years != self.years_before:
            told.append(Sentence("number.years", {"years": self.years, "before": self.years_before}))
        if self.is_grown:
            told.append(Sentence("number.grown"))
        if self.is_young:
            told.append(Sentence("number.young", {"age": OWN_ACCOUNT_AGE}))
        if self.claims:
            told.append(Sentence("number.claims", {"n": self.claims}))
        return [*told, Sentence("number.keeps")]


class Corrections:
    """Puts numbers right in one registry. `now` gives seconds since 1970."""

    def __init__(self, registry: Registry, seal: Seal, now: Callable[[], float]) -> None:
        self._registry = registry
        self._seal = seal
        self._now = now

    def close(self, resident: str, identity: Identity) -> bytes:
        """The new number sealed, as long as it waits; bound to whose it is to be."""
        return self._seal.close(msgspec.json.encode(identity), _context(resident))

    def open(self, resident: str, sealed: bytes) -> Identity:
        """The number that waits."""
        return _IDENTITY.decode(self._seal.open(bytes(sealed), _context(resident)))

    def holder(self, tx: Connection, identity: Identity) -> str | None:
        """The resident who is known by this number."""
        return people.find_by_number(tx, fingerprint(self._seal, identity))

    def is_taken(self, tx: Connection, resident: str, identity: Identity) -> bool:
        """Whether somebody else is known by this number."""
        return self.holder(tx, identity) not in (None, resident)

    def is_as_now(self, tx: Connection, resident: str, identity: Identity) -> bool:
        """Whether the person is known by just this already; what a citizen's number says of their day of birth is the number's."""
        now = self._person(tx, resident).identity
        return now is not None and now.hashed == identity.hashed and (identity.paper is Paper.CITIZEN or now.born == identity.born)

    def foresee(self, tx: Connection, resident: str, identity: Identity, *, shows: bool) -> Outlook:
        """What the number would do to a person now, found out by doing it and taking it back; nobody else may have it.

        `shows`: with both numbers in clear, else masked.
        """
        at = self._now()
        person, old_hash = self._person(tx, resident), people.number_hash_of(tx, resident)
        relations = {Relation(relation) for _, relation in households.holders(tx, resident)}
        years = None if identity.born is None else age(identity.born, at)
        before = self._registry.rulings.explain(tx, resident, at)
        with tx.begin_nested() as trial:
            put_person(tx, self._seal, resident, _renumbered(person, identity))
            after = self._registry.rulings.explain(tx, resident, at)
            trial.rollback()
        return Outlook(
            None if person.identity is None else _shown(person.identity, shows=shows),
            _shown(identity, shows=shows),
            _differs(person.identity, identity),
            before,
            after,
            0 if old_hash is None else epidemic.count_said(tx, old_hash),
            epidemic.count_said(tx, fingerprint(self._seal, identity)),
            None if person.born is None else age(person.born, at),
            years,
            len(households.list_claims_of(tx, resident)),
            Relation.CHILD in relations and years is not None and years >= OF_AGE,
            Relation.SELF in relations and years is not None and years < OWN_ACCOUNT_AGE,
        )

    def put_right(self, tx: Connection, resident: str, identity: Identity, detail: audit.Detail, at: float, who: Who) -> None:
        """From now on the person is known by this number, which nobody else may have; the log has `detail` and no number.

        Claims on them end: they were made by the old number. Apps that act for them as the person of the old number know the new one.
        What imports of the old number had put before officers is closed, and what those of the new one say against the person is put there.
        """
        person, old_hash = self._person(tx, resident), people.number_hash_of(tx, resident)
        rulings = self._registry.rulings
        known, told = rulings.recent(tx, resident), epidemic.list_telling(tx, resident)
        put_person(tx, self._seal, resident, _renumbered(person, identity))
        audit.append(tx, who, Action.RESIDENT_IDENTITY, audit.about("resident", resident), detail, at)
        for claim in households.list_claims_of(tx, resident):
            households.close_claim(tx, claim.claim, "withdrawn", who.role.value, to_ms(at))
            ended: audit.Detail = {"claim": claim.claim, "decision": "withdrawn"}
            audit.append(tx, who, Action.CLAIM_DECIDED, audit.about("resident", resident), ended, at)
        if old_hash is not None:
            self._tell_apps(tx, resident, old_hash, fingerprint(self._seal, identity), at, who)
        for row, _ in told:
            reviews.close_of_import(tx, row.number, [resident], who.role.value, _MISTAKEN, to_ms(at))
        flags = newly_contradicted(rulings.recent(tx, resident), known, rulings.policy(tx))
        if flags:
            reviews.open_review(tx, "contradiction", " ".join(flags), resident, to_ms(at))
        rulings.rule(tx, [resident], at)

    def _tell_apps(self, tx: Connection, resident: str, old: bytes, new: bytes, at: float, who: Who) -> None:
        """An app that knows the new number as somebody else's acts for the person no more: it may identify them anew."""
        for app, account in apps.list_identified(tx, resident, old):
            if apps.find_person(tx, app, new) in (None, account):
                apps.put_number(tx, account, new)
            else:
                apps.delete_person(tx, account)
                audit.append(tx, who, Action.APP_PERSON_ENDED, audit.about("account", account), {"app": app}, at)

    def _person(self, tx: Connection, resident: str) -> Person:
        person = read_person(tx, self._seal, resident)
        if person is None:
            raise LookupError(f"resident {resident} is gone, and residents never go")
        return person


def _renumbered(person: Person, identity: Identity) -> Person:
    return msgspec.structs.replace(person, number=identity.number, paper=identity.paper, state=identity.state, born=identity.born)


def _shown(identity: Identity, *, shows: bool) -> Identity:
    """The identity as it may be seen; masked it does not say the day of birth either."""
    return identity if shows else Identity(identity.paper, mask_number(identity.number), identity.state)


def _differs(old: Identity | None, new: Identity) -> tuple[int, ...]:
    if old is None or (old.paper, len(old.number)) != (new.paper, len(new.number)):
        return ()
    return tuple(place for place, (one, other) in enumerate(zip(old.number, new.number, strict=True), 1) if one != other)


def _context(resident: str) -> str:
    return f"proposals.sealed {resident}"
