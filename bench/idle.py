"""What a gate costs while nobody is there: the camera's feed and the reader's process, fed with an empty lane, in a process of their own.

The frames are made beforehand, each with its own noise, so that making them costs nothing here; a real camera's driver adds its own cost.
All modules of the unit are loaded, as in a unit. Run as a module it measures and prints one JSON object; `healthgate bench idle` shows it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator

import edge.__main__
from bench.presentations import background, develop
from bench.procfs import cpu_s, descendants, memory_mb
from edge.config import Camera as CameraConfig
from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels
from edge.feeds import CameraFeed
from edge.scan_child import ReaderProcess

FPS = 15.0
SETTLE_S = 5.0
"""Seconds before the measurement begins: the reader starts, the picture is learnt."""

PICTURES = 24
"""Different frames, shown in turn: 7 MB that a unit does not have, and that are counted all the same."""

assert edge.__main__  # loaded for its memory


class EmptyLane:
    """A camera that shows the same lane with other noise in every frame, FPS times a second."""

    def __init__(self, pictures: list[Pixels]) -> None:
        self._pictures = pictures
        self._closed = threading.Event()
        self.shown = 0

    def frames(self) -> Iterator[Frame]:
        """Frames until `close`."""
        due = time.monotonic()
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            due += 1 / FPS
            self.shown += 1
            yield Frame(self._pictures[self.shown % PICTURES], time.monotonic())

    def close(self) -> None:
        """Ends `frames`."""
        self._closed.set()


def measure(seconds: float, seed: int) -> dict[str, float]:
    """CPU in per cent of one core and resident memory in MB, over `seconds`."""
    import numpy as np

    random = np.random.default_rng(seed)
    lane = background(seed, 0)
    camera = EmptyLane([develop(lane, 1.0, 6000.0, 0.003, random) for _ in range(PICTURES)])
    config = CameraConfig(source="simulated", fps=FPS)
    reader = ReaderProcess(list(config.stages))
    feed = CameraFeed(lambda: camera, reader, lambda _: None, config=config)
    feed.start()
    try:
        time.sleep(SETTLE_S)
        others = descendants(os.getpid())
        begun, shown, decoded = time.monotonic(), camera.shown, feed.decoded
        before = [cpu_s(pid) for pid in (os.getpid(), *others)]
        time.sleep(seconds)
        taken = [cpu_s(pid) - cpu for pid, cpu in zip((os.getpid(), *others), before, strict=True)]
        lasted = time.monotonic() - begun
        memory = [memory_mb(pid) for pid in (os.getpid(), *others)]
        return {
            "cpu_percent": round(100 * sum(taken) / lasted, 2),
            "parent_cpu_percent": round(100 * taken[0] / lasted, 2),
            "fps": round((camera.shown - shown) / lasted, 2),
            "decoded_fps": round((feed.decoded - decoded) / lasted, 2),
            "parent_mb": round(memory[0].resident, 1),
            "children_mb": round(sum(one.resident for one in memory[1:]), 1),
            "together_mb": round(sum(one.share for one in memory), 1),
        }
    finally:
        feed.stop()
        reader.close()


if __name__ == "__main__":
    print(json.dumps(measure(float(sys.argv[1]), int(sys.argv[2]))))  # noqa: T201
