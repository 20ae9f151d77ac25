"""The server: registry, publisher, answers and intake over the store, joined to the broker as the bridge joins them, and its power switch.

The bridge's own threads and its MQTT client are left out; what they do with the parts, and in which order, is here in one thread.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event

from healthcode import topics
from healthcode.cose import SoftwareKey
from healthcode.messages import BadPayload, TrustHead, TrustList, Watermark
from healthcode.signed import write
from healthcode.terms import STATUS_OF_COLOUR, Colour, Status, Use
from healthcode.trust import KeyRing, entry_for
from healthgate.simulation.history import History
from healthgate.simulation.network import BRIDGE, RECONNECT_S, Broker, Client, Message
from healthgate.simulation.schedule import Crash, Failure, Schedule, Trace
from server.answers import Answers
from server.config import Lists
from server.facts import COLOURS_OF_REASON, HandReason
from server.fleet import Fleet
from server.intake import Incoming, Intake
from server.keys import Trusted
from server.lists import Compacted, Publication, Publisher
from server.persons import Person
from server.registry import Refused, Registry
from server.sealing import Seal
from server.store import Store, publication

ISSUER, URI = "CN-HB", "https://hb.example/s/1"
CAPACITY = 1024
NOON = 1_583_323_200
"""Virtual second 0, in seconds since 1970."""
POLL_S = 2.0
FAR = NOON + 10 * 365 * 86_400


@dataclass(frozen=True)
class Keys:
    """The issuer's keys: Ed25519, because its signatures are the same at each run."""

    root: SoftwareKey
    of: dict[Use, SoftwareKey]

    @classmethod
    def drawn(cls, random: Random) -> Keys:
        """Fresh keys."""

        def draw() -> SoftwareKey:
            return SoftwareKey(Ed25519PrivateKey.from_private_bytes(random.randbytes(32)))

        return cls(draw(), {use: draw() for use in (Use.LIST, Use.TIME, Use.ACK)})

    def trusted(self, version: int, epoch: int) -> Trusted:
        """The trust list with these keys, signed by the root."""
        entries = [
            entry_for(
                key, issuer=ISSUER, use=use, sign_from=0, uris=[URI] if use is Use.LIST else [], epoch=epoch if use is Use.LIST else 0
            )
            for use, key in self.of.items()
        ]
        trust = TrustList(version=version, signed_at=NOON, expires_at=FAR, entries=entries)
        body = write(trust, self.root)
        head = TrustHead(version=version, size=len(body), sha256=hashlib.sha256(body).digest(), signed_at=NOON)
        return Trusted(KeyRing.of(trust), head, body, write(head, self.root), FAR)


