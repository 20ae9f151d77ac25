"""`healthgate fleet run`: a command to one unit or to many, signed by whoever gives it, and what each answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from healthcode.commands import LONGEST_LIFE_S, who_may
from healthcode.cose import Signer
from healthcode.messages import Order
from healthcode.terms import CommandName, LaneMode
from healthgate.broker_session import NoBroker
from healthgate.errors import one_line_errors
from healthgate.fleet_access import account_files
from healthgate.fleet_answers import Board, Outcome, run_stage, show_details
from healthgate.fleet_asked import LIFE_S, Asked, NotSent, writer
from healthgate.fleet_link import open_link
from healthgate.fleet_names import complete_unit
from healthgate.fleet_plan import Plan, PlanError, Step, agree, find_units
from healthgate.signers import SignerError, open_signer
from server.authority import Authority
from server.config import Broker, ConfigError, load
from server.keys import KeyFileError

PORT = 8883
ACCOUNT = "the key that `healthgate fleet operator NAME` made, op.NAME.pem, with op.NAME.crt and ca.crt beside it"


@contextmanager
def at_broker(broker: str, account: Path | None, config: Path | None) -> Iterator[Broker]:
    """Where the broker is and who asks: the account that `fleet operator` made, or that of commands on a server's own folder.

    The bridge's account is the bridge's alone: a second connection under its name would end its session.
    """
    if config is None:
        yield broker_of(broker, account)
        return
    found = load(config)
    if not found.broker.ca:
        yield found.broker
        return
    with account_files(Authority.load(Path(found.keys))) as (certificate, key):
        yield msgspec.structs.replace(found.broker, certificate=str(certificate), key=str(key))


def broker_of(broker: str, account: Path | None) -> Broker:
    """Where the broker is, and the account that `fleet operator` made. NotSent where one of them is not given or not there."""
    host, _, port = broker.partition(":")
    if not host or not (port or str(PORT)).isdecimal() or not 1 <= int(port or PORT) <= 65535:
        raise NotSent(f"--broker {broker[:60]!r}: expected the broker's name and port, such as gates.example.org:{PORT}")
    if account is None:
        raise NotSent(f"--account: expected {ACCOUNT}")
    files = {"ca": account.with_name("ca.crt"), "certificate": account.with_suffix(".crt"), "key": account}
    for path in files.values():
        if not path.exists():
            raise NotSent(f"{path}: no such file: expected {ACCOUNT}")
    ca, certificate, own = map(str, files.values())
    return Broker(host=host, port=int(port or PORT), ca=ca, certificate=certificate, key=own)


def complete_command(incomplete: str) -> list[str]:
    """Names of commands that begin so."""
    return [name.value for name in CommandName if name.value.startswith(incomplete)]


@one_line_errors("healthgate fleet run", NotSent, NoBroker, PlanError, SignerError, ConfigError, KeyFileError)
def run(
    patterns: Annotated[
        list[str],
        typer.Argument(metavar="UNIT...", help="Names or patterns such as 'hall-*'.", autocompletion=complete_unit, show_default=False),
    ],
    command: Annotated[CommandName, typer.Argument(metavar="COMMAND", help="What they are to do.", autocompletion=complete_command)],
    reason: Annotated[str, typer.Option(help="Why: it is on record at the unit with your name.")] = "",
    key: Annotated[
        str, typer.Option(envvar="HEALTHGATE_OPERATOR_KEY", help="Your own key, that `keys operator make` made.", show_default=False)
    ] = "",
    broker: Annotated[str, typer.Option(envvar="HEALTHGATE_BROKER", help="The broker, HOST:PORT.", show_default=False)] = "",
    account: Annotated[
        Path | None,
        typer.Option(envvar="HEALTHGATE_ACCOUNT", help="Your account at it: op.NAME.pem of `fleet operator`.", show_default=False),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="In their place, a server's configuration.", show_default=False)] = None,
    to: Annotated[LaneMode | None, typer.Option(help="mode: the lane's mode.", show_default=False)] = None,
    minutes: Annotated[float | None, typer.Option(min=1, max=1440, help="mode: how long it is free.", show_default=False)] = None,
    black_body: Annotated[float | None, typer.Option(min=34, max=40, help="calibrate: its temperature, °C.", show_default=False)] = None,
    emissivity: Annotated[float | None, typer.Option(min=0.8, max=1.0, help="calibrate: its emissivity.", show_default="0.99")] = None,
    lines: Annotated[int | None, typer.Option(min=1, max=90, help="logs: how many lines.", show_default="50")] = None,
    release: Annotated[str, typer.Option(help="update: the version.", show_default=False)] = "",
    canary: Annotated[int, typer.Option(min=0, help="So many units first; the others only when those did it.")] = 0,
    wait: Annotated[float, typer.Option(min=1, max=LONGEST_LIFE_S, help="Seconds to wait for an answer.")] = LIFE_S,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each unit.")] = False,
) -> None:
    """Have units do something now: identify, selftest, open, mode, sync, calibrate, restart, reboot, logs, update.

    The units are shown first. All but identify and selftest are signed with your key, and your role decides what you may. Exit status 1
    where a unit did not do it or did not answer.
    """
    asked = Asked(command, reason, to, minutes, black_body, emissivity, lines, release)
    try:
        order = asked.order()
        write = writer(command, order, reason, min(LONGEST_LIFE_S, round(wait)))
        msgspec.convert(msgspec.to_builtins(order), type=Order | None)
    except msgspec.ValidationError as wrong:
        raise NotSent(f"{command.value}: {wrong}") from None
    signer = None if order is None else _signer(key, command)
    with at_broker(broker, account, config) as found, open_link(found) as link:
        plan = plan_for(find_units(patterns, sorted(link.look())), link.units, asked, canary)
        is_many = len(plan.steps) > 1 or order is not None
        if is_many and not agree(plan, yes=yes):
            raise PlanError("nothing was done, as you say")
        link.listen(command.value)
        with Board([step.unit for step in plan.steps], as_json) as board:
            for stage in filter(None, (plan.first, plan.rest)):
                for outcome in run_stage(
                    link, stage, command, lambda unit, transaction: write(signer, unit, transaction, time.time()), wait
                ):
                    board.take(outcome)
                if not all(board.outcomes[unit].is_done for unit in stage):
                    break
            for unit in plan.rest:
                if unit not in board.outcomes:
                    board.take(Outcome(unit, None, "not asked: the first did not do it"))
        outcomes = [board.outcomes[step.unit] for step in plan.steps]
    if not as_json:
        show_details(outcomes)
    if not all(outcome.is_done for outcome in outcomes):
        raise typer.Exit(1)


def plan_for(units: Iterable[str], states: Mapping[str, bool], asked: Asked, canary: int) -> Plan:
    """What is going to be done to each, and to which first. PlanError where the canaries leave nobody."""
    known = tuple(units)
    if canary and canary >= len(known):
        raise PlanError(f"--canary {canary}: expected fewer than the {len(known)} that are meant")
    words = asked.words()
    return Plan(words, tuple(Step(unit, words if states.get(unit) else "off line: will not be asked") for unit in known), canary)


def _signer(key: str, command: CommandName) -> Signer:
    if not key:
        raise NotSent(f"--key: expected your own key, of `healthgate keys operator make`: {command.value} is for {who_may(command)}")
    return open_signer(os.path.expanduser(key))  # noqa: PTH111  a kind of key and a colon may stand before
