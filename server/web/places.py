"""Districts as lists of choices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from server.districts import OUTSIDE, districts
from server.sentences import Language

__all__ = ["OUTSIDE", "Place", "Prefecture", "list_places", "place_name"]


@dataclass(frozen=True)
class Place:
    """A district by its code and its name."""

    code: str
    name: str


@dataclass(frozen=True)
class Prefecture:
    """A prefecture and its districts."""

    name: str
    places: tuple[Place, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """The districts' codes."""
        return tuple(place.code for place in self.places)


@cache
def list_places(language: Language) -> tuple[Prefecture, ...]:
    """Every district under its prefecture, in the order of the codes."""
    found: dict[str, list[Place]] = {}
    for district in districts().values():
        is_chinese = language is Language.CHINESE
        above = district.prefecture_name if is_chinese else district.prefecture_english
        found.setdefault(above, []).append(Place(district.code, district.name if is_chinese else district.english))
    return tuple(Prefecture(name, tuple(places)) for name, places in found.items())


def place_name(language: Language, code: str) -> str:
    """A district's name with its prefecture's; the code itself where there is none."""
    district = districts().get(code)
    if district is None:
        return code
    if language is Language.CHINESE:
        return f"{district.prefecture_name}{district.name}" if district.prefecture_name != district.name else district.name
    return f"{district.english}, {district.prefecture_english}"
