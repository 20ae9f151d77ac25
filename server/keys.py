"""The server's own keys, from files of mode 0600, and the signed trust list that says what they may do.

The keys folder holds token.pem, list.pem, time.pem, ack.pem, config.pem (private keys), a further {use}-{kid}.pem for each rotation,
and trust.cbor and trust-head.cbor (signed by the root, whose private key is not here). The trust files are read again when they change, so
that a withdrawn key is published at once; the trust list says which of a use's keys signs now.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from healthcode.cose import PublicKey, Signer, SoftwareKey
from healthcode.messages import MAX_CHAIN, BadPayload, RootChain, TrustEntry, TrustHead, TrustList
from healthcode.roots import Roots
from healthcode.signed import SignedFault, unpack
from healthcode.terms import Use
from healthcode.trust import KeyRing
from server.sealing import SealError, read_private

log = logging.getLogger(__name__)

TRUST_FILE = "trust.cbor"
TRUST_HEAD_FILE = "trust-head.cbor"
ROOTS_FILE = "roots.cbor"
"""The chain of rotations that leads from a unit's root to the one that signs now."""
RESETS_FOLDER = "clock-resets"
USES = (Use.TOKEN, Use.LIST, Use.TIME, Use.ACK, Use.CONFIG)
"""What a server signs with keys of its own; a folder that is older than configuration from afar has none for that."""
CLOCK_MARGIN_S = 3600
"""How long before they begin to sign keys count, for clocks that differ and for what is stated before it is signed."""
WARNING_S = 30 * 86_400
"""How long before its end a key or a trust list is warned of: as long as the gates' alert (`edge.alerts`)."""


class KeyFileError(Exception):
    """A key or trust file that cannot be used; the text is one line."""


@dataclass(frozen=True)
class Trusted:
    """A verified trust list with its head, as bytes to publish and as a ring to check with; `roots` are all that ever counted."""

    ring: KeyRing
    head: TrustHead
    list_bytes: bytes
    head_bytes: bytes
    expires_at: int
    roots: tuple[PublicKey, ...] = ()
    roots_bytes: bytes = b""


def read_signers(folder: Path, use: Use) -> list[SoftwareKey]:
    """The private keys of a use: {use}.pem and every {use}-{kid}.pem of the keys folder; KeyFileError where one cannot be used."""
    first = folder / f"{use.value}.pem"
    later = sorted(folder.glob(f"{use.value}-*.pem"))
    return [_read_signer(path) for path in ([first] if first.exists() or not later else []) + later]


def choose(signers: Sequence[Signer], use: Use, ring: KeyRing, at: float) -> Signer:
    """Of a use's keys the one that signs at `at`: that of the highest epoch, then the one that began last, so that a rotation takes effect.

    A key that may sign since less than CLOCK_MARGIN_S waits while there is another: what it signs may state an earlier time.
    Where the trust list lets none of them sign, the last one does: `find_missing` says so, and no gate believes it.
    """
    may = [entry for entry in reversed(ring.entries) if entry.use is use and entry.sign_from <= at <= entry.sign_until]
    found = [(entry, signer) for entry in may for signer in signers if signer.public == entry.key]
    ready = [each for each in found if each[0].sign_from + CLOCK_MARGIN_S <= at] or found
    return max(ready, key=lambda each: (each[0].epoch, each[0].sign_from))[1] if ready else signers[-1]


def _read_all(folder: Path) -> Mapping[Use, Sequence[Signer]]:
    """The keys of every use; none for configurations where the folder has none."""
    is_older = not any(folder.glob(f"{Use.CONFIG.value}*.pem"))
    return {use: [] if use is Use.CONFIG and is_older else read_signers(folder, use) for use in USES}


class Signers:
    """The server's keys: which signs is asked anew for every object, for the trust list and the time decide it.

    The files are read again when the trust list changes: whoever rotates a key writes it first, and the trust list then.
    """

    def __init__(self, folder: Path, ring: Callable[[], KeyRing], now: Callable[[], float]) -> None:
        self._folder, self._ring, self._now = folder, ring, now
        self._held: Mapping[Use, Sequence[Signer]] = _read_all(folder)
        self._read_at = ring().version

    def find_config(self) -> Signer | None:
        """The key that signs configurations now; None in a folder that has none yet."""
        self._refresh()
        return self.signer(Use.CONFIG) if self._held[Use.CONFIG] else None

    def signer(self, use: Use) -> Signer:
        """The key of this use that signs now."""
        self._refresh()
        return choose(self._held[use], use, self._ring(), self._now())

    def _refresh(self) -> None:
        ring = self._ring()
        if ring.version != self._read_at:
            self._read_at = ring.version
            try:
                self._held = _read_all(self._folder)
            except KeyFileError as wrong:
                log.warning("keys not read again: %s", wrong)

    def warnings(self, uris: Sequence[str]) -> list[str]:
        """What somebody should do about the keys that sign now, a line each: units would refuse what they sign, or will soon."""
        ring, at = self._ring(), self._now()
        signers = {use: self.signer(use) for use, held in self._held.items() if held}
        lines = [line for uri in uris for line in find_missing(ring, signers, uri)]
        for use, signer in signers.items():
            ends = [entry.sign_until for entry in _entries(ring, signer, use)]
            if ends and max(ends) - at < WARNING_S and not any(_signs(ring, other, use, max(ends) + 1) for other in self._held[use]):
                lines.append(f"the {use.value} key {signer.kid.hex()} {_ends_in(max(ends) - at, 'may sign')}: `healthgate keys rotate`")
        return list(dict.fromkeys(lines))


