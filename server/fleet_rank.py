"""Which unit somebody should look at first, and how a unit is said in one word. Pure."""

from __future__ import annotations

from enum import IntEnum

from healthcode.alerts import ALERTS, Weight
from server.fleet_state import Presence, UnitState


class Need(IntEnum):
    """How much a unit needs somebody, the worst first."""

    GONE = 0
    STOPPED = 1
    ALARM = 2
    WARNING = 3
    UNKNOWN = 4
    WELL = 5
    RETIRED = 6


_NEED_OF = {Weight.STOPS: Need.STOPPED, Weight.ALARM: Need.ALARM, Weight.WARNS: Need.WARNING}


def need_of(state: UnitState) -> Need:
    """What a unit needs. One that is gone needs that first, whatever it said before."""
    if state.presence is Presence.RETIRED:
        return Need.RETIRED
    if state.presence in (Presence.OFFLINE, Presence.SILENT):
        return Need.GONE
    if state.presence is Presence.UNKNOWN:
        return Need.UNKNOWN
    return min((_NEED_OF[ALERTS[name].weight] if name in ALERTS else Need.WARNING for name in state.alerts), default=Need.WELL)
