"""What people may know of what is held about them: why, who looked by role, where their code was read, all of it to take away."""

from __future__ import annotations

import json
from datetime import date

import pytest

from healthcode.terms import Colour
from server.actors import AT_CONSOLE, Actor, Role
from server.charges import Refused, Registered
from server.facts import Case, CaseCategory, Declared, Fact, HandReason, Reviewed, Symptom
from server.handovers import Purpose
from server.insight import HELD, Explained, Reading, Readings, Told
from server.intake import Intake
from server.office import Office
from server.proposals import Proposal
from server.sentences import Language, sentences
from server.store import events
from tests.server.family import actor, entry, number
from tests.server.office import URI, Clock, Town
from tests.server.reports import batch, passed
from tests.server.test_intake import code_of

DAY = 86_400.0
LI, WANG = Actor("li", Role.OFFICER), Actor("wang", Role.APPROVER)


@pytest.fixture
def mother(office: Office) -> Actor:
    return actor(office, "mother.wang")


@pytest.fixture
def me(office: Office, mother: Actor) -> str:
    found = office.households.register(mother, entry("self", "王芳", number()))
    assert isinstance(found, Registered)
    tell(office, found.resident, Reviewed(office.now(), "rule"))
    return found.resident


def tell(office: Office, resident: str, fact: Fact) -> None:
    with office.store.write() as tx:
        office.registry.record(tx, resident, fact, office.now(), AT_CONSOLE)


def rows(office: Office, town: Town, who: Actor, resident: str) -> tuple[Reading, ...]:
    """Where the code was read, as `who` may know it."""
    found = office.insight.readings(who, resident, town.ring())
    assert isinstance(found, Readings)
    return found.rows


def read_at(office: Office, town: Town, clock: Clock, resident: str, unit: str, seq: int) -> None:
    """The resident's code is read now."""
    found = office.registry.find(resident)
    assert found is not None
    intake = Intake(office.store, office.registry, town.ring, clock, 3)
    event = passed(seq, clock(), code_of(office, town, clock, found), (found.uri, found.index))
    assert intake.take([batch(unit, [event])]).new == 1


def test_why_and_who_by_role(office: Office, clock: Clock, mother: Actor, me: str) -> None:
    def explained() -> Explained:
        found = office.insight.explain(mother, me)
        assert isinstance(found, Explained)
        return found

    assert (explained().ruling.colour, explained().decided_by, explained().may_ask) == (Colour.GREEN, "rule", False)
    clock.at += 60
    tell(office, me, Declared(clock(), symptoms=(Symptom.COUGH,)))
    assert (explained().ruling.colour, explained().decided_by, explained().may_ask) == (Colour.YELLOW, "resident", True)
    tell(office, me, Case(clock(), CaseCategory.CONFIRMED, "clinic"))
    assert explained().decided_by == "health_authority"
    clock.at += 60
    made = office.proposals.propose(LI, [me], Colour.YELLOW, HandReason.DISCHARGED)
    assert isinstance(made, Proposal)
    office.proposals.approve(WANG, made.number)
    assert explained().decided_by == "officers"
    assert not {"li", "wang"} & {str(value) for value in explained().ruling.why.values.values()}
    office.appeals.ask(mother, me, "x", [])
    assert not explained().may_ask
    for word in ("rule", "resident", "health_authority", "gate", "officers", "console"):
        for language in Language:
            assert f"role.{word}" in sentences(language)


def test_who_looked_is_told_by_role_and_how_often(office: Office, clock: Clock, mother: Actor, me: str) -> None:
    assert office.insight.looked(mother, me) == []
    for who in (LI, LI, WANG):
        clock.at += 60
        office.dossiers.open(who, me)
    found = office.insight.looked(mother, me)
    assert isinstance(found, list)
    assert [(each.role, each.times) for each in found] == [("approver", 1), ("officer", 2)]
    assert found[0].last == pytest.approx(clock(), abs=0.01)


def test_where_the_code_was_read_also_under_the_index_before(office: Office, town: Town, clock: Clock, mother: Actor, me: str) -> None:
    with office.store.write() as tx:
        events.add_unit(tx, "north", "north gate", 0, "hospital")
        events.add_unit(tx, "south", "south gate", 0)
    clock.at += 3600
    read_at(office, town, clock, me, "north", 1)
    clock.at += DAY
    office.registry.revoke(me)
    clock.at += 60
    read_at(office, town, clock, me, "south", 2)
    found = (Reading(clock(), "south", "south gate"), Reading(clock() - DAY - 60, "north", "hospital"))
    assert office.insight.readings(mother, me, town.ring()) == Readings(found, Told.ALL, may_choose=True, shares=False)
    assert office.insight.readings(mother, me, town.ring(), 1) == Readings(found[:1], Told.NEWEST, may_choose=True, shares=False)
    clock.at += 13.5 * DAY
    assert [each.unit for each in rows(office, town, mother, me)] == ["south"]


