"""The status list: rulings become signed deltas, heads are signed anew, snapshots compacted, foreign lists passed on.

`Publisher.step` is called often with the time; it gives what to publish and never waits. The list in memory is changed only after
the delta's transaction has committed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import deflate
from sqlalchemy import Connection

from healthcode import cose, topics
from healthcode.budget import LEAST
from healthcode.cose import Signer
from healthcode.messages import MAX_CHANGES, Delta, Head, SnapshotRef
from healthcode.signed import Signed, SignedFault, read, write
from healthcode.status import StatusList, read_snapshot
from healthcode.terms import STATUS_OF_COLOUR, Colour, Status
from healthcode.trust import KeyRing
from server.config import Lists
from server.store import Store, publication, to_ms
from server.store.publication import Change, HeadRow, SnapshotRow

log = logging.getLogger(__name__)

FUTURE_S = 60.0
"""How far ahead of ours another issuer's clock may be: a gate takes no statement that is further ahead (`edge.dialogue`)."""
EARLY = 10
"""A snapshot whose deltas have grown heavy is made anew after the tenth part of the usual time, so that a slow unit can finish it."""


def is_heavy(deltas: int, snapshot: int) -> bool:
    """Whether `deltas` bytes after a snapshot of `snapshot` are too many for a new unit, which needs both.

    Half the snapshot, or a quarter of what is within every unit's budget: so that budget (`healthcode.budget`) has room for both.
    """
    return deltas > max(LEAST // 4, snapshot // 2)


class ListError(Exception):
    """A status list that cannot be published or imported; the text is one line."""


@dataclass(frozen=True)
class Publication:
    """Something for the broker."""

    topic: str
    payload: bytes
    retain: bool


@dataclass(frozen=True)
class Compacted:
    """A snapshot that was made and not stored yet."""

    epoch: int
    version: int
    body: bytes


class Publisher:
    """Publishes one of our own lists. `signer` gives the key that signs now, `keys` the trust list in force, `now` seconds since 1970."""

    def __init__(
        self,
        store: Store,
        signer: Callable[[], Signer],
        *,
        issuer: str,
        uri: str,
        capacity: int,
        keys: Callable[[], KeyRing],
        settings: Lists,
        now: Callable[[], float],
        most_changes: int = MAX_CHANGES,
    ) -> None:
        self._store = store
        self._signer = signer
        self._issuer = issuer
        self._uri = uri
        self._capacity = capacity
        self._keys = keys
        self._settings = settings
        self._now = now
        self._most_changes = most_changes
        self._last_delta = float("-inf")
        self._last_head = float("-inf")
        self._list: StatusList | None = None
        self._snapshot: SnapshotRow | None = None
        self._snapshot_kid = b""
        self._bytes_after = 0

    @property
    def uri(self) -> str:
        """Which list."""
        return self._uri

    def is_loaded(self) -> bool:
        """Whether the list is held: it has been published at least once since the start or the last `reload`."""
        return self._list is not None

    def step(self) -> list[Publication]:
        """What has become due: deltas of waiting changes, a head after them or after the head period."""
        try:
            return self._step(self._now())
        except BaseException:
            self._list = None
            raise

    def reload(self) -> None:
        """Reads the list from the store again at the next step: the trust list may have raised its epoch."""
        self._list = None
        self._last_head = float("-inf")

    def _step(self, at: float) -> list[Publication]:
        held = self._held()
        out: list[Publication] = []
        if not self._last_delta <= at < self._last_delta + self._settings.delta_period_s:
            out += self._publish_changes(held)
        is_due = not self._last_head <= at < self._last_head + self._settings.head_period_s
        if out or is_due:
            out.append(self._publish_head(self._held()))
            self._last_head = at
        if out[:-1]:
            self._last_delta = at
        return out

    def copy_for_snapshot(self) -> StatusList | None:
        """A copy to compact elsewhere, where the list has changed since the last snapshot and that is old enough; otherwise None.

        It is sooner old enough where the deltas after it are heavy (`is_heavy`). A snapshot by a key that no longer signs is made anew at
        once, before that key counts no more.
        """
        held, newest = self._held(), self._snapshot
        if newest is None:
            return None
        period_s = self._settings.snapshot_period_s / (EARLY if is_heavy(self._bytes_after, newest.size) else 1)
        is_recent = newest.version == held.version or self._now() * 1000 - newest.made_ms < period_s * 1000
        if is_recent and self._snapshot_kid == self._signer().kid:
            return None
        return held.copy()

    def compact(self, copy: StatusList) -> Compacted:
        """The signed snapshot of a copy. Takes seconds for a full list; touches nothing else."""
        return Compacted(copy.epoch, copy.version, copy.snapshot(self._signer(), copy.as_of, smallest))

    def take_snapshot(self, made: Compacted) -> None:
        """Stores a snapshot, so that the next head names it, and forgets deltas that nobody can ask for any more.

        One of an epoch that has ended while it was made is of no use: its version means nothing in the new one.
        """
        held = self._held()
        if made.epoch != held.epoch:
            return
        with self._store.write() as tx:
            self._snapshot = _store_snapshot(tx, self._uri, made, to_ms(self._now()))
            self._snapshot_kid = cose.parse(made.body).kid
            publication.drop_deltas(tx, self._uri, held.epoch, min(made.version, max(0, held.version - self._settings.keep_deltas)))
            self._bytes_after = publication.bytes_after(tx, self._uri, held.epoch, made.version)
        self._last_head = float("-inf")

    def _publish_changes(self, held: StatusList) -> list[Publication]:
        with self._store.read() as tx:
            if not publication.has_changes(tx, self._uri):
                return []
        out = []
        while True:
            with self._store.write() as tx:
                waiting = publication.waiting_changes(tx, self._uri, self._most_changes)
                wanted = settle(held, waiting)
                publication.delete_changes(tx, waiting)
                if wanted:
                    is_last = len(waiting) < self._most_changes
                    as_of = max(int(self._now()), held.as_of, *(change.ruled_at for change in waiting)) if is_last else held.as_of
                    delta = held.make_delta(wanted, as_of)
                    body = write(delta, self._signer())
                    publication.insert_delta(tx, self._uri, held.epoch, delta.start, delta.to, body)
            if wanted:
                self._bytes_after += len(body)
                self._apply(held, delta)
                out.append(Publication(topics.list_topic(self._issuer, self._uri, "delta"), body, retain=False))
            elif waiting:  # rulings that cancel out change no entry, but codes were issued under them: a head must say what counts
                held.as_of = max(held.as_of, *(change.ruled_at for change in waiting))
                self._last_head = float("-inf")
            if len(waiting) < self._most_changes:
                return out

    def _apply(self, held: StatusList, delta: Delta) -> None:
        fault = held.apply(delta)
        if fault is not None:
            raise ListError(f"our own delta to version {delta.to} of {self._uri} does not apply: {fault.value}")

    def _publish_head(self, held: StatusList) -> Publication:
        with self._store.write() as tx:
            if not publication.has_changes(tx, self._uri):
                held.as_of = max(held.as_of, int(self._now()))
            body = self._sign_head(tx, held)
        return Publication(topics.list_topic(self._issuer, self._uri, "head"), body, retain=True)

    def _sign_head(self, tx: Connection, held: StatusList) -> bytes:
        newest = self._snapshot
        if newest is None:
            raise ListError(f"no snapshot of {self._uri} is stored: expected the one made at start")
        oldest = publication.oldest_delta(tx, self._uri, held.epoch)
        body = make_head(held, newest, held.version if oldest is None else oldest, self._signer())
        publication.put_head(tx, HeadRow(self._uri, self._issuer, held.epoch, held.version, held.as_of, True, body))
        return body

    def _held(self) -> StatusList:
        if self._list is None:
            self._list = self._load()
        return self._list

    def _load(self) -> StatusList:
        entry = self._keys().list_entries().get(self._uri)
        if entry is None or entry.issuer != self._issuer:
            raise ListError(f"trust list {self._keys().version} names no list key of {self._issuer} for {self._uri}")
        with self._store.read() as tx:
            self._snapshot = publication.newest_snapshot(tx, self._uri)
        if self._snapshot is None or self._snapshot.epoch < entry.epoch:
            return self._begin_epoch(entry.epoch)
        if self._snapshot.epoch > entry.epoch:
            raise ListError(f"{self._uri} is at epoch {self._snapshot.epoch}, trust list {self._keys().version} says {entry.epoch}")
        with self._store.read() as tx:
            self._snapshot_kid = cose.parse(_body(tx, self._uri, self._snapshot)).kid
            self._bytes_after = publication.bytes_after(tx, self._uri, self._snapshot.epoch, self._snapshot.version)
            held = load_list(tx, self._uri, self._keys(), self._now())
            said = (head.as_of for head in publication.list_heads(tx) if (head.uri, head.epoch) == (self._uri, held.epoch))
            held.as_of = max([held.as_of, *said])  # the clock may be behind what the last head said
            return held

    def _begin_epoch(self, epoch: int) -> StatusList:
        """A new chain, holding what the registry says now: its deltas, and a snapshot of their end, so that a unit needs one fetch."""
        with self._store.write() as tx:
            at = int(self._now())
            fresh = StatusList.empty(self._uri, epoch, self._capacity, as_of=at)
            publication.drop_deltas(tx, self._uri, epoch, 0)
            entries = {idx: _status(colour) for idx, colour in publication.every_status(tx, self._uri)}
            order = sorted(entries)
            for begin in range(0, len(order), self._most_changes):
                delta = fresh.make_delta({idx: entries[idx] for idx in order[begin : begin + self._most_changes]}, at)
                publication.insert_delta(tx, self._uri, epoch, delta.start, delta.to, write(delta, self._signer()))
                fault = fresh.apply(delta)
                if fault is not None:
                    raise ListError(f"our own delta to version {delta.to} of {self._uri} does not apply: {fault.value}")
            first = Compacted(epoch, fresh.version, fresh.snapshot(self._signer(), at))
            self._snapshot, self._snapshot_kid = _store_snapshot(tx, self._uri, first, to_ms(at)), cose.parse(first.body).kid
            self._bytes_after = 0
            while waiting := publication.waiting_changes(tx, self._uri, self._most_changes):
                publication.delete_changes(tx, waiting)
        log.info("list %s begins epoch %d with %d entries that are not green", self._uri, epoch, len(entries))
        return fresh


def smallest(data: bytes) -> bytes:
    """The zlib stream of libdeflate at its hardest, level 12: a tenth less than zlib's best, seconds for a full list, without the GIL."""
    return bytes(deflate.zlib_compress(data, 12))


def settle(held: StatusList, waiting: Sequence[Change]) -> dict[int, Status]:
    """The entries that the waiting changes really change: the last one counts, revoked is final."""
    last: dict[int, Status] = {}
    for change in waiting:
        if last.get(change.idx) is not Status.REVOKED:
            last[change.idx] = change.status
    return {idx: status for idx, status in last.items() if held.get(idx) not in (status, Status.REVOKED)}


def make_head(held: StatusList, snapshot: SnapshotRow, oldest: int, signer: Signer) -> bytes:
    """The signed head of a list at its `as_of`."""
    head = Head(
        uri=held.uri,
        epoch=held.epoch,
        version=held.version,
        digest=held.digest,
        oldest=oldest,
        snapshot=SnapshotRef(version=snapshot.version, size=snapshot.size, sha256=snapshot.sha256),
        as_of=held.as_of,
    )
    return write(head, signer)


def make_pair(held: StatusList, signer: Signer, at: int) -> tuple[bytes, bytes]:
    """(head, snapshot), signed at `at`, of a list: what one province hands another for import."""
    held.as_of = max(held.as_of, at)
    body = held.snapshot(signer, at, smallest)
    row = SnapshotRow(held.epoch, held.version, hashlib.sha256(body).digest(), len(body), to_ms(at))
    return make_head(held, row, held.version, signer), body


def load_list(tx: Connection, uri: str, keys: KeyRing, at: float) -> StatusList:
    """The stored list: its newest snapshot and the deltas after it, all checked."""
    newest = publication.newest_snapshot(tx, uri)
    if newest is None:
        raise ListError(f"no snapshot of {uri} is stored")
    held = read_snapshot(_body(tx, uri, newest), uri, keys, at)
    if isinstance(held, SignedFault):
        raise ListError(f"the stored snapshot of {uri} is not accepted: {held.value}; a raised epoch in the trust list begins it anew")
    while deltas := publication.list_deltas(tx, uri, held.epoch, held.version, 2**53, 1000):
        for body in deltas:
            _apply_signed(held, body, keys, at)
    return held


def import_foreign(store: Store, uri: str, head: bytes, snapshot: bytes, deltas: Sequence[bytes], keys: KeyRing, at: float) -> Head:
    """Takes over another issuer's list from its signed files, to pass on unchanged; ListError says what does not hold together."""
    stated = read(head, Head, keys, at)
    if isinstance(stated, SignedFault):
        raise ListError(f"head of {uri}: {stated.value}")
    message, entry = stated.message, stated.entry
    if message.uri != uri:
        raise ListError(f"head is of {message.uri}: expected {uri}")
    if message.as_of > at + FUTURE_S:
        raise ListError(f"head of {uri} speaks of a time {message.as_of - at:.0f} s ahead: expected {FUTURE_S:.0f} s at most")
    held = read_snapshot(snapshot, uri, keys, at)
    if isinstance(held, SignedFault):
        raise ListError(f"snapshot of {uri}: {held.value}")
    reference = SnapshotRef(version=held.version, size=len(snapshot), sha256=hashlib.sha256(snapshot).digest())
    if message.snapshot != reference:
        raise ListError(f"head of {uri} names another snapshot than the one given")
    starts = [(held.version, body, _apply_signed(held, body, keys, at)) for body in deltas]
    if not held.adopt(message):
        raise ListError(f"head of {uri} is at version {message.version}: snapshot and deltas lead to version {held.version}")
    with store.write() as tx:
        for row in publication.list_heads(tx):
            if row.uri == uri and (row.is_ours or (row.epoch, row.version, row.as_of) > (message.epoch, message.version, message.as_of)):
                raise ListError(f"head of {uri} is older than the one held, or the list is our own")
        publication.drop_deltas(tx, uri, held.epoch, reference.version)
        for start, body, to in starts:
            publication.insert_delta(tx, uri, held.epoch, start, to, body)
        publication.insert_snapshot(
            tx, uri, SnapshotRow(held.epoch, reference.version, reference.sha256, reference.size, to_ms(at)), snapshot
        )
        publication.put_head(tx, HeadRow(uri, entry.issuer, held.epoch, held.version, message.as_of, False, head))
    return message


def _apply_signed(held: StatusList, body: bytes, keys: KeyRing, at: float) -> int:
    delta = read(body, Delta, keys, at)
    if not isinstance(delta, Signed):
        raise ListError(f"delta of {held.uri} after version {held.version}: {delta.value}")
    fault = held.apply(delta.message)
    if fault is not None:
        raise ListError(f"delta of {held.uri} after version {held.version}: {fault.value}")
    return delta.message.to


def _body(tx: Connection, uri: str, row: SnapshotRow) -> bytes:
    chunk = publication.snapshot_chunk(tx, uri, row.epoch, row.version, 0, row.size)
    return chunk[1] if chunk else b""


def _store_snapshot(tx: Connection, uri: str, made: Compacted, made_ms: int) -> SnapshotRow:
    row = SnapshotRow(made.epoch, made.version, hashlib.sha256(made.body).digest(), len(made.body), made_ms)
    publication.insert_snapshot(tx, uri, row, made.body)
    return row


def _status(colour: str | None) -> Status:
    return Status.REVOKED if colour is None else STATUS_OF_COLOUR[Colour(colour)]
