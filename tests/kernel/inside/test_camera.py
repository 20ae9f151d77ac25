"""The camera through linuxpy, on the kernel's V4L2 code: what was put in comes out, and a code in it is read by the real reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import numpy as np
import pytest

from edge.camera_watch import Trouble
from edge.config import Camera as CameraConfig
from edge.drivers.camera import CameraFault
from edge.drivers.luma import Pixels
from edge.drivers.v4l2_camera import STALL_S, V4l2Camera
from edge.scan import Sighting
from edge.scan_child import ReaderProcess
from tests.edge.codes import TEXT, qr
from tests.kernel.machine import VIDEO
from tests.kernel.screen import HEIGHT, WIDTH, Screen, on_paper

LIMIT_S = 10.0
FPS = 15.0


class Player:
    """Writes frames, again and again, until `close`."""

    def __init__(self, screen: Screen, frames: Sequence[Pixels]) -> None:
        self._screen, self._frames = screen, frames
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def _play(self) -> None:
        place = 0
        while not self._ended.wait(1 / FPS):
            self._screen.write(self._frames[place % len(self._frames)])
            place += 1

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def played(request: pytest.FixtureRequest) -> Iterator[tuple[Screen, list[Pixels]]]:
    """Twenty frames of noise, played in the pixel format that is asked for."""
    random = np.random.default_rng(7)
    frames = [random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8) for _ in range(20)]
    with Screen(request.param) as screen:
        player = Player(screen, frames)
        yield screen, frames
        player.close()


@pytest.mark.parametrize("played", ["GREY", "YUYV", "YU12", "NV12"], indirect=True)
def test_frames_come_out_pixel_for_pixel_and_in_their_order(played: tuple[Screen, list[Pixels]]) -> None:
    _, frames = played
    camera = V4l2Camera(VIDEO, WIDTH, HEIGHT, FPS)
    places: list[int] = []
    times: list[float] = []
    try:
        for frame in camera.frames():
            if not places and not frame.pixels.any():
                continue  # the black before the first one
            same = [place for place, put in enumerate(frames) if np.array_equal(put, frame.pixels)]
            assert len(same) == 1, "not one pixel is another"
            places.append(same[0])
            times.append(frame.at)
            if len(places) == 12:
                break
    finally:
        camera.close()
    steps = [(after - before) % len(frames) for before, after in pairwise(places)]
    assert all(1 <= step <= 3 for step in steps), steps
    assert times == sorted(times)
    assert abs(time.monotonic() - times[-1]) < 1.0


def test_a_presentation_is_read_by_the_real_reader() -> None:
    reader = ReaderProcess(CameraConfig().stages)
    with Screen() as screen:
        player = Player(screen, [on_paper(qr(TEXT, scale=5))])
        camera = V4l2Camera(VIDEO, WIDTH, HEIGHT, FPS)
        try:
            seen = [reader.sight(frame) for frame in islice((frame for frame in camera.frames() if frame.pixels.any()), 5)]
        finally:
            camera.close()
            player.close()
            reader.close()
    assert reader.filtered, "the reader is in its jail here"
    assert [one.text for one in seen if isinstance(one, Sighting)] == [TEXT] * 5


def test_a_camera_that_is_not_there_is_named() -> None:
    with pytest.raises(CameraFault, match="there is no such camera") as found:
        V4l2Camera("/dev/video8", WIDTH, HEIGHT, FPS)
    assert found.value.trouble is Trouble.MISSING


def test_a_camera_that_stops_is_frozen_after_three_seconds() -> None:
    with Screen() as screen:
        player = Player(screen, [on_paper(qr(TEXT))])
        camera = V4l2Camera(VIDEO, WIDTH, HEIGHT, FPS)
        try:
            frames = camera.frames()
            next(frames)
            player.close()
            stopped_at = time.monotonic()
            with pytest.raises(CameraFault) as found:
                list(frames)
            assert found.value.trouble is Trouble.FROZEN
            assert STALL_S - 0.5 <= time.monotonic() - stopped_at < STALL_S + 1.5
        finally:
            camera.close()
