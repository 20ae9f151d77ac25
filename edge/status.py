"""The unit's numbers, once a minute: one flat message, as those who watch a fleet expect."""

from __future__ import annotations

from typing import Protocol

from edge.cache import Cache
from edge.clock import Clock
from edge.feeds import CameraFeed, Device
from edge.outbox import Outbox
from edge.unit import Unit
from healthcode.messages import UnitStatus
from healthcode.terms import ClockState, Decision


class Publishing(Protocol):
    """What carries the numbers."""

    def status(self, status: UnitStatus) -> None:
        """Publishes them."""


class Reporter:
    """Puts the numbers together when they are due. Times in monotonic seconds."""

    def __init__(self, unit: Unit, cache: Cache, outbox: Outbox, clock: Clock, camera: CameraFeed, at: float, period_s: float) -> None:
        self._unit = unit
        self._cache = cache
        self._outbox = outbox
        self._clock = clock
        self._camera = camera
        self._started_at = at
        self._period_s = period_s
        self._last_at = at
        self._due = at
        self._frames = 0

    def report(self, at: float, link: Publishing) -> None:
        """Publishes the numbers where they are due at `at`."""
        if at >= self._due:
            self._due = at + self._period_s
            link.status(self.status(at))

    def status(self, at: float) -> UnitStatus:
        """The numbers at `at`; frames a second since the last time."""
        unit, now = self._unit, self._clock.now(at)
        seen, passed = self._camera.frames, max(1e-3, at - self._last_at)
        rate = (seen - self._frames) / passed
        self._frames, self._last_at = seen, at
        ages = [now - held.as_of for held in self._cache.lists.values()]
        trust = self._cache.trust
        return UnitStatus(
            uptime_s=round(at - self._started_at, 1),
            outbox_pending=self._outbox.waiting,
            lists_held=len(ages),
            list_age_s=round(max(ages), 1) if ages else None,
            trust_version=trust.version if trust is not None else None,
            clock_trusted=int(self._clock.state() is ClockState.TRUSTED),
            passes=sum(unit.counts.values()),
            admitted=unit.counts[Decision.ADMIT],
            refused=unit.counts[Decision.REFUSE],
            called_guard=unit.counts[Decision.CALL_GUARD],
            frames_per_s=round(rate, 1),
            sensor_ok=int(unit.works.get(Device.SENSOR, False)),
            camera_ok=int(unit.works.get(Device.CAMERA, False)),
        )
