from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from healthcode import base45, cose, token
from healthcode.cose import P256_ORDER, SoftwareKey
from healthcode.messages import TrustEntry
from healthcode.terms import Colour, Fault, Form, Use
from healthcode.token import Claims, HealthCode, TokenFault
from healthcode.trust import KeyRing
from tests.healthcode.keys import DAY_S, NOW, OTHER_TOKEN, OTHER_URI, RING, SIGNERS, STRANGER, URI, claims, code, entry

SIGNER = SIGNERS[Use.TOKEN]
GREEN = code()


def fault_of(text: str, keys: KeyRing = RING, at: float = NOW) -> Fault | None:
    """The stage at which `text` fails; None where it is a valid code."""
    found = token.read(text, keys, at)
    return found.fault if isinstance(found, TokenFault) else None


def inside(text: str) -> tuple[bytes, bytes, bytes]:
    """Protected header, payload and signature of a code."""
    sign1 = cose.parse(base45.decode(text.removeprefix(token.PREFIX)))
    return sign1.protected, sign1.payload, sign1.signature


def wrap(value: object, *, canonical: bool = True) -> str:
    """Any CBOR value behind the prefix."""
    return token.PREFIX + base45.encode(cbor2.dumps(value, canonical=canonical))


def sign1(*parts: object) -> str:
    """A tagged COSE_Sign1 of these four parts behind the prefix."""
    return wrap(cbor2.CBORTag(18, list(parts)))


def signed_with(header: dict[Any, Any] | bytes, payload: bytes, signer: SoftwareKey = SIGNER) -> str:
    """A code with a protected header of the test's own, truly signed."""
    protected = header if isinstance(header, bytes) else cbor2.dumps(header, canonical=True)
    return sign1(protected, {}, payload, signer.sign(cose.signed_bytes(protected, payload)))


def saying(**changes: Any) -> str:
    """A truly signed code whose claims are the usual ones with raw changes; None takes a claim away."""
    numbers = {"iss": 1, "exp": 4, "nbf": 5, "iat": 6, "status": 65535, "colour": -65537, "form": -65538, "more": 7}
    said = cbor2.loads(inside(GREEN)[1])
    for name, value in changes.items():
        if value is None:
            del said[numbers[name]]
        else:
            said[numbers[name]] = value
    return signed_with(HEADER, cbor2.dumps(said, canonical=True))


PROTECTED, PAYLOAD, SIGNATURE = inside(GREEN)
HEADER = {1: -7, 4: SIGNER.kid, 16: token.TYP}

