"""Names and registrations as people type them."""

from __future__ import annotations

import dataclasses
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.enrolment import Details, Entry, EntryField, Relation, must_hand_over, read_details, read_entry, read_name
from server.faults import Fault, Faults
from server.identity import Identity, Paper, start_of
from server.sentences import Language, say
from tests.server.family import number

AT = start_of(date(2020, 3, 16))


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (" 张三 ", "张三"),
        ("王　芳", "王 芳"),
        ("买买提•艾力", "买买提·艾力"),
        ("买买提・艾力", "买买提·艾力"),
        ("Anne-Marie  O’Neill, Jr.", "Anne-Marie O’Neill, Jr."),
        ("José", "José"),
        ("䶮", "䶮"),
        ("", Fault("name.empty")),
        (" \t", Fault("name.empty")),
        ("张3", Fault("name.character", {"position": 2, "character": "3"})),
        ("张<b>", Fault("name.character", {"position": 2, "character": "<"})),
        ("张\u202e三", Fault("name.character", {"position": 2, "character": "?"})),
        ("长" * 61, Fault("name.long", {"most": 60})),
    ],
)
def test_names(typed: str, name: str | Fault) -> None:
    assert read_name(typed) == name


def test_a_registration_in_normal_form() -> None:
    typed = {"relation": "elder", "name": "John  Smith", "paper": "passport", "number": "p 123-4567", "state": "gbr", "born": "1 May 1940"}
    assert read_entry(typed, AT) == Entry(Relation.ELDER, "John Smith", Identity(Paper.PASSPORT, "P1234567", "GBR", date(1940, 5, 1)))


@pytest.mark.parametrize(
    ("relation", "born", "key"),
    [
        ("self", date(2006, 3, 16), None),
        ("self", date(2006, 3, 17), "relation.self_too_young"),
        ("child", date(2002, 3, 17), None),
        ("child", date(2002, 3, 16), "relation.child_of_age"),
        ("elder", date(1990, 1, 1), None),
        ("other", date(2020, 3, 16), None),
    ],
)
def test_who_can_be_what(relation: str, born: date, key: str | None) -> None:
    outcome = read_entry({"relation": relation, "name": "居民甲", "paper": "citizen", "number": number(born)}, AT)
    if key is None:
        assert isinstance(outcome, Entry) and outcome.identity.born == born
    else:
        assert isinstance(outcome, Faults) and outcome.by_field["relation"].key == key


def test_the_faults_stand_beside_their_fields_in_order() -> None:
    outcome = read_entry({"paper": "passport", "state": "Britain", "born": "tomorrow"}, AT)
    assert isinstance(outcome, Faults)
    assert {field: fault.key for field, fault in outcome.by_field.items()} == {
        "relation": "relation.missing",
        "name": "name.empty",
        "number": "identity.empty",
        "born": "date.form",
    }
    assert list(outcome.by_field) == [field.value for field in EntryField if field.value in outcome.by_field]


def test_only_details_that_are_given_change() -> None:
    assert read_details({}) == Details()
    assert read_details({"phone": "138 1234 5678"}) == Details(phone="13812345678")
    assert read_details({"name": " 张三", "district": "outside", "number": "1"}) == Details(name="张三", district="outside")


def test_a_child_of_eighteen_is_to_have_an_account() -> None:
    assert not must_hand_over(Relation.CHILD, date(2002, 3, 17), AT)
    assert must_hand_over(Relation.CHILD, date(2002, 3, 16), AT)
    assert not must_hand_over(Relation.ELDER, date(1930, 1, 1), AT)
    assert not must_hand_over(Relation.CHILD, None, AT)


TYPED = st.dictionaries(st.sampled_from([field.value for field in EntryField]), st.text(max_size=25))


@given(TYPED, st.sampled_from(Paper), st.sampled_from(Relation))
def test_whatever_is_typed_gets_an_answer_that_can_be_said(typed: dict[str, str], paper: Paper, relation: Relation) -> None:
    for form in (typed, {**typed, "paper": paper.value, "relation": relation.value}):
        outcome = read_entry(form, AT)
        if isinstance(outcome, Faults):
            assert outcome.by_field
            for fault in outcome.by_field.values():
                assert all(say(language, fault.key, fault.params) for language in Language)
        else:
            assert dataclasses.replace(outcome) == outcome
