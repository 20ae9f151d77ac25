"""`healthgate fleet ls` and `show`: the units as the server knows them now, the worst first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from healthcode.alerts import ALERTS
from healthgate import fleet_wanted, fleet_words
from healthgate.cells import cell
from healthgate.errors import one_line_errors
from healthgate.fleet_names import complete_unit
from healthgate.fleet_plan import PlanError, find_units
from healthgate.fleet_words import age, as_dict, lane_words, presence, weight_of
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from healthgate.times import rfc3339
from server.admissions import Admissions
from server.desired import Wanted
from server.fleet_state import Presence
from server.fleet_watch import FleetWatch, Seen, Unit

in_one_line_too = one_line_errors("healthgate", PlanError)
LAST = 10
"""Events that `show` shows."""


Patterns = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PATTERN]...", help="Names or patterns such as 'hall-*'.", autocompletion=complete_unit, show_default=False),
]
WithRetired = Annotated[bool, typer.Option("--retired", help="Retired units too.")]
UnitName = Annotated[str, typer.Argument(metavar="UNIT", help="The unit's id.", autocompletion=complete_unit, show_default=False)]


@in_one_line
@in_one_line_too
def ls(patterns: Patterns = None, retired: WithRetired = False, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show every unit, or those that a PATTERN means, the worst first: whether it is there, its lane, and what is wrong with it.

    What a unit said before it went is dim: it was so when it was last heard.
    """
    with opened(config) as office:
        seen = chosen(office.watch.see(), patterns, retired=retired)
    if as_json:
        for unit in fleet_words.order(seen.units):
            typer.echo(json.dumps(as_dict(unit, seen.at_ms)))
        return
    console = Console(highlight=False)
    console.print(fleet_words.table(seen, console.width))
    console.print(fleet_words.summary(seen), markup=False)


@in_one_line
@in_one_line_too
def show(unit: UnitName, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show one unit: what it is, how it is, its alerts, and what happened there last; never who passed."""
    with opened(config) as office:
        found = office.watch.find(unit)
        if found is None:
            find_units([unit], [one.unit for one in office.watch.see().units])
            raise PlanError(f"{unit[:60]!r} is a pattern: expected one unit's name")
        at_ms = round(office.now() * 1000)
        wanted = office.desires.see().get(unit)
        expected = Admissions(office.store, office.now).expected_until(unit)
        if as_json:
            configuration = None if wanted is None else fleet_wanted.as_dict(wanted)
            until = None if expected is None else rfc3339(expected)
            told = [msgspec.to_builtins(alert) for alert in office.watch.server_alerts(unit)]
            typer.echo(json.dumps(as_dict(found, at_ms) | {"configuration": configuration, "server_alerts": told, "expected_until": until}))
            return
        _print(found, office.watch, at_ms, wanted, expected)


def chosen(seen: Seen, patterns: Sequence[str] | None, *, retired: bool = False) -> Seen:
    """Those units of it that the patterns mean, all where there are none; `retired` ones too. PlanError for a pattern that means none."""
    if not retired:
        seen = replace(seen, units=tuple(unit for unit in seen.units if unit.state.presence is not Presence.RETIRED))
    if not patterns:
        return seen
    names = set(find_units(patterns, [unit.unit for unit in seen.units]))
    return replace(seen, units=tuple(unit for unit in seen.units if unit.unit in names))


def _print(unit: Unit, watch: FleetWatch, at_ms: int, wanted: Wanted | None, expected: float | None) -> None:
    from healthgate.fleet_live import line_of

    console, state = Console(highlight=False), unit.state
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_row("state", presence(state, at_ms))
    if expected is not None:
        facts.add_row("", f"a secret waits for it until {rfc3339(expected)}")
    if unit.is_gone and state.heard_ms is not None:
        facts.add_row("", Text(f"what follows was so when it was last heard, {rfc3339(state.heard_ms / 1000)}", style="bold red"))
    facts.add_row("place", cell(", ".join(filter(None, (unit.site, unit.note))) or "-"))
    if state.info is not None:
        facts.add_row(
            "software", cell(f"{state.info.software} on {state.info.hardware}, since {rfc3339(state.info.started_at.timestamp())}")
        )
    if state.lane is not None:
        ends = f", until {rfc3339(state.lane.until.timestamp())}" if state.lane.until else ""
        also = "".join(f", {word}" for word, is_so in (("fire", state.lane.fire), ("housing open", state.lane.tamper)) if is_so)
        said_ms = (state.heard_ms or at_ms) if unit.is_gone else at_ms
        since = age(said_ms / 1000 - state.lane.since.timestamp())
        facts.add_row("lane", f"{lane_words(state.lane)}, light {state.lane.signal} for {since}{ends}{also}")
    for name, value in _numbers(unit):
        facts.add_row(name, value)
    for number, line in enumerate([] if wanted is None else fleet_wanted.describe(wanted)):
        facts.add_row("" if number else "configuration", cell(line))
    console.print(facts)
    if state.alerts:
        console.print()
        rows = Table("alert", "since", "what", box=None, pad_edge=False)
        for name, alert in sorted(state.alerts.items(), key=lambda one: (weight_of(one[0]) != "stops", one[0])):
            title = ALERTS[name].title if name in ALERTS else name
            rows.add_row(cell(title), rfc3339(alert.since.timestamp()), cell(alert.detail))
        console.print(rows)
    told = watch.server_alerts(unit.unit)
    if told:
        console.print()
        rows = Table("the server's alert", "last", "what", box=None, pad_edge=False)
        for each in told:
            rows.add_row(each.name, rfc3339(each.last_ms / 1000), cell(each.detail))
        console.print(rows)
    happened = watch.last_events(unit.unit, LAST)
    if happened:
        console.print()
        for one in reversed(happened):
            console.print(line_of(one), soft_wrap=True)


def _numbers(unit: Unit) -> list[tuple[str, str]]:
    status = unit.state.status
    if status is None:
        return []
    told = [
        ("lists", f"{status.lists_held} held, the oldest stated {age(status.list_age_s)} ago"),
        ("trust list", "none" if status.trust_version is None else f"version {status.trust_version}"),
        ("clock", "trusted" if status.clock_trusted else "not certain"),
        (
            "devices",
            f"thermometer {'works' if status.sensor_ok else 'does not work'}, camera {'works' if status.camera_ok else 'does not work'}",
        ),
        (
            "verdicts",
            f"{status.passes} since it started: {status.admitted} admitted, {status.refused} refused, {status.called_guard} to the guard",
        ),
        ("waiting", f"{status.outbox_pending} events for the server"),
    ]
    board = []
    if status.ambient_c is not None:
        board.append(f"air at the thermometer {status.ambient_c:.1f} °C")
    if status.board_c is not None:
        board.append(f"processor {status.board_c:.0f} °C")
    if status.under_voltage is not None:
        board.append("supply too low" if status.under_voltage else "supply well")
    if status.disk_free_mb is not None:
        board.append(f"{status.disk_free_mb:.0f} MB free")
    if status.certificate_days is not None:
        board.append(f"certificate for {status.certificate_days:.0f} days")
    return [*told, ("board", ", ".join(board) or "-")]
