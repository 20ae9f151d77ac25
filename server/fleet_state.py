"""What is known of each unit now, and how that follows from what the unit sends. Pure: times are milliseconds since 1970.

A unit is there only where it was heard: a retained message is the broker's memory, and one that waited for the bridge may be old. What
counts as a sign of life is said by the unit now: its numbers and its lane, which no broker keeps for a bridge that is away, and events
that have just happened. The last will says that it is gone; where no will comes, silence says it (docs/decisions/0196-presence.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from healthcode.messages import Alert, Info, Lane, UnitStatus

SILENT_MS = 80_000
"""A unit not heard for so long is silent: it says its numbers every minute, and 90 s is what a dead one may take to be noticed."""
FRESH_MS = 30_000
"""An event no older than this is a sign of life."""
BEATING_MS = 20_000
"""The bridge says every few seconds that it listens; not having said so for this long it does not."""
MOST_ALERTS = 64
"""Alerts of one unit that are kept."""
SAME_MS = 5_000
"""Being heard again so soon is no news worth a row."""


RETIRED = "retired"
"""The server's own word of a unit."""


class Presence(StrEnum):
    """Whether a unit is there. UNKNOWN: never heard, or the server was not listening; it is not taken for alive. RETIRED: none of ours."""

    ONLINE = "online"
    OFFLINE = "offline"
    SILENT = "silent"
    UNKNOWN = "unknown"
    RETIRED = "retired"


@dataclass(frozen=True)
class StateWord:
    """up/state: the unit, or its last will."""

    online: bool


@dataclass(frozen=True)
class AlertNews:
    """up/alert/{name}: raised, or cleared with None."""

    name: str
    alert: Alert | None


@dataclass(frozen=True)
class EventsNews:
    """up/events: when the newest of them happened by the unit's clock, 0 where it is not believed."""

    newest_ms: int


Saying = StateWord | Info | UnitStatus | Lane | AlertNews | EventsNews


@dataclass(frozen=True)
class Heard:
    """Something that a unit said. `is_retained`: the broker remembered it, the unit did not say it now."""

    unit: str
    said: Saying
    is_retained: bool = False


@dataclass(frozen=True)
class UnitState:
    """A unit as it was last known. `since_ms`: since when its presence is so; `status_ms`: when its numbers came, None where nobody knows.

    `word` is online or offline, what the unit or its last will said last; empty before; or retired, which the server says.
    """

    unit: str
    presence: Presence = Presence.UNKNOWN
    since_ms: int = 0
    word: str = ""
    word_ms: int = 0
    heard_ms: int | None = None
    info: Info | None = None
    status: UnitStatus | None = None
    status_ms: int | None = None
    lane: Lane | None = None
    alerts: Mapping[str, Alert] = field(default_factory=dict)


def hear(state: UnitState, heard: Heard, listening_ms: int | None, at_ms: int) -> UnitState:
    """`state` after something was heard at `at_ms`; who was silent until now was so, though nobody looked."""
    return judge(_take(judge(state, listening_ms, at_ms), heard, at_ms), listening_ms, at_ms)


def _take(state: UnitState, heard: Heard, at_ms: int) -> UnitState:
    live = not heard.is_retained
    match heard.said:
        case StateWord(online=online):
            word = "online" if online else "offline"
            return state if word == state.word else replace(state, word=word, word_ms=at_ms)
        case Info():
            return replace(state, info=heard.said)
        case UnitStatus() if live:
            return replace(_alive(state, at_ms), status=heard.said, status_ms=at_ms)
        case UnitStatus():
            return state if state.status is not None else replace(state, status=heard.said)
        case Lane():
            if live:
                return replace(_alive(state, at_ms), lane=heard.said)
            return state if state.lane is not None else replace(state, lane=heard.said)
        case AlertNews(name=name, alert=None):
            return replace(state, alerts={key: alert for key, alert in state.alerts.items() if key != name})
        case AlertNews(name=name, alert=Alert() as alert) if name in state.alerts or len(state.alerts) < MOST_ALERTS:
            return replace(state, alerts={**state.alerts, name: alert})
        case EventsNews(newest_ms=newest_ms) if live and abs(at_ms - newest_ms) <= FRESH_MS:
            return replace(state, heard_ms=max(state.heard_ms or 0, min(at_ms, newest_ms)))
    return state


def judge(state: UnitState, listening_ms: int | None, at_ms: int) -> UnitState:
    """`state` with its presence at `at_ms`; the bridge has listened since `listening_ms`, None where it does not."""
    presence, since_ms = _presence(state, listening_ms, at_ms)
    if presence is state.presence and presence in (Presence.ONLINE, Presence.UNKNOWN) and state.since_ms:
        return state
    return replace(state, presence=presence, since_ms=since_ms)


def retire(state: UnitState, at_ms: int) -> UnitState:
    """`state` of a unit that was retired at `at_ms`: what it last said of itself does not count any more."""
    return UnitState(state.unit, Presence.RETIRED, at_ms, RETIRED, at_ms, state.heard_ms, state.info)


def is_news(before: UnitState, after: UnitState) -> bool:
    """Whether `after` is worth storing: more than being heard again a moment later."""
    if replace(after, heard_ms=before.heard_ms) != before:
        return True
    return (after.heard_ms or 0) - (before.heard_ms or 0) >= SAME_MS


def listening_since(since_ms: int | None, beat_ms: int | None, at_ms: int) -> int | None:
    """Since when the bridge listens, by what it said last; None where it does not."""
    return since_ms if beat_ms is not None and abs(at_ms - beat_ms) <= BEATING_MS else None


def _alive(state: UnitState, at_ms: int) -> UnitState:
    """Who speaks is there, whatever an older word says: of two messages on their way the broker may hand on the later one first."""
    if state.word == "online":
        return replace(state, heard_ms=at_ms)
    return replace(state, heard_ms=at_ms, word="online", word_ms=at_ms)


def _presence(state: UnitState, listening_ms: int | None, at_ms: int) -> tuple[Presence, int]:
    if state.word == RETIRED:
        return Presence.RETIRED, state.word_ms
    if state.word == "offline":
        return Presence.OFFLINE, state.word_ms
    if state.heard_ms is None:
        return Presence.UNKNOWN, state.word_ms or at_ms
    if at_ms - state.heard_ms < SILENT_MS:
        return Presence.ONLINE, state.heard_ms
    was_silent = state.presence is Presence.SILENT
    if was_silent or (listening_ms is not None and at_ms - listening_ms >= SILENT_MS):
        return Presence.SILENT, state.heard_ms
    return Presence.UNKNOWN, state.heard_ms
