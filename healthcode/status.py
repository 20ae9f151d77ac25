"""The two-bit status list of the IETF Token Status List, held in memory, and our signed deltas that keep it in step.

The standard knows whole lists only. A delta is ours: it leads from one version to the next, and a SHA-256 chain over the changes ends in
the digest that the head states; signatures stop attackers, the chain catches our own faults and bad cards.

Plain bytes and loops, on purpose: numpy's libraries would take more memory than the list (docs/decisions/0132).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

import cbor2

from healthcode import cbor, cose, signed
from healthcode.cose import Signer
from healthcode.messages import MAX_CHANGES, MAX_SNAPSHOT, Delta, Head
from healthcode.signed import SignedFault
from healthcode.status_claim import inflate, inflate_into
from healthcode.terms import Status, Use
from healthcode.trust import KeyRing

CAPACITY = 2**26
"""Entries of a list: more than any province has residents; a full list opens the next."""
BITS = 2
SNAPSHOT_TYP = "application/statuslist+cwt"
"""The standard's media type (draft-ietf-oauth-status-list, section Status List Token in CWT format)."""
SUB, IAT = 2, 6
TTL, STATUS_LIST = 65534, 65533
"""The standard's claim keys, requested from IANA."""
CHAIN = -65539
"""Private claim of our snapshots: [epoch, version, digest, capacity]."""
TTL_S = 30
_MAX_VARINT = 4
_MAX_GAPS = MAX_CHANGES * _MAX_VARINT

_STATUSES = tuple(Status(value) for value in range(4))
_FOUR = tuple(bytes(byte >> shift & 3 for shift in (0, 2, 4, 6)) for byte in range(256))
"""The four values in each byte."""
_OTHERS = (0b11111100, 0b11110011, 0b11001111, 0b00111111)
"""A byte's bits that are not of the first, second, third or fourth entry in it."""


class DeltaFault(StrEnum):
    """Why a delta is not applied to the list held, in the order in which it is checked."""

    URI = "URI"
    EPOCH = "EPOCH"
    OLD = "OLD"
    GAP = "GAP"
    CONTENT = "CONTENT"
    DIGEST = "DIGEST"


def deflate9(data: bytes) -> bytes:
    """The zlib stream of Python's own zlib at its hardest."""
    return zlib.compress(data, 9)


def genesis(uri: str, epoch: int) -> bytes:
    """The digest that the chain of a list begins with."""
    return hashlib.sha256(f"{uri}\n{epoch}".encode()).digest()


def chain(digest: bytes, to: int, gaps: bytes, values: bytes) -> bytes:
    """The digest after the changes that lead to version `to`; over the uncompressed gaps, so that compression does not matter."""
    return hashlib.sha256(digest + to.to_bytes(8, "big") + len(gaps).to_bytes(4, "big") + gaps + values).digest()


