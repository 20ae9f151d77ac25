"""Asks units and gathers what became of it: as values, as a table that is drawn as the answers come, or as lines for programs."""

from __future__ import annotations

import json
import queue
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from healthcode.messages import Response
from healthcode.terms import CommandFault, CommandName
from healthgate.cells import cell
from healthgate.fleet_link import Answer, Lost, OperatorLink


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
