"""The server of the sync benchmark: the real store, Publisher and Answers; its lists are noise, so no snapshot can be made shorter."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from healthcode import cose, topics
from healthcode.cose import SoftwareKey
from healthcode.messages import MAX_SIGNED, Delta, TrustHead, TrustList
from healthcode.signed import unpack, write
from healthcode.status import StatusList
from healthcode.terms import Status, Use
from healthcode.trust import KeyRing, entry_for
from server.answers import Answers
from server.config import Lists
from server.keys import Trusted
from server.lists import Publication, Publisher
from server.store import Store, publication
from server.store.publication import Waiting

NOON = 1_584_345_600
"""Virtual second 0: 16 March 2020, 08:00 UTC."""
ISSUER = "CN-HB"
URIS = tuple(f"https://hb.example/s/{number}" for number in range(1, 4))
"""The first list is what changes; all units begin to fetch the others later."""
CHANGES = 10
"""Entries of each change."""


class Server:
    """Its processor does one thing after another: what it makes is ready when `busy_until` says so."""

    def __init__(self, folder: Path, seed: int, snapshot_bytes: int, wall: Callable[[], float]) -> None:
        """The lists are stored, the first one is published. `wall` gives virtual seconds since 1970."""
        self.root, self._list_key, self._time_key = (SoftwareKey.generate() for _ in range(3))
        uses = ((self._time_key, Use.TIME), (SoftwareKey.generate(), Use.ACK))
        entries = [entry_for(key, issuer=ISSUER, use=use, sign_from=0) for key, use in uses]
        entries.append(entry_for(self._list_key, issuer=ISSUER, use=Use.LIST, sign_from=0, uris=list(URIS)))
        trust = TrustList(version=1, signed_at=NOON, expires_at=NOON + 100 * 86_400, entries=entries)
        body = write(trust, self.root)
        head = TrustHead(version=1, size=len(body), sha256=hashlib.sha256(body).digest(), signed_at=NOON)
        self.trusted = Trusted(KeyRing.of(trust), head, body, write(head, self.root), trust.expires_at)
        self.capacity = snapshot_bytes * 4
        self.busy_until = 0.0
        self._wall = wall
        self._store = Store.open(f"sqlite:///{folder / 'server.sqlite'}")
        self._store.migrate(0)
        self.truth: dict[str, StatusList] = {}
        self.snapshots = {uri: self._store_list(uri, Random(f"{seed} {uri}")) for uri in URIS}
        self._publishers: list[Publisher] = []
        self.publish_list(URIS[0])
        self.answers = self._make_answers(Lists().fetch_mbit)

    def fetch_at(self, mbit: float) -> None:
        """What units fetch is sent at so many megabits a second from now on."""
        self.answers = self._make_answers(mbit)

    def publish_list(self, uri: str) -> None:
        """The list begins to be published."""
        publisher = Publisher(
            self._store,
            lambda: self._list_key,
            issuer=ISSUER,
            uri=uri,
            capacity=self.capacity,
            keys=lambda: self.trusted.ring,
            settings=Lists(),
            now=self._wall,
        )
        self._publishers.append(publisher)

    def change(self, random: Random) -> None:
        """A ruling on some residents is committed."""
        with self._store.write() as tx:
            at = int(self._wall())
            indices = random.sample(range(self.capacity), CHANGES)
            publication.insert_changes(tx, [Waiting(URIS[0], idx, Status(random.choice((0, 2, 3))), at) for idx in indices])

    def publish(self, now: float) -> list[Publication]:
        """What is due for all; ready at `busy_until`."""
        found = [item for publisher in self._publishers for item in self.work(now, publisher.step)]
        for item in found:
            if not item.retain:
                delta = unpack(cose.parse(item.payload).payload, Delta, MAX_SIGNED)
                assert self.truth[delta.uri].apply(delta) is None
        return found

    def work(self, now: float, what: Callable[[], Sequence[Publication]]) -> Sequence[Publication]:
        """Does `what`, from when the work before is done, for as long as it takes here."""
        begun = time.thread_time()
        found = what()
        self.busy_until = max(now, self.busy_until) + time.thread_time() - begun
        return found

    def retained(self, published: Sequence[Publication]) -> dict[str, bytes]:
        """What a broker keeps of these."""
        return {item.topic: item.payload for item in published if item.retain} | {topics.TRUST_HEAD: self.trusted.head_bytes}

    def close(self) -> None:
        """Closes the database."""
        self._store.close()

    def _make_answers(self, mbit: float) -> Answers:
        return Answers(self._store, lambda: self._time_key, lambda: self.trusted, self._wall, fetch_mbit=mbit)

    def _store_list(self, uri: str, random: Random) -> bytes:
        """A list that is all noise, as its snapshot is; its bytes."""
        held = StatusList.empty(uri, 0, self.capacity, as_of=NOON)
        held.packed[:] = random.randbytes(self.capacity // 4)
        self.truth[uri] = held
        body = held.snapshot(self._list_key, NOON)
        with self._store.write() as tx:
            row = publication.SnapshotRow(0, 0, hashlib.sha256(body).digest(), len(body), NOON * 1000)
            publication.insert_snapshot(tx, uri, row, body)
        return body
