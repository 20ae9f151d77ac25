"""The rules in force: the newest policy that was adopted, and the outages, in the database, so that every process rules by the same.

A process keeps them until the rulebook's revision, which comes with every resident that is ruled on, is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from healthcode.settings import why_unread
from server import audit
from server.actors import AT_CONSOLE, Who
from server.audit import Action
from server.colours import Outage, Rule
from server.policy import DEFAULT, Policy, PolicyError, parse
from server.store import policies, rulings, to_ms

MOST_OUTAGES = 1000
"""Outages that may be noted; every lapse looks at those since the record."""


class OutageFault(StrEnum):
    """Why an outage was not noted."""

    ONE_IS_OPEN = "one_is_open"
    NONE_IS_OPEN = "none_is_open"
    BEFORE_ITS_BEGIN = "before_its_begin"
    IN_THE_FUTURE = "in_the_future"
    TOO_MANY = "too_many"


@dataclass(frozen=True)
class Book:
    """The rules at one revision."""

    revision: int
    policy: Policy
    outages: tuple[Outage, ...]


def load_policy(path: str) -> Policy:
    """The policy in the file `path`, or the default where that is empty; PolicyError says what is wrong."""
    if not path:
        return DEFAULT
    try:
        return parse(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as wrong:
        raise PolicyError(f"{path}: cannot be read: {why_unread(wrong)}") from None


def read_book(tx: Connection) -> Book:
    """The rules in force now."""
    newest = rulings.newest_policy(tx)
    policy = DEFAULT if newest is None else msgspec.json.decode(newest[1], type=Policy)
    outages = tuple(Outage(row.began_ms / 1000, None if row.ended_ms is None else row.ended_ms / 1000) for row in rulings.list_outages(tx))
    return Book(rulings.find_revision(tx), policy, outages)


def adopt(tx: Connection, policy: Policy, at: float, who: Who = AT_CONSOLE) -> int:
    """Puts `policy` in force, if it is newer than the one that is; how many residents are to be ruled on anew.

    PolicyError where it is older, or another one with the same version. Rules that two people put in force at the desk stay in force
    where a configuration still names older ones.
    """
    newest = rulings.newest_policy(tx)
    if newest is not None and policy.version < newest[0] and policies.is_by_officers(tx, newest[0]):
        return 0
    check_newer(tx, policy)
    if newest is not None and newest[0] == policy.version:
        return 0
    rulings.insert_policy(tx, policy.version, msgspec.json.encode(policy).decode(), to_ms(at))
    audit.append(tx, who, Action.POLICY, audit.about("policy", policy.version), {}, at)
    return 0 if newest is None else rulings.everybody_is_due(tx, to_ms(at))


def check_newer(tx: Connection, policy: Policy) -> None:
    """PolicyError where `policy` could not be put in force now."""
    newest = rulings.newest_policy(tx)
    if newest is None:
        return
    version, held = newest
    if policy.version < version:
        raise PolicyError(f"policy {policy.version} is older than {version}, which is in force: expected version {version} or higher")
    if policy.version == version and msgspec.json.decode(held, type=Policy) != policy:
        raise PolicyError(f"policy {version} is in force with other rules: expected version {version + 1} for these")


def begin_outage(tx: Connection, began: float, note: str, who: Who, at: float) -> OutageFault | None:
    """Notes at `at` that people cannot check in since `began`. Whose green lapsed since then is looked at again."""
    held = rulings.list_outages(tx)
    if began > at:
        return OutageFault.IN_THE_FUTURE
    if any(row.ended_ms is None for row in held):
        return OutageFault.ONE_IS_OPEN
    if len(held) >= MOST_OUTAGES:
        return OutageFault.TOO_MANY
    rulings.insert_outage(tx, to_ms(began), None, note, who.role.value)
    audit.append(tx, who, Action.OUTAGE_BEGAN, "outage", {"began_ms": to_ms(began)}, at)
    rulings.lapsed_are_due(tx, Rule.RECORD_LAPSED.value, to_ms(at))
    return None


def end_outage(tx: Connection, ended: float, who: Who, at: float) -> OutageFault | None:
    """Notes at `at` that people can check in again since `ended`."""
    running = next((row for row in rulings.list_outages(tx) if row.ended_ms is None), None)
    if running is None:
        return OutageFault.NONE_IS_OPEN
    if ended > at:
        return OutageFault.IN_THE_FUTURE
    if to_ms(ended) < running.began_ms:
        return OutageFault.BEFORE_ITS_BEGIN
    rulings.end_outage(tx, running.outage, to_ms(ended))
    audit.append(tx, who, Action.OUTAGE_ENDED, audit.about("outage", running.outage), {"ended_ms": to_ms(ended)}, at)
    rulings.paused_are_due(tx, to_ms(at))
    return None
