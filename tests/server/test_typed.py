"""Temperatures, dates and telephone numbers as people type them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.faults import Fault
from server.identity import start_of
from server.typed import read_date, read_phone, read_temperature

TODAY = date(2020, 3, 16)
AT = start_of(TODAY) + 20 * 3600


@pytest.mark.parametrize(
    ("typed", "celsius"),
    [
        ("36.8", 36.8),
        ("36,8", 36.8),
        ("３６．８", 36.8),
        ("36。8", 36.8),
        (" 36.8℃ ", 36.8),
        ("36.8 °C", 36.8),
        ("36.8c", 36.8),
        ("36.8度", 36.8),
        ("36度8", 36.8),
        ("37", 37.0),
        ("37度", 37.0),
        ("36.75", 36.8),
        ("98.2F", 36.8),
        ("98.2℉", 36.8),
        ("98.2 °f", 36.8),
        ("98.2", 36.8),
        ("100.4", 38.0),
        ("100.4华氏度", 38.0),
    ],
)
def test_a_temperature_is_read(typed: str, celsius: float) -> None:
    assert read_temperature(typed) == celsius


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("368", Fault("temperature.point", {"suggested": "36.8"})),
        ("正常", Fault("temperature.form")),
        ("三十六度八", Fault("temperature.form")),
        ("", Fault("temperature.form")),
        ("36.8.1", Fault("temperature.form")),
        ("-36.8", Fault("temperature.form")),
        ("36.8 F", Fault("temperature.range", {"found": "2.7", "least": "34", "most": "43"})),
        ("63.8", Fault("temperature.range", {"found": "63.8", "least": "34", "most": "43"})),
        ("12", Fault("temperature.range", {"found": "12.0", "least": "34", "most": "43"})),
        ("500", Fault("temperature.range", {"found": "500.0", "least": "34", "most": "43"})),
        ("٣٦٫٨", Fault("temperature.form")),
    ],
)
def test_what_is_no_temperature_is_named(typed: str, fault: Fault) -> None:
    assert read_temperature(typed) == fault


@given(st.integers(340, 430))
def test_celsius_and_fahrenheit_are_one_temperature(tenths: int) -> None:
    celsius = tenths / 10
    assert read_temperature(f"{celsius:.1f}") == celsius
    assert read_temperature(f"{celsius * 1.8 + 32:.2f}F") == celsius


@pytest.mark.parametrize(
    ("typed", "day"),
    [
        ("2020-03-16", TODAY),
        ("2020-3-1", date(2020, 3, 1)),
        ("2020/3/1", date(2020, 3, 1)),
        ("2020.3.1", date(2020, 3, 1)),
        ("20200301", date(2020, 3, 1)),
        ("２０２０年３月１日", date(2020, 3, 1)),
        ("2020 年 3 月 1 日", date(2020, 3, 1)),
        ("3月1日", date(2020, 3, 1)),
        ("3月1号", date(2020, 3, 1)),
        ("3-1", date(2020, 3, 1)),
        ("3/16", TODAY),
        ("12月31日", date(2019, 12, 31)),
        ("3月17日", date(2019, 3, 17)),
        ("2月29日", date(2020, 2, 29)),
        ("16/3/2020", TODAY),
        ("3/16/2020", TODAY),
        ("3.3.2020", date(2020, 3, 3)),
        ("16 March 2020", TODAY),
        ("March 16, 2020", TODAY),
        ("16th mar", TODAY),
        ("mar 1", date(2020, 3, 1)),
        ("Dec. 31", date(2019, 12, 31)),
        ("今天", TODAY),
        ("昨天", date(2020, 3, 15)),
        ("前天", date(2020, 3, 14)),
        ("Yesterday", date(2020, 3, 15)),
    ],
)
def test_a_date_is_read(typed: str, day: date) -> None:
    assert read_date(typed, AT) == day


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("", Fault("date.form")),
        ("soon", Fault("date.form")),
        ("大概三月", Fault("date.form")),
        ("16 ma 2020", Fault("date.form")),
        ("1 march 2", Fault("date.form")),
        ("2020-02-30", Fault("date.none", {"date": "2020-02-30"})),
        ("2月30日", Fault("date.none", {"date": "2月30日"})),
        ("13月1日", Fault("date.none", {"date": "13月1日"})),
        ("2020-03-17", Fault("date.future", {"date": "2020-03-17"})),
        ("3/4/2020", Fault("date.order", {"date": "3/4/2020"})),
        ("1720-01-01", Fault("date.too_old", {"date": "1720-01-01", "oldest": "1900-01-01"})),
    ],
)
def test_what_is_no_date_is_named(typed: str, fault: Fault) -> None:
    assert read_date(typed, AT) == fault


@given(st.dates(min_value=date(1900, 1, 1), max_value=TODAY))
def test_a_day_written_in_full_is_that_day(day: date) -> None:
    for form in (day.isoformat(), f"{day:%Y%m%d}", f"{day.year}年{day.month}月{day.day}日", f"{day.day} {day:%B} {day.year}"):
        assert read_date(form, AT) == day


@given(st.dates(min_value=TODAY - timedelta(days=360), max_value=TODAY))
def test_a_day_without_a_year_is_the_last_one(day: date) -> None:
    assert read_date(f"{day.month}月{day.day}日", AT) == day


@pytest.mark.parametrize(
    ("typed", "phone"),
    [
        ("13812345678", "13812345678"),
        ("138 1234 5678", "13812345678"),
        ("138-1234-5678", "13812345678"),
        ("１３８１２３４５６７８", "13812345678"),
        ("+86 138 1234 5678", "13812345678"),
        ("8613812345678", "13812345678"),
        ("0086-13812345678", "13812345678"),
        ("027-87654321", "02787654321"),
        ("(027) 8765 4321", "02787654321"),
        ("（0719）8651234", "07198651234"),
        ("027-87654321转123", "02787654321"),
        ("+44 7700 900123", "+447700900123"),
        ("0044 7700 900123", "+447700900123"),
    ],
)
def test_a_telephone_number_has_one_form(typed: str, phone: str) -> None:
    assert read_phone(typed) == phone
    assert read_phone(phone) == phone


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("", Fault("phone.empty")),
        ("1381234567", Fault("phone.length", {"found": 10, "expected": 11})),
        ("138123456789", Fault("phone.length", {"found": 12, "expected": 11})),
        ("+86 1381234567", Fault("phone.length", {"found": 10, "expected": 11})),
        ("12345678901", Fault("phone.form")),
        ("87654321", Fault("phone.form")),
        ("ask my son", Fault("phone.character", {"character": "a"})),
        ("١٣٨١٢٣٤٥٦٧٨", Fault("phone.form")),
    ],
)
def test_what_is_no_telephone_number_is_named(typed: str, fault: Fault) -> None:
    assert read_phone(typed) == fault


@given(st.text(max_size=30))
def test_whatever_is_typed_gets_an_answer(typed: str) -> None:
    assert isinstance(read_temperature(typed), float | Fault)
    assert isinstance(read_date(typed, AT), date | Fault)
    assert isinstance(read_phone(typed), str | Fault)
