"""Digital COVID certificates and their signers for tests: TEST KEYS and people who do not exist."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID, ObjectIdentifier

from healthcode import base45, cose, dcc
from healthcode.messages import CertificatePolicy, RecoveryRule, SampleRule, TrustEntry, VaccinationRule
from healthcode.terms import CertificateKind
from healthgate import certificates

NOW = 1_622_548_800
"""1 June 2021, 12:00 UTC."""
DAY_S = 86_400
NAME, BORN, IDENTIFIER = "Musterperson", "1970-01-31", "URN:UVCI:01:XX:HEALTHGATE0TEST#1"
USAGES = {CertificateKind.TEST: 1, CertificateKind.VACCINATION: 2, CertificateKind.RECOVERY: 3}
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

POLICY = CertificatePolicy(
    agents=["840539006"],
    vaccination=VaccinationRule(products=["EU/1/20/1528"], from_days=14, until_days=270),
    recovery=RecoveryRule(from_days=11, until_days=180),
    test=SampleRule(naa_hours=72, rat_hours=24),
)


def make_dsc(
    key: PrivateKey,
    country: str = "XX",
    *,
    begins: int = NOW - 30 * DAY_S,
    ends: int = NOW + 700 * DAY_S,
    kinds: tuple[CertificateKind, ...] = (),
    usage_root: str = "1.3.6.1.4.1.1847.2021.1",
    is_strict: bool = True,
) -> bytes:
    """A self-signed signer's certificate in DER. Not strict: an extension says `critical FALSE`, which DER leaves out."""
    subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, country), x509.NameAttribute(NameOID.COMMON_NAME, "TEST DSC, worthless")])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(datetime.fromtimestamp(begins, UTC))
        .not_valid_after(datetime.fromtimestamp(ends, UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
    )
    if kinds:
        usages = [ObjectIdentifier(f"{usage_root}.{USAGES[kind]}") for kind in kinds]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    if is_strict:
        return der
    outer = certificates._children(certificates._only(der).content)
    fields = certificates._children(outer[0].content)
    extensions = certificates._children(certificates._only(fields[-1].content).content)
    wrap = certificates._wrap
    loose = [certificates._children(extension.content) for extension in extensions]
    parts = b"".join(wrap(0x30, parts[0].whole + b"\x01\x01\x00" + parts[-1].whole) for parts in loose)
    inner = b"".join(field.whole for field in fields[:-1]) + wrap(0xA3, wrap(0x30, parts))
    return wrap(0x30, wrap(0x30, inner) + outer[1].whole + outer[2].whole)


def entry(dsc: bytes, **changes: Any) -> TrustEntry:
    """The trust entry of a signer's certificate."""
    signer = certificates.read_signer(dsc)
    assert signer.kinds is not None
    made = certificates.trust_entry(signer, changes.pop("issuer", signer.country), changes.pop("kinds", signer.kinds))
    return type(made)(**{**{name: getattr(made, name) for name in made.__struct_fields__}, **changes})


def sign(key: PrivateKey, data: bytes) -> bytes:
    """The signature of COSE: r and s, or RSASSA-PSS."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sign1(key: PrivateKey, payload: bytes, protected: dict[int, Any], unprotected: dict[int, Any] | None = None) -> bytes:
    """A tagged COSE_Sign1 with any headers."""
    head = cbor2.dumps(protected)
    return cbor2.dumps(cbor2.CBORTag(18, [head, unprotected or {}, payload, sign(key, cose.signed_bytes(head, payload))]))


def text_of(data: bytes) -> str:
    """COSE bytes as the text of a QR code."""
    return dcc.PREFIX + base45.encode(zlib.compress(data, 9))


def headers(key: PrivateKey, dsc: bytes) -> dict[int, Any]:
    """The protected header that goes with a signer."""
    return {1: cose.PS256_ID if isinstance(key, rsa.RSAPrivateKey) else -7, 4: certificates.kid_of(dsc)}


ANY = {"tg": "840539006", "co": "XX", "is": "Nobody", "ci": IDENTIFIER}
"""What every kind of content has: the disease, and where and by whom it was certified."""


def a_vaccination(**changes: Any) -> dict[str, Any]:
    """The content of a complete vaccination, a month ago."""
    said = {
        **ANY,
        "vp": "1119349007",
        "mp": "EU/1/20/1528",
        "ma": "ORG-100030215",
        "dn": 2,
        "sd": 2,
        "dt": "2021-05-01",
    }
    return hcert(v=[said | changes])


def a_test(**changes: Any) -> dict[str, Any]:
    """The content of a negative NAA test, six hours ago."""
    said = {
        **ANY,
        "tt": "LP6464-4",
        "nm": "Nothing",
        "sc": "2021-06-01T08:00:00+02:00",
        "tr": "260415000",
        "tc": "Nowhere",
    }
    return hcert(t=[said | changes])


def a_recovery(**changes: Any) -> dict[str, Any]:
    """The content of a recovery, two months ago."""
    said = {
        **ANY,
        "fr": "2021-04-01",
        "df": "2021-04-12",
        "du": "2021-09-28",
    }
    return hcert(r=[said | changes])


def hcert(**groups: Any) -> dict[str, Any]:
    """The EU's health certificate of somebody."""
    return {"ver": "1.3.0", "nam": {"fn": NAME, "fnt": NAME.upper()}, "dob": BORN, **groups}


def claims(content: object, **changes: Any) -> bytes:
    """The claims around a content as CBOR; `said` adds or replaces some, None leaves one out."""
    said: dict[int, Any] = {1: "XX", 4: NOW + 300 * DAY_S, 6: NOW - DAY_S, -260: {1: content}} | changes.get("said", {})
    return cbor2.dumps({key: value for key, value in said.items() if value is not None})


def certificate(key: PrivateKey, dsc: bytes, content: object | None = None, **changes: Any) -> str:
    """The text of a certificate as its signer makes it."""
    return text_of(sign1(key, claims(a_vaccination() if content is None else content, **changes), headers(key, dsc)))
