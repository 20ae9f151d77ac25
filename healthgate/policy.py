"""`healthgate policy`: the rules by which a colour follows: those in force, a file's, and what a file's would change."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from healthgate.cells import cell
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from server.policy import DEFAULT, Policy
from server.rulebook import check_newer, load_policy
from server.trial import Trial, count_people, try_policy

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="The rules by which a colour follows: show, check, try out. Every key and where it comes from: server/policy.toml, docs/rules.md.",
)

File = Annotated[Path, typer.Argument(help="A policy: TOML, its version and what differs from the defaults.", show_default=False)]
SHAPES = {"green": "●", "yellow": "▲", "red": "■", "pending": "○"}
"""A shape beside each colour's word."""


@app.command("show")
@in_one_line
def show(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show the policy in force, and what in it differs from the defaults."""
    with opened(config) as office, office.store.read() as tx:
        _show(office.registry.rulings.policy(tx), as_json)


@app.command("check")
@in_one_line
def check(file: File, as_json: AsJson = False) -> None:
    """Check a policy file; all that is wrong is said, a line each. Then show it, and what in it differs from the defaults."""
    _show(load_policy(str(file)), as_json)


@app.command("simulate")
@in_one_line
def simulate(file: File, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Say of how many people the colour would change, were FILE in force now. Nothing is written."""
    policy = load_policy(str(file))
    with opened(config) as office:
        with office.store.read() as tx:
            check_newer(tx, policy)
            held = office.registry.rulings.policy(tx).version
        people = count_people(office.store)
        console = Console(stderr=True)
        columns = (TextColumn("ruling on everybody by both"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        total = Trial()
        with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("", total=people)
            for part in try_policy(office.store, policy, time.time()):
                total.add(part)
                progress.advance(task, part.people)
    if as_json:
        typer.echo(json.dumps(_as_dict(total, held, policy)))
        return
    changed = total.changes.total()
    typer.echo(f"policy {policy.version} in place of {held}: {changed} of {total.people} people would change colour")
    table = Table("from", "to", "people", box=None)
    for (before, after), times in sorted(total.changes.items()):
        table.add_row(f"{SHAPES[before]} {before}", f"{SHAPES[after]} {after}", str(times))
    reasons = Table("by the rule", "by the rule then", "people", box=None)
    for (rule, then), times in total.rules.most_common():
        reasons.add_row(rule, then, str(times))
    if changed:
        Console(highlight=False).print(table)
        typer.echo("")
        Console(highlight=False).print(reasons)


def _show(policy: Policy, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(policy).decode())
        return
    table = Table("key", "value", "default", box=None)
    defaults = dict(_keys(msgspec.to_builtins(DEFAULT)))
    for key, value in _keys(msgspec.to_builtins(policy)):
        shown = json.dumps(value, ensure_ascii=False)
        default = json.dumps(defaults[key], ensure_ascii=False)
        table.add_row(key, cell(shown), "" if shown == default else cell(default))
    Console(highlight=False).print(table)


def _keys(found: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _as_dict(total: Trial, held: int, policy: Policy) -> dict[str, object]:
    return {
        "in_force": held,
        "policy": policy.version,
        "people": total.people,
        "changed": total.changes.total(),
        "changes": [{"from": before, "to": after, "people": times} for (before, after), times in sorted(total.changes.items())],
        "rules": [{"from": before, "to": after, "people": times} for (before, after), times in total.rules.most_common()],
    }
