"""Declarations, check-ins and corrections: taken once, reviewed by rule or by an officer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from healthcode.terms import Colour
from server.actors import BY_RULES, Actor, Role
from server.charges import HouseholdFault, Refused, Registered
from server.checkins import NotTaken, ReportFault, ReportKind, Taken
from server.contradictions import Flag
from server.drafts import Draft, DraftKind
from server.facts import CloseContact, ContactCleared, Declared, Fact, Reviewed
from server.faults import Fault, Faults
from server.households import Member
from server.office import Office, open_office
from server.reviews import Decision, NoReview, ReviewKind, ReviewReason
from server.sentences import Language, sentences
from server.store import events
from server.store.reviews import ReviewRow
from tests.server.family import actor, entry, number
from tests.server.office import CAPACITY, Clock, Town

DAY = 86_400.0
WELL: dict[str, str | list[str]] = {
    "symptoms": ["none"],
    "temperature": "36,8",
    "contact": "no",
    "travel": ["none"],
    "isolation": "none",
    "district": "420106",
    "phone": "138 1234 5678",
}
TODAY: dict[str, str | list[str]] = {"symptoms": ["none"], "temperature": "36.5", "contact": "no", "isolation": "none"}
COUGH: dict[str, str | list[str]] = {**TODAY, "symptoms": ["cough"]}
DECLARE, CHECK_IN = ReportKind.DECLARATION, ReportKind.CHECK_IN


@pytest.fixture
def who(office: Office) -> Actor:
    return actor(office, "13800138001")


@pytest.fixture
def officer(office: Office) -> Actor:
    return actor(office, "officer.li", Role.OFFICER)


@pytest.fixture
def own(office: Office, who: Actor) -> str:
    outcome = office.households.register(who, entry())
    assert isinstance(outcome, Registered)
    return outcome.resident


def taken(outcome: object) -> Taken:
    assert isinstance(outcome, Taken), outcome
    return outcome


def fault(outcome: object) -> ReportFault | HouseholdFault:
    assert isinstance(outcome, NotTaken | Refused), outcome
    return outcome.fault


def facts(office: Office, resident: str) -> list[Fact]:
    with office.store.read() as tx:
        return office.registry.rulings.facts(tx, resident)


def colour(office: Office, resident: str) -> Colour | None:
    found = office.registry.find(resident)
    assert found is not None
    return found.colour


def know(office: Office, resident: str, fact: Fact) -> None:
    with office.store.write() as tx:
        office.registry.record(tx, resident, fact, office.now(), BY_RULES)


def queue(office: Office, officer: Actor) -> list[ReviewRow]:
    found = office.reviews.waiting(officer)
    assert isinstance(found, list)
    return found


def member(office: Office, who: Actor) -> Member:
    return office.households.members(who)[0]


def test_a_declaration_of_somebody_well_is_green_at_once(office: Office, who: Actor, own: str, clock: Clock) -> None:
    assert colour(office, own) is None
    assert taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL)) == Taken(clock(), ())
    assert colour(office, own) is Colour.GREEN
    declared, reviewed = facts(office, own)
    assert declared == Declared(clock(), temperature_c=36.8, district="420106")
    assert reviewed == Reviewed(clock(), "rule")
    assert (member(office, who).person.phone, member(office, who).person.district) == ("13812345678", "420106")


def test_what_one_says_against_oneself_is_yellow_by_rule(office: Office, who: Actor, own: str, officer: Actor) -> None:
    assert taken(office.checkins.submit(who, own, DECLARE, "report-1", {**WELL, "symptoms": ["cough"]})).flags == ()
    assert colour(office, own) is Colour.YELLOW
    assert queue(office, officer) == []


def test_a_report_whose_answer_was_lost_counts_once(office: Office, who: Actor, own: str, clock: Clock) -> None:
    first = taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL))
    clock.at += 60
    again = taken(office.checkins.submit(who, own, DECLARE, "report-1", dict(reversed(WELL.items()))))
    assert (again.at, again.flags, again.is_again) == (first.at, first.flags, True)
    assert len(facts(office, own)) == 2
    other = office.checkins.submit(who, own, DECLARE, "report-1", {**WELL, "contact": "yes"})
    assert fault(other) is ReportFault.ID_USED
    assert fault(office.checkins.submit(who, own, DECLARE, "short", WELL)) is ReportFault.BAD_ID


def test_the_same_report_sent_by_two_threads_at_once_counts_once(office: Office, who: Actor, own: str) -> None:
    outcomes: list[object] = []
    start = threading.Barrier(8)

    def send() -> None:
        start.wait()
        outcomes.append(office.checkins.submit(who, own, DECLARE, "report-1", WELL))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(taken(outcome).is_again for outcome in outcomes) == [False] + [True] * 7
    assert len(facts(office, own)) == 2


def test_a_check_in_follows_a_declaration_and_keeps_green(office: Office, who: Actor, own: str, clock: Clock) -> None:
    assert fault(office.checkins.submit(who, own, CHECK_IN, "report-1", TODAY)) is ReportFault.NOT_DECLARED
    taken(office.checkins.submit(who, own, DECLARE, "report-2", WELL))
    for day in range(1, 9):
        clock.at += DAY
        office.registry.rule_due(100)
        assert colour(office, own) is Colour.GREEN
        taken(office.checkins.submit(who, own, CHECK_IN, f"check-in-{day}", TODAY))
    newest = facts(office, own)[-1]
    assert isinstance(newest, Declared) and newest.is_check_in and newest.district == "420106" and newest.by == "resident"


def test_a_guardian_checks_in_for_a_child(office: Office, who: Actor, clock: Clock) -> None:
    outcome = office.households.register(who, entry("other", "李小明", number(sequence=7)))
    assert isinstance(outcome, Registered)
    taken(office.checkins.submit(who, outcome.resident, DECLARE, "report-1", WELL))
    declared = facts(office, outcome.resident)[0]
    assert isinstance(declared, Declared) and declared.by == "guardian"


def test_faulty_answers_are_named_and_nothing_is_taken(office: Office, who: Actor, own: str) -> None:
    outcome = office.checkins.submit(who, own, DECLARE, "report-1", {**WELL, "temperature": "368"})
    assert isinstance(outcome, Faults) and set(outcome.by_field) == {"temperature"}
    assert facts(office, own) == []
    taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL))


def test_nobody_reports_for_somebody_who_is_not_theirs(office: Office, own: str, officer: Actor) -> None:
    stranger = actor(office, "13800138002")
    for other in (stranger, officer):
        for resident in (own, "nobody22"):
            assert fault(office.checkins.submit(other, resident, DECLARE, "report-1", WELL)) is HouseholdFault.NOT_YOURS
            assert fault(office.checkins.correct(other, resident, "report-1", WELL)) is HouseholdFault.NOT_YOURS


def test_who_denies_what_is_known_waits_for_an_officer(office: Office, who: Actor, own: str, officer: Actor, clock: Clock) -> None:
    know(office, own, CloseContact(clock() - DAY, "clinic"))
    flags = (Flag.CONTACT_DENIED, Flag.LISTED_CONTACT)
    assert taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL)).flags == flags
    assert taken(office.checkins.submit(who, own, CHECK_IN, "report-2", TODAY)).flags == flags
    assert colour(office, own) is None
    (review,) = queue(office, officer)
    assert (review.kind, review.why, review.resident) == ("declaration", "contact_denied listed_contact", own)
    assert fault(office.reviews.decide(who, review.review, Decision.LET_IN, ReviewReason.NO_RISK)) is HouseholdFault.NOT_ALLOWED
    assert office.reviews.decide(officer, review.review, Decision.LET_IN, ReviewReason.NO_RISK) is None
    assert colour(office, own) is Colour.YELLOW
    assert facts(office, own)[-1] == Reviewed(clock(), "officer")
    assert queue(office, officer) == []
    assert office.reviews.decide(officer, review.review, Decision.LET_IN, ReviewReason.NO_RISK) == NoReview()


def test_when_the_data_take_it_back_the_next_report_passes(office: Office, who: Actor, own: str, officer: Actor, clock: Clock) -> None:
    know(office, own, CloseContact(clock() - DAY, "clinic"))
    taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL))
    clock.at += 60
    know(office, own, ContactCleared(clock(), "clinic"))
    clock.at += 60
    assert taken(office.checkins.submit(who, own, CHECK_IN, "report-2", TODAY)).flags == ()
    assert colour(office, own) is Colour.GREEN
    assert queue(office, officer) == []


def test_a_contradiction_of_somebody_with_a_code_is_flagged_once(
    office: Office, who: Actor, own: str, officer: Actor, clock: Clock
) -> None:
    taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL))
    know(office, own, CloseContact(clock(), "clinic"))
    clock.at += 60
    for number_ in range(3):
        flags = taken(office.checkins.submit(who, own, CHECK_IN, f"check-in-{number_}", TODAY)).flags
        assert flags == (Flag.CONTACT_DENIED,)
    (review,) = queue(office, officer)
    assert (review.kind, review.why) == ("contradiction", "contact_denied")
    assert office.reviews.count(officer) == {"contradiction": 1}
    assert office.reviews.decide(officer, review.review, Decision.LET_IN, ReviewReason.NO_RISK) == NoReview()
    assert office.reviews.decide(officer, review.review, Decision.CLOSE, ReviewReason.NO_RISK) is None
    assert queue(office, officer) == []
    assert office.reviews.waiting(who, kind=ReviewKind.CONTRADICTION) == Refused(HouseholdFault.NOT_ALLOWED)


def test_a_wrong_report_is_corrected_once_a_day(office: Office, who: Actor, own: str, officer: Actor, clock: Clock) -> None:
    assert fault(office.checkins.correct(who, own, "report-0", WELL)) is ReportFault.NOTHING_TO_CORRECT
    taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL))
    clock.at += 60
    taken(office.checkins.submit(who, own, CHECK_IN, "report-2", COUGH))
    wrong_at = clock()
    assert colour(office, own) is Colour.YELLOW
    clock.at += 60
    assert taken(office.checkins.correct(who, own, "report-3", TODAY)).flags == (Flag.CORRECTED_TO_WELL,)
    newest = facts(office, own)[-1]
    assert isinstance(newest, Declared) and newest.corrects == wrong_at and newest.is_check_in
    assert colour(office, own) is Colour.GREEN
    assert [review.why for review in queue(office, officer)] == ["corrected_to_well"]
    assert taken(office.checkins.correct(who, own, "report-3", TODAY)).is_again
    assert fault(office.checkins.correct(who, own, "report-4", COUGH)) is ReportFault.CORRECTED_TODAY
    clock.at += DAY
    assert isinstance(office.checkins.correct(who, own, "report-5", COUGH), Taken)
    clock.at += DAY + 1
    assert fault(office.checkins.correct(who, own, "report-6", TODAY)) is ReportFault.NOTHING_TO_CORRECT


def test_twenty_reports_a_day_are_enough(office: Office, who: Actor, own: str) -> None:
    taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL))
    for count in range(19):
        taken(office.checkins.submit(who, own, CHECK_IN, f"check-in-{count}", TODAY))
    assert fault(office.checkins.submit(who, own, CHECK_IN, "one-too-many", TODAY)) is ReportFault.TOO_OFTEN


def test_a_draft_survives_and_goes_with_the_report(office: Office, town: Town, who: Actor, own: str, clock: Clock) -> None:
    begun = {"symptoms": ["none"], "phone": "138"}
    assert office.drafts.save(who, DraftKind.DECLARATION, own, begun) == Draft(begun, clock())
    elsewhere = town.open(clock)
    loaded = elsewhere.drafts.load(who, DraftKind.DECLARATION, own)
    elsewhere.store.close()
    assert loaded == Draft(begun, clock())
    assert office.drafts.load(who, DraftKind.CHECK_IN, own) is None
    taken(office.checkins.submit(who, own, DECLARE, "report-1", WELL))
    assert office.drafts.load(who, DraftKind.DECLARATION, own) is None


def test_drafts_are_of_one_account_sealed_bounded_and_end(office: Office, who: Actor, own: str, clock: Clock) -> None:
    stranger = actor(office, "13800138002")
    refused = office.drafts.save(stranger, DraftKind.CHECK_IN, own, {"contact": "no"})
    assert isinstance(refused, Refused) and refused.fault is HouseholdFault.NOT_YOURS
    assert office.drafts.save(who, DraftKind.CHECK_IN, own, {"phone": "1" * 20_000}) == Fault("draft.too_long", {"most": 16_384})
    office.drafts.save(who, DraftKind.REGISTRATION, "", {"name": "居民甲", "number": number()})
    office.drafts.save(who, DraftKind.CHECK_IN, own, {"contact": "no"})
    assert office.drafts.load(stranger, DraftKind.REGISTRATION) is None
    with office.store.read() as tx:
        held = b"".join(bytes(row[0]) for row in tx.exec_driver_sql("SELECT sealed FROM drafts"))
    assert number().encode() not in held and "居民甲".encode() not in held
    office.drafts.drop(who, DraftKind.CHECK_IN, own)
    assert office.drafts.load(who, DraftKind.CHECK_IN, own) is None
    assert office.drafts.load(who, DraftKind.REGISTRATION) == Draft({"name": "居民甲", "number": number()}, clock())
    clock.at += 7 * DAY
    assert office.drafts.load(who, DraftKind.REGISTRATION) is None
    assert office.drafts.tidy() == 1


@pytest.mark.parametrize("language", list(Language))
def test_every_refusal_has_a_sentence(language: Language) -> None:
    have = set(sentences(language))
    assert {f"report.{word.value}" for word in ReportFault} | {f"household.{word.value}" for word in HouseholdFault} <= have


@pytest.fixture
def lenient(town: Town, clock: Clock) -> Iterator[Office]:
    """An office whose policy has people look at what others say of themselves."""
    (town.folder / "policy.toml").write_text('version = 2\n[declared]\nsymptoms = "review"\ncontact = "review"\nisolation = "review"\n')
    opened = open_office(town.config('policy = "policy.toml"'), clock, CAPACITY)
    yield opened
    opened.store.close()


@pytest.mark.parametrize(
    ("answers", "flag"),
    [
        ({"symptoms": ["cough"]}, Flag.SAYS_SYMPTOMS),
        ({"temperature": "38.1"}, Flag.SAYS_SYMPTOMS),
        ({"contact": "yes"}, Flag.SAYS_CONTACT),
        ({"isolation": "home", "isolation_since": "2023-11-10"}, Flag.SAYS_ISOLATION),
    ],
)
def test_what_the_policy_leaves_to_people_comes_before_them(
    lenient: Office, clock: Clock, answers: dict[str, str | list[str]], flag: Flag
) -> None:
    """Somebody who has a code keeps its colour, and waits in the officers' queue; the same word the next day is nothing new."""
    office = lenient
    account = actor(office, "13800138001")
    own = office.households.register(account, entry())
    li = actor(office, "officer.li", Role.OFFICER)
    assert isinstance(own, Registered)
    assert taken(office.checkins.submit(account, own.resident, DECLARE, "report-1", WELL)).flags == ()
    clock.at += DAY
    assert taken(office.checkins.submit(account, own.resident, CHECK_IN, "report-2", {**TODAY, **answers})).flags == (flag,)
    assert colour(office, own.resident) is Colour.GREEN
    (row,) = queue(office, li)
    assert (row.kind, row.why, row.resident) == (ReviewKind.SAYS, flag.value, own.resident)
    assert office.reviews.decide(li, row.review, Decision.CLOSE, ReviewReason.PERSON_ASKED) is None
    clock.at += DAY
    assert taken(office.checkins.submit(account, own.resident, CHECK_IN, "report-3", {**TODAY, **answers})).flags == ()
    clock.at += DAY
    office.checkins.submit(account, own.resident, CHECK_IN, "report-4", TODAY)
    clock.at += DAY
    assert taken(office.checkins.submit(account, own.resident, CHECK_IN, "report-5", {**TODAY, **answers})).flags == (flag,), "again"


