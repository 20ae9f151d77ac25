"""What is asked to register somebody, oneself or a member of the family, and to edit their details; read as people type it. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeVar

from server.districts import is_place
from server.faults import Fault, Faults
from server.identity import OF_AGE, Identity, Paper, age, read_identity
from server.typed import read_date, read_phone

OWN_ACCOUNT_AGE = 14
"""Younger ones are registered by a guardian (Personal Information Protection Law, article 31)."""
MOST_NAME_LETTERS = 60
W = TypeVar("W", bound=StrEnum)
_DOTS = str.maketrans(dict.fromkeys("·•‧・･", "·"))


class Relation(StrEnum):
    """What a resident is to the account that looks after them. Stable words: stored, and values of forms."""

    SELF = "self"
    CHILD = "child"
    ELDER = "elder"
    OTHER = "other"


class EntryField(StrEnum):
    """The fields of a registration. Stable words: names of form fields and of the API's."""

    RELATION = "relation"
    NAME = "name"
    PAPER = "paper"
    NUMBER = "number"
    STATE = "state"
    BORN = "born"


class DetailField(StrEnum):
    """The details that people edit themselves. Stable words, as above."""

    NAME = "name"
    PHONE = "phone"
    DISTRICT = "district"


@dataclass(frozen=True)
class Entry:
    """Somebody to be registered, with all in normal form."""

    relation: Relation
    name: str
    identity: Identity


@dataclass(frozen=True)
class Details:
    """The details that change; None for one that stays."""

    name: str | None = None
    phone: str | None = None
    district: str | None = None


def read_entry(typed: Mapping[str, str], at: float) -> Entry | Faults:
    """The person that a registration names at `at`, or all that is wrong with it. Passports and permits need a date of birth."""
    faults: dict[str, Fault] = {}
    relation = _read_word(Relation, typed, EntryField.RELATION, faults)
    name = read_name(typed.get(EntryField.NAME, ""))
    if isinstance(name, Fault):
        faults[EntryField.NAME.value] = name
    identity = _read_paper(typed, at, faults)
    if relation is not None and identity is not None and identity.born is not None:
        fault = _find_unfit(relation, identity.born, at)
        if fault:
            faults[EntryField.RELATION.value] = fault
    if faults or relation is None or identity is None or isinstance(name, Fault):
        return _in_order(faults)
    return Entry(relation, name, identity)


def read_paper(typed: Mapping[str, str], at: float) -> Identity | Faults:
    """What a paper says of who somebody is, or all that is wrong with it; the same fields as of a registration."""
    faults: dict[str, Fault] = {}
    identity = _read_paper(typed, at, faults)
    return _in_order(faults) if faults or identity is None else identity


def read_details(typed: Mapping[str, str]) -> Details | Faults:
    """The details among `typed` that are to change, or all that is wrong with them."""
    faults: dict[str, Fault] = {}
    values: dict[str, str] = {}
    for field in DetailField:
        said = typed.get(field.value)
        if said is None:
            continue
        match field:
            case DetailField.NAME:
                value = read_name(said)
            case DetailField.PHONE:
                value = read_phone(said)
            case DetailField.DISTRICT:
                value = said if is_place(said) else Fault("answer.place")
        if isinstance(value, Fault):
            faults[field.value] = value
        else:
            values[field.value] = value
    return Faults(faults) if faults else Details(**values)


def read_name(typed: str) -> str | Fault:
    """A name with single spaces and one kind of dot; the first character that no name has is named."""
    name = " ".join(unicodedata.normalize("NFC", typed).split()).translate(_DOTS)
    if not name:
        return Fault("name.empty")
    if len(name) > MOST_NAME_LETTERS:
        return Fault("name.long", {"most": MOST_NAME_LETTERS})
    for place, letter in enumerate(name):
        if not (unicodedata.category(letter)[0] in "LM" or letter in " ·-'’.,"):
            return Fault("name.character", {"position": place + 1, "character": letter if letter.isprintable() else "?"})
    return name


def must_hand_over(relation: Relation, born: date | None, at: float) -> bool:
    """Whether somebody who was registered as a child is of age at `at`: it is time for an account of their own."""
    return relation is Relation.CHILD and born is not None and age(born, at) >= OF_AGE


def _read_word(kind: type[W], typed: Mapping[str, str], field: EntryField, faults: dict[str, Fault]) -> W | None:
    try:
        return kind(typed.get(field, ""))
    except ValueError:
        faults[field.value] = Fault(f"{field.value}.missing")
        return None


def _in_order(faults: Mapping[str, Fault]) -> Faults:
    return Faults({field.value: faults[field.value] for field in EntryField if field.value in faults})


def _read_paper(typed: Mapping[str, str], at: float, faults: dict[str, Fault]) -> Identity | None:
    paper = _read_word(Paper, typed, EntryField.PAPER, faults)
    return None if paper is None else _read_identity(paper, typed, at, faults)


def _read_identity(paper: Paper, typed: Mapping[str, str], at: float, faults: dict[str, Fault]) -> Identity | None:
    born: date | None = None
    if paper is not Paper.CITIZEN:
        said = typed.get(EntryField.BORN, "").strip()
        day = read_date(said, at) if said else Fault("born.missing")
        if isinstance(day, Fault):
            faults[EntryField.BORN.value] = day
        else:
            born = day
    identity = read_identity(paper, typed.get(EntryField.NUMBER, ""), at, state=typed.get(EntryField.STATE, ""), born=born)
    if isinstance(identity, Identity):
        return identity
    field = EntryField.NUMBER
    if identity.key.startswith("identity.state"):
        field = EntryField.STATE
    elif born is not None and identity.key.startswith("identity.date"):
        field = EntryField.BORN
    faults[field.value] = identity
    return None


def _find_unfit(relation: Relation, born: date, at: float) -> Fault | None:
    years = age(born, at)
    if relation is Relation.CHILD and years >= OF_AGE:
        return Fault("relation.child_of_age", {"age": years})
    if relation is Relation.SELF and years < OWN_ACCOUNT_AGE:
        return Fault("relation.self_too_young", {"age": OWN_ACCOUNT_AGE})
    return None
