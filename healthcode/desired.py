"""The keys that stand above a unit's own file, as both sides write, read and compare them: `section.key` and a value that TOML has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from healthcode.settings import flatten, load_toml

Settings = Mapping[str, object]
"""Values by `section.key`."""


def write_settings(settings: Settings) -> str:
    """`settings` as TOML, sections and keys in alphabetical order, so that the same settings are always the same text."""
    lines: list[str] = []
    section = ""
    for path in sorted(settings, key=lambda path: path.rpartition(".")[::2]):
        place, _, name = path.rpartition(".")
        if place != section:
            section = place
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        lines.append(f"{name} = {_value(settings[path])}")
    return "\n".join([*lines, ""]) if lines else ""


def read_settings(text: str, name: str = "settings") -> dict[str, object]:
    """What `write_settings` wrote; SettingsError where `text` is no TOML."""
    return {".".join(path): value for path, value in flatten(load_toml(text, name))}


def digest_settings(settings: Settings) -> str:
    """The SHA-256 of `settings` in hexadecimal: equal where all values are, whoever wrote them. A whole number is its fraction's equal."""
    return hashlib.sha256(json.dumps({path: _plain(value) for path, value in settings.items()}, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> object:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list() | tuple():
            return [_plain(each) for each in value]
    return value


def _value(value: object) -> str:
    """A value as TOML writes it: JSON's notation of numbers, texts and lists is TOML's too, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
