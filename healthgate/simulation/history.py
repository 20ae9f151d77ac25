"""What the issuer ever signed, and what must hold at every unit at every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from edge.cache import Cache
from edge.clock import Clock
from healthcode import cose
from healthcode.messages import MAX_SIGNED, Delta, Head, TrustList
from healthcode.signed import unpack
from healthcode.status import StatusList, read_changes
from healthcode.terms import Status
from healthgate.simulation.schedule import Failure
from server.store import publication
from server.store.publication import HeadRow

Place = tuple[int, int]
"""Epoch and version."""


KEPT_WHOLE = 3000
"""Versions whose entries are compared; of those before them the digest alone."""


@dataclass(frozen=True)
class Signed:
    """One version of a list: its entries as the packed bytes (None: no longer kept), and the end of its chain."""

    packed: bytes | None
    digest: bytes


@dataclass
class History:
    """Every version of one list, by arithmetic of its own."""

    uri: str
    capacity: int
    versions: dict[Place, Signed] = field(default_factory=dict)
    as_of: dict[Place, int] = field(default_factory=dict)
    newest: Place = (-1, 0)
    _whole: deque[Place] = field(default_factory=deque)

    def catch_up(self, tx: Connection, heads: Sequence[HeadRow]) -> None:
        """Takes in what the server has stored since the last time."""
        row = publication.newest_snapshot(tx, self.uri)
        if row is None or row.epoch < self.newest[0]:  # nothing is published yet, or a restored database waits for its new epoch
            return
        if row.epoch != self.newest[0]:
            self.begin(row.epoch, row.made_ms // 1000)
        for body in publication.list_deltas(tx, self.uri, row.epoch, self.newest[1], 2**53, 10_000):
            self.follow(unpack(cose.parse(body).payload, Delta, MAX_SIGNED))
        for head in heads:
            if head.uri == self.uri:
                said = unpack(cose.parse(head.body).payload, Head, MAX_SIGNED)
                self.stated((said.epoch, said.version), said.digest, said.as_of)

    def stated(self, place: Place, digest: bytes, as_of: int) -> None:
        """The issuer has signed that this was its list at `as_of`."""
        if place not in self.versions or self.versions[place].digest != digest:
            raise Failure(f"the issuer signed a head of {self.uri}, {place}, that no chain of its deltas leads to")
        self.as_of[place] = max(self.as_of.get(place, 0), as_of)

    def check(self, unit: str, held: StatusList) -> None:
        """Failure where a unit holds what the issuer never signed, or as of a time for which it was not signed."""
        place = (held.epoch, held.version)
        true = self.versions.get(place)
        what = f"{unit} holds version {place} of {self.uri}"
        if true is None:
            raise Failure(f"{what}, which the issuer never signed; its newest is {self.newest}")
        if true.packed is not None and held.packed[:] != true.packed:
            raise Failure(f"{what} with other entries than the issuer signed")
        if held.digest != true.digest:
            raise Failure(f"{what} with another digest than the issuer signed")
        if held.as_of > self.as_of[place]:
            raise Failure(f"{what} as of {held.as_of}; the issuer said {self.as_of[place]} at most")

    def begin(self, epoch: int, at: int) -> None:
        """The issuer begins an epoch: everybody is green."""
        fresh = StatusList.empty(self.uri, epoch, self.capacity)
        self._add((epoch, 0), Signed(fresh.packed[:], fresh.digest), at)

    def follow(self, delta: Delta) -> None:
        """The issuer has signed the delta to its next version."""
        epoch, version = self.newest
        if (delta.epoch, delta.start, delta.to) != (epoch, version, version + 1):
            raise Failure(f"the issuer's delta of {self.uri} from {delta.start} to {delta.to} does not follow its version {version}")
        changes = read_changes(delta, self.capacity)
        if changes is None:
            raise Failure(f"the issuer's delta of {self.uri} to {delta.to} cannot be read")
        packed = bytearray(self.versions[self.newest].packed or b"")
        for index, value in zip(changes[0], changes[1], strict=True):
            shift = index % 4 * 2
            packed[index // 4] = packed[index // 4] & ~(3 << shift) & 0xFF | value << shift
        self._add((epoch, delta.to), Signed(bytes(packed), delta.digest), delta.as_of)

    def _add(self, place: Place, signed: Signed, as_of: int) -> None:
        self.newest = place
        self.versions[place] = signed
        self.as_of[place] = max(as_of, self.as_of.get(place, 0))
        self._whole.append(place)
        if len(self._whole) > KEPT_WHOLE:
            old = self._whole.popleft()
            self.versions[old] = Signed(None, self.versions[old].digest)


@dataclass
class Memory:
    """What one unit held lately, to see that nothing goes back that may not. `signed`: the trust lists of the roots, by version."""

    unit: str
    signed: Mapping[int, TrustList]
    trust: int = -1
    floor: float = 0.0
    serial: int = 0
    held: dict[str, Place] = field(default_factory=dict)
    lately: dict[str, list[tuple[float, Place]]] = field(default_factory=dict)

    def look(self, at: float, cache: Cache, clock: Clock) -> None:
        """A step has been made at virtual time `at`; Failure where something went back."""
        trust = -1 if cache.trust is None else cache.trust.version
        if trust < self.trust:
            raise Failure(f"{self.unit}: the trust list went back from {self.trust} to {trust}")
        if trust != self.trust and cache.trust != self.signed.get(trust):
            raise Failure(f"{self.unit}: holds a trust list {trust} that no root signed")
        floor, serial = clock.floor or 0.0, clock.serial
        if serial < self.serial:
            raise Failure(f"{self.unit}: the serial of the clock's reset went back from {self.serial} to {serial}")
        if floor < self.floor - 0.001 and serial == self.serial:  # the file has milliseconds
            raise Failure(f"{self.unit}: the clock's floor went back from {self.floor:.3f} to {floor:.3f}")
        self.trust, self.floor, self.serial = trust, floor, serial
        for uri in cache.lists.keys() | self.held.keys():
            self._look_at(uri, at, cache)

    def found_again(self, cache: Cache, since: float) -> None:
        """After a restart: what was held at virtual time `since` must be there still."""
        for uri, lately in self.lately.items():
            safe = max((place for at, place in lately if at <= since), default=None)
            now = _place(cache, uri)
            is_wanted = safe is not None and cache.wanted().get(uri) == safe[0]
            # the crash may have come between the new trust list and the drop
            if safe is not None and is_wanted and (now is None or now < safe):
                raise Failure(f"{self.unit}: version {safe} of {uri} was on disk since {since:.1f}, and after the restart there is {now}")
        self.held.clear()
        self.lately.clear()
        for uri in cache.lists:
            self._look_at(uri, since, cache)

    def _look_at(self, uri: str, at: float, cache: Cache) -> None:
        before, now = self.held.get(uri), _place(cache, uri)
        if now == before:
            return
        if now is None:
            del self.held[uri]
            self.lately.pop(uri, None)
            return
        if before is not None and now < before:
            raise Failure(f"{self.unit}: {uri} went back from {before} to {now}")
        self.held[uri] = now
        self.lately[uri] = [*self.lately.get(uri, [])[-50:], (at, now)]


def _place(cache: Cache, uri: str) -> Place | None:
    mine = cache.lists.get(uri)
    return None if mine is None else (mine.epoch, mine.version)


def packed_of(statuses: dict[int, Status], capacity: int) -> bytes:
    """The list that has these entries and is green elsewhere."""
    packed = bytearray(capacity // 4)
    for index, status in statuses.items():
        packed[index // 4] |= int(status) << index % 4 * 2
    return bytes(packed)
