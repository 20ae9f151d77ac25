"""Numbers as people type them: what they are, or which part of them is wrong."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.faults import Fault
from server.identity import (
    PROVINCES,
    Identity,
    Paper,
    age,
    check_character,
    day_of,
    mask_name,
    mask_number,
    mask_phone,
    normal_form,
    read_identity,
    start_of,
)

AT = start_of(date(2020, 3, 16)) + 12 * 3600


@pytest.mark.parametrize(
    ("typed", "number", "born"),
    [
        ("11010519491231002X", "11010519491231002X", date(1949, 12, 31)),  # an example of GB 11643-1999
        ("440524198001010013", "440524198001010013", date(1980, 1, 1)),
        ("11010519491231002x", "11010519491231002X", date(1949, 12, 31)),
        ("110105 19491231 002X", "11010519491231002X", date(1949, 12, 31)),
        ("110105-19491231-002x", "11010519491231002X", date(1949, 12, 31)),
        ("１１０１０５１９４９１２３１００２Ｘ", "11010519491231002X", date(1949, 12, 31)),
        ("11010519491231002×", "11010519491231002X", date(1949, 12, 31)),
        ("11010519491231002Х", "11010519491231002X", date(1949, 12, 31)),  # the Cyrillic letter
        ("\u200b110105\u00a019491231\u3000002x\n", "11010519491231002X", date(1949, 12, 31)),
        ("810000199408230021", "810000199408230021", date(1994, 8, 23)),  # the form of residence permits: Hong Kong
        ("830000199201300022", "830000199201300022", date(1992, 1, 30)),
    ],
)
def test_a_citizens_number_is_read_however_it_is_typed(typed: str, number: str, born: date) -> None:
    assert read_identity(Paper.CITIZEN, typed, AT) == Identity(Paper.CITIZEN, number, born=born)


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("", Fault("identity.empty")),
        (" - ", Fault("identity.empty")),
        ("1101051949123100", Fault("identity.length", {"found": 16, "expected": 18})),
        ("11010519491231002XX", Fault("identity.length", {"found": 19, "expected": 18})),
        ("110105491231002", Fault("identity.length_15", {"found": 15, "expected": 18})),  # of the first generation, ended in 2013
        ("11O10519491231002X", Fault("identity.character", {"position": 3, "character": "O"})),
        ("1101051949123100X2", Fault("identity.character", {"position": 17, "character": "X"})),
        ("11010519491231002Y", Fault("identity.character_last", {"position": 18, "character": "Y"})),
        ("١١٠١٠٥١٩٤٩١٢٣١٠٠٢X", Fault("identity.character", {"position": 1, "character": "١"})),
        ("99010519491231002X", Fault("identity.region", {"region": "990"})),
        ("00010519491231002X", Fault("identity.region", {"region": "00"})),
        ("11010519490230002X", Fault("identity.date", {"date": "1949-02-30"})),
        ("11010519491331002X", Fault("identity.date", {"date": "1949-13-31"})),
        ("110105202003170024", Fault("identity.date_future", {"date": "2020-03-17"})),
        ("440524188001010014", Fault("identity.date_past", {"date": "1880-01-01"})),  # the standard's other example
        ("110105194912310021", Fault("identity.checksum")),
        ("110105194912310012", Fault("identity.checksum")),
    ],
)
def test_the_wrong_part_is_named(typed: str, fault: Fault) -> None:
    assert read_identity(Paper.CITIZEN, typed, AT) == fault


@pytest.mark.parametrize(
    ("paper", "typed", "state", "outcome"),
    [
        (Paper.PASSPORT, "e12345678", "chn", Identity(Paper.PASSPORT, "E12345678", "CHN")),
        (Paper.PASSPORT, "L 898902-C", "gbr", Identity(Paper.PASSPORT, "L898902C", "GBR")),
        (Paper.PASSPORT, "C01X00T47", "D<<", Identity(Paper.PASSPORT, "C01X00T47", "DEU")),
        (Paper.PASSPORT, "C01X00T47", "ｄ", Identity(Paper.PASSPORT, "C01X00T47", "DEU")),
        (Paper.PASSPORT, "A1234567", "xxa", Identity(Paper.PASSPORT, "A1234567", "XXA")),  # somebody without a state
        (Paper.PASSPORT, "L898902C", "UTO", Fault("identity.state_unknown", {"state": "UTO"})),  # ICAO's specimen
        (Paper.PASSPORT, "E12345678", "GER", Fault("identity.state_unknown", {"state": "GER"})),
        (Paper.PASSPORT, "E12345678", "", Fault("identity.state")),
        (Paper.PASSPORT, "E12345678", "China", Fault("identity.state")),
        (Paper.PASSPORT, "E123", "GBR", Fault("identity.length_passport", {"found": 4, "least": 5, "most": 9})),
        (Paper.PASSPORT, "E123456789", "GBR", Fault("identity.length_passport", {"found": 10, "least": 5, "most": 9})),
        (Paper.PASSPORT, "E12张45678", "GBR", Fault("identity.character_passport", {"position": 4, "character": "张"})),
        (Paper.HK_MACAO, "h12345678", "", Identity(Paper.HK_MACAO, "H12345678")),
        (Paper.HK_MACAO, "H1234567802", "", Identity(Paper.HK_MACAO, "H12345678")),
        (Paper.HK_MACAO, "X12345678", "", Fault("identity.form_hk_macao")),
        (Paper.TAIWAN, "12345678", "", Identity(Paper.TAIWAN, "12345678")),
        (Paper.TAIWAN, "1234567", "", Fault("identity.form_taiwan")),
        (Paper.PASSPORT, " ", "GBR", Fault("identity.empty")),
    ],
)
def test_other_papers(paper: Paper, typed: str, state: str, outcome: Identity | Fault) -> None:
    assert read_identity(paper, typed, AT, state=state) == outcome


def test_a_date_of_birth_said_beside_a_passport_is_checked_too() -> None:
    assert read_identity(Paper.PASSPORT, "E12345678", AT, state="CHN", born=date(2020, 3, 17)) == Fault(
        "identity.date_future", {"date": "2020-03-17"}
    )
    said = read_identity(Paper.PASSPORT, "E12345678", AT, state="CHN", born=date(1990, 5, 1))
    assert isinstance(said, Identity) and said.born == date(1990, 5, 1)


def test_the_same_number_of_two_states_is_of_two_people() -> None:
    texts = {
        Identity(Paper.PASSPORT, "123456789", "GBR").hashed,
        Identity(Paper.PASSPORT, "123456789", "USA").hashed,
        Identity(Paper.HK_MACAO, "H12345678").hashed,
        Identity(Paper.TAIWAN, "12345678").hashed,
        Identity(Paper.CITIZEN, "11010519491231002X").hashed,
    }
    assert len(texts) == 5


@pytest.mark.parametrize(
    ("born", "on", "years"),
    [
        (date(2002, 3, 16), date(2020, 3, 15), 17),
        (date(2002, 3, 16), date(2020, 3, 16), 18),
        (date(2004, 2, 29), date(2022, 2, 28), 17),
        (date(2004, 2, 29), date(2022, 3, 1), 18),
        (date(2020, 3, 16), date(2020, 3, 16), 0),
    ],
)
def test_age_on_a_day(born: date, on: date, years: int) -> None:
    assert age(born, start_of(on)) == years
    assert age(born, start_of(on) + 86_399) == years


def test_a_day_is_one_in_china() -> None:
    assert start_of(date(2020, 3, 16)) == 1_584_288_000  # 2020-03-15T16:00:00Z
    assert day_of(1_584_288_000 - 0.001) == date(2020, 3, 15)
    assert day_of(1_584_288_000) == date(2020, 3, 16)


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张*"),
        ("张三丰", "张**"),
        ("欧阳锋", "欧阳*"),
        ("欧阳明月", "欧阳**"),
        ("欧阳", "欧*"),
        ("诸葛孔明", "诸葛**"),
        ("张", "*"),
        ("买买提·艾力", "买***"),
        ("John Smith", "J*** S***"),
        ("Anne-Marie O'Neill", "A***-M*** O***"),
        ("李 四", "李*** 四***"),
        (" 王五 ", "王*"),
        ("", ""),
    ],
)
def test_names_are_masked(name: str, masked: str) -> None:
    assert mask_name(name) == masked


def test_numbers_are_masked() -> None:
    assert mask_number("11010519491231002X") == "110***********002X"
    assert mask_number("E12345678") == "*******78"
    assert mask_number("1234") == "****"
    assert mask_phone("13812345678") == "138****5678"
    assert mask_phone("+447700900123") == "+4477****0123"
    assert mask_phone("12345") == "*****"


@st.composite
def numbers(draw: st.DrawFn) -> str:
    born = draw(st.dates(min_value=date(1900, 1, 1), max_value=date(2020, 3, 16)))
    region = draw(st.sampled_from(sorted(PROVINCES))) + f"{draw(st.integers(0, 9999)):04}"
    first = f"{region}{born:%Y%m%d}{draw(st.integers(0, 999)):03}"
    return first + check_character(first)


@given(numbers(), st.data())
def test_the_same_number_typed_in_many_ways_is_one(number: str, data: st.DataObject) -> None:
    typed = ""
    for letter in number:
        ways = [letter, chr(ord(letter) + 0xFEE0), letter.lower()] + (["×", "х"] if letter == "X" else [])
        typed += data.draw(st.sampled_from(ways)) + data.draw(st.sampled_from(["", "", "", " ", "-", "\u3000", "\u200b", "·"]))
    read = read_identity(Paper.CITIZEN, typed, AT)
    assert isinstance(read, Identity) and read.hashed == number


@given(numbers(), st.integers(0, 17), st.sampled_from("0123456789"))
def test_one_wrong_digit_never_passes(number: str, place: int, digit: str) -> None:
    if number[place] != digit:
        assert isinstance(read_identity(Paper.CITIZEN, number[:place] + digit + number[place + 1 :], AT), Fault)


@given(numbers(), st.integers(0, 16))
def test_two_neighbours_exchanged_never_pass(number: str, place: int) -> None:
    wrong = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    if wrong != number:
        assert isinstance(read_identity(Paper.CITIZEN, wrong, AT), Fault)


@given(st.text())
def test_a_normal_form_stays_as_it_is(typed: str) -> None:
    assert normal_form(normal_form(typed)) == normal_form(typed)


@given(st.sampled_from(Paper), st.text(max_size=40), st.text(max_size=5))
def test_whatever_is_typed_gets_an_answer(paper: Paper, typed: str, state: str) -> None:
    assert isinstance(read_identity(paper, typed, AT, state=state), Identity | Fault)


@given(st.text(max_size=40))
def test_a_mask_never_shows_a_whole_name_of_two_letters_or_more(name: str) -> None:
    if len(name.strip()) > 1:
        assert mask_name(name) != name.strip() or set(name.strip()) <= {"*", "-", " "}
