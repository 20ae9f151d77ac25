"""COSE_Sign1 (RFC 9052) with ES256 and Ed25519, and the keys that make and check it; PS256 is checked, for foreign certificates alone.

Every object carries its kind in the protected header `typ` (RFC 9596), so that none can stand in another's place.
The algorithm to check with comes from the caller's key, never from the object; the object's must merely be the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, Protocol, cast

import cbor2
import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from healthcode import cbor
from healthcode.cbor import TAG_SIGN1

Algorithm = Literal["ES256", "Ed25519"]
KeyAlgorithm = Literal["ES256", "Ed25519", "PS256"]
"""What a key may have signed with. PS256 is never ours: a trust list may hold such a key for foreign certificates."""

ALG_IDS: dict[Algorithm, int] = {"ES256": -7, "Ed25519": -8}
"""COSE algorithm numbers (RFC 9053 sections 2.1 and 2.2)."""
ALG_NAMES: dict[int, Algorithm] = {number: name for name, number in ALG_IDS.items()}
PS256_ID = -37
"""COSE algorithm number of RSASSA-PSS with SHA-256 (RFC 8230 section 2)."""
RSA_BITS = (2048, 4096)
"""Shortest and longest modulus of an RSA key that is taken: RFC 8230 section 2 wants 2048; a longer one only costs time."""

ALG, CRIT, KID, TYP = 1, 2, 4, 16
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the group of P-256 (SEC 2 section 2.4.2)."""
_HIGHEST_LOW_S = (P256_ORDER // 2).to_bytes(32, "big")
_ECDSA = ec.ECDSA(hashes.SHA256())
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)

_TAG_AND_ARRAY, _BYTES, _EMPTY_MAP_AND_BYTES, _SIGNATURE_HEAD = b"\xd2\x84", 0x40, b"\xa0\x58", b"\x58\x40"
"""Heads (RFC 8949, appendix B): tag 18, array of four; byte string of up to 23 bytes; empty map, byte string of 24 to 255; one of 64."""
_SHORTEST = 96
"""Bytes of a COSE_Sign1 with an empty protected header and a payload of 24 bytes: 2 + 1 + 1 + 2 + 24 + 2 + 64."""


class Sign1(msgspec.Struct, frozen=True):
    """A parsed, unverified COSE_Sign1. `header` is the decoded protected header, `unprotected` the other one: empty in our own objects.

    `kid` and `typ` are empty where the protected header has none, `algorithm` is None for anything but ES256 and Ed25519;
    `signed` is what the signature is over.
    """

    header: Mapping[object, object]
    kid: bytes
    typ: str
    algorithm: Algorithm | None
    protected: bytes
    payload: bytes
    signature: bytes
    signed: bytes
    unprotected: Mapping[object, object] = MappingProxyType({})


_Said = tuple[Mapping[object, object], bytes, str, Algorithm | None]
"""A protected header, and of it `kid`, `typ` and `algorithm` as Sign1 has them."""


class NotSign1(ValueError):
    """CBOR that is not a tagged COSE_Sign1 in our profile."""


def parse(data: bytes, *, strict: bool = True) -> Sign1:
    """`data` as an unverified COSE_Sign1; NotCbor or NotSign1 says what is wrong with it.

    `strict` is our own profile: deterministic encoding, an empty unprotected header, and alg, kid and typ alone in the protected one.
    """
    return (parse_plain(data) if strict else None) or parse_any(data, strict=strict)


def parse_any(data: bytes, *, strict: bool) -> Sign1:
    """`data` as `parse` reads it, by way of any CBOR: the long way, which says what is wrong."""
    value = cbor.load(data, deterministic=strict)
    if not isinstance(value, cbor2.CBORTag) or value.tag != TAG_SIGN1:
        raise NotSign1("expected a CBOR value tagged 18, COSE_Sign1")
    parts = value.value
    if not isinstance(parts, (list, tuple)) or len(parts) != 4:
        raise NotSign1("expected an array of protected header, unprotected header, payload and signature")
    protected, unprotected, payload, signature = parts
    if not (isinstance(protected, bytes) and isinstance(payload, bytes) and isinstance(signature, bytes)):
        raise NotSign1("expected byte strings as protected header, payload and signature")
    if not isinstance(unprotected, Mapping):
        raise NotSign1("expected a map as unprotected header")
    if strict and unprotected:
        raise NotSign1("expected an empty unprotected header")
    try:
        header = {} if not (strict or protected) else cbor.load(protected, deterministic=strict)
    except cbor.NotCbor as wrong:
        raise NotSign1(f"protected header: {wrong}") from None
    if not isinstance(header, Mapping):
        raise NotSign1("expected a map as protected header")
    if strict and set(header) != {ALG, KID, TYP}:
        raise NotSign1("expected alg, kid and typ in the protected header and nothing else")
    if CRIT in header:
        raise NotSign1("the protected header holds crit: nothing that it can name is known here")
    return Sign1(*_said(header), protected, payload, signature, signed_bytes(protected, payload), unprotected)


