"""What the unit is joined from: the inbox of its one deciding thread, and the few methods that it needs of each keep."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge import lane
from edge.feeds import Fed, Sample
from edge.link import LinkNews
from edge.outbox import Person
from edge.scan import Crowd, Glimpse, Sighting
from healthcode.messages import AnyEvent, Response
from healthcode.status import StatusList
from healthcode.terms import ClockState, LaneMode
from healthcode.trust import KeyRing

BEHIND = 200
"""Waiting inputs beyond which what cameras and thermometers bring is dropped."""

Posted = Fed | lane.Input | LinkNews


class Inbox:
    """What waits for the deciding thread. Buttons, beams and the fire loop always get in; frames and readings only while it keeps up."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Posted] = queue.SimpleQueue()
        self.dropped = 0

    def put(self, item: lane.Input) -> None:
        """Something that must not be lost."""
        self._queue.put(item)

    def feed(self, item: Fed) -> None:
        """Something of which only the newest counts."""
        if self._queue.qsize() > BEHIND and isinstance(item, Sighting | Crowd | Glimpse | Sample):
            self.dropped += 1
            return
        self._queue.put(item)

    def news(self, item: LinkNews) -> None:
        """Something that the link has to tell."""
        self._queue.put(item)

    def get(self, limit_s: float) -> Posted | None:
        """The next item, waited for up to `limit_s` seconds; None where none came."""
        try:
            return self._queue.get(timeout=limit_s)
        except queue.Empty:
            return None


class Knowledge(Protocol):
    """What the unit holds: keys and lists."""

    @property
    def lists(self) -> Mapping[str, StatusList]:
        """The lists held, by uri."""

    def keys(self, at: float) -> KeyRing | None:
        """The keys that count at `at`."""


class Keeping(Protocol):
    """Where events go, and who passed lately."""

    @property
    def recent(self) -> Mapping[Person, float]:
        """When each person last passed here, wall seconds."""

    def append(self, events: Sequence[AnyEvent], used: Mapping[Person, float] | None = None) -> list[int]:
        """Writes events to disk; OutboxFault where it cannot."""

    def newest(self, limit: int) -> list[AnyEvent]:
        """The last events on disk, the oldest of them first; OutboxFault where it cannot."""


class Timing(Protocol):
    """The unit's clock."""

    def now(self, mono: float | None = None) -> float:
        """Seconds since 1970."""

    def state(self) -> ClockState:
        """How far that is to be believed."""


class Moving(Protocol):
    """The gate's outputs."""

    def apply(self, effects: Sequence[lane.Effect], at: float) -> None:
        """Carries out effects."""


class Remembering(Protocol):
    """The lane's mode over a restart."""

    kept: LaneMode
    trouble: str

    def keep(self, mode: LaneMode, at: float, *, anew: bool = False) -> None:
        """The lane is in this mode."""


@dataclass(frozen=True)
class Keeps:
    """What the unit remembers and how it acts; `monotonic` gives seconds, `wake` tells the link that there is
    something to send, `respond` has it answer a request, `certificate_key` hashes who shows a foreign certificate."""

    knowledge: Knowledge
    outbox: Keeping
    clock: Timing
    gate: Moving
    modes: Remembering
    monotonic: Callable[[], float]
    wake: Callable[[], None]
    respond: Callable[[str, Response], None]
    certificate_key: bytes
