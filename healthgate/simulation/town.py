"""A town from a seed: runs it with its faults, then without, and sees that at rest everyone agrees."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import msgspec
from sqlalchemy import text

from healthgate.simulation.disk import KINDS
from healthgate.simulation.faults import Faults
from healthgate.simulation.gate import EventName, Gate, Ledger
from healthgate.simulation.history import packed_of
from healthgate.simulation.keyholder import NOON
from healthgate.simulation.network import BRIDGE, Broker
from healthgate.simulation.office import Office
from healthgate.simulation.schedule import Failure, Schedule, Trace

UNIT_NAMES = ("north", "south", "east", "west")
REST_S = 1800.0
"""How long the town has to agree once nothing fails any more: longer than every back-off, and than the clock's questions are apart."""
LOOK_S = 10.0
ASTRAY_S = 120.0
"""A floor so far ahead of the time is wrong: our server's clock and the way of an answer are off by less."""
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it
"""Where a file system in memory is on Linux: nothing here has to outlive the run, and the syncs of a disk would take most of its time."""


@dataclass(frozen=True)
class Outcome:
    """What came of a seed: `failure` is one line, empty where all held; `digest` is equal for runs that made the same steps."""

    seed: int
    failure: str
    steps: int
    digest: str
    virtual_s: float
    rest_s: float
    versions: int
    events: int
    last: tuple[str, ...] = ()


def run(seed: int, *, hours: float, units: int, make_gate: Callable[..., Gate] = Gate) -> Outcome:
    """Runs the town of `seed` for so many virtual hours with faults, and until it is at rest without.

    `make_gate` is for tests that break a unit, or its disk, on purpose.
    """
    folder = Path(tempfile.mkdtemp(prefix="healthgate-town-", dir=MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None))
    with quiet():
        town = None
        try:
            town = Town(seed, folder, hours=hours, units=units, make_gate=make_gate)
            return town.run()
        finally:
            if town is not None:
                town.close()
            shutil.rmtree(folder)


