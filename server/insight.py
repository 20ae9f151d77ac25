"""What people may know of what is held about them: why their colour, who looked, where their code was read, and all of it to take away.

Who decided and who looked is told by role: never which officer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from healthcode.terms import Colour
from healthcode.trust import KeyRing
from server import audit
from server.actors import Actor
from server.audit import Action
from server.charges import HouseholdFault, Refused, charge_of
from server.colours import Rule, Ruling
from server.enrolment import Relation
from server.identity import OF_AGE, age
from server.persons import Person, read_person
from server.readings import is_genuine
from server.registry import Registry
from server.sealing import Seal
from server.sentences import Language, sentences
from server.store import Store, appeals, held, proposals, rulings, to_ms
from server.store import audit as log
from server.store.held import ReadingRow
from server.store.proposals import CorrectedRow
from server.store.rulings import FactRow

LOOKS = (
    Action.RESIDENT_VIEWED.value,
    Action.RESIDENTS_LISTED.value,
    Action.RESIDENT_EXPORTED.value,
    Action.APPEAL_PAPER_READ.value,
    Action.AUDIT_SHOWN.value,
)
"""Entries of the log that say that somebody looked."""
HELD = ("person", "corrections", "indices", "facts", "rulings", "codes_issued", "appeals", "passes", "passes_told", "looked", "families")
"""The parts of what is taken away; sentences held.{word} name them."""
MOST_SHOWN = 100
"""Readings on the page: each is a signature to check, some 100 microseconds."""
MOST_TAKEN = 5000
"""Readings in the file: half a second's work."""
_AUTHORITY = "health_authority"
_DECIDERS = {
    Rule.CONFIRMED_CASE: _AUTHORITY,
    Rule.CLINICAL_CASE: _AUTHORITY,
    Rule.SUSPECTED_CASE: _AUTHORITY,
    Rule.FEVER_CASE: _AUTHORITY,
    Rule.POSITIVE_TEST: _AUTHORITY,
    Rule.CASE_ENDED_RED: _AUTHORITY,
    Rule.CASE_ENDED_YELLOW: _AUTHORITY,
    Rule.CLOSE_CONTACT: _AUTHORITY,
    Rule.CENTRAL_ISOLATION: _AUTHORITY,
    Rule.HOME_ISOLATION: _AUTHORITY,
    Rule.DECLARED_CONTACT: "resident",
    Rule.DECLARED_ISOLATION: "resident",
    Rule.DECLARED_SYMPTOMS: "resident",
    Rule.FEVER_AT_GATE: "gate",
}


@dataclass(frozen=True)
class Explained:
    """Why a code has its colour. `decided_by` is a role (sentence role.{word}); `may_ask`: whether they can ask for conversion now."""

    ruling: Ruling
    decided_by: str
    may_ask: bool


@dataclass(frozen=True)
class Looked:
    """How often people or programs of a role looked at the person, and when last (seconds since 1970)."""

    role: str
    times: int
    last: float


@dataclass(frozen=True)
class Reading:
    """The person's code was read at a unit; `place` says where that stands, as far as anybody said."""

    at: float
    unit: str
    place: str


class Told(StrEnum):
    """How much of where a code was read is told: all that is kept, the newest of it, or nothing, for it is the person's own affair."""

    ALL = "all"
    NEWEST = "newest"
    NONE = "none"


@dataclass(frozen=True)
class Readings:
    """Where a code was read, the newest first, and how much of it that is. `may_choose`: whether this account decides who sees it."""

    rows: tuple[Reading, ...]
    told: Told
    may_choose: bool
    shares: bool


