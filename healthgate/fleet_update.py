"""`healthgate fleet update`: many units to another release, canaries first, then stage by stage."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from healthcode.cose import Signer
from healthcode.messages import Release, UnitEvent, UpdateOrder
from healthcode.releases import order
from healthcode.terms import CommandName
from healthgate import rollout
from healthgate.broker_session import NoBroker
from healthgate.bundles import BundleError
from healthgate.cells import cell
from healthgate.errors import one_line_errors
from healthgate.fleet_answers import run_stage
from healthgate.fleet_asked import LIFE_S, NotSent, writer
from healthgate.fleet_link import open_link
from healthgate.fleet_names import complete_unit
from healthgate.fleet_plan import Plan, PlanError, Step, agree
from healthgate.fleet_run import broker_of
from healthgate.fleet_show import chosen
from healthgate.release import as_version, published
from healthgate.rollout import Mark, Rollout, StagesError, parse_stages
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from healthgate.signers import SignerError, open_signer
from healthgate.times import rfc3339
from server.config import Broker
from server.fleet_watch import FleetWatch, Unit

AT_ONCE = 500
OUTCOMES = ("update_trial", "update_done", "update_refused")
LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Told:
    """What a unit says at once: `away` why it cannot be told, `refused` why it does not take it; both empty where it will see to it."""

    unit: str
    away: str = ""
    refused: str = ""


Tell = Callable[[tuple[str, ...]], Iterable[Told]]
"""Tells units to take the release."""


def make_plan(release: Release, units: list[Unit], canary: int, stages: str, trials: Collection[str] = ()) -> Plan:
    """What would be done to each unit that does not run this release for good yet; PlanError where there is none.

    First come `trials`, units that try it out since an earlier command: nothing is said to them, but what becomes of them counts as it
    does of canaries. Then those on line.
    """
    steps = [Step(unit.unit, f"{release.version} is on trial there, waited for") for unit in units if unit.unit in trials]
    for unit in sorted(units, key=lambda each: (each.is_gone, each.unit)):
        runs = software_of(unit)
        if runs == release.version or unit.unit in trials:
            continue
        is_newer = runs is not None and order(runs) > order(release.version)
        if is_newer:
            raise PlanError(f"{unit.unit} runs {runs}: expected a release newer than that")
        away = f"; {unit.state.presence.value}, will be left out unless it is back" if unit.is_gone else ""
        steps.append(Step(unit.unit, f"{runs or 'what it runs'} -> {release.version}{away}"))
    if not steps:
        raise PlanError(f"release {release.version} runs on every unit that is meant")
    first = max(canary, len(trials)) if canary else 0
    return Plan(f"release {release.version}, by stages up to {stages}", tuple(steps), first if first < len(steps) else 0)


def find_trials(watch: FleetWatch, units: Iterable[Unit], version: str) -> dict[str, int]:
    """The units that run `version` and have not said yet how it went, and when it came in that they try it, ms since 1970."""
    found = {}
    for unit in units:
        if software_of(unit) != version:
            continue
        reports = watch.last_events(unit.unit, AT_ONCE, ["unit"])
        last = next((one for one in reports if isinstance(one.event, UnitEvent) and one.event.what in OUTCOMES), None)
        if last is not None and isinstance(last.event, UnitEvent) and last.event.what == "update_trial":
            found[unit.unit] = last.received_ms
    return found


def software_of(unit: Unit) -> str | None:
    """The release that a unit said it runs; None where it runs none, or has not said."""
    info = unit.state.info
    try:
        return None if info is None else as_version(info.software, "software")
    except BundleError:
        return None


class Conductor:
    """Takes a rollout from step to step: tells units, and reads in the server's database what becomes of it."""

    def __init__(
        self, state: Rollout, tell: Tell, watch: FleetWatch, now: Callable[[], float], patience_s: float, trials: Mapping[str, int]
    ) -> None:
        """`trials` as `find_trials` has them: those units were told before."""
        for unit, received_ms in trials.items():
            state = rollout.told(state, unit, received_ms / 1000)
        self.state = state
        self._tell, self._watch, self._now, self._patience_s = tell, watch, now, patience_s
        self._since = dict(trials)
        self._known: dict[str, set[tuple[str, int]]] = {unit: set() for unit in trials}

    def turn(self) -> list[tuple[str, Mark, str]]:
        """One step; (unit, mark, line) of every unit whose line has changed."""
        before = self.state
        units = rollout.to_tell(self.state)
        if units:
            self._tell_all(units)
        for unit in self._since:
            if self.state.mark(unit) in (Mark.TOLD, Mark.TRIAL):
                self._read(unit)
        self.state = rollout.wait(self.state, self._now(), self._patience_s)
        after = self.state
        return [
            (unit, after.mark(unit), after.said[unit])
            for unit in after.said
            if (before.mark(unit), before.said.get(unit)) != (after.mark(unit), after.said[unit])
        ]

    def _tell_all(self, units: tuple[str, ...]) -> None:
        at = self._now()
        for unit in units:
            last = self._watch.last_events(unit, 1)
            self._since[unit] = last[0].received_ms if last else 0
            self._known[unit] = {(one.boot_id, one.seq) for one in self._watch.events_from(unit, self._since[unit], AT_ONCE)}
        for answer in self._tell(units):
            if answer.away:
                self.state = rollout.away(self.state, answer.unit, answer.away)
            else:
                self.state = rollout.told(self.state, answer.unit, at, answer.refused)

    def _read(self, unit: str) -> None:
        """The events since it was told, in their order; several may have come in one moment, so that one is asked for again."""
        known = self._known[unit]
        while True:
            found = self._watch.events_from(unit, self._since[unit], AT_ONCE + len(known))
            fresh = [one for one in found if (one.boot_id, one.seq) not in known]
            for one in fresh:
                if isinstance(one.event, UnitEvent):
                    self.state = rollout.heard(self.state, unit, one.event.what, one.event.detail)
            if not fresh:
                return
            self._since[unit] = fresh[-1].received_ms
            known = {(one.boot_id, one.seq) for one in found if one.received_ms == self._since[unit]}
            self._known[unit] = known


