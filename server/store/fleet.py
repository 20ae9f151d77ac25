"""Queries about how units are now and what their hours counted. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, bindparam

from healthcode.messages import Alert, Info, Lane, UnitStatus
from server.fleet_hours import Hour
from server.fleet_state import Presence, UnitState
from server.store.events import EventRow
from server.store.sql import text

T = TypeVar("T")

AT_ONCE = 500
"""Units that one question names: databases bound how many values one may have."""
_COLUMNS = "unit, presence, since_ms, word, word_ms, heard_ms, status_ms, info, status, lane, alerts"
_ALERTS: msgspec.json.Decoder[Mapping[str, Alert]] = msgspec.json.Decoder(dict[str, Alert])
_INFO = msgspec.json.Decoder(Info)
_STATUS = msgspec.json.Decoder(UnitStatus)
_LANE = msgspec.json.Decoder(Lane)
_HOUR = msgspec.json.Decoder(Hour)
_STATES_OF = text(f"SELECT {_COLUMNS} FROM fleet_states WHERE unit IN :units").bindparams(bindparam("units", expanding=True))  # noqa: S608
_HOURS_OF = text("SELECT unit, hour_ms, body FROM fleet_hours WHERE (unit, hour_ms) IN :keys").bindparams(bindparam("keys", expanding=True))
_SERIES_OF = text(
    "SELECT unit, hour_ms, body FROM fleet_hours WHERE unit IN :units AND hour_ms >= :since AND hour_ms < :until ORDER BY hour_ms, unit"
).bindparams(bindparam("units", expanding=True))

_LAST = text(
    "SELECT unit, boot_id, seq, kind, at_ms, received_ms, hash, body FROM events WHERE unit = :unit AND kind <> 'purged'"
    " ORDER BY received_ms DESC, at_ms DESC, seq DESC LIMIT :limit"
)
_LAST_OF_KINDS = text(
    "SELECT unit, boot_id, seq, kind, at_ms, received_ms, hash, body FROM events WHERE unit = :unit AND kind IN :kinds"
    " ORDER BY received_ms DESC, at_ms DESC, seq DESC LIMIT :limit"
).bindparams(bindparam("kinds", expanding=True))


@dataclass(frozen=True)
class BridgeRow:
    """The counter of changes; since when the bridge listens, and when it last said so."""

    change: int
    since_ms: int | None
    beat_ms: int | None


def find_states(connection: Connection, units: Collection[str]) -> dict[str, UnitState]:
    """What is known of these units; those of whom nothing is are left out."""
    asked = sorted(units)
    found: dict[str, UnitState] = {}
    for begin in range(0, len(asked), AT_ONCE):
        for row in connection.execute(_STATES_OF, {"units": asked[begin : begin + AT_ONCE]}):
            found[str(row[0])] = _state(row)
    return found


def list_states(connection: Connection, after_change: int = -1) -> list[UnitState]:
    """What is known of every unit, or of those that changed after the counter stood at `after_change`."""
    rows = connection.execute(
        text(f"SELECT {_COLUMNS} FROM fleet_states WHERE change > :change ORDER BY unit"),  # noqa: S608
        {"change": after_change},
    )
    return [_state(row) for row in rows]


def list_fading(connection: Connection, heard_before_ms: int) -> list[UnitState]:
    """Those who were there, or may be, and have not been heard after that: their presence may have to be judged anew."""
    rows = connection.execute(
        text(f"SELECT {_COLUMNS} FROM fleet_states WHERE presence IN ('online', 'unknown') AND heard_ms <= :before"),  # noqa: S608
        {"before": heard_before_ms},
    )
    return [_state(row) for row in rows]


def put_states(connection: Connection, states: Iterable[UnitState]) -> None:
    """Stores them under the next number of the counter of changes."""
    rows = [_row(state) for state in states]
    if not rows:
        return
    change = next_change(connection)
    connection.execute(
        text(
            f"INSERT INTO fleet_states ({_COLUMNS}, change)"  # noqa: S608
            " VALUES (:unit, :presence, :since_ms, :word, :word_ms, :heard_ms, :status_ms, :info, :status, :lane, :alerts, :change)"
            " ON CONFLICT (unit) DO UPDATE SET presence = excluded.presence, since_ms = excluded.since_ms, word = excluded.word,"
            " word_ms = excluded.word_ms, heard_ms = excluded.heard_ms, status_ms = excluded.status_ms, info = excluded.info,"
            " status = excluded.status, lane = excluded.lane, alerts = excluded.alerts, change = excluded.change"
        ),
        [{**row, "change": change} for row in rows],
    )


def drop_state(connection: Connection, unit: str) -> None:
    """Forgets what is known of a unit, and what its hours counted; what all units counted stays."""
    connection.execute(text("DELETE FROM fleet_states WHERE unit = :unit"), {"unit": unit})
    connection.execute(text("DELETE FROM fleet_hours WHERE unit = :unit"), {"unit": unit})
    next_change(connection)


def next_change(connection: Connection) -> int:
    """The counter of changes, one further."""
    return int(connection.execute(text("UPDATE fleet_bridge SET change = change + 1 WHERE id = 1 RETURNING change")).scalar_one())


def find_bridge(connection: Connection) -> BridgeRow:
    """Where the counter stands, and whether the bridge listens."""
    row = connection.execute(text("SELECT change, since_ms, beat_ms FROM fleet_bridge WHERE id = 1")).one()
    return BridgeRow(int(row[0]), row[1], row[2])


def beat(connection: Connection, since_ms: int | None, at_ms: int) -> None:
    """The bridge says that it listens, since when; with None that it does not."""
    connection.execute(
        text("UPDATE fleet_bridge SET since_ms = :since, beat_ms = :at_ms WHERE id = 1"), {"since": since_ms, "at_ms": at_ms}
    )


def find_hours(connection: Connection, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], Hour]:
    """The counts of these (unit, begin of the hour); those without any are left out."""
    asked = sorted(keys)
    found: dict[tuple[str, int], Hour] = {}
    for begin in range(0, len(asked), AT_ONCE):
        for unit, hour_ms, body in connection.execute(_HOURS_OF, {"keys": asked[begin : begin + AT_ONCE]}):
            found[(str(unit), int(hour_ms))] = _HOUR.decode(body)
    return found


def put_hours(connection: Connection, hours: Mapping[tuple[str, int], Hour]) -> None:
    """Stores the counts."""
    if hours:
        connection.execute(
            text(
                "INSERT INTO fleet_hours (unit, hour_ms, body) VALUES (:unit, :hour_ms, :body)"
                " ON CONFLICT (unit, hour_ms) DO UPDATE SET body = excluded.body"
            ),
            [{"unit": unit, "hour_ms": hour_ms, "body": _json(hour)} for (unit, hour_ms), hour in hours.items()],
        )


def list_hours(connection: Connection, units: Sequence[str], since_ms: int, until_ms: int) -> list[tuple[str, int, Hour]]:
    """(unit, begin of the hour, counts) of these units from `since_ms` to before `until_ms`, in the order of time."""
    found: list[tuple[str, int, Hour]] = []
    for begin in range(0, len(units), AT_ONCE):
        values = {"units": units[begin : begin + AT_ONCE], "since": since_ms, "until": until_ms}
        found += [(str(unit), int(hour_ms), _HOUR.decode(body)) for unit, hour_ms, body in connection.execute(_SERIES_OF, values)]
    return sorted(found, key=lambda one: one[:2][::-1])


def purge_hours(connection: Connection, cutoff_ms: int) -> int:
    """Drops the counts of hours that began before `cutoff_ms`; how many."""
    return connection.execute(text("DELETE FROM fleet_hours WHERE hour_ms < :cutoff"), {"cutoff": cutoff_ms}).rowcount


def last_events(connection: Connection, unit: str, limit: int, kinds: Collection[str] = ()) -> list[EventRow]:
    """The events of a unit that came last, at most `limit`, the newest first; of these kinds alone, where any are named."""
    rows = connection.execute(
        _LAST_OF_KINDS if kinds else _LAST, {"unit": unit, "limit": limit, **({"kinds": sorted(kinds)} if kinds else {})}
    )
    return [EventRow(**row._mapping) for row in rows]


def events_from(connection: Connection, unit: str, received_ms: int, limit: int) -> list[EventRow]:
    """The events of a unit that came at `received_ms` or later, in the order in which they came, at most `limit`."""
    rows = connection.execute(
        text(
            "SELECT unit, boot_id, seq, kind, at_ms, received_ms, hash, body FROM events"
            " WHERE unit = :unit AND received_ms >= :since AND kind <> 'purged' ORDER BY received_ms, at_ms, seq LIMIT :limit"
        ),
        {"unit": unit, "since": received_ms, "limit": limit},
    )
    return [EventRow(**row._mapping) for row in rows]


def _state(row: Sequence[object]) -> UnitState:
    unit, presence, since_ms, word, word_ms, heard_ms, status_ms, info, status, lane, alerts = row
    return UnitState(
        unit=str(unit),
        presence=Presence(str(presence)),
        since_ms=_number(since_ms) or 0,
        word=str(word),
        word_ms=_number(word_ms) or 0,
        heard_ms=_number(heard_ms),
        info=_known(_INFO, info),
        status=_known(_STATUS, status),
        status_ms=_number(status_ms),
        lane=_known(_LANE, lane),
        alerts=_known(_ALERTS, alerts) or {},
    )


def _known(decoder: msgspec.json.Decoder[T], stored: object) -> T | None:
    """What a unit said; None where it said nothing, or in the words of another version of this program."""
    try:
        return decoder.decode(str(stored)) if stored else None
    except msgspec.ValidationError:
        return None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _row(state: UnitState) -> dict[str, object]:
    return {
        **{name: getattr(state, name) for name in ("unit", "since_ms", "word", "word_ms", "heard_ms", "status_ms")},
        "presence": state.presence.value,
        "info": _json(state.info),
        "status": _json(state.status),
        "lane": _json(state.lane),
        "alerts": _json(dict(state.alerts)),
    }


def _json(value: object) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()