STAGES: list[tuple[str, Callable[[], str], Fault]] = [
    ("longer than a code can be", lambda: GREEN + "0" * 300, Fault.TOO_LONG),
    ("nothing", lambda: "", Fault.PREFIX),
    ("a certificate of the EU", lambda: "HC1:" + GREEN[4:], Fault.PREFIX),
    ("lower case", lambda: "hb1:" + GREEN[4:], Fault.PREFIX),
    ("white space before it", lambda: " " + GREEN, Fault.PREFIX),
    ("a newline after it", lambda: GREEN + "\n", Fault.BASE45),
    ("a full-width digit", lambda: GREEN[:20] + "\uff11" + GREEN[21:], Fault.BASE45),
    ("half a surrogate pair", lambda: GREEN[:20] + "\udc80" + GREEN[21:], Fault.BASE45),
    ("the prefix alone", lambda: token.PREFIX, Fault.CBOR),
    ("cut short", lambda: token.PREFIX + base45.encode(base45.decode(GREEN[4:])[:-1]), Fault.CBOR),
    ("a byte after the end", lambda: token.PREFIX + base45.encode(base45.decode(GREEN[4:]) + b"\0"), Fault.CBOR),
    ("of indefinite length", lambda: token.PREFIX + base45.encode(b"\xd2\x9f" + base45.decode(GREEN[4:])[2:] + b"\xff"), Fault.CBOR),
    ("a deep nest", lambda: token.PREFIX + base45.encode(b"\x81" * 150), Fault.CBOR),
    ("a pattern to compile", lambda: token.PREFIX + base45.encode(bytes.fromhex("d823") + b"\x65(a+)+"), Fault.CBOR),
    ("a fraction of zero", lambda: token.PREFIX + base45.encode(bytes.fromhex("d81e820100")), Fault.CBOR),
    ("a number", lambda: wrap(1), Fault.COSE),
    ("without its tag", lambda: wrap([PROTECTED, {}, PAYLOAD, SIGNATURE]), Fault.COSE),
    ("with the tag of a MAC", lambda: token.PREFIX + base45.encode(b"\xd1" + base45.decode(GREEN[4:])[1:]), Fault.CBOR),
    ("three parts", lambda: sign1(PROTECTED, {}, PAYLOAD), Fault.COSE),
    ("an unprotected header", lambda: sign1(PROTECTED, {4: SIGNER.kid}, PAYLOAD, SIGNATURE), Fault.COSE),
    ("no payload", lambda: sign1(PROTECTED, {}, None, SIGNATURE), Fault.COSE),
    ("a header that is a list", lambda: sign1(b"\x80", {}, PAYLOAD, SIGNATURE), Fault.COSE),
    ("an empty header", lambda: sign1(b"", {}, PAYLOAD, SIGNATURE), Fault.COSE),
    ("another typ", lambda: signed_with(HEADER | {16: "CWT"}, PAYLOAD), Fault.COSE),
    ("no typ", lambda: signed_with({1: -7, 4: SIGNER.kid}, PAYLOAD), Fault.COSE),
    ("a kid of 4 bytes", lambda: signed_with(HEADER | {4: SIGNER.kid[:4]}, PAYLOAD), Fault.COSE),
    ("crit in the header", lambda: signed_with(HEADER | {2: [99], 99: 1}, PAYLOAD), Fault.COSE),
    ("one more thing in the header", lambda: signed_with(HEADER | {3: 60}, PAYLOAD), Fault.COSE),
    ("a header that is not in order", lambda: signed_with(cbor2.dumps({16: token.TYP, 4: SIGNER.kid, 1: -7}), PAYLOAD), Fault.COSE),
    ("ES512", lambda: signed_with(HEADER | {1: -36}, PAYLOAD), Fault.ALGORITHM),
    ("an HMAC", lambda: signed_with(HEADER | {1: 5}, PAYLOAD), Fault.ALGORITHM),
    ("an algorithm by its name", lambda: signed_with(HEADER | {1: "ES256"}, PAYLOAD), Fault.ALGORITHM),
    ("an algorithm that is true", lambda: signed_with(HEADER | {1: True}, PAYLOAD), Fault.ALGORITHM),
    ("the algorithm of another key", lambda: signed_with(HEADER | {1: -8}, PAYLOAD), Fault.ALGORITHM),
    ("a stranger's key", lambda: code(STRANGER), Fault.UNKNOWN_KEY),
    ("a key for lists", lambda: code(SIGNERS[Use.LIST]), Fault.UNKNOWN_KEY),
    ("a stranger's key with our kid", lambda: signed_with(HEADER, PAYLOAD, STRANGER), Fault.SIGNATURE),
    ("other claims under our signature", lambda: sign1(PROTECTED, {}, inside(code(index=1))[1], SIGNATURE), Fault.SIGNATURE),
    ("the twin (r, n - s)", lambda: sign1(PROTECTED, {}, PAYLOAD, twin(SIGNATURE)), Fault.SIGNATURE),
    ("a signature of zeros", lambda: sign1(PROTECTED, {}, PAYLOAD, bytes(64)), Fault.SIGNATURE),
    ("a zero before its s", lambda: sign1(PROTECTED, {}, PAYLOAD, SIGNATURE[:32] + b"\0" + SIGNATURE[32:]), Fault.SIGNATURE),
    ("a signature in DER", lambda: sign1(PROTECTED, {}, PAYLOAD, SIGNATURE + bytes(6)), Fault.SIGNATURE),
    ("claims that are a list", lambda: signed_with(HEADER, cbor2.dumps([1, 2])), Fault.CLAIMS),
    ("claims that are no CBOR", lambda: signed_with(HEADER, b"\xff"), Fault.CLAIMS),
    ("no iss", lambda: saying(iss=None), Fault.CLAIMS),
    ("no exp", lambda: saying(exp=None), Fault.CLAIMS),
    ("no nbf", lambda: saying(nbf=None), Fault.CLAIMS),
    ("no iat", lambda: saying(iat=None), Fault.CLAIMS),
    ("no status", lambda: saying(status=None), Fault.CLAIMS),
    ("no colour", lambda: saying(colour=None), Fault.CLAIMS),
    ("no form", lambda: saying(form=None), Fault.CLAIMS),
    ("exp as a fraction", lambda: saying(exp=NOW + 0.5), Fault.CLAIMS),
    ("exp that is true", lambda: saying(exp=True), Fault.CLAIMS),
    ("exp far too large", lambda: saying(exp=2**40), Fault.CLAIMS),
    ("iat before 1970", lambda: saying(iat=-1), Fault.CLAIMS),
    ("an index outside any list", lambda: saying(status={"status_list": {"idx": 2**26, "uri": URI}}), Fault.CLAIMS),
    ("an index below zero", lambda: saying(status={"status_list": {"idx": -1, "uri": URI}}), Fault.CLAIMS),
    ("the colour revoked", lambda: saying(colour=1), Fault.CLAIMS),
    ("a fifth colour", lambda: saying(colour=4), Fault.CLAIMS),
    ("a third form", lambda: saying(form=3), Fault.CLAIMS),
    ("an issuer without a name", lambda: saying(iss=""), Fault.CLAIMS),
    ("an end before its beginning", lambda: saying(exp=NOW), Fault.CLAIMS),
    ("beginning later", lambda: code(not_before=NOW + 6, expires=NOW + 60), Fault.NOT_YET_VALID),
    ("ruled in the future", lambda: code(ruled_at=NOW + 6), Fault.NOT_YET_VALID),
    ("ended just now", lambda: code(not_before=NOW - 120, expires=NOW), Fault.EXPIRED),
    ("another's name as issuer", lambda: code(issuer="CN-HN"), Fault.ISSUER_SCOPE),
    ("another province signing as ours", lambda: code(OTHER_TOKEN), Fault.ISSUER_SCOPE),
    ("another province signing for our list", lambda: code(OTHER_TOKEN, issuer="CN-HN"), Fault.ISSUER_SCOPE),
    ("another list", lambda: code(uri=OTHER_URI), Fault.ISSUER_SCOPE),
    ("too long a life", lambda: code(form=Form.PAPER, expires=NOW + 28 * DAY_S + 1), Fault.ISSUER_SCOPE),
]


