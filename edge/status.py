"""What the unit says of itself: its lane and its alerts as they change; its numbers once a minute, one flat message.

The numbers come sooner where one changes that says whether a part works: a gate that has just started must not look broken for a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from edge.alerts import NAMES, Condition, find_alerts
from edge.board import Board, BoardState
from edge.cache import Cache
from edge.clock import Clock
from edge.config import Config
from edge.feeds import CameraFeed, Device
from edge.hours import Hours
from edge.outbox import Outbox
from edge.passage import State
from edge.transitions import Stage
from edge.unit import Unit
from healthcode.messages import Alert, Lane, UnitStatus, stamp
from healthcode.terms import ClockState, Decision, LaneMode

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
"""How often the alerts are looked for, and at most how often the lane is said: a passage is three or four changes."""


SOONER_S = 5.0
"""The least time between two messages of numbers."""
BOARD_EVERY_S = 2.0
"""How often the board is looked at: as often as the kernel asks the firmware whether the supply was too low."""
DIP_S = 60.0
"""How long the alert of a supply that was too low outlasts it: it comes and goes with the load."""


class Publishing(Protocol):
    """What carries the numbers."""

    @property
    def is_connected(self) -> bool:
        """Whether the broker can be reached."""

    def status(self, status: UnitStatus) -> None:
        """Publishes them."""

    def lane(self, lane: Lane) -> None:
        """Publishes how the lane stands."""

    def alert(self, name: str, alert: Alert | None) -> None:
        """Raises an alert, or clears it with None."""


class Reporter:
    """Puts the numbers together when they are due. Times in monotonic seconds."""

    def __init__(
        self,
        config: Config,
        unit: Unit,
        cache: Cache,
        outbox: Outbox,
        clock: Clock,
        camera: CameraFeed,
        board: Board,
        hours: Hours,
        refused: Callable[[], str],
        at: float,
    ) -> None:
        """`refused` says why the newest configuration from afar came to nothing, in one line; empty where it did not."""
        self._config = config
        self._board = board
        self._hours = hours
        self._refused = refused
        self._board_state = BoardState()
        self._board_due = at
        self._dipped_at = float("-inf")
        self._unit = unit
        self._cache = cache
        self._outbox = outbox
        self._clock = clock
        self._camera = camera
        self._started_at = at
        self._period_s = config.link.status_period_s
        self._last_at = at
        self._due = at
        self._told: tuple[object, ...] = ()
        self._frames = 0
        self._look_due = at
        self._was_connected = False
        self._raised: dict[str, Alert] = {}
        self._shown: State | None = None

    @property
    def summary(self) -> str:
        """How the unit is, one line."""
        return f"{'on line' if self._was_connected else 'off line'}; {', '.join(self._raised) or 'no alerts'}"

    def report(self, at: float, link: Publishing) -> None:
        """Publishes the numbers where they are due at `at`."""
        if at >= self._look_due:
            self._look_due = at + LOOK_EVERY_S
            self._report_lane(at, link)
            self._report_alerts(at, link)
            if at >= self._last_at + SOONER_S and self._working() != self._told:
                self._due = at
        if at >= self._due:
            self._due = at + self._period_s
            self._told = self._working()
            link.status(self.status(at))

    def _working(self) -> tuple[object, ...]:
        """Which parts work, and what the unit goes by."""
        works, trust = self._unit.devices.works, self._cache.trust
        held = (None if trust is None else trust.version, frozenset(self._cache.lists))
        return (works.get(Device.SENSOR, False), works.get(Device.CAMERA, False), self._clock.state() is ClockState.TRUSTED, held)

    def _report_lane(self, at: float, link: Publishing) -> None:
        """Publishes how the lane stands where what can be seen of it has changed."""
        state, before = self._unit.state, self._shown
        if state.light is None or (before is not None and _seen_of(state) == _seen_of(before)):
            return
        self._shown = state
        now = self._clock.now(at)
        link.lane(
            Lane(
                since=stamp(now),
                mode=state.mode,
                stage=state.stage.value,
                signal=state.light.value,
                fire=state.fire,
                tamper=state.tamper,
                until=stamp(now + state.free_until - at) if state.mode is LaneMode.FREE else None,
            )
        )

    def _report_alerts(self, at: float, link: Publishing) -> None:
        """Publishes the alerts that have come, changed or gone; after a new connection all of them, the cleared ones too."""
        now, before = self._clock.now(at), self._raised
        self._raised = {
            name: Alert(name=name, since=before[name].since if name in before else stamp(now), detail=detail)
            for name, detail in self._find_alerts(at, now).items()
        }
        for name in self._raised.keys() - before.keys():
            log.warning("alert %s: %s", name, self._raised[name].detail)
        for name in before.keys() - self._raised.keys():
            log.info("alert %s is over", name)
        is_new = link.is_connected and not self._was_connected
        self._was_connected = link.is_connected
        for name in NAMES:
            if is_new or before.get(name) != self._raised.get(name):
                link.alert(name, self._raised.get(name))

    def _find_alerts(self, at: float, now: float) -> dict[str, str]:
        self._look_at_board(at)
        while self._unit.concluded:
            self._hours.count(self._unit.concluded.popleft())
        return find_alerts(self.condition(at, now), self._config.statements, self._config.board, now, frozenset(self._raised))

    def _look_at_board(self, at: float) -> None:
        if at >= self._board_due:
            self._board_due = at + BOARD_EVERY_S
            self._board_state = self._board.read()
            if self._board_state.under_voltage:
                self._dipped_at = at

    def condition(self, at: float, now: float) -> Condition:
        """What alerts are found in, at the monotonic time `at` and the wall time `now`."""
        cache, unit, board = self._cache, self._unit, self._board_state
        lasting = "held_open" if unit.state.stage is Stage.HELD_OPEN else ""
        wall = None if self._clock.state() is ClockState.UNTRUSTED else now
        lately = unit.lately.standing(at, self._config.lane.alert_s, lasting=lasting)
        return Condition(
            troubles=unit.troubles,
            doubt=self._clock.doubt(),
            floor_error=self._clock.disk_error,
            trust=cache.trust,
            wanted=frozenset(cache.wanted()),
            left_out=cache.left_out(),
            as_of={uri: held.as_of for uri, held in cache.lists.items()},
            unsaved=unit.unsaved,
            disk_error=cache.disk_error,
            tamper=unit.state.tamper,
            lately=lately | self._hours.find_unusual(at, wall, frozenset(self._raised)),
            configuration=self._refused(),
            waiting=self._outbox.waiting,
            board_c=board.board_c,
            under_voltage=at - self._dipped_at < DIP_S,
            disk_free_mb=board.disk_free_mb,
            certificate_ends=board.certificate_ends,
            certificate_unread=board.unread,
        )

    def status(self, at: float) -> UnitStatus:
        """The numbers at `at`; frames a second since the last time."""
        unit, now = self._unit, self._clock.now(at)
        seen, passed = self._camera.frames, max(1e-3, at - self._last_at)
        rate = (seen - self._frames) / passed
        self._frames, self._last_at = seen, at
        ages = [now - held.as_of for held in self._cache.lists.values()]
        trust = self._cache.trust
        self._look_at_board(at)
        board, ambient_c = self._board_state, unit.ambient_c
        return UnitStatus(
            uptime_s=round(at - self._started_at, 1),
            outbox_pending=self._outbox.waiting,
            lists_held=len(ages),
            list_age_s=round(max(ages), 1) if ages else None,
            trust_version=trust.version if trust is not None else None,
            roots_held=len(self._cache.roots.signing(trust.version if trust is not None else 0)),
            clock_trusted=int(self._clock.state() is ClockState.TRUSTED),
            passes=sum(unit.counts.values()),
            admitted=unit.counts[Decision.ADMIT],
            refused=unit.counts[Decision.REFUSE],
            called_guard=unit.counts[Decision.CALL_GUARD],
            frames_per_s=round(rate, 1),
            sensor_ok=int(unit.devices.works.get(Device.SENSOR, False)),
            camera_ok=int(unit.devices.works.get(Device.CAMERA, False)),
            alerts=len(self._raised),
            ambient_c=None if ambient_c is None else round(ambient_c, 2),
            board_c=None if board.board_c is None else round(board.board_c, 1),
            under_voltage=None if board.under_voltage is None else int(board.under_voltage),
            disk_free_mb=None if board.disk_free_mb is None else round(board.disk_free_mb),
            certificate_days=None if board.certificate_ends is None else round((board.certificate_ends - now) / 86_400, 2),
        )


def _seen_of(state: State) -> tuple[object, ...]:
    """What of the lane's state can be seen."""
    return (state.mode, state.stage, state.light, state.fire, state.tamper, state.free_until)
