"""What a declaration and a daily check-in ask, as data, and what the answers say. Pure.

One question can be one page: `asked` says which follow from the answers so far, `read_answer` judges one of them, `validate` all.
Sentences are found by convention: question.{field}.title, .hint, and question.{field}.{choice}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from server.districts import OUTSIDE, districts, is_place
from server.facts import Declared, Isolating, Symptom
from server.faults import Fault, Faults
from server.identity import day_of, start_of
from server.typed import read_date, read_phone, read_temperature

Answers = Mapping[str, str | Sequence[str]]
"""What was typed or chosen, by field; one text, or several where a question lets one choose several."""

NONE = "none"
YES, NO = "yes", "no"
LONGEST_ISOLATION_DAYS = 90
"""A longer isolation is a mistake in the date."""
MOST_PLACES = 40
_MOST_LETTERS = 100


class Field(StrEnum):
    """The questions. Stable words: names of form fields, of the API's and of a draft's."""

    SYMPTOMS = "symptoms"
    TEMPERATURE = "temperature"
    CONTACT = "contact"
    TRAVEL = "travel"
    ISOLATION = "isolation"
    ISOLATION_SINCE = "isolation_since"
    DISTRICT = "district"
    PHONE = "phone"


class Kind(StrEnum):
    """How a question is answered."""

    ONE = "one"
    MANY = "many"
    TEMPERATURE = "temperature"
    DATE = "date"
    PLACE = "place"
    PLACES = "places"
    PHONE = "phone"


@dataclass(frozen=True)
class Question:
    """A question. It is asked only if the answer to the first of `only_if` is among the second; an optional one may stay empty."""

    field: Field
    kind: Kind
    choices: tuple[str, ...] = ()
    in_check_in: bool = True
    is_optional: bool = False
    only_if: tuple[Field, frozenset[str]] | None = None


QUESTIONS = (
    Question(Field.SYMPTOMS, Kind.MANY, (NONE, *(symptom.value for symptom in Symptom))),
    Question(Field.TEMPERATURE, Kind.TEMPERATURE, is_optional=True),
    Question(Field.CONTACT, Kind.ONE, (NO, YES)),
    Question(Field.TRAVEL, Kind.PLACES, (NONE,), in_check_in=False),
    Question(Field.ISOLATION, Kind.ONE, tuple(place.value for place in Isolating)),
    Question(Field.ISOLATION_SINCE, Kind.DATE, only_if=(Field.ISOLATION, frozenset({Isolating.HOME.value, Isolating.CENTRAL.value}))),
    Question(Field.DISTRICT, Kind.PLACE, in_check_in=False),
    Question(Field.PHONE, Kind.PHONE, in_check_in=False),
)
"""Every question in the order in which it is asked."""


@dataclass(frozen=True)
class Declaration:
    """What a person says of themselves: `contact` with a case in the last 14 days, `travel` and `district` as codes of districts.

    `district` and `phone` are empty in a check-in, which does not ask for them.
    """

    symptoms: tuple[Symptom, ...] = ()
    temperature_c: float | None = None
    contact: bool = False
    travel: tuple[str, ...] = ()
    isolation: Isolating = Isolating.NONE
    isolation_since: date | None = None
    district: str = ""
    phone: str = ""

    def fact(self, at: float, *, is_check_in: bool, by: str, district: str = "", corrects: float | None = None) -> Declared:
        """The fact that it is, said at `at` by the role `by`; `district` is the one known before. The phone is no part of it."""
        return Declared(
            at,
            self.symptoms,
            self.temperature_c,
            self.contact,
            self.travel,
            self.isolation,
            None if self.isolation_since is None else start_of(self.isolation_since),
            self.district or district,
            is_check_in,
            by,
            corrects,
        )


def questions(*, is_check_in: bool) -> tuple[Question, ...]:
    """The questions of a declaration or of a check-in, in order."""
    return tuple(question for question in QUESTIONS if question.in_check_in or not is_check_in)


def asked(answers: Answers, *, is_check_in: bool) -> tuple[Question, ...]:
    """The questions that apply to somebody who answered so."""
    return tuple(question for question in questions(is_check_in=is_check_in) if _applies(question, answers))


def read_answer(question: Question, answers: Answers, at: float) -> object | Fault:
    """What the answer to one question means: symptoms, degrees, a date, codes, ...; None for an optional one left empty."""
    said = _texts(answers, question.field)
    if not said:
        return None if question.is_optional else Fault(f"question.{question.field.value}.missing")
    if any(len(text) > _MOST_LETTERS for text in said):
        return Fault("answer.too_long", {"most": _MOST_LETTERS})
    if question.kind not in (Kind.MANY, Kind.PLACES) and len(said) > 1:
        return Fault("answer.one")
    match question.kind:
        case Kind.TEMPERATURE:
            return read_temperature(said[0])
        case Kind.DATE:
            return read_date(said[0], at, oldest=day_of(at) - timedelta(days=LONGEST_ISOLATION_DAYS))
        case Kind.PHONE:
            return read_phone(said[0])
        case Kind.PLACE:
            return said[0] if is_place(said[0]) else Fault("answer.place")
        case Kind.PLACES:
            return _read_places(said)
        case Kind.MANY:
            return _read_many(question, said)
        case Kind.ONE:
            return said[0] if said[0] in question.choices else Fault("answer.choice")


def validate(answers: Answers, at: float, *, is_check_in: bool = False) -> Declaration | Faults:
    """The declaration that the answers make at `at` (seconds since 1970), or all that is wrong with them.

    An answer to a question that does not apply is left aside; one to a question that there is not is a fault.
    """
    faults: dict[str, Fault] = {}
    values: dict[Field, object] = {}
    for question in asked(answers, is_check_in=is_check_in):
        value = read_answer(question, answers, at)
        if isinstance(value, Fault):
            faults[question.field.value] = value
        else:
            values[question.field] = value
    known = {question.field.value for question in QUESTIONS}
    faults.update({field[:40]: Fault("answer.unknown", {"field": field[:40]}) for field in answers if field not in known})
    if faults:
        return Faults(faults)
    return _make(values)


def _make(values: Mapping[Field, object]) -> Declaration:
    symptoms, temperature, since = (values.get(field) for field in (Field.SYMPTOMS, Field.TEMPERATURE, Field.ISOLATION_SINCE))
    travel = values.get(Field.TRAVEL, ())
    assert isinstance(symptoms, tuple) and isinstance(travel, tuple)
    assert temperature is None or isinstance(temperature, float)
    assert since is None or isinstance(since, date)
    return Declaration(
        tuple(Symptom(word) for word in symptoms),
        temperature,
        values[Field.CONTACT] == YES,
        travel,
        Isolating(str(values[Field.ISOLATION])),
        since,
        str(values.get(Field.DISTRICT, "")),
        str(values.get(Field.PHONE, "")),
    )


def _applies(question: Question, answers: Answers) -> bool:
    if question.only_if is None:
        return True
    field, those = question.only_if
    return any(text in those for text in _texts(answers, field))


def _texts(answers: Answers, field: Field) -> list[str]:
    said = answers.get(field.value, "")
    return [text.strip() for text in ([said] if isinstance(said, str) else said) if text.strip()]


def _read_many(question: Question, said: Sequence[str]) -> tuple[str, ...] | Fault:
    if any(text not in question.choices for text in said):
        return Fault("answer.choice")
    if NONE in said:
        return () if set(said) == {NONE} else Fault(f"question.{question.field.value}.none_and_others")
    return tuple(choice for choice in question.choices if choice in said)


def _read_places(said: Sequence[str]) -> tuple[str, ...] | Fault:
    if set(said) == {NONE}:
        return ()
    if NONE in said:
        return Fault("question.travel.none_and_others")
    if not all(is_place(text) for text in said):
        return Fault("answer.place")
    if len(set(said)) > MOST_PLACES:
        return Fault("question.travel.too_many", {"most": MOST_PLACES})
    return tuple(place for place in (*districts(), OUTSIDE) if place in said)
