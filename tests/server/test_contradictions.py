"""Where a declaration and the data do not agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.terms import ClockState
from server.contradictions import Flag, categories, contradictions, is_well, reasons_for_review
from server.facts import (
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
    Isolating,
    Isolation,
    IsolationStep,
    Symptom,
    TestOutcome,
    TestResult,
)
from server.policy import Policy
from server.sentences import Language, sentences

DAY = 86_400.0
AT = 100 * DAY
POLICY = Policy(version=1)
WELL = Declared(AT)
ILL = Declared(AT, symptoms=(Symptom.FEVER,))
CONTACT = CloseContact(AT - 3 * DAY, "clinic")
HOME = Isolation(AT - 5 * DAY, IsolationStep.BEGAN, Isolating.HOME, "clinic")
CENTRAL = Isolation(AT - 5 * DAY, IsolationStep.BEGAN, Isolating.CENTRAL, "clinic")
GATE_FEVER = FeverAtGate(AT - 0.1 * DAY, "north", 38.1, ClockState.TRUSTED)


@pytest.mark.parametrize(
    ("declared", "facts", "flags"),
    [
        (WELL, [], ()),
        (WELL, [CONTACT], (Flag.CONTACT_DENIED,)),
        (Declared(AT, contact=True), [CONTACT], ()),
        (WELL, [CloseContact(AT - 15 * DAY, "clinic")], ()),
        (WELL, [CloseContact(AT + 1, "clinic")], ()),
        (WELL, [CONTACT, ContactCleared(AT - DAY, "clinic")], ()),
        (WELL, [ContactCleared(AT - 4 * DAY, "clinic"), CONTACT], (Flag.CONTACT_DENIED,)),
        (WELL, [HOME], (Flag.ISOLATION_DENIED,)),
        (WELL, [HOME, Isolation(AT - DAY, IsolationStep.ENDED, Isolating.HOME, "clinic")], ()),
        (Declared(AT, isolation=Isolating.HOME, isolation_since=HOME.at), [HOME], ()),
        (Declared(AT, isolation=Isolating.HOME, isolation_since=HOME.at - 0.9 * DAY), [HOME], ()),
        (Declared(AT, isolation=Isolating.HOME, isolation_since=HOME.at - 2 * DAY), [HOME], (Flag.ISOLATION_EARLIER,)),
        (Declared(AT, isolation=Isolating.HOME, isolation_since=CENTRAL.at), [CENTRAL], (Flag.ISOLATION_ELSEWHERE,)),
        (Declared(AT, isolation=Isolating.CENTRAL, isolation_since=HOME.at), [HOME], ()),
        (WELL, [GATE_FEVER], (Flag.FEVER_DENIED,)),
        (ILL, [GATE_FEVER], ()),
        (Declared(AT, temperature_c=37.3), [GATE_FEVER], ()),
        (Declared(AT, temperature_c=37.2), [GATE_FEVER], (Flag.FEVER_DENIED,)),
        (WELL, [FeverAtGate(AT - 1.1 * DAY, "north", 38.1, ClockState.TRUSTED)], ()),
        (WELL, [GATE_FEVER, Cleared(AT - 0.05 * DAY, 36.5, "officer")], ()),
        (WELL, [HOME, CONTACT, GATE_FEVER], (Flag.CONTACT_DENIED, Flag.ISOLATION_DENIED, Flag.FEVER_DENIED)),
    ],
)
def test_what_does_not_agree_is_flagged(declared: Declared, facts: list[Fact], flags: tuple[Flag, ...]) -> None:
    assert contradictions(declared, facts, POLICY) == flags
    assert contradictions(declared, facts[::-1], POLICY) == flags


@pytest.mark.parametrize(
    ("facts", "flags"),
    [
        ([], ()),
        ([Case(AT - 40 * DAY, CaseCategory.FEVER, "clinic")], (Flag.CASE_OPEN,)),
        ([Case(AT - 40 * DAY, CaseCategory.CONFIRMED, "clinic"), CaseClosed(AT - DAY, CaseEnd.DISCHARGED, "clinic")], ()),
        ([TestResult(AT - DAY, TestOutcome.POSITIVE, "laboratory")], (Flag.TEST_POSITIVE,)),
        ([TestResult(AT - DAY, TestOutcome.POSITIVE, "laboratory"), TestResult(AT, TestOutcome.NEGATIVE, "laboratory")], ()),
        ([CONTACT, HOME], (Flag.LISTED_CONTACT, Flag.LISTED_ISOLATION)),
    ],
)
def test_the_categories_that_the_data_name(facts: list[Fact], flags: tuple[Flag, ...]) -> None:
    assert categories(facts, AT, POLICY) == flags


def test_what_people_say_against_themselves_needs_no_officer() -> None:
    honest = Declared(AT, symptoms=(Symptom.COUGH,), contact=True, isolation=Isolating.HOME, isolation_since=AT - DAY)
    assert reasons_for_review(honest, [], POLICY) == ()
    assert reasons_for_review(honest, [CONTACT], POLICY) == (Flag.LISTED_CONTACT,)
    assert not is_well(honest, POLICY) and is_well(WELL, POLICY) and not is_well(ILL, POLICY)


@given(st.permutations([CONTACT, HOME, GATE_FEVER, Case(AT - DAY, CaseCategory.SUSPECTED, "clinic"), ContactCleared(AT - DAY, "clinic")]))
def test_the_order_in_which_facts_come_is_nothing(facts: list[Fact]) -> None:
    assert reasons_for_review(WELL, facts, POLICY) == (Flag.ISOLATION_DENIED, Flag.FEVER_DENIED, Flag.CASE_OPEN, Flag.LISTED_ISOLATION)


@pytest.mark.parametrize("language", list(Language))
def test_every_flag_has_a_sentence(language: Language) -> None:
    assert {f"review.{flag.value}" for flag in Flag} <= set(sentences(language))
