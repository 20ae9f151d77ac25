"""The people of the lane's benchmark: how they hold their telephones, how they walk, and which of their pictures can be read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from bench.lane_figures import Turn
from edge.config import Camera
from edge.drivers.camera import Frame
from edge.drivers.simulated_camera import draw
from edge.drivers.world import Scene, Shown
from edge.scan import Reader, Sighting
from healthgate.world import World

UNIT = "lane"
"""The one gate's name."""
RAISED_S = 0.3
"""How long a telephone takes from the edge of the picture to a pose in which its code can be read."""
REACH_S = 0.2
"""From the relay's rise to the beam: one step."""
DRIFT_S = 0.3
"""How often the hand moves while its owner waits."""
LATE_S = 10.0
"""Who has not been let in for so long, walks away: lost."""
LINGER_S = 0.3
"""How long the telephone is still held up behind the beam, by those who do that."""


@dataclass(frozen=True)
class Pose:
    """How a telephone is held: degrees of tilt, blur from 0 to 1."""

    tilt: float
    blur: float


@dataclass
class Visit:
    """What was shown for one person, and when the relay rose for them (monotonic seconds)."""

    index: int
    text: str
    poses: dict[str, Pose] = field(default_factory=dict)
    relay_at: float | None = None


def hold(random: Random) -> Iterator[tuple[float, Pose]]:
    """Poses with the second from which each is held: far off twice, then good ones that drift, until the person gives up."""
    side = random.choice((-1, 1))
    yield 0.0, Pose(side * 60.0, 1.0)
    yield RAISED_S / 2, Pose(side * 45.0, 0.8)
    at, tilt = RAISED_S, side * 12.0
    while at < LATE_S:
        yield at, Pose(tilt, random.uniform(0.0, 0.15))
        at += DRIFT_S
        tilt = max(-15.0, min(15.0, tilt + random.uniform(-6.0, 6.0)))


def walk(world: World, rose_at: float, beam_s: float, lingers: bool, in_beam: threading.Event) -> None:
    """Steps into the beam and out of it after `beam_s`; the telephone goes down at once, or with `lingers` only on the other side."""
    time.sleep(max(0.0, rose_at + REACH_S - time.monotonic()))
    world.set(UNIT, beam=True)
    if not lingers:
        clear(world)
    in_beam.set()
    time.sleep(max(0.0, rose_at + REACH_S + beam_s - time.monotonic()))
    world.set(UNIT, beam=False)
    if lingers:
        time.sleep(LINGER_S)
        clear(world)


def clear(world: World) -> None:
    """Nobody stands in front of the camera and the sensor."""
    world.set(UNIT, shown=(), skin_c=None)


def turn_of(visit: Visit, camera: Camera) -> Turn:
    """`visit` with the first picture that our own reader reads, asked about each alone."""
    for name, pose in visit.poses.items():
        scene = Scene(shown=(Shown(name, visit.text),), tilt=pose.tilt, blur=pose.blur)
        seen = Reader(camera.stages).sight(Frame(draw(scene, camera.width, camera.height), 0.0))
        if isinstance(seen, Sighting) and seen.text == visit.text:
            return Turn(visit.index, name, visit.relay_at)
    return Turn(visit.index, None, visit.relay_at)
