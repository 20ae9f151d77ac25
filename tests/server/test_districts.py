"""The list of districts is whole: as many of each kind as the province counted at the end of 2022."""

from __future__ import annotations

from collections import Counter

from server.districts import OUTSIDE, districts, is_place


def kind(name: str) -> str:
    return next(word for word in ("自治县", "林区", "区", "市", "县") if name.endswith(word))


def test_as_many_of_each_kind_as_the_province_counted() -> None:
    assert Counter(kind(district.name) for district in districts().values()) == {"区": 39, "市": 26, "县": 35, "自治县": 2, "林区": 1}
    assert len({district.prefecture for district in districts().values()}) == 14


def test_codes_are_of_the_province_in_order_and_names_are_different() -> None:
    codes = list(districts())
    assert codes == sorted(set(codes))
    assert all(code.startswith("42") and len(code) == 6 and code.isdigit() for code in codes)
    assert len({district.name for district in districts().values()}) == len(codes)
    assert len({district.english for district in districts().values()}) == len(codes)


def test_a_district_knows_its_prefecture() -> None:
    wuchang = districts()["420106"]
    assert (wuchang.name, wuchang.english, wuchang.prefecture_name, wuchang.prefecture_english) == (
        "武昌区",
        "Wuchang District",
        "武汉市",
        "Wuhan",
    )
    assert districts()["421088"].name == "监利市"


def test_a_place_is_a_district_or_outside() -> None:
    assert is_place("420106") and is_place(OUTSIDE)
    assert not is_place("420100") and not is_place("421023") and not is_place("") and not is_place("110105")
