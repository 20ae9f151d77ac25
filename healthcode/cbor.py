"""CBOR (RFC 8949) of strangers: decoded in bounds, and where it is asked for nothing but its deterministic form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NoReturn, cast

import cbor2

TAG_SIGN1 = 18
"""COSE_Sign1 (RFC 9052 section 2): the one tag that may stand in what is read."""
_DATES = (0, 1, 100, 1004)
"""Tags of times and days, as texts and numbers (RFC 8949 section 3.4, RFC 8943)."""
_SIMPLE = frozenset({int, str, bytes})
_PLAIN = _SIMPLE | {bool, float, type(None)}

DECODE_ERRORS = (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError, KeyError, AttributeError)
"""What `cbor2` may raise on bytes of a stranger."""


class NotCbor(ValueError):
    """Bytes that are not (deterministic) CBOR."""


class _OnlySign1(Mapping[int, cbor2.SemanticDecoderCallback]):
    """Decoders of CBOR tags: 18 stays a CBORTag, every other tag is refused before its content becomes a date, a fraction or a pattern.

    With `dates` the tags of dates are passed over: their content stays what it is, a text or a number.
    """

    def __init__(self, dates: bool) -> None:
        self._dates = dates

    def __getitem__(self, tag: int) -> cbor2.SemanticDecoderCallback:
        if tag == TAG_SIGN1:
            raise KeyError(tag)
        return _content if self._dates and tag in _DATES else _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


def _refuse_tag(_decoder: object, _immutable: bool) -> NoReturn:
    raise cbor2.CBORDecodeError(f"expected no tag but {TAG_SIGN1}")


def _content(value: object, _immutable: bool) -> object:
    return value


_TAGS, _TAGS_WITH_DATES = _OnlySign1(dates=False), _OnlySign1(dates=True)


def load(data: bytes, *, deterministic: bool = True, dates: bool = False) -> object:
    """The one CBOR item in `data`; NotCbor where it is none, has bytes left over or, if asked, is not deterministically encoded.

    Deterministic is RFC 8949 section 4.2.1, shortest forms, sorted keys, no duplicates, which re-encoding shows; keys are sorted shortest
    first (section 4.2.3), which for the keys in our formats is the same. Tags other than 18 are refused, but with `dates` those of dates
    are passed over.
    """
    tags = _TAGS_WITH_DATES if dates else _TAGS
    try:
        value: object = cbor2.loads(data, semantic_decoders=tags, allow_duplicate_keys=False)
        again = _written(value) if deterministic else data
    except DECODE_ERRORS as wrong:
        raise NotCbor(f"not CBOR: {str(wrong)[:80]}") from None
    if again != data:
        raise NotCbor("not deterministically encoded CBOR")
    if not deterministic and _is_cbor(data[:-1], tags):
        raise NotCbor("bytes after the end of the CBOR item")
    return value


def _written(value: object) -> bytes:
    """`value` in deterministic CBOR; ValueError where a map has a key of another kind than numbers and strings.

    To sort a map, cbor2 writes each of its keys twice over: maps as keys of maps, n of them deep, would take 2^n times as long.
    """
    if _is_ordered(value):
        return cbor2.dumps(value)
    if not _has_plain_keys(value):
        raise ValueError("a map has a key that is neither a number nor a string")
    return cbor2.dumps(value, canonical=True)


def _has_plain_keys(value: object) -> bool:
    """Whether all keys of all maps in `value` are numbers, strings or the simple values."""
    if isinstance(value, Mapping):
        return all(map(_PLAIN.__contains__, map(type, value))) and all(map(_has_plain_keys, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_has_plain_keys, value))
    return _has_plain_keys(value.value) if isinstance(value, cbor2.CBORTag) else True


def _is_ordered(value: object) -> bool:
    """Whether `value` is of the simple types alone, its maps in order: then plain encoding, in a quarter of the time, is deterministic."""
    kind = type(value)
    if kind is dict:
        entries = cast("dict[object, object]", value)
        inner: Iterable[object] = entries.values()
        if not _are_in_order(tuple(entries), tuple(map(type, entries))):
            return False
    elif kind is list or kind is tuple:
        inner = cast("list[object]", value)
    else:
        return kind in _SIMPLE
    return all(type(each) in _SIMPLE or _is_ordered(each) for each in inner)


@lru_cache(256)
def _are_in_order(keys: tuple[object, ...], types: tuple[type, ...]) -> bool:
    """Whether the keys of a map stand as RFC 8949 section 4.2.3 has them. `types` keeps True apart from 1."""
    if not set(types) <= {int, str}:
        return False
    encoded = [cbor2.dumps(key) for key in keys]
    return encoded == sorted(encoded, key=lambda each: (len(each), each))


def _is_cbor(data: bytes, tags: _OnlySign1) -> bool:
    """Whether `data` begins with a CBOR item. `cbor2.loads` passes over what follows one; without its last byte no item is whole."""
    try:
        cbor2.loads(data, semantic_decoders=tags, allow_duplicate_keys=False)
    except DECODE_ERRORS:
        return False
    return True
