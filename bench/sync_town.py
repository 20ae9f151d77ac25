"""The town of the sync benchmark: a server, a broker, units and the lines between, under one virtual clock; `bench.sync` has the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from bench.sync_links import Enrolment, Line, Link, Maker
from bench.sync_server import NOON, URIS, Server
from edge.linkwords import ListChanged, Publish, Resubscribe, Saying
from healthcode import topics
from healthcode.messages import TimeRequest, decode_sync_request
from healthgate.simulation.schedule import Schedule
from server.lists import Publication

TURN_S = 0.25
"""How often a unit looks whether something is due, as `edge.link` does."""
POLL_S = 0.1
"""How often the server does, as `lists.poll_s`."""
LATENCY_S = (0.005, 0.04)
BROKER_EACH_S, BROKER_BYTE_S = 35e-6, 1 / 350e6
"""The broker's work for each message that it sends, and for each byte of it: mosquitto 2.0 took 36 to 50 ms for 300 bytes to 1,000
subscribers, and 0.18 s for 64 KB to each of them.
"""
RECONNECT_S = (0.1, 4.0)
UP_S, DOWN_S = 60.0, 15.0
"""Means of how long a unit is on line, and off line, in the storm."""


@dataclass(frozen=True)
class Plan:
    """What to measure. `snapshot_bytes` is about the length of a snapshot; lines in megabits a second; `lost` a share of all messages.

    `slowness`: how many times as long as here a unit's processor takes.
    """

    units: int = 200
    seed: int = 1
    storm_s: float = 60.0
    quiet_s: float = 30.0
    snapshot_bytes: int = 850_000
    server_mbit: float = 100.0
    unit_mbit: float = 20.0
    slowness: float = 5.0
    lost: float = 0.03


@dataclass
class Version:
    """A version of the list on its way: when its first change was committed, when it was published, which units are still to have it."""

    changed_at: float
    published_at: float
    waiting: set[str]
    reached: list[float] = field(default_factory=list)


class Town:
    """All of it. Times are virtual seconds."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Units come up within the first seconds. `folder` is for all disks."""
        self.plan = plan
        self.schedule = Schedule()
        self.lost = 0.0
        self.is_stormy = False
        self.versions: list[Version] = []
        self._random = Random(plan.seed)
        self._changed: list[float] = []
        self._changes_until = 0.0
        self._line = Line(plan.server_mbit)
        self._broker_free_at = 0.0
        self.server = Server(folder, plan.seed, plan.snapshot_bytes, self._wall)
        self._retained = self.server.retained([])
        enrolment = Enrolment(self.server.root.public_key, self.server.trusted.list_bytes, URIS[0], self.server.snapshots[URIS[0]])
        maker = Maker(folder, plan.seed, enrolment, plan.unit_mbit, plan.slowness, lambda: self.now, self._wall)
        self.links = [maker.make(number) for number in range(plan.units)]
        for link in self.links:
            self.schedule.after(self._random.uniform(0, DOWN_S), partial(self.turn_on, link))
        self._poll()

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.schedule.now

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        self.schedule.run(self.now + seconds)

    def change_until(self, until: float) -> None:
        """From now on something changes twice a second, at random."""
        is_running = self._changes_until > self.now
        self._changes_until = until
        if not is_running:
            self._change_later()

    def turn_on(self, link: Link) -> None:
        """The unit's connection comes up, where it is down."""
        if link.is_up:
            return
        link.is_up, link.session, link.line.free_at = True, link.session + 1, self.now
        self._said(link, link.work(self.now, lambda: link.dialogue.connected(self.now)))
        self._subscribe(link)
        self.schedule.after(TURN_S, partial(self._tick, link, link.session))
        if self.is_stormy:
            self.schedule.after(self._random.expovariate(1 / UP_S), partial(self._turn_off, link, link.session))

    def agreed(self, uri: str) -> int:
        """How many units hold exactly what the server holds."""
        truth = self.server.truth[uri]
        entries = bytes(truth.packed)
        held = [link.cache.lists[uri] for link in self.links if uri in link.cache.lists]
        return sum(one.version == truth.version and bytes(one.packed) == entries for one in held)

    def close(self) -> None:
        """Closes databases and files."""
        for link in self.links:
            link.close()
        self.server.close()

    def _wall(self) -> float:
        return NOON + self.now

    # ---- the server and the broker

    def _change_later(self) -> None:
        def change() -> None:
            if self.now < self._changes_until:
                self.server.change(self._random)
                self._changed.append(self.now)
                self._change_later()

        self.schedule.after(self._random.uniform(0.2, 0.8), change)

    def _poll(self) -> None:
        published = self.server.publish(self.now)
        self._retained |= self.server.retained(published)
        ready_at = self.server.busy_until
        for item in published:
            if not item.retain:
                self._open_version(ready_at)
            for link in self.links:
                came = self._send(link, item.topic, item.payload, ready_at)
                if not item.retain and not came:
                    link.needed += len(item.payload)
        self.schedule.after(POLL_S, self._poll)

    def _open_version(self, at: float) -> None:
        waiting = {link.name for link in self.links if link.is_up and URIS[0] in link.cache.lists}
        self.versions.append(Version(min(self._changed), at, waiting))
        self._changed.clear()

    def _asked(self, link: Link, payload: bytes) -> None:
        told = self.server.work(self.now, lambda: self.server.answers.ask(link.name, payload))
        self._deliver(told)
        if not isinstance(decode_sync_request(payload), TimeRequest):
            self._answer_due()

    def _answer_due(self) -> None:
        found = self.server.work(self.now, lambda: self.server.answers.due(self.now))
        for item in found:
            self._link_of(item).served += len(item.payload)
        self._deliver(found)
        wait_s = self.server.answers.wait_s(self.now)
        if wait_s is not None:
            self.schedule.after(max(0.001, wait_s), self._answer_due)

    def _link_of(self, item: Publication) -> Link:
        topic = topics.parse(item.topic)
        assert isinstance(topic, topics.DownTopic)
        return self.links[int(topic.unit.rpartition("-")[2])]

    def _deliver(self, items: Sequence[Publication]) -> None:
        for item in items:
            self._send(self._link_of(item), item.topic, item.payload, self.server.busy_until)

    def _send(self, link: Link, topic: str, payload: bytes, at: float, *, is_retained: bool = False) -> bool:
        """Through the broker to one unit. Whether it gets there, as far as that can be known now.

        What is retained and lost on subscribing takes the connection with it, as TCP does.
        """
        if not link.is_up:
            return False
        self._broker_free_at = max(at, self._broker_free_at) + BROKER_EACH_S + len(payload) * BROKER_BYTE_S
        through = self._line.carry(len(payload), self._broker_free_at)
        session = link.session
        if self._random.random() < self.lost:
            if is_retained:
                self.schedule.after(0.0, partial(self._break, link, session))
            return False
        arrives = link.line.carry(len(payload), through + self._random.uniform(*LATENCY_S))
        self.schedule.after(
            arrives - self.now, partial(self._arrive, link, session, lambda: link.dialogue.message(topic, payload, self.now))
        )
        return True

    def _subscribe(self, link: Link) -> None:
        for topic, payload in self._retained.items():
            self._send(link, topic, payload, self.now, is_retained=True)

    # ---- the units

    def _arrive(self, link: Link, session: int, what: Callable[[], list[Saying]]) -> None:
        """A message has arrived: it is taken up when the unit has done what came before."""
        if not link.is_up or link.session != session:
            return
        if link.busy_until > self.now:
            self.schedule.after(link.busy_until - self.now, partial(self._arrive, link, session, what))
            return
        self._said(link, link.work(self.now, what))

    def _said(self, link: Link, sayings: list[Saying]) -> None:
        for saying in sayings:
            if isinstance(saying, Resubscribe):
                self._subscribe(link)
            elif isinstance(saying, Publish) and saying.topic == topics.up(link.name, "sync") and self._random.random() >= self.lost:
                leaves = max(self.now, link.busy_until) + self._random.uniform(*LATENCY_S)
                self.schedule.after(leaves - self.now, partial(self._asked, link, saying.payload))
        for news in link.dialogue.news:
            if isinstance(news, ListChanged) and news.uri == URIS[0] and news.version is not None:
                self._reached(link, news.version)
        link.dialogue.news.clear()

    def _reached(self, link: Link, version: int) -> None:
        for way in self.versions[:version]:
            if link.name in way.waiting:
                way.waiting.discard(link.name)
                way.reached.append(link.busy_until)

    def _tick(self, link: Link, session: int) -> None:
        if link.is_up and link.session == session:
            if link.busy_until <= self.now:
                self._said(link, link.work(self.now, lambda: link.dialogue.tick(self.now)))
            self.schedule.after(TURN_S, partial(self._tick, link, session))

    def _turn_off(self, link: Link, session: int) -> None:
        if self.is_stormy and link.session == session and link.is_up:
            self._hang_up(link, self._random.expovariate(1 / DOWN_S))

    def _break(self, link: Link, session: int) -> None:
        if link.session == session and link.is_up:
            self._hang_up(link, self._random.uniform(*RECONNECT_S))

    def _hang_up(self, link: Link, for_s: float) -> None:
        link.is_up = False
        link.dialogue.disconnected()
        for way in self.versions:
            way.waiting.discard(link.name)
        self.schedule.after(for_s, partial(self.turn_on, link))
