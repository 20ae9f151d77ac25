"""`healthgate fleet set` and `fleet diff`: what units are to have above their own files, and what they have."""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge.afar import FROM_AFAR, find_faults
from healthcode.desired import write_settings
from healthcode.setting_keys import show
from healthcode.terms import Use
from healthgate.cells import cell
from healthgate.errors import one_line_errors
from healthgate.fleet_names import complete_unit
from healthgate.fleet_plan import Plan, PlanError, Step, agree, find_units
from healthgate.fleet_show import Patterns
from healthgate.fleet_wanted import SAID, as_dict, describe
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from server.desired import ChangedMeanwhile, Desires, Standing, Wanted, Wish, is_over
from server.office import Office

in_one_line_too = one_line_errors("healthgate fleet", PlanError, ChangedMeanwhile)
LOOK_S = 0.5
"""How often it is looked what became of a version."""
Unset = object()
"""In the place of a value: the unit's own file counts."""


def complete_word(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of units, and keys that may be set."""
    return [*complete_unit(ctx, incomplete), *(f"{key}=" for key in FROM_AFAR if key.startswith(incomplete))]


@in_one_line
@in_one_line_too
def set_keys(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PATTERN... KEY=VALUE...",
            help="Units by name or pattern, and keys with their values; KEY= gives a key back to the unit's own file.",
            autocompletion=complete_word,
            show_default=False,
        ),
    ],
    reason: Annotated[str, typer.Option(help="Why, in a few words; it stays in the record.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who sets it.", show_default="the account on this machine")] = "",
    canary: Annotated[int, typer.Option(min=0, help="So many units first; the others when these came through their trial.")] = 0,
    within_s: Annotated[float, typer.Option("--within", min=1, help="How long the first units may take, in seconds.")] = 1200.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Set keys of the configuration of many units; shows first what would change where, and asks.

    The server signs it and hands it to the units; each starts anew with it when its lane is free, and falls back by itself where it loses
    its camera or thermometer. Exit status 1: the first units did not come through, and the others keep what they have.
    """
    patterns = [word for word in words if "=" not in word]
    changes = read_changes([word for word in words if "=" in word])
    if not patterns or not changes:
        raise PlanError("expected a unit, or a pattern of some, and KEY=VALUE, such as: hall-* sound.volume=0.5")
    with opened(config) as office:
        seen = office.desires.see()
        wishes, steps = [], []
        for unit in find_units(patterns, list(seen)):
            wish, line = make_wish(office.desires, seen[unit], changes)
            wishes.append(wish)
            steps.append(Step(unit, line))
        plan = Plan(f"set {', '.join(changes)}", tuple(steps), canary)
        if not agree(plan, yes=yes):
            raise typer.Exit(1)
        first = [wish for wish in wishes if wish.unit in plan.first]
        rest = [wish for wish in wishes if wish.unit in plan.rest]
        who = by or f"uid {os.getuid()}"
        versions = office.desires.set(first, who, reason)
        is_well = not rest or wait_for(office, versions, within_s)
        if rest and is_well:
            versions |= office.desires.set(rest, who, reason)
        tell(office.desires.see(), versions, as_json=as_json)
        keys = Path(office.config.keys)
        if not any(keys.glob(f"{Use.CONFIG.value}*.pem")):
            typer.echo(f"healthgate fleet: it goes out when there is a key for it: healthgate keys rotate {keys} config", err=True)
    if not is_well:
        typer.echo(f"healthgate fleet: {len(rest)} others keep what they have", err=True)
        raise typer.Exit(1)


@in_one_line
@in_one_line_too
def diff(
    patterns: Patterns = None,
    every: Annotated[bool, typer.Option("--all", help="Also the units that have what they are to have.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show the units in which something else is in force than what they are to have, the worst first, and why."""
    with opened(config) as office:
        seen = office.desires.see()
    units = find_units(patterns, list(seen)) if patterns else list(seen)
    rows = sorted((seen[unit] for unit in units), key=lambda row: (list(Standing).index(row.standing), row.unit))
    shown = [row for row in rows if every or row.standing not in (Standing.APPLIED, Standing.OWN) or row.differences]
    if as_json:
        for row in shown:
            typer.echo(json.dumps(as_dict(row)))
        return
    if not shown:
        typer.echo("1 unit has what it is to have" if len(rows) == 1 else f"{len(rows)} units have what they are to have")
        return
    console, width = Console(highlight=False, soft_wrap=True), max(len(row.unit) for row in shown)
    for row in shown:
        first, *others = describe(row)
        console.print(f"{row.unit:<{width}}  {first}", markup=False)
        for line in others:
            console.print(f"{'':<{width}}    ", cell(line), sep="")


def read_changes(words: Sequence[str]) -> dict[str, object]:
    """KEY=VALUE as typed: a value as TOML has it, or else a text as it stands; nothing for Unset."""
    changes: dict[str, object] = {}
    for word in words:
        key, _, text = word.partition("=")
        if not key.replace(".", "").replace("_", "").isalnum() or "." not in key:
            raise PlanError(f"{word[:60]!r}: expected KEY=VALUE with a key such as sound.volume")
        if key in changes:
            raise PlanError(f"{key}: expected once, found twice")
        changes[key] = read_value(text) if text else Unset
    return changes


def read_value(text: str) -> object:
    """A value as TOML has it; what is none is a text: nobody types quotes that a shell takes away."""
    try:
        value = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    plain = value["value"] if len(value) == 1 else text
    return plain if isinstance(plain, str | int | float | bool | list) else text


def make_wish(desires: Desires, wanted: Wanted, changes: Mapping[str, object]) -> tuple[Wish, str]:
    """What a unit is to have with these changes, and what that changes, in one line; PlanError where the unit could not take it."""
    base, before = desires.base(wanted)
    after = {key: value for key, value in {**before, **changes}.items() if value is not Unset}
    text, version = write_settings(after), wanted.next_version
    held = {} if wanted.reported is None else wanted.reported.settings
    own = {key: value for key, value in held.items() if key not in before}
    faults = find_faults(text, version, own)
    if faults:
        raise PlanError(f"{wanted.unit}: {faults[0].partition(': ')[2]}")
    moves = [f"{key} {show(held[key]) + ' ' if key in held else ''}→ {told(value)}" for key, value in changes.items()]
    return Wish(wanted.unit, text, wanted.version), f"version {version}{f' on {base}' if base else ''}: {', '.join(moves)}"


def told(value: object) -> str:
    """A value in a plan."""
    return "its own file" if value is Unset else show(value)


def wait_for(office: Office, versions: Mapping[str, int], within_s: float) -> bool:
    """Waits until each of the units has come through its trial, says how they fare; whether all did, in time."""
    console = Console(stderr=True, highlight=False)
    until, said = time.monotonic() + within_s, dict.fromkeys(versions, "")
    while True:
        seen = office.desires.see()
        over = {unit: is_over(seen[unit].reported if unit in seen else None, version) for unit, version in versions.items()}
        for unit in versions:
            state = SAID[seen[unit].standing] if unit in seen else "is gone"
            if state != said[unit]:
                console.print(f"{unit}: {state}", markup=False)
                said[unit] = state
        if False in over.values():
            return False
        if all(over.values()):
            return True
        if time.monotonic() >= until:
            console.print(f"not through after {within_s:.0f} s: {', '.join(unit for unit, each in over.items() if each is None)}")
            return False
        time.sleep(LOOK_S)


def tell(seen: Mapping[str, Wanted], versions: Mapping[str, int], *, as_json: bool) -> None:
    """What was set, and how it stands."""
    for unit, version in sorted(versions.items()):
        if as_json:
            typer.echo(json.dumps(as_dict(seen[unit]) | {"version": version}))
        else:
            typer.echo(f"{unit}: version {version}: {SAID[seen[unit].standing].strip()}")
