"""Who may command what, and when a command counts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from healthcode.commands import AHEAD_S, LONGEST_LIFE_S, MAY, UNSIGNED, judge, who_may
from healthcode.messages import (
    CalibrateOrder,
    Command,
    LogsOrder,
    ModeOrder,
    OpenOrder,
    Order,
    RebootOrder,
    RestartOrder,
    SyncOrder,
    UpdateOrder,
)
from healthcode.signed import SignedFault
from healthcode.terms import CommandFault, CommandName, LaneMode, OperatorRole, Use
from tests.healthcode.keys import NOW, SIGNERS, entry

ORDERS: dict[CommandName, Order] = {
    CommandName.OPEN: OpenOrder(),
    CommandName.MODE: ModeOrder(mode=LaneMode.LOCKED),
    CommandName.SYNC: SyncOrder(),
    CommandName.CALIBRATE: CalibrateOrder(black_body_c=37.0),
    CommandName.RESTART: RestartOrder(),
    CommandName.REBOOT: RebootOrder(),
    CommandName.LOGS: LogsOrder(),
    CommandName.UPDATE: UpdateOrder(release="0.2.0"),
}


def command(name: CommandName = CommandName.OPEN, **changes: Any) -> Command:
    said: dict[str, Any] = {
        "unit": "north",
        "transaction": "7c" * 16,
        "signed_at": NOW,
        "expires_at": NOW + 30,
        "why": "a pram",
        "order": ORDERS[name],
    }
    return Command(**(said | changes))


def fault(asked: Command, *, role: OperatorRole | None = OperatorRole.MANAGER, topic: str = "", at: float = NOW) -> CommandFault | None:
    signer = entry(SIGNERS[Use.COMMAND], Use.COMMAND, role=role)
    found = judge(asked, signer, "north", topic or asked.name.value, at)
    assert found is None or (found[1] and len(found[1]) <= 160)
    return found and found[0]


def test_every_command_has_an_order_or_needs_no_signature() -> None:
    assert {name: order for name, order in ORDERS.items() if command(name).name is name} == ORDERS
    assert ORDERS.keys() | UNSIGNED == set(CommandName)
    assert {type(order) for order in ORDERS.values()} == set(Order.__args__)


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("role", [*OperatorRole, None])
def test_the_role_decides(name: CommandName, role: OperatorRole | None) -> None:
    allowed: dict[OperatorRole | None, set[str]] = {
        OperatorRole.ATTENDANT: {"open", "mode", "sync", "logs"},
        OperatorRole.TECHNICIAN: {"sync", "logs", "calibrate", "restart", "reboot", "update"},
        OperatorRole.MANAGER: set(ORDERS),
        None: set(),
    }
    assert fault(command(name), role=role) is (None if name in allowed[role] else CommandFault.ROLE)


def test_who_may_is_said_in_words() -> None:
    assert who_may(CommandName.OPEN) == "attendant or manager"
    assert set(MAY) == set(OperatorRole)


@pytest.mark.parametrize(
    ("changes", "at", "expected"),
    [
        ({}, NOW, None),
        ({}, NOW + 29.9, None),
        ({}, NOW + 30, CommandFault.EXPIRED),
        ({}, NOW + 86_400, CommandFault.EXPIRED),
        ({}, NOW - AHEAD_S, None),
        ({}, NOW - AHEAD_S - 0.1, CommandFault.NOT_YET_VALID),
        ({"expires_at": NOW + LONGEST_LIFE_S}, NOW, None),
        ({"expires_at": NOW + LONGEST_LIFE_S + 1}, NOW, CommandFault.TOO_LONG_LIVED),
        ({"expires_at": NOW}, NOW, CommandFault.TOO_LONG_LIVED),
        ({"expires_at": NOW - 1}, NOW, CommandFault.TOO_LONG_LIVED),
        ({"unit": "south"}, NOW, CommandFault.UNIT),
        ({"order": ModeOrder(mode=LaneMode.FREE)}, NOW, CommandFault.CONTENT),
        ({"order": ModeOrder(mode=LaneMode.FREE, for_s=60)}, NOW, None),
        ({"order": ModeOrder(mode=LaneMode.LOCKED, for_s=60)}, NOW, CommandFault.CONTENT),
    ],
)
def test_a_command_counts_for_one_unit_and_for_a_minute_at_most(changes: dict[str, Any], at: float, expected: CommandFault | None) -> None:
    assert fault(command(**changes), at=at) is expected


@pytest.mark.parametrize("topic", ["mode", "identify", "", "x" * 200])
def test_a_command_under_another_name_does_not_count(topic: str) -> None:
    found = judge(command(), entry(SIGNERS[Use.COMMAND], Use.COMMAND), "north", topic, NOW)
    assert found is not None
    assert found[0] is CommandFault.COMMAND


def test_the_faults_of_a_signed_object_are_faults_of_a_command() -> None:
    assert {fault.value for fault in SignedFault} <= {fault.value for fault in CommandFault}


@pytest.mark.parametrize(
    "order",
    [{"command": "calibrate", "black_body_c": 41.0}, {"command": "logs", "lines": 91}, {"command": "logs", "lines": 0}, {"command": "x"}],
)
def test_an_order_outside_its_bounds_is_none(order: dict[str, Any]) -> None:
    said = msgspec.to_builtins(command()) | {"order": order}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(said, type=Command)
