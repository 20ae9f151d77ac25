"""Sending events until the server has them.

Batches of at most a hundred events of one boot, at most ten batches outstanding, sent again when a watermark takes long.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.outbox import Acknowledged, Outbox, Place, StaleWatermark
from healthcode.messages import MAX_EVENTS, EventBatch, Watermark, encode

MOST_OUTSTANDING = 10
RESEND_MOST = 16
"""A batch waits at most so many times `resend_s` before it goes again."""


@dataclass
class _Batch:
    boot_id: str
    places: set[Place]
    payload: bytes
    due: float
    tries: int = 0


class Dispatch:
    """What of the outbox is under way. A batch is done when a watermark covers it, never because the broker took it."""

    def __init__(self, unit: str, outbox: Outbox, resend_s: float) -> None:
        """A batch that no watermark covers goes again after `resend_s` seconds, then twice that, and so on."""
        self.sent = 0
        self.resent = 0
        self._unit = unit
        self._outbox = outbox
        self._resend_s = resend_s
        self._batches: list[_Batch] = []
        self._may_wait = True

    @property
    def outstanding(self) -> int:
        """Batches sent and not yet covered by a watermark."""
        return len(self._batches)

    def restart(self) -> None:
        """The connection is new or gone: nothing is under way any more, all that waits goes from the beginning."""
        self._batches.clear()
        self._may_wait = True

    def wake(self) -> None:
        """There are new events in the outbox."""
        self._may_wait = True

    def acknowledge(self, watermark: Watermark, wall: float) -> Acknowledged | StaleWatermark:
        """Takes over a verified watermark that names this unit; `wall` is the time in seconds since 1970."""
        outcome = self._outbox.acknowledge(watermark, wall)
        if isinstance(outcome, Acknowledged):
            for mark in watermark.boots:
                missing = set(mark.missing)
                for batch in self._batches:
                    if batch.boot_id == mark.boot_id:
                        batch.places = {place for place in batch.places if place.seq > mark.up_to or place.seq in missing}
            self._batches = [batch for batch in self._batches if batch.places]
            self._may_wait = True
        return outcome

    def due(self, at: float) -> list[bytes]:
        """The event messages to send at the monotonic time `at`: late ones again, then new ones. OutboxFault where the disk fails."""
        late = [batch for batch in self._batches if at >= batch.due]
        for batch in late:
            batch.tries += 1
            batch.due = at + self._resend_s * min(RESEND_MOST, 2**batch.tries)
        self.resent += len(late)
        payloads = [batch.payload for batch in late]
        while self._may_wait and len(self._batches) < MOST_OUTSTANDING:
            fresh = self._next(at)
            if fresh is None:
                self._may_wait = False
                break
            self._batches.append(fresh)
            payloads.append(fresh.payload)
        return payloads

    def _next(self, at: float) -> _Batch | None:
        outstanding = {place for batch in self._batches for place in batch.places}
        waiting = self._outbox.pending(MAX_EVENTS, outstanding)
        if not waiting:
            return None
        boot_id = waiting[0].boot_id
        chosen = [stored for stored in waiting if stored.boot_id == boot_id]
        self.sent += len(chosen)
        payload = encode(EventBatch(unit=self._unit, boot_id=boot_id, events=[stored.event for stored in chosen]))
        return _Batch(boot_id, {stored.place for stored in chosen}, payload, at + self._resend_s)
