"""What the issuer ever signed, and what must hold at every unit at every step."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.cache import Cache
from healthcode import cose
from healthcode.messages import MAX_SIGNED, Delta, Head
from healthcode.signed import unpack
from healthcode.status import StatusList, read_changes
from healthcode.terms import Status
from healthgate.simulation.schedule import Failure
from server.store import Store, publication

Place = tuple[int, int]
"""Epoch and version."""


@dataclass(frozen=True)
class Signed:
    """One version of the list: its entries as the packed bytes, and the end of its chain."""

    packed: bytes
    digest: bytes


@dataclass
class History:
    """Every version of one list, gathered from the deltas that the server has stored, by arithmetic of its own."""

    store: Store
    uri: str
    capacity: int
    versions: dict[Place, Signed] = field(default_factory=dict)
    as_of: dict[Place, int] = field(default_factory=dict)
    newest: Place = (-1, 0)

    def catch_up(self) -> None:
        """Takes in what the server has stored since the last time."""
        with self.store.read() as tx:
            row = publication.newest_snapshot(tx, self.uri)
            if row is None or row.epoch < self.newest[0]:  # nothing is published yet, or a restored database waits for its new epoch
                return
            if row.epoch != self.newest[0]:
                self._begin(row.epoch, row.made_ms // 1000)
            for body in publication.list_deltas(tx, self.uri, row.epoch, self.newest[1], 2**53, 10_000):
                self._follow(unpack(cose.parse(body).payload, Delta, MAX_SIGNED))
            for head in publication.list_heads(tx):
                if head.uri == self.uri:
                    self.said(unpack(cose.parse(head.body).payload, Head, MAX_SIGNED))

    def said(self, head: Head) -> None:
        """The issuer has signed this head."""
        place = (head.epoch, head.version)
        if place not in self.versions or self.versions[place].digest != head.digest:
            raise Failure(f"the issuer signed a head of {place} that no chain of its deltas leads to")
        self.as_of[place] = max(self.as_of.get(place, 0), head.as_of)

    def check(self, unit: str, held: StatusList) -> None:
        """Failure where a unit holds what the issuer never signed, or as of a time for which it was not signed."""
        place = (held.epoch, held.version)
        true = self.versions.get(place)
        if true is None:
            raise Failure(f"{unit} holds version {place}, which the issuer never signed; its newest is {self.newest}")
        if held.packed[:] != true.packed:
            raise Failure(f"{unit} holds version {place} with other entries than the issuer signed")
        if held.digest != true.digest:
            raise Failure(f"{unit} holds version {place} with another digest than the issuer signed")
        if held.as_of > self.as_of[place]:
            raise Failure(f"{unit} holds version {place} as of {held.as_of}; the issuer said {self.as_of[place]} at most")

    def _begin(self, epoch: int, at: int) -> None:
        fresh = StatusList.empty(self.uri, epoch, self.capacity)
        self.newest = (epoch, 0)
        self.versions[self.newest] = Signed(fresh.packed[:], fresh.digest)
        self.as_of[self.newest] = max(at, self.as_of.get(self.newest, 0))

    def _follow(self, delta: Delta) -> None:
        epoch, version = self.newest
        if (delta.epoch, delta.start, delta.to) != (epoch, version, version + 1):
            raise Failure(f"the issuer's delta from {delta.start} to {delta.to} does not follow its version {version}")
        changes = read_changes(delta, self.capacity)
        if changes is None:
            raise Failure(f"the issuer's delta to {delta.to} cannot be read")
        packed = bytearray(self.versions[self.newest].packed)
        for index, value in zip(changes[0], changes[1], strict=True):
            shift = index % 4 * 2
            packed[index // 4] = packed[index // 4] & ~(3 << shift) & 0xFF | value << shift
        self.newest = (epoch, delta.to)
        self.versions[self.newest] = Signed(bytes(packed), delta.digest)
        self.as_of[self.newest] = max(delta.as_of, self.as_of.get(self.newest, 0))


@dataclass
class Memory:
    """What one unit held lately, to see that nothing goes back that may not."""

    unit: str
    trust: int = -1
    floor: float = 0.0
    held: tuple[int, int] | None = None
    lately: list[tuple[float, int, int]] = field(default_factory=list)

    def look(self, at: float, cache: Cache, uri: str, floor: float) -> None:
        """A step has been made at virtual time `at`; Failure where something went back."""
        trust = -1 if cache.trust is None else cache.trust.version
        if trust < self.trust:
            raise Failure(f"{self.unit}: the trust list went back from {self.trust} to {trust}")
        if floor < self.floor - 0.001:  # the file has milliseconds
            raise Failure(f"{self.unit}: the clock's floor went back from {self.floor:.3f} to {floor:.3f}")
        self.trust, self.floor = trust, floor
        mine = cache.lists.get(uri)
        now = None if mine is None else (mine.epoch, mine.version)
        if now is not None and self.held is not None and now < self.held:
            raise Failure(f"{self.unit}: the list went back from {self.held} to {now}")
        if now != self.held:
            self.held = now
            self.lately = [] if now is None else [*self.lately[-50:], (at, *now)]

    def found_again(self, cache: Cache, uri: str, since: float) -> None:
        """After a restart: what was held at virtual time `since` must be there still."""
        safe = max(((epoch, version) for at, epoch, version in self.lately if at <= since), default=None)
        mine = cache.lists.get(uri)
        now = None if mine is None else (mine.epoch, mine.version)
        is_wanted = (
            safe is not None and cache.wanted().get(uri) == safe[0]
        )  # the crash may have come between the new trust list and the drop
        if safe is not None and is_wanted and (now is None or now < safe):
            raise Failure(f"{self.unit}: version {safe} was on disk since {since:.1f}, and after the restart there is {now}")
        self.held, self.lately = now, [] if now is None else [(since, *now)]


def packed_of(statuses: dict[int, Status], capacity: int) -> bytes:
    """The list that has these entries and is green elsewhere."""
    packed = bytearray(capacity // 4)
    for index, status in statuses.items():
        packed[index // 4] |= int(status) << index % 4 * 2
    return bytes(packed)
