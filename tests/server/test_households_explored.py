"""Whatever families, strangers and officers do in whatever order, one person is one resident, and nobody is two people."""

from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from server.actors import Role
from server.charges import ClaimWaits, Refused, Registered
from server.enrolment import Relation
from server.faults import Faults
from server.handovers import Purpose
from server.office import Office, open_office
from tests.server.family import actor, entry, number
from tests.server.office import CAPACITY, Clock, Town

NAMES = ("人甲", "人乙", "人丙")
MOST = 1
people = st.sampled_from(NAMES)
fresh = count(1)
accounts = st.integers(0, 1)
relations = st.sampled_from(["self", "elder", "other"])


class Families(RuleBasedStateMachine):
    """Two accounts, three people, an officer; an account may look after one other."""

    office: Office
    clock: Clock

    @initialize()
    def begin(self) -> None:
        turn = next(fresh)
        self.numbers = {name: number(date(1950 + turn // 300, 1, 1), 3 * (turn % 300) + place) for place, name in enumerate(NAMES)}
        self.actors = [actor(self.office, f"resident-{turn}-{place}") for place in range(2)]
        self.officer = actor(self.office, f"officer-{turn}", Role.OFFICER)
        self.codes: list[tuple[str, str, str]] = []
        self.claims: list[int] = []
        self.resident_of: dict[str, str] = {}

    @rule(account=accounts, name=people, relation=relations)
    def register(self, account: int, name: str, relation: str) -> None:
        outcome = self.office.households.register(self.actors[account], entry(relation, name, self.numbers[name]))
        assert not isinstance(outcome, Faults)
        if isinstance(outcome, Registered):
            assert name not in self.resident_of
            self.resident_of[name] = outcome.resident
        elif isinstance(outcome, ClaimWaits):
            assert name in self.resident_of
            self.claims.append(outcome.claim)

    @precondition(lambda self: self.resident_of)
    @rule(account=accounts, place=st.integers(0, 3), purpose=st.sampled_from(Purpose))
    def offer(self, account: int, place: int, purpose: Purpose) -> None:
        name = sorted(self.resident_of)[place % len(self.resident_of)]
        code = self.office.handovers.offer(self.actors[account], self.resident_of[name], purpose)
        if isinstance(code, str):
            assert self.looks_after(account, self.resident_of[name])
            self.codes.append((code, name, "self" if purpose is Purpose.SELF else "other"))

    @precondition(lambda self: self.codes)
    @rule(account=accounts)
    def accept(self, account: int) -> None:
        code, name, relation = self.codes[-1]
        typed = entry(relation, name, self.numbers[name])
        had = self.looks_after(account, self.resident_of[name])
        outcome = self.office.handovers.accept(self.actors[account], code, typed)
        if isinstance(outcome, Registered):
            assert outcome.resident == self.resident_of[name] and self.looks_after(account, outcome.resident)
            assert isinstance(self.office.handovers.accept(self.actors[account], code, typed), Refused)
        else:
            assert self.looks_after(account, self.resident_of[name]) == had

    @precondition(lambda self: self.codes)
    @rule(account=accounts, place=st.integers(0, 50), name=people, relation=relations)
    def accept_anything(self, account: int, place: int, name: str, relation: str) -> None:
        code, meant, _ = self.codes[place % len(self.codes)]
        outcome = self.office.handovers.accept(self.actors[account], code, entry(relation, name, self.numbers[name]))
        assert name == meant or isinstance(outcome, Refused)

    @precondition(lambda self: self.claims)
    @rule(account=accounts, place=st.integers(0, 50), is_theirs=st.booleans())
    def confirm(self, account: int, place: int, is_theirs: bool) -> None:
        self.office.handovers.confirm(self.actors[account], self.claims[place % len(self.claims)], is_theirs=is_theirs)

    @precondition(lambda self: self.claims)
    @rule(place=st.integers(0, 50), is_granted=st.booleans())
    def decide(self, place: int, is_granted: bool) -> None:
        self.office.handovers.decide(self.officer, self.claims[place % len(self.claims)], is_granted=is_granted)

    @precondition(lambda self: self.resident_of)
    @rule(account=accounts, place=st.integers(0, 3))
    def detach(self, account: int, place: int) -> None:
        resident = list(self.resident_of.values())[place % len(self.resident_of)]
        had = self.looks_after(account, resident)
        outcome = self.office.households.detach(self.actors[account], resident)
        assert had or isinstance(outcome, Refused)

    @rule(seconds=st.sampled_from([1, 60, 90_000]))
    def wait(self, seconds: int) -> None:
        self.clock.at += seconds

    @invariant()
    def one_person_is_one_resident(self) -> None:
        if not hasattr(self, "actors"):
            return
        selves: Counter[str] = Counter()
        for member_of in self.actors:
            members = self.office.households.members(member_of)
            relations_here = Counter(member.relation is Relation.SELF for member in members)
            assert relations_here[True] <= 1 and relations_here[False] <= MOST
            for member in members:
                assert self.resident_of[member.person.name] == member.resident
                assert member.person.number == self.numbers[member.person.name]
                selves[member.resident] += member.relation is Relation.SELF
        assert all(count <= 1 for count in selves.values())

    def teardown(self) -> None:
        held = {resident.person.number for resident in self.office.registry.list_residents()}
        assert len(held) == len(self.office.registry.list_residents())

    def looks_after(self, account: int, resident: str) -> bool:
        return any(member.resident == resident for member in self.office.households.members(self.actors[account]))


def test_families_in_whatever_order(town: Town, clock: Clock) -> None:
    Families.office = open_office(town.config(f"[households]\nmembers = {MOST}"), clock, CAPACITY)
    Families.clock = clock
    run_state_machine_as_test(Families, settings=settings(max_examples=30, stateful_step_count=40, deadline=None))
    Families.office.store.close()
