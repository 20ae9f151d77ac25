"""Stories of people: what happened on which day, and the colour that follows. Then what holds for every story there could be."""

from __future__ import annotations

import math
import timeit
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthcode.terms import ClockState, Colour
from server.colours import Outage, Rule, Ruling, colour_of, lapse_at
from server.explanations import Sentence, explain
from server.facts import (
    COLOURS_OF_REASON,
    FACTS,
    Case,
    CaseCategory,
    CaseClosed,
    CaseEnd,
    Cleared,
    CloseContact,
    ContactCleared,
    Declared,
    Fact,
    FeverAtGate,
    HandReason,
    Isolating,
    Isolation,
    IsolationStep,
    NormalAtGate,
    Reviewed,
    SetByHand,
    Symptom,
    TestOutcome,
    TestResult,
    fits,
)
from server.policy import (
    DEFAULT,
    CaseRules,
    ContactRules,
    DeclaredRules,
    GateRules,
    Policy,
    RecordRules,
    SymptomRules,
)
from server.sentences import Language

G, Y, R = Colour.GREEN, Colour.YELLOW, Colour.RED
DAY = 86_400.0
ENTERED: tuple[Fact, ...] = (Declared(0.0), Reviewed(0.0, "rule"))


def day(number: float) -> float:
    return number * DAY


def hand(at: float, colour: Colour, reason: HandReason = HandReason.CORRECTION) -> SetByHand:
    return SetByHand(day(at), colour, reason, "officer")


def fever(at: float, clock: ClockState = ClockState.TRUSTED) -> FeverAtGate:
    return FeverAtGate(day(at), "north", 38.4, clock)


def normal(at: float) -> NormalAtGate:
    return NormalAtGate(day(at), "north", 36.4, ClockState.TRUSTED)


def clear(at: float) -> Cleared:
    return Cleared(day(at), 36.5, "officer")


def says(
    at: float,
    *symptoms: Symptom,
    temperature_c: float | None = None,
    contact: bool = False,
    isolation: Isolating = Isolating.NONE,
    since: float | None = None,
    corrects: float | None = None,
) -> Declared:
    return Declared(
        day(at),
        symptoms,
        temperature_c,
        contact,
        isolation=isolation,
        isolation_since=None if since is None else day(since),
        corrects=None if corrects is None else day(corrects),
    )


def case(at: float, category: CaseCategory = CaseCategory.CONFIRMED, heard: float = 0.0) -> Case:
    return Case(day(at), category, "clinic", day(heard))


def closed(at: float, end: CaseEnd = CaseEnd.DISCHARGED) -> CaseClosed:
    return CaseClosed(day(at), end, "clinic")


def contact(at: float) -> CloseContact:
    return CloseContact(day(at), "disease control")


def cleared_contact(at: float) -> ContactCleared:
    return ContactCleared(day(at), "disease control")


def began(at: float, place: Isolating = Isolating.CENTRAL) -> Isolation:
    return Isolation(day(at), IsolationStep.BEGAN, place, "district")


def ended(at: float, place: Isolating = Isolating.CENTRAL) -> Isolation:
    return Isolation(day(at), IsolationStep.ENDED, place, "district")


def test_result(at: float, outcome: TestOutcome) -> TestResult:
    return TestResult(day(at), outcome, "laboratory")


test_result.__test__ = False  # type: ignore[attr-defined]


def checks_in(first: int, last: int) -> list[Fact]:
    """A check-in a day."""
    return [Declared(day(number), is_check_in=True) for number in range(first, last + 1)]


def story(name: str, facts: list[Fact], *chapters: tuple[float, Colour | None, Rule]) -> object:
    return pytest.param(facts, chapters, id=name)


