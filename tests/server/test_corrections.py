"""Numbers put right by two people: what is no correction, what one does, who may, and what it leaves behind. Tables and stories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from healthcode.terms import Colour, Status
from server import audit
from server.actors import AT_CONSOLE, Actor, Role
from server.app_people import Person as AppPerson
from server.app_people import State
from server.apps import Credentials, Scope
from server.audit import Sound
from server.charges import ClaimWaits, HouseholdFault, Registered
from server.charges import Refused as NotDone
from server.checkins import ReportKind, Taken
from server.corrections import NumberReason, Outlook
from server.enrolment import Relation
from server.facts import CloseContact, HandReason
from server.faults import Faults
from server.four_eyes import ProposalFault, ProposalState, Refused
from server.identity import day_of, mask_number
from server.office import Office
from server.persons import Person, read_person
from server.proposals import Preview, Proposal
from server.registry import Resident
from server.reviews import ReviewKind
from server.store import audit as audit_rows
from server.store import epidemic, households, proposals, publication, to_ms
from server.store.epidemic import StagedFact
from server.store.reviews import ReviewRow
from tests.server.family import PASSWORD, actor, entry, number, put_right
from tests.server.office import URI, Clock, set_colour

LI, SUN = Actor("li", Role.OFFICER), Actor("sun", Role.OFFICER)
WANG, ZHAO = Actor("wang", Role.APPROVER), Actor("zhao", Role.APPROVER)
WRONG, RIGHT, OTHERS = number(sequence=41), number(sequence=14), number(sequence=77)
HOUR = 3600.0


def citizen(typed: str) -> dict[str, str]:
    return {"paper": "citizen", "number": typed}


def add(office: Office, typed: str = WRONG) -> str:
    made = office.registry.add(Person("居民甲", typed))
    assert isinstance(made, Resident), made
    return made.resident


def register(office: Office, who: Actor, typed: str, relation: str = "self") -> str:
    made = office.households.register(who, entry(relation, typed=typed))
    assert isinstance(made, Registered), made
    return made.resident


def proposed(office: Office, resident: str, typed: str = RIGHT, who: Actor = LI) -> Proposal:
    made = office.number_proposals.propose(who, resident, citizen(typed), NumberReason.MISTYPED)
    assert isinstance(made, Proposal), made
    return made


def foreseen(office: Office, resident: str, typed: str = RIGHT) -> Outlook:
    found = office.number_proposals.preview(LI, resident, citizen(typed))
    assert isinstance(found, Preview) and found.number is not None, found
    return found.number


def state(found: object) -> ProposalState:
    assert isinstance(found, Proposal), found
    return found.state


def fault(found: object) -> ProposalFault:
    assert isinstance(found, Refused), found
    return found.fault


def known(office: Office, resident: str) -> Person:
    with office.store.read() as tx:
        person = read_person(tx, office.seal, resident)
    assert person is not None
    return person


def colour(office: Office, resident: str) -> str:
    found = office.registry.find(resident)
    assert found is not None
    return found.word


def say_contact(office: Office, clock: Clock, *numbers: str) -> int:
    """An import in force that names these as close contacts of yesterday, and its rulings; its number."""
    with office.store.write() as tx:
        fact = CloseContact(clock() - 86_400, "CDC")
        told = epidemic.insert_import(tx, "close_contact", "contacts.csv", "CDC", "test", to_ms(clock()))
        body = f'{{"at":{fact.at},"source":"CDC"}}'
        hashes = [office.seal.fingerprint(each) for each in numbers]
        epidemic.stage(tx, told, [StagedFact(each, b"contact %d" % told, "close_contact", to_ms(fact.at), body) for each in hashes])
        epidemic.put_in_force(tx, told, to_ms(clock()))
    while office.epidemic.rule_waiting(100):
        pass
    return told


def waiting(office: Office, *kinds: ReviewKind) -> list[ReviewRow]:
    found = office.reviews.waiting(LI)
    assert isinstance(found, list)
    return [row for row in found if not kinds or row.kind in kinds]


class Wrong(NamedTuple):
    what: str
    typed: dict[str, str]
    field: str
    key: str


NO_NUMBER = [
    Wrong("the check character", citizen(RIGHT[:17] + ("0" if RIGHT[17] != "0" else "1")), "number", "identity.checksum"),
    Wrong("a digit changed within", citizen(RIGHT[:15] + "9" + RIGHT[16:]), "number", "identity.checksum"),
    Wrong("17 characters", citizen(RIGHT[:17]), "number", "identity.length"),
    Wrong("a day that there is not", citizen(RIGHT[:10] + "0231" + RIGHT[14:]), "number", "identity.date"),
    Wrong("a province that there is not", citizen("99" + RIGHT[2:]), "number", "identity.region"),
    Wrong("nothing", citizen(""), "number", "identity.empty"),
    Wrong("no kind of paper", {"number": RIGHT}, "paper", "paper.missing"),
    Wrong("a passport of nowhere", {"paper": "passport", "number": "E1234567", "born": "1980-05-01"}, "state", "identity.state"),
    Wrong("a passport without a date of birth", {"paper": "passport", "number": "E1234567", "state": "GBR"}, "born", "born.missing"),
]


def test_what_can_be_nobodys_number_is_named_beside_its_field(office: Office) -> None:
    resident = add(office)
    for case in NO_NUMBER:
        seen = office.number_proposals.preview(LI, resident, case.typed)
        made = office.number_proposals.propose(LI, resident, case.typed, NumberReason.MISTYPED)
        assert isinstance(seen, Faults) and seen == made, case.what
        assert (case.what, seen.by_field[case.field].key) == (case.what, case.key)
    assert known(office, resident).number == WRONG


NOT_MADE = [
    ("the number that it is", LI, "", WRONG, ProposalFault.NUMBER_SAME),
    ("somebody else's", LI, "", OTHERS, ProposalFault.NUMBER_KNOWN),
    ("of nobody", LI, "nobody22", RIGHT, ProposalFault.NO_SUCH_RESIDENT),
    ("by a resident", Actor("me", Role.RESIDENT), "", RIGHT, ProposalFault.NOT_ALLOWED),
    ("by an operator", Actor("qian", Role.OPERATOR), "", RIGHT, ProposalFault.NOT_ALLOWED),
    ("by an auditor", Actor("zhou", Role.AUDITOR), "", RIGHT, ProposalFault.NOT_ALLOWED),
]


def test_what_is_no_correction(office: Office) -> None:
    resident = add(office)
    add(office, OTHERS)
    for what, who, of, typed, why in NOT_MADE:
        seen = office.number_proposals.preview(who, of or resident, citizen(typed))
        made = office.number_proposals.propose(who, of or resident, citizen(typed), NumberReason.MISTYPED)
        assert (what, fault(seen), fault(made)) == (what, why, why)
    assert office.proposals.list_newest(LI) == []


def test_whose_a_number_is_already_is_not_told_and_the_log_says_that_it_was_sought(office: Office) -> None:
    resident, other = add(office), add(office, OTHERS)
    outcome = office.number_proposals.preview(LI, resident, citizen(OTHERS))
    assert isinstance(outcome, Refused) and not outcome.params
    office.number_proposals.preview(LI, resident, citizen(RIGHT))
    with office.store.read() as tx:
        sought = [(row.subject, row.detail) for row in audit_rows.list_newest(tx, 9, action="residents.listed")]
    assert sought == [("residents/sought", '{"found":0}'), (f"resident/{other}", '{"found":1}')]


def test_one_proposes_another_agrees_and_the_person_has_the_number_and_the_same_code(office: Office, clock: Clock) -> None:
    resident = add(office)
    before = office.registry.find(resident)
    clock.at += HOUR
    made = proposed(office, resident)
    assert (made.colour, made.reason, made.state) == (None, NumberReason.MISTYPED, ProposalState.OPEN)
    assert known(office, resident).number == WRONG, "nothing is done yet"
    assert state(office.proposals.approve(WANG, made.number)) is ProposalState.IN_FORCE
    assert (known(office, resident).number, known(office, resident).name) == (RIGHT, "居民甲")
    after = office.registry.find(resident)
    assert before is not None and after is not None
    assert (after.uri, after.index, after.ruled_at) == (before.uri, before.index, before.ruled_at), "codes go on"
    with office.store.read() as tx:
        assert publication.waiting_changes(tx, URI, 10) == []
    again = office.registry.add(Person("居民乙", WRONG))
    assert isinstance(again, Resident) and again.resident != resident, "the old number is free"
    refused = office.registry.add(Person("居民丙", RIGHT))
    assert not isinstance(refused, Resident), "the new one is not"


def test_the_log_tells_of_it_without_any_number(office: Office) -> None:
    resident = add(office)
    made = proposed(office, resident)
    office.proposals.look(WANG, made.number, shows=True)
    office.proposals.approve(WANG, made.number)
    with office.store.read() as tx:
        rows = list(reversed(audit_rows.list_newest(tx, 100)))
        assert isinstance(audit.verify(tx), Sound)
    told = [(row.action, row.account, row.subject, row.detail) for row in rows if row.action in WANTED]
    about, proposal = f"resident/{resident}", f"proposal/{made.number}"
    assert told == [
        ("number.proposed", "li", proposal, '{"kind":"number","reason":"mistyped"}'),
        ("number.proposed", "li", about, f'{{"proposal":{made.number}}}'),
        ("proposal.approved", "wang", proposal, '{"delay_s":0}'),
        ("proposal.in_force", "wang", proposal, '{"residents":1}'),
        ("resident.identity", "wang", about, f'{{"proposal":{made.number},"reason":"mistyped"}}'),
    ]
    assert not any(word in str(row.said) for row in rows for word in (WRONG, RIGHT, WRONG[6:14], mask_number(RIGHT)))
    assert any(row.action == "resident.viewed" and '"name":"shown"' in row.detail for row in rows)


WANTED = {"number.proposed", "proposal.approved", "proposal.in_force", "resident.identity"}

NOBODY = [
    ("a resident", Actor("someone", Role.RESIDENT), ProposalFault.NOT_ALLOWED),
    ("an officer who is no approver", SUN, ProposalFault.NOT_ALLOWED),
    ("an auditor", Actor("zhou", Role.AUDITOR), ProposalFault.NOT_ALLOWED),
    ("who proposed it", WANG, ProposalFault.OWN),
]


def test_who_cannot_agree(office: Office) -> None:
    resident = add(office)
    made = proposed(office, resident, who=WANG)
    for what, who, why in NOBODY:
        assert (what, fault(office.proposals.approve(who, made.number))) == (what, why)
    assert known(office, resident).number == WRONG
    assert state(office.proposals.approve(ZHAO, made.number)) is ProposalState.IN_FORCE


def end_by_refusal(office: Office, number_: int, _: Clock) -> None:
    assert state(office.proposals.refuse(WANG, number_)) is ProposalState.REFUSED


def end_by_withdrawal(office: Office, number_: int, _: Clock) -> None:
    assert state(office.proposals.withdraw(LI, number_)) is ProposalState.WITHDRAWN


def end_by_time(office: Office, number_: int, clock: Clock) -> None:
    clock.at += 72 * HOUR + 1
    assert fault(office.proposals.approve(WANG, number_)) is ProposalFault.DECIDED
    found = office.proposals.look(LI, number_)
    assert not isinstance(found, Refused)
    assert foreseen(office, found[1][0]).new.number == RIGHT, "what is over keeps nobody waiting"
    assert office.proposals.step()


def end_by_agreement(office: Office, number_: int, _: Clock) -> None:
    assert state(office.proposals.approve(WANG, number_)) is ProposalState.IN_FORCE


ENDS: list[tuple[Callable[[Office, int, Clock], None], str]] = [
    (end_by_refusal, WRONG),
    (end_by_withdrawal, WRONG),
    (end_by_time, WRONG),
    (end_by_agreement, RIGHT),
]


def test_one_number_waits_for_a_person_and_is_forgotten_when_it_is_decided(office: Office, clock: Clock) -> None:
    resident = add(office)
    for end, left in ENDS:
        first = proposed(office, resident)
        second = office.number_proposals.propose(SUN, resident, citizen(OTHERS), NumberReason.REISSUED)
        assert isinstance(second, Refused)
        assert (second.fault, second.params) == (ProposalFault.NUMBER_WAITS, {"n": first.number})
        end(office, first.number, clock)
        assert (end.__name__, known(office, resident).number) == (end.__name__, left)
        with office.store.read() as tx:
            assert tx.exec_driver_sql("SELECT count(*) FROM proposals WHERE sealed IS NOT NULL").scalar_one() == 0
        found = office.proposals.look(WANG, first.number, shows=True)
        assert not isinstance(found, Refused) and found[2].number is None
    assert state(office.proposals.approve(WANG, proposed(office, resident, OTHERS, SUN).number)) is ProposalState.IN_FORCE
    assert known(office, resident).number == OTHERS


def test_two_people_cannot_both_be_put_right_to_one_number(office: Office) -> None:
    first, second = add(office), add(office, OTHERS)
    made = [proposed(office, who).number for who in (first, second)]
    assert state(office.proposals.approve(WANG, made[0])) is ProposalState.IN_FORCE
    assert fault(office.proposals.approve(WANG, made[1])) is ProposalFault.NUMBER_KNOWN
    found = office.proposals.look(WANG, made[1], shows=True)
    assert not isinstance(found, Refused) and (found[2].number, found[2].turns) == (None, ())
    assert [known(office, who).number for who in (first, second)] == [RIGHT, OTHERS]
    assert state(office.proposals.refuse(WANG, made[1])) is ProposalState.REFUSED


def test_what_is_foreseen_is_not_done_and_who_sees_what(office: Office) -> None:
    resident = add(office)
    outlook = foreseen(office, resident)
    assert outlook.old is not None
    assert (outlook.old.number, outlook.new.number, outlook.differs) == (WRONG, RIGHT, (16, 17, 18))
    assert known(office, resident).number == WRONG
    made = proposed(office, resident)
    for who, shows, expected in ((WANG, False, mask_number(RIGHT)), (WANG, True, RIGHT), (Actor("zhou", Role.AUDITOR), True, None)):
        found = office.proposals.look(who, made.number, shows=shows)
        assert not isinstance(found, Refused)
        shown = found[2].number
        assert (None if shown is None else shown.new.number) == expected
        assert shown is None or shows or shown.new.born is None


BIRTHS = [
    ("a child who is a child", "child", 10, 12, False, False),
    ("a child who is of age", "child", 17, 18, True, False),
    ("an elder who is younger", "elder", 70, 30, False, False),
    ("an account of a child", "self", 30, 13, False, True),
    ("an account of somebody of 14", "self", 30, 14, False, False),
]


def test_the_day_of_birth_is_the_numbers(office: Office, clock: Clock) -> None:
    today = day_of(clock())
    for place, (what, relation, before, years, is_grown, is_young) in enumerate(BIRTHS):
        family = actor(office, f"1380013800{place}")
        resident = register(office, family, number(today.replace(year=today.year - before), 10 + place), relation)
        right = number(today.replace(year=today.year - years), 20 + place)
        outlook = foreseen(office, resident, right)
        told = (outlook.years_before, outlook.years, outlook.is_grown, outlook.is_young)
        assert (what, told) == (what, (before, years, is_grown, is_young))
        put_right(office, resident, right)
        (member,) = office.households.members(family)
        assert (what, member.years, member.must_hand_over) == (what, years, is_grown)
        assert member.relation is Relation(relation), "nothing ends by itself"


def test_papers_of_other_kinds(office: Office) -> None:
    resident = add(office)
    put_right(office, resident, "e 1234567", paper="passport", state="GBR", born="1980-05-02")
    person = known(office, resident)
    assert (person.number, person.paper.value, person.state, person.born) == ("E1234567", "passport", "GBR", date(1980, 5, 2))
    found = office.number_proposals.preview(LI, resident, {"paper": "passport", "number": "E1234567", "state": "GBR", "born": "1980-05-03"})
    assert isinstance(found, Preview) and found.number is not None, "the day of birth alone may be wrong"
    nameless = office.registry.add(Person("Nobody Knows"))
    assert isinstance(nameless, Resident)
    assert (outlook := foreseen(office, nameless.resident)).old is None and outlook.differs == ()
    put_right(office, nameless.resident, RIGHT)
    assert known(office, nameless.resident).number == RIGHT


REPORTS = [
    ("neither", "", "green", "green", 0, 0),
    ("the right one", "right", "green", "yellow", 0, 1),
    ("the wrong one", "wrong", "yellow", "green", 1, 0),
    ("both", "wrong right", "yellow", "yellow", 1, 1),
]


def test_reports_belong_to_a_number_and_come_and_go_with_it(office: Office, clock: Clock) -> None:
    for place, (what, about, before, after, lost, found) in enumerate(REPORTS):
        numbers = {"wrong": number(sequence=100 + place), "right": number(sequence=200 + place)}
        resident = add(office, numbers["wrong"])
        clock.at += 60
        if about:
            say_contact(office, clock, *(numbers[each] for each in about.split()))
        clock.at += 60
        outlook = foreseen(office, resident, numbers["right"])
        assert (what, outlook.before.word, outlook.after.word, outlook.lost, outlook.found) == (what, before, after, lost, found)
        assert (what, colour(office, resident)) == (what, before)
        put_right(office, resident, numbers["right"])
        assert (what, colour(office, resident)) == (what, after)
        with office.store.read() as tx:
            last = [change.status for change in publication.waiting_changes(tx, URI, 100)][-1:]
        assert before == after or last == [Status.YELLOW if after == "yellow" else Status.GREEN], "gates are told"
        owner = office.registry.add(Person("居民乙", numbers["wrong"]))
        assert isinstance(owner, Resident)
        with office.store.read() as tx:
            said = [fact for fact in office.registry.rulings.facts(tx, owner.resident) if isinstance(fact, CloseContact)]
        assert (what, len(said)) == (what, lost), "what was said of the wrong number waits for whose it is"


def test_what_was_known_of_the_person_stays(office: Office, clock: Clock) -> None:
    resident = add(office)
    clock.at += 60
    set_colour(office, resident, Colour.RED, HandReason.CONFIRMED)
    clock.at += 60
    put_right(office, resident, RIGHT)
    assert colour(office, resident) == "red"


WELL = {
    "symptoms": ["none"],
    "temperature": "36.8",
    "contact": "no",
    "travel": ["none"],
    "isolation": "none",
    "phone": "13812345678",
    "district": "420106",
}


def test_reviews_follow_the_number(office: Office, clock: Clock) -> None:
    """Of the wrong one's import they are closed; what the right one's says against the newest declaration is put before officers."""
    family = actor(office, "13800138001")
    resident = register(office, family, WRONG)
    assert isinstance(office.checkins.submit(family, resident, ReportKind.DECLARATION, "report-1", WELL), Taken)
    clock.at += 60
    say_contact(office, clock, WRONG)
    assert [row.why for row in waiting(office, ReviewKind.CONTRADICTION)] == ["contact_denied"]
    clock.at += 60
    put_right(office, resident, RIGHT)
    assert waiting(office) == [], "nobody contradicts what is said of another"
    put_right(office, resident, OTHERS)
    clock.at += 60
    say_contact(office, clock, RIGHT)
    put_right(office, resident, RIGHT)
    assert [(row.why, row.resident, row.number) for row in waiting(office)] == [("contact_denied", resident, None)]


def test_whose_number_it_was_all_along_registers_when_it_is_free(office: Office) -> None:
    """Their claim ends with the correction: granted, it would have given them somebody else's record."""
    careless, owner = actor(office, "13800138001"), actor(office, "13800138002")
    resident = register(office, careless, WRONG)
    claim = office.households.register(owner, entry(typed=WRONG))
    assert isinstance(claim, ClaimWaits)
    assert foreseen(office, resident).claims == 1
    put_right(office, resident, RIGHT)
    assert (office.handovers.own_claims(owner), waiting(office)) == ([], [])
    assert office.handovers.decide(LI, claim.claim, is_granted=True) == NotDone(HouseholdFault.NO_CLAIM)
    assert [member.resident for member in office.households.members(owner)] == []
    assert register(office, owner, WRONG) != resident
    assert [member.resident for member in office.households.members(careless)] == [resident]


