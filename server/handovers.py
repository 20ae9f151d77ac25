"""How a resident goes over to another account with their history: by a one-time code, by a claim that the family confirms, or an officer.

One person has one code: a number that is known already is not registered again but claimed. Whoever looks after the resident may
confirm the claim, an officer decides it otherwise, and nobody is told who that is. A one-time code from the family does it at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from server import audit, throttle
from server.actors import CARERS, OFFICERS, Actor
from server.audit import Action
from server.charges import ClaimWaits, HouseholdFault, Limit, Refused, Registered, charge_of, find_full
from server.enrolment import Entry, Relation, read_entry
from server.faults import Faults
from server.identity import mask_name, normal_form
from server.persons import Person, fingerprint, read_person
from server.registry import Registry
from server.sealing import Seal
from server.store import Store, apps, people, reviews, to_ms
from server.store import households as rows
from server.throttle import Limits

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_CODE_LETTERS = 10
OF_CODES = Limits(free=5, base_s=10, ceiling_s=3600, forget_s=86_400)
"""Attempts of one account at one-time codes; a code has 49 bits and wants the person's number with it."""


class Purpose(StrEnum):
    """What a one-time code is for: the person's own account, or one more account that looks after them."""

    SELF = "self"
    SHARE = "share"


@dataclass(frozen=True)
class ClaimNotice:
    """Somebody else's claim on a member of the family, as those see it who look after them: the member's masked name.

    `app` names the app that asks; of an account nothing is told. `agreed`: the family said yes, and it could not be granted yet.
    """

    claim: int
    resident: str
    masked_name: str
    relation: Relation
    asked: float
    app: str
    agreed: bool


@dataclass(frozen=True)
class ClaimView:
    """A claim as an officer sees it: the name that was typed beside what is registered, and what the family said (yes, no or nothing)."""

    claim: int
    resident: str
    typed_name: str
    person: Person
    relation: Relation
    asked: float
    holder: str
    state: str


