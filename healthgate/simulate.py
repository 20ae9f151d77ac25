"""`healthgate simulate`: a town of units and a server under virtual time, with faults from a seed, and what must hold at every step."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from healthgate.simulation.town import Outcome, run

SHORT_HOURS, SHORT_UNITS = 0.1, 3
"""Six virtual minutes of a town of three: the length that most seeds are run at."""
_SEEDS = re.compile(r"(\d{1,12})-(\d{1,12})")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def simulate(
    seed: Annotated[int | None, typer.Option(min=0, help="The one to run.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="A-B", help="Run all of these, until one fails.")] = None,
    hours: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Virtual hours with faults; then it must come to rest without.")
    ] = SHORT_HOURS,
    units: Annotated[int, typer.Option(min=1, max=100, help="Gate units in the town.")] = SHORT_UNITS,
    jobs: Annotated[int, typer.Option(min=1, help="Seeds run at once.")] = os.cpu_count() or 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a seed on standard output.")] = False,
) -> None:
    """Run a simulated town and check what must hold: lists, versions, times, events.

    The same seed, hours and units make the same steps. Status 0: all held. 1: something did not; the last steps and the command that
    replays them are shown.
    """
    if (seed is None) == (seeds is None):
        raise typer.BadParameter("expected one of the two: --seed N or --seeds A-B", param_hint="--seed, --seeds")
    wanted = range(seed, seed + 1) if seed is not None else read_seeds(seeds or "")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    done, versions, events, longest_rest = 0, 0, 0, 0.0
    failed: Outcome | None = None
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("seeds", total=len(wanted))
        for outcome in outcomes(wanted, hours, units, jobs):
            progress.advance(task)
            done, versions, events = done + 1, versions + outcome.versions, events + outcome.events
            longest_rest = max(longest_rest, outcome.rest_s)
            if as_json:
                typer.echo(json.dumps(asdict(outcome) if outcome.failure else {**asdict(outcome), "last": []}))
            if outcome.failure:
                failed = outcome
                break
    if failed is not None:
        show(failed, hours, units, as_json=as_json)
        raise typer.Exit(1)
    if not as_json:
        held = f"all held: {versions} versions of the list, {events} events; at rest after {longest_rest:.0f} s at most"
        typer.echo(f"{done} seed{'s' if done > 1 else ''}, {hours:g} virtual hours, {units} units: {held}")


def read_seeds(text: str) -> range:
    """The seeds that `text`, "A-B", names, both ends included."""
    matched = _SEEDS.fullmatch(text)
    if matched is None or int(matched[1]) > int(matched[2]):
        raise typer.BadParameter(f"{text!r}: expected the first and the last, as in 0-499", param_hint="--seeds")
    return range(int(matched[1]), int(matched[2]) + 1)


def outcomes(seeds: range, hours: float, units: int, jobs: int) -> Iterator[Outcome]:
    """What comes of each seed, as it comes, `jobs` at once, each in a process of its own."""
    one = partial(run, hours=hours, units=units)
    if len(seeds) == 1 or jobs == 1:
        yield from map(one, seeds)
        return
    with ExitStack() as undo:
        pool = undo.enter_context(ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=get_context("spawn")))
        undo.callback(pool.shutdown, cancel_futures=True)
        waiting = iter(seeds)
        running: set[Future[Outcome]] = {pool.submit(one, next(waiting)) for _ in range(min(2 * jobs, len(seeds)))}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
                following = next(waiting, None)
                if following is not None:
                    running.add(pool.submit(one, following))


def show(outcome: Outcome, hours: float, units: int, *, as_json: bool) -> None:
    """A failure, for people: the last steps, what did not hold, and how to see it again."""
    if not as_json:
        for line in outcome.last:
            typer.echo(line)
    typer.echo(f"seed {outcome.seed}, step {outcome.steps}, at {outcome.virtual_s:.3f} s: {outcome.failure}", err=True)
    typer.echo(f"again: healthgate simulate --seed {outcome.seed} --hours {hours:g} --units {units}", err=True)
