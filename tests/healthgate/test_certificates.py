"""Signers' certificates: PEM and DER, extensions that do not parse, and whatever else is in a file."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from healthcode.terms import CertificateKind
from healthgate import certificates
from tests.certificates import DAY_S, NOW, make_dsc

KEY = ec.generate_private_key(ec.SECP256R1())
DSC, LOOSE = make_dsc(KEY), make_dsc(KEY, is_strict=False, kinds=(CertificateKind.TEST,))


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


def test_a_certificate_tells_country_dates_and_key() -> None:
    found = certificates.read_signer(DSC)
    assert (found.country, found.valid_from, found.valid_until) == ("XX", NOW - 30 * DAY_S, NOW + 700 * DAY_S)
    assert found.key.algorithm == "ES256"
    assert found.kinds == tuple(CertificateKind)
    assert found.kid == certificates.kid_of(DSC)


def test_extensions_that_cryptography_refuses() -> None:
    with pytest.raises(ValueError, match=r"[Pp]arse"):
        x509.load_der_x509_certificate(LOOSE)
    found = certificates.read_signer(LOOSE)
    assert found.key.raw == certificates.read_signer(DSC).key.raw
    assert found.kinds == (CertificateKind.TEST,)
    assert found.country == "XX"


@pytest.mark.parametrize("root", ["1.3.6.1.4.1.1847.2021.1", "1.3.6.1.4.1.0.1847.2021.1"])
@pytest.mark.parametrize("kind", CertificateKind)
def test_the_kinds_that_a_certificate_is_for(root: str, kind: CertificateKind) -> None:
    assert certificates.read_signer(make_dsc(KEY, kinds=(kind,), usage_root=root)).kinds == (kind,)


def test_usages_of_something_else_leave_all_kinds() -> None:
    der = make_dsc(KEY, kinds=(CertificateKind.TEST,), usage_root="1.3.6.1.5.5.7.3")
    assert certificates.read_signer(der).kinds == tuple(CertificateKind)


def test_extensions_that_cannot_be_read_at_all() -> None:
    broken = DSC.replace(bytes.fromhex("0603551d13"), bytes.fromhex("067f551d13"))
    assert broken != DSC
    assert certificates.read_signer(broken).kinds is None


def test_files() -> None:
    assert certificates.from_file(DSC) == [DSC]
    assert certificates.from_file(b"subject: nobody\n" + pem(DSC) + pem(LOOSE)) == [DSC, LOOSE]
    for junk in (b"", b"hello", b"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----"):
        with pytest.raises(ValueError, match=r"expected a certificate|not base64"):
            certificates.from_file(junk)


def test_keys_that_do_not_count_here() -> None:
    with pytest.raises(ValueError, match="RSA key of 1024 bits"):
        certificates.read_key(make_dsc(rsa.generate_private_key(65537, 1024)))
    with pytest.raises(ValueError, match="P-256"):
        certificates.read_key(make_dsc(ec.generate_private_key(ec.SECP384R1())))


@given(st.binary(max_size=300) | st.integers(0, len(LOOSE) - 1).map(lambda end: LOOSE[:end]))
def test_whatever_is_no_certificate_is_a_line(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not DER|not a certificate|not a public key|expected"):
        certificates.read_signer(data)


@given(st.integers(0, len(LOOSE) - 1), st.integers(1, 255))
def test_a_byte_changed_is_read_or_a_line(place: int, change: int) -> None:
    changed = LOOSE[:place] + bytes([LOOSE[place] ^ change]) + LOOSE[place + 1 :]
    try:
        found = certificates.read_signer(changed)
    except ValueError as wrong:
        assert "\n" not in str(wrong)
    else:
        assert found.kid != certificates.kid_of(LOOSE)
