"""One lane with people walking through it: the real unit, server and broker as processes, pins, registers and frames simulated.

Everybody has a code of their own from the real issuer. Somebody steps up, the face in front of the sensor, and raises the telephone, whose
code is tilted and blurred at first; when the relay rises they walk, and their body breaks the beam for `beam_s`. People come every
`pace_s`, or, in the part `close`, hold up their code while the one before them is still in the beam. The server is there in the first and
the last quarter; in between the broker is gone (connections refused), then hangs (accepts connections and never answers).

Nothing of ours is replaced or watched from within: the journal of the simulated hardware and the outbox on the gate's disk are the
witnesses, and `bench.lane_figures` makes figures of what they say.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bench.lane_figures import Series, ratio, settling_s, spread, summary
from bench.lane_people import RAISED_S, UNIT, Visit, clear, hold, turn_of, walk
from bench.procfs import cpu_s, descendants
from edge import config as configuration
from edge.config import Config
from edge.drivers.world import Shown
from healthcode.messages import AnyEvent
from healthcode.terms import Colour
from healthgate.broker import BrokerMissing
from healthgate.keyring_files import KeysError
from healthgate.stage import NORMAL_SKIN_C, done
from healthgate.town import Town, TownError
from healthgate.witness import LIGHTS, RELAY, rows_of
from healthgate.world import Entry
from server.facts import HandReason
from server.persons import Person
from server.registry import Resident
from server.store import StoreError

LOST_IN_A_ROW = 5
CODE_LASTS_S = 240
LINGERS = 3
"""Every so manyth person holds the telephone in view until they are past the beam, and a little longer."""
DRAIN_LIMIT_S = 60.0
SYNCED = 20

KEPT = frozenset({"frame", "register", "scene"})
"""What is kept of the journal beside the lines of relay and light."""

Step = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""
_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


@dataclass(frozen=True)
class Plan:
    """How many people each way, how many of them close together, how often they come, how long the beam is broken (seconds).

    `together`: the face appears only with the first readable frame, so that the sensor still has to respond to it. `part` is the
    thermometer's, empty for the one that a configuration names by itself.
    """

    people: int = 60
    close: int = 40
    pace_s: float = 2.9
    beam_s: float = 1.0
    server: bool = True
    together: bool = False
    part: str = ""
    seed: int = 1


@dataclass
class Outcome:
    """Everything measured. `series` by its name: reachable, unreachable, close."""

    series: dict[str, Series]
    config: Config
    at_gate: int
    at_server: int | None
    environment: dict[str, Any]

    def figures(self) -> dict[str, Any]:
        """The figures, ready for JSON: those of the lane whose server is there first, or of the other where it is never there."""
        told = {name: summary(series, self.config) for name, series in self.series.items() if series.turns}
        first = "reachable" if "reachable" in told else "unreachable"
        found: dict[str, Any] = {**told.pop(first), "server": first, "settling_ms": round(1000 * settling_s(self.config), 1)}
        if "unreachable" in told:
            found["unreachable_over_reachable"] = {
                name: ratio(told["unreachable"][name], found[name]) for name in ("with_settling_ms", "beyond_sample_ms")
            }
        return {**found, **told, "events": {"at_gate": self.at_gate, "at_server": self.at_server}, "environment": self.environment}


class LaneStuck(Exception):
    """Nobody gets in any more; one line that names the unit's log."""


LANE_FAULTS = (LaneStuck, TownError, BrokerMissing, KeysError, StoreError, OSError, ValueError)
"""What can be wrong with the machine or its folder; the text of each is one line for people."""


