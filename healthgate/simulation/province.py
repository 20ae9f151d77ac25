"""Another issuer, recognised here, whose list our server hands on: it hands over its head and snapshot now and then, as files."""

from __future__ import annotations

import hashlib
from random import Random

from healthcode.cose import SoftwareKey
from healthcode.messages import TrustEntry
from healthcode.signed import write
from healthcode.status import StatusList
from healthcode.terms import Status, Use
from healthcode.trust import KeyRing, entry_for
from healthgate.simulation.history import History
from healthgate.simulation.keyholder import NOON, drawn_key
from server.lists import import_foreign, make_head, smallest
from server.store import Store
from server.store.publication import SnapshotRow

ISSUER, URI = "CN-HN", "https://hn.example/s/1"


class Province:
    """The other issuer. Its clock is right."""

    def __init__(self, random: Random, capacity: int) -> None:
        self.history = History(URI, capacity)
        self._random = random
        self._key: SoftwareKey = drawn_key(random)
        self._list = StatusList.empty(URI, 0, capacity, as_of=NOON)
        self._deltas: list[bytes] = []
        self._snapshot, self._row = b"", SnapshotRow(0, 0, b"", 0, 0)
        self.history.begin(0, NOON)
        self._compact(NOON)

    def entries(self) -> list[TrustEntry]:
        """What it asks to be recognised by."""
        return [entry_for(self._key, issuer=ISSUER, use=Use.LIST, sign_from=NOON - 3600, uris=[URI])]

    def rule(self, at: float) -> None:
        """Some entries change."""
        wanted = {self._random.randrange(self._list.capacity): self._random.choice([Status.GREEN, Status.RED, Status.YELLOW]) for _ in "12"}
        changes = {index: status for index, status in wanted.items() if self._list.get(index) is not status}
        if changes:
            delta = self._list.make_delta(changes, max(int(at), self._list.as_of))
            self._list.apply(delta)
            self._deltas.append(write(delta, self._key))
            self.history.follow(delta)
        if self._random.random() < 0.2:
            self._compact(at)

    def hand_over(self, store: Store, keys: KeyRing, at: float) -> None:
        """Somebody brings what it has published until now."""
        self._list.as_of = max(int(at), self._list.as_of)
        self.history.stated((0, self._list.version), self._list.digest, self._list.as_of)
        head = make_head(self._list, self._row, self._row.version, self._key)
        import_foreign(store, URI, head, self._snapshot, self._deltas, keys, at)

    def _compact(self, at: float) -> None:
        self._snapshot = self._list.snapshot(self._key, self._list.as_of, smallest)
        sha256 = hashlib.sha256(self._snapshot).digest()
        self._row = SnapshotRow(0, self._list.version, sha256, len(self._snapshot), int(at * 1000))
        self._deltas.clear()
