"""What the server tells third parties of its units: each as it sees it on bridge/units/{unit}, and as a device of Home Assistant.

Whoever listens to the broker alone would take a dead unit's retained `online` for life; this is retained too, and it is the server that
keeps it true. While the server is gone, its own last will on bridge/state says so.
"""

from __future__ import annotations

from collections import OrderedDict

from healthcode import topics
from healthcode.messages import Info, UnitSeen, encode, stamp
from server import home_assistant
from server.fleet_state import Presence
from server.fleet_watch import FleetWatch, Unit
from server.lists import Publication

LOOK_EVERY_S = 1.0
AT_ONCE = 20
"""Devices told at a time, each some 13 KB: a thousand take five seconds, and nothing waits behind them."""


class SeenUnits:
    """What to publish of units. `prefix` is Home Assistant's; empty where it is told of none."""

    def __init__(self, watch: FleetWatch, prefix: str = "") -> None:
        self.prefix = prefix
        self._watch = watch
        self._token = ""
        self._look_due = float("-inf")
        self._said: dict[str, bytes] = {}
        self._devices: dict[str, tuple[bool, Info | None, str]] = {}
        self._to_tell: OrderedDict[str, bytes] = OrderedDict()

    def due(self, at: float) -> list[Publication]:
        """What to publish at the monotonic time `at`."""
        told: list[Publication] = []
        if at >= self._look_due:
            self._look_due = at + LOOK_EVERY_S
            seen = self._watch.see(self._token)
            self._token = seen.token
            told = [each for unit in seen.units for each in self._look_at(unit)]
        for _ in range(min(AT_ONCE, len(self._to_tell))):
            name, payload = self._to_tell.popitem(last=False)
            told.append(Publication(home_assistant.config_topic(self.prefix, name), payload, retain=True))
        return told

    def again(self) -> None:
        """All of it at the next asking: the broker may have forgotten it."""
        self._token, self._look_due = "", float("-inf")
        self._said.clear()
        self._devices.clear()

    def tell_devices(self) -> None:
        """Home Assistant is there, perhaps anew: every device is told again."""
        self._devices.clear()
        self._token = ""

    def _look_at(self, unit: Unit) -> list[Publication]:
        is_retired = unit.state.presence is Presence.RETIRED
        said = b"" if is_retired else encode(_seen(unit))
        told_of = (is_retired, unit.state.info, unit.site)
        if self.prefix and self._devices.get(unit.unit) != told_of:
            self._devices[unit.unit] = told_of
            self._to_tell[unit.unit] = b"" if is_retired else home_assistant.device(unit.unit, unit.state.info, unit.site)
        if self._said.get(unit.unit) == said:
            return []
        self._said[unit.unit] = said
        return [Publication(topics.unit_seen(unit.unit), said, retain=True)]


def _seen(unit: Unit) -> UnitSeen:
    state = unit.state
    return UnitSeen(unit=unit.unit, state=state.presence.value, since=stamp(state.since_ms / 1000), alerts=sorted(state.alerts))