_SHAPES = {
    Mark.TOLD: ("○", "dim"),
    Mark.TRIAL: ("▲", "yellow"),
    Mark.DONE: ("✓", "green"),
    Mark.AWAY: ("□", "dim"),
    Mark.BAD: ("✖", "bold red"),
}


@in_one_line
@one_line_errors("healthgate fleet update", PlanError, StagesError, BundleError, NotSent, NoBroker, SignerError)
def update(
    patterns: Annotated[
        list[str],
        typer.Argument(metavar="UNIT...", help="Names or patterns such as 'hall-*'.", autocompletion=complete_unit, show_default=False),
    ],
    release: Annotated[str, typer.Argument(metavar="RELEASE", help="The version, published with `release publish`.", show_default=False)],
    canary: Annotated[int, typer.Option(min=0, help="So many units first, alone, to the end of their five minutes.")] = 1,
    stages: Annotated[str, typer.Option(help="Then up to these shares of all, each when the one before is through.")] = "10%,50%,100%",
    reason: Annotated[str, typer.Option(help="Why: it is on record at each unit with your name.")] = "",
    key: Annotated[
        str, typer.Option(envvar="HEALTHGATE_OPERATOR_KEY", help="Your own key, that `keys operator make` made.", show_default=False)
    ] = "",
    account: Annotated[
        Path | None,
        typer.Option(envvar="HEALTHGATE_ACCOUNT", help="Your account at the broker: op.NAME.pem of `fleet operator`.", show_default=False),
    ] = None,
    patience: Annotated[float, typer.Option(min=10, max=24 * 60, help="Minutes until a unit that is not through has failed.")] = 90,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Bring units to another release: canaries first, then stage by stage, and no further once one refuses it or comes back from it.

    Every unit fetches, tests and tries it by itself, and goes back by itself where it is worse. Ctrl-C tells no more units; the same
    command goes on from there. Exit status 1 where it was stopped or a unit was left out.
    """
    version = as_version(release, "RELEASE")
    shares = parse_stages(stages)
    if not reason.strip():
        raise NotSent(f'--reason: expected why, in a few words, such as --reason "release {version}"')
    if not key:
        raise NotSent("--key: expected your own key, of `healthgate keys operator make`")
    signer = open_signer(os.path.expanduser(key))  # noqa: PTH111  a kind of key and a colon may stand before
    with opened(config) as office:
        known = {each.version: each for each in published(office.config)}
        if version not in known:
            raise PlanError(f"release {version} is not published: expected {', '.join(known) or 'healthgate release publish first'}")
        meant = list(chosen(office.watch.see(), patterns).units)
        trials = find_trials(office.watch, meant, version)
        plan = make_plan(known[version], meant, canary, stages, trials)
        if not agree(plan, yes=yes):
            raise PlanError("nothing was done, as you say")
        units = [step.unit for step in plan.steps]
        tell = teller(_broker(office.config.broker, account), signer, version, reason)
        conductor = Conductor(rollout.make(version, units, plan.canary, shares), tell, office.watch, time.time, patience * 60, trials)
        try:
            _conduct(conductor, as_json)
        except KeyboardInterrupt:
            typer.echo("no more units are told; the same command goes on from here", err=True)
            raise typer.Exit(130) from None
    _conclude(conductor.state, units)


def teller(broker: Broker, signer: Signer, version: str, reason: str) -> Tell:
    """Tells units over the broker, each by a command of its own."""
    write = writer(CommandName.UPDATE, UpdateOrder(release=version), reason)

    def tell(units: tuple[str, ...]) -> Iterable[Told]:
        with open_link(broker) as link:
            link.look()
            link.listen(CommandName.UPDATE.value)
            stage = run_stage(
                link, units, CommandName.UPDATE, lambda unit, transaction: write(signer, unit, transaction, time.time()), LIFE_S
            )
            for outcome in stage:
                if outcome.response is None:
                    yield Told(outcome.unit, away=outcome.why)
                else:
                    yield Told(outcome.unit, refused="" if outcome.is_done else outcome.words)

    return tell


def _broker(broker: Broker, account: Path | None) -> Broker:
    """The server's broker by the operator's own account; NotSent where it wants one and none is given."""
    if account is None and not broker.certificate:
        return broker
    return broker_of(f"{broker.host}:{broker.port}", account)


def _conduct(conductor: Conductor, as_json: bool) -> None:
    """Until it is over; a line for all that changes."""
    console = Console(highlight=False)
    while True:
        for unit, mark, line in conductor.turn():
            if as_json:
                typer.echo(json.dumps({"at": rfc3339(time.time()), "unit": unit, "mark": mark.value, "said": line}))
            else:
                shape, style = _SHAPES[mark]
                console.print(Text.assemble(f"{rfc3339(int(time.time()))}  ", (f"{shape} {mark.value}", style), f"  {unit}  ", cell(line)))
        if conductor.state.is_over:
            return
        time.sleep(LOOK_EVERY_S)


def _conclude(state: Rollout, units: Sequence[str]) -> None:
    """The sum of it, and exit status 1 where not all are through."""
    through = [unit for unit in units if state.mark(unit) is Mark.DONE]
    left = [unit for unit in units if state.mark(unit) is not Mark.DONE]
    if state.stopped:
        typer.echo(f"stopped: {state.stopped}", err=True)
    typer.echo(f"{len(through)} of {len(units)} units run release {state.release}", err=True)
    if left:
        names = ", ".join(left[:10]) + (f" and {len(left) - 10} more" if len(left) > 10 else "")
        bad = next((unit for unit in units if state.mark(unit) is Mark.BAD), None)
        hint = f"first look what it was: healthgate fleet events {bad}" if bad else "the same command goes on from here"
        typer.echo(f"not yet: {names}; {hint}", err=True)
        raise typer.Exit(1)