def parse_plain(data: bytes) -> Sign1 | None:
    """`data` where it is, byte for byte, what a code is; None where `parse_any` has to look.

    That is a protected header of less than 24 bytes, an empty map, a payload of 24 to 255 bytes and a signature of 64, each in its shortest
    form: so what is signed are pieces of `data` as they stand.
    """
    if len(data) < _SHORTEST or not _BYTES <= data[2] < _BYTES + 24:
        return None
    place = data[2] - _BYTES + 3
    protected, payload = data[3:place], data[place + 3 : -66]
    if (
        data[:2] != _TAG_AND_ARRAY
        or data[place : place + 2] != _EMPTY_MAP_AND_BYTES
        or not 24 <= len(payload) == data[place + 2]
        or data[-66:-64] != _SIGNATURE_HEAD
    ):
        return None
    known = _profile_header(protected)
    if known is None:
        return None
    said, beginning = known
    return Sign1(*said, protected, payload, data[-64:], beginning + data[place + 1 : -66])


@lru_cache(64)
def _profile_header(protected: bytes) -> tuple[_Said, bytes] | None:
    """What a protected header of our profile says, and the signed bytes as far as the payload; None where it is another.

    Remembered, for all codes of one key have the same.
    """
    try:
        header = cbor.load(protected)
    except cbor.NotCbor:
        return None
    if not isinstance(header, dict) or set(header) != {ALG, KID, TYP}:
        return None
    return _said(MappingProxyType(header)), signed_bytes(protected, b"")[:-1]


def _said(header: Mapping[object, object]) -> _Said:
    kid, typ, alg = header.get(KID), header.get(TYP), header.get(ALG)
    return (
        header,
        kid if isinstance(kid, bytes) else b"",
        typ if isinstance(typ, str) else "",
        ALG_NAMES.get(alg) if type(alg) is int else None,
    )


def signed_bytes(protected: bytes, payload: bytes) -> bytes:
    """The Sig_structure that is signed (RFC 9052 section 4.4), without external data."""
    return cbor2.dumps(["Signature1", protected, b"", payload])


