"""Every MQTT topic, built and parsed here and nowhere else. Root: `healthgate/v1`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

ROOT = "healthgate/v1"
ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_MARK = re.compile(r"[0-9a-f]{8}")

TRUST_HEAD = f"{ROOT}/all/trust/head"
TRUST_ROOTS = f"{ROOT}/all/trust/roots"
ALL_DOWN = f"{ROOT}/all/#"
ALL_UP = f"{ROOT}/gates/+/up/#"
BRIDGE_STATE = f"{ROOT}/bridge/state"


def check_id(name: str, what: str = "unit") -> str:
    """`name` itself, or ValueError where it cannot stand in a topic: 1 to 32 letters, digits, '-' and '_', a letter or digit first."""
    if not ID_PATTERN.fullmatch(name):
        raise ValueError(f"{what} {name[:40]!r}: expected 1 to 32 letters, digits, '-' or '_', a letter or digit first")
    return name


@dataclass(frozen=True)
class UpTopic:
    """A topic that a unit writes: `channel` is one of UP_PLAIN, or of UP_NAMED with a `name`."""

    unit: str
    channel: str
    name: str = ""


@dataclass(frozen=True)
class DownTopic:
    """A topic that one unit reads: `channel` is desired, ack, sync, clock, certificate or request; `name` completes the last."""

    unit: str
    channel: str
    name: str = ""


@dataclass(frozen=True)
class ListTopic:
    """A topic of one of an issuer's status lists: `mark` tells them apart (`list_mark`), `channel` is head or delta."""

    issuer: str
    mark: str
    channel: str


UP_PLAIN = frozenset({"state", "info", "reported", "status", "lane", "events", "sync"})
UP_NAMED = frozenset({"alert", "response"})
DOWN_PLAIN = frozenset({"desired", "ack", "sync", "clock", "certificate"})
NAMELESS = (
    *(f"{ROOT}/gates/+/up/{channel}" for channel in sorted(UP_PLAIN - {"events", "sync"})),
    *(f"{ROOT}/gates/+/up/{channel}/+" for channel in sorted(UP_NAMED)),
)
"""Filters for what units say that leads to nobody. Events are not among them: they hold codes as they were shown, some good for weeks."""


def up(unit: str, channel: str, name: str = "") -> str:
    """The topic gates/{unit}/up/{channel}[/{name}]."""
    if channel not in (UP_NAMED if name else UP_PLAIN):
        raise ValueError(f"channel {channel!r}: no such up topic")
    return "/".join([ROOT, "gates", check_id(unit), "up", channel, *([check_id(name, "name")] if name else [])])


def down(unit: str, channel: str, name: str = "") -> str:
    """The topic gates/{unit}/down/{channel}[/{name}]."""
    if channel not in ({"request"} if name else DOWN_PLAIN):
        raise ValueError(f"channel {channel!r}: no such down topic")
    return "/".join([ROOT, "gates", check_id(unit), "down", channel, *([check_id(name, "name")] if name else [])])


def down_all(unit: str) -> str:
    """The filter for everything addressed to one unit."""
    return f"{ROOT}/gates/{check_id(unit)}/down/#"


def list_mark(uri: str) -> str:
    """What stands for the list `uri` in its topics: the first 8 hexadecimal digits of its SHA-256. A uri may hold what no topic may."""
    return hashlib.sha256(uri.encode()).hexdigest()[:8]


def list_topic(issuer: str, uri: str, channel: str) -> str:
    """The topic all/lists/{issuer}/{mark of the list `uri`}/{channel}, channel head or delta."""
    if channel not in ("head", "delta"):
        raise ValueError(f"channel {channel!r}: expected head or delta")
    return f"{ROOT}/all/lists/{check_id(issuer, 'issuer')}/{list_mark(uri)}/{channel}"


def audit_topic(issuer: str) -> str:
    """The topic bridge/audit/{issuer}, which units do not read: where the issuer's audit log stands."""
    return f"{ROOT}/bridge/audit/{check_id(issuer, 'issuer')}"


def unit_seen(unit: str) -> str:
    """The topic bridge/units/{unit}, which units do not read: how the server sees a unit."""
    return f"{ROOT}/bridge/units/{check_id(unit)}"


def parse(topic: str) -> UpTopic | DownTopic | ListTopic | str | None:
    """What a topic means; TRUST_HEAD, TRUST_ROOTS and the bridge's topics come back as they are, what is not ours is None."""
    if topic in (TRUST_HEAD, TRUST_ROOTS, BRIDGE_STATE):
        return topic
    prefix = ROOT + "/"
    if not topic.startswith(prefix) or len(topic) > 200:
        return None
    match topic[len(prefix) :].split("/"):
        case ["all", "lists", issuer, mark, ("head" | "delta") as channel] if ID_PATTERN.fullmatch(issuer) and _MARK.fullmatch(mark):
            return ListTopic(issuer, mark, channel)
        case ["bridge", "units", unit] if ID_PATTERN.fullmatch(unit):
            return topic
        case ["bridge", "audit", issuer] if ID_PATTERN.fullmatch(issuer):
            return topic
        case ["gates", unit, "up", channel] if channel in UP_PLAIN and ID_PATTERN.fullmatch(unit):
            return UpTopic(unit, channel)
        case ["gates", unit, "up", channel, name] if channel in UP_NAMED and ID_PATTERN.fullmatch(unit) and ID_PATTERN.fullmatch(name):
            return UpTopic(unit, channel, name)
        case ["gates", unit, "down", channel] if channel in DOWN_PLAIN and ID_PATTERN.fullmatch(unit):
            return DownTopic(unit, channel)
        case ["gates", unit, "down", "request", name] if ID_PATTERN.fullmatch(unit) and ID_PATTERN.fullmatch(name):
            return DownTopic(unit, "request", name)
    return None