def with_our_kid(signer: SoftwareKey) -> TrustEntry:
    """The entry of a key whose identifier happens to be that of our own token key."""
    return msgspec.structs.replace(entry(signer, Use.TOKEN), kid=SIGNER.kid)


def twin(signature: bytes) -> bytes:
    """The other ES256 signature that verifies: (r, n - s)."""
    return signature[:32] + (P256_ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")


@pytest.mark.parametrize(("make", "fault"), [pytest.param(make, fault, id=name) for name, make, fault in STAGES])
def test_each_stage_refuses(make: Callable[[], str], fault: Fault) -> None:
    assert fault_of(make()) is fault


def test_every_stage_has_a_case() -> None:
    assert {fault for _, _, fault in STAGES} == set(Fault) - {Fault.COMPRESSION}, "our own codes are not compressed"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (GREEN[4:] + "\n" * 300, Fault.TOO_LONG),
        ("HC1:" + "\n", Fault.PREFIX),
        (code(STRANGER, issuer="CN-HN", expires=NOW + 1, not_before=NOW - 1), Fault.UNKNOWN_KEY),
        (saying(form=3, exp=1), Fault.CLAIMS),
        (code(issuer="CN-HN", not_before=NOW + 60), Fault.NOT_YET_VALID),
        (code(issuer="CN-HN", not_before=NOW - 60, expires=NOW - 1), Fault.EXPIRED),
    ],
)
def test_of_two_faults_the_first_stage_is_named(text: str, fault: Fault) -> None:
    assert fault_of(text) is fault


