"""Keeps what units say of themselves and what their hours count, for a batch of messages in the transaction that stores its events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection

from healthcode.messages import AnyEvent, UnitStatus
from server.fleet_hours import ALL, Hour, hour_of, start_of
from server.fleet_state import Heard, UnitState, hear, is_news, listening_since
from server.store import fleet


def keep(tx: Connection, heard: Sequence[Heard], events: Sequence[tuple[str, AnyEvent]], at_ms: int) -> None:
    """Takes in what was heard, in its order, and (unit, event) that are new; the units are known."""
    if heard:
        _keep_states(tx, heard, at_ms)
    if heard or events:
        _keep_hours(tx, heard, events, at_ms)


def _keep_states(tx: Connection, heard: Sequence[Heard], at_ms: int) -> None:
    bridge = fleet.find_bridge(tx)
    listening_ms = listening_since(bridge.since_ms, bridge.beat_ms, at_ms)
    before = fleet.find_states(tx, {one.unit for one in heard})
    now = dict(before)
    for one in heard:
        now[one.unit] = hear(now.get(one.unit) or UnitState(one.unit), one, listening_ms, at_ms)
    fleet.put_states(tx, [state for unit, state in now.items() if unit not in before or is_news(before[unit], state)])


def _keep_hours(tx: Connection, heard: Sequence[Heard], events: Sequence[tuple[str, AnyEvent]], at_ms: int) -> None:
    """Each event into the hour of its unit, and into that of all units."""
    found: dict[tuple[str, int], list[AnyEvent]] = defaultdict(list)
    for unit, event in events:
        found[(unit, hour_of(event, at_ms))].append(event)
    statuses = {one.unit: one.said for one in heard if isinstance(one.said, UnitStatus) and not one.is_retained}
    this_hour = start_of(at_ms)
    keys = {*found, *((unit, this_hour) for unit in statuses)}
    keys |= {(ALL, hour_ms) for _, hour_ms in keys}
    before = fleet.find_hours(tx, keys)
    changed: dict[tuple[str, int], Hour] = {}
    for (unit, hour_ms), happened in found.items():
        part = Hour()
        for event in happened:
            part.count(event)
        if part == Hour():
            continue
        for key in ((unit, hour_ms), (ALL, hour_ms)):
            changed[key] = before.setdefault(key, Hour())
            changed[key].add(part)
    for unit, status in statuses.items():
        for key in ((unit, this_hour), (ALL, this_hour)):
            hour = before.setdefault(key, Hour())
            if hour.note_status(status):
                changed[key] = hour
    fleet.put_hours(tx, changed)
