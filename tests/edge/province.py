"""A small province for tests of the keeps: real keys and signatures, a status list of a few thousand entries, and its history."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from edge.cache import Cache
from healthcode import signed
from healthcode.cose import PublicKey, SoftwareKey
from healthcode.messages import (
    MAX_CHUNK,
    Delta,
    Head,
    SnapshotRef,
    TimeAnswer,
    TrustEntry,
    TrustHead,
    TrustList,
    Watermark,
)
from healthcode.signed import Signed
from healthcode.status import StatusList
from healthcode.terms import Status, Use
from healthcode.trust import KeyRing, entry_for

NOON = 1_583_323_200
URI = "https://hb.example/s/1"
CAPACITY = 4096

ROOT = SoftwareKey.generate()
LIST_KEY = SoftwareKey.generate()
OTHER_LIST_KEY = SoftwareKey.generate()
ACK_KEY = SoftwareKey.generate()
TIME_KEY = SoftwareKey.generate()
STRANGER = SoftwareKey.generate()
ROOTS: tuple[PublicKey, ...] = (ROOT.public_key,)


def list_entry(epoch: int = 0, key: SoftwareKey = LIST_KEY, uri: str = URI, issuer: str = "CN-HB") -> TrustEntry:
    return entry_for(key, issuer=issuer, use=Use.LIST, sign_from=0, uris=[uri], epoch=epoch)


def trust_list(version: int = 1, *entries: TrustEntry, expires_at: int = NOON + 30 * 86_400) -> TrustList:
    common = [
        entry_for(ACK_KEY, issuer="CN-HB", use=Use.ACK, sign_from=0),
        entry_for(TIME_KEY, issuer="CN-HB", use=Use.TIME, sign_from=0),
    ]
    return TrustList(version=version, signed_at=NOON, expires_at=expires_at, entries=[*common, *(entries or (list_entry(),))])


class Province:
    """The server's side of one list: every delta it made, a snapshot of some version, the head, the trust list."""

    def __init__(self, epoch: int = 0, key: SoftwareKey = LIST_KEY, uri: str = URI, trust: TrustList | None = None) -> None:
        self.key = key
        self.list = StatusList.empty(uri, epoch, CAPACITY, as_of=NOON)
        self.deltas: list[bytes] = []
        self.at = NOON
        self.trust = trust or trust_list(1, list_entry(epoch, key, uri))
        self.trust_bytes = signed.write(self.trust, ROOT)
        self.before: dict[int, bytes] = {}
        self.snapshot, self.snapshot_version = b"", 0
        self.compact()

    @property
    def ring(self) -> KeyRing:
        return KeyRing.of(self.trust)

    def change(self, changes: Mapping[int, Status]) -> bytes:
        """The next version, one second later; its signed delta."""
        self.at += 1
        delta = self.list.make_delta(changes, self.at)
        assert self.list.apply(delta) is None
        self.deltas.append(signed.write(delta, self.key))
        return self.deltas[-1]

    def compact(self) -> None:
        """A newer snapshot; the one before is still there, by its version."""
        if self.list.version and self.list.version != self.snapshot_version:
            self.before = {self.snapshot_version: self.snapshot}
        self.snapshot = self.list.snapshot(self.key, self.at)
        self.snapshot_version = self.list.version

    @property
    def head(self) -> bytes:
        ref = SnapshotRef(version=self.snapshot_version, size=len(self.snapshot), sha256=hashlib.sha256(self.snapshot).digest())
        held = self.list
        head = Head(
            uri=held.uri, epoch=held.epoch, version=held.version, digest=held.digest, oldest=0, snapshot=ref, as_of=max(self.at, held.as_of)
        )
        return signed.write(head, self.key)

    @property
    def trust_head(self) -> bytes:
        data = self.trust_bytes
        head = TrustHead(version=self.trust.version, size=len(data), sha256=hashlib.sha256(data).digest(), signed_at=self.at)
        return signed.write(head, ROOT)

    def retrust(self, trust: TrustList) -> None:
        self.trust = trust
        self.trust_bytes = signed.write(trust, ROOT)

    def read_delta(self, raw: bytes) -> Signed[Delta]:
        found = signed.read(raw, Delta, self.ring, NOON)
        assert isinstance(found, Signed)
        return found

    def read_head(self, raw: bytes) -> Signed[Head]:
        found = signed.read(raw, Head, self.ring, NOON)
        assert isinstance(found, Signed)
        return found

    def fill(self, cache: Cache) -> None:
        """Gives a cache the trust list and the snapshot."""
        cache.accept_trust(self.trust_bytes, NOON)
        assert cache.accept_snapshot(self.list.uri, self.snapshot, NOON) is None


def same(mine: StatusList, theirs: StatusList) -> bool:
    """Whether two lists are one and the same version with the same entries."""
    places = [(held.epoch, held.version, held.digest, held.packed[:]) for held in (mine, theirs)]
    return places[0] == places[1]


def watermark(message: Watermark, key: SoftwareKey = ACK_KEY) -> bytes:
    return signed.write(message, key)


def time_answer(message: TimeAnswer, key: SoftwareKey = TIME_KEY) -> bytes:
    return signed.write(message, key)


def chunk(data: bytes, offset: int) -> bytes:
    return data[offset : offset + MAX_CHUNK]