@pytest.mark.parametrize(
    ("facts", "chapters"),
    [
        story("nobody is green unknown", [], (9, None, Rule.NOTHING_KNOWN)),
        story("who has declared waits for the review", [says(1)], (2, None, Rule.PENDING)),
        story("even with a case", [says(1), case(1)], (2, None, Rule.PENDING)),
        story("then green", [says(1), Reviewed(day(2), "rule")], (1.9, None, Rule.PENDING), (2, G, Rule.HEALTHY)),
        story(
            "green lapses three days after the last record, and a check-in brings it back",
            [*ENTERED, says(1), says(9)],
            (3.99, G, Rule.HEALTHY),
            (4, Y, Rule.RECORD_LAPSED),
            (8.99, Y, Rule.RECORD_LAPSED),
            (9, G, Rule.HEALTHY),
            (12, Y, Rule.RECORD_LAPSED),
        ),
        story("a normal temperature at a gate is a record", [*ENTERED, normal(2)], (4.9, G, Rule.HEALTHY), (5, Y, Rule.RECORD_LAPSED)),
        story("a negative test is one", [*ENTERED, test_result(2, TestOutcome.NEGATIVE)], (4.9, G, Rule.HEALTHY)),
        story("a record from a gate that was offline counts from when it was", [*ENTERED, normal(2)], (5, Y, Rule.RECORD_LAPSED)),
        story(
            "a confirmed case: red until discharged, 14 days more, then 14 days yellow",
            [*ENTERED, case(1), closed(20), *checks_in(21, 60)],
            (1, R, Rule.CONFIRMED_CASE),
            (19, R, Rule.CONFIRMED_CASE),
            (20, R, Rule.CASE_ENDED_RED),
            (33.99, R, Rule.CASE_ENDED_RED),
            (34, Y, Rule.CASE_ENDED_YELLOW),
            (47.99, Y, Rule.CASE_ENDED_YELLOW),
            (48, G, Rule.HEALTHY),
        ),
        story(
            "a suspected case that is ruled out",
            [*ENTERED, case(1, CaseCategory.SUSPECTED), closed(3, CaseEnd.RULED_OUT), *checks_in(4, 40)],
            (2, R, Rule.SUSPECTED_CASE),
            (16.9, R, Rule.CASE_ENDED_RED),
            (17, Y, Rule.CASE_ENDED_YELLOW),
            (31, G, Rule.HEALTHY),
        ),
        story("a fever case from a clinic is red", [*ENTERED, case(1, CaseCategory.FEVER)], (2, R, Rule.FEVER_CASE)),
        story(
            "a suspected case that is confirmed keeps its beginning",
            [*ENTERED, case(1, CaseCategory.SUSPECTED), case(3, CaseCategory.CLINICAL)],
            (2, R, Rule.SUSPECTED_CASE),
            (3, R, Rule.CLINICAL_CASE),
        ),
        story(
            "a relapse within the fourteen days is a case again",
            [*ENTERED, case(1), closed(10), case(15), closed(30)],
            (14, R, Rule.CASE_ENDED_RED),
            (20, R, Rule.CONFIRMED_CASE),
            (43.9, R, Rule.CASE_ENDED_RED),
            (44, Y, Rule.CASE_ENDED_YELLOW),
        ),
        story(
            "a symptom in the red fortnight begins it anew",
            [*ENTERED, case(1), closed(10), says(20, Symptom.COUGH)],
            (33.9, R, Rule.CASE_ENDED_RED),
            (34, Y, Rule.CASE_ENDED_YELLOW),
        ),
        story(
            "a positive test is red until a clinic closes it", [*ENTERED, test_result(1, TestOutcome.POSITIVE)], (40, R, Rule.POSITIVE_TEST)
        ),
        story(
            "a close contact is yellow for fourteen days from the last contact",
            [*ENTERED, contact(1), contact(5), *checks_in(1, 30)],
            (1, Y, Rule.CLOSE_CONTACT),
            (18.9, Y, Rule.CLOSE_CONTACT),
            (19, G, Rule.HEALTHY),
        ),
        story(
            "with symptoms it takes longer",
            [*ENTERED, contact(1), says(10, Symptom.SORE_THROAT), *checks_in(11, 30)],
            (23.9, Y, Rule.CLOSE_CONTACT),
            (24, G, Rule.HEALTHY),
        ),
        story(
            "a contact that was none", [*ENTERED, contact(1), cleared_contact(3), says(3)], (2, Y, Rule.CLOSE_CONTACT), (3, G, Rule.HEALTHY)
        ),
        story(
            "central isolation under fourteen days is yellow",
            [*ENTERED, began(1), *checks_in(1, 20)],
            (1, Y, Rule.CENTRAL_ISOLATION),
            (14.9, Y, Rule.CENTRAL_ISOLATION),
            (15, G, Rule.HEALTHY),
        ),
        story(
            "isolation at home ends when it is reported over",
            [*ENTERED, began(1, Isolating.HOME), ended(6, Isolating.HOME), says(6)],
            (5, Y, Rule.HOME_ISOLATION),
            (6, G, Rule.HEALTHY),
        ),
        story("the end of another isolation ends nothing", [*ENTERED, began(1), ended(6, Isolating.HOME)], (7, Y, Rule.CENTRAL_ISOLATION)),
        story(
            "isolation by one's own word, from when one says",
            [*ENTERED, says(2, isolation=Isolating.HOME, since=-10), says(3, isolation=Isolating.HOME, since=-10), *checks_in(4, 6)],
            (2, Y, Rule.DECLARED_ISOLATION),
            (3.9, Y, Rule.DECLARED_ISOLATION),
            (4, G, Rule.HEALTHY),
        ),
        story(
            "contact by one's own word, said day after day, is one contact",
            [*ENTERED, *(says(number, contact=True) for number in range(1, 14)), *checks_in(14, 20)],
            (14.9, Y, Rule.DECLARED_CONTACT),
            (15, G, Rule.HEALTHY),
        ),
        story(
            "symptoms by one's own word are yellow until fourteen days without",
            [*ENTERED, says(1, Symptom.COUGH), says(3, Symptom.COUGH), *checks_in(4, 20)],
            (16.9, Y, Rule.DECLARED_SYMPTOMS),
            (17, G, Rule.HEALTHY),
        ),
        story(
            "or until a clinic rules the disease out",
            [*ENTERED, says(1, Symptom.COUGH), closed(3, CaseEnd.RULED_OUT), says(3)],
            (2, Y, Rule.DECLARED_SYMPTOMS),
            (3, G, Rule.HEALTHY),
        ),
        story(
            "a fever by one's own thermometer is cleared by a clinical one",
            [*ENTERED, says(1, temperature_c=37.3), clear(2)],
            (1, Y, Rule.DECLARED_SYMPTOMS),
            (2, G, Rule.HEALTHY),
        ),
        story("but no cough is", [*ENTERED, says(1, Symptom.COUGH, Symptom.FEVER), clear(2)], (2, Y, Rule.DECLARED_SYMPTOMS)),
        story("37.2 is no fever", [*ENTERED, says(1, temperature_c=37.2)], (2, G, Rule.HEALTHY)),
        story(
            "a wrong report that was corrected",
            [*ENTERED, says(1, contact=True), says(2, corrects=1)],
            (1.5, Y, Rule.DECLARED_CONTACT),
            (2, G, Rule.HEALTHY),
        ),
        story("green by hand", [hand(1, G)], (2, G, Rule.SET_BY_HAND), (4, Y, Rule.RECORD_LAPSED)),
        story("the newest setting counts", [hand(1, G), hand(2, R)], (99, R, Rule.SET_BY_HAND)),
        story("by when it happened, not by when it was heard", [hand(2, R), hand(1, G)], (3, R, Rule.SET_BY_HAND)),
        story("yellow by hand ends like any other", [hand(1, Y), *checks_in(13, 20)], (14.9, Y, Rule.SET_BY_HAND), (15, G, Rule.HEALTHY)),
        story(
            "red by hand ends when a clinic closes the case",
            [hand(1, R, HandReason.CONFIRMED), closed(5)],
            (4, R, Rule.SET_BY_HAND),
            (18.9, R, Rule.CASE_ENDED_RED),
            (19, Y, Rule.CASE_ENDED_YELLOW),
        ),
        story(
            "yellow by hand for want of a record ends with a record",
            [hand(1, Y, HandReason.RECORD_LAPSED), says(9)],
            (8, Y, Rule.SET_BY_HAND),
            (9, G, Rule.HEALTHY),
        ),
        story(
            "a hand's contact ends when the contact was none",
            [hand(1, Y, HandReason.CLOSE_CONTACT), cleared_contact(2), says(2)],
            (1.5, Y, Rule.SET_BY_HAND),
            (2, G, Rule.HEALTHY),
        ),
        story(
            "what an officer knew is settled",
            [*ENTERED, case(1, heard=1), hand(2, G)],
            (1.5, R, Rule.CONFIRMED_CASE),
            (3, G, Rule.SET_BY_HAND),
        ),
        story("what was heard later is not", [*ENTERED, case(1, heard=2.5), hand(2, G)], (3, R, Rule.CONFIRMED_CASE)),
        story("a fever alone lets nobody in", [fever(5)], (6, None, Rule.NOTHING_KNOWN)),
        story("fever turns green yellow", [hand(1, G), fever(2)], (2, Y, Rule.FEVER_AT_GATE)),
        story(
            "for fourteen days after the last",
            [*ENTERED, fever(2), fever(4), *checks_in(5, 20)],
            (17.9, Y, Rule.FEVER_AT_GATE),
            (18, G, Rule.HEALTHY),
        ),
        story("fever never improves red", [hand(1, R), fever(2)], (3, R, Rule.SET_BY_HAND)),
        story("yellow keeps its own reason", [hand(1, Y), fever(5)], (18.9, Y, Rule.SET_BY_HAND)),
        story("but the one that lasts longer is named first", [*ENTERED, fever(5), began(6)], (7, Y, Rule.CENTRAL_ISOLATION)),
        story("cleared by an officer", [hand(1, G), fever(2), clear(3)], (2.5, Y, Rule.FEVER_AT_GATE), (3, G, Rule.HEALTHY)),
        story("a late report cannot undo the clearance", [hand(1, G), clear(3), fever(2)], (3, G, Rule.HEALTHY)),
        story("a new fever after the clearance", [hand(1, G), clear(3), fever(4)], (5, Y, Rule.FEVER_AT_GATE)),
        story("a clearance does not improve red", [hand(1, R), clear(6)], (6, R, Rule.SET_BY_HAND)),
        story("a newer setting ends the fever", [hand(1, G), fever(2), hand(3, G)], (3, G, Rule.SET_BY_HAND)),
        story("the future is not there yet", [hand(1, G), fever(2)], (1.9, G, Rule.SET_BY_HAND)),
        story(
            "a clock that ran on its own is doubted for two minutes",
            [hand(1, G), clear(2), fever(2 + 119 / DAY, ClockState.HOLDOVER)],
            (2.1, G, Rule.HEALTHY),
        ),
        story("and no longer", [hand(1, G), clear(2), fever(2 + 121 / DAY, ClockState.HOLDOVER)], (2.1, Y, Rule.FEVER_AT_GATE)),
        story("a trusted one is not", [hand(1, G), clear(2), fever(2 + 1 / DAY)], (2.1, Y, Rule.FEVER_AT_GATE)),
    ],
)
def test_stories(facts: list[Fact], chapters: tuple[tuple[float, Colour | None, Rule], ...]) -> None:
    for at, colour, rule in chapters:
        ruling = colour_of(facts, day(at), DEFAULT)
        assert (ruling.colour, ruling.rule) == (colour, rule), f"on day {at:g}"


