from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healthcode import base45

RFC_9285 = [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0"), (b"", "")]


@pytest.mark.parametrize(("data", "text"), RFC_9285)
def test_the_vectors_of_the_rfc(data: bytes, text: str) -> None:
    assert base45.encode(data) == text
    assert base45.decode(text) == data


@given(st.binary(max_size=400))
def test_every_byte_string_comes_back(data: bytes) -> None:
    assert base45.decode(base45.encode(data)) == data


def one_group_after_the_other(text: str) -> bytes | None:
    """RFC 9285 section 4 word by word; None where the text is none."""
    data = b""
    for begin in range(0, len(text), 3):
        values = [base45.ALPHABET.find(character) for character in text[begin : begin + 3]]
        number = sum(value * 45**place for place, value in enumerate(values))
        if len(values) == 1 or -1 in values or number >= 256 ** (len(values) - 1):
            return None
        data += number.to_bytes(len(values) - 1, "big")
    return data


@given(st.text(base45.ALPHABET, max_size=60) | st.text(st.sampled_from(":GWF05"), max_size=12) | st.text(max_size=20))
@example("FGW" * 100 + "U5")
@example("FGW" * 50 + "GGW" + "000" * 49)
@example("000" * 90 + "GGW")
@example("000" * 99 + "V5")
def test_all_groups_at_once_are_as_one_after_the_other(text: str) -> None:
    expected = one_group_after_the_other(text)
    if expected is not None:
        assert base45.decode(text) == expected
        return
    with pytest.raises(ValueError, match="base45"):
        base45.decode(text)


@given(st.text(base45.ALPHABET, max_size=40) | st.text(max_size=20))
@example("BB8\n")
@example("bb8")
@example(":::")
@example("::")
@example("٣٣٣")
def test_a_text_that_is_read_is_the_only_one_for_its_bytes(text: str) -> None:
    try:
        data = base45.decode(text)
    except ValueError:
        return
    assert base45.encode(data) == text


@pytest.mark.parametrize(
    "text",
    ["A", "BB8A", ":::", "GGW", "::", "V5", "BB8\n", "\nBB8", "BB8 \n", "bb8", "BB\u00a0", "BB\uff18", "B\udc80B", "BB8\r\n", "BB=", "B_8"],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base45"):
        base45.decode(text)


def test_the_largest_groups() -> None:
    assert base45.decode("FGW") == b"\xff\xff"
    assert base45.decode("U5") == b"\xff"
