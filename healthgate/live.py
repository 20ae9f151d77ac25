"""The demo's live picture: people walk up to both gates, and the terminal shows light, barrier, verdicts and what the server has."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sqlalchemy import text

from healthcode.terms import Colour, Decision, Reason
from healthgate.gate_pages import GatePages
from healthgate.stage import FEVER_SKIN_C, NORMAL_SKIN_C, Stage, is_final
from healthgate.town import GATES, URI, Town
from healthgate.witness import LIGHTS, RELAY, mark, wait_for_row, word_of_levels
from server.facts import HandReason
from server.registry import Resident

SHAPES = {Decision.ADMIT: ("●", "green"), Decision.REFUSE: ("■", "red"), Decision.CALL_GUARD: ("▲", "yellow")}
LIGHT_STYLES = {"off": "dim", "white": "white", "magenta": "magenta", "cyan": "cyan"}
SHOWN, SHOWN_NARROW = 8, 2
PANEL_WIDTH = 58
REFRESH_PER_S = 10
LOOK_LIMIT_S = 16.0
LAST_LIMIT_S = 3.0


@dataclass
class Lane:
    """What the picture shows of one gate; the visitor at it and the last verdicts, newest first."""

    visitor: str = "nobody"
    verdicts: list[tuple[str, Decision, Reason, str]] = field(default_factory=list)
    admitted: int = 0
    turned_away: int = 0


@dataclass(frozen=True)
class Visitor:
    """Somebody who comes to a gate: a resident, how they carry their code, and how warm their skin is."""

    words: str
    resident: Resident
    is_paper: bool = False
    skin_c: float = NORMAL_SKIN_C


class Crowd:
    """Made-up residents of each kind who walk up to the gates, one after another at each, until `stop` is set.

    They keep away from a gate whose page is open, once the one who stands there has gone.
    """

    def __init__(self, town: Town, pages: GatePages, stop: threading.Event) -> None:
        self.town = town
        self._pages = pages
        self.lanes = {unit: Lane() for unit in GATES}
        self._stage = Stage(town)
        self._stop = stop
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._walk, args=(unit, seed), daemon=True) for seed, unit in enumerate(GATES)]

    def start(self) -> None:
        """Sends the first ones."""
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Waits until the last ones have gone."""
        for thread in self._threads:
            thread.join(LAST_LIMIT_S)

    def _walk(self, unit: str, seed: int) -> None:
        choose = random.Random(seed)
        while not self._stop.is_set():
            with self._pages.feeds[unit].somebody_else() as may:
                if may:
                    self._visit(unit, self._next(choose))
                else:
                    self.lanes[unit].visitor = "whoever has its page open"
            self._stop.wait(choose.uniform(0.5, 1.5))

    def _next(self, choose: random.Random) -> Visitor:
        kind = choose.choices(("live", "paper", "yellow", "red", "fever"), (55, 20, 8, 7, 10))[0]
        with self._lock:
            if kind == "yellow":
                return Visitor("yellow code", self._stage.resident(Colour.YELLOW, HandReason.CLOSE_CONTACT))
            if kind == "red":
                return Visitor("red code", self._stage.resident(Colour.RED, HandReason.CONFIRMED))
            if kind == "fever":
                return Visitor("green code, fever", self._stage.resident(), skin_c=FEVER_SKIN_C)
            return Visitor("green code on paper" if kind == "paper" else "green code", self._stage.resident(), kind == "paper")

    def _visit(self, unit: str, visitor: Visitor) -> None:
        lane, world = self.lanes[unit], self.town.world
        lane.visitor = visitor.words
        pack = self._stage.paper(visitor.resident) if visitor.is_paper else self._stage.live(visitor.resident)
        since = mark(self.town, unit)
        world.set(unit, skin_c=visitor.skin_c)
        world.show(unit, pack.codes[0].text)
        row = wait_for_row(self.town, unit, since, is_final, LOOK_LIMIT_S, self._stop.is_set)
        if row is not None:
            decision, reason = Decision(row.body["decision"]), Reason(row.body["reason"])
            lane.verdicts = [(time.strftime("%H:%M:%S"), decision, reason, visitor.words), *lane.verdicts][:SHOWN]
            lane.admitted += decision is Decision.ADMIT
            lane.turned_away += decision is not Decision.ADMIT
            if decision is Decision.ADMIT:
                self._stop.wait(0.5)
                self._stage.walk_through(unit)
            else:
                self._stop.wait(1.5)
        world.set(unit, shown=(), skin_c=None, beam=False)
        lane.visitor = "nobody"


def draw_gate(town: Town, unit: str, lane: Lane, shown: int) -> Panel:
    """One gate: light, barrier, visitor, and its last verdicts with shape, colour, word and sentence."""
    level = {line: town.world.level(unit, line) or 0.0 for line in LIGHTS}
    light = word_of_levels(level)
    relay = "OPEN" if town.world.level(unit, RELAY) else "shut"
    state = Text.assemble("light ", ("██ " + light, LIGHT_STYLES.get(light, light)), "   barrier ", (relay, "bold"), "\n")
    state.append(f"at the gate: {lane.visitor}\n")
    state.append(f"{lane.admitted} admitted, {lane.turned_away} not\n", style="dim")
    table = Table.grid(padding=(0, 1))
    for when, decision, reason, words in lane.verdicts[:shown]:
        shape, style = SHAPES[decision]
        table.add_row(Text(when, style="dim"), Text(f"{shape} {reason.value}", style=style), Text(words, style="dim"))
    newest = Text(lane.verdicts[0][2].sentence + "\n" + lane.verdicts[0][2].sentence_zh) if lane.verdicts else Text("")
    return Panel(Group(state, table, Text(""), newest), title=f"gate {unit}", width=PANEL_WIDTH, height=shown + 9)


def draw(town: Town, lanes: dict[str, Lane], width: int, address: str) -> Group:
    """Both gates, side by side where a terminal of `width` columns has the room, and one line about the server."""
    beside = width >= len(GATES) * PANEL_WIDTH
    panels = [draw_gate(town, unit, lanes[unit], SHOWN if beside else SHOWN_NARROW) for unit in GATES]
    gates = Table.grid()
    if beside:
        gates.add_row(*panels)
    else:
        for panel in panels:
            gates.add_row(panel)
    with town.store.read() as tx:
        events = tx.execute(text("SELECT count(*) FROM events")).scalar_one()
        version = tx.execute(text("SELECT version FROM heads WHERE uri = :uri"), {"uri": URI}).scalar_one_or_none()
    waiting = sum(len(town.files[unit].events(waiting=True)) for unit in GATES)
    line = f"server: {events} events, list version {version}; waiting at the gates: {waiting}; everything is in {town.folder}"
    pages = f"gates' pages: {address}   residents' pages: {town.pages}   Ctrl-C ends"
    return Group(gates, Text(line, style="dim"), Text(pages))


def run_live(town: Town, pages: GatePages, limit_s: float | None = None) -> None:
    """Shows the town until Ctrl-C, or for `limit_s` seconds."""
    stop = threading.Event()
    crowd = Crowd(town, pages, stop)
    console = Console()
    began = time.monotonic()
    crowd.start()
    try:
        with Live(draw(town, crowd.lanes, console.width, pages.address), console=console, refresh_per_second=REFRESH_PER_S) as picture:
            while limit_s is None or time.monotonic() - began < limit_s:
                time.sleep(1 / REFRESH_PER_S)
                town.tend()
                picture.update(draw(town, crowd.lanes, console.width, pages.address))
    except KeyboardInterrupt:
        stop.set()
    finally:
        stop.set()
        crowd.join()
