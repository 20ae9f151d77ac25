"""One unit: the product's cache, outbox, clock and dialogue on a disk that is watched, joined to the broker in the link's order of work.

The link's threads and its MQTT client are left out, and so are camera, thermometer and barrier: events are made up, each with a text of
its own, so that one that is lost, doubled or changed on its way is seen.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edge.cache import Cache
from edge.clock import Clock, FloorFile
from edge.dialogue import Dialogue
from edge.exchange import Exchange
from edge.linkwords import Publish, Saying
from edge.outbox import UNNUMBERED, Outbox, OutboxFault, Person
from edge.recorder import Recorder
from edge.syncwords import Timing
from healthcode.cose import PublicKey
from healthcode.messages import AnyEvent, Info, TrustList, UnitEvent, stamp
from healthcode.terms import ClockState
from healthgate.simulation.disk import Disk
from healthgate.simulation.history import History, Memory
from healthgate.simulation.keyholder import NOON
from healthgate.simulation.network import RECONNECT_S, Broker, Client, Message
from healthgate.simulation.schedule import Crash, Failure, Schedule, Trace

FLUSHED_WITHIN_S = 12.0
"""A delta is on the card so long after it was applied: the dialogue's five seconds, one tick, and some room."""
WRONG = ("contradicted", "delta_DIGEST", "delta_CONTENT", "bad_seq")
"""What a dialogue may never have to complain of while nobody has the issuer's keys."""
DISK_WRONG = ("outbox_fault", "disk_fault", "floor_disk")
"""What it may complain of where its disk has failed, and only there."""

EventName = tuple[str, str, int]
"""Unit, boot and seq."""


@dataclass
class Ledger:
    """What outboxes have said is on disk: the text of each event by its name, and the texts of which they did not say either."""

    kept: dict[EventName, str] = field(default_factory=dict)
    unsure: dict[tuple[str, str], str] = field(default_factory=dict)  # (unit, text) -> boot
    made: int = 0


class Outspoken(Outbox):
    """An outbox that tells what it has said is on disk."""

    tell: Callable[[Sequence[int], Sequence[AnyEvent]], None]

    def append(self, events: Sequence[AnyEvent], used: Mapping[Person, float] | None = None) -> list[int]:
        """As the outbox's own."""
        numbers = super().append(events, used)
        self.tell(numbers, events)
        return numbers