def test_who_has_no_code_yet_is_not_let_in_by_rule_with_what_the_policy_leaves_to_people(lenient: Office) -> None:
    account = actor(lenient, "13800138001")
    own = lenient.households.register(account, entry())
    assert isinstance(own, Registered)
    flags = taken(
        lenient.checkins.submit(account, own.resident, DECLARE, "report-1", {**WELL, "symptoms": ["cough"], "contact": "yes"})
    ).flags
    assert flags == (Flag.SAYS_SYMPTOMS, Flag.SAYS_CONTACT)
    assert colour(lenient, own.resident) is None
    (row,) = queue(lenient, actor(lenient, "officer.li", Role.OFFICER))
    assert (row.kind, row.why) == (ReviewKind.DECLARATION, "says_symptoms says_contact")


def test_a_further_symptom_comes_before_people_again(lenient: Office, clock: Clock) -> None:
    account = actor(lenient, "13800138001")
    own = lenient.households.register(account, entry())
    assert isinstance(own, Registered)
    lenient.checkins.submit(account, own.resident, DECLARE, "report-1", WELL)
    said = []
    for day, symptoms in enumerate((["cough"], ["cough"], ["cough", "fever"])):
        clock.at += DAY
        flags = taken(lenient.checkins.submit(account, own.resident, CHECK_IN, f"report-{day + 2}", {**TODAY, "symptoms": symptoms})).flags
        said.append(flags)
    assert said == [(Flag.SAYS_SYMPTOMS,), (), (Flag.SAYS_SYMPTOMS,)]


