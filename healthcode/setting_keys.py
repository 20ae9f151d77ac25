"""The keys of a configuration as a reader meets them: unit, bounds, default and meaning, all taken from the struct that reads them.

A key is declared once, `name: Annotated[float, Meta(ge=1, le=60, description="One sentence.")] = 15.0`. Its unit is the end of its name
(UNITS) or, where a name has none, `extra={"unit": "px"}`; the form of a text may
be said in words, `extra={"form": "a time of day"}`; a key without a default has `examples=["north"]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import NODEFAULT, inspect

UNITS = {"_c_per_min": "°C/min", "_ms": "ms", "_s": "s", "_c": "°C", "_v": "V", "_days": "days", "_hz": "Hz", "fps": "1/s"}
"""The unit that the end of a key's name says, longer ends first."""

LONGEST_VALUE = 60
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Key:
    """One key. `section` is empty for a key of the file itself; `default` is as it would be written, None where the key must be given.

    `example` is what one might write there: the default, or what the key names itself.
    """

    section: str
    name: str
    unit: str
    bounds: str
    default: str | None
    example: str
    meaning: str

    @property
    def path(self) -> str:
        """The key as it is spoken of: `camera.fps`."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def expected(self) -> str:
        """What may stand there, with its unit, in words that follow "expected"."""
        return f"{self.bounds} {self.unit}".strip()


def list_keys(kind: type[msgspec.Struct], section: str = "") -> Iterator[Key]:
    """All keys of `kind` in their order, those of its sections after its own."""
    inner: list[tuple[str, type[msgspec.Struct]]] = []
    for field in _fields(kind):
        bare, said = _unwrap(field.type)
        name = field.encode_name
        if isinstance(bare, inspect.StructType):
            inner.append((name, bare.cls))
            continue
        default = field.default if field.default_factory is NODEFAULT else field.default_factory()
        yield Key(
            section=section,
            name=name,
            unit=said.get("unit") or next((unit for end, unit in UNITS.items() if name.endswith(end)), ""),
            bounds=describe(field.type),
            default=None if default is NODEFAULT else show(default),
            example=show(said.get("examples", [""])[0] if default is NODEFAULT else default),
            meaning=said.get("description", ""),
        )
    for name, cls in inner:
        yield from list_keys(cls, f"{section}.{name}" if section else name)


def list_sections(kind: type[msgspec.Struct], section: str = "") -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Every section of `kind` by the name of its table, `kind` itself first under the empty name."""
    yield section, kind
    for field in _fields(kind):
        bare = _unwrap(field.type)[0]
        if isinstance(bare, inspect.StructType):
            yield from list_sections(bare.cls, f"{section}.{field.encode_name}" if section else field.encode_name)


def example_toml(kind: type[msgspec.Struct]) -> str:
    """A file with all keys of `kind`: those that must be given with an example, all others commented out with their default."""
    lines: list[str] = []
    section = ""
    for key in list_keys(kind):
        if key.section != section:
            section = key.section
            lines += [f"[{section}]", ""]
        lines += [f"# {key.meaning}", f"# {key.expected[0].upper()}{key.expected[1:]}."]
        lines += [f"{'' if key.default is None else '#'}{key.name} = {key.example}", ""]
    return "\n".join(lines)


def describe(kind: inspect.Type) -> str:
    """What a value of `kind` is and within which bounds, in words that follow "expected"; TypeError for a type that no TOML value has."""
    bare, said = _unwrap(kind)
    if "form" in said:
        return str(said["form"])
    match bare:
        case inspect.IntType(ge=least, le=most):
            return "a whole number" + _between(least, most)
        case inspect.FloatType(ge=least, le=most):
            return "a number" + _between(least, most)
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(str(value) for value in values)
        case inspect.StrType(pattern=str(pattern)):
            return "text that matches " + pattern.replace(r"\Z", "$")
        case inspect.StrType(min_length=least, max_length=most):
            return "text" + _count(least, most, "characters")
        case inspect.TupleType(item_types=items):
            return f"a list of {len(items)}, each {describe(items[0])}"
        case (
            inspect.VarTupleType(item_type=item, min_length=least, max_length=most)
            | inspect.ListType(item_type=item, min_length=least, max_length=most)
        ):
            return f"a list{_count(least, most, 'items')}, each {describe(item)}"
        case inspect.StructType():
            return "a section"
        case other:
            raise TypeError(f"{other}: expected a type that a TOML value can have")


def show(value: object) -> str:
    """`value` as TOML would write it, on one line and not over LONGEST_VALUE characters long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if not text.isprintable():
        text = json.dumps(value, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _fields(kind: type[msgspec.Struct]) -> tuple[inspect.Field, ...]:
    whole = inspect.type_info(kind)
    if not isinstance(whole, inspect.StructType):
        raise TypeError(f"{kind}: expected a struct")
    return whole.fields


def _unwrap(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any]]:
    """A type without what is said about it, and that; what is said further out counts."""
    said: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata):
        said = {**(kind.extra_json_schema or {}), **(kind.extra or {}), **said}
        kind = kind.type
    return kind, said


def _between(least: float | None, most: float | None) -> str:
    match least, most:
        case None, None:
            return ""
        case None, _:
            return f" up to {_plain(most)}"
        case _, None:
            return f" from {_plain(least)}"
        case _:
            return f" from {_plain(least)} to {_plain(most)}"


def _plain(number: float | None) -> str:
    """A number without a fraction that says nothing."""
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def _count(least: int | None, most: int | None, what: str) -> str:
    match least, most:
        case None, None:
            return ""
        case None, _:
            return f" of at most {most} {what}"
        case _, None:
            return f" of {least} or more {what}"
        case _:
            return f" of {least} to {most} {what}"
