"""COSE_Sign1 (RFC 9052) with ES256 and Ed25519, and the keys that make and check it; PS256 is checked, for foreign certificates alone.

Every object carries its kind in the protected header `typ` (RFC 9596), so that none can stand in another's place.
The algorithm to check with comes from the caller's key, never from the object; the object's must merely be the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, Protocol, cast

import cbor2
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

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
_ECDSA = ec.ECDSA(hashes.SHA256())
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)

_TAG_AND_ARRAY, _EMPTY_MAP, _SHORT = b"\xd2\x84", b"\xa0", 0x40
"""Tag 18 before an array of four; a map of nothing; the head of a byte string of no bytes (RFC 8949, appendix B)."""


@dataclass(frozen=True)
class Sign1:
    """A parsed, unverified COSE_Sign1. `header` is the decoded protected header, `unprotected` the other one: empty in our own objects."""

    protected: bytes
    header: Mapping[object, object]
    payload: bytes
    signature: bytes
    unprotected: Mapping[object, object] = field(default_factory=dict)

    @property
    def kid(self) -> bytes:
        """The key identifier, empty where there is none."""
        kid = self.header.get(KID)
        return kid if isinstance(kid, bytes) else b""

    @property
    def typ(self) -> str:
        """The kind of object, empty where there is none."""
        typ = self.header.get(TYP)
        return typ if isinstance(typ, str) else ""

    @property
    def algorithm(self) -> Algorithm | None:
        """What the object says it is signed with; None for anything but ES256 and Ed25519."""
        alg = self.header.get(ALG)
        return ALG_NAMES.get(alg) if type(alg) is int else None


class NotSign1(ValueError):
    """CBOR that is not a tagged COSE_Sign1 in our profile."""


def parse(data: bytes, *, strict: bool = True) -> Sign1:
    """`data` as an unverified COSE_Sign1; NotCbor or NotSign1 says what is wrong with it.

    `strict` is our own profile: deterministic encoding, an empty unprotected header, and alg, kid and typ alone in the protected one.
    """
    whole = _parse_profile(data) if strict else None
    if whole is not None:
        return whole
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
    return Sign1(protected, header, payload, signature, unprotected)


def _parse_profile(data: bytes) -> Sign1 | None:
    """`data` read as what a COSE_Sign1 of our profile must be, byte for byte; None where it is not, and `parse` finds out why.

    At every gate all that is valid comes this way, in a third of the time.
    """
    if data[:2] != _TAG_AND_ARRAY:
        return None
    protected, place = _byte_string(data, 2)
    if place == 0 or data[place : place + 1] != _EMPTY_MAP:
        return None
    payload, place = _byte_string(data, place + 1)
    signature, end = _byte_string(data, place) if place else (b"", 0)
    header = _profile_header(protected)
    return None if end == 0 or end != len(data) or header is None else Sign1(protected, header, payload, signature)


def _byte_string(data: bytes, place: int) -> tuple[bytes, int]:
    """The byte string of at most 255 bytes that begins at `place`, and where it ends: 0 where there is none in its shortest form."""
    first = data[place] if place < len(data) else 0
    if _SHORT <= first < _SHORT + 24:
        begin, length = place + 1, first - _SHORT
    elif first == _SHORT + 24 and place + 1 < len(data) and data[place + 1] >= 24:
        begin, length = place + 2, data[place + 1]
    else:
        return b"", 0
    end = begin + length
    return (data[begin:end], end) if end <= len(data) else (b"", 0)


@lru_cache(64)
def _profile_header(protected: bytes) -> Mapping[object, object] | None:
    """The protected header of our profile; None where it is another. Remembered, for all objects of one key have the same."""
    try:
        header = cbor.load(protected)
    except cbor.NotCbor:
        return None
    return MappingProxyType(header) if isinstance(header, dict) and set(header) == {ALG, KID, TYP} else None


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
        if len(signature) != 64 and not isinstance(self.handle, rsa.RSAPublicKey):
            return False
        try:
            if isinstance(self.handle, rsa.RSAPublicKey):
                self.handle.verify(signature, data, _PSS, hashes.SHA256())
                return True
            if isinstance(self.handle, ed25519.Ed25519PublicKey):
                self.handle.verify(signature, data)
                return True
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            if low_s and s > P256_ORDER // 2:
                return False
            self.handle.verify(encode_dss_signature(r, s), data, _ECDSA)
        except InvalidSignature:
            return False
        return True


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
