"""A configuration in TOML, read into its struct; what is wrong with it is said in one line that names the key and what was expected."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


def read_toml(text: str, kind: type[T]) -> T:
    """The `kind` in `text`, TOML; ValueError says in one line what is wrong."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise ValueError(f"{wrong}: expected TOML, key = value") from None
    except RecursionError:
        raise ValueError("nested too deeply: expected TOML, key = value") from None
    unknown = find_unknown(found, kind)
    if unknown:
        raise ValueError(unknown)
    try:
        return msgspec.convert(found, type=kind)
    except msgspec.ValidationError as wrong:
        raise ValueError(str(wrong)) from None


def find_unknown(found: Mapping[str, object], kind: type[msgspec.Struct], section: str = "") -> str | None:
    """The first key of `found` that `kind` or a section of it does not have, and those that it has, the likeliest first; None for none."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in found.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=len(fields))
            known = ", ".join([*near, *(name for name in fields if name not in near)])
            return f"unknown key {section}{key[:60] if key.isidentifier() else ascii(key[:60])}: expected one of {known}"
        inner = fields[key]
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            unknown = find_unknown(value, inner, f"{section}{key}.")
            if unknown:
                return unknown
    return None