@pytest.mark.parametrize("colour", Colour)
@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("signer", [SIGNER, SIGNERS[Use.TIME]], ids=["ES256", "Ed25519"])
def test_what_is_written_is_read(colour: Colour, form: Form, signer: SoftwareKey) -> None:
    said = claims(colour=colour, form=form, expires=NOW + (120 if form is Form.LIVE else 28 * DAY_S))
    text = token.write(said, signer)
    found = token.read(text, KeyRing(1, [entry(signer, Use.TOKEN)]), NOW)
    assert isinstance(found, HealthCode)
    assert found == HealthCode(**msgspec.structs.asdict(said), kid=signer.kid)
    assert found.person == (URI, said.index)
    assert len(text) <= token.MAX_TEXT


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": ""},
        {"issuer": "X" * 33},
        {"index": -1},
        {"index": token.MAX_INDEX + 1},
        {"index": True},
        {"ruled_at": -1},
        {"expires": 2**40},
        {"expires": NOW, "not_before": NOW},
        {"expires": NOW + 0.5},
    ],
)
def test_what_no_reader_takes_is_not_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="claims that no reader takes"):
        token.write(claims(**wrong), SIGNER)


@given(
    index=st.integers(0, token.MAX_INDEX),
    colour=st.sampled_from(Colour),
    form=st.sampled_from(Form),
    ruled_at=st.integers(0, NOW + 5),
    before=st.integers(0, 20 * DAY_S),
    after=st.integers(1, 8 * DAY_S),
)
def test_any_claims_within_the_scope_come_back(index: int, colour: Colour, form: Form, ruled_at: int, before: int, after: int) -> None:
    said = claims(index=index, colour=colour, form=form, ruled_at=ruled_at, not_before=NOW - before, expires=NOW + after)
    found = token.read(token.write(said, SIGNER), RING, NOW)
    assert isinstance(found, HealthCode)
    assert msgspec.structs.asdict(found) == msgspec.structs.asdict(said) | {"kid": SIGNER.kid}


CLAIM_NUMBERS = st.sampled_from([0, 1, 23, 24, 255, 256, 65_535, 65_536, token.MAX_INDEX, token.MAX_INDEX + 1, 2**32 - 1, 2**32, 2**40])
ANY_NUMBER = CLAIM_NUMBERS | st.integers(0, 2**33)


@given(
    issuer=st.text(max_size=33),
    uri=st.text(max_size=40) | st.integers(0, 300).map(lambda size: "u" * size),
    times=st.tuples(ANY_NUMBER, ANY_NUMBER, ANY_NUMBER),
    index=ANY_NUMBER,
    colour=st.integers(0, 25) | CLAIM_NUMBERS,
    form=st.integers(0, 3) | CLAIM_NUMBERS,
)
@example("CN-HB", URI, (NOW + 120, NOW, NOW - 60), 1_234_567, 0, 1)
@example("X" * 23, "u" * 23, (NOW + 120, NOW, NOW - 60), token.MAX_INDEX, 2, 2)
@example("X" * 24, "u" * 24, (NOW + 120, NOW, NOW - 60), 65_536, 3, 1)
@example("湖北", "u" * 255, (2**32 - 1, 65_536, 65_536), 65_536, 3, 2)
def test_claims_are_read_alike_both_ways(issuer: str, uri: str, times: tuple[int, int, int], index: int, colour: int, form: int) -> None:
    status = {"status_list": {"idx": index, "uri": uri}}
    said = {1: issuer, 4: times[0], 5: times[1], 6: times[2], 65535: status, -65537: colour, -65538: form}
    payload = cbor2.dumps(said, canonical=True)
    plain, found = token.read_plain_claims(payload), token.read_any_claims(payload)
    assert plain is None or plain == found
    is_plain = len(issuer.encode()) < 24 and len(uri.encode()) < 256 and min(*times, index) > 0xFFFF and max(times) < 2**32
    assert (plain is not None) is (is_plain and isinstance(found, Claims))