def run(plan: Plan, folder: Path, step: Step) -> Outcome:
    """The whole benchmark, in `folder`, which is new or empty. BrokerMissing, TownError and LaneStuck say in one line what is wrong."""
    step("starting", 0, 1)
    load = os.getloadavg()
    town = Town(folder, gates=(UNIT,))
    if plan.part:
        with (town.folder / f"{UNIT}.toml").open("a", encoding="utf-8") as settings:
            settings.write(f'\n[sensor]\npart = "{plan.part}"\n')
    with town:
        environment: dict[str, Any] = {
            "cores": os.cpu_count(),
            "load_at_start": [round(one, 2) for one in load],
            "fsync_ms": _fsync_ms(folder),
            "people_each_way": plan.people,
            "pace_s": plan.pace_s,
            "beam_s": plan.beam_s,
            "face_with_code": plan.together,
        }
        play = _Play(town, plan, step)
        series = play.play()
        at_gate = len(town.files[UNIT].events())
        at_server = len(rows_of(town, UNIT)) if plan.server else None
    sensor = play.config.sensor
    environment["sensor"] = {
        "part": sensor.part,
        "samples": play.config.screening.samples,
        "silence_ms": round(1000 * sensor.quiet_s),
        "settle_ms": round(1000 * sensor.settling_s),
    }
    environment["load_at_end"] = [round(one, 2) for one in os.getloadavg()]
    return Outcome(series, play.config, at_gate, at_server, environment)


