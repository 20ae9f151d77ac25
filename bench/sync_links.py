"""A link of the sync benchmark: one unit's real Dialogue, Cache and Outbox, its line, and how long its processor is busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edge.cache import Cache, TrustTaken
from edge.clock import Clock, FloorFile
from edge.dialogue import Dialogue
from edge.files import Calls
from edge.linkwords import Saying
from edge.outbox import Outbox
from healthcode.cose import PublicKey
from healthcode.messages import Info, stamp


@dataclass
class Line:
    """A line that carries one thing after another, `mbit` megabits a second."""

    mbit: float
    free_at: float = 0.0

    def carry(self, size: int, at: float) -> float:
        """When `size` bytes that are there at `at` are through."""
        self.free_at = max(at, self.free_at) + size * 8e-6 / self.mbit
        return self.free_at


@dataclass
class Link:
    """One unit. `served` and `needed` are bytes; `session` counts its connections; until `busy_until` its processor works."""

    name: str
    cache: Cache
    outbox: Outbox
    dialogue: Dialogue
    line: Line
    slowness: float
    is_fresh: bool
    is_up: bool = False
    session: int = 0
    busy_until: float = 0.0
    served: int = 0
    needed: int = 0

    def work(self, at: float, what: Callable[[], list[Saying]]) -> list[Saying]:
        """Has the unit's processor do `what` from `at` on, `slowness` times as long as it takes here."""
        begun = time.thread_time()
        said = what()
        self.busy_until = max(at, self.busy_until) + (time.thread_time() - begun) * self.slowness
        return said

    def close(self) -> None:
        """Closes databases and files."""
        self.outbox.close()
        self.cache.close()


@dataclass(frozen=True)
class Enrolment:
    """What a unit is given: the root key, and, where it is not fresh, the trust list and a snapshot of the list `uri`."""

    root: PublicKey
    trust: bytes
    uri: str
    snapshot: bytes


@dataclass
class Maker:
    """Makes units that live in `folder`. `now` is the virtual time (monotonic seconds), `wall` the same since 1970."""

    folder: Path
    seed: int
    enrolment: Enrolment
    mbit: float
    slowness: float
    now: Callable[[], float]
    wall: Callable[[], float]
    made: list[Link] = field(default_factory=list)

    def make(self, number: int) -> Link:
        """One unit; every second one has an empty disk, the others hold the list."""
        given = self.enrolment
        name, is_fresh = f"gate-{number:03}", number % 2 == 0
        folder = self.folder / name
        folder.mkdir()
        draws = Random(f"{self.seed} {name}")
        cache = Cache(folder / "cache", [given.root], calls=Calls(fsync=lambda _: None))
        if not is_fresh:
            assert isinstance(cache.accept_trust(given.trust, self.wall()), TrustTaken)
            assert cache.accept_snapshot(given.uri, given.snapshot, self.wall()) is None
        boot = f"{draws.getrandbits(128):032x}"
        outbox = Outbox(folder / "outbox.db", boot)
        clock = Clock(
            FloorFile(folder / "floor"),
            monotonic=self.now,
            system=self.wall,
            draw=lambda: f"{draws.getrandbits(128):032x}",
            synchronised=lambda: True,
        )
        info = Info(unit=name, boot_id=boot, software="0", hardware="simulated", started_at=stamp(self.wall()))
        dialogue = Dialogue(info, cache=cache, outbox=outbox, clock=clock, random=draws, at=self.now())
        link = Link(name, cache, outbox, dialogue, Line(self.mbit), self.slowness, is_fresh)
        link.needed = len(given.trust) + len(given.snapshot) if is_fresh else 0
        self.made.append(link)
        return link