class Gate:
    """One unit, on or off."""

    def __init__(
        self,
        name: str,
        folder: Path,
        schedule: Schedule,
        random: Random,
        broker: Broker,
        trace: Trace,
        *,
        roots: Sequence[PublicKey],
        histories: Mapping[str, History],
        signed: Mapping[int, TrustList],
        ledger: Ledger,
    ) -> None:
        self.name = name
        self.clock_off_s = random.choice([0.0, 0.0, -5.0, 30.0, -3600.0])
        self.is_up = False
        self.disk = Disk(folder, random)
        self.memory = Memory(name, signed)
        self._schedule = schedule
        self._random = random
        self._broker = broker
        self._trace = trace
        self._roots = tuple(roots)
        self._histories = histories
        self._signed = signed
        self._ledger = ledger
        self._tick_s = random.choice([0.5, 1.0, 3.0, 3.0])
        self._follows_a_network = random.random() < 0.5
        self._has_battery = random.random() < 0.5
        self._powered_at = 0.0
        self._life = 0
        self.off_since: float | None = None
        self._spells: list[tuple[float, float]] = []  # from and until when its disk gave errors
        self.boot_id = ""

    # ---- the power switch

    def start(self) -> None:
        """The process starts, where it is not running."""
        if self.is_up:
            return
        self._life += 1
        self.is_up = True
        self.disk.has_failed = False
        try:
            self.boot_id = self.draw_boot_id()
            self._trace.note(self._schedule.now, self.name, f"starts, boot {self.boot_id[:8]}")
            self._open()
        except Crash:
            self.crash(cuts_power=self.disk.cuts_power)
            return
        except OutboxFault as fault:
            self._excuse(str(fault))
            self.crash(cuts_power=False)
            return
        if self.off_since is not None:
            self.memory.found_again(self.cache, self.off_since)
            self.off_since = None
        self._watch()
        self._later(self._random.uniform(0.0, RECONNECT_S), self._connect)
        self._later(self._tick_s, self._tick)

    def crash(self, *, cuts_power: bool) -> None:
        """The process ends without a word, and with it, perhaps, the power."""
        if not self.is_up:
            return
        self._trace.note(self._schedule.now, self.name, "power cut" if cuts_power else "killed")
        self.is_up = False
        self._life += 1
        self.disk.disarm()
        self._broker.forget(self.name)
        self._forget_unkept()
        settle = self.disk.power_cut() if cuts_power else None
        self._let_go()
        if settle is None:
            self.disk.written_back()
        else:
            settle()
            self._powered_at = self._schedule.now
            if not self._has_battery:
                self.clock_off_s = -self._random.uniform(0.0, 86_400.0)
        since = self._safe_since(self._schedule.now - (FLUSHED_WITHIN_S if cuts_power else 0.0))
        # one that ended while it started has written nothing since it ended before
        self.off_since = since if self.off_since is None else min(self.off_since, since)
        self._schedule.after(self._random.uniform(0.5, 20.0), self.start)

    def replace_card(self) -> None:
        """Somebody puts in an empty card; what the old one had is gone."""
        self.crash(cuts_power=True)
        self._trace.note(self._schedule.now, self.name, "has a new card")
        self.disk.renew()
        self.memory = Memory(self.name, self._signed)
        self.off_since = None

    def spoil(self, kinds: Collection[str], chance: float, seconds: float) -> None:
        """For so long the disk gives errors at calls of these kinds, with this chance."""
        self._trace.note(self._schedule.now, self.name, f"its disk fails at {' '.join(kinds)}, {chance:.0%} of the time")
        self.disk.spoil(kinds, chance)
        begun = self._schedule.now
        self._spells.append((begun, begun + seconds))
        self._schedule.after(seconds, self._mend_if_over)

    def mend(self) -> None:
        """The disk gives no errors from now on."""
        now = self._schedule.now
        self._spells = [(begun, min(until, now)) for begun, until in self._spells]
        self.disk.spoil((), 0.0)

    def close(self) -> None:
        """The end of the simulation."""
        if self.is_up:
            self._let_go()
        self.disk.close()

    def _forget_unkept(self) -> None:
        """The process has ended: what its disk has not taken may go back to what it was."""
        if self._safe_since(self._schedule.now) < self._schedule.now:
            self.memory.trust = -1
        if self.disk.has_failed and (self.clock.disk_error or self.dialogue.counts["disk_fault"]):
            self.memory.floor, self.memory.serial = 0.0, 0

    def _mend_if_over(self) -> None:
        if all(until <= self._schedule.now for _, until in self._spells):
            self.mend()

    def _safe_since(self, at: float) -> float:
        """Until when what the unit held must be on its disk, if without errors it were `at`: until before a spell that was on then."""
        for begun, until in sorted(self._spells, reverse=True):
            if begun - FLUSHED_WITHIN_S <= at <= until + FLUSHED_WITHIN_S:
                at = begun - FLUSHED_WITHIN_S
        return at

    def _excuse(self, fault: str) -> None:
        """Failure where the unit complains of its disk, which has given no error."""
        if not self.disk.has_failed:
            raise Failure(f"{self.name} complains of its disk, which has not failed: {fault}")

    # ---- what happens at the gate

    def append(self, count: int) -> None:
        """So many events happen."""
        if not self.is_up:
            return
        texts = [f"{self.name} {self._ledger.made + place}" for place in range(count)]
        self._ledger.made += count
        self._ledger.unsure |= {(self.name, text): self.boot_id for text in texts}
        at = stamp(self.clock.now())
        events = [UnitEvent(seq=UNNUMBERED, at=at, clock=ClockState.TRUSTED, what="simulated", detail=text) for text in texts]

        def write() -> list[Saying]:
            self.recorder.record(events)
            return self.exchange.tick(self._mono())

        self._do(write)

    def _kept(self, numbers: Sequence[int], events: Sequence[AnyEvent]) -> None:
        """The outbox has said that these are on disk."""
        for number, written in zip(numbers, events, strict=True):
            assert isinstance(written, UnitEvent)
            del self._ledger.unsure[(self.name, written.detail)]
            self._ledger.kept[(self.name, self.boot_id, number)] = written.detail

    def taken_by_broker(self, topic: str, payload: bytes) -> None:
        """The broker has acknowledged a message (PUBACK). It means nothing: the bridge alone says what is stored."""

    def draw_boot_id(self) -> str:
        """128 random bits for this start of the process."""
        return f"{self._random.getrandbits(128):032x}"

    # ---- the link's work

    def _open(self) -> None:
        self.clock = Clock(
            FloorFile(self.disk.files / "floor", self.disk.calls),
            monotonic=self._mono,
            system=lambda: NOON + self._schedule.now + self.clock_off_s,
            draw=lambda: f"{self._random.getrandbits(128):032x}",
            synchronised=lambda: self._follows_a_network,
        )
        self.cache = Cache(self.disk.files / "cache", self._roots, calls=self.disk.calls)
        self.outbox = Outspoken(self.disk.database / "outbox.sqlite", self.boot_id, connect=self.disk.connect)
        self.outbox.tell = self._kept
        if self.outbox.damaged is not None:
            raise Failure(f"{self.name}: the outbox was found damaged")
        self.cache.load(self.clock.now())
        info = Info(unit=self.name, boot_id=self.boot_id, software="", hardware="simulated", started_at=stamp(self.clock.now()))
        self.dialogue = Dialogue(
            info,
            cache=self.cache,
            outbox=self.outbox,
            clock=self.clock,
            random=self._random,
            at=self._mono(),
            timing=Timing(),
        )
        self.exchange = Exchange(self.dialogue)
        self.recorder = Recorder(self.outbox, self.dialogue.wake)

    def _let_go(self) -> None:
        for name in ("outbox", "cache"):
            if hasattr(self, name):
                getattr(self, name).close()
                delattr(self, name)

    def _mono(self) -> float:
        return 100.0 + self._schedule.now - self._powered_at

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        life = self._life

        def run() -> None:
            if life == self._life and self.is_up:
                what()

        self._schedule.after(delay_s, run)

    def _connect(self) -> None:
        if not self._broker.is_connected(self.name):
            self._trace.note(self._schedule.now, self.name, "connects")
            self._broker.connect(self.name, Client(self._message, self.taken_by_broker, self._lost))
            self._do(lambda: self.exchange.accepted(self._mono()))

    def _lost(self) -> None:
        if self.is_up:
            self.exchange.lost()
            self._later(self._random.uniform(0.1, RECONNECT_S), self._connect)

    def _message(self, message: Message) -> None:
        self._do(lambda: self.exchange.arrived(message.topic, message.payload, self._mono(), is_retained=message.is_retained))

    def _tick(self) -> None:
        self._later(self._tick_s, self._tick)

        def tick() -> list[Saying]:
            self.recorder.tick(self._mono())
            return self.exchange.tick(self._mono())

        self._do(tick)

    def _do(self, what: Callable[[], list[Saying]]) -> None:
        """One step of the unit, and the invariants after it."""
        if not self.is_up:
            return
        try:
            said = what()
        except Crash:
            self.crash(cuts_power=self.disk.cuts_power)
            return
        for each in said:
            if isinstance(each, Publish):
                self._trace.note(
                    self._schedule.now, self.name, f"says {each.topic.rsplit('/', 1)[1]} {len(each.payload)} {zlib.crc32(each.payload):08x}"
                )
                self._broker.publish(self.name, each.topic, each.payload, retain=each.retain)
            else:
                self._broker.resubscribe(self.name)
        for news in self.exchange.take_news():
            self._trace.note(self._schedule.now, self.name, f"news: {news}")
        self._watch()

    def _watch(self) -> None:
        for held in self.cache.lists.values():
            self._histories[held.uri].check(self.name, held)
        self.memory.look(self._schedule.now, self.cache, self.clock)
        for what in WRONG:
            if self.dialogue.counts[what]:
                raise Failure(f"{self.name}: {what}, which nothing in this town can cause")
        if self.cache.disk_faults or any(self.dialogue.counts[what] for what in DISK_WRONG):
            self._excuse(self.cache.disk_error)
