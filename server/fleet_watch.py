"""The fleet as it is watched: every unit with what is known of it now, what changed since, its last events, its hours.

The bridge's process writes (`server.fleet_book`, and here `beat` and `look`); commands and the web's process read. A reader asks again
with the token that it was given and is told what changed; with everything, where whether the bridge listens or which units there are has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import msgspec

from healthcode.messages import AnyEvent
from server.fleet_hours import ALL, Hour
from server.fleet_state import SILENT_MS, Presence, UnitState, judge, listening_since
from server.store import Store, events, fleet, to_ms
from server.store.events import AlertRow, EventRow

BEAT_EVERY_S = 5.0
"""How often the bridge says that it listens and looks who has fallen silent."""
SERVER_ALERTS = frozenset({"enrolment", "event_conflict", "fevers_for_review", "sync_budget"})
"""The server's own alerts that are about a unit: none of them says who passed."""
_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


@dataclass(frozen=True)
class Unit:
    """A unit: its name, where it stands, and how it is."""

    unit: str
    note: str
    site: str
    added_ms: int
    state: UnitState

    @property
    def is_gone(self) -> bool:
        """Whether what is shown of it is how it was when it was last heard."""
        return self.state.presence is not Presence.ONLINE


@dataclass(frozen=True)
class Seen:
    """How the fleet is at `at_ms`, or what of it changed. `listening_ms`: since when the bridge listens, None where it does not."""

    token: str
    at_ms: int
    listening_ms: int | None
    is_whole: bool
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Happened:
    """A stored event, for operators: without the code, and without the list and the index that name somebody."""

    boot_id: str
    seq: int
    received_ms: int
    event: AnyEvent


class FleetWatch:
    """Reads, and keeps in step with time. `now` gives seconds since 1970."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def see(self, token: str = "") -> Seen:
        """The fleet as it is, or what of it changed since the answer that had `token`."""
        at_ms = to_ms(self._now())
        with self._store.read() as tx:
            bridge = fleet.find_bridge(tx)
            listening_ms = listening_since(bridge.since_ms, bridge.beat_ms, at_ms)
            frame = f"{listening_ms is not None:d}.{events.count_units(tx)}"
            change = _change_of(token, frame)
            is_new = change is None or change != bridge.change
            states = {state.unit: state for state in fleet.list_states(tx, -1 if change is None else change)} if is_new else {}
            rows = events.list_units(tx) if change is None else events.find_units(tx, states)
        units = [
            Unit(row.unit, row.note, row.site, row.added_ms, judge(states.get(row.unit) or _unheard(row), listening_ms, at_ms))
            for row in rows
        ]
        return Seen(f"{bridge.change}.{frame}", at_ms, listening_ms, change is None, tuple(units))

    def find(self, unit: str) -> Unit | None:
        """One unit as it is; None where it is not known."""
        at_ms = to_ms(self._now())
        with self._store.read() as tx:
            bridge = fleet.find_bridge(tx)
            row = events.find_unit(tx, unit)
            if row is None:
                return None
            state = fleet.find_states(tx, [unit]).get(unit) or _unheard(row)
        return Unit(unit, row.note, row.site, row.added_ms, judge(state, listening_since(bridge.since_ms, bridge.beat_ms, at_ms), at_ms))

    def server_alerts(self, unit: str) -> list[AlertRow]:
        """What the server itself says of the unit, the newest first; without what could lead to somebody."""
        with self._store.read() as tx:
            return [row for row in events.find_alerts(tx, unit) if row.name in SERVER_ALERTS]

    def last_events(self, unit: str, limit: int, kinds: Collection[str] = ()) -> list[Happened]:
        """What the unit reported last, the newest first; of these kinds alone, where any are named."""
        with self._store.read() as tx:
            return [_happened(row) for row in fleet.last_events(tx, unit, limit, kinds)]

    def events_from(self, unit: str, received_ms: int, limit: int) -> list[Happened]:
        """What the unit reported that came at `received_ms` or later, in the order in which it came, at most `limit`."""
        with self._store.read() as tx:
            return [_happened(row) for row in fleet.events_from(tx, unit, received_ms, limit)]

    def hours(self, since_ms: int, until_ms: int, units: Sequence[str] | None = None) -> dict[int, Hour]:
        """What each hour counted that began from `since_ms` to before `until_ms`: at these units together, or at all with None."""
        with self._store.read() as tx:
            found = fleet.list_hours(tx, [ALL] if units is None else units, since_ms, until_ms)
        hours: dict[int, Hour] = {}
        for _, hour_ms, hour in found:
            hours.setdefault(hour_ms, Hour()).add(hour)
        return hours

    def beat(self, since: float | None) -> None:
        """The bridge listens since then (seconds since 1970), or does not with None; looks who has fallen silent meanwhile."""
        at_ms = to_ms(self._now())
        listening_ms = None if since is None else to_ms(since)
        with self._store.write() as tx:
            fleet.beat(tx, listening_ms, at_ms)
            fading = fleet.list_fading(tx, at_ms - SILENT_MS)
            judged = [(state, judge(state, listening_ms, at_ms)) for state in fading]
            fleet.put_states(tx, [after for before, after in judged if after.presence is not before.presence])


def without_person(event: AnyEvent) -> AnyEvent:
    """The event without what could lead to somebody: code, certificate, list and index."""
    fields = {"code", "certificate", "list", "index"} & set(event.__struct_fields__)
    return msgspec.structs.replace(event, **dict.fromkeys(fields)) if fields else event


def _happened(row: EventRow) -> Happened:
    return Happened(row.boot_id, row.seq, row.received_ms, without_person(_EVENT.decode(row.body)))


def _change_of(token: str, frame: str) -> int | None:
    """Where the counter stood when `token` was given; None where all is to be told anew."""
    number, _, rest = token.partition(".")
    return int(number) if rest == frame and number.isdecimal() and len(number) < 19 else None


def _unheard(row: events.UnitRow) -> UnitState:
    return UnitState(row.unit, since_ms=row.added_ms, word_ms=row.added_ms)
