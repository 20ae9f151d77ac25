"""The lines of a file of epidemic data -> its rows: CSV with a header, or JSON Lines. Pure, and one row after another in bounded memory.

Text is UTF-8, with or without a byte order mark, or GB18030 where that is asked for: bytes are never guessed at. What is wrong is told with
the line at which the row begins, counted from 1; where the rest cannot be read it is the last thing told.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from server.epidemic_rows import COLUMNS, Entry, EpidemicKind, Wrong, find_other_kind, read_header, read_row
from server.faults import Fault

MOST_BYTES = 65_536
"""Longest line."""
MOST_IGNORED = 100
"""Unused names of JSON Lines that are told."""
_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_OBJECT = msgspec.json.Decoder(dict[str, str | int | None])


class Form(StrEnum):
    """How the rows are written."""

    CSV = "csv"
    JSON_LINES = "jsonl"


class Encoding(StrEnum):
    """How the text is written: `gb18030` is what spreadsheets write in China by default, and holds GBK and GB2312."""

    UTF_8 = "utf-8"
    GB18030 = "gb18030"


@dataclass(frozen=True)
class Faulty:
    """A row that cannot be taken: where it begins, in which column (empty: as a whole), and what is wrong."""

    line: int
    column: str
    fault: Fault


@dataclass(frozen=True)
class Layout:
    """What a file is said to be. `source` is for rows that name none; `at` is now, in seconds since 1970."""

    kind: EpidemicKind
    form: Form
    encoding: Encoding
    source: str
    at: float


@dataclass
class Ignored:
    """Headings that are no column of ours, in the order in which they were met: told, so that a mistyped one shows."""

    names: dict[str, None] = field(default_factory=dict)


class _Unreadable(Exception):  # carries a fault out of csv.reader, which pulls the lines
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def read_rows(lines: Iterable[bytes], layout: Layout, ignored: Ignored) -> Iterator[Entry | list[Faulty]]:
    """The rows of a file, each as an entry or all that is wrong with it. A line that was cut is longer than MOST_BYTES."""
    number = [0]
    texts = _decode(lines, layout.encoding, number)
    reader = _read_csv if layout.form is Form.CSV else _read_json
    try:
        yield from reader(texts, layout, ignored, number)
    except _Unreadable as wrong:
        yield [Faulty(number[0], "", wrong.fault)]
    except csv.Error:
        yield [Faulty(number[0], "", Fault("epidemic.quotes"))]


def _decode(lines: Iterable[bytes], encoding: Encoding, number: list[int]) -> Iterator[str]:
    for line in lines:
        number[0] += 1
        if number[0] == 1 and line[:2] in _WIDE:
            raise _Unreadable(Fault("epidemic.utf16"))
        if len(line) > MOST_BYTES:
            raise _Unreadable(Fault("epidemic.line_long", {"most": MOST_BYTES}))
        body = line.removeprefix(_BOM) if number[0] == 1 else line
        try:
            yield body.decode(encoding.value)
        except UnicodeDecodeError:
            other = Encoding.GB18030 if encoding is Encoding.UTF_8 else Encoding.UTF_8
            raise _Unreadable(Fault("epidemic.encoding", {"encoding": encoding.value, "other": other.value})) from None


def _read_csv(texts: Iterator[str], layout: Layout, ignored: Ignored, number: list[int]) -> Iterator[Entry | list[Faulty]]:
    first = next(texts, "")
    delimiter = max(",;\t", key=first.count)
    names = next(csv.reader([first], delimiter=delimiter, strict=True), [])
    header = read_header(layout.kind, names)
    if isinstance(header, Fault):
        yield [Faulty(1, "", header)]
        return
    ignored.names.update((name, None) for name, column in zip(names, header, strict=True) if not column and name.strip())
    begin = 2
    for cells in csv.reader(texts, delimiter=delimiter, strict=True):
        if any(cells):
            if len(cells) != len(header):
                yield [Faulty(begin, "", Fault("epidemic.cells", {"found": len(cells), "expected": len(header)}))]
            else:
                yield _place(read_row(layout.kind, dict(zip(header, cells, strict=True)), layout.at, layout.source), begin)
        begin = number[0] + 1


def _read_json(texts: Iterator[str], layout: Layout, ignored: Ignored, number: list[int]) -> Iterator[Entry | list[Faulty]]:
    columns = {heading: column.name for column in COLUMNS[layout.kind] for heading in (column.name, *column.headings)}
    for text in texts:
        if not text.strip():
            continue
        try:
            told = _OBJECT.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError):
            yield [Faulty(number[0], "", Fault("epidemic.json"))]
            continue
        cells = {}
        for name, value in told.items():
            if name in columns:
                cells[columns[name]] = "" if value is None else str(value)
            elif name not in ignored.names:
                fault = find_other_kind(layout.kind, name)
                if fault is not None:
                    yield [Faulty(number[0], "", fault)]
                    return
                if len(ignored.names) < MOST_IGNORED:
                    ignored.names[name] = None
        yield _place(read_row(layout.kind, cells, layout.at, layout.source), number[0])


def _place(read: Entry | list[Wrong], line: int) -> Entry | list[Faulty]:
    return read if isinstance(read, Entry) else [Faulty(line, wrong.column, wrong.fault) for wrong in read]
