"""What the unit knows of the world: the trust list and the status lists, in memory for the next scan and on disk for the next start.

Everything that comes from the disk is verified as if it came from the network. A version never goes back: not the trust list's, not a
list's within its epoch. What the disk does not take is used all the same, because a gate that knows a changed colour must act on it; it is
counted in `disk_faults`, and every `flush` tries again. `disk_error` says what is not on disk.

One thread changes the cache (the link's). Others may read `lists`, `keys` and the entries of a list at any time.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from edge.files import CALLS, Calls, write_atomically
from edge.listfolder import PART, Base, ListFolder
from edge.partfile import PartFile
from edge.syncwords import Part
from healthcode import signed
from healthcode.cose import PublicKey
from healthcode.messages import MAX_CHAIN, BadPayload, Delta, Head, Message, RootChain, SnapshotRef, TrustList
from healthcode.roots import Root, Roots, RotationFault, proofs
from healthcode.signed import Signed, SignedFault
from healthcode.status import DeltaFault, StatusList, read_snapshot
from healthcode.terms import Use
from healthcode.trust import GRACE_S, KeyRing

T = TypeVar("T")
M = TypeVar("M", bound=Message)
log = logging.getLogger(__name__)

ROOTS_FILE = "roots"
HEAD_EVERY_S = 300
"""How much newer a head must be than the one on disk to be written: a card lives longer, and as_of after a start is at most this older."""


class CacheFault(StrEnum):
    """Why something verified is not taken."""

    OLDER = "OLDER"
    OTHER_CONTENT = "OTHER_CONTENT"
    NO_TRUST = "NO_TRUST"
    NOT_WANTED = "NOT_WANTED"
    NOT_HELD = "NOT_HELD"
    DIFFERENT = "DIFFERENT"
    NO_ROOTS = "NO_ROOTS"
    FUTURE = "FUTURE"


@dataclass(frozen=True)
class TrustTaken:
    """A new trust list is in force; `dropped` are the lists that it no longer vouches for."""

    version: int
    dropped: tuple[str, ...]


class Cache:
    """The trust list and the status lists of this unit."""

    def __init__(
        self,
        folder: Path,
        roots: Sequence[PublicKey],
        issuers: Sequence[str] = (),
        *,
        most_lists: int = 8,
        calls: Calls = CALLS,
    ) -> None:
        """`issuers`: whose lists to hold, all of them; none named: ours, and those of others up to `most_lists` (16 MiB each) in all."""
        self.disk_faults = 0
        self.disk_error = ""
        self._folder = folder
        self._calls = calls
        self._roots = Roots(tuple(roots))
        self._issuers = tuple(issuers)
        self._most_lists = most_lists
        self._trust: TrustList | None = None
        self._trust_bytes = b""
        self._ring: KeyRing | None = None
        self._lists: dict[str, StatusList] = {}
        self._folders: dict[str, ListFolder] = {}
        self._heads: dict[str, int] = {}
        self._parts: dict[str, PartFile] = {}
        self._unwritten: dict[Path, bytes] = {}

    @property
    def lists(self) -> Mapping[str, StatusList]:
        """The lists held, by uri."""
        return MappingProxyType(self._lists)

    @property
    def roots(self) -> Roots:
        """The root keys of the enrolment, and those that followed them."""
        return self._roots

    @property
    def trust(self) -> TrustList | None:
        """The trust list held, expired or not."""
        return self._trust

    @property
    def ring(self) -> KeyRing | None:
        """The keys of the trust list held, whatever its age: for time answers, which mend a wrong clock."""
        return self._ring

    def keys(self, at: float) -> KeyRing | None:
        """The keys that count at `at` (wall seconds); None without a trust list, or over 30 days after it expired."""
        if self._trust is None or at > self._trust.expires_at + GRACE_S:
            return None
        return self._ring

    def wanted(self) -> dict[str, int]:
        """The lists to hold and the epoch of each, as the trust list and the configuration say."""
        if self._ring is None:
            return {}
        entries = {
            uri: entry for uri, entry in sorted(self._ring.list_entries().items()) if entry.issuer in self._issuers or not self._issuers
        }
        ours = frozenset(self._issuers) or {entry.issuer for entry in self._ring.entries if entry.use is Use.ACK}
        first = [uri for uri, entry in entries.items() if entry.issuer in ours]
        others = [uri for uri, entry in entries.items() if entry.issuer not in ours]
        return {uri: entries[uri].epoch for uri in first + others[: max(0, self._most_lists - len(first))]}

    def left_out(self) -> list[str]:
        """The lists that are recognised and not held, because they would be too many. Whoever names the issuers leaves out nothing."""
        if self._ring is None or self._issuers:
            return []
        return sorted(self._ring.list_entries().keys() - self.wanted().keys())

    def log_length(self, uri: str) -> tuple[int, int]:
        """Deltas behind the snapshot on disk, and bytes of them: many make a start slow, and a newer snapshot worth fetching."""
        return (self._folders[uri].records, self._folders[uri].log_bytes) if uri in self._folders else (0, 0)

    def load(self, at: float) -> None:
        """Takes in from the disk what verifies at `at` and is not held yet. Files that do not verify stay: the time may be wrong."""
        if self._trust is None:
            self._roots = self._got(partial(load_roots, self._folder, self._roots), self._roots)
            data = self._got((self._folder / "trust").read_bytes, b"")
            found = self.read_rooted(data, TrustList)
            if isinstance(found, TrustList):
                self._set_trust(found, data)
        keys = self.keys(at)
        if keys is None:
            return
        for uri, epoch in self.wanted().items():
            if uri not in self._lists:
                self._load_list(uri, epoch, keys, at)

    def read_rooted(self, data: bytes, kind: type[M]) -> M | SignedFault:
        """The message in `data`, signed by a root that counts at its version, or at that of the trust list held."""
        return self._roots.read(data, kind, 0 if self._trust is None else self._trust.version)

    def accept_roots(self, chain: RootChain) -> tuple[Root, ...] | SignedFault | RotationFault | CacheFault:
        """Takes what follows from a chain of rotations: the roots that are new or whose end is; where none are, why one did not count.

        NO_ROOTS where the trust list held would no longer be a root's: better the roots that are held than no trust list.
        """
        before = self._roots
        after, faults = before.offer(chain.rotations)
        if after == before:
            return next(iter(faults.values()), ())
        if self._trust is not None and isinstance(after.read(self._trust_bytes, TrustList, self._trust.version), SignedFault):
            return CacheFault.NO_ROOTS
        self._roots = after
        self._write(self._folder / ROOTS_FILE, signed.pack(RootChain(rotations=proofs(after.links))))
        return tuple(root for root in after.known() if root not in before.known())

    def accept_trust(self, data: bytes, at: float) -> TrustTaken | SignedFault | CacheFault:
        """Takes a trust list signed by a root, if it is newer; drops the lists that it no longer vouches for."""
        found = self.read_rooted(data, TrustList)
        if isinstance(found, SignedFault):
            return found
        if self._trust is not None and found.version <= self._trust.version:
            same = found.version < self._trust.version or data == self._trust_bytes
            return CacheFault.OLDER if same else CacheFault.OTHER_CONTENT
        before = self._ring
        self._write(self._folder / "trust", data)
        self._set_trust(found, data)
        return TrustTaken(found.version, self._recheck(before, at))

    def accept_delta(self, delta: Signed[Delta], raw: bytes) -> DeltaFault | CacheFault | None:
        """Makes the changes of a verified delta, in memory and in the log; None where it is done."""
        held = self._lists.get(delta.message.uri)
        if held is None:
            return CacheFault.NOT_HELD
        fault = held.apply(delta.message)
        if fault is None:
            self._done(partial(self._folders[held.uri].append, raw))
        return fault

    def accept_snapshot(self, uri: str, data: bytes, at: float, latest: float | None = None) -> SignedFault | CacheFault | None:
        """Takes a snapshot in place of what is held of `uri`, and the deltas in the log that follow it; None where it is done.

        One that was made after `latest` (wall seconds; None: no matter) is of the FUTURE.
        """
        keys, epoch = self.keys(at), self.wanted().get(uri)
        if keys is None or epoch is None:
            return CacheFault.NO_TRUST if keys is None else CacheFault.NOT_WANTED
        fresh = read_snapshot(data, uri, keys, at)
        if isinstance(fresh, SignedFault):
            return fresh
        if fresh.epoch != epoch:
            return SignedFault.SCOPE
        if latest is not None and fresh.as_of > latest:
            return CacheFault.FUTURE
        base, held, later = Base(fresh.epoch, fresh.version), self._lists.get(uri), list[bytes]()
        folder = self._folders.get(uri) or ListFolder(self._path(uri), self._calls)
        if held is not None:
            if folder.base is not None:
                later, _ = follow(fresh, self._got(folder.held, []), keys, at)
            if fresh.version < held.version:
                return CacheFault.OLDER
        self._done(partial(folder.install, base, data, later))
        self._folders[uri] = folder
        self._lists = {**self._lists, uri: fresh}
        self.forget_part(uri)
        return None

    def part(self, uri: str) -> Part | None:
        """What an earlier run, or this one, has kept of a snapshot of `uri` that is not whole."""
        return self._got(self._part(uri).read, None)

    def keep_part(self, uri: str, epoch: int, ref: SnapshotRef, offset: int, piece: bytes) -> None:
        """Keeps a piece of a snapshot on disk, unverified, for the next start to go on from."""
        self._done(partial(self._part(uri).add, epoch, ref, offset, piece))

    def forget_part(self, uri: str) -> None:
        """What was kept of a snapshot is of no use any more."""
        self._done(self._part(uri).remove)
        del self._parts[uri]

    def adopt(self, head: Signed[Head], raw: bytes) -> CacheFault | None:
        """Takes over as_of from a verified head that states exactly what is held; None where it does."""
        held = self._lists.get(head.message.uri)
        if held is None:
            return CacheFault.NOT_HELD
        if not held.adopt(head.message):
            return CacheFault.DIFFERENT
        is_due = head.message.as_of - self._heads.get(held.uri, 0) >= HEAD_EVERY_S
        if is_due and self._done(partial(self._folders[held.uri].store_head, raw)):
            self._heads[held.uri] = head.message.as_of
        return None

    def drop(self, uri: str) -> None:
        """Forgets a list, in memory and on disk."""
        self.forget_part(uri)
        self._lists = {each: held for each, held in self._lists.items() if each != uri}
        self._heads.pop(uri, None)
        folder = self._folders.pop(uri, None) or ListFolder(self._path(uri), self._calls)
        self._done(folder.remove)

    def flush(self) -> None:
        """Waits until the card has every delta, and whatever it had not taken before."""
        self.disk_error = ""
        for path, data in list(self._unwritten.items()):
            self._write(path, data)
        for folder in self._folders.values():
            self._done(folder.flush)
        for part in self._parts.values():
            self._done(part.flush)

    def close(self) -> None:
        """Flushes and closes the files."""
        self.flush()
        for folder in self._folders.values():
            self._done(folder.close)
        for part in self._parts.values():
            self._done(part.close)

    def _set_trust(self, trust: TrustList, data: bytes) -> None:
        self._trust, self._trust_bytes, self._ring = trust, data, KeyRing.of(trust)
        if self.left_out():
            log.warning("link.most_lists = %d: not held: %s", self._most_lists, ", ".join(self.left_out()))

    def _recheck(self, before: KeyRing | None, at: float) -> tuple[str, ...]:
        wanted, keys = self.wanted(), self.keys(at)
        dropped: list[str] = []
        for uri, held in list(self._lists.items()):
            if held.epoch != wanted.get(uri):
                self.drop(uri)
                dropped.append(uri)
            elif before is None or keys is None or _signers(before, uri) - _signers(keys, uri):
                self._lists = {each: other for each, other in self._lists.items() if each != uri}
                self._folders.pop(uri).close()
                if keys is not None:
                    self._load_list(uri, held.epoch, keys, at)
                if uri not in self._lists or self._lists[uri].version < held.version:
                    self.drop(uri)
                    dropped.append(uri)
        self._done(partial(self._remove_others, wanted))
        return tuple(dropped)

    def _load_list(self, uri: str, epoch: int, keys: KeyRing, at: float) -> None:
        folder = ListFolder(self._path(uri), self._calls)
        for base in self._got(folder.bases, list[Base]()):
            held = read_snapshot(self._got(partial(folder.snapshot, base), b""), uri, keys, at)
            if isinstance(held, SignedFault) or held.epoch != epoch:
                continue
            kept, _ = follow(held, self._got(partial(folder.deltas, base), []), keys, at)
            head = signed.read(self._got(folder.head, b""), Head, keys, at)
            if isinstance(head, Signed) and held.adopt(head.message):
                self._heads[uri] = held.as_of
            self._folders[uri] = folder
            self._lists = {**self._lists, uri: held}
            self._done(partial(folder.open, base, kept))
            return

    def _remove_others(self, wanted: Mapping[str, int]) -> None:
        known = {self._path(uri) for uri in wanted}
        for uri in [uri for uri in self._parts if uri not in wanted]:
            self._parts.pop(uri).close()
        for folder in list(self._folder.iterdir()):
            if folder.is_dir() and folder not in known:
                ListFolder(folder, self._calls).remove()

    def _part(self, uri: str) -> PartFile:
        return self._parts.setdefault(uri, PartFile(self._path(uri) / PART, self._calls))

    def _path(self, uri: str) -> Path:
        return self._folder / hashlib.sha256(uri.encode()).hexdigest()[:32]

    def _done(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except OSError as wrong:
            self.disk_faults += 1
            self.disk_error = str(wrong)
            return False
        return True

    def _write(self, path: Path, data: bytes) -> None:
        self._unwritten[path] = data
        if self._done(partial(write_atomically, path, data, self._calls)):
            del self._unwritten[path]

    def _got(self, read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except FileNotFoundError:
            return default
        except OSError as wrong:
            self.disk_faults += 1
            self.disk_error = str(wrong)
            return default


def load_roots(folder: Path, given: Roots) -> Roots:
    """`given` and what follows them by the chain that a unit keeps in `folder`, its cache; OSError where the disk does not give it."""
    path = folder / ROOTS_FILE
    if not path.exists():
        return given
    try:
        return given.offer(signed.unpack(path.read_bytes(), RootChain, MAX_CHAIN).rotations)[0]
    except BadPayload as wrong:
        log.error("%s: %s: the roots of the enrolment alone count", path, wrong)
        return given


def held_roots(folder: Path, given: Sequence[PublicKey]) -> tuple[Roots, int]:
    """The roots that a unit keeps in `folder`, its cache, and the version of the trust list there (0: none that verifies).

    For commands beside a unit that may be running; OSError where the disk does not give it.
    """
    roots, trust = _held(folder, given)
    return roots, trust.version if trust is not None else 0


def held_keys(folder: Path, given: Sequence[PublicKey]) -> KeyRing | None:
    """The keys of the trust list in `folder`, a unit's cache; None where none is there that verifies. OSError as above."""
    trust = _held(folder, given)[1]
    return None if trust is None else KeyRing.of(trust)


