"""Sentences for people by key, in Chinese and English: one TOML file per part and language beside this one, `{name}` for a blank.

The keys are what services give back (a Fault, a flag of a review); a key has the same blanks in both languages.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo


class Language(StrEnum):
    """The languages that people are spoken to in; the values are those of the `lang` attribute."""

    CHINESE = "zh-CN"
    ENGLISH = "en"


@cache
def sentences(language: Language) -> Mapping[str, str]:
    """Every sentence of a language by its key."""
    found: dict[str, str] = {}
    for file in resources.files(__name__).iterdir():
        if file.name.endswith(f".{language.value}.toml"):
            found.update(tomllib.loads(file.read_text(encoding="utf-8")))
    return found


def say(language: Language, key: str, params: Mapping[str, str | int]) -> str:
    """The sentence of `key` with its blanks filled. KeyError where there is none: that is our own mistake."""
    return sentences(language)[key].format_map(params)


def tell_day(language: Language, at: float, zone: ZoneInfo) -> str:
    """A date: 2020年3月16日 or 16 March 2020."""
    when = datetime.fromtimestamp(at, zone)
    if language is Language.CHINESE:
        return f"{when.year}年{when.month}月{when.day}日"
    return f"{when.day} {when:%B} {when.year}"


def tell_clock(at: float, zone: ZoneInfo) -> str:
    """A time of day: 14:20."""
    return f"{datetime.fromtimestamp(at, zone):%H:%M}"


def tell_moment(language: Language, at: float, zone: ZoneInfo) -> str:
    """A date and a time of day."""
    between = " " if language is Language.CHINESE else ", "
    return f"{tell_day(language, at, zone)}{between}{tell_clock(at, zone)}"
