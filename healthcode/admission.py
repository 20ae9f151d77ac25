"""How a new unit is let in: the one-time secret, what a unit asks with it and what it gets. Pure.

The secret holds sixteen random bytes and two fingerprints: of the root keys, and of the key in the certificate that the server shows over
TLS. So the unit knows whom it speaks to before it says anything, and which roots to believe, whoever stands in between. The random bytes
never leave the unit: an Ed25519 key is derived from them (HKDF-SHA-256, RFC 5869), and the unit signs its request for a certificate
(PKCS #10) together with the fingerprint of the certificate that it saw. The server holds the public half of that key and its mark: who
reads its database can check a request and make none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from healthcode.messages import Message, UnitId

PATH = "/fleet/enrol"
"""Where a server takes requests, by POST."""
MOST_BYTES = 16 * 1024
"""Of a request and of an answer: an answer with four roots has some 3 KB."""
KEY_BYTES = 16
MARK_BYTES = 16
"""Of a fingerprint, cut: to find another key with the same one takes 2**128 tries."""
_CHECK_BYTES = 2
_PREFIX = "hg1"
_GROUP = 5
_LETTERS = 80
_PROOF = b"healthgate enrolment 1\0"

Mark = Annotated[bytes, Meta(min_length=MARK_BYTES, max_length=MARK_BYTES)]
Pem = Annotated[str, Meta(max_length=4096)]
Host = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9.:-]+\Z")]
Port = Annotated[int, Meta(ge=1, le=65535)]


class NotASecret(ValueError):
    """A text that is no secret of ours; the text is one line for people."""


class EnrolRequest(Message, frozen=True):
    """What a unit asks: a certificate for the key in `csr` (PKCS #10, DER), by the secret with this `mark`, as `proof` shows."""

    csr: Annotated[bytes, Meta(min_length=1, max_length=2048)]
    mark: Mark
    proof: Annotated[bytes, Meta(min_length=64, max_length=64)]


class EnrolAnswer(Message, frozen=True):
    """What it gets: its name, its certificate and the fleet's (PEM), the root keys that it is to believe, and where the broker is."""

    unit: UnitId
    certificate: Pem
    ca: Pem
    roots: Annotated[list[Pem], Meta(min_length=1, max_length=4)]
    host: Host
    port: Port


@dataclass(frozen=True)
class Secret:
    """`key` is what is secret; the marks are fingerprints of what the unit is to believe."""

    key: bytes
    roots: bytes
    server: bytes

    def __str__(self) -> str:
        """As people carry it: groups of five letters and digits, with a check at the end."""
        data = self.key + self.roots + self.server
        letters = base64.b32encode(data + _check(data)).decode().lower()
        return "-".join([_PREFIX, *re.findall(f".{{{_GROUP}}}", letters)])

    def __repr__(self) -> str:
        """Without the key, for logs and tracebacks."""
        return f"Secret(mark={self.mark.hex()})"

    @classmethod
    def parse(cls, text: str) -> Secret:
        """What people typed or pasted, with or without hyphens, in either case; NotASecret says what is wrong."""
        plain = re.sub(r"[\s-]", "", text).lower()
        if not plain.startswith(_PREFIX) or len(plain) != len(_PREFIX) + _LETTERS:
            raise NotASecret(f"secret of {len(plain)} letters and digits: expected {len(_PREFIX) + _LETTERS} that begin with {_PREFIX}")
        try:
            data = base64.b32decode(plain[len(_PREFIX) :].upper())
        except binascii.Error:
            raise NotASecret("secret: expected letters and the digits 2 to 7 alone") from None
        body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if not hmac.compare_digest(check, _check(body)):
            raise NotASecret("secret: mistyped or cut: its check does not fit, expected it as `healthgate fleet enrol` printed it")
        return cls(body[:KEY_BYTES], body[KEY_BYTES : KEY_BYTES + MARK_BYTES], body[KEY_BYTES + MARK_BYTES :])

    @property
    def mark(self) -> bytes:
        """By which the server finds what it knows of the secret; it says nothing of it."""
        return _derive(self.key, b"healthgate enrolment mark")[:MARK_BYTES]

    @property
    def public(self) -> bytes:
        """What the server holds of it: an Ed25519 public key, 32 bytes."""
        return self._signer().public_key().public_bytes_raw()

    def prove(self, csr: bytes, seen: bytes) -> bytes:
        """The proof for a request with this `csr` to the server whose certificate's fingerprint, `seen`, the unit has seen: 64 bytes."""
        return self._signer().sign(_said(csr, seen))

    def _signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(_derive(self.key, b"healthgate enrolment proof"))


def proves(public: bytes, proof: bytes, csr: bytes, shown: bytes) -> bool:
    """Whether whoever made `proof` has the secret of `public`, means this `csr`, and saw the certificate with the fingerprint `shown`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(proof, _said(csr, shown))
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(spki: bytes) -> bytes:
    """The fingerprint of a key, given as the DER of its SubjectPublicKeyInfo: SHA-256, 32 bytes."""
    return hashlib.sha256(spki).digest()


def mark_of_server(spki: bytes) -> bytes:
    """The mark of the key in the server's certificate, as a secret carries it."""
    return fingerprint(spki)[:MARK_BYTES]


def mark_of_roots(spkis: Sequence[bytes]) -> bytes:
    """The mark of root keys, as a secret carries it: of one its fingerprint, of several the SHA-256 of their fingerprints in order; cut."""
    marks = [fingerprint(spki) for spki in spkis]
    return (marks[0] if len(marks) == 1 else hashlib.sha256(b"".join(marks)).digest())[:MARK_BYTES]


def _said(csr: bytes, seen: bytes) -> bytes:
    return _PROOF + fingerprint(csr) + seen


def _check(data: bytes) -> bytes:
    return hashlib.sha256(_PREFIX.encode() + data).digest()[:_CHECK_BYTES]


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(key)
