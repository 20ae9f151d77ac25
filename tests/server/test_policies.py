"""Other rules by two people: tried, proposed, approved, in force after the delay; and never by one alone."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI

from server.actors import Actor, Role
from server.audit import Action
from server.four_eyes import ProposalFault, ProposalState, Refused
from server.office import Office, open_office
from server.policies import Policies, PolicyReason, PolicyState, Proposed
from server.policy import DEFAULT, Policy, PolicyError, RecordRules
from server.store import audit as log
from server.trial import Trial, try_policy
from tests.server.desk_house import SECOND_APPROVER, hire, sit_down, wait_for
from tests.server.office import CAPACITY, Clock, Town
from tests.server.web import Browser, make_app, quick
from tests.server.web_people import declare, join

HOUR, DAY = 3600.0, 86_400.0
OPERATOR, APPROVER, OTHER = Actor("op", Role.OPERATOR), Actor("wu", Role.APPROVER), Actor("tang", Role.APPROVER)
OFFICER, AUDITOR = Actor("li", Role.OFFICER), Actor("xu", Role.AUDITOR)
STRICT = Policy(version=2, name="strict", record=RecordRules(lapse_days=1))


@pytest.fixture
def book(office: Office) -> Policies:
    return office.policies


def propose(office: Office, who: Actor = OPERATOR, policy: Policy = STRICT, ahead_s: float = 0.0) -> Proposed:
    total = Trial()
    for part in try_policy(office.store, policy, office.now()):
        total.add(part)
    made = office.policies.propose(who, policy, total, PolicyReason.COURSE, office.now() + ahead_s)
    assert isinstance(made, Proposed), made
    return made


def in_force(office: Office) -> Policy:
    with office.store.read() as tx:
        return office.registry.rulings.policy(tx)


def fault(outcome: object) -> ProposalFault:
    assert isinstance(outcome, Refused), outcome
    return outcome.fault


def logged(office: Office, version: int = 2) -> list[tuple[str, str]]:
    with office.store.read() as tx:
        return [(row.action, row.account) for row in reversed(log.list_newest(tx, 20, subject=f"policy/{version}"))]


def test_rules_come_in_force_by_two_people_after_the_delay(office: Office, book: Policies, clock: Clock) -> None:
    made = propose(office)
    assert (made.state, made.by) == (PolicyState.OPEN, OPERATOR)
    clock.at += HOUR
    approved = book.approve(APPROVER, made.number)
    assert isinstance(approved, Proposed) and approved.force == pytest.approx(clock() + 24 * HOUR, abs=0.01)
    clock.at += 24 * HOUR - 1
    office.chores()
    assert in_force(office) == DEFAULT
    clock.at += 2
    office.chores()
    assert in_force(office) == STRICT
    assert [each.state for each in book.list_newest(5)] == [PolicyState.IN_FORCE]
    assert logged(office) == [("policy.proposed", "op"), ("policy.approved", "wu"), ("policy", "wu")]


def test_nobody_alone_and_not_every_role(office: Office, book: Policies) -> None:
    for who in (OFFICER, AUDITOR, Actor("x", Role.RESIDENT)):
        assert fault(book.propose(who, STRICT, Trial(), PolicyReason.ORDER, 0.0)) is ProposalFault.NOT_ALLOWED
    number = propose(office, APPROVER).number
    assert fault(book.approve(APPROVER, number)) is ProposalFault.OWN
    assert fault(book.refuse(APPROVER, number)) is ProposalFault.OWN
    for who in (OPERATOR, OFFICER, AUDITOR):
        assert fault(book.approve(who, number)) is ProposalFault.NOT_ALLOWED
    assert fault(book.withdraw(OTHER, number)) is ProposalFault.NOT_OWN
    assert fault(book.approve(OTHER, 99)) is ProposalFault.NO_SUCH_PROPOSAL
    assert isinstance(book.approve(OTHER, number), Proposed)
    assert fault(book.approve(OTHER, number)) is ProposalFault.DECIDED


@pytest.mark.parametrize(
    ("way", "state", "action"),
    [
        ("refuse", PolicyState.REFUSED, Action.POLICY_REFUSED),
        ("withdraw", PolicyState.WITHDRAWN, Action.POLICY_WITHDRAWN),
        ("revoke", PolicyState.REVOKED, Action.POLICY_REVOKED),
        ("wait", PolicyState.EXPIRED, Action.POLICY_EXPIRED),
    ],
)
def test_what_does_not_come_in_force(office: Office, book: Policies, clock: Clock, way: str, state: PolicyState, action: Action) -> None:
    number = propose(office).number
    match way:
        case "refuse":
            book.refuse(APPROVER, number)
        case "withdraw":
            book.withdraw(OPERATOR, number)
        case "revoke":
            book.approve(APPROVER, number)
            book.revoke(OTHER, number)
        case _:
            clock.at += 72 * HOUR
            assert fault(book.approve(APPROVER, number)) is ProposalFault.DECIDED
    clock.at += 10 * DAY
    office.chores()
    found = book.find(number)
    assert found is not None and found.state is state
    assert in_force(office) == DEFAULT
    assert logged(office)[-1][0] == action.value


def test_a_time_can_be_asked_for_and_the_newest_version_wins(office: Office, book: Policies, clock: Clock) -> None:
    late, early = propose(office, ahead_s=10 * DAY), propose(office, policy=Policy(version=3))
    for each in (late, early):
        book.approve(APPROVER, each.number)
    clock.at += 2 * DAY
    office.chores()
    assert in_force(office).version == 3
    clock.at += 9 * DAY
    office.chores()
    assert [each.state for each in book.list_newest(5)] == [PolicyState.IN_FORCE, PolicyState.OVERTAKEN]
    assert in_force(office).version == 3
    assert isinstance(book.propose(OPERATOR, STRICT, Trial(), PolicyReason.ORDER, 0.0), PolicyError)


def test_a_configuration_with_older_rules_does_not_take_them_back(town: Town, office: Office, book: Policies, clock: Clock) -> None:
    book.approve(APPROVER, propose(office).number)
    clock.at += 25 * HOUR
    office.chores()
    again = open_office(town.config(), clock, CAPACITY)
    assert in_force(again) == STRICT
    again.store.close()


def test_the_desk_tries_proposes_and_approves(town: Town, office: Office, clock: Clock) -> None:
    quickly = quick(office, clock)
    hire(quickly)
    app: FastAPI = make_app(town, quickly)
    resident = Browser(app)
    resident.register()
    declare(resident, join(resident, "张三丰", "19800101"))
    clock.at += 2 * DAY
    operator = sit_down(app, Role.OPERATOR)
    job = operator.post("/desk/policy", {"policy": "version = 2\nname = 'strict'\n[record]\nlapse_days = 1\n"}).url.path
    assert "at least 24 h after that" in wait_for(operator, job)
    wrong = operator.post(job, {"reason": "", "from": "tomorrow"})
    assert wrong.status_code == 422
    assert "Choose a reason" in wrong.text and "Enter a date and a time" in wrong.text
    made = operator.post(job, {"reason": "course", "from": ""})
    path = made.url.path
    assert re.fullmatch(r"/desk/policy/proposals/\d+", path)
    assert 'value="withdraw"' in made.text and 'value="approve"' not in made.text
    for role in (Role.OFFICER, Role.AUDITOR):
        assert "1 of 1 people would have changed colour" in sit_down(app, role).get(path).text
    approver = sit_down(app, Role.APPROVER)
    assert "<code>record.lapse_days</code>" in approver.get(path).text
    assert "approved, delay runs" in approver.post(path, {"do": "approve"}).text
    assert "undone within the delay" in sit_down(app, Role.APPROVER, SECOND_APPROVER).post(path, {"do": "revoke"}).text
    assert "waits no more: it is undone within the delay" in approver.post(path, {"do": "revoke"}, "/password").text
    assert "strict" in sit_down(app, Role.OFFICER).get("/desk/policy").text


def test_the_words_of_a_proposal_of_rules_are_those_of_any_proposal_and_one_more() -> None:
    assert {*PolicyState} - {*ProposalState} == {PolicyState.OVERTAKEN}
    assert {*ProposalState} < {*PolicyState}
