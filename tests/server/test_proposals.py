"""Colours set by hand: two officers, reasons from the list, limits, delays: as table and as stories."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from healthcode.terms import Colour, Status
from server import audit
from server.actors import AT_CONSOLE, Actor, Role
from server.audit import Sound
from server.facts import Case, CaseCategory, HandReason
from server.four_eyes import ProposalFault, ProposalState, Refused
from server.office import Office
from server.persons import Person
from server.proposals import Proposal, Turn
from server.registry import Resident
from server.store import audit as audit_rows
from server.store import publication
from tests.server.office import URI, Clock

LI, WANG, ZHAO = Actor("li", Role.OFFICER), Actor("wang", Role.APPROVER), Actor("zhao", Role.APPROVER)
HOUR = 3600.0


def people(office: Office, count: int = 1) -> list[str]:
    found = []
    for number in range(count):
        added = office.registry.add(Person(f"resident {number}"))
        assert isinstance(added, Resident)
        found.append(added.resident)
    return found


def colour(office: Office, resident: str) -> str:
    found = office.registry.find(resident)
    assert found is not None
    return found.word


def made(
    office: Office, who: Actor, residents: Sequence[str], to: Colour = Colour.RED, reason: HandReason = HandReason.CONFIRMED
) -> Proposal:
    found = office.proposals.propose(who, residents, to, reason)
    assert isinstance(found, Proposal), found
    return found


def state(found: Proposal | Refused) -> ProposalState:
    assert isinstance(found, Proposal), found
    return found.state


def fault(found: object) -> ProposalFault:
    assert isinstance(found, Refused), found
    return found.fault


def test_one_proposes_another_approves_and_the_gates_are_told(office: Office, clock: Clock) -> None:
    (who,) = people(office)
    clock.at += 60
    proposal = made(office, LI, [who])
    assert colour(office, who) == "green"
    assert state(office.proposals.approve(WANG, proposal.number)) is ProposalState.IN_FORCE
    assert colour(office, who) == "red"
    with office.store.read() as tx:
        assert [change.status for change in publication.waiting_changes(tx, URI, 10)] == [Status.RED]
        told = [(row.action, row.account) for row in reversed(audit_rows.list_newest(tx, 5))]
        assert isinstance(audit.verify(tx), Sound)
    assert told == [
        ("proposal.made", "li"),
        ("proposal.approved", "wang"),
        ("proposal.in_force", "wang"),
        ("fact", "wang"),
        ("colour", ""),
    ]


def test_the_person_is_told_that_two_officers_did_it_and_no_name(office: Office) -> None:
    (who,) = people(office)
    office.proposals.approve(WANG, made(office, LI, [who]).number)
    found = office.registry.find(who)
    assert found is not None
    assert found.why.values["by"] == "officers"
    assert "li" not in found.why.values.values()


REFUSED = [
    ("a resident", Actor("someone", Role.RESIDENT), ProposalFault.NOT_ALLOWED),
    ("an officer who is no approver", Actor("sun", Role.OFFICER), ProposalFault.NOT_ALLOWED),
    ("an operator", Actor("qian", Role.OPERATOR), ProposalFault.NOT_ALLOWED),
    ("an auditor", Actor("zhou", Role.AUDITOR), ProposalFault.NOT_ALLOWED),
    ("who proposed it", Actor("wang", Role.APPROVER), ProposalFault.OWN),
]


@pytest.mark.parametrize(("who", "why"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_who_cannot_approve(office: Office, who: Actor, why: ProposalFault) -> None:
    (resident,) = people(office)
    proposal = made(office, WANG, [resident])
    assert fault(office.proposals.approve(who, proposal.number)) is why
    assert colour(office, resident) == "green"
    assert state(office.proposals.approve(ZHAO, proposal.number)) is ProposalState.IN_FORCE


NOT_MADE = [
    ("a reason that does not fit", LI, ["x"], Colour.RED, HandReason.CLOSE_CONTACT, ProposalFault.REASON_DOES_NOT_FIT),
    ("nobody", LI, [], Colour.RED, HandReason.CONFIRMED, ProposalFault.NOBODY),
    ("a stranger", LI, ["stranger"], Colour.RED, HandReason.CONFIRMED, ProposalFault.NO_SUCH_RESIDENT),
    ("by a resident", Actor("me", Role.RESIDENT), ["x"], Colour.GREEN, HandReason.CORRECTION, ProposalFault.NOT_ALLOWED),
    ("51 people", LI, [str(n) for n in range(51)], Colour.RED, HandReason.CONFIRMED, ProposalFault.TOO_MANY),
]


@pytest.mark.parametrize(("who", "residents", "to", "reason", "why"), [case[1:] for case in NOT_MADE], ids=[case[0] for case in NOT_MADE])
def test_what_is_no_proposal(office: Office, who: Actor, residents: list[str], to: Colour, reason: HandReason, why: ProposalFault) -> None:
    assert fault(office.proposals.propose(who, residents, to, reason)) is why
    assert fault(office.proposals.preview(who, residents, to, reason)) is why


def test_many_at_once_are_foreseen_wait_a_day_and_can_be_revoked(office: Office, clock: Clock) -> None:
    everybody = people(office, 3)
    office.proposals.approve(WANG, made(office, LI, everybody[:1]).number)
    clock.at += 60
    preview = office.proposals.preview(LI, everybody, Colour.RED, HandReason.SUSPECTED)
    assert not isinstance(preview, Refused)
    assert (preview.people, preview.changed, preview.delay_s) == (3, 2, 24 * HOUR)
    assert preview.turns == (Turn("green", "red", 2), Turn("red", "red", 1))
    proposal = made(office, LI, everybody, reason=HandReason.SUSPECTED)
    assert state(office.proposals.approve(WANG, proposal.number)) is ProposalState.APPROVED
    clock.at += 24 * HOUR - 1
    assert not office.proposals.step()
    assert [colour(office, who) for who in everybody] == ["red", "green", "green"]
    assert state(office.proposals.revoke(ZHAO, proposal.number)) is ProposalState.REVOKED
    clock.at += 2
    assert not office.proposals.step()
    assert [colour(office, who) for who in everybody] == ["red", "green", "green"]
    again = made(office, LI, everybody, reason=HandReason.SUSPECTED)
    office.proposals.approve(ZHAO, again.number)
    clock.at += 24 * HOUR
    assert office.proposals.step()
    assert not office.proposals.step()
    assert [colour(office, who) for who in everybody] == ["red", "red", "red"]
    assert fault(office.proposals.revoke(ZHAO, again.number)) is ProposalFault.DECIDED


def test_a_crowd_is_not_cut_into_many_proposals(office: Office, clock: Clock) -> None:
    everybody = people(office, 32)
    clock.at += 60
    made(office, LI, everybody[:2])
    assert fault(office.proposals.propose(LI, everybody[2:4], Colour.RED, HandReason.CONFIRMED)) is ProposalFault.TOO_MANY_TODAY
    for who in everybody[:30]:
        made(office, LI, [who])
    assert fault(office.proposals.propose(LI, [everybody[30]], Colour.RED, HandReason.CONFIRMED)) is ProposalFault.TOO_MANY_TODAY
    made(office, ZHAO, [everybody[30]])
    clock.at += 24 * HOUR
    made(office, LI, [everybody[31]])


def test_what_nobody_decides_ends_by_itself(office: Office, clock: Clock) -> None:
    (who,) = people(office)
    clock.at += 60
    proposal = made(office, LI, [who])
    clock.at += 72 * HOUR
    assert fault(office.proposals.approve(WANG, proposal.number)) is ProposalFault.DECIDED
    assert office.proposals.step()
    (found,) = listed(office)
    assert found.state is ProposalState.EXPIRED
    assert colour(office, who) != "red"


def listed(office: Office) -> list[Proposal]:
    found = office.proposals.list_newest(LI)
    assert not isinstance(found, Refused)
    return found


def test_withdrawn_by_who_made_it_refused_by_another(office: Office) -> None:
    (who,) = people(office)
    first, second = made(office, LI, [who]), made(office, LI, [who])
    assert fault(office.proposals.withdraw(WANG, first.number)) is ProposalFault.NOT_OWN
    assert fault(office.proposals.refuse(LI, first.number)) is ProposalFault.OWN
    assert state(office.proposals.withdraw(LI, first.number)) is ProposalState.WITHDRAWN
    assert state(office.proposals.refuse(WANG, second.number)) is ProposalState.REFUSED
    for number in (first.number, second.number):
        assert fault(office.proposals.approve(ZHAO, number)) is ProposalFault.DECIDED
    assert fault(office.proposals.approve(ZHAO, 99)) is ProposalFault.NO_SUCH_PROPOSAL
    assert [found.state for found in listed(office)] == [ProposalState.REFUSED, ProposalState.WITHDRAWN]


def test_what_became_known_between_proposal_and_approval_counts_on(office: Office, clock: Clock) -> None:
    (who,) = people(office)
    clock.at += HOUR
    proposal = made(office, LI, [who], Colour.GREEN, HandReason.CORRECTION)
    clock.at += HOUR
    with office.store.write() as tx:
        office.registry.record(tx, who, Case(clock() - 2 * HOUR, CaseCategory.CONFIRMED, "clinic"), clock(), AT_CONSOLE)
    clock.at += HOUR
    office.proposals.approve(WANG, proposal.number)
    assert colour(office, who) == "red"


def test_whoever_looks_at_a_proposal_is_in_the_log(office: Office) -> None:
    (who,) = people(office)
    proposal = made(office, LI, [who])
    found = office.proposals.look(WANG, proposal.number)
    assert not isinstance(found, Refused)
    assert found[1] == [who]
    assert fault(office.proposals.look(Actor("me", Role.RESIDENT), proposal.number)) is ProposalFault.NOT_ALLOWED
    with office.store.read() as tx:
        (row,) = audit_rows.list_newest(tx, 5, subject=f"resident/{who}", action="resident.viewed")
    assert (row.account, row.role) == ("wang", "approver")