def test_what_waits_longer_than_48_hours_raises_an_alert_until_it_is_decided(
    office: Office, clock: Clock, who: Actor, own: str, officer: Actor
) -> None:
    """A contradiction and a claim: one alert tells of both, then of one, then ends."""
    office.checkins.submit(who, own, DECLARE, "report-1", WELL)
    know(office, own, CloseContact(clock() - DAY, "clinic"))
    office.checkins.submit(who, own, CHECK_IN, "report-2", TODAY)
    clock.at += 3600
    office.households.register(actor(office, "13800138009"), entry())
    assert sorted(row.kind for row in queue(office, officer)) == ["claim", "contradiction"]
    told = []
    for hours in (46.9, 0.2, 1.0, 10.0):
        clock.at += hours * 3600
        office.chores()
        told.append((alerts(office), office.reviews.count_late(officer)))
    one = "wait beyond 48 hours, the longest since"
    assert told == [
        ([], 0),
        ([("reviews_overdue", f"reviews: contradiction 1 {one} 0 h")], 1),
        ([("reviews_overdue", f"reviews: claim 1, contradiction 1 {one} 1 h")], 2),
        ([("reviews_overdue", f"reviews: claim 1, contradiction 1 {one} 11 h")], 2),
    ]
    (flagged,) = (row for row in queue(office, officer) if row.kind == "contradiction")
    assert office.reviews.decide(officer, flagged.review, Decision.CLOSE, ReviewReason.PERSON_ASKED) is None
    clock.at += 60
    office.chores()
    assert alerts(office) == [("reviews_overdue", f"reviews: claim 1 {one} 10 h")]
    (claim,) = queue(office, officer)
    assert office.handovers.decide(officer, claim.claim or 0, is_granted=False) is None
    clock.at += 60
    office.chores()
    assert alerts(office) == []


def alerts(office: Office) -> list[tuple[str, str]]:
    """(name, detail) of every alert."""
    with office.store.read() as tx:
        return [(name, detail) for name, _, _, detail in events.list_alerts(tx)]
