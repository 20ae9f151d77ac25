"""A unit's certificate: which one it takes from the network, and what is in force after."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.config import ConfigError, Link
from edge.identity import CertificateFault, Identity, Renewed, tls_context
from server.authority import Authority, der, ends, key_pem, make_key, pem

NOW = 1_700_000_000.0


class Device:
    """A unit's files, as `edge enrol` leaves them."""

    def __init__(self, folder: Path, at: float = NOW) -> None:
        (folder / "keys").mkdir()
        (folder / "other").mkdir()
        self.authority, self.other = Authority.create(folder / "keys", at), Authority.create(folder / "other", at)
        self.key = make_key()
        self.link = Link(ca=str(folder / "ca.crt"), certificate=str(folder / "unit.crt"), key=str(folder / "unit.pem"))
        Path(self.link.ca).write_text(self.authority.pem)
        Path(self.link.key).write_bytes(key_pem(self.key))
        self.held = self.made(at)
        Path(self.link.certificate).write_text(pem(self.held))

    def made(
        self, at: float, account: str = "gate.north.1", key: ec.EllipticCurvePrivateKey | None = None, by: Authority | None = None
    ) -> x509.Certificate:
        return (by or self.authority).client((key or self.key).public_key(), account, at, 30)

    def on_disk(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(Path(self.link.certificate).read_bytes())


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_a_later_certificate_is_taken_and_on_the_disk(device: Device) -> None:
    identity = Identity("north", device.link)
    fresh = device.made(NOW + 86_400)
    assert identity.accept(der(fresh)) == Renewed(ends(fresh))
    assert device.on_disk() == fresh
    assert identity.ends == ends(fresh)
    assert Path(device.link.certificate).stat().st_mode & 0o077 == 0
    assert identity.accept(der(fresh)) is CertificateFault.NOT_LATER, "it comes again with every connection"
    assert identity.accept(der(device.held)) is CertificateFault.NOT_LATER, "an old one, played again"
    assert device.on_disk() == fresh


def test_what_anybody_could_publish_is_not_taken(device: Device) -> None:
    identity = Identity("north", device.link)
    later = NOW + 86_400
    faults = {
        CertificateFault.BAD: [b"", b"x" * 300, der(device.made(later))[:-1], pem(device.made(later)).encode()],
        CertificateFault.OTHER_KEY: [der(device.made(later, key=make_key()))],
        CertificateFault.OTHER_NAME: [der(device.made(later, name)) for name in ("gate.south.1", "bridge", "gate.northern.1")],
        CertificateFault.OTHER_ISSUER: [der(device.made(later, by=device.other)), der(forged(device, later))],
    }
    for fault, datas in faults.items():
        for data in datas:
            assert identity.accept(data) is fault
    assert device.on_disk() == device.held


def forged(device: Device, at: float) -> x509.Certificate:
    """Signed by a key of the thief's own under the authority's name."""
    thief = Authority(make_key(), device.authority.certificate)
    return thief.client(device.key.public_key(), "gate.north.1", at, 30)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("ca.crt", b"", "link.ca"),
        ("unit.crt", b"nothing", "link.certificate"),
        ("unit.pem", b"nothing", "link.key"),
        ("unit.pem", None, "link.key"),
        ("unit.pem", "another", "expected a certificate for the key"),
    ],
)
def test_files_that_do_not_fit_are_named(device: Device, file: str, content: bytes | str | None, said: str) -> None:
    path = Path(device.link.ca).parent / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(key_pem(make_key()) if isinstance(content, str) else content)
    with pytest.raises(ConfigError, match=said):
        Identity("north", device.link)


def shake_hands(
    device: Device, client: ssl.SSLContext, name: str, *, at: float, days: float = 30, by: Authority | None = None, of_unit: bool = False
) -> str:
    """A TLS handshake in memory with a server whose certificate was made at `at`; empty where the client is content with it."""
    key, authority = make_key(), by or device.authority
    made = authority.client(key.public_key(), name, at, days) if of_unit else authority.server(key.public_key(), [name], at, days)
    folder = Path(device.link.ca).parent
    (folder / "server.pem").write_bytes(key_pem(key) + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    server.verify_mode = ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="hub.example")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (ours, theirs):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as wrong:
                return wrong.reason or str(wrong)
    return ""


def test_a_unit_believes_the_fleets_broker_whatever_the_clock_says_and_nobody_else(device: Device) -> None:
    """A Pi without a battery starts in the past, and learns the time by way of the broker."""
    context, now = tls_context(device.link), time.time()
    assert shake_hands(device, context, "hub.example", at=now) == ""
    assert shake_hands(device, context, "hub.example", at=now + 10 * 365 * 86_400) == "", "our clock is behind"
    assert shake_hands(device, context, "hub.example", at=now - 10 * 365 * 86_400) == "", "our clock is ahead"
    assert "CERTIFICATE_VERIFY_FAILED" in shake_hands(device, context, "another.example", at=now)
    assert "CERTIFICATE_VERIFY_FAILED" in shake_hands(device, context, "hub.example", at=now, by=device.other)
    for name in ("gate.south.1", "hub.example"):
        assert "CERTIFICATE_VERIFY_FAILED" in shake_hands(device, context, name, at=now, of_unit=True), "another unit is no broker"