class Insight:
    """What residents may know. `now` gives seconds since 1970; passes are told of `passes_days`."""

    def __init__(self, store: Store, registry: Registry, seal: Seal, now: Callable[[], float], passes_days: int) -> None:
        self._store = store
        self._registry = registry
        self._seal = seal
        self._now = now
        self._reach_ms = passes_days * 86_400_000

    def explain(self, actor: Actor, resident: str) -> Explained | Refused:
        """Why the code of oneself or of a member of the family has its colour, since and until when, and who decided by role."""
        with self._store.read() as tx:
            relation = charge_of(tx, actor, resident)
            if isinstance(relation, Refused):
                return relation
            ruling = self._registry.rulings.explain(tx, resident, self._now())
            waits = appeals.find_open(tx, resident) is not None
        return Explained(ruling, decider(ruling), ruling.colour not in (None, Colour.GREEN) and not waits)

    def looked(self, actor: Actor, resident: str) -> list[Looked] | Refused:
        """How often others have looked at the person, by role."""
        with self._store.read() as tx:
            relation = charge_of(tx, actor, resident)
            return (
                relation if isinstance(relation, Refused) else _looked(log.count_by_role(tx, audit.about("resident", resident), LOOKS, 0))
            )

    def corrected(self, actor: Actor, resident: str) -> list[CorrectedRow] | Refused:
        """When the number by which the person is known was put right, and by which roles; the newest first."""
        with self._store.read() as tx:
            relation = charge_of(tx, actor, resident)
            return relation if isinstance(relation, Refused) else proposals.list_corrected(tx, resident)

    def readings(self, actor: Actor, resident: str, ring: KeyRing, most: int = MOST_SHOWN) -> Readings | Refused:
        """Where the person's code was read, as long as that is kept; only genuine codes by the keys of `ring`.

        It is told to the person, of a child to the family, and of a person of age to the family where that person says so. (That a
        gate measured a fever, and which, is the reason of a colour, and told with it.)
        """
        with self._store.read() as tx:
            relation = charge_of(tx, actor, resident)
            if isinstance(relation, Refused):
                return relation
            at = self._now()
            shares = held.shares_places(tx, resident)
            is_own = relation is Relation.SELF
            if not (is_own or shares or _is_child(read_person(tx, self._seal, resident), relation, at)):
                return Readings((), Told.NONE, may_choose=False, shares=False)
            rows = held.list_readings(tx, resident, to_ms(at) - self._reach_ms, most + 1)
        told = Told.NEWEST if len(rows) > most else Told.ALL
        return Readings(_genuine(rows[:most], ring), told, may_choose=is_own, shares=shares)

    def share_places(self, actor: Actor, resident: str, shares: bool) -> Refused | None:
        """The person says whether those who look after them see where the code was read: nobody else can say it."""
        with self._store.write() as tx:
            relation = charge_of(tx, actor, resident)
            if relation is not Relation.SELF:
                return relation if isinstance(relation, Refused) else Refused(HouseholdFault.NOT_ALLOWED)
            held.set_shares_places(tx, resident, shares)
            detail: audit.Detail = {"fields": "places", "places": "shared" if shares else "own"}
            audit.append(tx, actor, Action.RESIDENT_EDITED, audit.about("resident", resident), detail, self._now())
            return None

    def take_away(self, actor: Actor, resident: str, ring: KeyRing) -> dict[str, Any] | Refused:
        """All that is held about the person, for programs; `fields` names the parts for people. That it was taken is in the log."""
        readings = self.readings(actor, resident, ring, MOST_TAKEN)
        if isinstance(readings, Refused):
            return readings
        with self._store.write() as tx:
            relation = charge_of(tx, actor, resident)
            if isinstance(relation, Refused):
                return relation
            at = self._now()
            person = read_person(tx, self._seal, resident)
            looked = _looked(log.count_by_role(tx, audit.about("resident", resident), LOOKS, 0))
            audit.append(tx, actor, Action.RESIDENT_EXPORTED, audit.about("resident", resident), {}, at)
            told: dict[str, Any] = {
                "resident": resident,
                "made_at": at,
                "fields": {name: {language.value: sentences(language)[f"held.{name}"] for language in Language} for name in HELD},
                "person": msgspec.to_builtins(person),
                "corrections": [msgspec.to_builtins(row) for row in proposals.list_corrected(tx, resident)],
                "families": held.list_relations(tx, resident),
                "indices": held.list_indices(tx, resident),
                "facts": [_fact(row) for row in rulings.list_facts(tx, [resident])[resident]],
                "rulings": [{**row, "why": msgspec.json.decode(row["why"])} for row in held.list_rulings(tx, resident)],
                "codes_issued": held.list_issues(tx, resident),
                "appeals": [
                    {
                        "asked_ms": row.asked_ms,
                        "words": self._seal.open(row.sealed, f"appeals.sealed {resident}").decode(),
                        "papers": [msgspec.to_builtins(paper) for paper in appeals.list_papers(tx, row.appeal)],
                        "answer": row.answer,
                        "decided_by": row.decided_role,
                        "decided_ms": row.decided_ms,
                    }
                    for row in appeals.list_of(tx, resident)
                ],
                "passes": [{"at_ms": to_ms(each.at), "unit": each.unit, "place": each.place} for each in readings.rows],
                "passes_told": readings.told.value,
                "looked": [msgspec.to_builtins(each) for each in looked],
            }
        return told


def decider(ruling: Ruling) -> str:
    """Who decided, by role: a word of role.{word}."""
    if ruling.rule is Rule.SET_BY_HAND:
        return str(ruling.why.values.get("by", "officers"))
    return _DECIDERS.get(ruling.rule, "rule")


def _genuine(rows: Sequence[ReadingRow], ring: KeyRing) -> tuple[Reading, ...]:
    """What a unit says of a person counts where it shows their code: a dishonest one cannot invent where somebody was."""
    return tuple(Reading(row.at_ms / 1000, row.unit, row.place) for row in rows if is_genuine(row.body, ring))


def _is_child(person: Person | None, relation: Relation, at: float) -> bool:
    """Whether a member of the family is under age; without a date of birth, whether they were registered as a child."""
    born = None if person is None else person.born
    return relation is Relation.CHILD if born is None else age(born, at) < OF_AGE


def _looked(counted: Sequence[tuple[str, str, int, int]]) -> list[Looked]:
    found: dict[str, Looked] = {}
    for _, role, times, last_ms in counted:
        before = found.get(role, Looked(role, 0, 0.0))
        found[role] = Looked(role, before.times + times, max(before.last, last_ms / 1000))
    return [found[role] for role in sorted(found)]


def _fact(row: FactRow) -> dict[str, Any]:
    return {"kind": row.kind, "at_ms": row.at_ms, "recorded_ms": row.recorded_ms, "body": msgspec.json.decode(row.body)}
