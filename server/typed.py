"""Temperatures, dates and telephone numbers as people type them. Pure."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, timedelta

from server.faults import Fault
from server.identity import day_of

LEAST_C, MOST_C = 34.0, 43.0
"""What a living person's clinical thermometer shows at the least and at the most, degrees Celsius."""
_LEAST_F, _MOST_F = 93.0, 110.0
_TEMPERATURE = re.compile(r"([0-9]{2,3})(?:\s*(?:[.,]|度|°)\s*([0-9]{1,2}))?\s*(度|°?\s*c|摄氏度|°|°?\s*f|华氏度)?")
_WORDS = {"今天": 0, "今日": 0, "today": 0, "昨天": 1, "昨日": 1, "yesterday": 1, "前天": 2, "前日": 2}
_YEAR_FIRST = re.compile(r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?|([0-9]{4})([0-9]{2})([0-9]{2})")
_NO_YEAR = re.compile(r"([0-9]{1,2})[-/.月]([0-9]{1,2})[日号]?")
_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})")
_MONTH_NAMED = re.compile(r"(?:([0-9]{1,2})(?:st|nd|rd|th)? )?([a-z]{3,9})\.?,?(?: ([0-9]{1,2})(?:st|nd|rd|th)?)?(?:,? ([0-9]{4}))?")
_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december")
_OLDEST = date(1900, 1, 1)
_MOBILE = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
_LANDLINE = re.compile(r"(?:\+86|0086)?(0[0-9]{2,3}[2-9][0-9]{6,7})(?:(?:转|ext|x|#)[0-9]{1,6})?")
_ABROAD = re.compile(r"(?:\+|00)([1-9][0-9]{6,14})")
_BETWEEN = re.compile(r"[\s\-.()/]")


def read_temperature(typed: str) -> float | Fault:
    """A body temperature in degrees Celsius to a tenth: 36.8, 36,8, 36.8℃, 36度8; or 98.2F, and 98.2 alone, which can mean nothing else."""
    text = _plain(typed).replace("。", ".").replace("、", ".")
    matched = _TEMPERATURE.fullmatch(text)
    if not matched:
        return Fault("temperature.form")
    whole, tenths, unit = matched[1], matched[2] or "", matched[3] or ""
    value = float(f"{whole}.{tenths or 0}")
    if not tenths and len(whole) == 3 and LEAST_C <= value / 10 <= MOST_C and "f" not in unit and "华" not in unit:
        return Fault("temperature.point", {"suggested": f"{value / 10:.1f}"})
    is_fahrenheit = "f" in unit or "华" in unit or (not unit and _LEAST_F <= value <= _MOST_F)
    celsius = round((value - 32) / 1.8 if is_fahrenheit else value, 1)
    if not LEAST_C <= celsius <= MOST_C:
        return Fault("temperature.range", {"found": f"{celsius:.1f}", "least": f"{LEAST_C:.0f}", "most": f"{MOST_C:.0f}"})
    return celsius


def read_date(typed: str, at: float, *, oldest: date = _OLDEST) -> date | Fault:
    """A day that is not after the one of `at`: 2020-3-16, 20200316, 2020年3月16日, 3月16日, 16 March, 16/3/2020, 昨天, yesterday.

    A day without a year is the last one of that name. Of 3/4/2020 nobody can tell whether the day or the month stands first.
    """
    today = day_of(at)
    text = _plain(typed).rstrip(".")
    found = _find_date(text, today)
    if isinstance(found, Fault):
        return found
    if found > today:
        return Fault("date.future", {"date": found.isoformat()})
    if found < oldest:
        return Fault("date.too_old", {"date": found.isoformat(), "oldest": oldest.isoformat()})
    return found


def read_phone(typed: str) -> str | Fault:
    """A telephone number in one form: 13812345678, 02787654321, or + and country for others."""
    text = _BETWEEN.sub("", _plain(typed)).replace("（", "").replace("）", "")
    if not text:
        return Fault("phone.empty")
    for form in (_MOBILE, _LANDLINE):
        matched = form.fullmatch(text)
        if matched:
            return matched[1]
    abroad = _ABROAD.fullmatch(text)
    if abroad and not abroad[1].startswith("86"):
        return f"+{abroad[1]}"
    for letter in text:
        if not (letter.isdecimal() or letter == "+"):
            return Fault("phone.character", {"character": letter})
    digits = text.removeprefix("+86").removeprefix("0086")
    if digits.startswith("1") and len(digits) != 11:
        return Fault("phone.length", {"found": len(digits), "expected": 11})
    return Fault("phone.form")


def _plain(typed: str) -> str:
    """Full-width as half-width, small letters, ASCII digits alone, single spaces, nothing invisible."""
    text = "".join(letter for letter in unicodedata.normalize("NFKC", typed).lower() if unicodedata.category(letter)[0] != "C")
    return " ".join(text.split())


def _find_date(text: str, today: date) -> date | Fault:
    if text in _WORDS:
        return today - timedelta(days=_WORDS[text])
    tight = text.replace(" ", "")
    matched = _YEAR_FIRST.fullmatch(tight)
    if matched:
        year, month, day = (int(part) for part in matched.groups() if part is not None)
        return _make(year, month, day, text)
    matched = _NO_YEAR.fullmatch(tight)
    if matched:
        return _last(int(matched[1]), int(matched[2]), text, today)
    matched = _YEAR_LAST.fullmatch(tight)
    if matched:
        return _year_last(int(matched[1]), int(matched[2]), int(matched[3]), text)
    matched = _MONTH_NAMED.fullmatch(text)
    if matched and (matched[1] is None) != (matched[3] is None):
        named = [number for number, name in enumerate(_MONTHS, 1) if name.startswith(matched[2])]
        day = int(matched[1] or matched[3])
        if len(named) == 1:
            return _make(int(matched[4]), named[0], day, text) if matched[4] else _last(named[0], day, text, today)
    return Fault("date.form")


def _year_last(first: int, second: int, year: int, text: str) -> date | Fault:
    """The day of d/m/y or m/d/y where only one of them can be."""
    if first != second and first <= 12 and second <= 12:
        return Fault("date.order", {"date": text})
    day, month = (second, first) if second > 12 else (first, second)
    return _make(year, month, day, text)


def _last(month: int, day: int, text: str, today: date) -> date | Fault:
    for year in range(today.year, today.year - 9, -1):  # 29 February is at most eight years ago
        found = _make(year, month, day, text)
        if isinstance(found, date) and found <= today:
            return found
    return Fault("date.none", {"date": text})


def _make(year: int, month: int, day: int, text: str) -> date | Fault:
    try:
        return date(year, month, day)
    except ValueError:
        return Fault("date.none", {"date": text})