@pytest.mark.parametrize(
    ("policy", "facts", "colour"),
    [
        (Policy(version=2, gate=GateRules(fever="red")), [*ENTERED, fever(1)], R),
        (Policy(version=2, gate=GateRules(fever="review")), [*ENTERED, fever(1)], G),
        (Policy(version=2, record=RecordRules(lapse_days=1)), [*ENTERED], Y),
        (Policy(version=2, record=RecordRules(gate_counts=False)), [*ENTERED, normal(1)], Y),
        (Policy(version=2, case=CaseRules(positive_test="review")), [*ENTERED, test_result(1, TestOutcome.POSITIVE)], G),
        (Policy(version=2, contact=ContactRules(days=0)), [*ENTERED, contact(1)], G),
        (Policy(version=2, declared=DeclaredRules(symptoms="review")), [*ENTERED, says(1, Symptom.COUGH)], G),
        (Policy(version=2, declared=DeclaredRules(contact="review")), [*ENTERED, says(1, contact=True)], G),
        (Policy(version=2, declared=DeclaredRules(isolation="review")), [*ENTERED, says(1, isolation=Isolating.HOME)], G),
    ],
)
def test_a_policy_may_say_otherwise(policy: Policy, facts: list[Fact], colour: Colour) -> None:
    lasting = 3.5 if not policy.record.gate_counts else 2.5
    assert colour_of(facts, day(lasting), policy).colour is colour
    assert colour_of(facts, day(lasting), DEFAULT).colour is not colour


