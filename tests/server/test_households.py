"""Families: who looks after whom, and how a resident goes over to another account with their history."""

from __future__ import annotations

from datetime import date

import pytest

from server.actors import BY_RULES, Actor, Role
from server.charges import ClaimWaits, HouseholdFault, Refused, Registered
from server.enrolment import Relation
from server.facts import Declared
from server.faults import Fault, Faults
from server.handovers import ClaimView, Purpose
from server.identity import start_of
from server.office import Office
from server.persons import Person
from server.store import reviews
from tests.server.family import actor, entry, number, put_right
from tests.server.office import Clock

MOTHER, CHILD, ELDER = number(date(1985, 2, 3), 2), number(date(2006, 6, 1), 11), number(date(1941, 1, 9), 4)


@pytest.fixture
def mother(office: Office) -> Actor:
    return actor(office, "13800138001")


@pytest.fixture
def stranger(office: Office) -> Actor:
    return actor(office, "13800138002")


@pytest.fixture
def officer(office: Office) -> Actor:
    return actor(office, "officer.li", Role.OFFICER)


def registered(outcome: object) -> str:
    assert isinstance(outcome, Registered), outcome
    return outcome.resident


def waits(outcome: object) -> int:
    assert isinstance(outcome, ClaimWaits), outcome
    return outcome.claim


def fault(outcome: object) -> HouseholdFault:
    assert isinstance(outcome, Refused), outcome
    return outcome.fault


def test_an_account_registers_its_owner_and_the_family(office: Office, mother: Actor, clock: Clock) -> None:
    own = registered(office.households.register(mother, entry("self", "王　芳", MOTHER)))
    clock.at += 1
    child = registered(office.households.register(mother, entry("child", "李小明", f"{CHILD[:6]} {CHILD[6:14]} {CHILD[14:].lower()}")))
    clock.at += 1
    guest = entry("other", "John Smith", "P1234567", paper="passport", state="gbr", born="1 May 1990")
    elder = registered(office.households.register(mother, guest))
    members = office.households.members(mother)
    assert [(member.resident, member.relation) for member in members] == [
        (own, Relation.SELF),
        (child, Relation.CHILD),
        (elder, Relation.OTHER),
    ]
    assert members[0].person.name == "王 芳"
    assert members[1].person.number == CHILD
    assert members[2].person.state == "GBR" and members[2].person.born == date(1990, 5, 1)
    assert members[1].years == 17 and not members[1].must_hand_over


def test_what_is_wrong_with_a_registration_is_said_by_field(office: Office, mother: Actor) -> None:
    outcome = office.households.register(mother, {"relation": "self", "name": "R2-D2", "number": "1"})
    assert outcome == Faults({"name": Fault("name.character", {"position": 2, "character": "2"}), "paper": Fault("paper.missing")})
    young = office.households.register(mother, entry("self", "李小小", number(date(2015, 1, 1))))
    assert young == Faults({"relation": Fault("relation.self_too_young", {"age": 14})})
    old = office.households.register(mother, entry("child", "王大", MOTHER))
    assert isinstance(old, Faults) and old.by_field["relation"].key == "relation.child_of_age"
    unborn = office.households.register(mother, entry("other", "John Smith", "P1234567", paper="passport", state="GB"))
    assert unborn == Faults({"state": Fault("identity.state"), "born": Fault("born.missing")})
    assert office.households.members(mother) == []


def test_an_account_looks_after_eight_others_at_most(office: Office, mother: Actor) -> None:
    registered(office.households.register(mother, entry("self", "王芳", MOTHER)))
    for sequence in range(20, 28):
        registered(office.households.register(mother, entry("other", "家人", number(sequence=sequence))))
    refused = office.households.register(mother, entry("other", "家人", number(sequence=28)))
    assert refused == Refused(HouseholdFault.TOO_MANY, {"most": 8})
    assert fault(office.households.register(mother, entry("self", "王芳", number(sequence=29)))) is HouseholdFault.SELF_KNOWN


def test_the_same_number_twice_is_one_person(office: Office, mother: Actor) -> None:
    registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    assert fault(office.households.register(mother, entry("child", "李小明", CHILD.lower()))) is HouseholdFault.ALREADY_YOURS
    assert len(office.registry.list_residents()) <= 1


def test_a_known_number_is_claimed_and_nothing_is_told_of_its_holder(
    office: Office, mother: Actor, stranger: Actor, officer: Actor, clock: Clock
) -> None:
    child = registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    claim = waits(office.households.register(stranger, entry("other", "李小明", CHILD)))
    assert waits(office.households.register(stranger, entry("other", "李小明", CHILD))) == claim
    assert office.households.members(stranger) == []
    with office.store.read() as tx:
        (review,) = reviews.list_open(tx, 10, kind="claim")
    assert (review.resident, review.claim, review.why) == (child, claim, "number_claimed")
    assert fault(office.handovers.decide(stranger, claim, is_granted=True)) is HouseholdFault.NOT_ALLOWED
    assert office.handovers.decide(officer, claim, is_granted=False) is None
    assert office.households.members(stranger) == [] and office.handovers.own_claims(stranger) == []
    with office.store.read() as tx:
        assert reviews.list_open(tx, 10) == []
    assert fault(office.handovers.decide(officer, claim, is_granted=True)) is HouseholdFault.NO_CLAIM


