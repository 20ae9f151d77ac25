"""How units are said to people, and as JSON to programs: presence with a shape and a word, ages in the unit that fits."""

from __future__ import annotations

from collections import Counter

import msgspec
from rich.table import Table
from rich.text import Text

from healthcode.alerts import ALERTS, Weight
from healthcode.messages import Lane
from healthgate.cells import cell
from healthgate.times import rfc3339
from server.fleet_rank import Need, need_of
from server.fleet_state import Presence, UnitState
from server.fleet_watch import Seen, Unit

SHAPES = {Presence.ONLINE: "●", Presence.SILENT: "◌", Presence.OFFLINE: "○", Presence.UNKNOWN: "?", Presence.RETIRED: "–"}
_STYLES = {
    Presence.ONLINE: "green",
    Presence.SILENT: "bold red",
    Presence.OFFLINE: "bold red",
    Presence.UNKNOWN: "yellow",
    Presence.RETIRED: "dim",
}
_ALERT_STYLES = {Weight.STOPS: "bold red", Weight.ALARM: "bold magenta", Weight.WARNS: "yellow"}
_ALERT_SHAPES = {Weight.STOPS: "✖", Weight.ALARM: "▲", Weight.WARNS: "!"}
RESTING = "locked"
"""The stage of a lane that waits for somebody."""
COLUMNS = ("unit", "state", "lane", "light", "lists", "clock", "sensor", "camera", "waiting", "passes", "alerts")
WIDE = 110
NEEDLESS = frozenset({"light", "waiting", "passes"})
"""Columns that a terminal narrower than so many characters goes without."""
OLD_LISTS_S = 300.0
"""Lists are stated anew every 30 s: one this old says that news does not get through."""


def age(seconds: float | None) -> str:
    """So long, in the largest unit that leaves two digits at most; a dash for None."""
    if seconds is None:
        return "-"
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def order(units: tuple[Unit, ...]) -> list[Unit]:
    """The worst first, then by name."""
    return sorted(units, key=lambda unit: (need_of(unit.state), unit.unit))


def presence(state: UnitState, at_ms: int) -> Text:
    """Shape, word, and since when where it is not there."""
    words = f"{SHAPES[state.presence]} {state.presence.value}"
    if state.heard_ms is None and state.presence is Presence.UNKNOWN:
        words = f"{SHAPES[state.presence]} never heard"
    elif state.presence is not Presence.ONLINE and state.since_ms:
        words += f" {age((at_ms - state.since_ms) / 1000)}"
    return Text(words, style=_STYLES[state.presence])


def alerts(state: UnitState) -> Text:
    """The alerts by name, the worst first, each with its shape; dim where they are those of a unit that is gone."""
    names = sorted(state.alerts, key=lambda name: (list(Weight).index(weight_of(name)), name))
    gone = state.presence is not Presence.ONLINE
    parts = [Text(f"{_ALERT_SHAPES[weight_of(name)]} {name}", style="dim" if gone else _ALERT_STYLES[weight_of(name)]) for name in names]
    return Text("  ").join(parts)


def weight_of(name: str) -> Weight:
    """How bad an alert is; one that this program does not know warns."""
    return ALERTS[name].weight if name in ALERTS else Weight.WARNS


def table(seen: Seen, width: int = WIDE) -> Table:
    """The fleet as a table, with fewer columns where it is narrower than WIDE. What a unit said before it went is dim."""
    made = Table(box=None, pad_edge=False)
    columns = [name for name in COLUMNS if width >= WIDE or name not in NEEDLESS]
    for name in columns:
        made.add_column(name, no_wrap=name in ("unit", "state"), justify="right" if name in ("lists", "waiting", "passes") else "left")
    for unit in order(seen.units):
        state, status, lane = unit.state, unit.state.status, unit.state.lane
        gone = unit.is_gone
        lists = Text(age(status.list_age_s if status else None), style=_old(status.list_age_s if status else None))
        cells: dict[str, Text | str] = {
            "unit": cell(unit.unit),
            "state": presence(state, seen.at_ms),
            "lane": lane_words(lane),
            "light": lane.signal if lane else "-",
            "lists": lists,
            "clock": _works(status.clock_trusted if status else None),
            "sensor": _works(status.sensor_ok if status else None),
            "camera": _works(status.camera_ok if status else None),
            "waiting": str(status.outbox_pending) if status else "-",
            "passes": str(status.passes) if status else "-",
            "alerts": alerts(state),
        }
        made.add_row(*(cells[name] for name in columns), style="dim" if gone else "")
    return made


def lane_words(lane: Lane | None) -> str:
    """The lane's mode, and its stage where that says more."""
    if lane is None:
        return "-"
    return lane.mode.value if lane.stage in (lane.mode.value, RESTING) else f"{lane.mode.value}, {lane.stage}"


def summary(seen: Seen) -> str:
    """How many units there are of each kind, in one line; and of each release, where they run several."""
    needs = [need_of(unit.state) for unit in seen.units]
    words = {
        Need.GONE: "gone",
        Need.STOPPED: "stopped",
        Need.ALARM: "with an alarm",
        Need.WARNING: "with a warning",
        Need.UNKNOWN: "unknown",
        Need.WELL: "well",
        Need.RETIRED: "retired",
    }
    told = ", ".join(f"{needs.count(need)} {word}" for need, word in words.items() if need in needs)
    runs = Counter(unit.state.info.software for unit in seen.units if unit.state.info is not None).most_common()
    releases = "; " + ", ".join(f"{cell(software)} on {count}" for software, count in runs) if len(runs) > 1 else ""
    listens = "" if seen.listening_ms is not None else "; the server does not listen: this is as it was"
    return f"{len(seen.units)} {'unit' if len(seen.units) == 1 else 'units'}: {told or 'none is known yet'}{releases}{listens}"


def as_dict(unit: Unit, at_ms: int) -> dict[str, object]:
    """A unit for programs: `need` is the word of how much it needs somebody, `as_of` when what it says was so."""
    state = unit.state
    return {
        "unit": unit.unit,
        "site": unit.site,
        "note": unit.note,
        "state": state.presence.value,
        "since": rfc3339(state.since_ms / 1000),
        "need": need_of(state).name.lower(),
        "as_of": None if state.heard_ms is None else rfc3339((at_ms if not unit.is_gone else state.heard_ms) / 1000),
        "software": None if state.info is None else state.info.software,
        "hardware": None if state.info is None else state.info.hardware,
        "boot_id": None if state.info is None else state.info.boot_id,
        "lane": msgspec.to_builtins(state.lane),
        "status": msgspec.to_builtins(state.status),
        "alerts": [msgspec.to_builtins(alert) for _, alert in sorted(state.alerts.items())],
    }


def _works(number: int | None) -> Text:
    if number is None:
        return Text("-")
    return Text("✓", style="green") if number else Text("✖", style="bold red")


def _old(seconds: float | None) -> str:
    return "bold red" if seconds is not None and seconds >= OLD_LISTS_S else ""