def test_symptoms_may_be_told_not_to_restart() -> None:
    facts = [*ENTERED, case(1), closed(10), says(20, Symptom.COUGH)]
    assert colour_of(facts, day(24), DEFAULT).rule is Rule.CASE_ENDED_RED
    assert colour_of(facts, day(24), Policy(version=2, symptoms=SymptomRules(restart=False))).colour is Y


@pytest.mark.parametrize(
    ("outages", "lapses"),
    [
        pytest.param([], 3, id="three days"),
        pytest.param([(1, 2)], 4, id="a day on which nobody could check in does not count"),
        pytest.param([(1, 2), (3, 3.5)], 4.5, id="two outages"),
        pytest.param([(1, 2), (1.5, 2.5)], 4.5, id="overlapping ones count once"),
        pytest.param([(-5, 1)], 4, id="one that had begun before"),
        pytest.param([(-5, -1)], 3, id="one that was over"),
        pytest.param([(3, 9)], 3, id="one that began too late"),
        pytest.param([(1, None)], math.inf, id="while it lasts nothing lapses"),
        pytest.param([(3.5, None)], 3, id="what had lapsed stays lapsed"),
    ],
)
def test_the_lapse_waits_for_the_end_of_an_outage(outages: list[tuple[float, float | None]], lapses: float) -> None:
    told = [Outage(day(began), None if ended is None else day(ended)) for began, ended in outages]
    assert lapse_at(0.0, day(3), told) == pytest.approx(day(lapses))
    ruling = colour_of(ENTERED, day(2), DEFAULT, told)
    assert ruling.colour is G
    assert (ruling.is_paused, ruling.due) == ((True, None) if lapses == math.inf else (False, pytest.approx(day(lapses))))


