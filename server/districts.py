"""Hubei's districts, for addresses by district: county level by the codes of GB/T 2260, and one word for all that lies outside.

districts.csv holds the 13 prefectures, the group under the province itself and the 103 county-level divisions as they stood on
31 December 2022: the Ministry of Civil Affairs' list of December 2019 with the one change since, Jianli, a city (421088) from June 2020.
Compared with a list taken later from the ministry's name database and with the province's count at the end of 2022 (39 districts,
26 cities, 37 counties of which 2 autonomous, 1 forestry district). The English names are pinyin by us. The file is part of the program.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

OUTSIDE = "outside"
"""What stands for the code where somebody lives or was outside the province."""


@dataclass(frozen=True)
class District:
    """A county-level division: its code, its names, and those of the prefecture that it belongs to."""

    code: str
    name: str
    english: str
    prefecture: str
    prefecture_name: str
    prefecture_english: str


@cache
def districts() -> dict[str, District]:
    """Every district by its code, in the order of the codes."""
    text = resources.files("server").joinpath("districts.csv").read_text(encoding="utf-8")
    rows = [(row["code"], row["name"], row["english"]) for row in csv.DictReader(text.splitlines())]
    above = {code[:4]: (code, name, english) for code, name, english in rows if code.endswith("00")}
    return {code: District(code, name, english, *above[code[:4]]) for code, name, english in rows if not code.endswith("00")}


def is_place(code: str) -> bool:
    """Whether `code` says a district of the province, or outside of it."""
    return code == OUTSIDE or code in districts()