class Office:
    """The server, on or off."""

    def __init__(self, folder: Path, schedule: Schedule, random: Random, broker: Broker, trace: Trace, units: list[str]) -> None:
        self.clock_off_s = 0.0
        self.is_up = False
        self.keys = Keys.drawn(random)
        self.trusted = self.keys.trusted(1, 0)
        self._epoch = 0
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
        self._chunk_bytes = random.choice([60, 150, 64 * 1024])
        self._most_changes = random.choice([3, 20_000])
        self._seal_key = random.randbytes(32)
        self._commits_left: int | None = None
        self._waiting: list[Message] = []
        self._life = 0
        self._signed = self.trusted
        folder.mkdir(parents=True)
        self._open()
        self.history = History(self.store, URI, CAPACITY)
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
        self.history.store = self.store
        self.history.catch_up()
        self._up()

    def backup(self) -> None:
        """A copy of the database as it is now."""
        with self.store.read() as tx:
            tx.exec_driver_sql("SELECT 1")
            for name in ("server.sqlite", "server.sqlite-wal"):
                if (self._folder / name).exists():
                    shutil.copyfile(self._folder / name, self._folder / f"backup.{name}")

    def restore(self) -> None:
        """The database is what it was at the last backup; a new trust list raises the epoch, as docs/operations.md demands."""
        self.kill("the database is restored")
        for name in ("server.sqlite", "server.sqlite-wal", "server.sqlite-shm"):
            (self._folder / name).unlink(missing_ok=True)
            if (self._folder / f"backup.{name}").exists():
                shutil.copyfile(self._folder / f"backup.{name}", self._folder / name)
        self.renew_trust(raises_epoch=True)

    def renew_trust(self, *, raises_epoch: bool) -> None:
        """The root signs a new trust list."""
        self._epoch += raises_epoch
        self._signed = self.keys.trusted(self._signed.head.version + 1, self._epoch)
        self._trace.note(self._schedule.now, "root", f"signs trust list {self._signed.head.version}, epoch {self._epoch}")

    # ---- what people do

    def rule(self) -> None:
        """An officer does something, where the server is there."""
        self._later(0.0, self._rule)

    def _rule(self) -> None:
        residents = self.registry.list_residents()
        what = self._random.random()
        resident = self._random.choice(residents).resident if residents else ""
        if what < 0.1 or not residents:
            self._add_resident(len(residents))
        elif what < 0.2:
            self.registry.revoke(resident)
        else:
            reason = self._random.choice(list(HandReason))
            colour = self._random.choice(sorted(COLOURS_OF_REASON[reason]))
            self.registry.set_colour(resident, colour, reason)
        self._later(0.3, self._publish_due)

    def true_statuses(self) -> dict[int, Status]:
        """What the registry says of every index that was ever given out and is not green."""
        with self.store.read() as tx:
            rows = publication.every_status(tx, URI)
        return {index: Status.REVOKED if colour is None else STATUS_OF_COLOUR[Colour(colour)] for index, colour in rows}

    # ---- the bridge's work

    def _open(self) -> None:
        self.store = Store.open(f"sqlite:///{self._folder / 'server.sqlite'}")
        self.store.migrate(round(self.now() * 1000))
        event.listen(self.store.engine, "commit", self._before_commit)
        seal = Seal(self._seal_key, self._random.randbytes)
        self.registry = Registry(
            self.store, seal, issuer=ISSUER, uris=[URI], now=self.now, capacity=CAPACITY, random=self._random.randbytes
        )

    def _up(self) -> None:
        self.is_up = True
        self._is_compacting = False
        self._publisher = Publisher(
            self.store,
            lambda: self.keys.of[Use.LIST],
            issuer=ISSUER,
            uri=URI,
            capacity=CAPACITY,
            keys=lambda: self.trusted.ring,
            settings=self._settings,
            now=self.now,
            most_changes=self._most_changes,
        )
        self._answers = Answers(self.store, lambda: self.keys.of[Use.TIME], lambda: self.trusted, self.now, chunk_bytes=self._chunk_bytes)
        self._intake = Intake(self.store, self.registry, lambda: self.trusted.ring, self.now, fevers_an_hour=10)
        self.trusted = self._signed
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
            self._later(0.1, self._announce)

    def _lost(self) -> None:
        self._waiting.clear()
        self._later(self._random.uniform(0.1, RECONNECT_S), self._connect)

    def _announce(self) -> None:
        self._say([Publication(topics.TRUST_HEAD, self.trusted.head_bytes, retain=True)])
        with self.store.read() as tx:
            heads = publication.list_heads(tx)
        self._say([Publication(topics.list_topic(head.issuer, head.uri, "head"), head.body, retain=True) for head in heads])
        self._send_watermarks(self._intake.watermarks())

    def _message(self, message: Message) -> None:
        topic = topics.parse(message.topic)
        if isinstance(topic, topics.UpTopic) and topic.channel == "sync":
            self._broker.acknowledge(message.mid)
            unit, payload = topic.unit, message.payload
            self._later(self._random.uniform(0.001, 0.05), lambda: self._answer(unit, payload))
            return
        if not self._waiting:
            self._later(0.02, self._take_batch)
        self._waiting.append(message)

    def _answer(self, unit: str, payload: bytes) -> None:
        try:
            self._say(self._answers.ask(unit, payload))
        except BadPayload as wrong:
            raise Failure(f"the server does not understand what {unit} asks: {wrong}") from None
        self._answer_due()

    def _answer_due(self) -> None:
        self._say(self._answers.due(self._schedule.now))
        wait_s = self._answers.wait_s(self._schedule.now)
        if wait_s is not None:
            self._later(max(0.001, wait_s), self._answer_due)

    def _take_batch(self) -> None:
        batch, self._waiting = self._waiting, []
        taken = self._intake.take([Incoming(message.topic, message.payload) for message in batch])
        self._trace.note(self._schedule.now, "server", f"takes {taken.new} new events, {taken.known} known")
        if taken.refused:
            raise Failure(f"the server refuses {taken.refused} of the units' messages")
        for message in batch:
            self._broker.acknowledge(message.mid)
        self._send_watermarks(taken.watermarks)

    def _send_watermarks(self, watermarks: list[Watermark] | tuple[Watermark, ...]) -> None:
        key = self.keys.of[Use.ACK]
        self._say([Publication(topics.down(each.unit, "ack"), write(each, key), retain=True) for each in watermarks])

    def _poll(self) -> None:
        if self.trusted is not self._signed:
            self.trusted = self._signed
            self._say([Publication(topics.TRUST_HEAD, self.trusted.head_bytes, retain=True)])
            self._publisher.reload()
        self._later(POLL_S, self._poll)
        self._publish_due()
        copy = None if self._is_compacting else self._publisher.copy_for_snapshot()
        if copy is not None:
            self._is_compacting = True
            made = self._publisher.compact(copy)
            self._later(self._random.uniform(0.0, 6.0), lambda: self._take_snapshot(made))

    def _take_snapshot(self, made: Compacted) -> None:
        self._is_compacting = False
        self._publisher.take_snapshot(made)
        self.history.catch_up()

    def _publish_due(self) -> None:
        try:
            said = self._publisher.step()
        finally:
            self.history.catch_up()
        for item in said:
            self._trace.note(self._schedule.now, "server", f"publishes {item.topic.rsplit('/', 1)[1]} of {self.history.newest}")
        self._say(said)

    def _say(self, said: list[Publication]) -> None:
        for item in said:
            self._broker.publish(BRIDGE, item.topic, item.payload, retain=item.retain)

    def _before_commit(self, _connection: object) -> None:
        if self._commits_left is not None:
            self._commits_left -= 1
            if self._commits_left <= 0:
                self._commits_left = None
                raise Crash

    def _add_resident(self, number: int) -> None:
        colour, reason = self._random.choice([(Colour.GREEN, HandReason.REVIEWED), (Colour.RED, HandReason.CONFIRMED)])
        added = self.registry.add(Person(name=f"resident {number}"), colour=colour, reason=reason)
        if isinstance(added, Refused):
            raise Failure(f"the registry does not take a resident: {added.detail}")
