"""Events on their way to the disk: written at once, or kept in memory while the disk does not take them. For the deciding thread alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from edge.outbox import OutboxFault, Person
from edge.parts import Keeping
from healthcode.messages import AnyEvent, PassEvent

log = logging.getLogger(__name__)

UNSAVED_KEPT = 1000
"""Events that wait in memory while the disk does not take them."""
SAVE_AGAIN_S = 1.0
NOBODY: Mapping[Person, float] = MappingProxyType({})


class Unsaved:
    """What the disk did not take: events in their order, and the passages that belong to them.

    Beyond `most` the oldest verdicts go first: what the guard did is worth more than whom the gate turned away.
    """

    def __init__(self, most: int = UNSAVED_KEPT) -> None:
        self.events: list[AnyEvent] = []
        self.used: dict[Person, float] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self.events)

    def add(self, events: Sequence[AnyEvent], used: Mapping[Person, float]) -> None:
        """Keeps `events` and `used` until there is room on the disk."""
        self.events += events
        self.used.update(used)
        while len(self.events) > self._most:
            verdict = next((place for place, event in enumerate(self.events) if isinstance(event, PassEvent)), 0)
            del self.events[verdict]

    def clear(self) -> None:
        """All of it is on disk."""
        self.events = []
        self.used = {}


class Recorder:
    """Writes events in their order. `used` says whose passages they tell of, and when (wall seconds)."""

    def __init__(self, outbox: Keeping, wake: Callable[[], None]) -> None:
        """`wake` tells the link that there is something to send."""
        self._outbox = outbox
        self._wake = wake
        self._unsaved = Unsaved()
        self._again_at = 0.0

    @property
    def unsaved(self) -> int:
        """How many events wait in memory."""
        return len(self._unsaved)

    def append(self, events: Sequence[AnyEvent], used: Mapping[Person, float] = NOBODY) -> list[int]:
        """Writes `events` after those that still wait in memory; the seqs of all. OutboxFault where the disk does not take them."""
        numbers = self._outbox.append([*self._unsaved.events, *events], {**self._unsaved.used, **used})
        if self._unsaved:
            log.info("events are stored again")
        self._unsaved.clear()
        self._wake()
        return numbers

    def put_by(self, wrong: OutboxFault, events: Sequence[AnyEvent], used: Mapping[Person, float] = NOBODY) -> None:
        """Keeps in memory what the disk did not take, to be written later; one line of log for an outage."""
        if not self._unsaved:
            log.error("events cannot be stored, nobody is admitted: %s", wrong)
        self._unsaved.add(events, used)

    def record(self, events: Sequence[AnyEvent], used: Mapping[Person, float] = NOBODY) -> None:
        """Writes events that change no decision; where the disk does not take them they wait in memory."""
        try:
            self.append(events, used)
        except OutboxFault as wrong:
            self.put_by(wrong, events, used)

    def tick(self, at: float) -> None:
        """Tries again with what waits, once a second; `at` in monotonic seconds."""
        if self._unsaved and at >= self._again_at:
            self._again_at = at + SAVE_AGAIN_S
            self.record([])
