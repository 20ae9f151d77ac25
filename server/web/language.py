"""What pages say, by key, in Chinese and in English: the sentences of server/sentences with dates and times told in a zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from server.explanations import TIMES, Sentence, Value, name_role
from server.sentences import Language, tell_clock, tell_day, tell_moment

OWN_NAMES = {Language.CHINESE: "中文", Language.ENGLISH: "English"}


@dataclass(frozen=True)
class Words:
    """One language's catalogue; times are told in `zone`."""

    language: Language
    texts: Mapping[str, str]
    zone: ZoneInfo

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of `key` with `values` filled in; KeyError where there is none, for that is our mistake."""
        return self.texts[key].format(**values)

    def blank(self, key: str) -> str:
        """The text of `key` with its blanks as they are, for a script that fills them in."""
        return self.texts[key]

    def explain(self, sentence: Sentence) -> str:
        """A reason, or what would change it, with its times told in the zone."""
        values = {name: self._tell(name, value) for name, value in sentence.values.items()}
        return self.texts[sentence.key].format(**values)

    def __contains__(self, key: str) -> bool:
        return key in self.texts

    def day(self, at: float) -> str:
        """A date: 2020年3月16日 or 16 March 2020."""
        return tell_day(self.language, at, self.zone)

    def clock(self, at: float) -> str:
        """A time of day: 14:20."""
        return tell_clock(at, self.zone)

    def moment(self, at: float) -> str:
        """A date and a time of day."""
        return tell_moment(self.language, at, self.zone)

    def instant(self, at: float) -> str:
        """A date and a time to the second, for logs: 2020-03-16 14:20:05."""
        return f"{datetime.fromtimestamp(at, self.zone):%Y-%m-%d %H:%M:%S}"

    def _tell(self, name: str, value: Value) -> str:
        if name == "by":
            return name_role(self.language, str(value))
        if name in TIMES:
            return self.moment(float(value))
        return value if isinstance(value, str) else f"{value:g}"


def choose(remembered: str | None, accepted: str) -> Language:
    """The language of a visitor: what they chose before, else what their browser asks for first (RFC 9110, 12.5.4), else Chinese."""
    if remembered in tuple(Language):
        return Language(remembered)
    asked = []
    for place, part in enumerate(accepted.lower().split(",")[:20]):
        name, _, quality = part.strip().partition(";q=")
        try:
            asked.append((-float(quality or 1), place, name))
        except ValueError:
            continue
    for weight, _, name in sorted(asked):
        for language in Language:
            if weight < 0 and name.split("-")[0] == language.value.split("-")[0]:
                return language
    return Language.CHINESE
