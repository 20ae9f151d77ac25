"""Numbers of people's papers: read as people type them, the wrong part named; masking; one text for the keyed hash. Pure.

A citizen's number has 18 characters (GB 11643): six of a region (GB/T 2260), eight of the date of birth, three of sequence, and a check
character by ISO 7064 MOD 11-2 (0 to 9, X for ten). Residence permits of people from Hong Kong, Macao and Taiwan have the same form under
the regions 81, 82 and 83; the permanent residence card of foreigners begins with 9, then two digits of the province and three of the
country. The region of a number is where it was given out, at that time: only the province is checked.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from operator import mul

from server.faults import Fault
from server.states import STATES, plain_state

CHINA = timezone(timedelta(hours=8))
"""China Standard Time: one zone, no summer time since 1991. Days of birth, of declarations and of corrections are days in it."""
OF_AGE = 18
"""The age at which a person has full capacity to act (Civil Code of China, article 17)."""
MOST_YEARS = 130
"""Older than anybody was: a date of birth before that is a mistake."""
NUMBER_LENGTH = 18
PROVINCES = frozenset(re.findall("..", "1112131415212223313233343536374142434445465051525354616263646571818283"))
"""The first two digits of a region by GB/T 2260, with 83 of the residence permit for people from Taiwan."""
_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))
_CHECKS = "10X98765432"
_LOOKS_LIKE_X = str.maketrans({"×": "X", "Χ": "X", "Х": "X", "✕": "X", "╳": "X"})
_CITIZEN = re.compile(r"[0-9]{17}[0-9X]")
_DIGITS = re.compile(r"[0-9]")
_PASSPORT = re.compile(r"[A-Z0-9]{5,9}")
_STATE = re.compile(r"[A-Z]{3}")
_HK_MACAO = re.compile(r"([HM][0-9]{8})([0-9]{2})?")
_TAIWAN = re.compile(r"([0-9]{8})([0-9]{2})?")
# The usual compound surnames: of them both characters stay to be seen.
_COMPOUND = frozenset(
    re.findall(
        "..",
        "欧阳太史上官端木司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙慕容仲孙钟离"
        "长孙宇文司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良漆雕乐正宰父谷梁拓跋夹谷轩辕令狐段干百里呼延东郭"
        "南门羊舌微生公户左丘梁丘西门第五歐陽東方聞人諸葛尉遲赫連澹臺濮陽鍾離長孫鮮于東郭",
    )
)


class Paper(StrEnum):
    """The kinds of papers by which a person is known. Stable words: they are sealed with the number."""

    CITIZEN = "citizen"
    PASSPORT = "passport"
    HK_MACAO = "hk_macao"
    TAIWAN = "taiwan"


@dataclass(frozen=True)
class Identity:
    """A number that can be right, in normal form. `state` is a passport's (ICAO's three letters); a citizen's number says `born`."""

    paper: Paper
    number: str
    state: str = ""
    born: date | None = None

    @property
    def hashed(self) -> str:
        """The text whose keyed hash finds the person again. Of a citizen the number itself, so that lists without a kind of paper match."""
        match self.paper:
            case Paper.CITIZEN:
                return self.number
            case Paper.PASSPORT:
                return f"{self.paper.value} {self.state} {self.number}"
            case _:
                return f"{self.paper.value} {self.number}"


def day_of(at: float) -> date:
    """The day in China at `at` (seconds since 1970)."""
    return datetime.fromtimestamp(at, UTC).astimezone(CHINA).date()


def start_of(day: date) -> float:
    """When the day began in China, in seconds since 1970."""
    return datetime(day.year, day.month, day.day, tzinfo=CHINA).timestamp()


def normal_form(typed: str) -> str:
    """The number as one text however it was typed: full-width or not, with spaces, hyphens or dots, x small or as a multiplication sign."""
    if typed.isascii() and typed.isalnum():  # as files have it, a million at a time
        return typed.upper()
    plain = unicodedata.normalize("NFKC", typed.translate(_LOOKS_LIKE_X)).upper().translate(_LOOKS_LIKE_X)
    return "".join(letter for letter in plain if unicodedata.category(letter)[0] not in "ZCMP")


def read_identity(paper: Paper, typed: str, at: float, *, state: str = "", born: date | None = None) -> Identity | Fault:
    """The identity that `typed` says at `at`; the first thing that is wrong with it otherwise. `born` is what was said beside it."""
    if born is not None:
        fault = find_bad_birth(born, at)
        if fault:
            return fault
    if not normal_form(typed):
        return Fault("identity.empty")
    match paper:
        case Paper.CITIZEN:
            return _read_citizen(typed, at)
        case Paper.PASSPORT:
            return _read_passport(typed, state, born)
        case Paper.HK_MACAO:
            return _read_permit(paper, _HK_MACAO, typed, born)
        case Paper.TAIWAN:
            return _read_permit(paper, _TAIWAN, typed, born)


