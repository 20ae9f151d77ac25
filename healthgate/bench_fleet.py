"""`healthgate bench fleet`: a thousand units on one broker, how soon they are back and how soon a configuration is with all of them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from healthgate.broker import BrokerMissing

ROWS = {
    "reconnect_all_s": "all back after the broker's new start, s",
    "reconnect_half_s": "  half of them",
    "attempts_most_in_a_second": "  most attempts to connect in a second",
    "status_messages_per_s": "numbers of units taken a second",
    "server_cpu_ms_per_message": "  processor time of the server for each, ms",
    "config_to_all_p99_ms": "a configuration to 99 of 100 units, ms",
    "config_to_all_p50_ms": "  to half of them",
    "server_rss_mb": "memory of the server, MB",
}
"""What the table shows, by the name of the figure."""


def fleet(
    units: Annotated[int, typer.Option(min=2, max=4000, help="Units, each with a certificate and a connection of its own.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the pauses before they come back.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Many units on a mosquitto with TLS and one server: back after a new start of the broker, their numbers, a configuration for all.

    Broker, server and all units share this machine; the units are connections without a gate behind them.
    """
    from bench import fleet as measure
    from healthgate.bench import machine

    console = Console(stderr=True)
    console.print(machine(), highlight=False)
    columns = (TextColumn("{task.description:20}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=None)
        try:
            found = measure.measure(
                units, seed, lambda what, done, total: progress.update(task, description=what, completed=done, total=total)
            )
        except (measure.NotMeasured, BrokerMissing) as wrong:
            typer.echo(f"healthgate bench fleet: {wrong}", err=True)
            raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("", str(found["units"]), box=None, pad_edge=False)
    for name, words in ROWS.items():
        table.add_row(words, f"{found[name]:,}")
    Console().print(table)
