"""`healthgate fleet watch` and `events`: the fleet and one unit's events as they come, from the server's database.

The database has who is silent, which no topic says, and needs no account at the broker (docs/decisions/0198-fleet-watch.md).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, assert_never

import msgspec
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from healthcode.messages import LaneEvent, PassageEvent, PassEvent, ReleaseEvent, UnitEvent
from healthcode.terms import ClockState, Decision
from healthgate import fleet_words
from healthgate.cells import cell
from healthgate.fleet_plan import PlanError
from healthgate.fleet_show import Patterns, UnitName, chosen, in_one_line_too
from healthgate.fleet_words import as_dict
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from healthgate.times import rfc3339
from server.fleet_watch import FleetWatch, Happened, Seen, Unit

AT_ONCE = 500
"""Events that are asked for at a time."""
_MARKS = {Decision.ADMIT: ("✓", "green"), Decision.REFUSE: ("✖", "red"), Decision.CALL_GUARD: ("!", "yellow")}
Seconds = Annotated[float | None, typer.Option("--seconds", min=0.0, help="End after so many seconds.", show_default=False)]
Every = Annotated[float, typer.Option("--every", min=0.1, max=60.0, help="Ask so often, in seconds.")]


@in_one_line
@in_one_line_too
def watch(
    patterns: Patterns = None,
    every: Every = 1.0,
    seconds: Seconds = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Watch the units live, the worst first, until Ctrl-C. With --json a line for each unit, and one more whenever it changes."""
    with opened(config) as office:
        chosen(office.watch.see(), patterns)
        moments = _moments(every, seconds)
        try:
            if as_json:
                _follow_as_json(office.watch, patterns, moments)
            else:
                _follow_on_screen(office.watch, patterns, moments)
        except KeyboardInterrupt:
            return


@in_one_line
@in_one_line_too
def show_events(
    unit: UnitName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    most: Annotated[int, typer.Option("--most", min=0, max=10_000, help="So many of the last ones.")] = 20,
    every: Every = 1.0,
    seconds: Seconds = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show what happened at UNIT, in the order in which the server heard of it; never who passed."""
    console = Console(highlight=False)

    def say(one: Happened) -> None:
        if as_json:
            typer.echo(json.dumps(event_dict(one)))
        else:
            console.print(line_of(one), soft_wrap=True)

    with opened(config) as office:
        if office.watch.find(unit) is None:
            raise PlanError(f"{unit[:60]!r}: no such unit is known: healthgate fleet ls")
        last = office.watch.last_events(unit, most)[::-1]
        for one in last:
            say(one)
        if follow:
            try:
                _follow(office.watch, unit, last, say, _moments(every, seconds))
            except KeyboardInterrupt:
                return


def line_of(one: Happened) -> Text:
    """An event in one line."""
    event = one.event
    line = Text(f"{rfc3339(event.at.timestamp())}  ")
    match event:
        case PassEvent():
            shape, style = _MARKS[event.decision]
            line.append(f"{shape} {event.decision.value} {event.reason.value}", style=style)
            if event.body_c is not None:
                line.append(f"  {event.body_c:.1f} °C")
            if event.ms is not None:
                line.append(f"  {event.ms:.0f} ms")
        case PassageEvent():
            line.append(f"  passage {event.outcome.value}")
        case ReleaseEvent():
            line.append(f"  opened by {event.by}{_detail(event.note)}")
        case LaneEvent():
            also = "".join(f", {word}" for word, is_so in (("fire", event.fire), ("housing open", event.tamper)) if is_so)
            until = f" until {rfc3339(event.until.timestamp())}" if event.until else ""
            line.append(f"  lane {event.mode.value}{also}{until}{_detail(event.note)}")
        case UnitEvent():
            line.append(f"  {_clean(event.what)}{_detail(event.detail)}")
        case _:
            assert_never(event)
    if event.clock is not ClockState.TRUSTED:
        line.append(f"  (clock {event.clock.value})", style="yellow")
    return line


def event_dict(one: Happened) -> dict[str, object]:
    """An event for programs; `received` is when the server had it."""
    return {"boot_id": one.boot_id, "received": rfc3339(one.received_ms / 1000), **msgspec.to_builtins(one.event)}


def _follow(watch: FleetWatch, unit: str, told: list[Happened], say: Callable[[Happened], None], moments: Iterator[None]) -> None:
    """What comes after `told`. Several events may have come in one moment, so that one is asked for again."""
    since = told[-1].received_ms if told else round(time.time() * 1000)
    known = {(one.boot_id, one.seq) for one in told if one.received_ms == since}
    for _ in moments:
        while True:
            found = watch.events_from(unit, since, AT_ONCE + len(known))
            fresh = [one for one in found if (one.boot_id, one.seq) not in known]
            for one in fresh:
                say(one)
            if not fresh:
                break
            since = fresh[-1].received_ms
            known = {(one.boot_id, one.seq) for one in found if one.received_ms == since}


def _follow_as_json(watch: FleetWatch, patterns: list[str] | None, moments: Iterator[None]) -> None:
    token = ""
    for _ in moments:
        seen = watch.see(token)
        token = seen.token
        names = {unit.unit for unit in chosen(watch.see(), patterns).units} if patterns else None
        for unit in fleet_words.order(seen.units):
            if names is None or unit.unit in names:
                typer.echo(json.dumps(as_dict(unit, seen.at_ms)))
        sys.stdout.flush()


def _follow_on_screen(watch: FleetWatch, patterns: list[str] | None, moments: Iterator[None]) -> None:
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        for _ in moments:
            seen = chosen(watch.see(), patterns)
            live.update(_page(seen, console.width, console.height if console.is_terminal else len(seen.units) + 4), refresh=True)


def _page(seen: Seen, width: int, rows: int) -> Group:
    """What fits; what is left out is well, or not as bad as what is shown."""
    worst = fleet_words.order(seen.units)
    shown: tuple[Unit, ...] = tuple(worst[: max(1, rows - 4)])
    more = f"; {len(worst) - len(shown)} more are not shown" if len(shown) < len(worst) else ""
    head = Text(f"{rfc3339(seen.at_ms // 1000)}  {fleet_words.summary(seen)}{more}")
    return Group(head, fleet_words.table(replace(seen, units=shown), width))


def _moments(every: float, seconds: float | None) -> Iterator[None]:
    """Now, and again every so many seconds."""
    until = float("inf") if seconds is None else time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() + every > until:
            return
        time.sleep(every)


def _detail(text: str) -> str:
    return f": {_clean(text)}" if text else ""


def _clean(text: str) -> str:
    return cell(text).plain