@given(st.sampled_from([{}, {"uri": "u" * 23}, {"uri": "u" * 24}, {"uri": "u" * 30}, {"issuer": "X"}, {"issuer": "X" * 23}]), st.data())
def test_changed_claims_are_read_alike_both_ways(changes: dict[str, Any], data: st.DataObject) -> None:
    said = claims(**changes)
    whole = cbor2.dumps(
        {
            token.ISS: said.issuer,
            token.EXP: said.expires,
            token.NBF: said.not_before,
            token.IAT: said.ruled_at,
            token.STATUS: {"status_list": {"idx": said.index, "uri": said.uri}},
            token.COLOUR: 0,
            token.FORM: 1,
        },
        canonical=True,
    )
    at = data.draw(st.integers(0, len(whole)))
    changed = whole[:at] + data.draw(st.binary(max_size=3)) + whole[at + data.draw(st.integers(0, 3)) :]
    plain = token.read_plain_claims(changed)
    assert plain is None or plain == token.read_any_claims(changed)


@pytest.mark.parametrize("uri", ["u" * size for size in (1, 5, 23, 24, 25, 31, 32, 255)])
def test_no_single_byte_makes_the_short_way_disagree(uri: str) -> None:
    status = {"status_list": {"idx": 70_000, "uri": uri}}
    whole = cbor2.dumps({1: "CN-HB", 4: NOW + 9, 5: NOW, 6: NOW, 65535: status, -65537: 0, -65538: 1}, canonical=True)
    assert token.read_plain_claims(whole) is not None
    for place in range(len(whole)):
        for value in range(256):
            changed = whole[:place] + bytes([value]) + whole[place + 1 :]
            plain = token.read_plain_claims(changed)
            assert plain is None or plain == token.read_any_claims(changed), (place, value)


def test_texts_in_a_longer_form_than_they_need_are_not_plain() -> None:
    status = {"status_list": {"idx": 70_000, "uri": "u" * 23}}
    whole = cbor2.dumps({1: "i" * 23, 4: NOW + 9, 5: NOW, 6: NOW, 65535: status, -65537: 0, -65538: 1}, canonical=True)
    assert token.read_plain_claims(whole) is not None
    for character in (b"i", b"u"):
        text = character * 23
        longer = whole.replace(b"\x77" + text, b"\x78\x17" + text)
        assert longer != whole
        assert token.read_plain_claims(longer) is None
        assert isinstance(token.read_any_claims(longer), TokenFault)


@pytest.mark.parametrize("size", range(80))
def test_claims_cut_short_are_none_of_ours(size: int) -> None:
    assert token.read_plain_claims(inside(GREEN)[1][:size]) is None


def test_unknown_claims_are_passed_over() -> None:
    assert fault_of(saying(more=b"cti")) is None


def test_a_clock_that_is_five_seconds_behind_is_forgiven() -> None:
    assert fault_of(code(not_before=NOW + 5, ruled_at=NOW + 5, expires=NOW + 60)) is None
    assert fault_of(code(not_before=NOW - 60, expires=NOW + 1)) is None


def test_a_time_that_is_no_number_admits_nobody() -> None:
    assert fault_of(GREEN, at=float("nan")) is not None
    assert fault_of(GREEN, at=float("inf")) is Fault.EXPIRED


SCOPES: list[tuple[str, dict[str, Any], dict[str, Any], float, bool]] = [
    ("as it is", {}, {}, NOW, True),
    ("issuer of another name", {"issuer": "CN-HN"}, {}, NOW, False),
    ("no list", {"uris": []}, {}, NOW, False),
    ("a list whose uri begins alike", {"uris": [URI + "0"]}, {}, NOW, False),
    ("two lists, the code's the second", {"uris": [OTHER_URI, URI]}, {}, NOW, True),
    ("paper alone, a live code", {"forms": [Form.PAPER]}, {}, NOW, False),
    ("live alone, a live code", {"forms": [Form.LIVE]}, {}, NOW, True),
    ("live alone, a paper code", {"forms": [Form.LIVE]}, {"form": Form.PAPER}, NOW, False),
    ("just the longest life", {"max_lifetime_s": 120}, {}, NOW, True),
    ("one second over the longest life", {"max_lifetime_s": 119}, {}, NOW, False),
    ("signs from the code's beginning", {"sign_from": NOW}, {}, NOW, True),
    ("signs from a second later", {"sign_from": NOW + 1}, {}, NOW, False),
    ("signs until the code's beginning", {"sign_until": NOW}, {}, NOW + 60, True),
    ("signed until a second before", {"sign_until": NOW - 1}, {}, NOW, False),
    ("counts until now", {"verify_until": NOW}, {}, NOW, True),
    ("counted until a second before", {"verify_until": NOW - 1}, {}, NOW, False),
]


