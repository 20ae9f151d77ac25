"""The server: registry and the rounds that the bridge carries, over the store and the keys folder, and its power switch.

The bridge's own threads and its MQTT client are left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from sqlalchemy import Connection, event

from healthcode import topics
from healthcode.messages import BadPayload
from healthcode.terms import STATUS_OF_COLOUR, Colour, Status, Use
from healthgate.simulation.history import History
from healthgate.simulation.keyholder import ISSUER, NOON, Keyholder
from healthgate.simulation.network import BRIDGE, RECONNECT_S, Broker, Client, Message
from healthgate.simulation.province import Province
from healthgate.simulation.schedule import Crash, Failure, Schedule, Trace
from server.actors import AT_CONSOLE
from server.answers import Answers
from server.audit_heads import AuditHeads
from server.config import Lists
from server.desired import DesiredTopics
from server.facts import COLOURS_OF_REASON, HandReason, SetByHand
from server.fleet import Fleet
from server.fleet_watch import FleetWatch
from server.intake import Incoming, Intake
from server.keys import Signers, TrustFiles
from server.lists import Compacted, Publication, Publisher
from server.persons import Person
from server.registry import Refused, Registry, RegistryFault
from server.resets import ClockResets
from server.rounds import Parts, Rounds
from server.sealing import Seal
from server.store import Store, people, publication

URIS = ("https://hb.example/s/1", "https://hb.example/s/2", "https://hb.example/s/3")
POLL_S = 2.0


class Office:
    """The server, on or off."""

    def __init__(self, folder: Path, schedule: Schedule, random: Random, broker: Broker, trace: Trace, units: list[str]) -> None:
        self.clock_off_s = 0.0
        self.is_up = False
        self.time_off_s = 0.0
        self._folder = folder
        self._schedule = schedule
        self._random = random
        self._broker = broker
        self._trace = trace
        self._settings = Lists(
            snapshot_period_s=random.choice([15.0, 60.0, 240.0]),
            keep_deltas=random.choice([3, 10, 100]),
            head_period_s=random.choice([10.0, 30.0]),
        )
        self._batch_s = random.choice([0.02, 0.5])
        self._chunk_bytes = random.choice([60, 150, 64 * 1024])
        self._most_changes = random.choice([3, 20_000])
        self._seal_key = random.randbytes(32)
        self._commits_left: int | None = None
        self._waiting: list[Message] = []
        self._life = 0
        self._has_stored = True
        self._uris = URIS[: random.choice([1, 2, 3])]
        self._capacity = random.choice([12, 32, 1024])
        self.keyholder = Keyholder(folder / "keys", schedule, random, trace, self._uris)
        self.province = Province(random, self._capacity) if random.random() < 0.5 else None
        if self.province is not None:
            self.keyholder.recognise(self.province.entries())
        self.own = [History(uri, self._capacity) for uri in self._uris]
        others = [] if self.province is None else [self.province.history]
        self.histories = {history.uri: history for history in [*self.own, *others]}
        self._open()
        for unit in units:
            Fleet(self.store, self.now).add(unit)
        for number in range(8):
            self._add_resident(number)
        self._life += 1
        self._up()

    def now(self) -> float:
        """Seconds since 1970 by the server's clock."""
        return NOON + self._schedule.now + self.clock_off_s

    # ---- the power switch

    def arm(self, commits: int) -> None:
        """Before so many commits from now the process ends."""
        self._commits_left = commits if self.is_up else None

    def disarm(self) -> None:
        """No crash is to come."""
        self._commits_left = None

    def kill(self, why: str) -> None:
        """The process ends, and starts again before long."""
        if not self.is_up:
            return
        self._trace.note(self._schedule.now, "server", f"ends: {why}")
        self.is_up = False
        self._commits_left = None
        self._life += 1
        self._waiting.clear()
        self._broker.forget(BRIDGE)
        self.store.close()
        self._schedule.after(self._random.uniform(0.5, 20.0), self.start)

    def start(self) -> None:
        """The process starts, where it is not running."""
        if self.is_up:
            return
        self._trace.note(self._schedule.now, "server", "starts")
        self._open()
        self._has_stored = True
        self._catch_up()
        self._up()

    def backup(self) -> None:
        """A copy of the database as it is now."""
        with self.looked_at() as tx:
            tx.exec_driver_sql("SELECT 1")
            for name in ("server.sqlite", "server.sqlite-wal"):
                if (self._folder / name).exists():
                    shutil.copyfile(self._folder / name, self._folder / f"backup.{name}")

    def restore(self) -> None:
        """The database is what it was at the last backup; our lists begin a new epoch, as docs/operations.md demands."""
        self.kill("the database is restored")
        for name in ("server.sqlite", "server.sqlite-wal", "server.sqlite-shm"):
            (self._folder / name).unlink(missing_ok=True)
            if (self._folder / f"backup.{name}").exists():
                shutil.copyfile(self._folder / f"backup.{name}", self._folder / name)
        self.keyholder.raise_epoch()

    # ---- what people do

    def rule(self) -> None:
        """An officer does something, where the server is there."""
        self._later(0.0, self._rule)

    def _rule(self) -> None:
        with self.store.read() as tx:
            residents = people.list_all(tx)
        what = self._random.random()
        resident = self._random.choice(residents).resident if residents else ""
        if what < 0.1 or not residents:
            self._add_resident(len(residents))
        elif what < 0.2:
            self.registry.revoke(resident)
        else:
            reason = self._random.choice(list(HandReason))
            colour = self._random.choice(sorted(COLOURS_OF_REASON[reason]))
            with self.store.write() as tx:
                at = self.registry.moment_after(tx, [resident])
                self.registry.record(tx, resident, SetByHand(at, colour, reason, "officers"), at, AT_CONSOLE)
        self._later(0.3, self._publish_due)

    def hand_over(self) -> None:
        """Somebody imports what the province has published."""
        province = self.province
        if province is not None:
            self._later(0.0, lambda: province.hand_over(self.store, self._trust.current.ring, NOON + self._schedule.now))

    def true_statuses(self, uri: str) -> dict[int, Status]:
        """What the registry says of every index of one of our lists that was ever given out and is not green."""
        with self.looked_at() as tx:
            rows = publication.every_status(tx, uri)
        return {index: Status.REVOKED if colour is None else STATUS_OF_COLOUR[Colour(colour)] for index, colour in rows}

    # ---- the bridge's work

    def _open(self) -> None:
        self.store = Store.open(f"sqlite:///{self._folder / 'server.sqlite'}")
        self.store.migrate(round(self.now() * 1000))
        event.listen(self.store.engine, "commit", self._before_commit)
        seal = Seal(self._seal_key, self._random.randbytes)
        self.registry = Registry(
            self.store, seal, issuer=ISSUER, uris=self._uris, now=self.now, capacity=self._capacity, random=self._random.randbytes
        )

    def _up(self) -> None:
        self.is_up = True
        self._is_compacting = False
        self._announces = False
        self._trust = trust = TrustFiles(self.keyholder.folder, [self.keyholder.first_root])
        signers = Signers(self.keyholder.folder, lambda: trust.current.ring, self.now)
        parts = Parts(
            store=self.store,
            intake=Intake(self.store, self.registry, lambda: trust.current.ring, self.now, fevers_an_hour=10),
            answers=Answers(
                self.store,
                partial(signers.signer, Use.TIME),
                lambda: trust.current,
                lambda: self.now() + self.time_off_s,
                chunk_bytes=self._chunk_bytes,
            ),
            publishers=[
                Publisher(
                    self.store,
                    partial(signers.signer, Use.LIST),
                    issuer=ISSUER,
                    uri=uri,
                    capacity=self._capacity,
                    keys=lambda: trust.current.ring,
                    settings=self._settings,
                    now=self.now,
                    most_changes=self._most_changes,
                )
                for uri in self._uris
            ],
            trust=trust,
            resets=ClockResets(self.keyholder.folder, lambda: trust.current.roots, Fleet(self.store, self.now).is_in_service),
            desired=DesiredTopics(self.store, signers.find_config, self.now),
            audit=AuditHeads(self.store, partial(signers.signer, Use.ACK), ISSUER, self.now),
            watch=FleetWatch(self.store, self.now),
            rule_due=self.registry.rule_due,
            chores=lambda: False,
            ack_key=partial(signers.signer, Use.ACK),
            warnings=list,
            now=self.now,
        )
        self._rounds = Rounds(parts, self._settings.head_period_s, self._say)
        self._later(0.0, self._connect)
        self._later(0.0, self._poll)

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        """Plans work of this life of the process."""
        life = self._life

        def run() -> None:
            if life == self._life and self.is_up:
                try:
                    what()
                except Crash:
                    self.kill("in the middle of its work")

        self._schedule.after(delay_s, run)

    def _connect(self) -> None:
        if not self._broker.is_connected(BRIDGE):
            self._broker.connect(BRIDGE, Client(self._message, lambda _topic, _payload: None, self._lost))
            self._announces = True
            self._later(0.1, self._publish_due)

    def _lost(self) -> None:
        self._waiting.clear()
        self._later(self._random.uniform(0.1, RECONNECT_S), self._connect)

    def _message(self, message: Message) -> None:
        topic = topics.parse(message.topic)
        if isinstance(topic, topics.UpTopic) and topic.channel == "sync":
            self._broker.acknowledge(message.mid)
            unit, payload = topic.unit, message.payload
            self._later(self._random.uniform(0.001, 0.05), lambda: self._answer(unit, payload))
            return
        if not self._waiting:
            self._later(self._batch_s, self._take_batch)
        self._waiting.append(message)

    def _answer(self, unit: str, payload: bytes) -> None:
        try:
            self._rounds.ask(unit, payload)
        except BadPayload as wrong:
            raise Failure(f"the server does not understand what {unit} asks: {wrong}") from None
        self._answer_due()

    def _answer_due(self) -> None:
        wait_s = self._rounds.answer(self._schedule.now)
        if wait_s is not None:
            self._later(max(0.001, wait_s), self._answer_due)

    def _take_batch(self) -> None:
        batch, self._waiting = self._waiting, []

        def acknowledge() -> None:
            for message in batch:
                self._broker.acknowledge(message.mid)

        taken = self._rounds.take(
            [Incoming(message.topic, message.payload, message.is_retained) for message in batch], acknowledge, self._schedule.now
        )
        self._trace.note(self._schedule.now, "server", f"takes {taken.new} new events, {taken.known} known")
        if taken.refused:
            raise Failure(f"the server refuses {taken.refused} of the units' messages")

    def _poll(self) -> None:
        self._later(POLL_S, self._poll)
        self._publish_due()
        self._rounds.settle(self._schedule.now)
        found = None if self._is_compacting else self._rounds.to_compact()
        if found is not None:
            self._is_compacting = True
            publisher, copy = found
            made = publisher.compact(copy)
            self._later(self._random.uniform(0.0, 6.0), lambda: self._compacted(publisher, made))

    def _compacted(self, publisher: Publisher, made: Compacted) -> None:
        self._is_compacting = False
        self._rounds.compacted(publisher, made)
        self._catch_up()

    def _publish_due(self) -> None:
        announces, self._announces = self._announces, False
        is_connected = self._broker.is_connected(BRIDGE)
        try:
            self._rounds.due(self._schedule.now, is_connected=is_connected, announces=announces and is_connected)
        finally:
            self._catch_up()
        for uri, why in self._rounds.unfit.items():
            raise Failure(f"the server cannot publish {uri}: {why}")

    def _catch_up(self) -> None:
        """The histories of our lists, after whatever was stored."""
        if not self._has_stored:
            return
        self._has_stored = False
        with self.store.read() as tx:
            heads = publication.list_heads(tx)
            for history in self.own:
                history.catch_up(tx, heads)

    def _say(self, said: Sequence[Publication]) -> None:
        for item in said:
            self._trace.note(self._schedule.now, "server", f"publishes {item.topic.removeprefix(topics.ROOT)} {len(item.payload)}")
            self._broker.publish(BRIDGE, item.topic, item.payload, retain=item.retain)

    @contextmanager
    def looked_at(self) -> Iterator[Connection]:
        """The database as the town sees it: no work of the server's, in the middle of which it could end."""
        left, self._commits_left = self._commits_left, None
        try:
            with self.store.read() as tx:
                yield tx
        finally:
            self._commits_left = left

    def _before_commit(self, _connection: object) -> None:
        self._has_stored = True
        if self._commits_left is not None:
            self._commits_left -= 1
            if self._commits_left <= 0:
                self._commits_left = None
                raise Crash

    def _add_resident(self, number: int) -> None:
        colour, reason = self._random.choice([(Colour.GREEN, HandReason.REVIEWED), (Colour.RED, HandReason.CONFIRMED)])
        added = self.registry.add(Person(name=f"resident {number}"), colour=colour, reason=reason)
        if isinstance(added, Refused) and added.fault is not RegistryFault.LIST_FULL:
            raise Failure(f"the registry does not take a resident: {added.detail}")