class _Play:
    """The people and the lane that they walk through."""

    def __init__(self, town: Town, plan: Plan, step: Step) -> None:
        self.town = town
        self.plan = plan
        self.config = configuration.load(town.folder / f"{UNIT}.toml")
        self._step = step
        self._random = Random(plan.seed)
        self._total = plan.people * (2 if plan.server else 1) + plan.close
        self._residents: Iterator[Resident] = iter(self._enrol(self._total))
        self._done = 0
        self._lost = 0
        self._visits: dict[str, list[Visit]] = {}
        self._series = {name: Series() for name in ("reachable", "unreachable", "close")}

    def play(self) -> dict[str, Series]:
        """All blocks of people in their order, and what was seen of them."""
        half = self.plan.people - self.plan.people // 2, self.plan.people // 2
        if self.plan.server:
            self._block("reachable", half[0])
        self.town.broker.kill()
        self._block("unreachable", half[0])
        self.town.broker.start()
        with self.town.broker.frozen():
            self._block("unreachable", half[1])
            if not self.plan.server:
                self._block("close", self.plan.close)
        if self.plan.server:
            self._drain()
            self._block("reachable", half[1])
            self._block("close", self.plan.close)
            self._drain()
        events = _events_on_disk(self.town.folder / UNIT / "outbox.sqlite")
        asked = 0
        for name, series in self._series.items():
            for visit in self._visits.get(name, []):
                series.turns.append(turn_of(visit, self.config.camera))
                asked += 1
                self._step("asking", asked, self._total)
            mine = {turn.index for turn in series.turns}
            series.events = [event for event in events if getattr(event, "index", None) in mine]
        return self._series

    def _enrol(self, count: int) -> list[Resident]:
        """So many residents, all green."""
        found = []
        for number in range(count):
            found.append(done(self.town.registry.add(Person(name=f"Resident {number}"), colour=Colour.GREEN, reason=HandReason.REVIEWED)))
            self._step("enrolling", number + 1, count)
        return found

    def _drain(self) -> None:
        """Waits until the server has everything."""
        self.town.wait_until(lambda: not self.town.files[UNIT].events(waiting=True), DRAIN_LIMIT_S, "the gate's events to reach the server")

    @contextmanager
    def _watched(self, series: Series) -> Iterator[None]:
        """Adds to `series` what the hardware journals and what the unit's processes take meanwhile."""
        gate = self.town.gates[UNIT].running
        if gate is None:
            raise TownError(f"the unit does not run: see {self.town.gates[UNIT].log}")
        pids = (gate.pid, *descendants(gate.pid))
        began, taken = time.monotonic(), sum(map(cpu_s, pids))
        self._since = self.town.world.mark(UNIT)
        try:
            yield
        finally:
            self._collect(series)
            series.cpu_s += sum(map(cpu_s, pids)) - taken
            series.lasted_s += time.monotonic() - began

    def _collect(self, series: Series) -> None:
        new = self.town.world.entries(UNIT, self._since)
        self._since = new[-1]["n"] if new else self._since
        series.entries += [entry for entry in new if entry.get("pin") in (RELAY, *LIGHTS) or KEPT & entry.keys()]

    def _block(self, name: str, count: int) -> None:
        """`count` people, one after another."""
        series, visits = self._series[name], self._visits.setdefault(name, [])
        walkers: list[threading.Thread] = []
        close = name == "close"
        rises: list[float] = []
        with self._watched(series):
            due = time.monotonic()
            for number in range(count):
                visit = self._visit()
                visits.append(visit)
                rose = self._step_up(visit)
                if rose is not None:
                    rises.append(rose["at"])
                    in_beam = threading.Event()
                    lingers = not close and number % LINGERS == 0
                    how = (self.town.world, rose["at"], self.plan.beam_s, lingers, in_beam)
                    walkers.append(threading.Thread(target=walk, args=how, daemon=True))
                    walkers[-1].start()
                    (in_beam.wait if close and number < count - 1 else walkers[-1].join)()
                self._collect(series)
                self._done += 1
                self._step(name, self._done, self._total)
                due = due + self.plan.pace_s if not close else 0.0
                time.sleep(max(0.0, due - time.monotonic()) + (0.0 if close else self._random.uniform(0.0, 0.1)))
            for walker in walkers:
                walker.join()
        series.blocks.append(rises)

    def _visit(self) -> Visit:
        """The next person, with a code that is good now."""
        pack = done(self.town.issuer.live_pack(next(self._residents).resident, lasting_s=CODE_LASTS_S))
        return Visit(pack.index, pack.codes[0].text)

    def _step_up(self, visit: Visit) -> Entry | None:
        """Holds the code up as people do, until the relay rises; its journal entry, None where it does not."""
        since = self.town.world.mark(UNIT)
        began = time.monotonic()
        for at, pose in hold(self._random):
            rose = self._relay(since, began + at - time.monotonic())
            if rose is not None:
                break
            name = f"p{visit.index}-{len(visit.poses)}"
            visit.poses[name] = pose
            face = {} if self.plan.together and at < RAISED_S else {"skin_c": NORMAL_SKIN_C}
            self.town.world.set(UNIT, shown=(Shown(name, visit.text),), tilt=pose.tilt, blur=pose.blur, **face)
        if rose is None:
            clear(self.town.world)
            self._lost += 1
            if self._lost >= LOST_IN_A_ROW or not self.town.gates[UNIT].alive():
                raise LaneStuck(f"{self._lost} people in a row were not let in: see {self.town.gates[UNIT].log}")
            return None
        self._lost = 0
        visit.relay_at = float(rose["at"])
        return rose

    def _relay(self, since: int, limit_s: float) -> Entry | None:
        """The relay's rise after entry `since`, waited for up to `limit_s`."""
        return self.town.world.wait_for(UNIT, lambda entry: entry.get("pin") == "relay" and bool(entry["value"]), max(0.0, limit_s), since)


def _events_on_disk(path: Path) -> list[AnyEvent]:
    """Every event in a gate's outbox."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
    try:
        return [_EVENT.decode(body) for (body,) in connection.execute("SELECT body FROM events ORDER BY boot, seq")]
    finally:
        connection.close()


def _fsync_ms(folder: Path) -> dict[str, float | None]:
    """How long this disk takes to keep 4 KB, in milliseconds."""
    took = []
    with (folder / "probe").open("wb") as probe:
        for _ in range(SYNCED):
            began = time.perf_counter()
            probe.write(bytes(4096))
            probe.flush()
            os.fsync(probe.fileno())
            took.append(time.perf_counter() - began)
    (folder / "probe").unlink()
    return spread(took)
