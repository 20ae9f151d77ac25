"""Residents: who they are (sealed), under which index their codes stand, and what officers say of them.

Which colour follows from what is known of them: server.rulings.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from healthcode.status import CAPACITY
from healthcode.terms import Colour, Status
from server import audit
from server.actors import AT_CONSOLE, Who
from server.audit import Action
from server.colours import PENDING, Rule, Ruling
from server.explanations import Sentence
from server.facts import COLOURS_OF_REASON, Cleared, Fact, HandReason, SetByHand, fits
from server.indices import permute
from server.persons import Person, close_person, find_bad_text, fingerprint, open_person
from server.policy import DEFAULT, Policy
from server.rulings import Rulings, read_why
from server.sealing import Seal
from server.store import Store, people, publication, rulings, to_ms
from server.store.publication import Waiting

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LETTERS = 8


class RegistryFault(StrEnum):
    """Why the registry did not do what it was asked."""

    NO_SUCH_RESIDENT = "no_such_resident"
    NUMBER_KNOWN = "number_known"
    REASON_DOES_NOT_FIT = "reason_does_not_fit"
    BAD_TEXT = "bad_text"
    LIST_FULL = "list_full"
    PENDING = "pending"


@dataclass(frozen=True)
class Refused:
    """What was not done: the fault, and one line for people."""

    fault: RegistryFault
    detail: str


@dataclass(frozen=True)
class Resident:
    """A resident as the registry knows them: `since` is when the rule began to hold, `ruled_at` when it was ruled (seconds since 1970).

    Without a colour they are pending: not reviewed yet, and nobody gives them a code.
    """

    resident: str
    person: Person
    uri: str
    index: int
    colour: Colour | None
    rule: Rule
    since: float
    why: Sentence
    ruled_at: int

    @property
    def word(self) -> str:
        """The colour's word, or `pending`."""
        return PENDING if self.colour is None else self.colour.value