def test_a_ruling_explains_itself() -> None:
    facts = [*ENTERED, contact(1), began(2, Isolating.HOME), case(0.5, CaseCategory.SUSPECTED), closed(3, CaseEnd.RULED_OUT)]
    ruling = colour_of(facts, day(18), DEFAULT)
    assert (ruling.colour, ruling.rule, ruling.since, ruling.until) == (Y, Rule.CASE_ENDED_YELLOW, day(17), day(31))
    ruling = colour_of([*ENTERED, contact(1), began(2, Isolating.HOME)], day(3), DEFAULT)
    assert (ruling.rule, ruling.until, ruling.due) == (Rule.HOME_ISOLATION, day(16), day(15))
    assert [reason.rule for reason in ruling.others] == [Rule.CLOSE_CONTACT]
    assert explain(ruling.why) == "Isolating at home since 1970-01-03 08:00, not yet re-checked."
    assert explain(ruling.why, Language.CHINESE) == "自 1970-01-03 08:00 起居家隔离，尚未复核。"
    assert explain(ruling.changes[0]) == "This reason ends on 1970-01-17 08:00, if no symptom is reported until then."


def test_every_reason_leads_somewhere_and_only_health_is_a_reason() -> None:
    assert set(COLOURS_OF_REASON) == set(HandReason)
    assert all(COLOURS_OF_REASON.values())
    assert not fits(HandReason.REVIEWED, R)
    assert not fits(HandReason.CONFIRMED, G)