def identified(office: Office, app: str, typed: str) -> AppPerson:
    found = office.app_people.identify(app, {"name": "居民甲", **citizen(typed)})
    assert isinstance(found, AppPerson), found
    return found


def test_apps_know_the_right_number_and_act_on(office: Office) -> None:
    made = office.apps.add("City Mobile", tuple(Scope))
    assert isinstance(made, Credentials)
    app = made.app.app
    person = identified(office, app, WRONG)
    put_right(office, person.resident, RIGHT)
    found, again = office.app_people.find(app, person.person), identified(office, app, RIGHT)
    assert found == again and (again.person, again.resident, again.state) == (person.person, person.resident, State.READY)
    owner = identified(office, app, WRONG)
    assert owner.person != person.person and owner.resident not in ("", person.resident), "whose the old number is gets their own record"


def test_an_app_that_knows_the_right_number_as_somebody_elses_acts_no_more(office: Office) -> None:
    """It had asked for the number while that was another's, and was refused."""
    family = actor(office, "13800138001")
    other = register(office, family, RIGHT)
    made = office.apps.add("City Mobile", tuple(Scope))
    assert isinstance(made, Credentials)
    app = made.app.app
    waits, person = identified(office, app, RIGHT), identified(office, app, WRONG)
    assert (waits.state, person.state) == (State.WAITING, State.READY)
    put_right(office, other, OTHERS)
    put_right(office, person.resident, RIGHT)
    assert office.app_people.find(app, person.person) is None
    with office.store.read() as tx:
        assert households.holders(tx, person.resident) == []


