"""The people for whom an app acts: those whom it registered, and those who agreed.

For each person whom an app has identified it has an account of its own that nobody can sign in to; with it the app looks after residents
as a family's account does, through the same services and under the same limits. A number that is known already is never handed over:
it becomes a claim that the family or an officer decides, or the person gives the app a one-time code (docs/decisions/0175).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection

from server import audit, throttle
from server.actors import Actor, Role
from server.audit import Action
from server.charges import ClaimWaits, Refused, Registered
from server.enrolment import Relation, read_entry
from server.faults import Faults
from server.handovers import HandOvers
from server.households import Households
from server.persons import fingerprint
from server.sealing import Seal
from server.store import Store, people, to_ms
from server.store import apps as rows
from server.store import households as families
from server.throttle import Limits

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_ID_LETTERS = 16
OF_CODES = Limits(free=5, base_s=10, ceiling_s=3600, forget_s=86_400)
"""Attempts of an app at one person's one-time codes."""


class State(StrEnum):
    """How the app stands to a person. Stable words of the API's.

    READY: it may act. WAITING: somebody has to check first. REFUSED: they said no, or somebody ended it.
    """

    READY = "ready"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True)
class Person:
    """A person of an app: the id of the app's account for them, how it stands, and the resident where it may act."""

    person: str
    state: State
    resident: str = ""
    is_new: bool = False


class LinkFault(StrEnum):
    """Why an app does not get to act for a person. Sentences: app.{word}."""

    TOO_MANY_WAITING = "too_many_waiting"
    CODE_WAIT = "code_wait"


@dataclass(frozen=True)
class NotLinked:
    """A person for whom the app does not act, as a sentence: the key is app.{fault}."""

    fault: LinkFault
    params: Mapping[str, str | int]
    wait_s: float = 0.0

    @property
    def key(self) -> str:
        """The key of the sentence that says so."""
        return f"app.{self.fault.value}"


@dataclass(frozen=True)
class Link:
    """An app that acts for a resident, as those see it who look after them."""

    resident: str
    app: str
    person: str
    since: float


class AppPeople:
    """The people of every app. `now` gives seconds since 1970; an app may have `waiting` undecided claims."""

    def __init__(
        self,
        store: Store,
        households: Households,
        handovers: HandOvers,
        seal: Seal,
        now: Callable[[], float],
        waiting: int = 20,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._households = households
        self._handovers = handovers
        self._seal = seal
        self._now = now
        self._waiting = waiting
        self._random = random

    def identify(self, app: str, typed: Mapping[str, str], code: str = "") -> Person | Faults | Refused | NotLinked:
        """The person whose paper the app has seen: the one that it knows, else a new one, registered or waiting for a check.

        With a one-time `code` that the person gave it, it may act at once.
        """
        typed = {**typed, "relation": Relation.OTHER.value}
        at = self._now()
        entry = read_entry(typed, at)
        if isinstance(entry, Faults):
            return entry
        number_hash = fingerprint(self._seal, entry.identity)
        with self._store.write() as tx:
            known = rows.find_person(tx, app, number_hash)
            if known is not None:
                held = self._look(tx, known, number_hash)
                if held.state is State.READY or (not code and (held.state is State.WAITING or rows.was_refused(tx, known))):
                    return held
            if code:
                key = self._seal.fingerprint(f"app link {app} {number_hash.hex()}")
                wait_s = throttle.attempt(tx, [(key, OF_CODES)], at)
                if wait_s:
                    return NotLinked(LinkFault.CODE_WAIT, {"n": max(1, round(wait_s))}, wait_s)
            elif rows.count_waiting(tx, app) >= self._waiting:  # asked of known and unknown numbers alike
                return NotLinked(LinkFault.TOO_MANY_WAITING, {"most": self._waiting})
            person = known or self._open_account(tx, app, number_hash, at)
        actor = Actor(person, Role.APP)
        outcome = self._handovers.accept(actor, code, typed) if code else self._households.register(actor, typed)
        with self._store.write() as tx:
            if isinstance(outcome, Registered | ClaimWaits):
                return replace(self._look(tx, person, number_hash), is_new=known is None)
            if known is None:
                self._end(tx, app, person)
        return outcome

    def find(self, app: str, person: str) -> Person | None:
        """How the app stands to a person of its own."""
        with self._store.read() as tx:
            number_hash = rows.find_number_of(tx, app, person)
            return None if number_hash is None else self._look(tx, person, number_hash)

    def list_people(self, app: str, after: str, most: int) -> list[Person]:
        """The app's people in the order of their ids, those after `after`."""
        with self._store.read() as tx:
            found = rows.list_people(tx, app, after, most)
            return [self._look(tx, person, rows.find_number_of(tx, app, person) or b"") for person in found]

    def end(self, app: str, person: str) -> bool:
        """The app acts for this person and their family no more; whether it did."""
        with self._store.write() as tx:
            if rows.find_number_of(tx, app, person) is None:
                return False
            self._end(tx, app, person)
            return True

    def links(self, actor: Actor) -> list[Link]:
        """The apps that act for somebody whom the account looks after."""
        with self._store.read() as tx:
            found = rows.list_links(tx, actor.account)
        return [Link(resident, app, person, since_ms / 1000) for resident, app, person, since_ms in found]

    def end_link(self, actor: Actor, resident: str, person: str) -> bool:
        """Somebody who looks after the resident ends what an app does for them; whether it did anything."""
        with self._store.write() as tx:
            if not any((each[0], each[2]) == (resident, person) for each in rows.list_links(tx, actor.account)):
                return False
            families.delete_charge(tx, person, resident)
            audit.append(tx, actor, Action.CHARGE_ENDED, audit.about("resident", resident), {"account": person}, self._now())
            return True

    def _look(self, tx: Connection, person: str, number_hash: bytes) -> Person:
        charges = [charge.resident for charge in families.list_charges(tx, person)]
        own = people.find_by_number(tx, number_hash)
        if charges:
            return Person(person, State.READY, own if own in charges else "")
        waits = any(claim.resident == own for claim in families.open_claims_by(tx, person))
        return Person(person, State.WAITING if waits else State.REFUSED)

    def _end(self, tx: Connection, app: str, person: str) -> None:
        rows.delete_person(tx, person)
        audit.append(tx, Actor(person, Role.APP), Action.APP_PERSON_ENDED, audit.about("account", person), {"app": app}, self._now())

    def _open_account(self, tx: Connection, app: str, number_hash: bytes, at: float) -> str:
        person = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._random(_ID_LETTERS))
        name = f"app {app} {person}"  # no name that anybody can type: normal_name takes no blanks
        sealed = self._seal.close(name.encode(), f"accounts.sealed {person}")
        audit.append(tx, Actor(person, Role.APP), Action.APP_PERSON, audit.about("account", person), {"app": app}, at)
        rows.insert_person(tx, person, app, number_hash, self._seal.fingerprint(f"account {name}"), sealed, to_ms(at))
        return person
