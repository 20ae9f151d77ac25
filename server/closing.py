"""Closing an account: what ends with it, and what stays known of those whom it looked after.

The account ends: nobody signs in to it again, its name is free, its sessions, drafts, one-time codes and open claims are gone. Its owner's
codes end, and their telephone number goes. What is known of anybody's health stays in the registry, and so do members of the family and
their codes: they are people of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from server import audit
from server.accounts import Refused as NotProved
from server.accounts import close_account
from server.actors import Actor, Role
from server.audit import Action
from server.charges import HouseholdFault, Refused
from server.enrolment import Relation
from server.persons import Person, open_person, put_person, read_person
from server.registry import Registry
from server.sealing import Seal
from server.sessions import Sessions
from server.store import Store, to_ms
from server.store import households as rows


@dataclass(frozen=True)
class Left:
    """Somebody whom the account looks after; `others`: how many more accounts do."""

    resident: str
    person: Person
    relation: Relation
    others: int


class Closing:
    """Closes residents' accounts. `now` gives seconds since 1970."""

    def __init__(
        self, store: Store, registry: Registry, seal: Seal, now: Callable[[], float], random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._store = store
        self._registry = registry
        self._seal = seal
        self._now = now
        self._random = random

    def foresee(self, actor: Actor) -> list[Left]:
        """Whom the account would leave, itself first."""
        with self._store.read() as tx:
            return [
                Left(
                    row.resident,
                    open_person(self._seal, row.resident, row.sealed),
                    Relation(row.relation),
                    len(rows.holders(tx, row.resident)) - 1,
                )
                for row in rows.list_charges(tx, actor.account)
            ]

    def close(self, sessions: Sessions, actor: Actor, password: str) -> NotProved | Refused | None:
        """Closes the account of who knows its password; all at once or not at all."""
        if actor.role is not Role.RESIDENT:
            return Refused(HouseholdFault.NOT_ALLOWED)
        proved = sessions.prove(actor, password)
        if proved is not None:
            return proved
        with self._store.write() as tx:
            at = self._now()
            charges = rows.list_charges(tx, actor.account)
            own = next((row.resident for row in charges if row.relation == Relation.SELF.value), None)
            if own is not None and self._registry.reissue(tx, own, at, actor) is not None:
                return Refused(HouseholdFault.NO_ROOM)
            for row in charges:
                rows.delete_charge(tx, actor.account, row.resident)
                audit.append(tx, actor, Action.CHARGE_ENDED, audit.about("resident", row.resident), {}, at)
            for claim in rows.open_claims_by(tx, actor.account):
                rows.close_claim(tx, claim.claim, "withdrawn", actor.role.value, to_ms(at))
                detail: audit.Detail = {"claim": claim.claim, "decision": "withdrawn"}
                audit.append(tx, actor, Action.CLAIM_DECIDED, audit.about("resident", claim.resident), detail, at)
            if own is not None and not rows.holders(tx, own):
                self._forget_phone(tx, own)
            rows.delete_drafts(tx, actor.account)
            close_account(tx, self._seal, actor.account, self._random(32), at)
            audit.append(tx, actor, Action.ACCOUNT_CLOSED, audit.about("account", actor.account), {"members": len(charges)}, at)
        return None

    def _forget_phone(self, tx: Connection, resident: str) -> None:
        person = read_person(tx, self._seal, resident)
        if person is not None and person.phone:
            put_person(tx, self._seal, resident, msgspec.structs.replace(person, phone=""))
