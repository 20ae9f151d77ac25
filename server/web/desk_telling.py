"""Facts, ages and entries of the log in the words of the desk."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from server.actors import Role
from server.facts import (
    Case,
    CaseClosed,
    Cleared,
    CloseContact,
    ContactCleared,
    Declared,
    Fact,
    FeverAtGate,
    Isolating,
    Isolation,
    NormalAtGate,
    Reviewed,
    SetByHand,
    TestResult,
)
from server.store.audit import EntryRow
from server.web.desk_details import tell_detail
from server.web.language import Words
from server.web.places import place_name

_HOUR, _DAY = 3600, 86_400


@dataclass(frozen=True)
class Told:
    """A fact in words: when (seconds since 1970), what, and who says so."""

    at: float
    what: str
    by: str


def tell_fact(words: Words, fact: Fact) -> Told:
    """A fact as a line for officers."""
    match fact:
        case Declared():
            return Told(fact.at, _tell_declared(words, fact), words(f"desk.role.{fact.by}"))
        case Case():
            return Told(fact.at, words(f"fact.case.{fact.category.value}"), fact.source)
        case CaseClosed():
            return Told(fact.at, words(f"fact.closed.{fact.end.value}"), fact.source)
        case CloseContact():
            return Told(fact.at, words("fact.close_contact"), fact.source)
        case ContactCleared():
            return Told(fact.at, words("fact.contact_cleared"), fact.source)
        case Isolation():
            place = words(f"question.isolation.{fact.place.value}")
            return Told(fact.at, words(f"fact.isolation.{fact.step.value}", place=place), fact.source)
        case TestResult():
            return Told(fact.at, words(f"fact.test.{fact.outcome.value}"), fact.source)
        case FeverAtGate() | NormalAtGate():
            what = "fever" if isinstance(fact, FeverAtGate) else "normal"
            figure = "" if fact.body_c is None else f"{fact.body_c:.1f} °C"
            doubt = "" if fact.clock.value == "trusted" else words(f"fact.clock.{fact.clock.value}")
            return Told(fact.at, _join(words, [words(f"fact.gate.{what}"), figure, doubt]), fact.unit)
        case Cleared():
            return Told(fact.at, words("fact.cleared", figure=f"{fact.body_c:.1f}"), _role(words, fact.by))
        case SetByHand():
            colour = words(f"colour.{fact.colour.value}.word")
            return Told(fact.at, words("fact.by_hand", colour=colour, reason=words(f"hand.{fact.reason.value}")), _role(words, fact.by))
        case Reviewed():
            return Told(fact.at, words("fact.reviewed"), _role(words, fact.by))


def tell_age(words: Words, seconds: float) -> str:
    """How long something waits: minutes, hours or days."""
    if seconds < _HOUR:
        return words("age.minutes", n=max(0, int(seconds // 60)))
    if seconds < 2 * _DAY:
        return words("age.hours", n=int(seconds // _HOUR))
    return words("age.days", n=int(seconds // _DAY))


def tell_entry(words: Words, entry: EntryRow) -> dict[str, object]:
    """An entry of the audit log as the pages show it."""
    detail = msgspec.json.decode(entry.detail, type=dict[str, str | int])
    action = f"action.{entry.action}"
    return {
        "entry": entry.entry,
        "at": entry.at_ms / 1000,
        "account": entry.account,
        "role": words("detail.role.resident") if entry.role == Role.RESIDENT.value else _role(words, entry.role),
        "action": words(action) if action in words else entry.action,
        "subject": entry.subject,
        "detail": tell_detail(words, detail),
        "digest": entry.digest.hex(),
    }


def _tell_declared(words: Words, fact: Declared) -> str:
    head = "fact.checked_in" if fact.is_check_in else "fact.declared"
    parts = [words(head)]
    symptoms = [words(f"question.symptoms.{each.value}") for each in fact.symptoms]
    parts.append(words("fact.and").join(symptoms) if symptoms else words("question.symptoms.none"))
    if fact.temperature_c is not None:
        parts.append(f"{fact.temperature_c:.1f} °C")
    parts.append(words(f"fact.contact.{'yes' if fact.contact else 'no'}"))
    if fact.travel:
        parts.append(words("fact.travel", places=words("fact.and").join([place_name(words.language, code) for code in fact.travel])))
    if fact.isolation is not Isolating.NONE:
        since = "" if fact.isolation_since is None else words.day(fact.isolation_since)
        parts.append(words("fact.isolating", place=words(f"question.isolation.{fact.isolation.value}"), since=since))
    if fact.corrects is not None:
        parts.append(words("fact.corrects", time=words.moment(fact.corrects)))
    return _join(words, parts)


def _join(words: Words, parts: list[str]) -> str:
    return words("fact.between").join(part for part in parts if part)


def _role(words: Words, by: str) -> str:
    key = f"desk.role.{by}"
    return words(key) if key in words else by
