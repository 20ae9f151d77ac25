"""`healthgate demo`: a broker, the server with its pages and two simulated gates, live; `--story` plays and checks a day."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from healthgate.broker import BrokerMissing
from healthgate.keyring_files import KeysError
from healthgate.made_up import Cast, make_cast
from healthgate.town import GATES, Town, TownError
from server.store import StoreError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Part(StrEnum):
    """What can be broken on purpose."""

    DELTAS = "deltas"
    SIGNATURE = "signature"
    OUTBOX = "outbox"


@app.command()
def demo(
    story: Annotated[bool, typer.Option("--story", help="Play a day of checks and exit 0 only if all hold.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --story: one JSON object a line.")] = False,
    broken: Annotated[Part | None, typer.Option("--break", help="With --story: sabotage this part, which must exit 1.")] = None,
    folder: Annotated[Path | None, typer.Option("--folder", help="Keep keys, databases, journals and logs in this new folder.")] = None,
) -> None:
    """Start a private broker, the server with its pages and the gates "north" and "south", and show them until Ctrl-C."""
    console = Console(stderr=True)
    if (as_json or broken) and not story:
        console.print("[red]--json and --break go with --story: type healthgate demo --story")
        raise typer.Exit(2)
    fault = None if folder is None else make_folder(folder)
    if fault:
        console.print(fault, style="red", markup=False)
        raise typer.Exit(2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    place = folder or Path(tempfile.mkdtemp(prefix="healthgate-"))
    passed = False
    try:
        passed = play_story(place, as_json, broken, console) if story else show_live(place, console)
    except (BrokerMissing, TownError, KeysError, StoreError, ValueError, OSError) as wrong:
        console.print(str(wrong), style="red", markup=False)
    finally:
        if folder is None and passed:
            shutil.rmtree(place)
        else:
            console.print(f"keys, databases, journals and logs are in {place}", markup=False)
    raise typer.Exit(0 if passed else 1)


def make_folder(folder: Path) -> str | None:
    """Makes the demo's folder where it is not there; in one line why it cannot be used, None where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return f"{folder} is not empty: expected a new folder" if any(folder.iterdir()) else None
    except OSError as wrong:
        return f"{folder}: {wrong.strerror}: expected a new folder, or an empty one"


def play_story(place: Path, as_json: bool, broken: Part | None, console: Console) -> bool:
    """Plays the story and prints a line a step; whether every step held."""
    from healthgate.story import STEPS, play

    results = []
    with console.status("starting a broker, the server and two gates"):
        town = Town(place, sabotage=broken.value if broken else "")
        town.__enter__()
    try:
        for result in play(town):
            results.append(result)
            if as_json:
                print(json.dumps(result.to_json(), ensure_ascii=False), flush=True)  # noqa: T201
            else:
                print_step(result.step, result.gate, result.expected, result.got, result.ms)
    finally:
        town.close()
    held = sum(result.ok for result in results)
    console.print(f"{held} of {len(STEPS)} steps hold", style="green" if held == len(STEPS) else "red")
    return held == len(STEPS)


def print_step(step: str, gate: str, expected: str, got: str, ms: float) -> None:
    """A step for people: what was expected is shown only where something else came."""
    out = Console(highlight=False)
    good = expected == got
    out.print(f"[{'green' if good else 'red'}]{'✔' if good else '✘'}[/] {step:<29} {gate:<6}{ms:>8.0f} ms  ", end="")
    out.print(got, markup=False)
    if not good:
        out.print(f"  expected: {expected}", markup=False, style="red")


def show_live(place: Path, console: Console) -> bool:
    """The town with its pages and people walking through it, until Ctrl-C."""
    from healthgate.gate_pages import GatePages
    from healthgate.live import run_live

    with console.status("starting a broker, the server, the pages and two gates"):
        town = Town(place)
        town.__enter__()
    try:
        cast = make_cast(town.office)
        town.serve_pages()
        pages = GatePages(town, cast)
        try:
            print_addresses(town, pages.address, cast)
            run_live(town, pages)
        finally:
            pages.close()
    finally:
        with console.status("stopping"):
            town.close()
    return True


def print_addresses(town: Town, gates: str, cast: Cast) -> None:
    """Where the pages are, and who may sign in to them."""
    out = Console(highlight=False, soft_wrap=True)
    for gate in GATES:
        out.print(f"gate {gate}: {gates}/gates/{gate}", markup=False)
    out.print(f"residents' pages: {town.pages}", markup=False)
    for account in cast.accounts:
        out.print(f"  sign in as {account.name:<9} password {account.password}   {account.whose}", markup=False)
    command = f"./run fleet run north open --reason 'a pram' --config {town.folder / 'operator.toml'} --key {town.operator_key}"
    out.print(f"have a gate do something, as its operator: {command}", markup=False)
    out.print()