class HandOvers:
    """Claims and one-time codes. `now` gives seconds since 1970."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        seal: Seal,
        now: Callable[[], float],
        limit: Limit = Limit(),  # noqa: B008  frozen
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._registry = registry
        self._seal = seal
        self._now = now
        self._limit = limit
        self._random = random

    def offer(self, actor: Actor, resident: str, purpose: Purpose) -> str | Refused:
        """A one-time code by which the resident goes over to an account of their own, or is shared with one more."""
        with self._store.write() as tx:
            relation = charge_of(tx, actor, resident)
            if isinstance(relation, Refused):
                return relation
            if relation is Relation.SELF and purpose is Purpose.SELF:
                return Refused(HouseholdFault.SELF_STAYS)
            code = "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._random(_CODE_LETTERS))
            at = self._now()
            rows.put_hand_over(tx, self._code_hash(code), resident, actor.account, purpose.value, to_ms(at + self._limit.code_s))
            audit.append(tx, actor, Action.HAND_OVER_OFFERED, audit.about("resident", resident), {"purpose": purpose.value}, at)
            return f"{code[:5]}-{code[5:]}"

    def accept(self, actor: Actor, code: str, typed: Mapping[str, str]) -> Registered | Faults | Refused:
        """Takes over the resident of a one-time code, with all that is known of them, by the number of their own paper.

        With a code for the person's own account those who looked after them do so no more; with one to share they go on.
        """
        if actor.role not in CARERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        at = self._now()
        entry = read_entry(typed, at)
        if isinstance(entry, Faults):
            return entry
        with self._store.write() as tx:
            key = self._seal.fingerprint(f"hand-over attempts {actor.account}")
            if throttle.attempt(tx, [(key, OF_CODES)], at):
                return Refused(HouseholdFault.CODE_WRONG)
            found = rows.find_hand_over(tx, self._code_hash(code), to_ms(at))
            known = people.find_by_number(tx, fingerprint(self._seal, entry.identity))
            if found is None or found[0] != known or (entry.relation is Relation.SELF) != (found[2] == Purpose.SELF.value):
                return Refused(HouseholdFault.CODE_WRONG)
            full = find_full(tx, actor.account, entry.relation, self._limit)
            if full is not None:
                return full
            throttle.succeeded(tx, [(key, OF_CODES)], at, cleared=key)
            self._take_over(tx, actor, actor.account, known, entry.relation, at)
            return Registered(known)

    def claim(self, tx: Connection, actor: Actor, resident: str, entry: Entry, at: float) -> ClaimWaits | Refused:
        """Claims a resident who is known already: nothing is told of who looks after them."""
        if rows.find_charge(tx, actor.account, resident) is not None:
            return Refused(HouseholdFault.ALREADY_YOURS)
        mine = rows.open_claims_by(tx, actor.account)
        for row in mine:
            if row.resident == resident:
                return ClaimWaits(row.claim)
        if len(mine) >= self._limit.claims:
            return Refused(HouseholdFault.TOO_MANY_CLAIMS, {"most": self._limit.claims})
        sealed = self._seal.close(entry.name.encode(), _context(actor.account, resident))
        claim = rows.insert_claim(tx, actor.account, resident, entry.relation.value, sealed, to_ms(at))
        person = read_person(tx, self._seal, resident)
        has_same_name = person is not None and normal_form(person.name) == normal_form(entry.name)
        why = "number_claimed" if has_same_name else "number_claimed name_differs"
        reviews.open_review(tx, "claim", why, resident, to_ms(at), claim)
        audit.append(tx, actor, Action.CLAIM_MADE, audit.about("resident", resident), {"claim": claim}, at)
        return ClaimWaits(claim)

    def claims_on(self, actor: Actor) -> list[ClaimNotice]:
        """Others' claims on members of the family that wait for a word of this account."""
        with self._store.read() as tx:
            return [self._notice(tx, row) for row in rows.open_claims_on(tx, actor.account)]

    def own_claims(self, actor: Actor) -> list[ClaimWaits]:
        """The account's own claims that wait."""
        with self._store.read() as tx:
            return [ClaimWaits(row.claim) for row in rows.open_claims_by(tx, actor.account)]

    def look(self, actor: Actor, claim: int) -> ClaimView | Refused:
        """A claim for an officer's eyes."""
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = rows.find_claim(tx, claim)
            person = None if row is None else read_person(tx, self._seal, row.resident)
            if row is not None:
                audit.append(tx, actor, Action.RESIDENT_VIEWED, audit.about("resident", row.resident), {"claim": claim}, self._now())
        if row is None or person is None:
            return Refused(HouseholdFault.NO_CLAIM)
        name = self._seal.open(row.sealed, _context(row.account, row.resident)).decode()
        return ClaimView(claim, row.resident, name, person, Relation(row.relation), row.asked_ms / 1000, row.holder, row.state)

    def confirm(self, actor: Actor, claim: int, *, is_theirs: bool) -> Refused | None:
        """One who looks after the resident says whether the claim is right: right ends it; wrong leaves it to an officer.

        Right, and refused because the other account has no room: the word counts, the claim stays open, and may be tried again.
        """
        with self._store.write() as tx:
            row = rows.find_claim(tx, claim)
            if row is None or row.state != "open" or row.account == actor.account:
                return Refused(HouseholdFault.NO_CLAIM)
            if isinstance(charge_of(tx, actor, row.resident), Refused):
                return Refused(HouseholdFault.NO_CLAIM)
            said = "yes" if is_theirs else "no"
            rows.set_claim_holder(tx, claim, said)
            detail: audit.Detail = {"claim": claim, "said": said}
            audit.append(tx, actor, Action.CLAIM_ANSWERED, audit.about("resident", row.resident), detail, self._now())
            return self._grant(tx, row, actor, "family") if is_theirs else None

    def decide(self, actor: Actor, claim: int, *, is_granted: bool, reason: str = "") -> Refused | None:
        """An officer decides a claim; `reason` is a word for the log.

        Granted for a person's own account, all others lose them, and their old codes end.
        """
        if actor.role not in OFFICERS:
            return Refused(HouseholdFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = rows.find_claim(tx, claim)
            if row is None or row.state != "open" or row.account == actor.account:
                return Refused(HouseholdFault.NO_CLAIM)
            if not is_granted:
                at = self._now()
                rows.close_claim(tx, claim, "refused", actor.role.value, to_ms(at))
                detail: audit.Detail = {"claim": claim, "decision": "refused", "reason": reason}
                audit.append(tx, actor, Action.CLAIM_DECIDED, audit.about("resident", row.resident), detail, at)
                return None
            full = find_full(tx, row.account, Relation(row.relation), self._limit)
            if full is not None:
                return full
            if row.relation == Relation.SELF.value and self._registry.reissue(tx, row.resident, self._now(), actor) is not None:
                return Refused(HouseholdFault.NO_ROOM)
            return self._grant(tx, row, actor, actor.role.value, reason)

    def tidy(self) -> None:
        """Drops one-time codes that have ended."""
        with self._store.write() as tx:
            rows.forget_hand_overs(tx, to_ms(self._now()))

    def _grant(self, tx: Connection, row: rows.ClaimRow, actor: Actor, by: str, reason: str = "") -> Refused | None:
        relation = Relation(row.relation)
        full = find_full(tx, row.account, relation, self._limit)
        if full is not None:
            return full
        at = self._now()
        rows.close_claim(tx, row.claim, "granted", by, to_ms(at))
        detail: audit.Detail = {"claim": row.claim, "decision": "granted", "reason": reason}
        audit.append(tx, actor, Action.CLAIM_DECIDED, audit.about("resident", row.resident), detail, at)
        self._take_over(tx, actor, row.account, row.resident, relation, at)
        return None

    def _take_over(self, tx: Connection, actor: Actor, account: str, resident: str, relation: Relation, at: float) -> None:
        """The account looks after the resident; as their own it is the only one. `actor` is who brings that about."""
        if relation is Relation.SELF:
            for holder, _ in rows.holders(tx, resident):
                rows.delete_charge(tx, holder, resident)
        rows.delete_hand_overs(tx, resident)
        rows.insert_charge(tx, account, resident, relation.value, to_ms(at))
        detail: audit.Detail = {"relation": relation.value, "account": account}
        audit.append(tx, actor, Action.CHARGE_BEGAN, audit.about("resident", resident), detail, at)

    def _notice(self, tx: Connection, row: rows.ClaimRow) -> ClaimNotice:
        person = read_person(tx, self._seal, row.resident)
        name = "" if person is None else mask_name(person.name)
        app = apps.name_of_app(tx, row.account)
        return ClaimNotice(row.claim, row.resident, name, Relation(row.relation), row.asked_ms / 1000, app, row.holder == "yes")

    def _code_hash(self, code: str) -> bytes:
        return self._seal.fingerprint(f"hand-over code {normal_form(code)}")


def _context(account: str, resident: str) -> str:
    return f"claims.sealed {account} {resident}"
