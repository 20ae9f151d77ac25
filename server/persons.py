"""Who a resident is, as it is sealed in the database, and the keyed hash by which the same number is found again."""

from __future__ import annotations

import unicodedata
from datetime import date

import msgspec
from sqlalchemy import Connection

from server.identity import Identity, Paper, normal_form
from server.sealing import Seal
from server.store import people

MOST_LETTERS = 200
"""Longest name, number and telephone number, in characters."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sealed about a resident. `state` is a passport's, three letters; `district` a code of server.districts or `outside`."""

    name: str
    number: str = ""
    phone: str = ""
    paper: Paper = Paper.CITIZEN
    state: str = ""
    born: date | None = None
    district: str = ""

    @property
    def identity(self) -> Identity | None:
        """The paper by which the person is known; None without a number."""
        number = normal_form(self.number)
        return Identity(self.paper, number, normal_form(self.state), self.born) if number else None


_DECODER = msgspec.json.Decoder(Person)


def find_bad_text(person: Person) -> str | None:
    """Why what is said of a person cannot be kept, in one line; None where it can."""
    if not person.name.strip():
        return "the name is empty: expected the resident's name"
    for what, text in (("name", person.name), ("number", person.number), ("phone", person.phone)):
        if len(text) > MOST_LETTERS:
            return f"the {what} has {len(text)} characters: expected at most {MOST_LETTERS}"
        if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
            return f"the {what} {text[:40]!a} has control characters or half characters: expected letters, digits and signs"
    return None


def fingerprint(seal: Seal, identity: Identity) -> bytes:
    """The keyed hash under which a resident of this identity is found."""
    return seal.fingerprint(identity.hashed)


def close_person(seal: Seal, resident: str, person: Person) -> bytes:
    """The person sealed, bound to the resident's row."""
    return seal.close(msgspec.json.encode(person), _context(resident))


def open_person(seal: Seal, resident: str, sealed: bytes) -> Person:
    """The person of a resident's row; SealError where it was sealed with another key or for another row."""
    return _DECODER.decode(seal.open(sealed, _context(resident)))


def read_person(tx: Connection, seal: Seal, resident: str) -> Person | None:
    """The person of a resident; None where there is no such resident."""
    sealed = people.find_sealed(tx, resident)
    return None if sealed is None else open_person(seal, resident, sealed)


def put_person(tx: Connection, seal: Seal, resident: str, person: Person) -> None:
    """Writes what is known of an existing resident anew, with the hash of their number."""
    identity = person.identity
    number_hash = None if identity is None else fingerprint(seal, identity)
    people.put_sealed(tx, resident, close_person(seal, resident, person), number_hash, person.district)


def _context(resident: str) -> str:
    return f"residents.sealed {resident}"