def _held(folder: Path, given: Sequence[PublicKey]) -> tuple[Roots, TrustList | None]:
    roots, path = load_roots(folder, Roots(tuple(given))), folder / "trust"
    found = roots.read(path.read_bytes(), TrustList, 0) if path.exists() else SignedFault.SIZE
    return roots, found if isinstance(found, TrustList) else None


def follow(held: StatusList, deltas: Sequence[bytes], keys: KeyRing, at: float) -> tuple[list[bytes], SignedFault | DeltaFault | None]:
    """Applies to `held` what verifies of `deltas`, leaving out what it has already: those applied, and why the next one was not."""
    applied: list[bytes] = []
    for raw in deltas:
        delta = signed.read(raw, Delta, keys, at)
        fault = delta if isinstance(delta, SignedFault) else held.apply(delta.message)
        if fault is None:
            applied.append(raw)
        elif fault is not DeltaFault.OLD:
            return applied, fault
    return applied, None


def _signers(keys: KeyRing, uri: str) -> set[tuple[bytes, int, int]]:
    """The keys that may sign a list, with what bounds them; a change of the rest does not touch what is held."""
    lists = (entry for entry in keys.entries if entry.use is Use.LIST and uri in entry.uris)
    return {(entry.key, entry.sign_until, entry.verify_until) for entry in lists}
