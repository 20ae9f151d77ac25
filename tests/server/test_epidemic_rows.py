"""Files of epidemic data: what a row says, and how what is wrong is named."""

from __future__ import annotations

import csv
import io
import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.epidemic_lines import MOST_BYTES, Encoding, Faulty, Form, Ignored, Layout, read_rows
from server.epidemic_rows import COLUMNS, Entry, EpidemicKind, example
from server.facts import Case, CaseCategory, CloseContact, Isolating, Isolation, IsolationStep
from server.identity import Paper, start_of
from server.sentences import Language, say
from tests.server.family import number

TODAY = date(2020, 3, 20)
AT = start_of(TODAY) + 43_200
NUMBER = number()


def read(
    content: str | bytes,
    kind: EpidemicKind = EpidemicKind.CLOSE_CONTACT,
    form: Form = Form.CSV,
    encoding: Encoding = Encoding.UTF_8,
) -> list[Entry | list[Faulty]]:
    body = content if isinstance(content, bytes) else content.encode()
    return list(read_rows(io.BytesIO(body), Layout(kind, form, encoding, "clinic", AT), Ignored()))


def told(content: str | bytes, **more: Encoding | Form | EpidemicKind) -> list[tuple[int, str, str]]:
    """The faults: line, column, key."""
    found = read(content, **more)  # type: ignore[arg-type]
    return [(fault.line, fault.column, fault.fault.key) for row in found if isinstance(row, list) for fault in row]


@pytest.mark.parametrize("kind", list(EpidemicKind))
@pytest.mark.parametrize("form", list(Form))
def test_every_example_is_read_whole(kind: EpidemicKind, form: Form) -> None:
    rows = example(kind, TODAY)
    text = io.StringIO()
    if form is Form.CSV:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    else:
        text.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    found = read(text.getvalue(), kind, form)
    assert len(found) == len(rows)
    assert all(isinstance(row, Entry) and row.fact.at < AT for row in found), found
    passport = found[-1]
    assert isinstance(passport, Entry)
    assert (passport.identity.paper, passport.identity.number, passport.identity.state) == (Paper.PASSPORT, "X0000000", "GBR")


def test_headings_and_words_may_be_chinese_and_the_text_gb18030() -> None:
    text = f"姓名,证件号码,类别,诊断时间,来源\n某人,{NUMBER},确诊病例,2020年3月16日 14:30,武汉市第一医院\n"
    expected = Case(start_of(date(2020, 3, 16)) + 52_200, CaseCategory.CONFIRMED, "武汉市第一医院")
    for body, encoding in (
        (text.encode(), Encoding.UTF_8),
        (text.encode("utf-8-sig"), Encoding.UTF_8),
        (text.encode("gb18030"), Encoding.GB18030),
    ):
        ignored = Ignored()
        (row,) = read_rows(io.BytesIO(body), Layout(EpidemicKind.CASE, Form.CSV, encoding, "clinic", AT), ignored)
        assert isinstance(row, Entry) and row.fact == expected
        assert list(ignored.names) == ["姓名"]
    assert told(text.encode("gb18030"), kind=EpidemicKind.CASE) == [(1, "", "epidemic.encoding")]
    assert told(text.encode("utf-16"), kind=EpidemicKind.CASE) == [(1, "", "epidemic.utf16")]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2020-03-16", start_of(date(2020, 3, 16))),
        ("2020/3/16", start_of(date(2020, 3, 16))),
        ("20200316", start_of(date(2020, 3, 16))),
        ("2020年3月16日", start_of(date(2020, 3, 16))),
        ("２０２０－０３－１６", start_of(date(2020, 3, 16))),
        ("2020-03-16 08:00", 1_584_316_800),
        ("2020-03-16T00:00:00Z", 1_584_316_800),
        ("2020-03-16T01:00:00.5+01:00", 1_584_316_800),
        ("2020-03-20 12:00:59", AT + 59),
        ("2020-03-20 12:01:01", "epidemic.future"),
        ("2019-11-30", "epidemic.too_old"),
        ("2020-02-30", "epidemic.time"),
        ("16/3/2020", "epidemic.time"),
        ("2020-03-16 25:00", "epidemic.time"),
        ("43906", "epidemic.time"),
        ("", "epidemic.empty"),
    ],
)
def test_times(time: str, expected: float | str) -> None:
    (row,) = read(f"number,at\n{NUMBER},{time}\n")
    if isinstance(row, list):
        assert [(fault.line, fault.column, fault.fault.key) for fault in row] == [(2, "at", expected)]
    else:
        assert row.fact == CloseContact(expected, "clinic")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", [(1, "", "epidemic.header_missing")]),
        ("at\n2020-03-16\n", [(1, "", "epidemic.header_missing")]),
        ("number,at,时间\n", [(1, "", "epidemic.header_twice")]),
        ("number,at,category\n", [(1, "", "epidemic.header_other")]),
        (f"number,at\n{NUMBER}\n", [(2, "", "epidemic.cells")]),
        (f"number,at\n{NUMBER},2020-03-16,x\n", [(2, "", "epidemic.cells")]),
        ("number,at\n4.20106E+17,2020-03-16\n", [(2, "number", "epidemic.number_rounded")]),
        ("number,at\n,\n,2020-03-16\n", [(3, "number", "epidemic.empty")]),
        ("number,at\n1,x\n", [(2, "number", "identity.length"), (2, "at", "epidemic.time")]),
        ("number,paper,state,at\nX1234567,passport,,2020-03-16\n", [(2, "state", "identity.state")]),
        ("number,paper,at\nX1234567,library card,2020-03-16\n", [(2, "paper", "epidemic.word"), (2, "number", "identity.length")]),
        (f'number,at,source\n\n{NUMBER},2020-03-16,"a\nb"\n1,2020-03-16,c\n', [(5, "number", "identity.length")]),
        (f'number,at\n{NUMBER},2020-03-16\n"open,2020', [(3, "", "epidemic.quotes")]),
        (f"number,at,source\n{NUMBER},2020-03-16,{'x' * 61}\n", [(2, "source", "epidemic.source_long")]),
        (f"number,at\n{NUMBER},{'x' * MOST_BYTES}\n", [(2, "", "epidemic.line_long")]),
    ],
)
def test_what_is_wrong_is_named_by_line_and_column(text: str, faults: list[tuple[int, str, str]]) -> None:
    assert told(text) == faults
    for row in read(text):
        for fault in row if isinstance(row, list) else []:
            assert all(say(language, fault.fault.key, fault.fault.params) for language in Language)


