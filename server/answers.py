"""Answers to units that ask: a bounded range of deltas, a chunk of a snapshot or of the trust list, the time."""

from __future__ import annotations

from collections.abc import Callable

from healthcode import topics
from healthcode.cose import Signer
from healthcode.messages import (
    MAX_CHUNK,
    BadPayload,
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
from server.keys import Trusted
from server.lists import Publication
from server.store import Store, publication, to_ms

MOST_DELTAS = 64
MOST_BYTES = 512 * 1024
"""Bounds of one range's answer; the unit asks again for what is left."""


class Answers:
    """Answers sync requests from the store. `now` gives seconds since 1970, `trusted` the trust list in force."""

    def __init__(
        self,
        store: Store,
        time_key: Callable[[], Signer],
        trusted: Callable[[], Trusted],
        now: Callable[[], float],
        *,
        chunk_bytes: int = MAX_CHUNK,
    ) -> None:
        """`time_key` gives the key that signs now; `chunk_bytes`: the longest piece of a snapshot or trust list in one answer."""
        self._chunk_bytes = chunk_bytes
        self._store = store
        self._time_key = time_key
        self._trusted = trusted
        self._now = now

    def answer(self, unit: str, payload: bytes) -> list[Publication]:
        """What to send the unit; nothing where what it asks for is not there. BadPayload where it asks for no such thing."""
        request = decode_sync_request(payload)
        match request:
            case TimeRequest():
                answers: list[SyncAnswer] = [self._time(unit, request)]
            case RangeRequest():
                answers = self._range(request)
            case ChunkRequest():
                answers = self._chunk(request)
            case _:
                raise BadPayload("expected a range, chunk or time request")
        topic = topics.down(unit, "sync")
        return [Publication(topic, pack(answer), retain=False) for answer in answers]

    def _time(self, unit: str, request: TimeRequest) -> SyncAnswer:
        answer = TimeAnswer(unit=unit, nonce=request.nonce, at_ms=to_ms(self._now()))
        return TimeAnswerEnvelope(body=write(answer, self._time_key()))

    def _range(self, request: RangeRequest) -> list[SyncAnswer]:
        with self._store.read() as tx:
            deltas = publication.list_deltas(tx, request.uri, request.epoch, request.from_version, request.to_version, MOST_DELTAS)
        answers: list[SyncAnswer] = []
        size = 0
        for body in deltas:
            size += len(body)
            if answers and size > MOST_BYTES:
                break
            answers.append(DeltaAnswer(body=body))
        return answers

    def _chunk(self, request: ChunkRequest) -> list[SyncAnswer]:
        if request.uri:
            with self._store.read() as tx:
                found = publication.snapshot_chunk(tx, request.uri, request.epoch, request.version, request.offset, self._chunk_bytes)
        else:
            trusted = self._trusted()
            is_current = request.version == trusted.head.version
            whole = trusted.list_bytes
            found = (len(whole), whole[request.offset : request.offset + self._chunk_bytes]) if is_current else None
        if found is None or not found[1]:
            return []
        total, body = found
        return [ChunkAnswer(uri=request.uri, epoch=request.epoch, version=request.version, offset=request.offset, total=total, body=body)]