def check_character(first: str) -> str:
    """The check character that follows the first 17 digits of a citizen's number: ISO 7064 MOD 11-2."""
    return _CHECKS[sum(map(mul, map(int, first), _WEIGHTS)) % 11]


def age(born: date, at: float) -> int:
    """Whole years of life on the day of `at`; who was born on 29 February has the birthday on 1 March in common years."""
    day = day_of(at)
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def find_bad_birth(born: date, at: float) -> Fault | None:
    """What cannot be about a date of birth at `at`."""
    today = day_of(at)
    if born > today:
        return Fault("identity.date_future", {"date": born.isoformat()})
    if born.year < today.year - MOST_YEARS:
        return Fault("identity.date_past", {"date": born.isoformat()})
    return None


def mask_name(name: str) -> str:
    """The name as others may see it: the surname of a Han name (张*, 欧阳**), the first letter of each word of others (J*** S***)."""
    words = name.strip().split()
    if len(words) == 1 and all(unicodedata.category(letter) == "Lo" for letter in words[0]):
        word = words[0]
        seen = 2 if word[:2] in _COMPOUND and len(word) > 2 else 1
        return word[:seen] + "*" * (len(word) - seen) if len(word) > 1 else "*"
    return " ".join(_mask_word(word) for word in words)


def mask_number(number: str) -> str:
    """A number as others may see it: 420***********1234; of short ones the last two characters."""
    if len(number) >= NUMBER_LENGTH:
        return f"{number[:3]}{'*' * (len(number) - 7)}{number[-4:]}"
    seen = 2 if len(number) > 4 else 0
    return "*" * (len(number) - seen) + (number[-seen:] if seen else "")


def mask_phone(phone: str) -> str:
    """A telephone number as others may see it: 138****5678."""
    digits = len(phone)
    if digits < 8:
        return "*" * digits
    return f"{phone[: digits - 8]}****{phone[-4:]}"


def _read_citizen(typed: str, at: float) -> Identity | Fault:
    number = normal_form(typed)
    if len(number) != NUMBER_LENGTH:
        key = "identity.length_15" if len(number) == 15 and number.isdigit() else "identity.length"
        return Fault(key, {"found": len(number), "expected": NUMBER_LENGTH})
    for place, letter in enumerate("" if _CITIZEN.fullmatch(number) else number):
        is_last = place == NUMBER_LENGTH - 1
        if not (_DIGITS.match(letter) or (is_last and letter == "X")):
            return Fault("identity.character_last" if is_last else "identity.character", {"position": place + 1, "character": letter})
    region = number[1:3] if number[0] == "9" else number[:2]
    if region not in PROVINCES:
        return Fault("identity.region", {"region": number[:3] if number[0] == "9" else region})
    said = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
    try:
        born = date.fromisoformat(said)
    except ValueError:
        return Fault("identity.date", {"date": said})
    fault = find_bad_birth(born, at)
    if fault:
        return fault
    if check_character(number[:17]) != number[17]:
        return Fault("identity.checksum")
    return Identity(Paper.CITIZEN, number, born=born)


def _read_passport(typed: str, state: str, born: date | None) -> Identity | Fault:
    number, country = normal_form(typed), plain_state(normal_form(state))
    if not _STATE.fullmatch(country):
        return Fault("identity.state")
    if country not in STATES:
        return Fault("identity.state_unknown", {"state": country})
    fault = _find_bad_letter(number)
    if fault:
        return fault
    if not _PASSPORT.fullmatch(number):
        return Fault("identity.length_passport", {"found": len(number), "least": 5, "most": 9})
    return Identity(Paper.PASSPORT, number, country, born)


def _read_permit(paper: Paper, form: re.Pattern[str], typed: str, born: date | None) -> Identity | Fault:
    matched = form.fullmatch(normal_form(typed))
    if not matched:
        return Fault(f"identity.form_{paper.value}")
    return Identity(paper, matched[1], born=born)  # what follows counts how often the permit was renewed: the person is the same


def _find_bad_letter(number: str) -> Fault | None:
    for place, letter in enumerate(number):
        if not (letter.isascii() and letter.isalnum()):
            return Fault("identity.character_passport", {"position": place + 1, "character": letter})
    return None


def _mask_word(word: str) -> str:
    return "-".join(part[:1] + "***" if part else "" for part in word.split("-"))
