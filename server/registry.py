"""Residents: who they are (sealed), what is known of them, which colour follows, and under which index their codes stand.

A fact, the ruling that follows from it and the status list's waiting change are written in one transaction. Whole seconds rule: a
ruling's `ruled_at` is the second in which it was made, and is what codes carry as iat.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from sqlalchemy import Connection

from healthcode.status import CAPACITY
from healthcode.terms import STATUS_OF_COLOUR, Colour, Status
from server.colours import Rule, Ruling, colour_of
from server.facts import COLOURS_OF_REASON, FACTS, Cleared, Fact, HandReason, SetByHand, fits
from server.indices import permute
from server.persons import Person, close_person, find_bad_text, fingerprint, open_person
from server.sealing import Seal
from server.store import Store, people, publication, to_ms

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LETTERS = 8


class RegistryFault(StrEnum):
    """Why the registry did not do what it was asked."""

    NO_SUCH_RESIDENT = "no_such_resident"
    NUMBER_KNOWN = "number_known"
    REASON_DOES_NOT_FIT = "reason_does_not_fit"
    BAD_TEXT = "bad_text"
    LIST_FULL = "list_full"


@dataclass(frozen=True)
class Refused:
    """What was not done: the fault, and one line for people."""

    fault: RegistryFault
    detail: str


@dataclass(frozen=True)
class Resident:
    """A resident as the registry knows them: `since` is when the colour began, `ruled_at` when it was ruled (seconds since 1970)."""

    resident: str
    person: Person
    uri: str
    index: int
    colour: Colour
    rule: Rule
    since: float
    why: str
    ruled_at: int


class Registry:
    """The registry of one issuer and its lists, which fill in their order.

    `now` and `random` come from outside; times are seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        seal: Seal,
        *,
        issuer: str,
        uris: Sequence[str],
        now: Callable[[], float],
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

    def add(
        self,
        person: Person,
        *,
        colour: Colour = Colour.GREEN,
        reason: HandReason = HandReason.REVIEWED,
        by: str = "officer",
    ) -> Resident | Refused:
        """A new resident, with an index drawn from the list and a first ruling."""
        if not fits(reason, colour):
            return _unfit(reason, colour)
        with self.store.write() as tx:
            at = self._now()
            resident = self.register(tx, person, at)
            if isinstance(resident, Refused):
                return resident
            self.record(tx, resident, SetByHand(at, colour, reason, by), at)
            return self._known(tx, resident)

    def register(self, tx: Connection, person: Person, at: float) -> str | Refused:
        """A new resident of whom nothing is known yet: the id. Nobody else may have the number: one person has one code."""
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
        return resident

    def list_residents(self) -> list[Resident]:
        """Every resident in order of registration."""
        with self.store.read() as tx:
            return [self._open(row) for row in people.list_all(tx)]

    def find(self, resident: str) -> Resident | None:
        """The resident with this id."""
        with self.store.read() as tx:
            row = people.find(tx, resident)
            return None if row is None else self._open(row)

    def set_colour(self, resident: str, colour: Colour, reason: HandReason, by: str = "officer") -> Resident | Refused:
        """Sets a colour by hand, for a reason from the list that can lead to it."""
        if not fits(reason, colour):
            return _unfit(reason, colour)
        with self.store.write() as tx:
            if people.find(tx, resident) is None:
                return _unknown(resident)
            at = self._after_facts(tx, resident)
            self.record(tx, resident, SetByHand(at, colour, reason, by), at)
            return self._known(tx, resident)

    def clear(self, resident: str, body_c: float, by: str = "officer") -> Resident | Refused:
        """An officer measured a normal temperature with a clinical thermometer: gate fevers before now no longer count."""
        with self.store.write() as tx:
            if people.find(tx, resident) is None:
                return _unknown(resident)
            at = self._after_facts(tx, resident)
            self.record(tx, resident, Cleared(at, body_c, by), at)
            return self._known(tx, resident)

    def revoke(self, resident: str) -> Resident | Refused:
        """Ends every code of the resident for good (lost phone, lost paper) and gives them a fresh index with the same colour."""
        with self.store.write() as tx:
            row = people.find(tx, resident)
            if row is None:
                return _unknown(resident)
            at = self._now()
            place = self._draw_index(tx)
            if isinstance(place, Refused):
                return place
            people.move_resident(tx, resident, (row.uri, row.idx), place, to_ms(at))
            publication.insert_change(tx, row.uri, row.idx, Status.REVOKED, int(at))
            self._rule(tx, resident, at)
            return self._known(tx, resident)

    def record(self, tx: Connection, resident: str, fact: Fact, at: float) -> bool:
        """Stores a fact and the ruling that follows at `at`; whether that is a new ruling. The resident must exist."""
        kind = next(word for word, cls in FACTS.items() if isinstance(fact, cls))
        row = people.FactRow(kind, msgspec.json.encode(fact).decode())
        people.insert_fact(tx, resident, row, to_ms(fact.at), to_ms(at))
        return self._rule(tx, resident, at)

    def resident_at(self, tx: Connection, uri: str, index: int) -> str | None:
        """The id of the resident whose codes stand under this index now."""
        return people.find_by_index(tx, uri, index)

    def _rule(self, tx: Connection, resident: str, at: float) -> bool:
        """Rules anew at `at`. A fresh index that is not green gets a time one second ahead: see docs/decisions/0041."""
        facts = [msgspec.json.decode(row.body, type=FACTS[row.kind]) for row in people.list_facts(tx, resident)]
        ruling = colour_of(facts, at)
        before = people.find(tx, resident)
        person = people.find_person(tx, resident)
        is_fresh = before is None or before.ruled_person != person
        if before is not None and not is_fresh and _same(before, ruling):
            return False
        ahead = 1 if is_fresh and ruling.colour is not Colour.GREEN else 0
        ruled_at = max(int(at) + ahead, before.ruled_at + 1 if before is not None else 0)
        people.insert_ruling(
            tx,
            resident,
            person,
            colour=ruling.colour.value,
            rule=ruling.rule.value,
            since_ms=to_ms(ruling.since),
            why=ruling.why,
            ruled_at=ruled_at,
            made_ms=to_ms(at),
        )
        shown_before = before.colour if before is not None and not is_fresh else Colour.GREEN.value
        if ruling.colour.value != shown_before:
            publication.insert_change(tx, person[0], person[1], STATUS_OF_COLOUR[ruling.colour], ruled_at)
        return True

    def _after_facts(self, tx: Connection, resident: str) -> float:
        """Now, or just after the newest fact where the clock went back: what an officer says now is the newest."""
        return max(self._now(), people.newest_fact_ms(tx, resident) / 1000 + 0.001)

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
            row.resident, person, row.uri, row.idx, Colour(row.colour), Rule(row.rule), row.since_ms / 1000, row.why, row.ruled_at
        )


def _same(before: people.ResidentRow, ruling: Ruling) -> bool:
    return (before.colour, before.rule, before.since_ms, before.why) == (ruling.colour, ruling.rule, to_ms(ruling.since), ruling.why)


def _unknown(resident: str) -> Refused:
    return Refused(RegistryFault.NO_SUCH_RESIDENT, f"no resident {resident[:40]!r}: expected an id that `resident list` shows")


def _unfit(reason: HandReason, colour: Colour) -> Refused:
    fitting = ", ".join(word.value for word, colours in COLOURS_OF_REASON.items() if colour in colours)
    return Refused(
        RegistryFault.REASON_DOES_NOT_FIT, f"reason {reason.value!r} cannot make a code {colour.value}: expected one of {fitting}"
    )