class Signer(Protocol):
    """A private key that can sign: in a file today, in a hardware module later."""

    @property
    def kid(self) -> bytes:
        """The key identifier, 8 bytes."""

    @property
    def algorithm(self) -> Algorithm:
        """What it signs with."""

    @property
    def public(self) -> bytes:
        """The raw public key: 65 bytes uncompressed point, or 32 bytes of Ed25519."""

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature of `data`."""


def sign1(payload: bytes, typ: str, signer: Signer) -> bytes:
    """`payload` as a tagged COSE_Sign1 with alg, kid and typ in the protected header and nothing in the unprotected one."""
    protected = cbor2.dumps({ALG: ALG_IDS[signer.algorithm], KID: signer.kid, TYP: typ}, canonical=True)
    signature = signer.sign(signed_bytes(protected, payload))
    return cbor2.dumps(cbor2.CBORTag(TAG_SIGN1, [protected, {}, payload, signature]), canonical=True)


def kid_of(public: bytes) -> bytes:
    """The key identifier of a raw public key: the first 8 bytes of its SHA-256. Identifiers can collide."""
    return hashlib.sha256(public).digest()[:8]


@dataclass(frozen=True)
class PublicKey:
    """A public key ready to check signatures with."""

    algorithm: KeyAlgorithm
    raw: bytes
    handle: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

    @classmethod
    def from_raw(cls, algorithm: KeyAlgorithm, raw: bytes) -> PublicKey:
        """The key of the raw bytes: 65 of ES256, 32 of Ed25519, a SubjectPublicKeyInfo in DER of PS256; ValueError where they are none."""
        if algorithm == "PS256":
            key = cls.from_der(raw)
            if key.algorithm != "PS256" or key.raw != raw:
                raise ValueError("expected an RSA key as the DER of its SubjectPublicKeyInfo")
            return key
        if algorithm == "ES256":
            if len(raw) != 65:
                raise ValueError(f"ES256 key of {len(raw)} bytes: expected an uncompressed point of 65")
            return cls(algorithm, raw, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw))
        return cls(algorithm, raw, ed25519.Ed25519PublicKey.from_public_bytes(raw))

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """The key in a PEM file; ValueError where it holds no public key of P-256 or Ed25519."""
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as wrong:
            raise ValueError(f"not a public key in PEM: {wrong}") from None
        return _public_of(key)

    @classmethod
    def from_der(cls, der: bytes) -> PublicKey:
        """The key in a SubjectPublicKeyInfo, RSA taken as well; ValueError where it is none that counts here."""
        try:
            key = serialization.load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm) as wrong:
            raise ValueError(f"not a public key in DER: {wrong}") from None
        if not isinstance(key, rsa.RSAPublicKey):
            return _public_of(key)
        if not RSA_BITS[0] <= key.key_size <= RSA_BITS[1]:
            raise ValueError(f"RSA key of {key.key_size} bits: expected {RSA_BITS[0]} to {RSA_BITS[1]}")
        return cls("PS256", key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo), key)

    def to_pem(self) -> bytes:
        """The key as PEM, SubjectPublicKeyInfo."""
        return self.handle.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def kid(self) -> bytes:
        """The key identifier, 8 bytes."""
        return kid_of(self.raw)

    def verify(self, signature: bytes, data: bytes, *, low_s: bool = True) -> bool:
        """Whether `signature` (64 bytes; of RSA as many as the modulus has) is this key's over `data`.

        ES256 also takes (r, n - s); `low_s` refuses that twin, so that one code has one text.
        """
        try:
            if self.algorithm == "PS256":
                cast("rsa.RSAPublicKey", self.handle).verify(signature, data, _PSS, hashes.SHA256())
            elif len(signature) != 64:
                return False
            elif self.algorithm == "Ed25519":
                cast("ed25519.Ed25519PublicKey", self.handle).verify(signature, data)
            elif low_s and signature[32:] > _HIGHEST_LOW_S:
                return False
            else:
                cast("ec.EllipticCurvePublicKey", self.handle).verify(der_signature(signature), data, _ECDSA)
        except InvalidSignature:
            return False
        return True


def der_signature(signature: bytes) -> bytes:
    """An ES256 signature of 64 bytes, r and s, as the DER that OpenSSL takes: Ecdsa-Sig-Value of RFC 3279 section 2.2.3.

    `encode_dss_signature` says the same by way of two integers and takes three times as long.
    """
    r, s = signature[:32].lstrip(b"\0"), signature[32:].lstrip(b"\0")
    if not r or r[0] >= 0x80:
        r = b"\0" + r
    if not s or s[0] >= 0x80:
        s = b"\0" + s
    return b"\x30%c\x02%c%b\x02%c%b" % (len(r) + len(s) + 4, len(r), r, len(s), s)


def _public_of(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        raw = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return PublicKey("ES256", raw, key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return PublicKey("Ed25519", raw, key)
    raise ValueError("expected a key of the curve P-256 or Ed25519")


class SoftwareKey:
    """A private key held in memory, from a file of mode 0600."""

    def __init__(self, handle: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
        self._handle = handle
        self.public_key = _public_of(handle.public_key())
        self._algorithm: Algorithm = "ES256" if isinstance(handle, ec.EllipticCurvePrivateKey) else "Ed25519"

    @classmethod
    def generate(cls, algorithm: Algorithm = "ES256") -> SoftwareKey:
        """A fresh key from the operating system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> SoftwareKey:
        """The key in a PEM file; ValueError where it holds no private key of P-256 or Ed25519."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
            raise ValueError(f"not a private key in PEM: {wrong}") from None
        _public_of(key.public_key() if hasattr(key, "public_key") else key)
        return cls(cast("ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey", key))

    def to_pem(self) -> bytes:
        """The key as PEM, PKCS #8, not encrypted: for a file of mode 0600."""
        return self._handle.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    @property
    def kid(self) -> bytes:
        """The key identifier, 8 bytes."""
        return self.public_key.kid

    @property
    def algorithm(self) -> Algorithm:
        """What it signs with."""
        return self._algorithm

    @property
    def public(self) -> bytes:
        """The raw public key."""
        return self.public_key.raw

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature of `data`; of ES256 always the one with the low s."""
        if isinstance(self._handle, ed25519.Ed25519PrivateKey):
            return self._handle.sign(data)
        r, s = decode_dss_signature(self._handle.sign(data, _ECDSA))
        return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")
