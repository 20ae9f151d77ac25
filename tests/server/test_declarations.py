"""What people answer and what a declaration makes of it."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.declarations import (
    QUESTIONS,
    Answers,
    Declaration,
    Field,
    Kind,
    Question,
    asked,
    questions,
    read_answer,
    validate,
)
from server.districts import OUTSIDE, districts
from server.facts import Declared, Isolating, Symptom
from server.faults import Fault, Faults
from server.identity import start_of
from server.sentences import Language, say, sentences

AT = start_of(date(2020, 3, 16)) + 9 * 3600
WELL: dict[str, str | list[str]] = {
    "symptoms": ["none"],
    "temperature": "36,8",
    "contact": "no",
    "travel": ["none"],
    "isolation": "none",
    "district": "420106",
    "phone": "138 1234 5678",
}


def question(field: Field) -> Question:
    return next(question for question in QUESTIONS if question.field is field)


def test_somebody_who_is_well_declares() -> None:
    assert validate(WELL, AT) == Declaration((), 36.8, False, (), Isolating.NONE, None, "420106", "13812345678")


def test_somebody_who_is_not_declares_all_of_it() -> None:
    said = validate(
        {
            **WELL,
            "symptoms": ["cough", "fever"],
            "temperature": "38.5℃",
            "contact": "yes",
            "travel": ["outside", "420102"],
            "isolation": "home",
            "isolation_since": "3月10日",
        },
        AT,
    )
    assert said == Declaration(
        (Symptom.FEVER, Symptom.COUGH), 38.5, True, ("420102", OUTSIDE), Isolating.HOME, date(2020, 3, 10), "420106", "13812345678"
    )
    assert isinstance(said, Declaration)
    assert said.fact(AT, is_check_in=False, by="resident") == Declared(
        AT,
        (Symptom.FEVER, Symptom.COUGH),
        38.5,
        True,
        ("420102", OUTSIDE),
        Isolating.HOME,
        start_of(date(2020, 3, 10)),
        "420106",
        False,
        "resident",
    )


def test_the_daily_check_in_asks_less_and_keeps_the_district() -> None:
    fields = [question.field for question in questions(is_check_in=True)]
    assert fields == [Field.SYMPTOMS, Field.TEMPERATURE, Field.CONTACT, Field.ISOLATION, Field.ISOLATION_SINCE]
    said = validate({"symptoms": "none", "contact": "no", "isolation": "none"}, AT, is_check_in=True)
    assert said == Declaration()
    assert isinstance(said, Declaration)
    assert said.fact(AT, is_check_in=True, by="guardian", district="420106").district == "420106"


def test_when_isolation_began_is_asked_of_those_in_isolation() -> None:
    def fields(isolation: str) -> list[Field]:
        return [question.field for question in asked({"isolation": isolation}, is_check_in=True)]

    assert Field.ISOLATION_SINCE in fields("home") and Field.ISOLATION_SINCE in fields("central")
    assert Field.ISOLATION_SINCE not in fields("none") and Field.ISOLATION_SINCE not in fields("")
    left_over = validate({**WELL, "isolation_since": "not a date"}, AT)
    assert isinstance(left_over, Declaration) and left_over.isolation_since is None


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"symptoms": ""}, {"symptoms": Fault("question.symptoms.missing")}),
        ({"symptoms": ["none", "cough"]}, {"symptoms": Fault("question.symptoms.none_and_others")}),
        ({"symptoms": ["plague"]}, {"symptoms": Fault("answer.choice")}),
        ({"temperature": "368"}, {"temperature": Fault("temperature.point", {"suggested": "36.8"})}),
        ({"contact": "maybe"}, {"contact": Fault("answer.choice")}),
        ({"contact": ["yes", "no"]}, {"contact": Fault("answer.one")}),
        ({"contact": " "}, {"contact": Fault("question.contact.missing")}),
        ({"travel": []}, {"travel": Fault("question.travel.missing")}),
        ({"travel": ["none", "420102"]}, {"travel": Fault("question.travel.none_and_others")}),
        ({"travel": ["Beijing"]}, {"travel": Fault("answer.place")}),
        ({"travel": list(districts())}, {"travel": Fault("question.travel.too_many", {"most": 40})}),
        ({"isolation": "home"}, {"isolation_since": Fault("question.isolation_since.missing")}),
        ({"isolation": "home", "isolation_since": "明天"}, {"isolation_since": Fault("date.form")}),
        (
            {"isolation": "central", "isolation_since": "2020-03-17"},
            {"isolation_since": Fault("date.future", {"date": "2020-03-17"})},
        ),
        (
            {"isolation": "central", "isolation_since": "2019-03-16"},
            {"isolation_since": Fault("date.too_old", {"date": "2019-03-16", "oldest": "2019-12-17"})},
        ),
        ({"district": "420100"}, {"district": Fault("answer.place")}),
        ({"phone": "1381234567"}, {"phone": Fault("phone.length", {"found": 10, "expected": 11})}),
        ({"phone": "1" * 101}, {"phone": Fault("answer.too_long", {"most": 100})}),
        ({"favourite": "blue"}, {"favourite": Fault("answer.unknown", {"field": "favourite"})}),
        (
            {"symptoms": [], "contact": "", "phone": "x"},
            {
                "symptoms": Fault("question.symptoms.missing"),
                "contact": Fault("question.contact.missing"),
                "phone": Fault("phone.character", {"character": "x"}),
            },
        ),
    ],
)
def test_all_that_is_wrong_is_said_at_once_by_field(change: Answers, faults: dict[str, Fault]) -> None:
    assert validate({**WELL, **change}, AT) == Faults(faults)


def test_one_page_judges_one_question() -> None:
    assert read_answer(question(Field.TEMPERATURE), {"temperature": ""}, AT) is None
    assert read_answer(question(Field.TEMPERATURE), {"temperature": "36度8"}, AT) == 36.8
    assert read_answer(question(Field.CONTACT), {}, AT) == Fault("question.contact.missing")


@pytest.mark.parametrize("language", list(Language))
def test_every_question_choice_and_fault_has_a_sentence(language: Language) -> None:
    have = set(sentences(language))
    for each in QUESTIONS:
        stem = f"question.{each.field.value}"
        wanted = {f"{stem}.title", f"{stem}.hint", *(f"{stem}.{choice}" for choice in each.choices)}
        if not each.is_optional:
            wanted.add(f"{stem}.missing")
        if each.kind in (Kind.MANY, Kind.PLACES):
            wanted.add(f"{stem}.none_and_others")
        assert wanted - have == set()


VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["none", "yes", "no", "home", "central", "fever", "420106", "outside", "36.8", "13812345678", "昨天"]),
)
ANSWERS = st.dictionaries(
    st.sampled_from([field.value for field in Field]), st.one_of(VALUES, st.lists(VALUES, max_size=3)), max_size=len(Field)
)


@given(ANSWERS, st.booleans())
def test_whatever_is_answered_gives_a_declaration_or_faults_that_can_be_said(answers: Answers, is_check_in: bool) -> None:
    said = validate(answers, AT, is_check_in=is_check_in)
    if isinstance(said, Faults):
        assert said.by_field
        for fault in said.by_field.values():
            for language in Language:
                assert say(language, fault.key, fault.params)
    else:
        assert (said.isolation is Isolating.NONE) == (said.isolation_since is None)
