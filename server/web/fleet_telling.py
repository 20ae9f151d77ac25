"""What pages of the fleet say of a unit's own words, in the reader's language: lane, light, alerts, numbers, events.

A unit may be newer than this server: a word that is not known here is shown as it came.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from healthcode.alerts import ALERTS, Weight
from healthcode.messages import LaneEvent, PassageEvent, PassEvent, ReleaseEvent, UnitEvent, UnitStatus
from healthcode.terms import Decision, Reason
from server.fleet_watch import Happened
from server.sentences import Language
from server.web.language import Words

Light = Literal["white", "blue", "green", "yellow", "red", "dark"]
LIGHTS: dict[str, Light] = {
    "ready": "white",
    "measuring": "blue",
    "wait": "blue",
    "pass": "green",
    "yellow": "yellow",
    "red": "red",
    "invalid": "red",
    "fever": "red",
    "guard": "yellow",
    "alarm": "red",
    "closed": "red",
    "fire": "white",
    "identify": "white",
}
"""What colour the light has, by the signal that it shows (docs/signals.svg)."""
YES_OR_NO = frozenset({"clock_trusted", "sensor_ok", "camera_ok", "under_voltage"})
TENTHS = frozenset({"frames_per_s", "ambient_c"})
"""Numbers of which a tenth says something."""
MARKS = {Decision.ADMIT: "admitted", Decision.REFUSE: "refused", Decision.CALL_GUARD: "guard"}


@dataclass(frozen=True)
class Line:
    """A line of a unit's log: when (seconds since 1970), the stable word, what it means, and more about it; `mark` is a verdict's shape."""

    at: float
    is_dated: bool
    word: str
    meaning: str
    detail: str
    mark: str = ""


def name(words: Words, kind: str, word: str) -> str:
    """The word of a kind (stage, signal, mode, alert, presence ...) in the reader's language; itself where it is not known."""
    key = f"fleet.{kind}.{word}"
    return words(key) if key in words else word


def light_of(signal: str) -> Light:
    """The colour of the light; dark where the signal is not known here."""
    return LIGHTS.get(signal, "dark")


def weight_of(name: str) -> str:
    """How bad an alert is, its stable word; one that is not known here warns."""
    return (ALERTS[name].weight if name in ALERTS else Weight.WARNS).value


def worst_first(names: Iterable[str]) -> list[str]:
    """Alerts, the worst first, then by name."""
    order = [weight.value for weight in Weight]
    return sorted(names, key=lambda name: (order.index(weight_of(name)), name))


def tell_numbers(words: Words, status: UnitStatus) -> list[tuple[str, str]]:
    """(name, value) of each of a unit's numbers."""
    told = []
    for field in status.__struct_fields__:
        value = getattr(status, field)
        if value is None:
            text = words("fleet.none")
        elif field in YES_OR_NO:
            text = words("fleet.yes" if value else "fleet.no")
        elif isinstance(value, float):
            text = f"{value:,.1f}" if field in TENTHS else f"{value:,.0f}"
        else:
            text = f"{value:,}"
        told.append((name(words, "number", field), text))
    return told


def tell_event(words: Words, happened: Happened) -> Line:
    """An event as a line, the newest words of the house: the reason stays as it is on log and wire, its sentence beside it."""
    event = happened.event
    at, is_dated = event.at.timestamp(), event.clock.value != "untrusted"
    match event:
        case PassEvent():
            return Line(at, is_dated, event.reason.value, _sentence(words, event.reason), _tell_pass(words, event), MARKS[event.decision])
        case PassageEvent():
            return Line(at, is_dated, event.outcome.value, name(words, "passage", event.outcome.value), "")
        case ReleaseEvent():
            return Line(at, is_dated, f"release {event.by}", words(f"fleet.release.{event.by}"), event.note)
        case LaneEvent():
            return Line(at, is_dated, f"lane {event.mode.value}", _tell_lane(words, event), event.note)
        case UnitEvent():
            return Line(at, is_dated, event.what, "", event.detail)


def _sentence(words: Words, reason: Reason) -> str:
    return reason.sentence if words.language is Language.ENGLISH else reason.sentence_zh


def _tell_pass(words: Words, event: PassEvent) -> str:
    parts = []
    if event.body_c is not None:
        parts.append(words("fleet.body", celsius=f"{event.body_c:.1f}"))
    if event.ambient_c is not None:
        parts.append(words("fleet.ambient", celsius=f"{event.ambient_c:.1f}"))
    if event.issuer is not None:
        parts.append(event.issuer)
    if event.ms is not None:
        parts.append(f"{event.ms:.0f} ms")
    return ", ".join(parts)


def _tell_lane(words: Words, event: LaneEvent) -> str:
    parts = [name(words, "mode", event.mode.value)]
    if event.until is not None:
        parts.append(words("fleet.until", time=words.moment(event.until.timestamp())))
    if event.fire:
        parts.append(words("fleet.fire"))
    if event.tamper:
        parts.append(words("fleet.tamper"))
    return ", ".join(parts)
