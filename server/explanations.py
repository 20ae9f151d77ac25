"""What explains a ruling: the key of a sentence and what is filled in, and how it reads in a language. Pure.

Command line, portal and desk say the same. The sentences: server/sentences/rules.*.toml; `rule.` says why, `change.` what would change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo

from server.sentences import Language, say, sentences

Value = str | float
CHINA = timezone(timedelta(hours=8), "UTC+8")
TIMES = frozenset({"since", "until", "closed", "last"})
"""Values that are times, in seconds since 1970; they read as local time."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """The key of a sentence (server/sentences) and what is filled in."""

    key: str
    values: Mapping[str, Value] = field(default_factory=dict, hash=False)


def explain(sentence: Sentence, language: Language = Language.ENGLISH, zone: tzinfo = CHINA) -> str:
    """The sentence as a line for people. KeyError where there is none: that is our own mistake."""
    return say(language, sentence.key, {name: _shown(language, name, value, zone) for name, value in sentence.values.items()})


def name_role(language: Language, by: str) -> str:
    """Who decided, by role, as people read it: never a name. What is no role of ours is told as it is."""
    return sentences(language).get(f"role.{by}", by)


def _shown(language: Language, name: str, value: Value, zone: tzinfo) -> str:
    if name == "by":
        return name_role(language, str(value))
    if name in TIMES:
        return datetime.fromtimestamp(float(value), zone).strftime("%Y-%m-%d %H:%M")
    return value if isinstance(value, str) else f"{value:g}"
