"""A configuration in TOML, read into its struct; all that is wrong is said at once, a line each: the place, the key, what was expected.

It may come in layers, one text over another: what the last says of a key counts, and its faults bear the place where it is said.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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


@dataclass(frozen=True)
class Layer:
    """A text in TOML and what it is called. Of keys that exist it may say those in `only` (None: all), or else is told `otherwise`."""

    text: str
    name: str
    only: frozenset[str] | None = None
    otherwise: str = ""


@dataclass(frozen=True, order=True)
class Place:
    """Where a key is said: the layer's number, the line in it, and its name."""

    layer: int
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.name}:{self.line}"


def why_unread(wrong: OSError | ValueError) -> str:
    """Why a file could not be read, without its name, which whoever reports it says."""
    if isinstance(wrong, UnicodeDecodeError):
        return "no text in UTF-8"
    return (wrong.strerror if isinstance(wrong, OSError) else None) or str(wrong)


def read_toml(text: str, kind: type[T], name: str, rules: Sequence[Rule] = ()) -> T:
    """The `kind` in `text`, TOML, within which all `rules` hold; SettingsError says everything that is wrong with the file `name`."""
    return read_layers([Layer(text, name)], kind, rules)


def read_layers(layers: Sequence[Layer], kind: type[T], rules: Sequence[Rule] = ()) -> T:
    """The `kind` that `layers` make together, each over those before it; SettingsError says everything that is wrong with any of them."""
    said = [load_toml(layer.text, layer.name) for layer in layers]
    found: dict[str, Any] = {}
    for each in said:
        found = _lay_over(found, each)
    keys = _keys_of(kind)
    config, faults = _sift(found, kind, keys)
    faults += [fault for layer, each in zip(layers, said, strict=True) for fault in _find_closed(layer, each, keys)]
    broken = {".".join(str(part) for part in fault.path) for fault in faults}
    breached = [rule for rule in rules if broken.isdisjoint(rule.keys) and not rule.holds(config)]
    if not faults and not breached:
        return config
    places = _find_places(layers)
    faults += [_breach(rule, config, places) for rule in breached]
    first = Place(0, 0, layers[0].name)
    faults.sort(key=lambda fault: places.get(fault.path, first))
    raise SettingsError("\n".join(f"{places.get(fault.path, first.name)}: {fault.text}" for fault in faults))


@lru_cache(8)
def _keys_of(kind: type[msgspec.Struct]) -> Mapping[str, Key]:
    """The keys of `kind` by their paths; kept, because msgspec takes some 20 ms to look at a large configuration."""
    return {key.path: key for key in list_keys(kind)}


@lru_cache(64)
def _fields_of(kind: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """The fields of `kind` by their names, kept for the same reason."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def load_toml(text: str, name: str) -> dict[str, Any]:
    """What is in `text`; SettingsError where it is no TOML, which the line names as that of `name`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        place = re.search(r" \(at line (\d+), column (\d+)\)$", str(wrong))
        where, what = (f":{place[1]}", f"{str(wrong)[: place.start()]} at column {place[2]}") if place else ("", str(wrong))
        raise SettingsError(f"{name}{where}: {what}: expected TOML, key = value") from None
    except RecursionError:
        raise SettingsError(f"{name}: nested too deeply: expected TOML, key = value") from None


def _lay_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """What both say together: sections are joined, of a key `over` counts."""
    joined = dict(under)
    for name, value in over.items():
        below = joined.get(name)
        joined[name] = _lay_over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return joined


def _find_closed(layer: Layer, said: Mapping[str, Any], keys: Mapping[str, Key]) -> Iterator[Fault]:
    """The keys that `layer` says and may not."""
    for path, value in flatten(said):
        name = ".".join(path)
        if layer.only is not None and name in keys and name not in layer.only:
            yield Fault(path, f"{name} = {show(value)}: {layer.otherwise}")


def flatten(said: Mapping[str, Any], section: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every key of `said` with its path and value, those of its sections in their place."""
    for name, value in said.items():
        if isinstance(value, Mapping):
            yield from flatten(value, (*section, name))
        else:
            yield (*section, name), value


def _find_places(layers: Sequence[Layer]) -> dict[KeyPath, Place]:
    """Where each key is said that counts."""
    places: dict[KeyPath, Place] = {}
    for number, layer in enumerate(layers):
        places |= {path: Place(number, line, layer.name) for path, line in find_lines(layer.text).items()}
    return places


def _sift(found: Mapping[str, object], kind: type[T], keys: Mapping[str, Key], section: tuple[str, ...] = ()) -> tuple[T, list[Fault]]:
    """A `kind` of what is good in `found`, and what is wrong: unknown keys, impossible values, keys missing.

    A key at fault has its default in the struct, or None where it has none; nobody may look at it.
    """
    good: dict[str, object] = {}
    fields = _fields_of(kind)
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


def _breach(rule: Rule, config: msgspec.Struct, places: Mapping[KeyPath, Place]) -> Fault:
    """What is said of a rule that does not hold in `config`."""
    paths = [tuple(key.split(".")) for key in rule.keys]
    if rule.swap:
        paths.sort(key=lambda path: places.get(path, Place(-1, 0, "")), reverse=True)
    at = max((path for path in paths if path in places), key=lambda path: places[path].layer, default=paths[0])
    said = [f"{'.'.join(path)} = {show(_value(config, path))}" for path in paths]
    said = [one + ("" if path == at == paths[0] else _mark(path, places, at)) for one, path in zip(said, paths, strict=True)]
    return Fault(at, f"{said[0]}: expected {rule.expected.format(*said[1:])}, {rule.because}")


def _mark(path: KeyPath, places: Mapping[KeyPath, Place], at: KeyPath) -> str:
    """Where a key of a rule is said; the layer is named where it is not that of the fault, whose place is that of `at`."""
    if path not in places:
        return " (by default)"
    is_elsewhere = places[at].layer != places[path].layer
    return f" (line {places[path].line}{f' of {places[path].name}' if is_elsewhere else ''})"


def _value(config: msgspec.Struct, path: tuple[str, ...]) -> object:
    value: object = config
    for name in path:
        value = getattr(value, name)
    return value