@pytest.mark.parametrize(("scope", "said", "at", "fits"), [pytest.param(*case[1:], id=case[0]) for case in SCOPES])
def test_scope(scope: dict[str, Any], said: dict[str, Any], at: float, fits: bool) -> None:
    keys = KeyRing(1, [entry(SIGNER, Use.TOKEN, **scope)])
    assert fault_of(code(**said), keys, at) is (None if fits else Fault.ISSUER_SCOPE)


def test_all_keys_with_a_colliding_identifier_are_tried() -> None:
    other = SoftwareKey.generate("Ed25519")
    keys = KeyRing(1, [with_our_kid(STRANGER), with_our_kid(other), entry(SIGNER, Use.TOKEN)])
    assert fault_of(GREEN, keys) is None
    assert fault_of(signed_with(HEADER, PAYLOAD, STRANGER), keys) is None
    assert fault_of(signed_with(HEADER | {1: -8}, PAYLOAD, other), keys) is None
    assert fault_of(signed_with(HEADER, PAYLOAD, SoftwareKey.generate()), keys) is Fault.SIGNATURE


def test_one_key_with_two_entries_may_sign_what_either_allows() -> None:
    keys = KeyRing(1, [entry(SIGNER, Use.TOKEN, uris=[OTHER_URI]), entry(SIGNER, Use.TOKEN, forms=[Form.LIVE])])
    assert fault_of(GREEN, keys) is None
    assert fault_of(code(form=Form.PAPER), keys) is Fault.ISSUER_SCOPE


@pytest.mark.parametrize("text", [GREEN, code(OTHER_TOKEN, issuer="CN-HN", uri=OTHER_URI)], ids=["ES256", "Ed25519"])
def test_no_single_bit_may_change(text: str) -> None:
    assert fault_of(text) is None
    data = base45.decode(text[4:])
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert fault_of(token.PREFIX + base45.encode(bytes(changed))) is not None, bit


def test_no_single_character_may_change() -> None:
    for place in range(len(GREEN)):
        for other in ("0", "A", " ", ":", "\n", "a"):
            if other != GREEN[place]:
                assert fault_of(GREEN[:place] + other + GREEN[place + 1 :]) is not None


@given(st.text(max_size=320) | st.text(base45.ALPHABET, max_size=296).map(lambda text: token.PREFIX + text))
def test_no_text_raises(text: str) -> None:
    assert fault_of(text) is not None


items = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=9) | st.text(max_size=9) | st.booleans() | st.none() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-70000, 70000) | st.sampled_from([1, 2, 4, 16]), inner, max_size=4)
        | st.builds(cbor2.CBORTag, st.sampled_from([0, 1, 2, 3, 4, 5, 18, 28, 29, 30, 35, 36, 37, 52, 54, 100, 258, 260, 1004]), inner)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=120) | items.map(cbor2.dumps))
def test_no_bytes_raise(data: bytes) -> None:
    assert fault_of(token.PREFIX + base45.encode(data)) is not None


@given(st.tuples(items, items, items, items).map(list))
def test_no_parts_raise(parts: list[object]) -> None:
    assert fault_of(sign1(*parts)) is not None


@given(items)
def test_no_header_raises(header: object) -> None:
    assert fault_of(sign1(cbor2.dumps(header), {}, PAYLOAD, SIGNATURE)) is not None


@given(items | st.fixed_dictionaries(dict.fromkeys((1, 4, 5, 6, 65535, -65537, -65538), items)))
def test_no_claims_raise(said: object) -> None:
    found = token.read_claims(cbor2.dumps(said, canonical=True))
    assert isinstance(found, TokenFault)
