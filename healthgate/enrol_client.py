"""A new unit's side of enrolment over HTTPS: whom it speaks to, what it asks, which answer it believes."""

from __future__ import annotations

import hmac
import http.client
import re
import ssl
from dataclasses import dataclass

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from edge.identity import find_fault
from healthcode.admission import (
    MARK_BYTES,
    MOST_BYTES,
    PATH,
    EnrolAnswer,
    EnrolRequest,
    Secret,
    fingerprint,
    mark_of_roots,
)
from healthcode.cose import PublicKey
from healthcode.messages import BadPayload, decode, encode

PORT = 8443
LIMIT_S = 30.0
_SERVER = re.compile(r"(?:https://)?(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?/?")
_PLAIN = re.compile(r"[\x20-\x7e]{1,200}")
"""What a server says that is not believed yet may stand on a terminal where it is plain text."""


class NotEnrolled(Exception):
    """The unit could not be enrolled; the text is one line that says what to do."""


@dataclass(frozen=True)
class Server:
    """Where the server's pages are."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Server:
        """`hub.example`, `hub.example:8443`, `https://hub.example:8443`, an address; NotEnrolled where it is none of them."""
        matched = _SERVER.fullmatch(text)
        if matched is None or int(matched[2] or PORT) not in range(1, 65536):
            raise NotEnrolled(f"server {text[:100]!r}: expected a name or address, with a port where it is not {PORT}: hub.example:{PORT}")
        return cls(matched[1].strip("[]"), int(matched[2] or PORT))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Answered:
    """What a server answered, and the certificate that it had shown, in DER."""

    answer: EnrolAnswer
    shown: bytes

    @property
    def is_by_fleet(self) -> bool:
        """Whether the fleet's authority vouches for that certificate; else it is one that the whole world knows, such as a proxy's."""
        authority = x509.load_pem_x509_certificate(self.answer.ca.encode())
        try:
            x509.load_der_x509_certificate(self.shown).verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def fetch(server: Server, secret: Secret, key: ec.EllipticCurvePrivateKey) -> Answered:
    """Asks `server`, once it has shown the certificate that the secret names; NotEnrolled with what it says where it refuses."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate")])  # the server says which one
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    request = csr.public_bytes(serialization.Encoding.DER)
    connection = connect(server, secret)
    try:
        shown = _certificate(connection)
        proof = secret.prove(request, _fingerprint(shown))
        body = encode(EnrolRequest(csr=request, mark=secret.mark, proof=proof))
        connection.request("POST", PATH, body, {"Content-Type": "application/json", "Accept": "application/json"})
        answer = connection.getresponse()
        said = answer.read(MOST_BYTES + 1)
        if answer.status == http.client.OK:
            return Answered(decode(said, EnrolAnswer, MOST_BYTES), shown)
        raise NotEnrolled(f"{server} refuses: {_title(said)}")
    except (OSError, http.client.HTTPException) as wrong:
        raise NotEnrolled(f"{server}: the answer did not come: {wrong}: type the same again") from None
    except BadPayload as wrong:
        raise NotEnrolled(f"{server}: answers something else: {wrong}: is it a healthgate of this version?") from None
    finally:
        connection.close()


def connect(server: Server, secret: Secret) -> http.client.HTTPSConnection:
    """A connection to the server that the secret was made by, and to no other; NotEnrolled where there is none.

    No authority vouches for it and no date counts: the unit's clock may be wrong, and the fingerprint says more than either.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(server.host, server.port, timeout=LIMIT_S, context=context)
    try:
        connection.connect()
        shown = _fingerprint(_certificate(connection))
    except (OSError, ValueError, UnsupportedAlgorithm) as wrong:
        connection.close()
        raise NotEnrolled(
            f"{server} cannot be reached by TLS: {wrong}: is the network there, is `healthgate server web` running?"
        ) from None
    if not hmac.compare_digest(shown[:MARK_BYTES], secret.server):
        connection.close()
        raise NotEnrolled(
            f"{server} shows a certificate with the fingerprint {shown.hex()[:16]}, the secret was made for {secret.server.hex()[:16]}: "
            "somebody may stand in between. Nothing was sent"
        )
    return connection


def check(answer: EnrolAnswer, secret: Secret, key: ec.EllipticCurvePrivateKey) -> None:
    """NotEnrolled where the answer is not for this key, or its roots are others than the secret names."""
    try:
        roots = [PublicKey.from_pem(root.encode()) for root in answer.roots]
        certificate, authority = (x509.load_pem_x509_certificate(each.encode()) for each in (answer.certificate, answer.ca))
        fault = find_fault(certificate, authority, _spki(key.public_key()), answer.unit)
    except (ValueError, UnsupportedAlgorithm) as wrong:
        raise NotEnrolled(f"the answer holds no keys and certificates: {wrong}") from None
    mark = mark_of_roots([_spki(root.handle) for root in roots])
    if not hmac.compare_digest(mark, secret.roots):
        raise NotEnrolled(
            f"the answer names roots with the fingerprint {mark.hex()}, the secret {secret.roots.hex()}: they are not believed. "
            "Nothing was kept"
        )
    if fault is not None:
        raise NotEnrolled(f"the answer's certificate is not for this unit: {fault.value}; nothing was kept")


def _certificate(connection: http.client.HTTPSConnection) -> bytes:
    """The certificate that the other side has shown, DER."""
    assert isinstance(connection.sock, ssl.SSLSocket)
    shown = connection.sock.getpeercert(binary_form=True)
    if not shown:
        raise ValueError("no certificate was shown")
    return shown


def _fingerprint(certificate: bytes) -> bytes:
    """That of the key in a certificate in DER."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    return fingerprint(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def _title(said: bytes) -> str:
    """The line that an answer gives for its refusal."""
    try:
        found = msgspec.json.decode(said, type=dict[str, object]).get("title")
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        found = None
    return found if isinstance(found, str) and _PLAIN.fullmatch(found) else "without a reason that can be read"


def _spki(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