def test_an_account_that_was_closed_meanwhile_leaves_a_record_that_can_be_put_right(office: Office) -> None:
    owner = actor(office, "13800138001")
    resident = register(office, owner, WRONG)
    made = proposed(office, resident)
    assert office.closing.close(office.sessions, owner, PASSWORD) is None
    assert state(office.proposals.approve(WANG, made.number)) is ProposalState.IN_FORCE
    assert known(office, resident).number == RIGHT


def test_the_person_sees_that_it_was_done_why_and_by_which_roles(office: Office, clock: Clock) -> None:
    owner, stranger = actor(office, "13800138001"), actor(office, "13800138002")
    resident = register(office, owner, WRONG)
    clock.at += HOUR
    put_right(office, resident, RIGHT)
    (row,) = office.insight.corrected(owner, resident)  # type: ignore[misc]
    assert (row.at_ms, row.reason, row.role, row.decided_role) == (to_ms(clock()), "mistyped", "officer", "approver")
    assert not isinstance(office.insight.corrected(stranger, resident), list)


def test_a_colour_by_hand_is_still_the_last_one_set(office: Office, clock: Clock) -> None:
    """Who set a colour does not answer the request for its conversion; a number is no colour."""
    owner = actor(office, "13800138001")
    resident = register(office, owner, WRONG)
    with office.store.write() as tx:
        office.registry.record(tx, resident, CloseContact(clock() - 60, "CDC"), clock(), AT_CONSOLE)
    clock.at += 60
    made = office.proposals.propose(LI, [resident], Colour.YELLOW, HandReason.CLOSE_CONTACT)
    assert isinstance(made, Proposal)
    office.proposals.approve(WANG, made.number)
    clock.at += 60
    put_right(office, resident, RIGHT)
    with office.store.read() as tx:
        newest = proposals.newest_in_force(tx, resident)
    assert newest is not None and newest.proposal == made.number
