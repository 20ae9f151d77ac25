"""What the log says beside who and what, in the words of the desk: no stable word is left as it is stored."""

from __future__ import annotations

import re
from enum import StrEnum
from zoneinfo import ZoneInfo

import pytest

from healthcode.terms import Colour, Form
from server.actors import Role
from server.appeals import Answer
from server.apps import Scope
from server.colours import Rule
from server.contradictions import Flag
from server.enrolment import Relation
from server.epidemic_rows import EpidemicKind
from server.facts import FACTS, CaseCategory, CaseEnd, HandReason, TestOutcome
from server.handovers import Purpose
from server.papers import Layout
from server.policies import PolicyReason
from server.reviews import Decision, ReviewReason
from server.sentences import Language, sentences
from server.web.desk_details import tell_detail
from server.web.language import Words

KINDS: list[tuple[str, list[type[StrEnum]]]] = [
    ("colour", [Colour]),
    ("reason", [HandReason, ReviewReason, Answer, CaseCategory, CaseEnd, TestOutcome, Rule, PolicyReason]),
    ("kind", [EpidemicKind]),
    ("decision", [Decision]),
    ("relation", [Relation]),
    ("purpose", [Purpose]),
    ("form", [Form]),
    ("layout", [Layout]),
    ("scopes", [Scope]),
    ("why", [Flag]),
]
WORDS = [(name, each.value) for name, kinds in KINDS for kind in kinds for each in kind] + [
    *(("kind", kind) for kind in (*FACTS, "fever", "contradiction", "says", "copied", "declaration", "claim")),
    *(("reason", reason) for reason in ("disabled", "wrong_password", "wrong_old_password")),
    *(("role", role.value) for role in Role),
    ("from", "pending"),
    ("to", "red"),
    ("said", "yes"),
    ("decision", "granted"),
    ("decision", "refused"),
    ("name", "shown"),
    ("name", "masked"),
    ("name", "unseen"),
    ("fields", "name phone district"),
    ("places", "shared"),
]


def of(language: Language) -> Words:
    return Words(language, sentences(language), ZoneInfo("Asia/Shanghai"))


@pytest.mark.parametrize(("name", "value"), WORDS)
def test_no_stored_word_is_left_in_chinese(name: str, value: str) -> None:
    told = tell_detail(of(Language.CHINESE), {name: value})
    assert not re.search(r"[a-z_]{2,}", told), told


def test_a_detail_in_a_line() -> None:
    detail: dict[str, str | int] = {"colour": "red", "reason": "papers_seen", "residents": 1200, "began_ms": 1_584_300_000_000, "note": ""}
    assert tell_detail(of(Language.ENGLISH), {**detail, "account": "w5v24xhxex", "delay_s": 86_400}) == (
        "colour: Red code · reason: Papers were seen · people: 1,200 · began: 16 March 2020, 03:20 · account: w5v24xhxex · delay: 24 h"
    )