def test_a_faulty_row_does_not_hide_the_next() -> None:
    found = read(f"number;at;source\n1;2020-03-16;\n{NUMBER};2020-03-16;\n")
    assert isinstance(found[0], list)
    assert isinstance(found[1], Entry) and found[1].fact == CloseContact(start_of(date(2020, 3, 16)), "clinic")


def test_json_lines() -> None:
    good = {"number": NUMBER, "step": "began", "place": "集中", "at": "2020-03-16", "source": None, "name": "x"}
    lines = [json.dumps(good), "", "{", "[1]", json.dumps({**good, "at": 20200316}), json.dumps({**good, "number": 4.2e17})]
    found = read("\n".join(lines), EpidemicKind.ISOLATION, Form.JSON_LINES)
    whole = Isolation(start_of(date(2020, 3, 16)), IsolationStep.BEGAN, Isolating.CENTRAL, "clinic")
    assert [row.fact if isinstance(row, Entry) else (row[0].line, row[0].fault.key) for row in found] == [
        whole,
        (3, "epidemic.json"),
        (4, "epidemic.json"),
        whole,
        (6, "epidemic.json"),
    ]
    other = json.dumps({"number": NUMBER, "at": "2020-03-16", "outcome": "positive"})
    assert told(other, form=Form.JSON_LINES) == [(1, "", "epidemic.header_other")]


@given(st.binary(max_size=300), st.sampled_from(list(EpidemicKind)), st.sampled_from(list(Form)), st.sampled_from(list(Encoding)))
def test_no_bytes_break_the_reader(body: bytes, kind: EpidemicKind, form: Form, encoding: Encoding) -> None:
    header = ",".join(column.name for column in COLUMNS[kind]).encode() + b"\n" if form is Form.CSV else b""
    for row in read(header + body, kind, form, encoding):
        assert isinstance(row, Entry) or all(say(Language.CHINESE, fault.fault.key, fault.fault.params) for fault in row)


@given(st.lists(st.text(max_size=30), min_size=2, max_size=2))
def test_no_cells_break_the_reader(cells: list[str]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["number", "at"], cells])
    body = text.getvalue().encode(errors="replace")
    for row in read(body):
        assert isinstance(row, list) and all(say(Language.ENGLISH, fault.fault.key, fault.fault.params) for fault in row)
