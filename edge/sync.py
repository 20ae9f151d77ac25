"""Keeping the lists in step with the issuer's: which deltas to apply, what to ask for, what to ignore. Pure, no clock, no network.

Verified messages and ticks go in, with the monotonic time `at`; what to do comes out. What is held is asked through `held` and
`held_trust`, so that there is one truth, the cache's; outputs are to be carried out before the next input. Randomness comes in, too.

    delta at the version held           Apply, and those that waited for it
    delta beyond it                     kept for a while; after some jitter a range is asked for
    head that states what is held       Adopt (as_of)
    head ahead of what is held          the range up to it, or, too far behind, its snapshot in chunks
    head of the same version that says otherwise: Drop, and the snapshot: better no list than a wrong one
    trust head ahead of the trust list  the trust list in chunks
    log grown long                      a newer snapshot, while deltas go on

One range and one chunk of each object are under way at a time. What is not answered is asked again with exponential full-jitter back-off.
A snapshot is put together in memory up to the size and checked against the SHA-256 that the signed head names, then swapped in one step.
Its pieces are kept on disk as they come (Keep), so a restart goes on with it, or with the one before where that is the shorter way.
No more is asked for within an hour than `healthcode.budget` allows; what would be more waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from edge.pace import PATIENCE, Pace, Wait
from edge.syncwords import TRUST, Adopt, Apply, Ask, Drop, Forget, Ignored, Keep, Output, Part, Position, Swap, Timing, Why
from healthcode.messages import MAX_CHUNK, ChunkAnswer, ChunkRequest, Delta, Head, RangeRequest, SnapshotRef, TrustHead
from healthcode.signed import Signed

RANGE = 64
"""Versions asked for at once."""
DELTA_BYTES = 300
"""A small delta on the wire, for judging whether a range or the snapshot is the shorter way."""
MOST_EARLY = 256
MOST_EARLY_BYTES = 4 * 1024 * 1024
"""Deltas kept that cannot be applied yet, of one list."""
LONG_LOG = 5000
LONG_LOG_BYTES = 4 * 1024 * 1024
"""Deltas behind the snapshot on disk, and bytes of them, after which a newer snapshot is fetched: either is a second of a start where a
signature takes 0.1 ms to verify (`healthgate bench lists`).
"""


@dataclass
class _Fetch:
    """An object that comes in chunks."""

    epoch: int
    ref: SnapshotRef
    data: bytearray = field(default_factory=bytearray)
    wait: Wait = field(default_factory=Wait)
    piece: int = MAX_CHUNK
    asked_at: float = 0.0
    patience_s: float = 0.0


@dataclass
class _List:
    epoch: int
    head: Head | None = None
    early: dict[int, tuple[Signed[Delta], bytes]] = field(default_factory=dict)
    early_bytes: int = 0
    range: Wait = field(default_factory=Wait)
    range_to: int = 0
    fetch: _Fetch | None = None
    refused: int = 0
    not_before: float = 0.0


class Sync:
    """The unit's end of the sync protocol, for all lists and the trust list."""

    def __init__(
        self,
        held: Callable[[str], Position | None],
        held_trust: Callable[[], int],
        random: Random,
        timing: Timing | None = None,
        kept: Callable[[str], Part | None] = lambda _: None,
    ) -> None:
        """`held` gives what is held of a list, `held_trust` the version of the trust list held (-1: none), `kept` what a Keep has kept."""
        self._held = held
        self._held_trust = held_trust
        self._pace = Pace(random, timing or Timing())
        self._kept = kept
        self._lists: dict[str, _List] = {}
        self._trust_head: TrustHead | None = None
        self._trust_fetch: _Fetch | None = None
        self._trust_refused = 0
        self._is_connected = False

    def want(self, wanted: Mapping[str, int], at: float) -> list[Output]:
        """The lists to hold and their epochs, after every new trust list. What was under way for others is forgotten."""
        self._lists = {
            uri: self._lists[uri] if uri in self._lists and self._lists[uri].epoch == epoch else _List(epoch)
            for uri, epoch in wanted.items()
        }
        self._pace.forget_others({TRUST, *wanted})
        return self.tick(at)

    def connected(self, at: float) -> list[Output]:
        """A new connection: whatever was under way is lost and asked for again, after some jitter."""
        self._is_connected = True
        for wait in self._waits():
            if wait.due is not None:
                wait.clear()
        return self.tick(at)

    def disconnected(self) -> None:
        """The connection is gone: nothing is asked until the next."""
        self._is_connected = False

    def delta(self, delta: Signed[Delta], raw: bytes, at: float) -> list[Output]:
        """A verified delta arrived, live or asked for."""
        message = delta.message
        mine, held = self._lists.get(message.uri), self._held(message.uri)
        if mine is None:
            return [Ignored(message.uri, Why.NOT_WANTED)]
        if message.epoch != mine.epoch:
            return [Ignored(message.uri, Why.EPOCH)]
        if mine.range.is_sent and message.to <= mine.range_to:
            self._pace.spend(message.uri, max(0, len(raw) - DELTA_BYTES), at)
        if held is not None and message.to <= held.version:
            return [Ignored(message.uri, Why.OLD)]
        if held is None or message.start != held.version:
            kept = self._keep(mine, delta, raw)
            self._plan(message.uri, mine, at)
            return [kept]
        followers = self._followers(mine, message.to)
        if mine.range.is_sent:
            reached = followers[-1].delta.message.to if followers else message.to
            mine.range = Wait(at) if reached >= mine.range_to else Wait(at + self._pace.range_s(len(raw)), is_sent=True)
        return [Apply(delta, raw), *followers]

    def head(self, head: Signed[Head], raw: bytes, at: float) -> list[Output]:
        """A verified head arrived."""
        message = head.message
        mine, held = self._lists.get(message.uri), self._held(message.uri)
        if mine is None:
            return [Ignored(message.uri, Why.NOT_WANTED)]
        if message.epoch != mine.epoch:
            return [Ignored(message.uri, Why.EPOCH)]
        if mine.head is not None and (message.version, message.as_of) < (mine.head.version, mine.head.as_of):
            return [Ignored(message.uri, Why.OLD)]
        mine.head = message
        self._plan(message.uri, mine, at)
        if held is None or message.version > held.version:
            return [Ignored(message.uri, Why.AHEAD)]
        if message.version < held.version:
            return [Ignored(message.uri, Why.BEHIND)]
        return [Adopt(head, raw)] if message.digest == held.digest else [Drop(message.uri)]

    def trust_head(self, head: TrustHead, at: float) -> list[Output]:
        """A verified trust head arrived."""
        if head.version <= self._held_trust() or (self._trust_head is not None and head.version < self._trust_head.version):
            return [Ignored(TRUST, Why.OLD)]
        if self._trust_head is not None and head.version == self._trust_head.version and self._trust_fetch is not None:
            return [Ignored(TRUST, Why.KEPT)]
        self._trust_head = head
        self._trust_fetch = _Fetch(0, _ref(head), wait=Wait(self._pace.soon(at)))
        return self.tick(at)

    def chunk(self, chunk: ChunkAnswer, at: float) -> list[Output]:
        """A piece of something that was asked for arrived. Only the whole is verified."""
        mine = self._lists.get(chunk.uri)
        fetch = self._trust_fetch if chunk.uri == TRUST else mine.fetch if mine is not None else None
        if fetch is None or not fetch.wait.is_sent or (chunk.epoch, chunk.version) != (fetch.epoch, fetch.ref.version):
            return [Ignored(chunk.uri, Why.NOT_ASKED)]
        if chunk.offset != len(fetch.data) or chunk.total != fetch.ref.size or len(fetch.data) + len(chunk.body) > fetch.ref.size:
            return [Ignored(chunk.uri, Why.CHUNK)]
        fetch.data += chunk.body
        fetch.piece, fetch.patience_s = len(chunk.body), PATIENCE * (at - fetch.asked_at)
        if len(fetch.data) < fetch.ref.size:
            fetch.wait = Wait(at)
            keep = [] if mine is None else [Keep(chunk.uri, fetch.epoch, fetch.ref, chunk.offset, chunk.body)]
            return [*keep, *self.tick(at)]
        data = bytes(fetch.data)
        if hashlib.sha256(data).digest() != fetch.ref.sha256:
            self.refused(chunk.uri, at)
            false = Ignored(chunk.uri, Why.DIGEST)
            return [false] if mine is None else [Forget(chunk.uri), false]
        if mine is None:
            self._trust_fetch = None
        else:
            mine.fetch = None
        return [Swap(chunk.uri, data)]

    def swapped(self, uri: str, at: float) -> list[Output]:
        """A Swap was carried out. Deltas that waited for it come out, and what is still missing is asked for."""
        if uri == TRUST:
            self._trust_refused = 0
            return self.tick(at)
        mine, held = self._lists.get(uri), self._held(uri)
        if mine is None or held is None:
            return []
        mine.refused = 0
        mine.range.clear()
        followers = self._followers(mine, held.version)
        if not followers:
            self._plan(uri, mine, at)
        return [*followers]

    def forget_after(self, latest: float) -> bool:
        """Forgets what was heard of lists whose head or waiting deltas speak of a time after `latest` (wall seconds); whether any did."""
        ahead = [
            uri
            for uri, mine in self._lists.items()
            if (mine.head is not None and mine.head.as_of > latest) or any(delta.message.as_of > latest for delta, _ in mine.early.values())
        ]
        self._lists |= {uri: _List(self._lists[uri].epoch) for uri in ahead}
        return bool(ahead)

    def refused(self, uri: str, at: float) -> None:
        """An Apply or a Swap of `uri` was not carried out, because its content is false: a newer snapshot is fetched, ever more slowly."""
        if uri == TRUST:
            self._trust_refused += 1
            if self._trust_head is not None:
                self._trust_fetch = _Fetch(0, _ref(self._trust_head), wait=self._pace.later(self._trust_refused, at))
            return
        mine = self._lists.get(uri)
        if mine is not None:
            mine.early.clear()
            mine.early_bytes = 0
            mine.refused += 1
            mine.range = self._pace.later(mine.refused, at)
            mine.fetch = None
            mine.not_before = mine.range.due or at

    def tick(self, at: float) -> list[Output]:
        """Sends what is due."""
        if not self._is_connected:
            return []
        outputs: list[Output] = []
        for uri, mine in self._lists.items():
            self._plan(uri, mine, at)
            if mine.range.due is not None and at >= mine.range.due:
                outputs += self._ask_range(uri, mine, at)
            if mine.fetch is not None and mine.fetch.wait.due is not None and at >= mine.fetch.wait.due:
                if mine.fetch.wait.tries > 1 and mine.head is not None and mine.head.snapshot != mine.fetch.ref:
                    mine.fetch = _Fetch(mine.epoch, mine.head.snapshot, wait=mine.fetch.wait)
                outputs.append(self._ask_chunk(uri, mine.fetch, mine.head.snapshot.size if mine.head else mine.fetch.ref.size, at))
        fetch = self._trust_fetch
        if fetch is not None and fetch.wait.due is None:
            fetch.wait.due = self._pace.soon(at)
        if fetch is not None and fetch.wait.due is not None and at >= fetch.wait.due:
            outputs.append(self._ask_chunk(TRUST, fetch, fetch.ref.size, at))
        return outputs

    def _plan(self, uri: str, mine: _List, at: float) -> None:
        """Sets up what is missing; `tick` does the asking."""
        held, head = self._held(uri), mine.head
        if held is not None and held.epoch != mine.epoch:
            held = None
        if mine.fetch is None and head is not None and (held is None or self._wants_snapshot(mine, held, head)):
            mine.fetch = self._begin(uri, mine.epoch, held, head)
            mine.fetch.wait = Wait(max(self._pace.soon(at), mine.not_before))
        if mine.fetch is not None and mine.fetch.wait.due is None:
            mine.fetch.wait = Wait(self._pace.soon(at))
        leaps = held is None or (mine.fetch is not None and mine.fetch.ref.version > held.version)
        if held is None or leaps or self._target(mine) <= held.version:
            mine.range.clear()
        elif mine.range.due is None:
            mine.range = Wait(self._pace.soon(at))

    def _begin(self, uri: str, epoch: int, held: Position | None, head: Head) -> _Fetch:
        """The snapshot that the head names; or what was kept of it or of one before, where deltas lead on and less is left to fetch."""
        part, newest = self._kept(uri), head.snapshot
        if part is None or part.epoch != epoch or (held is not None and part.ref.version <= held.version):
            return _Fetch(epoch, newest)
        behind = newest.version - part.ref.version
        left = part.ref.size - len(part.data) + behind * DELTA_BYTES
        leads_on = behind > 0 and part.ref.version >= head.oldest and left < newest.size
        return _Fetch(epoch, part.ref, bytearray(part.data)) if part.ref == newest or leads_on else _Fetch(epoch, newest)

    def _wants_snapshot(self, mine: _List, held: Position, head: Head) -> bool:
        ref = head.snapshot
        if ref.version <= held.version:
            is_long = held.records > LONG_LOG or held.log_bytes > LONG_LOG_BYTES
            return is_long and ref.version > held.version - held.records
        shorter = ref.size < (ref.version - held.version) * DELTA_BYTES
        return held.version < head.oldest or shorter or mine.refused > 0

    def _target(self, mine: _List) -> int:
        return max([mine.head.version if mine.head else 0, *(delta.message.to for delta, _ in mine.early.values())])

    def _ask_range(self, uri: str, mine: _List, at: float) -> list[Output]:
        held = self._held(uri)
        if held is None:
            return []
        gap_ends = min((start for start in mine.early if start > held.version), default=held.version + RANGE)
        to = min(self._target(mine), held.version + RANGE, gap_ends)
        size = mine.head.snapshot.size if mine.head else 0
        amount = (to - held.version) * DELTA_BYTES
        if not self._pace.may(uri, amount, size, mine.range, at):
            return [Ignored(uri, Why.SPENT)]
        self._pace.put_off(mine.range, at, self._pace.range_s(amount))
        mine.range_to = to
        return [Ask(RangeRequest(uri=uri, epoch=mine.epoch, from_version=held.version, to_version=mine.range_to))]

    def _ask_chunk(self, uri: str, fetch: _Fetch, size: int, at: float) -> Output:
        if not self._pace.may(uri, min(fetch.piece, fetch.ref.size - len(fetch.data)), size, fetch.wait, at):
            return Ignored(uri, Why.SPENT)
        if fetch.wait.tries == 0:
            fetch.asked_at = at
        self._pace.put_off(fetch.wait, at, self._pace.timing.answer_s, fetch.patience_s)
        return Ask(ChunkRequest(uri=uri, epoch=fetch.epoch, version=fetch.ref.version, offset=len(fetch.data)))

    def _keep(self, mine: _List, delta: Signed[Delta], raw: bytes) -> Output:
        message = delta.message
        if message.start in mine.early:
            return Ignored(message.uri, Why.OLD)
        if len(mine.early) >= MOST_EARLY or mine.early_bytes + len(raw) > MOST_EARLY_BYTES:
            return Ignored(message.uri, Why.EARLY_FULL)
        mine.early[message.start] = (delta, raw)
        mine.early_bytes += len(raw)
        return Ignored(message.uri, Why.KEPT)

    def _followers(self, mine: _List, version: int) -> list[Apply]:
        found: list[Apply] = []
        while (waiting := self._take_early(mine, version)) is not None:
            found.append(Apply(*waiting))
            version = waiting[0].message.to
        return found

    def _take_early(self, mine: _List, version: int) -> tuple[Signed[Delta], bytes] | None:
        for start in [start for start in mine.early if start < version]:
            mine.early_bytes -= len(mine.early.pop(start)[1])
        found = mine.early.pop(version, None)
        if found is not None:
            mine.early_bytes -= len(found[1])
        return found

    def _waits(self) -> list[Wait]:
        waits = [mine.range for mine in self._lists.values()]
        waits += [mine.fetch.wait for mine in self._lists.values() if mine.fetch is not None]
        return waits if self._trust_fetch is None else [*waits, self._trust_fetch.wait]


def _ref(head: TrustHead) -> SnapshotRef:
    return SnapshotRef(version=head.version, size=head.size, sha256=head.sha256)
