"""`healthgate fleet run`: a command to one unit or to many, signed by whoever gives it, and what each answers."""

from __future__ import annotations

import json
import os
import queue
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from healthcode import signed
from healthcode.commands import LONGEST_LIFE_S, UNSIGNED, who_may
from healthcode.cose import Signer
from healthcode.messages import (
    CalibrateOrder,
    Command,
    LogsOrder,
    ModeOrder,
    OpenOrder,
    Order,
    RebootOrder,
    Request,
    Response,
    RestartOrder,
    SyncOrder,
    UpdateOrder,
    encode,
)
from healthcode.terms import CommandFault, CommandName, LaneMode
from healthgate.cells import cell
from healthgate.errors import one_line_errors
from healthgate.fleet_link import Answer, Lost, NoBroker, OperatorLink, open_link
from healthgate.fleet_plan import Plan, PlanError, Step, agree, find_units
from healthgate.signers import SignerError, open_signer
from server.config import Broker, ConfigError, load

PORT = 8883
LIFE_S = 30
"""How long a command counts unless somebody says otherwise: a clock may differ a little, and a network take its time."""
ACCOUNT = "the key that `healthgate fleet operator NAME` made, op.NAME.pem, with op.NAME.crt and ca.crt beside it"
Write = Callable[[Signer | None, str, str, float], bytes]
"""Gives what is sent to a unit: whose key, which unit, which transaction, at what time (seconds since 1970)."""


class NotSent(Exception):
    """A command that cannot be sent as it was asked for; one line that says what to type."""


@dataclass(frozen=True)
class Asked:
    """What was asked on the line: the command, and what goes with it; None where it was not given."""

    command: CommandName
    reason: str
    to: LaneMode | None
    minutes: float | None
    black_body: float | None
    emissivity: float | None
    lines: int | None
    release: str

    def order(self) -> Order | None:
        """The order that the units get, None for a command that needs no signature. NotSent where something is missing or too much."""
        self._check_options()
        match self.command:
            case CommandName.IDENTIFY | CommandName.SELFTEST:
                return None
            case CommandName.OPEN:
                return OpenOrder()
            case CommandName.MODE:
                return self._mode()
            case CommandName.SYNC:
                return SyncOrder()
            case CommandName.CALIBRATE:
                if self.black_body is None:
                    raise NotSent("calibrate: expected --black-body, its temperature, such as 37.0")
                return CalibrateOrder(black_body_c=self.black_body, emissivity=0.99 if self.emissivity is None else self.emissivity)
            case CommandName.RESTART:
                return RestartOrder()
            case CommandName.REBOOT:
                return RebootOrder()
            case CommandName.LOGS:
                return LogsOrder(lines=self.lines or 50)
            case CommandName.UPDATE:
                if not self.release:
                    raise NotSent("update: expected --release, a version such as 0.2.0")
                return UpdateOrder(release=self.release)

    def _check_options(self) -> None:
        """NotSent for an option that belongs to another command."""
        given = {
            "--to": (CommandName.MODE, self.to),
            "--minutes": (CommandName.MODE, self.minutes),
            "--black-body": (CommandName.CALIBRATE, self.black_body),
            "--emissivity": (CommandName.CALIBRATE, self.emissivity),
            "--lines": (CommandName.LOGS, self.lines),
            "--release": (CommandName.UPDATE, self.release or None),
        }
        for option, (belongs_to, value) in given.items():
            if value is not None and belongs_to is not self.command:
                raise NotSent(f"{option}: belongs to {belongs_to.value}, not to {self.command.value}")
        if self.command not in UNSIGNED and not self.reason.strip():
            raise NotSent('--reason: expected why, in a few words, such as --reason "a pram"')

    def _mode(self) -> ModeOrder:
        if self.to is None:
            raise NotSent(f"mode: expected --to, one of {', '.join(LaneMode)}")
        if (self.to is LaneMode.FREE) != (self.minutes is not None):
            raise NotSent("mode: expected --minutes with --to free, at most 1440, and with no other mode")
        return ModeOrder(mode=self.to, for_s=round((self.minutes or 0.0) * 60))

    def words(self) -> str:
        """What is going to be done, for the plan."""
        extra = {
            CommandName.MODE: f" {self.to.value if self.to else ''}{f' for {self.minutes:g} minutes' if self.minutes else ''}",
            CommandName.CALIBRATE: f" at {self.black_body} °C",
            CommandName.UPDATE: f" to {self.release}",
        }
        return f"{self.command.value}{extra.get(self.command, '')}"


def writer(command: CommandName, order: Order | None, reason: str, life_s: int = LIFE_S) -> Write:
    """What makes the payload for each unit: a command of its own, signed, or a plain request."""

    def write(signer: Signer | None, unit: str, transaction: str, at: float) -> bytes:
        if order is None or signer is None:
            return encode(Request(transaction=transaction))
        why = " ".join(reason.split())[:120]
        now = int(at)
        return signed.write(
            Command(unit=unit, transaction=transaction, signed_at=now, expires_at=now + life_s, why=why, order=order), signer
        )

    return write


