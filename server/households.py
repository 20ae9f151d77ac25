"""Families: an account registers its owner and others, up to a limit, and edits their details."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import msgspec
from sqlalchemy import Connection

from server import audit
from server.actors import CARERS, Actor
from server.audit import Action
from server.charges import ClaimWaits, HouseholdFault, Limit, Refused, Registered, charge_of, find_full
from server.enrolment import Details, Relation, must_hand_over, read_details, read_entry
from server.faults import Faults
from server.handovers import HandOvers
from server.identity import age
from server.persons import Person, fingerprint, open_person, put_person, read_person
from server.registry import Refused as NotRegistered
from server.registry import Registry
from server.sealing import Seal
from server.store import Store, people, to_ms
from server.store import households as rows


@dataclass(frozen=True)
class Member:
    """A resident as the account sees them that looks after them. `years` is None where no date of birth is known."""

    resident: str
    relation: Relation
    since: float
    person: Person
    years: int | None
    must_hand_over: bool


class Households:
    """The families. `now` gives seconds since 1970."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        handovers: HandOvers,
        seal: Seal,
        now: Callable[[], float],
        limit: Limit = Limit(),  # noqa: B008  frozen
    ) -> None:
        self._store = store
        self._registry = registry
        self._handovers = handovers
        self._seal = seal
        self._now = now
        self._limit = limit

    def members(self, actor: Actor) -> list[Member]:
        """Whom the account looks after, itself first."""
        at = self._now()
        with self._store.read() as tx:
            return [self._member(row, at) for row in rows.list_charges(tx, actor.account)]

    def register(self, actor: Actor, typed: Mapping[str, str]) -> Registered | ClaimWaits | Faults | Refused:
        """Registers oneself or a member of the family from what was typed."""
        if actor.role not in CARERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        at = self._now()
        entry = read_entry(typed, at)
        if isinstance(entry, Faults):
            return entry
        with self._store.write() as tx:
            full = find_full(tx, actor.account, entry.relation, self._limit)
            if full is not None:
                return full
            known = people.find_by_number(tx, fingerprint(self._seal, entry.identity))
            if known is not None:
                return self._handovers.claim(tx, actor, known, entry, at)
            person = Person(
                entry.name,
                entry.identity.number,
                paper=entry.identity.paper,
                state=entry.identity.state,
                born=entry.identity.born,
            )
            resident = self._registry.register(tx, person, at, actor)
            if isinstance(resident, NotRegistered):
                return Refused(HouseholdFault.NO_ROOM)
            rows.insert_charge(tx, actor.account, resident, entry.relation.value, to_ms(at))
            audit.append(tx, actor, Action.CHARGE_BEGAN, audit.about("resident", resident), {"relation": entry.relation.value}, at)
            return Registered(resident)

    def edit(self, actor: Actor, resident: str, typed: Mapping[str, str]) -> Person | Faults | Refused:
        """Changes name, telephone or district; what the person is known by two officers put right."""
        details = read_details(typed)
        if isinstance(details, Faults):
            return details
        with self._store.write() as tx:
            relation = charge_of(tx, actor, resident)
            if isinstance(relation, Refused):
                return relation
            fields = " ".join(name for name, value in asdict(details).items() if value is not None)
            audit.append(tx, actor, Action.RESIDENT_EDITED, audit.about("resident", resident), {"fields": fields}, self._now())
            return change_details(tx, self._seal, resident, details)

    def detach(self, actor: Actor, resident: str) -> Refused | None:
        """The account looks after this member of the family no more. Nobody leaves their own account."""
        with self._store.write() as tx:
            relation = charge_of(tx, actor, resident)
            if isinstance(relation, Refused):
                return relation
            if relation is Relation.SELF:
                return Refused(HouseholdFault.SELF_STAYS)
            rows.delete_charge(tx, actor.account, resident)
            audit.append(tx, actor, Action.CHARGE_ENDED, audit.about("resident", resident), {}, self._now())
            return None

    def _member(self, row: rows.ChargeRow, at: float) -> Member:
        person = open_person(self._seal, row.resident, row.sealed)
        relation = Relation(row.relation)
        years = None if person.born is None else age(person.born, at)
        return Member(row.resident, relation, row.since_ms / 1000, person, years, must_hand_over(relation, person.born, at))


def change_details(tx: Connection, seal: Seal, resident: str, details: Details) -> Person:
    """Writes those details of an existing resident that are given; the person as it is then."""
    person = read_person(tx, seal, resident)
    if person is None:
        raise LookupError(f"resident {resident} is gone within one transaction")
    given = {name: value for name, value in asdict(details).items() if value is not None}
    fresh = msgspec.structs.replace(person, **given)
    put_person(tx, seal, resident, fresh)
    return fresh
