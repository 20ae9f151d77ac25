"""A configuration in TOML, read into its struct; all that is wrong is said at once, a line each: the place, the key, what was expected."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from healthcode.setting_keys import Key, list_keys, show
from healthcode.toml_lines import KeyPath, find_lines

T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(ValueError):
    """A configuration that cannot be used; each line of the text is one fault with what was expected instead."""


@dataclass(frozen=True)
class Rule:
    """What several keys must be together. `holds` is given the whole configuration.

    `keys` names them, the one at fault first, as `section.key`; `expected` says what it must be, with {} for each other key in its turn;
    `because` gives the reason and follows a comma. Where the keys may `swap`, the one that stands last in the file is at fault.
    """

    keys: tuple[str, ...]
    expected: str
    because: str
    holds: Callable[[Any], bool]
    swap: bool = False


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: the key's path, and the text that follows its place."""

    path: KeyPath
    text: str


def why_unread(wrong: OSError | ValueError) -> str:
    """Why a file could not be read, without its name, which whoever reports it says."""
    if isinstance(wrong, UnicodeDecodeError):
        return "no text in UTF-8"
    return (wrong.strerror if isinstance(wrong, OSError) else None) or str(wrong)


def read_toml(text: str, kind: type[T], name: str, rules: Sequence[Rule] = ()) -> T:
    """The `kind` in `text`, TOML, within which all `rules` hold; SettingsError says everything that is wrong with the file `name`."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        place = re.search(r" \(at line (\d+), column (\d+)\)$", str(wrong))
        where, what = (f":{place[1]}", f"{str(wrong)[: place.start()]} at column {place[2]}") if place else ("", str(wrong))
        raise SettingsError(f"{name}{where}: {what}: expected TOML, key = value") from None
    except RecursionError:
        raise SettingsError(f"{name}: nested too deeply: expected TOML, key = value") from None
    config, faults = _sift(found, kind, {key.path: key for key in list_keys(kind)})
    broken = {".".join(str(part) for part in fault.path) for fault in faults}
    breached = [rule for rule in rules if broken.isdisjoint(rule.keys) and not rule.holds(config)]
    if not faults and not breached:
        return config
    lines = find_lines(text)
    faults += [_breach(rule, config, lines) for rule in breached]
    faults.sort(key=lambda fault: lines.get(fault.path, 0))
    raise SettingsError("\n".join(f"{name}{_place(fault.path, lines)}: {fault.text}" for fault in faults))


def _sift(found: Mapping[str, object], kind: type[T], keys: Mapping[str, Key], section: tuple[str, ...] = ()) -> tuple[T, list[Fault]]:
    """A `kind` of what is good in `found`, and what is wrong: unknown keys, impossible values, keys missing.

    A key at fault has its default in the struct, or None where it has none; nobody may look at it.
    """
    good: dict[str, object] = {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    faults = [Fault((*section, name), _unknown(name, section, list(fields), keys)) for name in found if name not in fields]
    for name, field in fields.items():
        path = (*section, name)
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            value = found.get(name, {})
            if isinstance(value, Mapping):
                good[name], more = _sift(value, inner, keys, path)
                faults += more
            else:
                faults.append(Fault(path, f"{'.'.join(path)} = {show(value)}: expected a section, [{'.'.join(path)}]"))
        elif name in found:
            key = keys[".".join(path)]
            try:
                good[name] = msgspec.convert(found[name], type=inner)
            except msgspec.ValidationError:
                faults.append(Fault(path, f"{key.path} = {show(found[name])}: expected {key.expected}"))
        elif field.required:
            faults.append(Fault(path, f"{'.'.join(path)} is missing: expected {keys['.'.join(path)].expected}"))
    good |= {name: None for name, field in fields.items() if field.required and name not in good}
    return kind(**good), faults


def _unknown(name: str, section: tuple[str, ...], known: list[str], keys: Mapping[str, Key]) -> str:
    """What is said of a key that does not exist: the likeliest that does, and all that do, the likeliest first."""
    near = difflib.get_close_matches(name, known, n=len(known))
    elsewhere = [key.path for key in keys.values() if key.name == name]
    guess = [".".join((*section, near[0]))] if near else elsewhere
    shown = name[:60] if name.isidentifier() else ascii(name[:60])
    said = f"unknown key {'.'.join((*section, shown))}"
    hint = f" (did you mean {guess[0]}?)" if guess else ""
    return f"{said}{hint}: expected one of {', '.join([*near, *(one for one in known if one not in near)])}"


def _breach(rule: Rule, config: msgspec.Struct, lines: Mapping[KeyPath, int]) -> Fault:
    """What is said of a rule that does not hold in `config`."""
    keys = list(rule.keys)
    if rule.swap:
        keys.sort(key=lambda key: -lines.get(tuple(key.split(".")), 0))
    paths = [tuple(key.split(".")) for key in keys]
    said = [f"{key} = {show(_value(config, path))}" for key, path in zip(keys, paths, strict=True)]
    marks = [f" (line {lines[path]})" if path in lines else " (by default)" for path in paths]
    others = [one + mark for one, mark in zip(said[1:], marks[1:], strict=True)]
    own = "" if paths[0] in lines else marks[0]
    at = next((path for path in paths if path in lines), paths[0])
    return Fault(at, f"{said[0]}{own}: expected {rule.expected.format(*others)}, {rule.because}")


def _value(config: msgspec.Struct, path: tuple[str, ...]) -> object:
    value: object = config
    for name in path:
        value = getattr(value, name)
    return value


def _place(path: KeyPath, lines: Mapping[KeyPath, int]) -> str:
    return f":{lines[path]}" if path in lines else ""
