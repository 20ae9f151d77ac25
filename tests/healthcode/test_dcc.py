"""Digital COVID certificates: what is refused whatever it is, what the policy says, and what none of it may tell."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from healthcode import base45, dcc
from healthcode.dcc import Certificate
from healthcode.dcc_policy import judge
from healthcode.messages import CertificatePolicy, TrustList
from healthcode.terms import CertificateKind, Fault, Reason, Use
from healthcode.token import TokenFault
from healthcode.trust import KeyRing
from healthgate import certificates
from tests.certificates import (
    BORN,
    DAY_S,
    IDENTIFIER,
    NAME,
    NOW,
    POLICY,
    a_recovery,
    a_test,
    a_vaccination,
    certificate,
    claims,
    entry,
    headers,
    make_dsc,
    sign1,
    text_of,
)

KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
DSC, RSA_DSC = make_dsc(KEY), make_dsc(RSA)
RING = KeyRing(1, [entry(DSC), entry(RSA_DSC)])
GOOD = certificate(KEY, DSC)
VECTORS = sorted((Path(__file__).parents[1] / "vectors" / "dcc").glob("*.json"))


def fault(text: str, ring: KeyRing = RING, at: float = NOW) -> Fault | None:
    """The stage at which reading stops; None where it does not."""
    found = dcc.read(text, ring, at)
    return found.fault if isinstance(found, TokenFault) else None


def of(content: dict[str, Any]) -> Certificate:
    """The certificate with that content."""
    found = dcc.read(certificate(KEY, DSC, content), RING, NOW)
    assert isinstance(found, Certificate)
    return found


def bits_of(data: bytes) -> list[bytes]:
    """`data` with each of its bits turned over, one at a time."""
    return [data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :] for at in range(8 * len(data))]


def read_vector(path: Path) -> tuple[str, KeyRing, float]:
    """The text of a file of test data, a ring that trusts its signer for everything, and its clock."""
    vector = json.loads(path.read_bytes())
    signer = certificates.read_signer(certificates.from_base64(vector["TESTCTX"]["CERTIFICATE"]))
    ring = KeyRing(1, [certificates.trust_entry(signer, signer.country, tuple(CertificateKind))])
    return vector["PREFIX"], ring, datetime.fromisoformat(vector["TESTCTX"]["VALIDATIONCLOCK"]).timestamp()


@pytest.mark.parametrize("name", ["vaccination", "test", "recovery", "rsa", "kid-unprotected", "tag-of-a-CWT", "no-tag"])
def test_no_bit_of_a_certificate_can_be_changed(name: str) -> None:
    text, ring, at = read_vector(next(path for path in VECTORS if path.stem == name))
    assert fault(text, ring, at) is None
    packed = base45.decode(text.removeprefix(dcc.PREFIX))
    assert all(fault(dcc.PREFIX + base45.encode(changed), ring, at) for changed in bits_of(packed))
    assert all(fault(text_of(changed), ring, at) for changed in bits_of(zlib.decompress(packed)))
    assert all(fault(changed.decode("latin-1"), ring, at) for changed in bits_of(text.encode()))


def test_no_bit_of_the_eus_certificates_can_be_changed() -> None:
    """The folder is HEALTHGATE_DCC."""
    named = os.environ.get("HEALTHGATE_DCC")
    if named is None:
        pytest.skip("HEALTHGATE_DCC is not set: expected a folder of the EU's public test data")
    for path in sorted(Path(named).rglob("*.json")):
        text, ring, at = read_vector(path)
        assert fault(text, ring, at) is None, path
        packed = base45.decode(text.removeprefix(dcc.PREFIX))
        assert all(fault(dcc.PREFIX + base45.encode(changed), ring, at) for changed in bits_of(packed)), path


@given(st.text() | st.text(base45.ALPHABET) | st.binary(max_size=900).map(base45.encode))
def test_whatever_follows_the_prefix_is_a_fault(text: str) -> None:
    assert fault(dcc.PREFIX + text) is not None


@given(st.binary(max_size=900))
def test_whatever_is_compressed_is_a_fault(data: bytes) -> None:
    assert fault(text_of(data)) is not None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.text(max_size=40) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-300, 10) | st.text(max_size=3), inner, max_size=6),
    max_leaves=12,
)
_NAMES = ("tg", "ci", "mp", "dn", "sd", "dt", "tt", "tr", "sc", "fr", "df", "du")


def signed(payload: bytes) -> str:
    """A certificate that really is signed, whatever it says."""
    return text_of(sign1(KEY, payload, headers(KEY, DSC)))


@given(VALUES | st.fixed_dictionaries({4: VALUES, 6: VALUES, -260: VALUES}))
def test_whatever_a_known_signer_signs_is_read_or_a_fault(said: object) -> None:
    assert fault(signed(cbor2.dumps(said))) in (Fault.CLAIMS, Fault.TOO_LONG)


@given(st.sampled_from("vtr"), st.dictionaries(st.sampled_from(_NAMES), VALUES))
def test_whatever_a_content_says_is_read_or_a_fault(group: str, changes: dict[str, Any]) -> None:
    content = {"v": a_vaccination, "t": a_test, "r": a_recovery}[group]()
    content[group][0].update(changes)
    found = dcc.read(signed(claims(content)), RING, NOW)
    if isinstance(found, Certificate):
        assert isinstance(judge(found, POLICY, NOW), Reason)
    else:
        assert found.fault in (Fault.CLAIMS, Fault.TOO_LONG)


@pytest.mark.parametrize("size", [dcc.MAX_COSE + 1, 500_000, 700_000])
def test_a_bomb_takes_neither_memory_nor_time(size: int) -> None:
    text = dcc.PREFIX + base45.encode(zlib.compress(bytes(size), 9))
    assert len(text) <= dcc.MAX_TEXT, "the longest text holds the largest bomb: a thousand times its own length"
    tracemalloc.start()
    begin = time.perf_counter()
    assert fault(text) is Fault.COMPRESSION
    taken, (_, peak) = time.perf_counter() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    assert taken < 0.1


def test_deep_nesting_is_a_fault() -> None:
    assert fault(text_of(b"\x81" * 8000 + b"\x01")) is Fault.CBOR


def test_what_fits_just_fits() -> None:
    assert fault(text_of(b"\x59\x1f\xfd" + bytes(dcc.MAX_COSE - 3))) is Fault.COSE


def test_every_key_with_the_identifier_is_tried() -> None:
    kid = certificates.kid_of(DSC)
    others = [entry(make_dsc(OTHER), kid=kid), entry(RSA_DSC, kid=kid)]
    assert fault(GOOD, KeyRing(1, others)) is Fault.SIGNATURE
    assert fault(GOOD, KeyRing(1, [*others, entry(DSC)])) is None
    assert fault(GOOD, KeyRing(1, [entry(DSC, use=Use.TOKEN)])) is Fault.UNKNOWN_KEY


def test_rsa_is_for_certificates_alone() -> None:
    trust_list = TrustList(version=1, signed_at=NOW, expires_at=NOW + 9, entries=[entry(RSA_DSC, use=Use.TOKEN)])
    with pytest.raises(ValueError, match="PS256 for the use 'token': expected 'dcc'"):
        KeyRing.of(trust_list)


def test_what_the_entry_does_not_allow() -> None:
    at_its_end = NOW + 100
    assert fault(GOOD, KeyRing(1, [entry(DSC, issuer="YY")])) is Fault.ISSUER_SCOPE
    assert fault(GOOD, KeyRing(1, [entry(DSC, kinds=(CertificateKind.TEST,))])) is Fault.ISSUER_SCOPE
    assert fault(GOOD, KeyRing(1, [entry(DSC, sign_until=NOW - 2 * DAY_S)])) is Fault.ISSUER_SCOPE
    assert fault(GOOD, KeyRing(1, [entry(DSC, verify_until=at_its_end)]), at_its_end) is None
    assert fault(GOOD, KeyRing(1, [entry(DSC, verify_until=at_its_end)]), at_its_end + 1) is Fault.ISSUER_SCOPE


@pytest.mark.parametrize("path", VECTORS, ids=[path.stem for path in VECTORS])
def test_nothing_that_is_said_about_a_certificate_tells_who_it_is_of(path: Path) -> None:
    vector = json.loads(path.read_text())
    signer = certificates.read_signer(certificates.from_base64(vector["TESTCTX"]["CERTIFICATE"]))
    ring = KeyRing(1, [certificates.trust_entry(signer, signer.country, signer.kinds or ())])
    shown = repr(dcc.read(vector["PREFIX"], ring, NOW))
    assert not any(secret in shown for secret in (NAME, NAME.upper(), BORN, IDENTIFIER, vector["PREFIX"][4:20], "2021", "EU/1"))


def ago(days: int) -> str:
    """The date so many days before NOW."""
    return (datetime.fromtimestamp(NOW, UTC) - timedelta(days=days)).date().isoformat()


def hours_ago(hours: float) -> str:
    """The time so many hours before NOW, told in another zone."""
    return datetime.fromtimestamp(NOW - hours * 3600, UTC).astimezone(datetime.fromisoformat("2021-06-01T00+05:30").tzinfo).isoformat()


RAT_AGE: dict[str, Any] = {"tt": "LP217198-3"}
JUDGED: list[tuple[str, dict[str, Any], Reason]] = [
    ("a month after the second dose", a_vaccination(), Reason.GREEN),
    ("a third dose", a_vaccination(dn=3), Reason.GREEN),
    ("one dose of one", a_vaccination(dn=1, sd=1), Reason.GREEN),
    ("one dose of two", a_vaccination(dn=1), Reason.DOSES_MISSING),
    ("another product", a_vaccination(mp="EU/1/99/9999"), Reason.NOT_ACCEPTED),
    ("another disease", a_vaccination(tg="1"), Reason.NOT_ACCEPTED),
    ("the day before it counts", a_vaccination(dt=ago(13)), Reason.TOO_RECENT),
    ("the first day", a_vaccination(dt=ago(14)), Reason.GREEN),
    ("the last day", a_vaccination(dt=ago(270)), Reason.GREEN),
    ("the day after", a_vaccination(dt=ago(271)), Reason.TOO_OLD),
    ("a dose to come", a_vaccination(dt=ago(-1)), Reason.TOO_RECENT),
    ("a day with a time", a_vaccination(dt=ago(14) + "T23:00:00Z"), Reason.GREEN),
    ("negative six hours ago", a_test(), Reason.GREEN),
    ("positive", a_test(tr="260373001"), Reason.TEST_POSITIVE),
    ("positive, of antigen, long ago", a_test(tr="260373001", tt="LP217198-3", sc=hours_ago(999)), Reason.TEST_POSITIVE),
    ("without a result", a_test(tr="419984006"), Reason.NOT_ACCEPTED),
    ("of another type", a_test(tt="LP1-1"), Reason.NOT_ACCEPTED),
    ("nucleic acid, 72 hours", a_test(sc=hours_ago(72)), Reason.GREEN),
    ("nucleic acid, older", a_test(sc=hours_ago(72.01)), Reason.TOO_OLD),
    ("antigen, 24 hours", a_test(**RAT_AGE, sc=hours_ago(24)), Reason.GREEN),
    ("antigen, older", a_test(**RAT_AGE, sc=hours_ago(24.01)), Reason.TOO_OLD),
    ("a sample to come", a_test(sc=hours_ago(-0.1)), Reason.TOO_RECENT),
    ("recovered", a_recovery(), Reason.GREEN),
    ("recovered, first day", a_recovery(fr=ago(11)), Reason.GREEN),
    ("recovered, the day before", a_recovery(fr=ago(10)), Reason.TOO_RECENT),
    ("recovered, last day", a_recovery(fr=ago(180)), Reason.GREEN),
    ("recovered, too long ago", a_recovery(fr=ago(181)), Reason.TOO_OLD),
    ("by the issuer not yet", a_recovery(df=ago(-1)), Reason.TOO_RECENT),
    ("by the issuer no more", a_recovery(du=ago(1)), Reason.TOO_OLD),
]


@pytest.mark.parametrize(("content", "reason"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED])
def test_the_policy(content: dict[str, Any], reason: Reason) -> None:
    assert judge(of(content), POLICY, NOW) is reason


@pytest.mark.parametrize("content", [a_vaccination(), a_test(), a_recovery()])
def test_what_no_rule_names_does_not_count(content: dict[str, Any]) -> None:
    assert judge(of(content), None, NOW) is Reason.POLICY_MISSING
    assert judge(of(content), CertificatePolicy(agents=["840539006"]), NOW) is Reason.NOT_ACCEPTED
    assert judge(of(a_test(tt="LP217198-3")), CertificatePolicy(agents=["840539006"], test=None), NOW) is Reason.NOT_ACCEPTED
