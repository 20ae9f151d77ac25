"""Operators for tests of units: keys, their entries in a trust list, and commands that they sign."""

from __future__ import annotations

from itertools import count
from typing import Any

from healthcode import signed
from healthcode.cose import SoftwareKey
from healthcode.messages import Command, OpenOrder, Order, TrustEntry
from healthcode.terms import OperatorRole, Use
from healthcode.trust import entry_for
from tests.edge.province import NOON, list_entry, trust_list

CHEN, WU, WANG = SoftwareKey.generate("Ed25519"), SoftwareKey.generate("Ed25519"), SoftwareKey.generate()
"""An attendant, a technician and a manager."""
CONFIG_KEY = SoftwareKey.generate("Ed25519")
NUMBERS = count(1)


def operator_entry(key: SoftwareKey, name: str, role: OperatorRole | None, use: Use = Use.COMMAND) -> TrustEntry:
    """The entry of an operator's key."""
    return entry_for(key, issuer="CN-HB", use=use, sign_from=0, name=name, role=role)


OPERATORS = (
    operator_entry(CHEN, "chen", OperatorRole.ATTENDANT),
    operator_entry(WU, "wu", OperatorRole.TECHNICIAN),
    operator_entry(WANG, "wang", OperatorRole.MANAGER),
    operator_entry(CONFIG_KEY, "wang", OperatorRole.MANAGER, Use.CONFIG),
)
TRUST = trust_list(1, list_entry(), *OPERATORS)


def command(order: Order | None = None, at: float = NOON, **changes: Any) -> Command:
    """What an operator asks the unit north for at `at`, with `changes`; each has a transaction of its own."""
    said: dict[str, Any] = {
        "unit": "north",
        "transaction": f"{next(NUMBERS):032x}",
        "signed_at": int(at),
        "expires_at": int(at) + 30,
        "why": "a pram",
        "order": order or OpenOrder(),
    }
    return Command(**(said | changes))


def sign(message: Command, key: SoftwareKey = WANG) -> bytes:
    """As it goes over the wire."""
    return signed.write(message, key)
