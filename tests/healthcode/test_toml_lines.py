"""Where keys stand: texts in all of TOML's ways of writing, each held against what tomllib reads of their beginnings."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.toml_lines import KeyPath, find_lines

TEXT = '''# unit = "commented"
unit = "north"

[camera]
"roi" = [
  0.0, # left
  1.0,
]
say = """
[pins]
relay = 17
"""
[pins]\r
'led red' = 23\r
a . "b.c".d = {e = 1, f.g = [{h = 2}]}
[[road]]
name = '\'\'x = 1
y = 2\'\'\'
[[road.gate]]
n = 1
[[road.gate]]
n = 2
[road.gate.post]
x = 0
[[road]]
[[road.gate]]
n = 3
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("unit",), 2),
        (("camera",), 4),
        (("camera", "roi"), 5),
        (("camera", "roi", 1), 5),
        (("camera", "say"), 9),
        (("pins",), 13),
        (("pins", "led red"), 14),
        (("pins", "a"), 15),
        (("pins", "a", "b.c", "d", "f", "g", 0, "h"), 15),
        (("road",), 16),
        (("road", 0, "name"), 17),
        (("road", 0, "gate", 0, "n"), 20),
        (("road", 0, "gate", 1), 21),
        (("road", 0, "gate", 1, "n"), 22),
        (("road", 0, "gate", 1, "post", "x"), 24),
        (("road", 1), 25),
        (("road", 1, "gate", 0, "n"), 27),
    ],
)
def test_every_way_of_writing_a_key_has_its_line(path: KeyPath, line: int) -> None:
    assert find_lines(TEXT)[path] == line


def test_what_a_string_or_a_comment_says_is_no_key() -> None:
    assert ("pins", "relay") not in find_lines(TEXT)
    assert ("road", 0, "x") not in find_lines(TEXT)


def test_only_toml_has_lines() -> None:
    with pytest.raises(ValueError, match="line 2 begins a statement that does not end"):
        find_lines("a = 1\nb = [\n")


NAMES = st.sampled_from(["a", "b", "c", "d e", "f.g", "#h", "[i]", '"', "é", ""])
STRINGS = st.text(alphabet='ab=[]{}#",. \n', max_size=12)
SCALARS = st.one_of(st.integers(-9, 9), st.booleans(), STRINGS)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)


@st.composite
def keys(draw: st.DrawFn, most: int = 3) -> str:
    """One to `most` names, joined by dots, each bare or quoted."""
    written = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=most)):
        bare = name.isascii() and name.isalnum()
        written.append(name if bare and draw(st.booleans()) else json.dumps(name, ensure_ascii=False))
    return draw(st.sampled_from([".", " . "])).join(written)


def written(draw: st.DrawFn, value: Any, inline: bool = False) -> str:
    """`value` in one of the ways in which TOML writes it; `inline` tables stay on a line, their arrays need not."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            ways = [json.dumps(value)]
            if '"' not in value:
                ways.append(f'"""\n{value}"""')
            if draw(st.booleans()):
                ways.append(f"'''{value}'''")
            return draw(st.sampled_from(ways))
        case list():
            gap = draw(st.sampled_from(["", "\n", " # ] \n"]))
            return "[" + gap + f",{gap}".join(written(draw, item, inline) for item in value) + gap + "]"
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {written(draw, item, True)}" for key, item in value.items()) + "}"
    return str(value)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Statements, comments and blank lines one below the other, each kept only where TOML allows it there."""
    text = ""
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["key", "key", "key", "[", "[[", "#", ""]))
        more = {"#": "# [x] = ", "": ""}.get(kind)
        if kind == "key":
            more = f"{draw(keys())} = {written(draw, draw(VALUES))}"
        elif kind.startswith("["):
            more = kind + draw(keys()) + "]" * len(kind)
        longer = f"{text}{draw(st.sampled_from(['', '  ', chr(9)]))}{more}{draw(st.sampled_from(['', ' # = []']))}\n"
        try:
            tomllib.loads(longer)
        except tomllib.TOMLDecodeError:
            continue
        text = longer
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The path of everything in `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from paths(item, (*path, key))


@given(texts())
def test_a_key_stands_where_the_text_up_to_there_does_not_have_it_and_the_text_beyond_does(text: str) -> None:
    found = find_lines(text)
    assert found.keys() == set(paths(tomllib.loads(text)))
    lines = text.replace("\r\n", "\n").split("\n")
    reads: dict[int, set[KeyPath]] = {}
    for end in range(len(lines) + 1):
        try:
            reads[end] = set(paths(tomllib.loads("\n".join(lines[:end]))))
        except tomllib.TOMLDecodeError:
            continue
    for path, line in found.items():
        assert path not in reads[line - 1], "the text above is whole, and has no such key"
        assert path in next(reads[end] for end in sorted(reads) if end >= line)
