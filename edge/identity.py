"""Who the unit is to the broker: its key, its certificate, and the fleet's certificate that both sides' are signed by; files in PEM.

A new certificate comes by MQTT, retained, and is for anybody to see: it is taken only if it is for the key that the unit has, from the
fleet's authority, in the unit's name, and ends later than the one held.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from edge.config import Config, ConfigError, Link
from edge.files import write_atomically
from healthcode.settings import why_unread

NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME. A unit whose clock is wrong learns the time from the server, by the broker: it cannot want to know
it before. What it believes is signed, so a broker with an old certificate can tell it nothing (docs/decisions/0185)."""
ACCOUNT = "gate.{unit}."
"""How the name in a unit's certificate begins; what follows counts the unit's enrolments."""


class CertificateFault(StrEnum):
    """Why a certificate that came is not taken."""

    BAD = "BAD"
    OTHER_KEY = "OTHER_KEY"
    OTHER_NAME = "OTHER_NAME"
    OTHER_ISSUER = "OTHER_ISSUER"
    NOT_LATER = "NOT_LATER"


@dataclass(frozen=True)
class Renewed:
    """Another certificate is in force, until `ends` (seconds since 1970)."""

    ends: float


class Identity:
    """The files that `link` names. ConfigError where they cannot be used."""

    def __init__(self, unit: str, link: Link) -> None:
        self._unit = unit
        self._link = link
        self._authority = _read(link.ca, "link.ca")
        self._held = _read(link.certificate, "link.certificate")
        key = read_key_file(link.key)
        if spki_of(key) != _spki(self._held):
            raise ConfigError(f"link.certificate: {link.certificate}: expected a certificate for the key in {link.key}")

    @property
    def ends(self) -> float:
        """When the certificate ends, seconds since 1970."""
        return self._held.not_valid_after_utc.timestamp()

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key's SubjectPublicKeyInfo, in hexadecimal."""
        return hashlib.sha256(_spki(self._held)).hexdigest()

    @property
    def name(self) -> str:
        """The name in the certificate: the unit's account at the broker."""
        return _name(self._held)

    def accept(self, data: bytes) -> Renewed | CertificateFault:
        """A certificate came, DER; it is on the disk when this returns Renewed. OSError where the disk does not take it."""
        try:
            fresh = x509.load_der_x509_certificate(data)
            ends = fresh.not_valid_after_utc.timestamp()
            fault = find_fault(fresh, self._authority, _spki(self._held), self._unit)
        except (ValueError, UnsupportedAlgorithm):
            return CertificateFault.BAD
        if fault is not None:
            return fault
        if ends <= self.ends:
            return CertificateFault.NOT_LATER
        write_atomically(Path(self._link.certificate), fresh.public_bytes(serialization.Encoding.PEM), mode=0o600)
        self._held = fresh
        return Renewed(ends)


def open_identity(config: Config) -> Identity | None:
    """The unit's identity; None where the broker knows it by a password."""
    return Identity(config.unit, config.link) if config.link.certificate else None


def check_identity(config: Config) -> None:
    """ConfigError where the files by which the broker knows the unit cannot be used: such a unit would never come on line."""
    open_identity(config)
    if config.link.ca:
        try:
            tls_context(config.link)
        except (OSError, ValueError) as wrong:
            raise ConfigError(f"link: {wrong}: expected certificates and a key that belong together") from None


def tls_context(link: Link) -> ssl.SSLContext:
    """What a connection to the broker needs, from the files as they are now. OSError where they cannot be used."""
    context = ssl.create_default_context(cafile=link.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= NO_CHECK_TIME
    if link.certificate:
        context.load_cert_chain(link.certificate, link.key)
    return context


def find_fault(fresh: x509.Certificate, authority: x509.Certificate, spki: bytes, unit: str) -> CertificateFault | None:
    """What speaks against a certificate for the key `spki` (SubjectPublicKeyInfo, DER) of `unit`; its dates aside."""
    if _spki(fresh) != spki:
        return CertificateFault.OTHER_KEY
    if not _name(fresh).startswith(ACCOUNT.format(unit=unit)):
        return CertificateFault.OTHER_NAME
    try:
        fresh.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return CertificateFault.OTHER_ISSUER
    return None


def read_key_file(path: str) -> bytes:
    """The PEM of a private key; ConfigError where there is none."""
    try:
        return Path(path).read_bytes()
    except OSError as wrong:
        raise ConfigError(f"link.key: {path}: {why_unread(wrong)}: expected a private key in PEM") from None


def spki_of(pem: bytes) -> bytes:
    """The public half of a private key in PEM: its SubjectPublicKeyInfo in DER. ConfigError where it is no key."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError("link.key: expected a private key in PEM without a password") from None
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _read(path: str, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError) as wrong:
        why = why_unread(wrong) if isinstance(wrong, OSError) else "no certificate"
        raise ConfigError(f"{what}: {path}: {why}: expected a certificate in PEM") from None


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""
