"""Signers' certificates (X.509, PEM or DER) of the EU's digital COVID certificates, and the trust entries that they make.

`cryptography` refuses a whole certificate for one extension that is not strict DER, and such certificates sign in the field. Of the
extensions only one matters here. So they are cut off, the rest is read by `cryptography`, and that one is looked for by itself.
Whoever names a certificate to `keys import-dsc` vouches for it: who signed it is not checked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import warnings
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from healthcode.cose import PublicKey
from healthcode.messages import TrustEntry
from healthcode.terms import CertificateKind, Use
from healthcode.trust import entry_for

MAX_CERTIFICATE = 16 * 1024
_SEQUENCE, _OID, _OCTETS, _VERSION, _EXTENSIONS = 0x30, 0x06, 0x04, 0xA0, 0xA3
_KEY = 6
"""Where the key stands among the fields of a certificate (RFC 5280 section 4.1)."""
_KEY_USAGE = bytes.fromhex("551d25")
"""extKeyUsage, 2.5.29.37, in DER."""
_KIND_OF_USAGE = {
    bytes.fromhex(root + last): kind
    for root in ("2b06010401008e378f6501", "2b060104018e378f6501")
    for last, kind in (("01", CertificateKind.TEST), ("02", CertificateKind.VACCINATION), ("03", CertificateKind.RECOVERY))
}
"""1.3.6.1.4.1.1847.2021.1.1 to .3 (Implementing Decision (EU) 2021/1073, on the certificates of its trust framework), and the same with a
0 before 1847, as many certificates have it. A certificate with none of them may sign every kind."""
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Element:
    """One element of DER: its tag, its content, and the whole of it."""

    tag: int
    content: bytes
    whole: bytes


@dataclass(frozen=True)
class Signer:
    """A signer's certificate. `country` is empty where its subject names none; times in seconds since 1970.

    `kinds` is what its extensions let it sign; None where they cannot be read.
    """

    kid: bytes
    key: PublicKey
    country: str
    valid_from: int
    valid_until: int
    kinds: tuple[CertificateKind, ...] | None


def from_file(data: bytes) -> list[bytes]:
    """The certificates in a file, in DER: one in DER, or any number in PEM; ValueError where there is none."""
    if data[:1] == bytes([_SEQUENCE]):
        return [data]
    found = [from_base64(body) for body in _PEM.findall(data)]
    if not found:
        raise ValueError("expected a certificate, DER or PEM")
    return found


def from_base64(text: str | bytes) -> bytes:
    """The DER in base64, white space in it passed over; ValueError where it is none."""
    plain = text.encode() if isinstance(text, str) else text
    try:
        return base64.b64decode(b"".join(plain.split()), validate=True)
    except binascii.Error as wrong:
        raise ValueError(f"not base64: {wrong}") from None


def kid_of(der: bytes) -> bytes:
    """The key identifier of a signer's certificate: the first 8 bytes of its SHA-256."""
    return hashlib.sha256(der).digest()[:8]


def read_key(der: bytes) -> PublicKey:
    """The public key alone of a certificate in DER; ValueError where it is none that counts here."""
    fields = _fields(der)
    return PublicKey.from_der(fields[_KEY].whole)


def read_signer(der: bytes) -> Signer:
    """A signer's certificate in DER; ValueError says in one line what is wrong with it."""
    fields = _fields(der)
    outer = _children(_only(der).content)
    bare = _wrap(_SEQUENCE, b"".join(field.whole for field in fields[: _KEY + 1]))
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd names and numbers, which say nothing about the key
            rest = x509.load_der_x509_certificate(_wrap(_SEQUENCE, bare + outer[1].whole + outer[2].whole))
            begins, ends = rest.not_valid_before_utc, rest.not_valid_after_utc
            countries = [str(each.value) for each in rest.subject.get_attributes_for_oid(NameOID.COUNTRY_NAME)]
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as wrong:
        raise ValueError(f"not a certificate: {wrong}") from None
    return Signer(
        kid_of(der),
        read_key(der),
        countries[0].upper() if len(countries) == 1 else "",
        int(begins.timestamp()),
        int(ends.timestamp()),
        _kinds(fields),
    )


def trust_entry(signer: Signer, issuer: str, kinds: tuple[CertificateKind, ...]) -> TrustEntry:
    """The trust entry of a signer: it may sign certificates of `kinds` while its own certificate is valid."""
    return entry_for(
        signer.key,
        issuer=issuer,
        use=Use.DCC,
        sign_from=signer.valid_from,
        sign_until=signer.valid_until,
        verify_until=signer.valid_until,
        kinds=kinds,
        kid=signer.kid,
    )


def _fields(der: bytes) -> list[Element]:
    """The fields of the certificate's inner part: version, serial, algorithm, issuer, validity, subject, key, and what follows them.

    One without a version, which is the first and knows no extensions, gets an empty one in its place.
    """
    if len(der) > MAX_CERTIFICATE:
        raise ValueError(f"certificate of {len(der)} bytes: expected at most {MAX_CERTIFICATE}")
    outer = _children(_only(der).content)
    if len(outer) != 3 or outer[0].tag != _SEQUENCE:
        raise ValueError("not a certificate: expected its content, an algorithm and a signature")
    fields = _children(outer[0].content)
    if fields and fields[0].tag != _VERSION:
        fields.insert(0, Element(_VERSION, b"", b""))
    if len(fields) <= _KEY or fields[_KEY].tag != _SEQUENCE:
        raise ValueError("not a certificate: expected serial, algorithm, issuer, validity, subject and key")
    return fields


def _kinds(fields: list[Element]) -> tuple[CertificateKind, ...] | None:
    """The kinds that the extension of key usages names, or all where it names none; None where the extensions cannot be read."""
    try:
        usages = [usage for field in fields[_KEY + 1 :] if field.tag == _EXTENSIONS for usage in _usages(field)]
    except ValueError:
        return None
    named = {_KIND_OF_USAGE[usage] for usage in usages if usage in _KIND_OF_USAGE}
    return tuple(kind for kind in CertificateKind if kind in named or not named)


def _usages(extensions: Element) -> list[bytes]:
    found: list[bytes] = []
    for extension in _children(_only(extensions.content).content):
        parts = _children(extension.content)
        if parts and parts[0].tag == _OID and parts[0].content == _KEY_USAGE:
            if parts[-1].tag != _OCTETS:
                raise ValueError("key usage without a value")
            found += [usage.content for usage in _children(_only(parts[-1].content).content)]
    return found


def _only(data: bytes) -> Element:
    """The one sequence that `data` is; ValueError where it is none, or more."""
    found = _children(data)
    if len(found) != 1 or found[0].tag != _SEQUENCE:
        raise ValueError("not DER: expected one sequence")
    return found[0]


def _children(data: bytes) -> list[Element]:
    """The elements that `data` consists of (X.690): tags of one byte, definite lengths of at most three; ValueError where it does not."""
    found: list[Element] = []
    place = 0
    while place < len(data):
        begin = place + 2
        length = data[place + 1] if begin <= len(data) else 0x80
        if length > 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[begin : begin + count], "big") if count <= 3 else len(data)
            begin += count
        elif length == 0x80:
            raise ValueError("not DER: a length is missing")
        if begin + length > len(data) or data[place] & 0x1F == 0x1F:
            raise ValueError("not DER: an element reaches beyond the end")
        found.append(Element(data[place], data[begin : begin + length], data[place : begin + length]))
        place = begin + length
    return found


def _wrap(tag: int, content: bytes) -> bytes:
    """`content` as one element."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content