def test_a_fever_counts_where_the_policy_has_people_look_once_one_of_them_believes_it() -> None:
    policy = Policy(version=2, gate=GateRules(fever="review"))
    seen = FeverAtGate(day(1), "north", 38.4, ClockState.TRUSTED)
    assert colour_of([*ENTERED, seen], day(1.1), policy).colour is G
    believed = colour_of([*ENTERED, replace(seen, believed=True)], day(1.1), policy)
    assert (believed.colour, believed.rule) == (Y, Rule.FEVER_AT_GATE)
    assert colour_of([*ENTERED, replace(seen, believed=True), Cleared(day(1.05), 36.5, "officer")], day(1.1), policy).colour is G


# What holds for every story.

_AT = st.integers(0, 120).map(lambda half: half * DAY / 2)
_HEARD = st.integers(0, 120).map(lambda half: half * DAY / 2)
_SOURCE = st.just("source")
_CLOCK = st.sampled_from([ClockState.TRUSTED, ClockState.HOLDOVER])
_FACT: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        Declared,
        _AT,
        st.lists(st.sampled_from(Symptom), max_size=2).map(tuple),
        st.sampled_from([None, 36.5, 38.0]),
        st.booleans(),
        isolation=st.sampled_from(Isolating),
        isolation_since=st.none() | _AT,
        corrects=st.none() | _AT,
    ),
    st.builds(Case, _AT, st.sampled_from(CaseCategory), _SOURCE, _HEARD),
    st.builds(CaseClosed, _AT, st.sampled_from(CaseEnd), _SOURCE, _HEARD),
    st.builds(CloseContact, _AT, _SOURCE, _HEARD),
    st.builds(ContactCleared, _AT, _SOURCE, _HEARD),
    st.builds(Isolation, _AT, st.sampled_from(IsolationStep), st.sampled_from([Isolating.HOME, Isolating.CENTRAL]), _SOURCE, _HEARD),
    st.builds(TestResult, _AT, st.sampled_from(TestOutcome), _SOURCE, _HEARD),
    st.builds(FeverAtGate, _AT, st.sampled_from(["north", "south"]), st.just(38.0), _CLOCK),
    st.builds(NormalAtGate, _AT, st.sampled_from(["north", "south"]), st.just(36.0), _CLOCK),
    st.builds(Cleared, _AT, st.just(36.5), _SOURCE),
    st.sampled_from([(reason, colour) for reason, colours in COLOURS_OF_REASON.items() for colour in sorted(colours)]).flatmap(
        lambda pair: st.builds(SetByHand, _AT, st.just(pair[1]), st.just(pair[0]), _SOURCE)
    ),
    st.builds(Reviewed, _AT, _SOURCE),
)
STORY = st.lists(_FACT, max_size=12)
_LET_IN = STORY.map(lambda facts: [*ENTERED, *facts])
OUTAGES = st.lists(st.tuples(st.integers(0, 120), st.integers(1, 20)), max_size=3).map(
    lambda spans: [Outage(began * DAY / 2, (began + long) * DAY / 2) for began, long in spans]
)
POLICIES = st.builds(
    Policy,
    version=st.just(2),
    record=st.builds(RecordRules, lapse_days=st.integers(1, 5), gate_counts=st.booleans()),
    case=st.builds(CaseRules, red_days=st.integers(0, 14), yellow_days=st.integers(0, 14)),
    gate=st.builds(GateRules, fever=st.sampled_from(["yellow", "red", "review"])),
    symptoms=st.builds(SymptomRules, restart=st.booleans()),
)
_SEVERITY = {G: 0, Y: 1, R: 2}


