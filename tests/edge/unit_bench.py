"""A gate unit on the bench: the real unit, outbox, cache, clock and gate on simulated pins, on a clock that the test moves."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

import msgspec

from edge import lane
from edge.cache import Cache
from edge.clock import Clock, FloorFile
from edge.config import Commands, Config, Pins, ScreeningPolicy
from edge.drivers.camera import open_camera
from edge.drivers.simulated_pins import SimulatedPins
from edge.drivers.simulated_sensor import SimulatedBus
from edge.drivers.world import WorldClient
from edge.feeds import CameraFeed, Sample, SensorFeed
from edge.gate import Gate
from edge.modes import Modes
from edge.orders import Orders, Tools
from edge.outbox import Outbox
from edge.parts import Keeps, Posted
from edge.scan import Crowd, Reader, Sighting
from edge.screening import Reading, SensorFault, SensorFaultKind, SensorState
from edge.selftest import Selftest, Tested
from edge.thermal import Thermometer
from edge.unit import Unit
from healthcode import token
from healthcode.cose import SoftwareKey
from healthcode.messages import AnyEvent, BootMark, PassageEvent, PassEvent, ReleaseEvent, Response, TimeAnswer, Watermark
from healthcode.terms import Colour, Decision, Form, Reason, Status, Use
from healthcode.trust import entry_for
from healthgate.witness import relay_pulses
from healthgate.world import World
from tests.edge.province import NOON, ROOTS, URI, Province, list_entry, trust_list

TOKEN_KEY = SoftwareKey.generate()
TOKEN_ENTRY = entry_for(
    TOKEN_KEY, issuer="CN-HB", use=Use.TOKEN, sign_from=0, uris=[URI], forms=[Form.LIVE, Form.PAPER], max_lifetime_s=86_400
)
CERTIFICATE_KEY = bytes(32)
NORMAL_C, FEVER_C = 34.0, 36.4
"""Skin at 25 C of air: about 36.6 and 38.2 C of body."""
WARM = SensorState(7200.0, 0.0)
START = 1000.0
FRAME_S = 0.15

_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class Disk:
    """What the outbox's file holds, read by somebody else."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)

    def events(self) -> list[AnyEvent]:
        return [_EVENT.decode(body) for (body,) in self._connection.execute("SELECT body FROM events ORDER BY boot, seq")]

    def close(self) -> None:
        self._connection.close()


class SlowOutbox(Outbox):
    """The real outbox on a disk that takes `delay_s` of the bench's time for every append; `asked` notes the relay at each."""

    bench: Bench | None = None
    delay_s = 0.0

    def append(self, events: Sequence[AnyEvent], used: Mapping[tuple[str, int], float] | None = None) -> list[int]:
        if self.bench is not None:
            self.bench.relay_at_append.append(self.bench.watched.relay)
            self.bench.at += self.delay_s
        return super().append(events, used)


class WatchedGate:
    """The real gate; at each rise of the relay it notes what the disk held the moment before."""

    def __init__(self, gate: Gate, disk: Disk) -> None:
        self.gate = gate
        self.disk = disk
        self.relay = False
        self.rises: list[list[AnyEvent]] = []

    def apply(self, effects: Sequence[lane.Effect], at: float) -> None:
        for effect in effects:
            if isinstance(effect, lane.Relay):
                if effect.on and not self.relay:
                    self.rises.append(self.disk.events())
                self.relay = effect.on
        self.gate.apply(effects, at)


