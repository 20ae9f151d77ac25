"""Which units the operators' table shows, in which order, and what it says of each. Pure: no clock, no database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from urllib.parse import urlencode

from server.fleet_rank import need_of
from server.fleet_state import Presence
from server.fleet_watch import Unit

ANY = "any"
"""Alerts: whatever they are."""
GRAVE = (Presence.SILENT, Presence.OFFLINE, Presence.UNKNOWN, Presence.ONLINE, Presence.RETIRED)
"""Presences, what has to be looked at first."""


class Order(StrEnum):
    """What the table is sorted by. TROUBLE: as `urgency` says."""

    TROUBLE = "trouble"
    NAME = "name"
    SITE = "site"
    HEARD = "heard"


@dataclass(frozen=True)
class Wanted:
    """The filters as they stand in the address. `find` is a part of name, place or note, or a pattern with * and ?."""

    find: str = ""
    presence: str = ""
    alert: str = ""
    order: str = Order.TROUBLE.value

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Wanted:
        """The filters of an address; what is none is as if it were not there."""
        presence, alert, order = query.get("presence", ""), query.get("alert", ""), query.get("order", "")
        return cls(
            query.get("find", "").strip()[:64],
            presence if presence in tuple(Presence) else "",
            alert.strip()[:64],
            order if order in tuple(Order) else Order.TROUBLE.value,
        )

    @property
    def query(self) -> str:
        """The filters for an address; empty where there are none."""
        values = {"find": self.find, "presence": self.presence, "alert": self.alert}
        shown = {name: value for name, value in values.items() if value}
        return urlencode(shown if self.order == Order.TROUBLE else {**shown, "order": self.order})

    def fits(self, unit: Unit) -> bool:
        """Whether the unit is shown."""
        if self.presence and unit.state.presence.value != self.presence:
            return False
        if self.alert and not (unit.state.alerts if self.alert == ANY else self.alert in unit.state.alerts):
            return False
        return not self.find or _is_found(self.find.casefold(), unit)


def choose(units: Iterable[Unit], wanted: Wanted) -> list[Unit]:
    """Those who fit, in the order that is wanted."""
    found = [unit for unit in units if wanted.fits(unit)]
    match wanted.order:
        case Order.NAME:
            return sorted(found, key=lambda unit: unit.unit)
        case Order.SITE:
            return sorted(found, key=lambda unit: (unit.site, unit.unit))
        case Order.HEARD:
            return sorted(found, key=lambda unit: (unit.state.heard_ms or 0, unit.unit))
        case _:
            return sorted(found, key=urgency)


def urgency(unit: Unit) -> str:
    """What sorts units so that whoever needs somebody most stands first: by need, how it is gone, how many alerts, and by name."""
    state = unit.state
    return f"{need_of(state):d}{GRAVE.index(state.presence)}{99 - min(99, len(state.alerts)):02}{unit.unit}"


def count_presences(units: Iterable[Unit]) -> dict[Presence, int]:
    """How many units there are of each presence."""
    counts = dict.fromkeys(GRAVE, 0)
    for unit in units:
        counts[unit.state.presence] += 1
    return counts


def list_alerts(units: Iterable[Unit]) -> list[str]:
    """The names of all alerts that stand somewhere."""
    return sorted({name for unit in units for name in unit.state.alerts})


def _is_found(find: str, unit: Unit) -> bool:
    texts = [text.casefold() for text in (unit.unit, unit.site, unit.note)]
    if any(mark in find for mark in "*?["):
        return any(fnmatchcase(text, find) for text in texts)
    return any(find in text for text in texts)