class Town:
    """Units, server, broker, and what befalls them."""

    def __init__(self, seed: int, folder: Path, *, hours: float, units: int, make_gate: Callable[..., Gate]) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.schedule = Schedule()
        self.trace = Trace()
        self.faults = Faults.drawn(self.random)
        self.hours = hours
        self.rest_s = 0.0
        self.ledger = Ledger()
        self._may_be_missing: set[EventName] = set()
        self._on_old_cards: set[EventName] = set()
        self._has_backup = False
        self.broker = Broker(self.schedule, Random(self.random.random()), self.faults, self.trace)
        names = [f"{UNIT_NAMES[number % 4]}{number // 4 or ''}" for number in range(units)]
        self.office = Office(folder / "server", self.schedule, Random(self.random.random()), self.broker, self.trace, names)
        self.gates = [
            make_gate(
                name,
                folder / name,
                self.schedule,
                Random(self.random.random()),
                self.broker,
                self.trace,
                roots=[self.office.keyholder.first_root],
                histories=self.office.histories,
                signed=self.office.keyholder.signed,
                ledger=self.ledger,
            )
            for name in names
        ]

    def run(self) -> Outcome:
        """The whole of it."""
        failure = ""
        try:
            self._begin()
            self._until(self.hours * 3600, lambda: False)
            self._calm_down()
            begun = self.schedule.now
            if not self._until(begun + REST_S, self._agrees):
                raise Failure(f"not at rest after {REST_S / 60:.0f} minutes without faults: {self._disagreement()}")
            self.rest_s = self.schedule.now - begun
            self._check_events()
        except Failure as wrong:
            failure = str(wrong)
        except Exception as wrong:  # noqa: BLE001  whatever the product raises is what this is for
            failure = f"{type(wrong).__name__}: {str(wrong).splitlines()[0] if str(wrong) else ''}"
            self._note_origin(wrong)
        return Outcome(
            self.seed,
            failure,
            self.trace.steps,
            self.trace.digest,
            round(self.schedule.now, 3),
            round(self.rest_s, 3),
            sum(len(history.versions) for history in self.office.histories.values()),
            len(self.ledger.kept),
            tuple(self.trace.last),
        )

    def close(self) -> None:
        """Lets go of every file."""
        for gate in self.gates:
            gate.close()
        self.office.store.close()

    # ---- what befalls them

    def _begin(self) -> None:
        faults, office = self.faults, self.office
        self.trace.note(0.0, "town", f"faults: {', '.join(f'{name} {value:.3g}' for name, value in asdict(faults).items() if value)}")
        busy = self.random.choice([100.0, 300.0, 600.0])
        rulings = self.random.choice([100.0, 600.0, 2000.0])
        self._often(lambda: rulings, office.rule)
        self._often(lambda: faults.server_crashes_an_hour, self._crash_server)
        self._often(lambda: faults.server_clock_jumps_an_hour, self._server_clock_jumps)
        self._often(lambda: faults.restores_an_hour, self._restore)
        self._often(lambda: 10 * faults.restores_an_hour, self._backup)
        self._often(lambda: faults.broker_crashes_an_hour, self._crash_broker)
        self._often(lambda: faults.cuts_an_hour, lambda: self.broker.disconnect(BRIDGE))
        self._often(lambda: faults.new_trust_an_hour, office.keyholder.renew)
        self._often(lambda: faults.new_epochs_an_hour, office.keyholder.raise_epoch)
        self._often(lambda: faults.key_rotations_an_hour, office.keyholder.rotate)
        self._often(lambda: faults.withdrawals_an_hour, office.keyholder.withdraw)
        self._often(lambda: faults.root_rotations_an_hour, office.keyholder.rotate_root)
        self._often(lambda: faults.wrong_times_an_hour, self._wrong_time)
        if office.province is not None:
            province = office.province
            self._often(lambda: rulings / 2, lambda: province.rule(NOON + self.schedule.now))
            self._often(lambda: 120.0, office.hand_over)
        self._look_after_clocks()
        for gate in self.gates:
            gate.start()
            self._befalls(gate, busy)

    def _befalls(self, gate: Gate, busy: float) -> None:
        faults = self.faults
        self._often(lambda: busy, lambda: gate.append(self.random.choice([1] * 20 + [2, 3, 5] * 5 + [20, 130])))
        self._often(lambda: faults.cuts_an_hour, lambda: self.broker.disconnect(gate.name))
        self._often(lambda: faults.kills_an_hour, lambda: self._crash(gate, cuts_power=False))
        self._often(lambda: faults.power_cuts_an_hour, lambda: self._crash(gate, cuts_power=True))
        self._often(lambda: faults.bad_spells_an_hour, lambda: self._bad_spell(gate))
        self._often(lambda: faults.new_cards_an_hour, lambda: self._new_card(gate))
        self._often(lambda: faults.unit_clock_jumps_an_hour, lambda: self._unit_clock_jumps(gate))

    def _often(self, an_hour: Callable[[], float], what: Callable[[], None]) -> None:
        """Lets `what` happen so often in an hour, at random times, as long as there are faults."""

        def again() -> None:
            rate = an_hour()
            if rate > 0:
                self.schedule.after(self.random.expovariate(rate / 3600), happen)

        def happen() -> None:
            if self.schedule.now < self.hours * 3600:
                if an_hour() > 0:
                    what()
                again()

        again()

    def _crash(self, gate: Gate, *, cuts_power: bool) -> None:
        """At once, or in the middle of what the unit writes next."""
        if gate.is_up and self.random.random() < 0.7:
            gate.disk.arm(self.random.randint(1, 12), cuts_power=cuts_power)
        else:
            gate.crash(cuts_power=cuts_power)

    def _bad_spell(self, gate: Gate) -> None:
        """Its disk gives errors for a while, at some calls or at all."""
        kinds = self.random.choice([KINDS, ("fsync", "database"), self.random.sample(KINDS, 2)])
        gate.spoil(kinds, self.random.choice([0.05, 0.5, 1.0]), self.random.uniform(1.0, 60.0))

    def _new_card(self, gate: Gate) -> None:
        gate.replace_card()
        stored = self._stored()
        self._on_old_cards |= {name for name in self.ledger.kept if name[0] == gate.name}
        self._may_be_missing |= self._on_old_cards - stored.keys()

    def _unit_clock_jumps(self, gate: Gate) -> None:
        gate.clock_off_s += self.random.choice([-1.0, 1.0]) * 10.0 ** self.random.uniform(0, 6)
        self.trace.note(self.schedule.now, gate.name, f"its system's clock is off by {gate.clock_off_s:.0f} s")

    def _crash_server(self) -> None:
        if self.random.random() < 0.7:
            self.office.arm(self.random.randint(1, 8))
        else:
            self.office.kill("killed")

    def _server_clock_jumps(self) -> None:
        self.office.clock_off_s = self.random.uniform(-45.0, 45.0)
        self.trace.note(self.schedule.now, "server", f"its clock is off by {self.office.clock_off_s:.0f} s")

    def _wrong_time(self) -> None:
        """Whoever tells the units the time is wrong for a while."""
        office = self.office
        office.time_off_s = self.random.choice([1.0, 1.0, -1.0]) * 10.0 ** self.random.uniform(2, 5.3)
        self.trace.note(self.schedule.now, "server", f"tells a time that is off by {office.time_off_s:.0f} s")

        def end() -> None:
            office.time_off_s = 0.0

        self.schedule.after(self.random.uniform(10.0, 300.0), end)

    def _look_after_clocks(self) -> None:
        """Somebody looks every other minute which units were led astray, and resets their clocks."""
        self.schedule.after(120.0, self._look_after_clocks)
        if self.office.time_off_s == 0:
            latest = NOON + self.schedule.now + ASTRAY_S
            self.office.keyholder.reset_clocks([gate.name for gate in self.gates if gate.is_up and (gate.clock.floor or 0.0) > latest])

    def _crash_broker(self) -> None:
        self.trace.note(self.schedule.now, "broker", "dies and forgets everything")
        self.broker.crash()

    def _backup(self) -> None:
        if self.office.is_up:
            self.office.backup()
            self._has_backup = True

    def _restore(self) -> None:
        """Events of cards that are no more cannot come again."""
        if not self._has_backup or not self.office.is_up:
            return
        self.trace.note(self.schedule.now, "server", "its database is restored from a backup")
        self.office.restore()
        self._may_be_missing |= self._on_old_cards - self._stored().keys()

    def _calm_down(self) -> None:
        self.trace.note(self.schedule.now, "town", "calm from now on")
        self.faults.calm()
        self.office.disarm()
        self.office.time_off_s = 0.0
        self.office.start()
        self.office.hand_over()
        for gate in self.gates:
            gate.disk.disarm()
            gate.mend()
            gate.start()

    # ---- what must hold

    def _until(self, end: float, is_done: Callable[[], bool]) -> bool:
        look_at = self.schedule.now + LOOK_S
        self.schedule.after(end - self.schedule.now, lambda: None)
        while self.schedule.now < end:
            self.schedule.step()
            if self.schedule.now >= look_at:
                look_at = self.schedule.now + LOOK_S
                if is_done():
                    return True
        return is_done()

    def _agrees(self) -> bool:
        return not self._disagreement()

    def _disagreement(self) -> str:
        office = self.office
        for history in office.own:
            if history.versions[history.newest].packed != packed_of(office.true_statuses(history.uri), history.capacity):
                return f"the issuer's list {history.uri} is not what the registry says"
        for gate in self.gates:
            if not gate.is_up:
                return f"{gate.name} is off"
            trust = gate.cache.trust
            if trust != office.keyholder.newest:
                return f"{gate.name} has trust list {None if trust is None else trust.version}, not {office.keyholder.newest.version}"
            if gate.cache.lists.keys() != office.histories.keys():
                return f"{gate.name} holds {sorted(gate.cache.lists)}, not {sorted(office.histories)}"
            for uri, history in office.histories.items():
                held, newest = gate.cache.lists[uri], history.newest
                if (held.epoch, held.version) != newest:
                    return f"{gate.name} holds version {(held.epoch, held.version)} of {uri}, the issuer {newest}"
                if held.as_of < history.as_of[newest] - 60:
                    return f"{gate.name} holds {uri} as of {held.as_of}, the issuer said {history.as_of[newest]}"
            if gate.outbox.waiting or gate.recorder.unsaved:
                return f"{gate.name} has {gate.outbox.waiting} events that wait and {gate.recorder.unsaved} that are not on disk"
            if gate.clock.floor is None or gate.clock.floor > NOON + self.schedule.now + ASTRAY_S:
                return f"the clock of {gate.name} has the floor {gate.clock.floor}"
        return ""

    def _check_events(self) -> None:
        stored = self._stored()
        for name, said in self.ledger.kept.items():
            if stored.get(name) != said and not (name in self._may_be_missing and name not in stored):
                raise Failure(f"event {_told(name)}, {said!r}, was on disk at its unit; the server has {stored.get(name)!r}")
        seen: dict[str, EventName] = {}
        for name, said in stored.items():
            if said in seen:
                raise Failure(f"event {said!r} is stored twice: as {_told(seen[said])} and as {_told(name)}")
            seen[said] = name
            if name not in self.ledger.kept and self.ledger.unsure.get((name[0], said)) != name[1]:
                raise Failure(f"the server has an event {_told(name)}, {said!r}, that its unit never wrote")

    def _stored(self) -> dict[EventName, str]:
        is_up = self.office.is_up
        if not is_up:
            self.office.start()
        with self.office.looked_at() as tx:
            rows = tx.execute(text("SELECT unit, boot_id, seq, body FROM events ORDER BY unit, boot_id, seq")).all()
        return {(str(unit), str(boot), int(seq)): msgspec.json.decode(body)["detail"] for unit, boot, seq, body in rows}

    def _note_origin(self, wrong: Exception) -> None:
        place = wrong.__traceback__
        while place is not None:
            code = place.tb_frame.f_code
            self.trace.note(self.schedule.now, "raised", f"{Path(code.co_filename).name}:{place.tb_lineno} {code.co_name}")
            place = place.tb_next


def _told(name: EventName) -> str:
    return f"{name[0]}/{name[1][:8]}/{name[2]}"


@contextmanager
def quiet() -> Iterator[None]:
    """The product's own log says nothing: what it warns of here is made on purpose."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