class Bench:
    """One unit and everything around it. `restart` begins a new boot on the same disk."""

    def __init__(
        self,
        folder: Path,
        *,
        most_rows: int = 500_000,
        trust: bool = True,
        knows_time: bool = True,
        screening: ScreeningPolicy = ScreeningPolicy(retest_after_s=5.0),  # noqa: B008  frozen
    ) -> None:
        self.at = START
        self.folder = folder
        self.clock_is_off_s = 0.0
        self.answers: list[tuple[str, Response]] = []
        self.relay_at_append: list[bool] = []
        self.ended: list[int] = []
        self.synced: list[float] = []
        self.update: Callable[[str, str, str], str] = lambda _version, _transaction, _by: "nobody updates this unit"
        self.commands = Commands(reboot=True)
        self.round_trip_ms: float | None = 3.5
        self._most_rows = most_rows
        self._screening = screening
        self._boots = count(1)
        self._marks = count()
        self.province = Province(trust=trust_list(1, list_entry(), TOKEN_ENTRY, expires_at=NOON + 90 * 86_400))
        self.cache = Cache(folder / "cache", ROOTS)
        if trust:
            self.province.fill(self.cache)
        self.world = World(folder / "w")
        self._boot(knows_time)

    def _boot(self, knows_time: bool) -> None:
        number = next(self._boots)
        self.client = WorldClient(str(self.folder / "w"), "north")
        self.config = Config(
            unit="north",
            hardware="simulated",
            data=str(self.folder),
            roots=("root",),
            world=str(self.folder / "w"),
            screening=self._screening,
            commands=self.commands,
        )
        self.bus = SimulatedBus(self.client, seed=1)
        self.inputs: queue.SimpleQueue[lane.Input] = queue.SimpleQueue()
        self.outbox = SlowOutbox(self.folder / "outbox.sqlite", f"{number:032x}", most_rows=self._most_rows)
        self.disk = Disk(self.folder / "outbox.sqlite")
        self.gate = Gate(Pins(), SimulatedPins(Pins(), self.client), self.inputs.put, 0.01, lambda: self.at)
        self.watched = WatchedGate(self.gate, self.disk)
        self.clock = Clock(
            FloorFile(self.folder / "floor"),
            monotonic=lambda: self.at,
            system=lambda: self.wall + self.clock_is_off_s,
            draw=lambda: f"{number:032x}",
            synchronised=lambda: True,
        )
        if knows_time:
            question = self.clock.question()
            assert question is not None
            self.clock.answer(TimeAnswer(unit="north", nonce=question.nonce, at_ms=round(self.wall * 1000)))
        self.modes = Modes(self.folder / "mode")
        keeps = Keeps(
            self.cache,
            self.outbox,
            self.clock,
            self.watched,
            self.modes,
            lambda: self.at,
            lambda: None,
            lambda *said: self.answers.append(said),
            CERTIFICATE_KEY,
        )
        self.unit = Unit(self.config, keeps)
        self.orders = self._orders()
        self.unit.start("test")
        self.outbox.bench = self

    def _orders(self) -> Orders:
        """What carries out commands: around the same unit, with a thermometer and a camera that nobody runs. `ended` notes how it ends."""
        self.sensor = SensorFeed(Thermometer(self.bus, self.config.sensor, self.at, 7200.0, lambda _: None), 1.0, lambda _: None)
        self.camera = CameraFeed(lambda: open_camera(self.config.camera, self.client), Reader(self.config.camera.stages), lambda _: None)
        tested = Tested(self.cache, self.outbox, self.clock, self.gate, self.camera, self.sensor, lambda _: self.round_trip_ms)
        tools = Tools(
            lambda: self.wall,
            lambda *said: self.answers.append(said),
            self.ended.append,
            lambda count: [f"line {number}" for number in range(count)],
            lambda: self.synced.append(self.at),
            self.sensor,
            self.folder / "calibration.json",
            reboot=lambda: self.client.journal({"reboot": True}),
            update=self.update,
        )
        return Orders(self.config, self.unit, tools, Selftest(self.unit, tested, lambda *said: self.answers.append(said)))

    @property
    def wall(self) -> float:
        """The true time, seconds since 1970."""
        return NOON + self.at - START

    def restart(self) -> None:
        """The process ends and a new one begins."""
        self._halt()
        self._boot(knows_time=True)

    def close(self) -> None:
        self._halt()
        self.world.close()
        self.cache.close()

    def _halt(self) -> None:
        self.gate.close()
        self.client.close()
        assert self.world.wait_gone("north", 5.0)
        self.disk.close()
        self.outbox.close()

    def code(self, index: int, colour: Colour = Colour.GREEN, *, slot: int = 0, key: SoftwareKey = TOKEN_KEY) -> str:
        """A live code that is good now; `slot` numbers the codes of a pack, two minutes each."""
        begin = int(self.wall) - 5 + 120 * slot
        return token.write(token.Claims("CN-HB", URI, index, colour, Form.LIVE, NOON - 3600, begin, begin + 120), key)

    def give(self, item: Posted) -> None:
        """Something happens, and the loop takes it in."""
        self.unit.handle(item)
        self.unit.tick()
        self.orders.attend(self.at)

    def see(self, *texts: str) -> None:
        """A frame that shows `texts`."""
        self.at += 0.01
        self.give(Sighting(texts[0], self.at, "zxing_local") if len(texts) == 1 else Crowd(texts, self.at))

    def sample(self, skin_c: float | None = NORMAL_C) -> None:
        """A cycle of the thermometer; None where it does not answer."""
        self.at += FRAME_S
        fault = SensorFault(SensorFaultKind.NO_ANSWER, "no answer", self.at)
        self.give(Sample(fault if skin_c is None else Reading(skin_c, 25.0, self.at), WARM))

    def measure(self, skin_c: float | None = NORMAL_C, samples: int = 3) -> None:
        """As many cycles as a screening takes."""
        for _ in range(samples):
            self.sample(skin_c)

    def show(self, text: str, skin_c: float | None = NORMAL_C, samples: int = 3) -> None:
        """Somebody holds up a code and has the temperature taken."""
        self.see(text)
        self.measure(skin_c, samples)

    def wait(self, seconds: float) -> None:
        """Lets time go by, a loop's turn every tenth of a second."""
        until = self.at + seconds
        while self.at < until:
            self.at = min(until, self.at + 0.1)
            self.unit.tick()

    def run(self, seconds: float) -> None:
        """The deciding thread's loop for so long: a turn every 20 ms, light and sound too."""
        until = self.at + seconds
        while self.at < until:
            self.at = min(until, self.at + 0.02)
            self.unit.tick()
            self.gate.tick(self.at)
            self.orders.attend(self.at)

    def walk(self) -> None:
        """Somebody goes through the beam."""
        self.give(lane.Beam(self.at, True))
        self.at += 0.3
        self.give(lane.Beam(self.at, False))

    def leave(self) -> None:
        """Takes the code out of view and lets the lane come to rest."""
        self.wait(10.0)

    def press(self) -> None:
        """The guard presses the button."""
        self.give(lane.StaffButton(self.at, True))
        self.give(lane.StaffButton(self.at, False))

    def change(self, index: int, status: Status) -> None:
        """The server's ruling reaches the unit."""
        raw = self.province.change({index: status})
        assert self.cache.accept_delta(self.province.read_delta(raw), raw) is None

    def acknowledge(self) -> None:
        """The server has everything."""
        boots = [BootMark(boot_id=boot_id, up_to=2**40) for boot_id in {stored.boot_id for stored in self.outbox.pending(10_000)}]
        self.outbox.acknowledge(Watermark(unit="north", at_ms=round(self.wall * 1000) + next(self._marks), boots=boots), self.wall)

    def verdicts(self) -> list[tuple[Decision, Reason]]:
        """Every verdict on disk."""
        return [(event.decision, event.reason) for event in self.passes()]

    def passes(self) -> list[PassEvent]:
        return [event for event in self.disk.events() if isinstance(event, PassEvent)]

    def passages(self) -> list[PassageEvent]:
        return [event for event in self.disk.events() if isinstance(event, PassageEvent)]

    def releases(self) -> list[ReleaseEvent]:
        return [event for event in self.disk.events() if isinstance(event, ReleaseEvent)]

    def flush(self) -> None:
        """Waits until the world has read everything that was journalled."""
        mark = next(self._marks)
        self.client.journal({"mark": mark})
        assert self.world.wait_for("north", lambda entry: entry.get("mark") == mark, 5)

    def relay(self) -> float | None:
        """What the relay's line carries."""
        self.flush()
        return self.world.level("north", "relay")

    def pulses(self) -> int:
        """How often the relay rose, as the journal of the pins says."""
        self.flush()
        return relay_pulses(self.world.entries("north"))