def test_where_a_grown_up_was_is_told_to_the_family_by_their_own_word_alone(
    office: Office, town: Town, clock: Clock, mother: Actor
) -> None:
    with office.store.write() as tx:
        events.add_unit(tx, "north", "north gate", 0)
    born = {"child": date(2015, 3, 1), "elder": date(1941, 1, 9)}
    who = {}
    for seq, (relation, day) in enumerate(born.items(), 1):
        made = office.households.register(mother, entry(relation, "王家人", number(day, seq)))
        assert isinstance(made, Registered)
        who[relation] = made.resident
        tell(office, made.resident, Reviewed(office.now(), "rule"))
        clock.at += 60
        read_at(office, town, clock, made.resident, "north", seq)
    assert [each.unit for each in rows(office, town, mother, who["child"])] == ["north"]
    assert office.insight.readings(mother, who["elder"], town.ring()) == Readings((), Told.NONE, may_choose=False, shares=False)
    taken = office.insight.take_away(mother, who["elder"], town.ring())
    assert isinstance(taken, dict) and (taken["passes"], taken["passes_told"]) == ([], "none")
    code = office.handovers.offer(mother, who["elder"], Purpose.SELF)
    granny = actor(office, "granny.wang")
    assert isinstance(code, str)
    assert isinstance(office.handovers.accept(granny, code, entry("self", "王家人", number(born["elder"], 2))), Registered)
    code = office.handovers.offer(granny, who["elder"], Purpose.SHARE)
    assert isinstance(code, str)
    assert isinstance(office.handovers.accept(mother, code, entry("elder", "王家人", number(born["elder"], 2))), Registered)
    assert rows(office, town, mother, who["elder"]) == ()
    assert [each.unit for each in rows(office, town, granny, who["elder"])] == ["north"]
    assert isinstance(office.insight.share_places(mother, who["elder"], shares=True), Refused), "nobody says it for another"
    for shares in (True, False):
        assert office.insight.share_places(granny, who["elder"], shares=shares) is None
        assert bool(rows(office, town, mother, who["elder"])) is shares


def test_all_that_is_held_to_take_away(office: Office, town: Town, clock: Clock, mother: Actor, me: str) -> None:
    clock.at += 60
    tell(office, me, Case(clock(), CaseCategory.CONFIRMED, "clinic"))
    office.appeals.ask(mother, me, "我没有病", [])
    with office.store.write() as tx:
        events.add_unit(tx, "north", "north gate", 0)
    read_at(office, town, clock, me, "north", 1)
    office.dossiers.open(LI, me)
    found = office.insight.take_away(mother, me, town.ring())
    assert isinstance(found, dict)
    again = json.loads(json.dumps(found, ensure_ascii=False))
    assert set(again) == {"resident", "made_at", "fields", *HELD}
    assert again["person"]["name"] == "王芳"
    assert [fact["kind"] for fact in again["facts"]] == ["reviewed", "case", "normal_at_gate"]
    assert [ruling["colour"] for ruling in again["rulings"]] == ["pending", "green", "red"]
    assert again["appeals"][0]["words"] == "我没有病"
    assert again["indices"][0]["uri"] == URI
    assert again["passes"][0]["unit"] == "north"
    assert again["passes_told"] == "all"
    assert again["looked"][0]["role"] == "officer"
    assert again["fields"]["facts"]["zh-CN"].startswith("健康信息")
    assert '"li"' not in json.dumps(again)
    assert [each.role for each in office.insight.looked(mother, me)] == ["officer", "resident"]  # type: ignore[union-attr]


def test_a_unit_cannot_invent_where_somebody_was(office: Office, town: Town, clock: Clock, mother: Actor, me: str) -> None:
    with office.store.write() as tx:
        events.add_unit(tx, "north", "north gate", 0)
    clock.at += 60
    elder = office.households.register(mother, entry("elder", "王奶奶", number(sequence=2)))
    assert isinstance(elder, Registered)
    tell(office, elder.resident, Reviewed(clock(), "rule"))
    found, other = office.registry.find(me), office.registry.find(elder.resident)
    assert found is not None and other is not None
    mine, others = (code_of(office, town, clock, each) for each in (found, other))
    person = (found.uri, found.index)
    told = [None, "rubbish", others, mine]
    made = [passed(seq, clock() + seq, code, person) for seq, code in enumerate(told, 1)]
    early = passed(5, clock() - DAY, mine, person)
    assert Intake(office.store, office.registry, town.ring, clock, 3).take([batch("north", [*made, early])]).new == 5
    assert rows(office, town, mother, me) == (Reading(clock() + 4, "north", "north gate"),)


def test_nobody_else_is_told(office: Office, town: Town, me: str) -> None:
    for who in (actor(office, "stranger"), LI, Actor("a", Role.AUDITOR)):
        for ask in (office.insight.explain, office.insight.looked):
            assert isinstance(ask(who, me), Refused)
        for told in (office.insight.readings, office.insight.take_away):
            assert isinstance(told(who, me, town.ring()), Refused)
