"""One row of epidemic data: its columns, and cells -> a person and a fact, or all that is wrong with it by column. Pure.

A file says one kind of thing. Every kind has the columns number, paper, state, at and source; what else it has: COLUMNS. Headings and words
may be English or Chinese. A day without a time is its beginning in China.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from functools import lru_cache

from server.facts import (
    Case,
    CaseCategory,
    CaseClosed,
    CaseEnd,
    CloseContact,
    ContactCleared,
    Isolating,
    Isolation,
    IsolationStep,
    TestOutcome,
    TestResult,
)
from server.faults import Fault
from server.identity import CHINA, Identity, Paper, check_character, read_identity, start_of

OLDEST = date(2019, 12, 1)
"""The month in which the first cases fell ill: a day before it is a mistake."""
AHEAD_S = 60.0
"""How far ahead of our clock a reporter's clock may be."""
MOST_SOURCE = 60
"""Longest source, in characters."""
_FOUND = 20

ImportedFact = Case | CaseClosed | CloseContact | ContactCleared | Isolation | TestResult


class EpidemicKind(StrEnum):
    """What the rows of a file say; the words under which the facts are stored."""

    CASE = "case"
    CASE_CLOSED = "case_closed"
    CLOSE_CONTACT = "close_contact"
    CONTACT_CLEARED = "contact_cleared"
    ISOLATION = "isolation"
    TEST_RESULT = "test_result"


@dataclass(frozen=True)
class Column:
    """A column: further headings under which it is known, and its words where it has no other values. Sentence: epidemic.column.{name}."""

    name: str
    headings: tuple[str, ...]
    words: Mapping[str, str] | None = None
    is_required: bool = True