def test_another_name_with_the_number_is_shown_to_the_officer(office: Office, mother: Actor, stranger: Actor, officer: Actor) -> None:
    registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    claim = waits(office.households.register(stranger, entry("other", "赵六", CHILD)))
    with office.store.read() as tx:
        assert [review.why for review in reviews.list_open(tx, 10)] == ["number_claimed name_differs"]
    view = office.handovers.look(officer, claim)
    assert isinstance(view, ClaimView)
    assert (view.typed_name, view.person.name, view.person.number, view.holder, view.state) == ("赵六", "李小明", CHILD, "", "open")
    assert fault(office.handovers.look(stranger, claim)) is HouseholdFault.NOT_ALLOWED
    assert fault(office.handovers.look(officer, claim + 1)) is HouseholdFault.NO_CLAIM


def test_claims_are_no_way_to_try_numbers(office: Office, mother: Actor, stranger: Actor) -> None:
    for sequence in range(30, 34):
        registered(office.households.register(mother, entry("other", "家人", number(sequence=sequence))))
    for sequence in range(30, 33):
        waits(office.households.register(stranger, entry("other", "家人", number(sequence=sequence))))
    refused = office.households.register(stranger, entry("other", "家人", number(sequence=33)))
    assert refused == Refused(HouseholdFault.TOO_MANY_CLAIMS, {"most": 3})


def test_who_comes_of_age_takes_the_history_along_by_a_code(office: Office, mother: Actor, clock: Clock) -> None:
    child = registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    with office.store.write() as tx:
        office.registry.record(tx, child, Declared(clock(), temperature_c=36.6), clock(), BY_RULES)
    clock.at = start_of(date(2024, 6, 1))
    assert office.households.members(mother)[0].must_hand_over
    code = office.handovers.offer(mother, child, Purpose.SELF)
    assert isinstance(code, str) and len(code) == 11
    grown = actor(office, "13800138003")
    wrong_number = office.handovers.accept(grown, code, entry("self", "李小明", MOTHER))
    assert fault(wrong_number) is HouseholdFault.CODE_WRONG
    assert registered(office.handovers.accept(grown, code.upper().replace("-", " "), entry("self", "李小明", CHILD))) == child
    assert [member.resident for member in office.households.members(grown)] == [child]
    assert office.households.members(mother) == []
    with office.store.read() as tx:
        assert [fact.at for fact in office.registry.rulings.facts(tx, child)] == [1_700_000_000.5]
    again = actor(office, "13800138004")
    assert fault(office.handovers.accept(again, code, entry("self", "李小明", CHILD))) is HouseholdFault.CODE_WRONG


def test_who_comes_of_age_registers_and_the_guardian_confirms(office: Office, mother: Actor, stranger: Actor, clock: Clock) -> None:
    child = registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    grown = actor(office, "13800138003")
    claim = waits(office.households.register(grown, entry("self", "李小明", CHILD)))
    (notice,) = office.handovers.claims_on(mother)
    assert (notice.claim, notice.resident, notice.masked_name, notice.relation) == (claim, child, "李**", Relation.SELF)
    assert office.handovers.claims_on(stranger) == [] and office.handovers.claims_on(grown) == []
    assert fault(office.handovers.confirm(stranger, claim, is_theirs=True)) is HouseholdFault.NO_CLAIM
    assert fault(office.handovers.confirm(grown, claim, is_theirs=True)) is HouseholdFault.NO_CLAIM
    assert office.handovers.confirm(mother, claim, is_theirs=True) is None
    assert [member.resident for member in office.households.members(grown)] == [child]
    assert office.households.members(mother) == []
    with office.store.read() as tx:
        assert reviews.list_open(tx, 10) == []


def test_a_claim_that_the_guardian_denies_waits_for_an_officer(office: Office, mother: Actor, stranger: Actor, officer: Actor) -> None:
    child = registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    claim = waits(office.households.register(stranger, entry("self", "李小明", CHILD)))
    assert office.handovers.confirm(mother, claim, is_theirs=False) is None
    assert office.handovers.claims_on(mother) == []
    assert [member.resident for member in office.households.members(mother)] == [child]
    before = office.registry.find(child)
    assert office.handovers.decide(officer, claim, is_granted=True) is None
    assert [member.resident for member in office.households.members(stranger)] == [child]
    assert office.households.members(mother) == []
    after = office.registry.find(child)
    assert before is not None and after is not None and after.index != before.index