class Registry:
    """The registry of one issuer and its lists, which fill in their order.

    `policy` is put in force where it is newer than the one that is: PolicyError where it is older, or contradicts it. `now` and `random`
    come from outside; times are seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        seal: Seal,
        *,
        issuer: str,
        uris: Sequence[str],
        now: Callable[[], float],
        policy: Policy = DEFAULT,
        capacity: int = CAPACITY,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.store = store
        self.issuer = issuer
        self.capacities: dict[str, int] = {}
        """Our lists, and how many entries each has."""
        self._seal = seal
        self._now = now
        self._random = random
        self._index_keys = {uri: seal.derive(f"indices {uri}") for uri in uris}
        with store.write() as tx:
            for uri in uris:
                self.capacities[uri] = people.open_list(tx, uri, issuer, capacity)
        self.rulings = Rulings(store, policy, now)

    def add(
        self,
        person: Person,
        *,
        colour: Colour = Colour.GREEN,
        reason: HandReason = HandReason.REVIEWED,
        who: Who = AT_CONSOLE,
    ) -> Resident | Refused:
        """A new resident, with an index drawn from the list and a first ruling."""
        if not fits(reason, colour):
            return _unfit(reason, colour)
        with self.store.write() as tx:
            at = self._now()
            resident = self.register(tx, person, at, who)
            if isinstance(resident, Refused):
                return resident
            self.record(tx, resident, SetByHand(at, colour, reason, who.role.value), at, who)
            return self._known(tx, resident)

    def register(self, tx: Connection, person: Person, at: float, who: Who) -> str | Refused:
        """A new resident of whom nothing is known yet, and who is pending: the id. Nobody else may have the number."""
        fault = find_bad_text(person)
        if fault:
            return Refused(RegistryFault.BAD_TEXT, fault)
        identity = person.identity
        number_hash = None if identity is None else fingerprint(self._seal, identity)
        known = people.find_by_number(tx, number_hash) if number_hash else None
        if known:
            return Refused(RegistryFault.NUMBER_KNOWN, f"this number belongs to resident {known}: one person has one code")
        place = self._draw_index(tx)
        if isinstance(place, Refused):
            return place
        resident = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._random(_ID_LETTERS))
        people.insert_resident(tx, resident, close_person(self._seal, resident, person), number_hash, *place, to_ms(at))
        audit.append(tx, who, Action.RESIDENT_ADDED, audit.about("resident", resident), {}, at)
        self.rulings.rule(tx, [resident], at)
        return resident

    def list_residents(self, who: Who = AT_CONSOLE) -> list[Resident]:
        """Every resident in order of registration; the log says that `who` saw them all."""
        with self.store.write() as tx:
            found = [self._open(row) for row in people.list_all(tx)]
            audit.append(tx, who, Action.RESIDENTS_LISTED, audit.about("residents", "all"), {"found": len(found)}, self._now())
            return found

    def find(self, resident: str) -> Resident | None:
        """The resident with this id."""
        with self.store.read() as tx:
            row = people.find(tx, resident)
            return None if row is None else self._open(row)

    def clear(self, resident: str, body_c: float, who: Who = AT_CONSOLE) -> Resident | Refused:
        """An officer measured a normal temperature with a clinical thermometer: gate fevers before now no longer count."""
        with self.store.write() as tx:
            if people.find(tx, resident) is None:
                return _unknown(resident)
            at = self.moment_after(tx, [resident])
            self.record(tx, resident, Cleared(at, body_c, who.role.value), at, who)
            return self._known(tx, resident)

    def revoke(self, resident: str, who: Who = AT_CONSOLE) -> Resident | Refused:
        """Ends every code of the resident for good (lost phone, lost paper) and gives them a fresh index with the same colour."""
        with self.store.write() as tx:
            refused = self.reissue(tx, resident, self._now(), who)
            return self._known(tx, resident) if refused is None else refused

    def reissue(self, tx: Connection, resident: str, at: float, who: Who) -> Refused | None:
        """As `revoke`, inside the caller's transaction; nothing is changed where it is refused."""
        row = people.find(tx, resident)
        if row is None:
            return _unknown(resident)
        place = self._draw_index(tx)
        if isinstance(place, Refused):
            return place
        people.move_resident(tx, resident, (row.uri, row.idx), place, to_ms(at))
        publication.insert_changes(tx, [Waiting(row.uri, row.idx, Status.REVOKED, int(at))])
        audit.append(tx, who, Action.CODES_REVOKED, audit.about("resident", resident), {}, at)
        self.rulings.rule(tx, [resident], at)
        return None

    def record(self, tx: Connection, resident: str, fact: Fact, at: float, who: Who) -> bool:
        """Stores a fact that `who` tells, and the ruling that follows at `at`; whether that is a new ruling. The resident must exist."""
        return self.rulings.record_many(tx, [(resident, fact)], at, who) > 0

    def record_many(self, tx: Connection, facts: Sequence[tuple[str, Fact]], at: float, who: Who) -> int:
        """Stores many facts, each about the resident it comes with, and the rulings that follow; how many of those are new."""
        return self.rulings.record_many(tx, facts, at, who)

    def rule_due(self, limit: int) -> int:
        """Makes the changes that time alone has brought, of at most `limit` residents; how many were due."""
        return self.rulings.rule_due(limit)

    def explain(self, resident: str, who: Who = AT_CONSOLE) -> Ruling | None:
        """What follows now from all that is known of the resident: colour, rule, until when, what would change it.

        The log says that `who` looked.
        """
        with self.store.write() as tx:
            if people.find(tx, resident) is None:
                return None
            audit.append(tx, who, Action.RESIDENT_VIEWED, audit.about("resident", resident), {"name": "unseen"}, self._now())
            return self.rulings.explain(tx, resident, self._now())

    def moment_after(self, tx: Connection, residents: Sequence[str]) -> float:
        """Now, or just after the newest fact about these where the clock went back: what an officer says now is the newest."""
        return max([self._now(), *(rulings.newest_recorded_ms(tx, resident) / 1000 + 0.001 for resident in residents)])

    def resident_at(self, tx: Connection, uri: str, index: int) -> str | None:
        """The id of the resident whose codes stand under this index now."""
        return people.find_by_index(tx, uri, index)

    def _draw_index(self, tx: Connection) -> tuple[str, int] | Refused:
        """(list, index) that nobody ever had, in the first list with room."""
        for uri, capacity in self.capacities.items():
            position = people.take_position(tx, uri)
            if position is not None:
                return (uri, permute(self._index_keys[uri], position, capacity))
        full = ", ".join(self.capacities)
        return Refused(RegistryFault.LIST_FULL, f"full: {full}: expected a further list, further_uris in the server's configuration")

    def _known(self, tx: Connection, resident: str) -> Resident:
        row = people.find(tx, resident)
        if row is None:
            raise LookupError(f"resident {resident} is gone within one transaction")
        return self._open(row)

    def _open(self, row: people.ResidentRow) -> Resident:
        person = open_person(self._seal, row.resident, row.sealed)
        return Resident(
            row.resident,
            person,
            row.uri,
            row.idx,
            None if row.colour == PENDING else Colour(row.colour),
            Rule(row.rule),
            row.since_ms / 1000,
            read_why(row.why),
            row.ruled_at,
        )


def _unknown(resident: str) -> Refused:
    return Refused(RegistryFault.NO_SUCH_RESIDENT, f"no resident {resident[:40]!r}: expected an id that `resident list` shows")


def _unfit(reason: HandReason, colour: Colour) -> Refused:
    fitting = ", ".join(word.value for word, colours in COLOURS_OF_REASON.items() if colour in colours)
    return Refused(
        RegistryFault.REASON_DOES_NOT_FIT, f"reason {reason.value!r} cannot make a code {colour.value}: expected one of {fitting}"
    )
