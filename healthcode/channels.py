"""Every topic with what travels on it: who publishes it, at which quality of service, whether the broker keeps it. Pure.

docs/protocol.md tells the same to people, docs/asyncapi.json to programs; tests hold all three together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from healthcode import topics
from healthcode.messages import (
    Alert,
    AuditHead,
    ClockReset,
    Command,
    Delta,
    Desired,
    EventBatch,
    Head,
    Info,
    Lane,
    Message,
    Reported,
    Request,
    Response,
    RootChain,
    SyncAnswer,
    SyncRequest,
    TrustHead,
    UnitSeen,
    UnitStatus,
    Watermark,
)

Who = Literal["unit", "server", "operator"]
Form = Literal["json", "cbor", "signed", "word", "der"]
STATE_WORDS = ("online", "offline")


@dataclass(frozen=True)
class Part:
    """What may be a channel's payload: a message class, or a union of them, in a form. `kind` is None for a bare word and for DER."""

    form: Form
    kind: Any = None


@dataclass(frozen=True)
class Channel:
    """A topic below the root, its changing parts in braces. `empty` says what an empty payload means, where it means anything."""

    name: str
    address: str
    sender: Who
    qos: Literal[0, 1]
    retained: bool
    parts: tuple[Part, ...]
    about: str
    empty: str = ""


PARAMETERS = {
    "id": "A unit's id: 1 to 32 letters, digits, '-' or '_', a letter or digit first.",
    "name": "The alert's name.",
    "command": "The command's name.",
    "issuer": "An issuer's id, of the same form as a unit's.",
    "mark": "The first eight hexadecimal digits of the SHA-256 of the list's uri.",
}
WORD, DER = Part("word"), Part("der")


def _json(kind: type[Message] | Any) -> tuple[Part, ...]:
    return (Part("json", kind),)


def _signed(kind: type[Message]) -> tuple[Part, ...]:
    return (Part("signed", kind),)


CHANNELS = (
    Channel("state", "gates/{id}/up/state", "unit", 1, True, (WORD,), "Whether the unit is there, by itself or by its last will."),
    Channel("info", "gates/{id}/up/info", "unit", 1, True, _json(Info), "What the unit is and runs."),
    Channel("reported", "gates/{id}/up/reported", "unit", 1, True, _json(Reported), "The configuration in force."),
    Channel("status", "gates/{id}/up/status", "unit", 0, True, _json(UnitStatus), "The unit's numbers, once a minute."),
    Channel("lane", "gates/{id}/up/lane", "unit", 0, True, _json(Lane), "How the lane stands, when it changes."),
    Channel(
        "alert",
        "gates/{id}/up/alert/{name}",
        "unit",
        1,
        True,
        _json(Alert),
        "Something that somebody should look at.",
        "The alert is over.",
    ),
    Channel("events", "gates/{id}/up/events", "unit", 1, False, _json(EventBatch), "What happened, until a watermark covers it."),
    Channel("response", "gates/{id}/up/response/{command}", "unit", 1, False, _json(Response), "The answer to a request."),
    Channel("ask", "gates/{id}/up/sync", "unit", 1, False, _json(SyncRequest), "Asks for what is missing."),
    Channel("desired", "gates/{id}/down/desired", "server", 1, True, _signed(Desired), "The configuration that is wanted."),
    Channel("ack", "gates/{id}/down/ack", "server", 1, True, _signed(Watermark), "What of the unit's events the database holds."),
    Channel("answer", "gates/{id}/down/sync", "server", 1, False, (Part("cbor", SyncAnswer),), "What was asked for."),
    Channel("clock", "gates/{id}/down/clock", "server", 1, True, _signed(ClockReset), "Puts the unit's clock back."),
    Channel("certificate", "gates/{id}/down/certificate", "server", 1, True, (DER,), "The unit's newest certificate."),
    Channel(
        "request",
        "gates/{id}/down/request/{command}",
        "operator",
        1,
        False,
        (Part("json", Request), Part("signed", Command)),
        "Asks the unit to do something; never retained. Without a signature identify and selftest alone.",
    ),
    Channel("head", "all/lists/{issuer}/{mark}/head", "server", 1, True, _signed(Head), "Where a status list stands."),
    Channel("delta", "all/lists/{issuer}/{mark}/delta", "server", 1, False, _signed(Delta), "What changed in a status list."),
    Channel("trust_head", "all/trust/head", "server", 1, True, _signed(TrustHead), "The newest trust list."),
    Channel("roots", "all/trust/roots", "server", 1, True, (Part("cbor", RootChain),), "How one root key followed another."),
    Channel("bridge_state", "bridge/state", "server", 1, True, (WORD,), "Whether the server is there, by itself or by its last will."),
    Channel("unit_seen", "bridge/units/{id}", "server", 1, True, _json(UnitSeen), "How the server sees a unit.", "The unit is retired."),
    Channel("audit_head", "bridge/audit/{issuer}", "server", 1, True, _signed(AuditHead), "Where the audit log stands, once a day."),
)


def full_address(channel: Channel) -> str:
    """The whole topic, its changing parts in braces."""
    return f"{topics.ROOT}/{channel.address}"
