"""The fleet's certificate authority: an X.509 key of its own in the keys folder, and the certificates that it gives out.

fleet-ca.pem is its private key (mode 0600), fleet-ca.crt its certificate. All keys are of P-256. What a certificate is worth: the broker
lets its holder in under the name in it, and the access rules say what that name may do. Nothing that units act on rests on it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from server.keys import KeyFileError
from server.sealing import SealError, read_private, write_private

KEY_FILE = "fleet-ca.pem"
CERTIFICATE_FILE = "fleet-ca.crt"
AUTHORITY_DAYS = 7300
SERVER_DAYS = 730
UNIT_DAYS = 30
CONSOLE_DAYS = 1
RENEW_AFTER = 2 / 3
"""Of its life: then a unit's certificate is made anew."""
EARLIER_S = 3600
"""How long before it was made the authority's certificate begins, for clocks that differ. Those that it signs begin with it: a clock that
was ahead for an hour must not leave a fleet with certificates that are not good yet."""
_LONGEST_NAME = 64
"""Letters of a common name (RFC 5280, appendix A.1); what a server is reached under stands elsewhere in its certificate, whole."""
BRIDGE = "bridge"
CONSOLE = "console"
"""The accounts of the server's own process, and of commands on its folder."""


class NotACsr(ValueError):
    """Bytes that are no request for a certificate that we could sign; the text is one line."""


def unit_account(unit: str, number: int) -> str:
    """The account of a unit's enrolment with this number. Ids hold no dot, so no unit can have another's or an operator's."""
    return f"gate.{unit}.{number}"


def operator_account(name: str, number: int) -> str:
    """The account of an operator, whose accounts are counted, too."""
    return f"op.{name}.{number}"


@dataclass(frozen=True)
class Authority:
    """The authority's key and certificate. Times are seconds since 1970."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The one in the keys folder; KeyFileError where it is missing or cannot be used."""
        try:
            key = serialization.load_pem_private_key(read_private(folder / KEY_FILE), None)
            certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
        except SealError as wrong:
            raise KeyFileError(f"{wrong}: type healthgate server init for a folder that has none") from None
        except OSError as wrong:
            raise KeyFileError(f"{folder / CERTIFICATE_FILE}: cannot be read: {wrong.strerror}") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise KeyFileError(f"{folder / KEY_FILE}, {CERTIFICATE_FILE}: expected a key and a certificate in PEM") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise KeyFileError(f"{folder / CERTIFICATE_FILE}: expected the certificate of the P-256 key in {KEY_FILE}")
        return cls(key, certificate)

    @classmethod
    def create(cls, folder: Path, at: float) -> Authority:
        """A new one in the keys folder; KeyFileError where there is one already."""
        key = make_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "healthgate fleet")])
        builder = _begin(name, name, key.public_key(), at - EARLIER_S, at + AUTHORITY_DAYS * 86_400)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        certificate = builder.sign(key, hashes.SHA256())
        try:
            write_private(folder / KEY_FILE, key_pem(key))
            (folder / CERTIFICATE_FILE).write_bytes(pem(certificate).encode())
        except (SealError, OSError) as wrong:
            raise KeyFileError(str(wrong)) from None
        return cls(key, certificate)

    @property
    def pem(self) -> str:
        """The authority's certificate in PEM."""
        return pem(self.certificate)

    def client(self, key: ec.EllipticCurvePublicKey, account: str, at: float, days: float) -> x509.Certificate:
        """A certificate by which the broker lets the holder of `key` in under the name `account`."""
        return self._sign(key, account, at, days, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, key: ec.EllipticCurvePublicKey, names: Sequence[str], at: float, days: float = SERVER_DAYS) -> x509.Certificate:
        """A certificate for a server that is reached under these names and addresses."""
        return self._sign(key, names[0][:_LONGEST_NAME], at, days, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def _sign(
        self, key: ec.EllipticCurvePublicKey, name: str, at: float, days: float, use: x509.ObjectIdentifier, names: Sequence[str]
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        begins = min(self.certificate.not_valid_before_utc.timestamp(), at)
        builder = _begin(subject, self.certificate.subject, key, begins, at + days * 86_400)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def read_csr(der: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a request for a certificate (PKCS #10), whose holder has signed it. What else it says is not asked: we say that."""
    try:
        csr = x509.load_der_x509_csr(der)
        key = csr.public_key()
        is_signed = csr.is_signature_valid
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        raise NotACsr("expected a request for a certificate (PKCS #10, DER)") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NotACsr("expected a request for a key of P-256")
    if not is_signed:
        raise NotACsr("the request is not signed by the key in it")
    return key


def make_key() -> ec.EllipticCurvePrivateKey:
    """A new key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in PEM, not encrypted."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in a file of mode 0600; KeyFileError where it is none."""
    try:
        key = serialization.load_pem_private_key(read_private(path), None)
    except SealError as wrong:
        raise KeyFileError(str(wrong)) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path}: expected a private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyFileError(f"{path}: expected a key of P-256")
    return key


def read_certificate(path: Path) -> x509.Certificate:
    """The first certificate in a PEM file; KeyFileError where there is none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as wrong:
        raise KeyFileError(f"{path}: cannot be read: {wrong.strerror}") from None
    except ValueError:
        raise KeyFileError(f"{path}: expected a certificate in PEM") from None


def pem(certificate: x509.Certificate) -> str:
    """A certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def der(certificate: x509.Certificate) -> bytes:
    """A certificate in DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as the DER of its SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def spki_of(certificate: x509.Certificate) -> bytes:
    """The same of the key in a certificate."""
    return certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def names_of(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that a server's certificate is for."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(each.value) for each in found]


def ends(certificate: x509.Certificate) -> float:
    """When a certificate ends."""
    return certificate.not_valid_after_utc.timestamp()


def is_due(certificate: x509.Certificate, at: float) -> bool:
    """Whether two thirds of a unit's certificate's life are over."""
    return at >= ends(certificate) - (1 - RENEW_AFTER) * UNIT_DAYS * 86_400


def _begin(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: float, ends: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(int(begins), UTC))
        .not_valid_after(datetime.fromtimestamp(int(ends), UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
