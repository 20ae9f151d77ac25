"""Made-up residents of each kind for the demo, with accounts to sign in with. Registered and declared as residents do it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from healthcode.terms import Form
from server.accounts import Account
from server.actors import AT_CONSOLE, Actor, Role
from server.charges import Registered
from server.checkins import ReportKind, Taken
from server.enrolment import Relation
from server.facts import Case, CaseCategory, CloseContact, Fact
from server.identity import Paper, check_character, day_of
from server.office import Office

T = TypeVar("T")

WUCHANG = "420106"
SOURCE = "demo"
CONTACT_S_AGO, CASE_S_AGO = 2 * 86_400, 86_400
CHILDS_AGE = 9


@dataclass(frozen=True)
class Known:
    """A made-up resident as the gates' pages offer them; `form` is how they usually carry their code."""

    resident: str
    name: str
    kind: str
    kind_zh: str
    form: Form = Form.LIVE


@dataclass(frozen=True)
class SignIn:
    """An account of the demo."""

    name: str
    password: str
    whose: str


@dataclass(frozen=True)
class Cast:
    """Everybody in the demo."""

    people: tuple[Known, ...]
    accounts: tuple[SignIn, ...]


def make_cast(office: Office, now: Callable[[], float] = time.time) -> Cast:
    """Registers everybody; RuntimeError where the registry refuses, which is our own mistake."""
    password = "-".join(secrets.token_hex(2) for _ in range(3))
    actors = {
        name: _done(office.accounts.add(name, password, role), Account).actor
        for name, role in (
            ("zhangli", Role.RESIDENT),
            ("liqiang", Role.RESIDENT),
            ("wangfang", Role.RESIDENT),
            ("zhaolei", Role.RESIDENT),
            ("officer", Role.OFFICER),
            ("approver", Role.APPROVER),
            ("operator", Role.OPERATOR),
            ("auditor", Role.AUDITOR),
        )
    }
    join = _Joining(office, now())
    people = (
        Known(join(actors["zhangli"], Relation.SELF, "张丽", date(1984, 5, 6)), "张丽 Zhang Li", "green code", "绿码"),
        Known(
            join(actors["zhangli"], Relation.CHILD, "张小明", date(day_of(now()).year - CHILDS_AGE, 1, 1)),
            "张小明 Zhang Xiaoming",
            "green, a child",
            "绿码，儿童",
        ),
        Known(
            join(actors["zhangli"], Relation.ELDER, "王秀英", date(1943, 9, 9)),
            "王秀英 Wang Xiuying",
            "green, on paper",
            "绿码，纸质",
            Form.PAPER,
        ),
        Known(
            join(actors["liqiang"], Relation.SELF, "李强", date(1990, 2, 2), CloseContact(now() - CONTACT_S_AGO, SOURCE)),
            "李强 Li Qiang",
            "yellow, a close contact",
            "黄码，密切接触者",
        ),
        Known(
            join(actors["wangfang"], Relation.SELF, "王芳", date(1975, 7, 7), Case(now() - CASE_S_AGO, CaseCategory.CONFIRMED, SOURCE)),
            "王芳 Wang Fang",
            "red, a confirmed case",
            "红码，确诊病例",
        ),
        Known(
            join(actors["zhaolei"], Relation.SELF, "赵磊", date(1999, 1, 1), declares=False),
            "赵磊 Zhao Lei",
            "not declared yet: no code",
            "尚未申报，没有码",
        ),
    )
    whose = {
        "zhangli": "Zhang Li, with a child and an elder",
        "liqiang": "Li Qiang, yellow",
        "wangfang": "Wang Fang, red",
        "zhaolei": "Zhao Lei, pending",
        "officer": "an officer",
        "approver": "a second officer",
        "operator": "an operator: epidemic data, rules",
        "auditor": "an auditor: the log",
    }
    return Cast(people, tuple(SignIn(name, password, whose[name]) for name in actors))


class _Joining:
    """Registers one person after another, each with a number of their own."""

    def __init__(self, office: Office, at: float) -> None:
        self._office = office
        self._at = at
        self._count = 0

    def __call__(self, actor: Actor, relation: Relation, name: str, born: date, fact: Fact | None = None, *, declares: bool = True) -> str:
        self._count += 1
        first = f"{WUCHANG}{born:%Y%m%d}{self._count:03d}"
        typed = {"relation": relation.value, "name": name, "paper": Paper.CITIZEN.value, "number": first + check_character(first)}
        resident = _done(self._office.households.register(actor, typed), Registered).resident
        if declares:
            answers = {
                "symptoms": ["none"],
                "temperature": "36.5",
                "contact": "no",
                "travel": ["none"],
                "isolation": "none",
                "district": WUCHANG,
                "phone": "13800138000",
            }
            _done(self._office.checkins.submit(actor, resident, ReportKind.DECLARATION, f"demo-{self._count:04d}", answers), Taken)
        if fact is not None:
            with self._office.store.write() as tx:
                self._office.registry.record(tx, resident, fact, self._at, AT_CONSOLE)
        return resident


def _done(outcome: object, expected: type[T]) -> T:
    if not isinstance(outcome, expected):
        raise RuntimeError(f"a made-up resident was refused: {outcome}")
    return outcome