class StatusList:
    """One list in memory, `capacity` entries of two bits, least significant first: 16 MiB at full capacity.

    `version` counts deltas, `digest` ends their chain, `as_of` is when the issuer last said that this is the list (seconds since 1970).
    """

    def __init__(self, uri: str, epoch: int, packed: mmap, *, version: int, digest: bytes, as_of: int) -> None:
        self.uri = uri
        self.epoch = epoch
        self.version = version
        self.digest = digest
        self.as_of = as_of
        self.packed = packed

    @classmethod
    def empty(cls, uri: str, epoch: int, capacity: int = CAPACITY, as_of: int = 0) -> StatusList:
        """A list of green entries at version 0; `capacity` is a multiple of four, at most CAPACITY."""
        if capacity % 4 or not 0 < capacity <= CAPACITY:
            raise ValueError(f"capacity {capacity}: expected a multiple of 4, at most {CAPACITY}")
        return cls(uri, epoch, _memory(capacity // 4), version=0, digest=genesis(uri, epoch), as_of=as_of)

    @property
    def capacity(self) -> int:
        """How many entries the list has."""
        return len(self.packed) * 4

    def get(self, index: int) -> Status:
        """The entry at `index`; IndexError outside the list."""
        if not 0 <= index < self.capacity:
            raise IndexError(f"index {index}: expected 0 to {self.capacity - 1}")
        return _STATUSES[self.packed[index >> 2] >> (index & 3) * 2 & 3]

    def make_delta(self, changes: Mapping[int, Status], as_of: int) -> Delta:
        """The delta that would make `changes` (index to new entry) as the next version. It is not applied."""
        if not 0 < len(changes) <= MAX_CHANGES:
            raise ValueError(f"{len(changes)} changes: expected 1 to {MAX_CHANGES}")
        order = sorted(changes)
        if order[0] < 0 or order[-1] >= self.capacity:
            raise IndexError(f"index {order[0] if order[0] < 0 else order[-1]}: expected 0 to {self.capacity - 1}")
        gaps = write_gaps(order)
        values = write_values(bytes(changes[index] for index in order))
        return Delta(
            uri=self.uri,
            epoch=self.epoch,
            start=self.version,
            to=self.version + 1,
            as_of=as_of,
            gaps=deflate9(gaps),
            values=values,
            digest=chain(self.digest, self.version + 1, gaps, values),
        )

    def apply(self, delta: Delta) -> DeltaFault | None:
        """Makes the changes of `delta`, or leaves the list as it is and says why not."""
        place = self.check_place(delta)
        if place is not None:
            return place
        read = read_changes(delta, self.capacity)
        if read is None:
            return DeltaFault.CONTENT
        indices, values, gaps = read
        if chain(self.digest, delta.to, gaps, delta.values) != delta.digest:
            return DeltaFault.DIGEST
        self._set(indices, values)
        self.version, self.digest = delta.to, delta.digest
        self.as_of = max(self.as_of, delta.as_of)
        return None

    def check_place(self, delta: Delta) -> DeltaFault | None:
        """Whether `delta` starts at the version held: URI, EPOCH, OLD (already in it) or GAP (something is missing before it)."""
        if delta.uri != self.uri:
            return DeltaFault.URI
        if delta.epoch != self.epoch:
            return DeltaFault.EPOCH
        if delta.to <= self.version:
            return DeltaFault.OLD
        if delta.start != self.version or delta.to != delta.start + 1:
            return DeltaFault.GAP
        return None

    def adopt(self, head: Head) -> bool:
        """Takes over `as_of` from a verified head that states exactly what is held; says whether it does."""
        same = (head.uri, head.epoch, head.version, head.digest) == (self.uri, self.epoch, self.version, self.digest)
        if same:
            self.as_of = max(self.as_of, head.as_of)
        return same

    def snapshot(self, signer: Signer, at: int, deflate: Callable[[bytes], bytes] = deflate9) -> bytes:
        """The whole list as the standard's signed CWT, made at `at`, with our epoch, version and digest as a private claim.

        `deflate` makes a zlib stream; one that tries harder than zlib itself saves a tenth of every unit's download.
        """
        payload = cbor2.dumps(
            {
                SUB: self.uri,
                IAT: at,
                TTL: TTL_S,
                STATUS_LIST: {"bits": BITS, "lst": deflate(self.packed[:])},
                CHAIN: [self.epoch, self.version, self.digest, self.capacity],
            },
            canonical=True,
        )
        return cose.sign1(payload, SNAPSHOT_TYP, signer)

    def copy(self) -> StatusList:
        """The same list in memory of its own."""
        packed = _memory(len(self.packed))
        with memoryview(self.packed) as entries:
            packed[:] = entries
        return StatusList(self.uri, self.epoch, packed, version=self.version, digest=self.digest, as_of=self.as_of)

    def _set(self, indices: Sequence[int], values: bytes) -> None:
        packed = self.packed
        for index, value in zip(indices, values, strict=True):
            place, slot = index >> 2, index & 3
            packed[place] = packed[place] & _OTHERS[slot] | value << 2 * slot


def _memory(size: int) -> mmap:
    """`size` bytes of zeros straight from the kernel.

    malloc keeps what is freed of such pieces: after a few snapshots it would hold one list more than there is (decision 0132).
    """
    return mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS)


def read_snapshot(data: bytes, uri: str, keys: KeyRing, at: float) -> StatusList | SignedFault:
    """The list in a signed snapshot, if it is the list `uri` by a key that may sign it at its current epoch. Inflating is bounded."""
    if len(data) > MAX_SNAPSHOT:
        return SignedFault.SIZE
    try:
        sign1 = cose.parse(data, strict=False)
    except cbor.NotCbor:
        return SignedFault.CBOR
    except cose.NotSign1:
        return SignedFault.COSE
    if sign1.typ != SNAPSHOT_TYP:
        return SignedFault.TYPE
    if sign1.algorithm is None:
        return SignedFault.ALGORITHM
    signers = signed.verify(sign1, keys.find(sign1.kid, Use.LIST), low_s=False)
    if isinstance(signers, SignedFault):
        return signers
    held = _read_list(sign1.payload, uri)
    if held is None:
        return SignedFault.CONTENT
    for candidate in signers:
        entry = candidate.entry
        in_time = entry.sign_from <= held.as_of <= entry.sign_until and at <= entry.verify_until
        if uri in entry.uris and held.epoch == entry.epoch and in_time:
            return held
    return SignedFault.SCOPE


def _read_list(payload: bytes, uri: str) -> StatusList | None:
    try:
        claims = cbor.load(payload, deterministic=False)
    except cbor.NotCbor:
        return None
    match claims:
        case {
            2: str(sub),
            6: int(at),
            65533: {"bits": 2, "lst": bytes(compressed)},
            -65539: [int(epoch), int(version), bytes(digest), int(capacity)],
        } if sub == uri and len(digest) == 32 and 0 < capacity <= CAPACITY and capacity % 4 == 0 and min(epoch, version, at) >= 0:
            packed = _memory(capacity // 4)
            is_whole = inflate_into(packed, compressed)
            return StatusList(uri, epoch, packed, version=version, digest=digest, as_of=at) if is_whole else None
    return None


def write_gaps(indices: Sequence[int]) -> bytes:
    """Strictly rising indices as gaps (index minus the one before minus 1, the first from -1), each a little-endian base-128 varint."""
    out, before = bytearray(), -1
    for index in indices:
        gap, before = index - before - 1, index
        while gap > 0x7F:
            out.append(gap & 0x7F | 0x80)
            gap >>= 7
        out.append(gap)
    return bytes(out)


def read_gaps(data: bytes, capacity: int) -> list[int] | None:
    """The indices in gaps that `write_gaps` made; None where they are cut short, not in shortest form, or leave the list."""
    indices: list[int] = []
    index, gap, shift = -1, 0, 0
    for byte in data:
        if byte > 0x7F:
            gap |= (byte & 0x7F) << shift
            shift += 7
            if shift == _MAX_VARINT * 7:
                return None
        elif byte or not shift:
            index += (byte << shift | gap) + 1
            indices.append(index)
            gap = shift = 0
        else:
            return None
    return indices if 0 < len(indices) <= MAX_CHANGES and not shift and index < capacity else None


def write_values(values: bytes) -> bytes:
    """Two-bit values, one a byte, as four a byte, least significant first, the last byte filled up with zeros."""
    padded = values + bytes(-len(values) % 4)
    return bytes(a | b << 2 | c << 4 | d << 6 for a, b, c, d in zip(*(padded[place::4] for place in range(4)), strict=True))


def read_values(data: bytes, count: int) -> bytes | None:
    """The `count` values in `data`, one a byte; None where there are not just so many or the filling is not zero."""
    if len(data) != -(-count // 4):
        return None
    values = b"".join([_FOUR[byte] for byte in data])
    return None if any(values[count:]) else values[:count]


def read_changes(delta: Delta, capacity: int) -> tuple[list[int], bytes, bytes] | None:
    """Indices, values and the uncompressed gaps of a delta; None where they are not what `make_delta` writes."""
    gaps = inflate(delta.gaps, _MAX_GAPS)
    indices = read_gaps(gaps, capacity) if gaps else None
    if gaps is None or indices is None:
        return None
    values = read_values(delta.values, len(indices))
    return None if values is None else (indices, values, gaps)