def load_signer(folder: Path, use: Use, ring: KeyRing, at: float) -> Signer:
    """The private key of the keys folder that signs for `use` at `at`."""
    return choose(read_signers(folder, use), use, ring, at)


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
    roots_bytes, chain = read_chain(folder)
    counting, _ = Roots(tuple(roots)).offer(chain.rotations)
    trust_list = counting.read(list_bytes, TrustList, 0)
    if isinstance(trust_list, SignedFault):
        raise KeyFileError(f"{folder / TRUST_FILE}: {trust_list.value}: expected a trust list signed by one of the roots")
    head = counting.read(head_bytes, TrustHead, 0)
    if isinstance(head, SignedFault):
        raise KeyFileError(f"{folder / TRUST_HEAD_FILE}: {head.value}: expected a trust head signed by one of the roots")
    if (head.version, head.size, head.sha256) != (trust_list.version, len(list_bytes), hashlib.sha256(list_bytes).digest()):
        raise KeyFileError(f"{folder / TRUST_HEAD_FILE}: version {head.version} is not that of {TRUST_FILE}, {trust_list.version}")
    known = tuple(root.key for root in counting.known())
    return Trusted(KeyRing.of(trust_list), head, list_bytes, head_bytes, trust_list.expires_at, known, roots_bytes)


def read_chain(folder: Path) -> tuple[bytes, RootChain]:
    """The rotations of roots in the keys folder, as bytes to publish (empty for none) and read; KeyFileError where they are none."""
    path = folder / ROOTS_FILE
    try:
        data = path.read_bytes() if path.exists() else b""
        return data, unpack(data, RootChain, MAX_CHAIN) if data else RootChain(rotations=[])
    except OSError as wrong:
        raise KeyFileError(f"{path}: cannot be read: {wrong.strerror}") from None
    except BadPayload as wrong:
        raise KeyFileError(f"{path}: {wrong}: expected what `keys rotate-root` wrote") from None


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
            if None not in look[:2]:
                log.warning("trust list not taken over: %s", wrong)
            self._seen = look
            return False
        self._seen = look
        if fresh.head.version < self.current.head.version:
            log.warning("trust list %d not taken over: %d is in force", fresh.head.version, self.current.head.version)
            return False
        changed = (fresh.head_bytes, fresh.roots_bytes) != (self.current.head_bytes, self.current.roots_bytes)
        self.current = fresh
        return changed

    def warnings(self, at: float) -> list[str]:
        """One line where the trust list in force ends soon or has ended: somebody with the root must sign it anew."""
        left_s = self.current.expires_at - at
        if left_s >= WARNING_S:
            return []
        return [f"trust list {self.current.head.version} {_ends_in(left_s, 'counts')}: `healthgate keys renew`"]

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stat(self._folder / name) for name in (TRUST_FILE, TRUST_HEAD_FILE, ROOTS_FILE))


def find_missing(ring: KeyRing, signers: dict[Use, Signer], uri: str) -> list[str]:
    """What the trust list does not say of the server's own keys, one line each: units would refuse what such a key signs."""
    lines = []
    for use, signer in signers.items():
        entries = _entries(ring, signer, use)
        if not entries:
            lines.append(f"the {use.value} key {signer.kid.hex()} is not in trust list {ring.version} for the use {use.value!r}")
        elif use in (Use.TOKEN, Use.LIST) and not any(uri in entry.uris for entry in entries):
            lines.append(f"the {use.value} key {signer.kid.hex()} may not sign for {uri} by trust list {ring.version}")
    return lines


def _entries(ring: KeyRing, signer: Signer, use: Use) -> list[TrustEntry]:
    return [candidate.entry for candidate in ring.find(signer.kid, use) if candidate.entry.key == signer.public]


def _signs(ring: KeyRing, signer: Signer, use: Use, at: float) -> bool:
    return any(entry.sign_from <= at <= entry.sign_until for entry in _entries(ring, signer, use))


def _ends_in(left_s: float, what: str) -> str:
    days = abs(left_s) / 86_400
    return f"{what} for {days:.0f} days more" if left_s > 0 else f"ended {days:.0f} days ago"


def _read_signer(path: Path) -> SoftwareKey:
    try:
        return SoftwareKey.from_pem(read_private(path))
    except SealError as wrong:
        raise KeyFileError(str(wrong)) from None
    except ValueError as wrong:
        raise KeyFileError(f"{path}: {wrong}") from None


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
