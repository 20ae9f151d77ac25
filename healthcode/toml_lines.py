"""Where in a TOML text each key stands. tomllib alone reads TOML; here its text is only cut into statements, by asking tomllib.

A prefix of a statement is never TOML (a bracket or a string is still open), and a whole statement always is. So the lines from the end
of one up to the first that make a text of their own are the next statement, and what tomllib finds in it stands there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""Keys from the outermost to the innermost; a number is an index into an array."""


def find_lines(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of the statement that names each key of `text` first; `text` must be TOML."""
    found: dict[KeyPath, int] = {}
    last: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for line, head, said in _cut(text.replace("\r\n", "\n").split("\n")):
        if head.startswith("["):
            table = _enter(said, last)
            paths = [table[: depth + 1] for depth in range(len(table))]
        else:
            paths = list(_walk(said, table))
        for path in paths:
            found.setdefault(path, line)
    return found


def _cut(lines: list[str]) -> Iterator[tuple[int, str, Mapping[str, object]]]:
    """The statements: number and text of their first line, and what tomllib reads in them."""
    start = 0
    while start < len(lines):
        for end in range(start + 1, len(lines) + 1):
            try:
                said = tomllib.loads("\n".join(lines[start:end]))
            except tomllib.TOMLDecodeError:
                continue
            yield start + 1, lines[start].lstrip(" \t"), said
            start = end
            break
        else:
            raise ValueError(f"line {start + 1} begins a statement that does not end: expected TOML")


def _enter(header: Mapping[str, object], last: dict[KeyPath, int]) -> KeyPath:
    """The path of the table that `header` opens, read as a text of its own. `last` holds the newest index of each array of tables."""
    path: KeyPath = ()
    inner: object = header
    while isinstance(inner, Mapping) and inner:
        ((key, inner),) = inner.items()
        path += (key,)
        if isinstance(inner, list):
            last[path] = last.get(path, -1) + 1
        if path in last:
            path += (last[path],)
    return path


def _walk(value: object, path: KeyPath) -> Iterator[KeyPath]:
    """The paths of all keys and array elements in `value`, which stands at `path`."""
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, item in inner:
        yield (*path, key)
        yield from _walk(item, (*path, key))
