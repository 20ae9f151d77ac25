"""Requests for conversion: what may be asked and attached, who answers, what follows, and the deadline."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from healthcode.terms import Colour
from server.actors import AT_CONSOLE, Actor, Role
from server.appeals import MOST_PAPER_BYTES, Answer, Appeal, AppealFault, Refused
from server.charges import Refused as NotYours
from server.charges import Registered
from server.facts import Case, CaseCategory, CloseContact, Fact, HandReason, Reviewed
from server.four_eyes import ProposalState
from server.office import Office
from server.proposals import Proposal
from server.sentences import Language, sentences
from server.store import audit as log
from server.store import events
from tests.server.family import actor, entry, number
from tests.server.office import Clock, Town

DAY = 86_400.0
JPEG, PNG, PDF = b"\xff\xd8\xff\xe0 a photo", b"\x89PNG\r\n\x1a\n a picture", b"%PDF-1.7 a document"
LI, WANG, ZHAO = Actor("li", Role.OFFICER), Actor("wang", Role.APPROVER), Actor("zhao", Role.OFFICER)


@pytest.fixture
def mother(office: Office) -> Actor:
    return actor(office, "mother.wang")


@pytest.fixture
def me(office: Office, mother: Actor) -> str:
    """A resident who was reviewed, and is green."""
    found = office.households.register(mother, entry("self", "王芳", number()))
    assert isinstance(found, Registered)
    tell(office, found.resident, Reviewed(office.now(), "rule"))
    return found.resident


def tell(office: Office, resident: str, *facts: Fact) -> None:
    with office.store.write() as tx:
        office.registry.record_many(tx, [(resident, fact) for fact in facts], office.now(), AT_CONSOLE)


def colour(office: Office, resident: str) -> Colour | None:
    found = office.registry.find(resident)
    assert found is not None
    return found.colour


def asked(office: Office, who: Actor, resident: str, *papers: bytes) -> Appeal:
    found = office.appeals.ask(who, resident, "我已出院", papers)
    assert isinstance(found, Appeal), found
    return found


def fault(found: object) -> AppealFault:
    assert isinstance(found, Refused), found
    return found.fault


def test_papers_come_a_case_ends_and_the_rules_do_the_rest(office: Office, clock: Clock, mother: Actor, me: str) -> None:
    clock.at += DAY
    tell(office, me, Case(clock() - 20 * DAY, CaseCategory.CONFIRMED, "clinic"))
    assert colour(office, me) is Colour.RED
    clock.at += 60
    request = asked(office, mother, me, JPEG, PDF)
    assert [(paper.kind, paper.size) for paper in request.papers] == [("jpeg", len(JPEG)), ("pdf", len(PDF))]
    assert request.due == pytest.approx(clock() + 48 * 3600)
    queue = office.appeals.queue(LI)
    assert isinstance(queue, list)
    assert [(each.number, each.words, each.is_overdue) for each in queue] == [(request.number, "我已出院", False)]
    assert office.appeals.paper(LI, request.number, 2) == ("application/pdf", PDF)
    answered = office.appeals.decide(LI, request.number, Answer.DISCHARGED, happened=clock() - 15 * DAY)
    assert isinstance(answered, Appeal)
    assert colour(office, me) is Colour.YELLOW, "red for 14 days from the discharge, then yellow"
    own = office.appeals.own(mother, me)
    assert isinstance(own, list)
    assert [(each.answer, each.decided_by) for each in own] == [(Answer.DISCHARGED, "officer")]
    assert "li" not in repr(own[0]).replace("'li", "").split()
    assert office.appeals.queue(LI) == []
    with office.store.read() as tx:
        told = [(row.action, row.account) for row in log.list_newest(tx, 50, subject=f"resident/{me}") if row.action.startswith("appeal")]
    assert told == [("appeal.answered", "li"), ("appeal.paper_read", "li"), ("appeal.made", mother.account)]


AGREED = [
    (Answer.RULED_OUT, Case(0, CaseCategory.SUSPECTED, "clinic"), Colour.RED),
    (Answer.CONTACT_CLEARED, CloseContact(0, "clinic"), Colour.GREEN),
    (Answer.TEST_NEGATIVE, CloseContact(0, "clinic"), Colour.YELLOW),
    (Answer.ISOLATION_ENDED, CloseContact(0, "clinic"), Colour.YELLOW),
    (Answer.PAPERS_UNREADABLE, CloseContact(0, "clinic"), Colour.YELLOW),
    (Answer.DATA_STAND, Case(0, CaseCategory.FEVER, "clinic"), Colour.RED),
]


@pytest.mark.parametrize(("answer", "fact", "after"), AGREED, ids=[str(case[0]) for case in AGREED])
def test_what_follows_from_an_answer(
    office: Office, clock: Clock, mother: Actor, me: str, answer: Answer, fact: Case | CloseContact, after: Colour
) -> None:
    clock.at += DAY
    told = Case(clock(), fact.category, fact.source) if isinstance(fact, Case) else CloseContact(clock(), fact.source)
    tell(office, me, told)
    clock.at += 3600
    request = asked(office, mother, me)
    clock.at += 3600
    office.appeals.decide(ZHAO, request.number, answer)
    assert colour(office, me) is after
    for language in Language:
        assert f"appeal.answer.{answer.value}" in sentences(language)


def test_who_set_the_colour_does_not_answer_and_a_correction_needs_a_second_officer(
    office: Office, clock: Clock, mother: Actor, me: str
) -> None:
    clock.at += 60
    made = office.proposals.propose(LI, [me], Colour.RED, HandReason.SUSPECTED)
    assert isinstance(made, Proposal)
    office.proposals.approve(WANG, made.number)
    clock.at += 60
    request = asked(office, mother, me)
    for setter in (LI, WANG):
        assert fault(office.appeals.decide(setter, request.number, Answer.CORRECTION)) is AppealFault.SET_IT_THEMSELVES
    assert isinstance(office.appeals.decide(ZHAO, request.number, Answer.CORRECTION), Appeal)
    assert colour(office, me) is Colour.RED
    (waiting, _) = office.proposals.list_newest(ZHAO)  # type: ignore[misc]
    assert (waiting.appeal, waiting.colour, waiting.state) == (request.number, Colour.GREEN, ProposalState.OPEN)
    office.proposals.approve(WANG, waiting.number)
    assert colour(office, me) is Colour.GREEN


def test_48_hours_and_the_alert(office: Office, clock: Clock, mother: Actor, me: str) -> None:
    tell(office, me, CloseContact(clock(), "clinic"))
    asked(office, mother, me)
    clock.at += 48 * 3600 - 1
    office.chores()
    assert alerts(office) == []
    clock.at += 60
    office.chores()
    (waiting,) = office.appeals.queue(LI)  # type: ignore[misc]
    assert waiting.is_overdue
    assert alerts(office) == [("appeals_overdue", 1, "requests for conversion: 1 wait beyond 48 hours, the longest since 0 h")]
    clock.at += 60
    office.chores()
    assert alerts(office)[0][1] == 1, "told once, not each minute"
    office.appeals.decide(LI, waiting.number, Answer.PERIOD_RUNS)
    office.chores()
    assert len(alerts(office)) == 1
    clock.at += 60
    office.chores()
    assert alerts(office) == [], "answered: nobody need look any more"


def test_an_alert_of_before_a_restart_ends_too(office: Office, town: Town, clock: Clock, mother: Actor, me: str) -> None:
    tell(office, me, CloseContact(clock(), "clinic"))
    request = asked(office, mother, me)
    clock.at += 49 * 3600
    office.chores()
    assert [name for name, *_ in alerts(office)] == ["appeals_overdue"]
    later = town.open(clock)
    later.appeals.decide(LI, request.number, Answer.PERIOD_RUNS)
    later.chores()
    assert alerts(office) == []
    later.store.close()


def alerts(office: Office) -> list[tuple[str, int, str]]:
    """(name, times, detail) of every alert."""
    with office.store.read() as tx:
        return [(name, times, detail) for name, _, times, detail in events.list_alerts(tx)]


NOT_TAKEN = [
    ("no words", " \n", [], AppealFault.NO_WORDS),
    ("too many words", "长" * 1001, [], AppealFault.TOO_LONG),
    ("six papers", "x", [PNG] * 6, AppealFault.TOO_MANY_PAPERS),
    ("a paper too large", "x", [JPEG + bytes(MOST_PAPER_BYTES)], AppealFault.PAPER_TOO_LARGE),
    ("a page of the web", "x", [b"<html><script>"], AppealFault.PAPER_OF_WHAT),
    ("a program", "x", [PNG, b"MZ\x90\x00"], AppealFault.PAPER_OF_WHAT),
    ("a vector picture", "x", [b"<svg xmlns="], AppealFault.PAPER_OF_WHAT),
    ("an empty file", "x", [b""], AppealFault.PAPER_OF_WHAT),
]


@pytest.mark.parametrize(("words", "papers", "why"), [case[1:] for case in NOT_TAKEN], ids=[case[0] for case in NOT_TAKEN])
def test_what_is_not_taken(office: Office, mother: Actor, me: str, words: str, papers: list[bytes], why: AppealFault) -> None:
    tell(office, me, CloseContact(office.now(), "clinic"))
    found = office.appeals.ask(mother, me, words, papers)
    assert fault(found) is why
    assert isinstance(found, Refused)
    for language in Language:
        assert sentences(language)[found.key].format_map(found.params)
    assert office.appeals.own(mother, me) == []


def test_who_may_ask_and_see(office: Office, mother: Actor, me: str) -> None:
    assert fault(office.appeals.ask(mother, me, "x", [])) is AppealFault.NOTHING_TO_CONVERT
    tell(office, me, CloseContact(office.now(), "clinic"))
    stranger = actor(office, "stranger")
    assert isinstance(office.appeals.ask(stranger, me, "x", []), NotYours)
    request = asked(office, mother, me, PNG)
    assert fault(office.appeals.ask(mother, me, "x", [])) is AppealFault.ONE_WAITS
    assert isinstance(office.appeals.own(stranger, me), NotYours)
    for nobody in (mother, stranger, Actor("a", Role.AUDITOR), Actor("o", Role.OPERATOR)):
        assert fault(office.appeals.queue(nobody)) is AppealFault.NOT_ALLOWED
        assert fault(office.appeals.look(nobody, request.number)) is AppealFault.NOT_ALLOWED
        assert fault(office.appeals.paper(nobody, request.number, 1)) is AppealFault.NOT_ALLOWED
        assert fault(office.appeals.decide(nobody, request.number, Answer.RULED_OUT)) is AppealFault.NOT_ALLOWED
    assert fault(office.appeals.paper(LI, request.number, 2)) is AppealFault.NO_SUCH_APPEAL
    assert fault(office.appeals.decide(LI, request.number, Answer.RULED_OUT, happened=office.now() + 60)) is AppealFault.NOT_IN_THE_PAST


def test_nothing_of_it_is_in_clear_on_the_disk(office: Office, mother: Actor, me: str) -> None:
    tell(office, me, CloseContact(office.now(), "clinic"))
    asked(office, mother, me, PDF + b"discharge of a person")
    with office.store.read() as tx:
        stored = b"".join(
            bytes(row[0]) for row in tx.execute(text("SELECT sealed FROM appeals UNION ALL SELECT sealed FROM appeal_papers"))
        )
    assert b"PDF" not in stored
    assert "出院".encode() not in stored