def test_a_claim_on_a_second_self_is_not_granted_and_changes_nothing(
    office: Office, mother: Actor, stranger: Actor, officer: Actor
) -> None:
    child = registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    claim = waits(office.households.register(stranger, entry("self", "李小明", CHILD)))
    registered(office.households.register(stranger, entry("self", "王芳", MOTHER)))
    before = office.registry.find(child)
    assert fault(office.handovers.decide(officer, claim, is_granted=True)) is HouseholdFault.SELF_KNOWN
    assert fault(office.handovers.confirm(mother, claim, is_theirs=True)) is HouseholdFault.SELF_KNOWN
    assert office.registry.find(child) == before
    assert [member.resident for member in office.households.members(mother)] == [child]
    assert [waiting.claim for waiting in office.handovers.own_claims(stranger)] == [claim]


def test_a_code_to_share_adds_an_account_and_takes_none_away(office: Office, mother: Actor, stranger: Actor) -> None:
    child = registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    code = office.handovers.offer(mother, child, Purpose.SHARE)
    assert isinstance(code, str)
    assert fault(office.handovers.accept(stranger, code, entry("self", "李小明", CHILD))) is HouseholdFault.CODE_WRONG
    assert registered(office.handovers.accept(stranger, code, entry("child", "李小明", CHILD))) == child
    assert [member.resident for member in office.households.members(mother)] == [child]
    assert [member.resident for member in office.households.members(stranger)] == [child]
    assert office.households.detach(mother, child) is None
    assert [member.resident for member in office.households.members(stranger)] == [child]


def test_a_code_ends_after_a_day_and_guesses_get_slow(office: Office, mother: Actor, stranger: Actor, clock: Clock) -> None:
    child = registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    code = office.handovers.offer(mother, child, Purpose.SHARE)
    assert isinstance(code, str)
    for guess in range(5):
        assert (
            fault(office.handovers.accept(stranger, f"abcde-2345{guess + 2}", entry("child", "李小明", CHILD))) is HouseholdFault.CODE_WRONG
        )
    assert fault(office.handovers.accept(stranger, code, entry("child", "李小明", CHILD))) is HouseholdFault.CODE_WRONG
    clock.at += 10
    assert registered(office.handovers.accept(stranger, code, entry("child", "李小明", CHILD))) == child
    late = office.handovers.offer(mother, child, Purpose.SHARE)
    assert isinstance(late, str)
    clock.at += 86_400
    third = actor(office, "13800138005")
    assert fault(office.handovers.accept(third, late, entry("child", "李小明", CHILD))) is HouseholdFault.CODE_WRONG
    office.handovers.tidy()
    with office.store.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM hand_overs").scalar_one() == 0


def test_nobody_reaches_a_resident_who_is_not_theirs(office: Office, mother: Actor, stranger: Actor, officer: Actor) -> None:
    child = registered(office.households.register(mother, entry("child", "李小明", CHILD)))
    for other in (stranger, officer):
        for resident in (child, "nobody22"):
            assert fault(office.households.edit(other, resident, {"phone": "13812345678"})) is HouseholdFault.NOT_YOURS
            assert fault(office.households.detach(other, resident)) is HouseholdFault.NOT_YOURS
            assert fault(office.handovers.offer(other, resident, Purpose.SELF)) is HouseholdFault.NOT_YOURS
    assert fault(office.households.register(officer, entry("self", "王芳", MOTHER))) is HouseholdFault.NOT_ALLOWED
    assert fault(office.handovers.accept(officer, "abcde-23456", entry("self", "王芳", MOTHER))) is HouseholdFault.NOT_ALLOWED


def test_details_are_edited_by_the_family_and_the_number_is_put_right_by_two(office: Office, mother: Actor) -> None:
    elder = registered(office.households.register(mother, entry("elder", "王大明", ELDER)))
    edited = office.households.edit(mother, elder, {"phone": "027-87654321", "district": "420106"})
    assert isinstance(edited, Person) and (edited.name, edited.phone, edited.district) == ("王大明", "02787654321", "420106")
    wrong = office.households.edit(mother, elder, {"phone": "1", "district": "moon", "name": " "})
    assert isinstance(wrong, Faults) and set(wrong.by_field) == {"name", "phone", "district"}
    own = registered(office.households.register(mother, entry("self", "王芳", MOTHER)))
    right = number(date(1941, 1, 9), 6)
    put_right(office, elder, right)
    named = office.households.edit(mother, elder, {"name": "王大名"})
    assert isinstance(named, Person) and (named.name, named.number, named.phone) == ("王大名", right, "02787654321")
    assert {member.resident: member.person.name for member in office.households.members(mother)} == {own: "王芳", elder: "王大名"}
    assert fault(office.households.register(mother, entry("other", "王大名", right))) is HouseholdFault.ALREADY_YOURS


def test_a_member_is_let_go_and_oneself_is_not(office: Office, mother: Actor) -> None:
    own = registered(office.households.register(mother, entry("self", "王芳", MOTHER)))
    elder = registered(office.households.register(mother, entry("elder", "王大明", ELDER)))
    assert fault(office.households.detach(mother, own)) is HouseholdFault.SELF_STAYS
    assert office.households.detach(mother, elder) is None
    assert [member.resident for member in office.households.members(mother)] == [own]
    assert fault(office.households.edit(mother, elder, {"phone": "13812345678"})) is HouseholdFault.NOT_YOURS
    waits(office.households.register(mother, entry("elder", "王大明", ELDER)))
