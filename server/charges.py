"""Which residents an account may act for, and why something about a family was refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection

from server.actors import CARERS, Actor
from server.enrolment import Relation
from server.store import households as rows


class HouseholdFault(StrEnum):
    """Why something about a family was not done. Sentences: household.{word}."""

    NOT_YOURS = "not_yours"
    NOT_ALLOWED = "not_allowed"
    TOO_MANY = "too_many"
    TOO_MANY_CLAIMS = "too_many_claims"
    SELF_KNOWN = "self_known"
    ALREADY_YOURS = "already_yours"
    SELF_STAYS = "self_stays"
    CODE_WRONG = "code_wrong"
    NO_CLAIM = "no_claim"
    NO_ROOM = "no_room"


@dataclass(frozen=True)
class Refused:
    """What was not done, as a sentence: the key is household.{fault}."""

    fault: HouseholdFault
    params: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the sentence that says so."""
        return f"household.{self.fault.value}"


@dataclass(frozen=True)
class Registered:
    """The resident whom the account looks after from now on."""

    resident: str


@dataclass(frozen=True)
class ClaimWaits:
    """The number is known: the claim waits for the family or an officer. Sentence: household.claim_waits."""

    claim: int


@dataclass(frozen=True)
class Limit:
    """How many residents beside oneself an account may look after, how many claims may wait, and how long a one-time code lives."""

    members: int = 8
    claims: int = 3
    code_s: float = 86_400.0


def charge_of(tx: Connection, actor: Actor, resident: str) -> Relation | Refused:
    """What the resident is to the account; refused alike where they are nobody's, somebody else's or do not exist.

    Every service that acts for a resident on behalf of an account asks here first, in its own transaction.
    """
    row = rows.find_charge(tx, actor.account, resident) if actor.role in CARERS else None
    return Refused(HouseholdFault.NOT_YOURS) if row is None else Relation(row.relation)


def find_full(tx: Connection, account: str, relation: Relation, limit: Limit) -> Refused | None:
    """Why the account cannot look after one more resident of this relation."""
    have = [Relation(row.relation) for row in rows.list_charges(tx, account)]
    if relation is Relation.SELF:
        return Refused(HouseholdFault.SELF_KNOWN) if Relation.SELF in have else None
    if sum(each is not Relation.SELF for each in have) >= limit.members:
        return Refused(HouseholdFault.TOO_MANY, {"most": limit.members})
    return None