@dataclass(frozen=True)
class Wrong:
    """What is wrong in one cell; `column` is empty where it is the row as a whole."""

    column: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that can be right: whom it is about, and what it says."""

    identity: Identity
    fact: ImportedFact


_NUMBER = Column("number", ("证件号码", "身份证号", "身份证号码", "id_number"))
_PAPER = Column(
    "paper",
    ("证件类型",),
    {
        **{paper.value: paper.value for paper in Paper},
        "身份证": "citizen",
        "居民身份证": "citizen",
        "护照": "passport",
        "港澳居民来往内地通行证": "hk_macao",
        "台湾居民来往大陆通行证": "taiwan",
    },
    is_required=False,
)
_STATE = Column("state", ("签发国", "国家代码"), is_required=False)
_SOURCE = Column("source", ("来源", "报告单位"), is_required=False)
_CATEGORY = Column(
    "category",
    ("类别", "病例类别"),
    {
        **{word.value: word.value for word in CaseCategory},
        "确诊": "confirmed",
        "确诊病例": "confirmed",
        "临床诊断": "clinical",
        "临床诊断病例": "clinical",
        "疑似": "suspected",
        "疑似病例": "suspected",
        "发热": "fever",
        "发热病例": "fever",
    },
)
_END = Column(
    "end",
    ("结果", "转归"),
    {
        **{word.value: word.value for word in CaseEnd},
        "出院": "discharged",
        "治愈出院": "discharged",
        "排除": "ruled_out",
    },
)
_STEP = Column(
    "step",
    ("事件", "状态"),
    {
        **{word.value: word.value for word in IsolationStep},
        "开始": "began",
        "开始隔离": "began",
        "解除": "ended",
        "解除隔离": "ended",
        "结束": "ended",
    },
)
_PLACE = Column(
    "place",
    ("隔离方式",),
    {"home": "home", "central": "central", "居家": "home", "居家隔离": "home", "集中": "central", "集中隔离": "central"},
)
_OUTCOME = Column(
    "outcome", ("检测结果", "结果"), {**{word.value: word.value for word in TestOutcome}, "阴性": "negative", "阳性": "positive"}
)


def _at(*headings: str) -> Column:
    return Column("at", (*headings, "时间", "日期"))


COLUMNS: dict[EpidemicKind, tuple[Column, ...]] = {
    EpidemicKind.CASE: (_NUMBER, _PAPER, _STATE, _CATEGORY, _at("确诊时间", "诊断时间"), _SOURCE),
    EpidemicKind.CASE_CLOSED: (_NUMBER, _PAPER, _STATE, _END, _at("出院时间"), _SOURCE),
    EpidemicKind.CLOSE_CONTACT: (_NUMBER, _PAPER, _STATE, _at("末次接触时间", "最后接触时间"), _SOURCE),
    EpidemicKind.CONTACT_CLEARED: (_NUMBER, _PAPER, _STATE, _at("解除时间"), _SOURCE),
    EpidemicKind.ISOLATION: (_NUMBER, _PAPER, _STATE, _STEP, _PLACE, _at(), _SOURCE),
    EpidemicKind.TEST_RESULT: (_NUMBER, _PAPER, _STATE, _OUTCOME, _at("采样时间"), _SOURCE),
}
"""The columns of each kind. `at` is when it happened: the case was established or closed, the last contact, the sample taken."""
_SCIENTIFIC = re.compile(r"[0-9][.,]?[0-9]*[eE]\+?[0-9]+")
_DIGITS_DAY = re.compile(r"[0-9]{8}")
_TIME = re.compile(
    r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})"
    r"(?:[T ]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]{1,9})?)? ?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def read_header(kind: EpidemicKind, names: list[str]) -> list[str] | Fault:
    """The column of each heading, empty for one that is not used; what is wrong with the header otherwise."""
    known = {heading: column.name for column in COLUMNS[kind] for heading in (column.name, *column.headings)}
    found = [known.get(_plain(name).lower(), "") for name in names]
    for name in names:
        other = find_other_kind(kind, name)
        if other is not None:
            return other
    for column in COLUMNS[kind]:
        if column.is_required and column.name not in found:
            return Fault("epidemic.header_missing", {"column": column.name, "also": column.headings[0]})
        if found.count(column.name) > 1:
            return Fault("epidemic.header_twice", {"column": column.name})
    return found


def find_other_kind(kind: EpidemicKind, name: str) -> Fault | None:
    """That a column belongs to another kind and not to this one, if so: a file under the wrong kind must not be taken."""
    heading = _plain(name).lower()
    if any(heading in (column.name, *column.headings) for column in COLUMNS[kind]):
        return None
    for other, columns in COLUMNS.items():
        if any(column.words is not None and heading in (column.name, *column.headings) for column in columns):
            return Fault("epidemic.header_other", {"column": name.strip()[:_FOUND], "kind": other.value})
    return None


def read_row(kind: EpidemicKind, cells: Mapping[str, str], at: float, source: str) -> Entry | list[Wrong]:
    """What a row says at `at` (now, seconds since 1970); all that is wrong with it otherwise. `source` is for rows that name none."""
    wrong: list[Wrong] = []
    words: dict[str, str] = {}
    for column in COLUMNS[kind]:
        if column.words is None:
            continue
        told = _plain(cells.get(column.name, ""))
        word = column.words.get(told) or column.words.get(told.lower())
        if word is not None:
            words[column.name] = word
        elif told:
            expected = ", ".join(dict.fromkeys(column.words.values()))
            wrong.append(Wrong(column.name, Fault("epidemic.word", {"found": told[:_FOUND], "expected": expected})))
        elif column.is_required:
            wrong.append(Wrong(column.name, Fault("epidemic.empty")))
    identity = _read_identity(cells, words, at)
    if isinstance(identity, Fault):
        wrong.append(Wrong("state" if identity.key.startswith("identity.state") else "number", identity))
    moment = _read_at(cells.get("at", ""), at)
    if isinstance(moment, Fault):
        wrong.append(Wrong("at", moment))
    said = _plain(cells.get("source", "")) or source
    if len(said) > MOST_SOURCE:
        wrong.append(Wrong("source", Fault("epidemic.source_long", {"found": len(said), "most": MOST_SOURCE})))
    if wrong or isinstance(identity, Fault) or isinstance(moment, Fault):
        return wrong
    return Entry(identity, _fact(kind, words, moment, said))


def example(kind: EpidemicKind, day: date) -> list[dict[str, str]]:
    """Rows that show every word of the kind, about people who do not exist (their sequence number is 000), on the days before `day`."""
    own = [column for column in COLUMNS[kind] if column.words is not None and column.name != "paper"]
    choices: list[dict[str, str]] = [{}]
    for column in own:
        told = dict.fromkeys((column.words or {}).values())
        choices = [{**choice, column.name: word} for choice in choices for word in told]
    rows = []
    for place, choice in enumerate(choices or [{}]):
        first = f"420106{1960 + place}0101000"
        when = day - timedelta(days=place % 3 + 1)
        rows.append({"number": first + check_character(first), "paper": "citizen", "state": "", **choice, "at": when.isoformat()})
    guest = {"number": "X0000000", "paper": "passport", "state": "GBR"}  # nobody's: British numbers have nine digits
    rows.append({**rows[0], **guest, "at": f"{(day - timedelta(days=1)).isoformat()} 14:30"})
    order = [column.name for column in COLUMNS[kind]]
    return [{name: row.get(name, "武汉市卫生健康委员会") for name in order} for row in rows]


def _read_identity(cells: Mapping[str, str], words: Mapping[str, str], at: float) -> Identity | Fault:
    number = cells.get("number", "")
    if not number.strip():
        return Fault("epidemic.empty")
    if _SCIENTIFIC.fullmatch(number.strip()):
        return Fault("epidemic.number_rounded", {"found": number.strip()[:_FOUND]})
    return read_identity(Paper(words.get("paper", "citizen")), number, at, state=cells.get("state", ""))


def _read_at(told: str, at: float) -> float | Fault:
    if not told.strip():
        return Fault("epidemic.empty")
    moment = _moment(told)
    if moment is None:
        return Fault("epidemic.time", {"found": told.strip()[:_FOUND]})
    if moment > at + AHEAD_S:
        return Fault("epidemic.future", {"found": told.strip()[:_FOUND]})
    if moment < start_of(OLDEST):
        return Fault("epidemic.too_old", {"found": told.strip()[:_FOUND], "oldest": OLDEST.isoformat()})
    return moment


@lru_cache(maxsize=4096)  # the days of a file are few
def _moment(told: str) -> float | None:
    """Seconds since 1970; None where the text says no time."""
    plain = _plain(told).replace("年", "-").replace("月", "-").replace("日", " ").strip()
    if _DIGITS_DAY.fullmatch(plain):
        plain = f"{plain[:4]}-{plain[4:6]}-{plain[6:]}"
    matched = _TIME.fullmatch(plain)
    if matched is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in matched.groups()[:6])
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=_zone(matched[7])).timestamp()
    except ValueError:
        return None


def _zone(told: str | None) -> timezone:
    if told is None:
        return CHINA
    if told == "Z":
        return UTC
    span = timedelta(hours=int(told[1:3]), minutes=int(told[-2:]))
    return timezone(-span if told[0] == "-" else span)


def _fact(kind: EpidemicKind, words: Mapping[str, str], at: float, source: str) -> ImportedFact:
    match kind:
        case EpidemicKind.CASE:
            return Case(at, CaseCategory(words["category"]), source)
        case EpidemicKind.CASE_CLOSED:
            return CaseClosed(at, CaseEnd(words["end"]), source)
        case EpidemicKind.CLOSE_CONTACT:
            return CloseContact(at, source)
        case EpidemicKind.CONTACT_CLEARED:
            return ContactCleared(at, source)
        case EpidemicKind.ISOLATION:
            return Isolation(at, IsolationStep(words["step"]), Isolating(words["place"]), source)
        case EpidemicKind.TEST_RESULT:
            return TestResult(at, TestOutcome(words["outcome"]), source)


def _plain(told: str) -> str:
    """Full-width as half-width, single spaces, nothing invisible."""
    if told.isascii() and told.isprintable():
        return " ".join(told.split())
    text = unicodedata.normalize("NFKC", told)
    return " ".join("".join(letter if unicodedata.category(letter)[0] != "C" else " " for letter in text).split())
