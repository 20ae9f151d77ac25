"""Answers to units that ask: a bounded range of deltas, a chunk of a snapshot or of the trust list, the time.

The time is told at once; the rest waits for its turn (`server.turns`), so that what all units hear is never behind what one fetches.
A unit is sent no more of a list within an hour than `healthcode.budget` says, however often it connects anew. What goes beyond is not
answered: the unit asks again, ever more slowly, and people are told which unit it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from healthcode import topics
from healthcode.budget import Accounts, most
from healthcode.cose import Signer
from healthcode.messages import (
    MAX_CHUNK,
    ChunkAnswer,
    ChunkRequest,
    DeltaAnswer,
    RangeRequest,
    SyncAnswer,
    TimeAnswer,
    TimeAnswerEnvelope,
    TimeRequest,
    decode_sync_request,
)
from healthcode.signed import pack, write
from server.config import Lists
from server.keys import Trusted
from server.lists import Publication
from server.store import Store, events, publication, to_ms
from server.turns import Turns

log = logging.getLogger(__name__)

ALERT = "sync_budget"
"""The alert that names a unit which asks for more than its budget."""

MOST_DELTAS = 64
MOST_BYTES = 512 * 1024
"""Bounds of one range's answer; the unit asks again for what is left."""


class Answers:
    """Answers sync requests from the store. `now` gives seconds since 1970, `trusted` the trust list in force. One thread calls it."""

    def __init__(
        self,
        store: Store,
        time_key: Callable[[], Signer],
        trusted: Callable[[], Trusted],
        now: Callable[[], float],
        *,
        chunk_bytes: int = MAX_CHUNK,
        fetch_mbit: float = Lists().fetch_mbit,
    ) -> None:
        """`time_key` gives the key that signs now; `chunk_bytes`: the longest piece of a snapshot or trust list in one answer."""
        self.dropped = 0
        self._turns = Turns(fetch_mbit)
        self._chunk_bytes = chunk_bytes
        self._store = store
        self._time_key = time_key
        self._trusted = trusted
        self._now = now
        self._accounts = Accounts()

    def ask(self, unit: str, payload: bytes) -> list[Publication]:
        """A unit asks. What is said at once; the rest has its turn later. BadPayload where it asks for no such thing."""
        request = decode_sync_request(payload)
        if isinstance(request, TimeRequest):
            return _publications(unit, self._time(unit, request))
        self.dropped += not self._turns.put(unit, request)
        return []

    def due(self, at: float) -> list[Publication]:
        """The answer whose turn it is at `at` (monotonic seconds); nothing where there is none, or what was asked for is not there."""
        taken = self._turns.take(at)
        if taken is None:
            return []
        unit, request = taken
        found = _publications(unit, self._range(unit, request) if isinstance(request, RangeRequest) else self._chunk(unit, request))
        self._turns.sent(sum(len(each.payload) for each in found), at)
        return found

    def wait_s(self, at: float) -> float | None:
        """How long until `due` is to be called; None while nobody waits."""
        return self._turns.wait_s(at)

    def _time(self, unit: str, request: TimeRequest) -> list[SyncAnswer]:
        """The time counts with the trust list, of which both are a small part."""
        answer = TimeAnswer(unit=unit, nonce=request.nonce, at_ms=to_ms(self._now()))
        body = write(answer, self._time_key())
        return [TimeAnswerEnvelope(body=body)] if self._may(unit, "", len(self._trusted().list_bytes), len(body)) else []

    def _range(self, unit: str, request: RangeRequest) -> list[SyncAnswer]:
        with self._store.read() as tx:
            newest = publication.newest_snapshot(tx, request.uri)
            deltas = publication.list_deltas(tx, request.uri, request.epoch, request.from_version, request.to_version, MOST_DELTAS)
        answers: list[SyncAnswer] = []
        size = 0
        for body in deltas:
            size += len(body)
            is_full = bool(answers) and size > MOST_BYTES
            if newest is None or is_full or not self._may(unit, request.uri, newest.size, len(body)):
                break
            answers.append(DeltaAnswer(body=body))
        return answers

    def _chunk(self, unit: str, request: ChunkRequest) -> list[SyncAnswer]:
        if request.uri:
            with self._store.read() as tx:
                newest = publication.newest_snapshot(tx, request.uri)
                found = publication.snapshot_chunk(tx, request.uri, request.epoch, request.version, request.offset, self._chunk_bytes)
            snapshot = 0 if newest is None else newest.size
        else:
            trusted = self._trusted()
            is_current = request.version == trusted.head.version
            whole = trusted.list_bytes
            found = (len(whole), whole[request.offset : request.offset + self._chunk_bytes]) if is_current else None
            snapshot = len(whole)
        if found is None or not found[1] or not self._may(unit, request.uri, snapshot, len(found[1])):
            return []
        total, body = found
        return [ChunkAnswer(uri=request.uri, epoch=request.epoch, version=request.version, offset=request.offset, total=total, body=body)]

    def _may(self, unit: str, uri: str, snapshot: int, amount: int) -> bool:
        """Whether `amount` bytes of `uri` are within the unit's budget; they then count. Otherwise people hear of it, once an hour."""
        at = self._now()
        if amount <= self._accounts.left(unit, uri, snapshot, at):
            self._accounts.spend(unit, uri, amount, at)
            return True
        times = self._accounts.refuse(unit, uri, at)
        if times:
            detail = f"asks for more of {uri or 'the trust list'} than {most(snapshot)} bytes an hour; not answered ({times} so far)"
            log.warning("%s: %s", unit, detail)
            with self._store.write() as tx:
                events.raise_alert(tx, ALERT, unit, detail, to_ms(at))
        return False


def _publications(unit: str, answers: list[SyncAnswer]) -> list[Publication]:
    return [Publication(topics.down(unit, "sync"), pack(answer), retain=False) for answer in answers]
