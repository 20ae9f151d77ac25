"""Where what a person declares does not agree with what is known of them: flags for an officer's eyes, never a verdict. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from server.facts import (
    Case,
    CaseClosed,
    Cleared,
    CloseContact,
    ContactCleared,
    Declared,
    Fact,
    FeverAtGate,
    Isolating,
    Isolation,
    IsolationStep,
    Reviewed,
    SetByHand,
    Symptom,
    TestOutcome,
    TestResult,
)
from server.policy import DAY_S, Policy

FEVER_REMEMBERED_S = DAY_S
"""How long a gate's fever speaks against somebody who says that they have none."""


class Flag(StrEnum):
    """What an officer has to look at. Stable words: stored with the review; sentences: review.{word}."""

    CONTACT_DENIED = "contact_denied"
    ISOLATION_DENIED = "isolation_denied"
    ISOLATION_ELSEWHERE = "isolation_elsewhere"
    ISOLATION_EARLIER = "isolation_earlier"
    CASE_OPEN = "case_open"
    TEST_POSITIVE = "test_positive"
    FEVER_DENIED = "fever_denied"
    LISTED_CONTACT = "listed_contact"
    LISTED_ISOLATION = "listed_isolation"
    CORRECTED_TO_WELL = "corrected_to_well"
    SAYS_SYMPTOMS = "says_symptoms"
    SAYS_CONTACT = "says_contact"
    SAYS_ISOLATION = "says_isolation"


@dataclass(frozen=True)
class Known:
    """What the data say of a person at a time: the newest contact not cleared, the open case, the isolation in force, and so on."""

    contact: CloseContact | None = None
    case: Case | None = None
    isolation: Isolation | None = None
    positive: TestResult | None = None
    gate_fever: FeverAtGate | None = None


def known(facts: Iterable[Fact], at: float, policy: Policy) -> Known:
    """What counts at `at`, from facts in any order; what happened later is not there yet."""
    contact: CloseContact | None = None
    case: Case | None = None
    isolation: Isolation | None = None
    positive: TestResult | None = None
    fever: FeverAtGate | None = None
    for fact in sorted((fact for fact in facts if fact.at <= at), key=lambda fact: fact.at):
        match fact:
            case CloseContact():
                contact = fact
            case ContactCleared():
                contact = None
            case Case():
                case = fact
            case CaseClosed():
                case = None
            case Isolation():
                isolation = fact if fact.step is IsolationStep.BEGAN else None
            case TestResult():
                positive = fact if fact.outcome is TestOutcome.POSITIVE else None
            case FeverAtGate():
                fever = fact
            case Cleared():
                fever = None
            case _:
                pass
    return Known(
        contact if contact is not None and contact.at > at - policy.contact.days * DAY_S else None,
        case,
        isolation,
        positive,
        fever if fever is not None and fever.at > at - FEVER_REMEMBERED_S else None,
    )


def contradictions(declared: Declared, facts: Iterable[Fact], policy: Policy) -> tuple[Flag, ...]:
    """In what the declaration does not agree with the facts of its time."""
    data = known(facts, declared.at, policy)
    flags = []
    if data.contact is not None and not declared.contact:
        flags.append(Flag.CONTACT_DENIED)
    if data.isolation is not None:
        if declared.isolation is Isolating.NONE:
            flags.append(Flag.ISOLATION_DENIED)
        elif data.isolation.place is Isolating.CENTRAL and declared.isolation is Isolating.HOME:
            flags.append(Flag.ISOLATION_ELSEWHERE)
        if declared.isolation_since is not None and declared.isolation_since < data.isolation.at - DAY_S:
            flags.append(Flag.ISOLATION_EARLIER)
    if data.gate_fever is not None and not is_feverish(declared, policy):
        flags.append(Flag.FEVER_DENIED)
    return tuple(flags)


def newly_contradicted(facts: Collection[Fact], before: Collection[Fact], policy: Policy) -> tuple[Flag, ...]:
    """In what the newest declaration of somebody who has a review does not agree with `facts`, and agreed with what was known `before`.

    And what was not known before of which the policy has people look first.
    """
    if not any(isinstance(fact, Reviewed | SetByHand) for fact in facts):
        return ()
    left = policy.case.positive_test == "review" and any(
        isinstance(fact, TestResult) and fact.outcome is TestOutcome.POSITIVE and fact not in before for fact in facts
    )
    flags = (Flag.TEST_POSITIVE,) if left else ()
    declared = max((fact for fact in facts if isinstance(fact, Declared)), key=lambda fact: fact.at, default=None)
    if declared is None:
        return flags
    known_before = contradictions(declared, before, policy)
    return (*flags, *(flag for flag in contradictions(declared, facts, policy) if flag not in known_before))


def categories(facts: Iterable[Fact], at: float, policy: Policy) -> tuple[Flag, ...]:
    """Which of the four categories the data name at `at`: confirmed and suspected cases, fever cases, close contacts; and isolation."""
    data = known(facts, at, policy)
    flags = {
        Flag.CASE_OPEN: data.case,
        Flag.TEST_POSITIVE: data.positive,
        Flag.LISTED_CONTACT: data.contact,
        Flag.LISTED_ISOLATION: data.isolation,
    }
    return tuple(flag for flag, found in flags.items() if found is not None)


def reasons_for_review(declared: Declared, facts: Iterable[Fact], policy: Policy) -> tuple[Flag, ...]:
    """Why an officer has to look before a code is given. What people say against themselves is no reason where the rules make it yellow."""
    facts = list(facts)
    return contradictions(declared, facts, policy) + categories(facts, declared.at, policy) + left_to_people(declared, None, policy)


def left_to_people(declared: Declared, before: Declared | None, policy: Policy) -> tuple[Flag, ...]:
    """What somebody says of themselves that changes no colour because the policy has people look first (`review`).

    What the declaration `before` said already is not put before anybody again; a further symptom is.
    """
    rules = policy.declared
    told = () if before is None else before.symptoms
    was_feverish = before is not None and is_feverish(before, policy)
    flags = []
    if rules.symptoms == "review" and (set(declared.symptoms) - set(told) or (is_feverish(declared, policy) and not was_feverish)):
        flags.append(Flag.SAYS_SYMPTOMS)
    if rules.contact == "review" and declared.contact and not (before is not None and before.contact):
        flags.append(Flag.SAYS_CONTACT)
    if rules.isolation == "review" and declared.isolation is not (Isolating.NONE if before is None else before.isolation):
        flags += [Flag.SAYS_ISOLATION] if declared.isolation is not Isolating.NONE else []
    return tuple(flags)


def is_feverish(declared: Declared, policy: Policy) -> bool:
    """Whether the person says that they have fever, in words or by their own thermometer."""
    return Symptom.FEVER in declared.symptoms or (declared.temperature_c is not None and declared.temperature_c >= policy.declared.fever_c)


def is_well(declared: Declared, policy: Policy) -> bool:
    """Whether the person says nothing that speaks against them: no symptom, no fever, no contact, no isolation."""
    return not declared.symptoms and not is_feverish(declared, policy) and not declared.contact and declared.isolation is Isolating.NONE
