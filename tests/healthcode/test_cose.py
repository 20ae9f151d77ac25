"""The short ways through CBOR and COSE say just what the long ones say."""

from __future__ import annotations

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from healthcode import cbor, cose
from healthcode.cose import P256_ORDER
from healthcode.terms import Use
from tests.healthcode.keys import SIGNERS, STRANGER

numbers = st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False)
simple = st.none() | numbers | st.text(max_size=5) | st.binary(max_size=5)
keys = st.integers(-(2**40), 2**40) | st.text(max_size=4) | st.booleans() | st.binary(max_size=2) | st.none()
values = st.recursive(simple, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=12)


@given(values)
@example({1: 2, 4: 3, 65535: {"status_list": {"idx": 1, "uri": "x"}}, -65537: 0})
@example({True: 1, 4: 2})
@example({4: 1, 1: 2})
@example({"aa": 1, "b": 2})
@example([1.5])
def test_what_is_ordered_is_deterministic_without_sorting(value: object) -> None:
    data = cbor2.dumps(value)
    is_deterministic = data == cbor2.dumps(value, canonical=True)
    try:
        assert cbor.load(data) == value
    except cbor.NotCbor:
        assert not is_deterministic
    else:
        assert is_deterministic


@pytest.mark.parametrize("wrapped", [False, True])
def test_maps_as_keys_of_maps_take_no_time(wrapped: bool) -> None:
    deep = b"\xa1" * 100 + b"\x01" + b"\x02" * 100
    data = b"\xd2\x84" + deep + b"\xa0\x40\x40" if wrapped else deep
    with pytest.raises(cbor.NotCbor, match="a key that is neither a number nor a string"):
        cbor.load(data)
    with pytest.raises(cbor.NotCbor):
        cose.parse(data)
    with pytest.raises((cbor.NotCbor, cose.NotSign1)):
        cose.parse(data, strict=False)


@pytest.mark.parametrize("deep", [b"\x81" * 3000 + b"\x01", b"\xa1\x01" * 3000 + b"\x01", b"\xd2" * 3000 + b"\x01"])
def test_what_is_too_deep_is_not_cbor(deep: bytes) -> None:
    for deterministic in (True, False):
        with pytest.raises(cbor.NotCbor):
            cbor.load(deep, deterministic=deterministic)


GOOD = cose.sign1(b"p" * 100, "hc+cwt", STRANGER)
SHORT, LONG = (cose.sign1(b"p" * size, "hc+cwt", SIGNERS[Use.TIME]) for size in (24, 255))
TOO_SHORT, TOO_LONG = (cose.sign1(b"p" * size, "hc+cwt", SIGNERS[Use.TIME]) for size in (23, 256))
OTHER_TYP = cose.sign1(b"p" * 100, "a typ of 24 bytes and up", STRANGER)


@pytest.mark.parametrize("data", [GOOD, SHORT, LONG])
def test_a_code_is_read_alike_both_ways(data: bytes) -> None:
    plain = cose.parse_plain(data)
    assert plain is not None
    assert plain == cose.parse_any(data, strict=True) == cose.parse_any(data, strict=False)
    assert plain.signed == cose.signed_bytes(plain.protected, plain.payload)


@pytest.mark.parametrize("data", [TOO_SHORT, TOO_LONG, OTHER_TYP, b"", b"\xd2\x84\x40"])
def test_what_else_is_signed_goes_the_long_way(data: bytes) -> None:
    assert cose.parse_plain(data) is None


@pytest.mark.parametrize(
    "data",
    [
        cose.sign1(b"p" * 23, "hc+cwt", STRANGER).replace(b"\xa0\x57", b"\xa0\x58\x17"),
        SHORT[:2] + b"\x58\x15" + SHORT[3:],
        b"\xd2\x84\x58"
        + cbor2.dumps({1: -7, 4: b"k" * 8, 16: "t" * 9}, canonical=True)
        + b"\xa0\x58\x18"
        + b"p" * 24
        + b"\x58\x40"
        + bytes(64),
    ],
    ids=["payload", "protected header", "a length that is the header's first byte"],
)
def test_what_is_not_in_its_shortest_form_is_neither_way_read(data: bytes) -> None:
    assert cose.parse_plain(data) is None
    with pytest.raises(cbor.NotCbor):
        cose.parse_any(data, strict=True)


def test_no_single_byte_makes_the_short_way_disagree() -> None:
    for place in range(len(SHORT)):
        for value in range(256):
            changed = SHORT[:place] + bytes([value]) + SHORT[place + 1 :]
            plain = cose.parse_plain(changed)
            assert plain is None or plain == cose.parse_any(changed, strict=True), (place, value)


@given(st.sampled_from([GOOD, SHORT, LONG]), st.data())
def test_a_changed_object_is_read_as_the_library_reads_it(whole: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(whole)))
    changed = whole[:at] + data.draw(st.binary(max_size=2)) + whole[at + data.draw(st.integers(0, 2)) :]
    plain = cose.parse_plain(changed)
    try:
        ours = cose.parse_any(changed, strict=True)
    except (cbor.NotCbor, cose.NotSign1):
        assert plain is None
        return
    assert plain is None or plain == ours
    decoded = cbor2.loads(changed)
    assert decoded.tag == cbor.TAG_SIGN1
    assert list(decoded.value) == [ours.protected, {}, ours.payload, ours.signature]
    assert cbor2.dumps(decoded, canonical=True) == changed
    assert cbor2.loads(ours.protected) == dict(ours.header)


def test_the_remembered_header_cannot_be_changed() -> None:
    header = cose.parse(GOOD).header
    with pytest.raises(TypeError):
        header[cose.KID] = b"x"  # type: ignore[index]


def test_the_signed_bytes_are_those_of_the_rfc() -> None:
    assert cose.signed_bytes(b"\xa1\x01\x26", b"This is the content.").hex() == (
        "846a5369676e61747572653143a101264054546869732069732074686520636f6e74656e742e"
    )


numbers_mod_n = st.integers(0, P256_ORDER) | st.integers(0, 2**16) | st.integers(0, 256).map(lambda bits: 2**bits - 1)


@given(numbers_mod_n, numbers_mod_n)
@example(0, 0)
@example(127, 128)
@example(2**255 - 1, 2**255)
@example(2**247, 2**248 - 1)
def test_a_signature_in_der_is_that_of_the_library(r: int, s: int) -> None:
    assert cose.der_signature(r.to_bytes(32, "big") + s.to_bytes(32, "big")) == encode_dss_signature(r, s)
