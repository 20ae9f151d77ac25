"""Commands from afar: who may give which, and when one counts. Pure: both the unit that obeys and the operator's side that asks use it."""

from __future__ import annotations

from collections.abc import Mapping

from healthcode.messages import Command, ModeOrder, TrustEntry
from healthcode.terms import CommandFault, CommandName, LaneMode, OperatorRole

LONGEST_LIFE_S = 60
"""How long a command may live. Who records one and sends it again has so long, and its transaction is remembered for longer."""
AHEAD_S = 5
"""How far a command may be signed ahead of the unit's time, where two clocks differ."""
UNSIGNED = frozenset({CommandName.IDENTIFY, CommandName.SELFTEST})
"""Commands that need no signature."""
MAY: Mapping[OperatorRole, frozenset[CommandName]] = {
    OperatorRole.ATTENDANT: frozenset({CommandName.OPEN, CommandName.MODE, CommandName.SYNC, CommandName.LOGS}),
    OperatorRole.TECHNICIAN: frozenset(
        {CommandName.SYNC, CommandName.LOGS, CommandName.CALIBRATE, CommandName.RESTART, CommandName.REBOOT, CommandName.UPDATE}
    ),
    OperatorRole.MANAGER: frozenset(CommandName) - UNSIGNED,
}
"""What each role may command. An attendant handles people and lanes, a technician machines; neither does the other's work."""


def judge(command: Command, entry: TrustEntry, unit: str, topic: str, at: float) -> tuple[CommandFault, str] | None:
    """Why a command whose signature is good does not count for `unit` at `at` (seconds since 1970), with one line; None where it does.

    `topic` is the command that its topic names. That the time is to be believed the caller has made sure of.
    """
    life_s = command.expires_at - command.signed_at
    if command.unit != unit:
        return CommandFault.UNIT, f"it is for unit {command.unit}, expected {unit}"
    if command.name != topic:
        return CommandFault.COMMAND, f"it says {command.name.value} and came as {topic[:40]!r}, expected the same"
    if not 0 < life_s <= LONGEST_LIFE_S:
        return CommandFault.TOO_LONG_LIVED, f"it lives {life_s} s, expected 1 to {LONGEST_LIFE_S}"
    if command.signed_at > at + AHEAD_S:
        return (
            CommandFault.NOT_YET_VALID,
            f"it was signed {command.signed_at - at:.0f} s ahead of this unit's time",
        )
    if command.expires_at <= at:
        return CommandFault.EXPIRED, f"it ended {at - command.expires_at:.0f} s ago by this unit's time"
    if entry.role is None or command.name not in MAY[entry.role]:
        role = "none" if entry.role is None else entry.role.value
        return CommandFault.ROLE, f"the role of {entry.name or 'this key'} is {role}, expected {who_may(command.name)}"
    order = command.order
    if isinstance(order, ModeOrder) and (order.mode is LaneMode.FREE) != bool(order.for_s):
        return CommandFault.CONTENT, "the mode free has an end, and no other mode has one"
    return None


def who_may(name: CommandName) -> str:
    """The roles that may give this command, in words."""
    return " or ".join(role.value for role, names in MAY.items() if name in names) or "nobody"