def severity(ruling: Ruling) -> int:
    assert ruling.colour is not None
    return _SEVERITY[ruling.colour]


@given(STORY, st.randoms(use_true_random=False), _AT, OUTAGES, POLICIES)
@settings(max_examples=300)
def test_the_order_of_hearing_does_not_matter(facts: list[Fact], dice: object, at: float, outages: list[Outage], policy: Policy) -> None:
    shuffled = list(facts)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert colour_of(shuffled, at, policy, outages) == colour_of(facts, at, policy, outages)


@given(_LET_IN, _AT, st.floats(0, 1, exclude_max=True), OUTAGES, POLICIES)
@settings(max_examples=500)
def test_nothing_changes_until_it_is_due(facts: list[Fact], at: float, part: float, outages: list[Outage], policy: Policy) -> None:
    ruling = colour_of(facts, at, policy, outages)
    due = at + 400 * DAY if ruling.due is None else ruling.due
    assert due > at
    between = at + (due - at) * part
    assert colour_of(facts, min(between, math.nextafter(due, 0)), policy, outages) == ruling
    assert ruling.until is None or ruling.due is not None
    assert ruling.until is None or ruling.until > at


@given(_LET_IN, _AT, _AT)
@settings(max_examples=300)
def test_bad_news_never_improves(facts: list[Fact], at: float, when: float) -> None:
    before = severity(colour_of(facts, at, DEFAULT))
    for news in (FeverAtGate(when, "north", 38.0, ClockState.TRUSTED), case(0), CloseContact(when, "source", when)):
        worse = replace(news, at=when)
        if isinstance(worse, Case) and any(isinstance(fact, CaseClosed) for fact in facts):
            continue  # a case that is over may have been another's beginning
        assert severity(colour_of([*facts, worse], at, DEFAULT)) >= before


@given(STORY, _AT, OUTAGES, POLICIES)
@settings(max_examples=300)
def test_every_ruling_can_be_said_in_both_languages(facts: list[Fact], at: float, outages: list[Outage], policy: Policy) -> None:
    ruling = colour_of(facts, at, policy, outages)
    said: list[Sentence] = [ruling.why, *ruling.changes, *(one for reason in ruling.others for one in (reason.why, *reason.changes))]
    assert ruling.changes
    for sentence in said:
        for language in Language:
            assert "{" not in explain(sentence, language)


@given(_LET_IN, _AT)
def test_a_record_keeps_green_green(facts: list[Fact], at: float) -> None:
    before = colour_of(facts, at, DEFAULT)
    after = colour_of([*facts, normal(at / DAY)], at, DEFAULT)
    assert severity(after) <= severity(before)
    assert after.rule is not Rule.RECORD_LAPSED


def test_all_kinds_are_told_of() -> None:
    assert set(FACTS.values()) == {type(one) for one in _ALL_KINDS}


_ALL_KINDS: list[Fact] = [
    says(0),
    case(0),
    closed(0),
    contact(0),
    cleared_contact(0),
    began(0),
    test_result(0, TestOutcome.NEGATIVE),
    fever(0),
    normal(0),
    clear(0),
    hand(0, G),
    Reviewed(0.0, "rule"),
]


def test_a_ruling_takes_no_time_to_speak_of() -> None:
    """A typical person's twenty facts: 50 us is the aim on an idle machine; ten times that would be another algorithm."""
    facts = [*ENTERED, *checks_in(1, 9), *(normal(number + 0.3) for number in range(1, 10))]
    seconds = min(timeit.repeat(lambda: colour_of(facts, day(10), DEFAULT), number=200, repeat=7)) / 200
    assert seconds < 500e-6
