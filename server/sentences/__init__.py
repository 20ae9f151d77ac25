"""Sentences for people by key, in Chinese and English: one TOML file per part and language beside this one, `{name}` for a blank.

The keys are what services give back (a Fault, a flag of a review); a key has the same blanks in both languages.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources


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
