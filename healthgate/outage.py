"""`healthgate outage`: times in which nobody could check in, noted for all: a green code does not lapse in them."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from healthgate.cells import cell
from healthgate.errors import one_line_errors
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, console, in_one_line, opened
from healthgate.times import BadTime, moment, rfc3339
from server import rulebook
from server.rulebook import OutageFault
from server.store import rulings

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Times in which nobody could check in: no green code lapses in them, and one that did is given back.",
)

At = Annotated[str, typer.Option(help="When, if not now: 2020-03-16T08:00:00Z.")]
WORDS = {
    OutageFault.ONE_IS_OPEN: "an outage has begun already: end it first, healthgate outage end",
    OutageFault.NONE_IS_OPEN: "no outage has begun: expected one that healthgate outage begin noted",
    OutageFault.BEFORE_ITS_BEGIN: "--at lies before the outage's begin: expected a time after it, see healthgate outage list",
    OutageFault.IN_THE_FUTURE: "--at lies in the future: expected a time that has been",
    OutageFault.TOO_MANY: f"there are {rulebook.MOST_OUTAGES} outages already: expected fewer",
}
times_in_one_line = one_line_errors("healthgate outage", BadTime)


@app.command("begin")
@in_one_line
@times_in_one_line
def begin(
    at: At = "",
    note: Annotated[str, typer.Option(help="What happened, in a line.")] = "",
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Note that people cannot check in, from now or from --at on. Whose green lapsed since then gets it back."""
    now = time.time()
    began = moment(at, "--at", now)
    with opened(config) as office, office.store.write() as tx:
        fault = rulebook.begin_outage(tx, began, note[:200], console(), now)
    _answer(fault, f"no green code lapses from {rfc3339(began)} on, until healthgate outage end")


@app.command("end")
@in_one_line
@times_in_one_line
def end(at: At = "", config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Note that people can check in again, from now or from --at on."""
    now = time.time()
    ended = moment(at, "--at", now)
    with opened(config) as office, office.store.write() as tx:
        fault = rulebook.end_outage(tx, ended, console(), now)
    _answer(fault, f"the outage ended at {rfc3339(ended)}: green codes lapse again, later by as long as it lasted")


@app.command("list")
@in_one_line
def list_outages(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show every outage."""
    with opened(config) as office, office.store.read() as tx:
        rows = rulings.list_outages(tx)
    table = Table("began", "ended", "noted by", "note", box=None)
    for row in rows:
        began, ended = rfc3339(row.began_ms / 1000), None if row.ended_ms is None else rfc3339(row.ended_ms / 1000)
        if as_json:
            typer.echo(json.dumps({"began": began, "ended": ended, "by": row.recorded_by, "note": row.note}, ensure_ascii=False))
        table.add_row(began, ended or "still on", cell(row.recorded_by), cell(row.note))
    if not as_json:
        Console(highlight=False).print(table)


def _answer(fault: OutageFault | None, done: str) -> None:
    if fault is not None:
        typer.echo(f"healthgate outage: {WORDS[fault]}", err=True)
        raise typer.Exit(1)
    typer.echo(done)