@dataclass(frozen=True)
class Outcome:
    """What became of the command at one unit: its answer, or None and why there is none. `took_ms`: from asking to the answer."""

    unit: str
    response: Response | None
    why: str = ""
    took_ms: float | None = None

    @property
    def is_done(self) -> bool:
        """Whether the unit did it."""
        return self.response is not None and self.response.status == "ok"

    @property
    def words(self) -> str:
        """In one line: done with its figures, or why not."""
        if self.response is None:
            return self.why
        if not self.is_done:
            return self.response.error
        return ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in self.response.data.items())

    def as_dict(self) -> dict[str, object]:
        """For programs."""
        answer = self.response
        return {
            "unit": self.unit,
            "status": "silent" if answer is None else answer.status,
            "error": self.why if answer is None else answer.error,
            "transaction": None if answer is None else answer.transaction,
            "took_ms": None if self.took_ms is None else round(self.took_ms, 1),
            "data": {} if answer is None else dict(answer.data),
        }


def _shown(value: object) -> str:
    return "-" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)


def run_stage(
    link: OperatorLink, units: Iterable[str], command: CommandName, write: Callable[[str, str], bytes], wait_s: float
) -> Iterable[Outcome]:
    """Asks every unit and gives what each answers, as it comes; at the end those that were silent for `wait_s` seconds.

    `write` gives what is sent to a unit, with its transaction. Who is off line is not asked: it would never hear of it.
    """
    waiting: dict[str, tuple[str, float]] = {}
    for unit in units:
        if not link.units.get(unit, False):
            yield Outcome(unit, None, "it is off line, and was not asked")
            continue
        transaction = secrets.token_hex(16)
        waiting[unit] = (transaction, time.monotonic())
        link.ask(unit, command.value, write(unit, transaction))
    until = time.monotonic() + wait_s
    while waiting:
        try:
            heard = link.heard.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            yield from (Outcome(unit, None, f"no answer within {wait_s:g} s") for unit in sorted(waiting))
            return
        match heard:
            case Lost(why):
                yield from (Outcome(unit, None, f"the connection to the broker was lost: {why}") for unit in sorted(waiting))
                return
            case Answer(unit, response, at) if waiting.get(unit, ("", 0.0))[0] == response.transaction:
                if response.data.get("fault") == CommandFault.REPEATED:
                    continue  # the broker brought it twice; the first one is answered, too
                _, asked_at = waiting.pop(unit)
                yield Outcome(unit, response, took_ms=(at - asked_at) * 1000)
            case _:
                continue


class Board:
    """The answers as they come: a table that is drawn anew at a terminal, else a line each; or one JSON object each."""

    def __init__(self, units: Iterable[str], as_json: bool) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._units = tuple(units)
        self._as_json = as_json
        self._console = Console(highlight=False)
        self._live = Live(self._table(), console=self._console, refresh_per_second=8) if self._is_live else None

    @property
    def _is_live(self) -> bool:
        return not self._as_json and self._console.is_terminal

    def __enter__(self) -> Board:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.update(self._table())
            self._live.stop()

    def take(self, outcome: Outcome) -> None:
        """One more."""
        self.outcomes[outcome.unit] = outcome
        if self._as_json:
            typer.echo(json.dumps(outcome.as_dict(), ensure_ascii=False))
        elif self._live is not None:
            self._live.update(self._table())
        else:
            self._console.print(self._row(outcome), soft_wrap=True)

    def _row(self, outcome: Outcome) -> Text:
        return Text.assemble(_mark(outcome), f" {outcome.unit}: ", cell(_brief(outcome)))

    def _table(self) -> Table:
        table = Table("", "unit", "answer", "ms", box=None, pad_edge=False)
        for unit in self._units:
            outcome = self.outcomes.get(unit)
            if outcome is None:
                table.add_row(Text("○", style="dim"), cell(unit), Text("waiting", style="dim"), "")
            else:
                took = "" if outcome.took_ms is None else f"{outcome.took_ms:.0f}"
                table.add_row(_mark(outcome), cell(unit), cell(_brief(outcome)), took)
        return table


def _mark(outcome: Outcome) -> Text:
    return Text("✓ done", style="green") if outcome.is_done else Text("✖ not done", style="bold red")


def _brief(outcome: Outcome) -> str:
    """A selftest by what failed, logs by their number; their figures and lines follow the table."""
    answer = outcome.response
    if answer is None or not outcome.is_done:
        return outcome.words
    if "passed" in answer.data:
        return "every part works" if answer.data["passed"] else f"does not work: {answer.data.get('failed')}"
    return f"{len(answer.data)} lines" if "01" in answer.data else outcome.words


def show_details(outcomes: Iterable[Outcome]) -> None:
    """The figures of selftests and the lines of logs, a unit after the other."""
    console = Console(highlight=False)
    for outcome in outcomes:
        answer = outcome.response
        if answer is None or not outcome.is_done or not {"passed", "01"} & answer.data.keys():
            continue
        console.print(Text(f"\n{outcome.unit}", style="bold"))
        if "01" in answer.data:
            for line in answer.data.values():
                console.print(cell(str(line)), soft_wrap=True)
            continue
        figures = Table(box=None, show_header=False, pad_edge=False)
        for name, value in answer.data.items():
            if name not in ("passed", "failed") and value != "":
                figures.add_row(cell(name.replace("_", " ")), cell(_shown(value)))
        console.print(figures)


def broker_of(broker: str, account: Path | None, config: Path | None) -> Broker:
    """Where the broker is and who asks: the account that `fleet operator` made, or a server's own. NotSent where neither is given."""
    if config is not None:
        return load(config).broker
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


@one_line_errors("healthgate fleet run", NotSent, NoBroker, PlanError, SignerError, ConfigError)
def run(
    patterns: Annotated[list[str], typer.Argument(metavar="UNIT...", help="Names or patterns such as 'hall-*'.", show_default=False)],
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
    with open_link(broker_of(broker, account, config)) as link:
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
