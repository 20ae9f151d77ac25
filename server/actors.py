"""Who acts: somebody with an account and its role, or what has none: the rules, a gate, somebody at the server's console. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an account is for; one role an account. `APP` is that of the accounts which apps have for people: nobody signs in to one."""

    RESIDENT = "resident"
    APP = "app"
    OFFICER = "officer"
    APPROVER = "approver"
    OPERATOR = "operator"
    AUDITOR = "auditor"


@dataclass(frozen=True)
class Actor:
    """Who acts: an account's id and its role."""

    account: str
    role: Role


class Part(StrEnum):
    """What acts without an account. `CONSOLE` is whoever can run commands on the server's machine, `STRANGER` whoever is not signed in."""

    RULE = "rule"
    GATE = "gate"
    CONSOLE = "console"
    STRANGER = "stranger"


@dataclass(frozen=True)
class Agent:
    """What acts without an account; `account` says which where that says nothing of where a person was: never a gate."""

    role: Part
    account: str = ""


Who = Actor | Agent
BY_RULES = Agent(Part.RULE)
BY_GATE = Agent(Part.GATE)
AT_CONSOLE = Agent(Part.CONSOLE)
BY_STRANGER = Agent(Part.STRANGER)
CARERS = frozenset({Role.RESIDENT, Role.APP})
"""Who looks after residents."""
OFFICERS = frozenset({Role.OFFICER, Role.APPROVER})
"""Who decides about others."""
STAFF = frozenset({Role.OFFICER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR})
"""Whose accounts reach others' data or the server itself."""
