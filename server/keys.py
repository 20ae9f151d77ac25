"""The server's own keys, from files of mode 0600, and the signed trust list that says what they may do.

The keys folder holds token.pem, list.pem, time.pem, ack.pem (private keys) and trust.cbor and trust-head.cbor (signed by the root,
whose private key is not here). The trust files are read again when they change, so that a withdrawn key is published at once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from healthcode.cose import PublicKey, Signer, SoftwareKey
from healthcode.messages import TrustHead, TrustList
from healthcode.signed import SignedFault, read_rooted
from healthcode.terms import Use
from healthcode.trust import KeyRing
from server.sealing import SealError, read_private

log = logging.getLogger(__name__)

TRUST_FILE = "trust.cbor"
TRUST_HEAD_FILE = "trust-head.cbor"
RESETS_FOLDER = "clock-resets"


class KeyFileError(Exception):
    """A key or trust file that cannot be used; the text is one line."""


@dataclass(frozen=True)
class Trusted:
    """A verified trust list with its head, as bytes to publish and as a ring to check with."""

    ring: KeyRing
    head: TrustHead
    list_bytes: bytes
    head_bytes: bytes


def load_signer(folder: Path, use: Use) -> Signer:
    """The private key {use}.pem of the keys folder."""
    path = folder / f"{use.value}.pem"
    try:
        return SoftwareKey.from_pem(read_private(path))
    except SealError as wrong:
        raise KeyFileError(str(wrong)) from None
    except ValueError as wrong:
        raise KeyFileError(f"{path}: {wrong}") from None


def load_roots(paths: Sequence[str]) -> tuple[PublicKey, ...]:
    """The root keys, PEM public keys."""
    roots = []
    for path in paths:
        try:
            roots.append(PublicKey.from_pem(Path(path).read_bytes()))
        except OSError as wrong:
            raise KeyFileError(f"{path}: cannot be read: {wrong.strerror}") from None
        except ValueError as wrong:
            raise KeyFileError(f"{path}: {wrong}") from None
    return tuple(roots)


def read_trust(folder: Path, roots: Sequence[PublicKey]) -> Trusted:
    """The trust list and head in the keys folder; KeyFileError where they are missing, not by a root, or do not belong together."""
    try:
        list_bytes = (folder / TRUST_FILE).read_bytes()
        head_bytes = (folder / TRUST_HEAD_FILE).read_bytes()
    except OSError as wrong:
        raise KeyFileError(f"{wrong.filename}: cannot be read: {wrong.strerror}") from None
    trust_list = read_rooted(list_bytes, TrustList, roots)
    if isinstance(trust_list, SignedFault):
        raise KeyFileError(f"{folder / TRUST_FILE}: {trust_list.value}: expected a trust list signed by one of the roots")
    head = read_rooted(head_bytes, TrustHead, roots)
    if isinstance(head, SignedFault):
        raise KeyFileError(f"{folder / TRUST_HEAD_FILE}: {head.value}: expected a trust head signed by one of the roots")
    if (head.version, head.size, head.sha256) != (trust_list.version, len(list_bytes), hashlib.sha256(list_bytes).digest()):
        raise KeyFileError(f"{folder / TRUST_HEAD_FILE}: version {head.version} is not that of {TRUST_FILE}, {trust_list.version}")
    return Trusted(KeyRing.of(trust_list), head, list_bytes, head_bytes)


class TrustFiles:
    """The trust list in force, read again when its files change. What cannot be read leaves the one before in force."""

    def __init__(self, folder: Path, roots: Sequence[PublicKey]) -> None:
        self._folder = folder
        self._roots = roots
        self._seen = self._look()
        self.current = read_trust(folder, roots)

    def refresh(self) -> bool:
        """Looks whether the files changed; whether another trust list is in force now. Versions only go up."""
        look = self._look()
        if look == self._seen:
            return False
        try:
            fresh = read_trust(self._folder, self._roots)
        except KeyFileError as wrong:
            if look is not None and None not in look:
                log.warning("trust list not taken over: %s", wrong)
            self._seen = look
            return False
        self._seen = look
        if fresh.head.version < self.current.head.version:
            log.warning("trust list %d not taken over: %d is in force", fresh.head.version, self.current.head.version)
            return False
        changed = fresh.head_bytes != self.current.head_bytes
        self.current = fresh
        return changed

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stat(self._folder / name) for name in (TRUST_FILE, TRUST_HEAD_FILE))


def find_missing(ring: KeyRing, signers: dict[Use, Signer], uri: str) -> list[str]:
    """What the trust list does not say of the server's own keys, one line each: units would refuse what such a key signs."""
    lines = []
    for use, signer in signers.items():
        entries = [candidate.entry for candidate in ring.find(signer.kid, use) if candidate.entry.key == signer.public]
        if not entries:
            lines.append(f"key {use.value}.pem ({signer.kid.hex()}) is not in trust list {ring.version} for the use {use.value!r}")
        elif use in (Use.TOKEN, Use.LIST) and not any(uri in entry.uris for entry in entries):
            lines.append(f"key {use.value}.pem ({signer.kid.hex()}) may not sign for {uri} by trust list {ring.version}")
    return lines


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
