"""The camera's thread on cameras that stop, go dark, freeze or stare at a poster. The frames bring their own time."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import TypeVar

import numpy as np
import pytest

from edge.camera_watch import BLACK_S, FROZEN_S, Trouble
from edge.config import Camera as CameraConfig
from edge.drivers.camera import Camera, CameraFault, Frame
from edge.drivers.luma import Pixels
from edge.feeds import REOPENINGS, SILENT_S, CameraFeed, CameraStuck, Device, DeviceBack, DeviceLost, Fed, FeedBroken, Obstructed
from edge.scan import Foreign, Glimpse, Reader, Sighting
from edge.scan_child import ReaderLost, ReaderProcess
from tests.edge.codes import TEXT, qr, sensor_noise

F = TypeVar("F")
LIMIT_S = 10.0
FPS = 15.0


class Film:
    """What a camera of a test shows: pictures, an exception where it breaks, and at the end it stands still until it is closed."""

    def __init__(self, *parts: Iterator[Pixels] | Exception) -> None:
        self.parts = parts
        self.closed = threading.Event()
        self.attended: list[bool] = []
        self.at = 0.0

    def frames(self) -> Iterator[Frame]:
        for part in self.parts:
            if isinstance(part, Exception):
                raise part
            for pixels in part:
                self.at += 1 / FPS
                yield Frame(pixels, self.at)
        self.closed.wait(LIMIT_S)

    def attend(self, active: bool) -> None:
        self.attended.append(active)

    def close(self) -> None:
        self.closed.set()


class Cameras:
    """Opens one film after another, the last one again and again; the frames' time goes on from one to the next."""

    def __init__(self, *films: Callable[[], Film]) -> None:
        self.films = films
        self.opened: list[Film] = []

    def open_one(self) -> Camera:
        film = self.films[min(len(self.opened), len(self.films) - 1)]()
        film.at = self.opened[-1].at + 1.0 if self.opened else 100.0
        self.opened.append(film)
        return film


class Posts:
    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Fed] = queue.SimpleQueue()
        self.all: list[Fed] = []

    def wait_for(self, kind: type[F]) -> F:
        while True:
            item = self.queue.get(timeout=LIMIT_S)
            self.all.append(item)
            if isinstance(item, kind):
                return item


def noisy(picture: Pixels, frames: int | None = None) -> Iterator[Pixels]:
    """`picture` as a sensor gives it, no frame like the one before; None: for ever."""
    for noise in islice(cycle(sensor_noise()), frames):
        yield np.clip(picture + 2 * np.tile(noise, (1, 2))[:, : picture.shape[1]], 0, 255).astype(np.uint8)


def lane(code: Pixels | None = None) -> Pixels:
    picture = np.full((480, 640), 120, np.uint8)
    if code is not None:
        picture[50 : 50 + code.shape[0], 100 : 100 + code.shape[1]] = code
    return picture


def frozen() -> CameraFault:
    return CameraFault("no frame for 3 s", Trouble.FROZEN)


@pytest.fixture
def posts() -> Posts:
    return Posts()


@pytest.fixture
def run(posts: Posts) -> Iterator[Callable[..., CameraFeed]]:
    feeds: list[CameraFeed] = []

    def start(cameras: Cameras, config: CameraConfig | None = None) -> CameraFeed:
        feed = CameraFeed(cameras.open_one, Reader(["zxing_local"]), posts.queue.put, 0.02, config or CameraConfig())
        feeds.append(feed)
        feed.start()
        return feed

    yield start
    for feed in feeds:
        feed.stop()


Run = Callable[..., CameraFeed]


def test_a_capture_that_freezes_is_opened_again_at_once(run: Run, posts: Posts) -> None:
    cameras = Cameras(lambda: Film(noisy(lane(), 5), frozen()), lambda: Film(noisy(lane(qr(TEXT)), 3)))
    run(cameras)
    posts.wait_for(DeviceBack)
    lost = posts.wait_for(DeviceLost)
    assert (lost.alert, lost.detail) == ("camera_frozen", "no frame for 3 s")
    posts.wait_for(DeviceBack)
    assert posts.wait_for(Sighting).text == TEXT
    assert cameras.opened[0].closed.is_set()


def test_a_capture_that_stays_frozen_asks_for_a_new_process(run: Run, posts: Posts) -> None:
    cameras = Cameras(lambda: Film(noisy(lane(), 5), frozen()), lambda: Film(frozen()))
    run(cameras)
    broken = posts.wait_for(FeedBroken)
    assert isinstance(broken.error, CameraStuck)
    assert len(cameras.opened) == 1 + REOPENINGS
    assert all(film.closed.is_set() for film in cameras.opened)


def test_a_camera_that_never_gave_a_frame_is_tried_again_and_again(run: Run, posts: Posts) -> None:
    cameras = Cameras(lambda: Film(frozen()))
    run(cameras)
    for _ in range(REOPENINGS + 3):
        assert posts.wait_for(DeviceLost).alert == "camera_frozen"
    assert not any(isinstance(item, FeedBroken) for item in posts.all)


def test_a_picture_that_stands_still_is_a_frozen_camera_and_what_it_shows_is_not_read(run: Run, posts: Posts) -> None:
    still = lane(qr(TEXT))
    cameras = Cameras(
        lambda: Film(noisy(lane(), 5), iter([still] * 200)),
        lambda: Film(iter([still] * 10), noisy(lane(), 5)),
    )
    run(cameras)
    lost = posts.wait_for(DeviceLost)
    assert (lost.alert, lost.detail) == ("camera_frozen", "not one pixel of the picture changes")
    posts.wait_for(DeviceBack)
    read = [item.at for item in posts.all if isinstance(item, Sighting)]
    assert max(read) < min(read) + FROZEN_S + 2 / FPS


def test_a_black_picture_is_told_once_and_is_over_with_the_first_light(run: Run, posts: Posts) -> None:
    dark = np.zeros((480, 640), np.uint8)
    run(Cameras(lambda: Film(noisy(lane(), 5), noisy(dark, round((BLACK_S + 5) * FPS)), noisy(lane(), 5))))
    posts.wait_for(DeviceBack)
    lost = posts.wait_for(DeviceLost)
    assert (lost.alert, lost.detail) == ("camera_black", "the picture is black")
    posts.wait_for(DeviceBack)
    assert sum(isinstance(item, DeviceLost) for item in posts.all) == 1


def test_a_poster_is_in_the_way_after_a_minute_until_it_is_taken_down(run: Run, posts: Posts) -> None:
    poster = lane(qr("https://pay.example/shop/7"))
    run(Cameras(lambda: Film(noisy(poster, round(70 * FPS)), noisy(lane(), round(20 * FPS)))))
    begin = posts.wait_for(DeviceBack).at
    told = posts.wait_for(Obstructed)
    assert told.active
    assert told.at - begin == pytest.approx(60.0, abs=1.0)
    assert not posts.wait_for(Obstructed).active
    assert not any(isinstance(item, Foreign) for item in posts.all)


def test_an_empty_lane_is_decoded_five_times_a_second_and_a_code_at_once(run: Run, posts: Posts) -> None:
    cameras = Cameras(lambda: Film(noisy(lane(), round(60 * FPS)), noisy(lane(qr(TEXT)), 15)))
    feed = run(cameras)
    first = posts.wait_for(Sighting)
    assert first.at == pytest.approx(160.0, abs=1.5 / FPS)
    assert feed.decoded / feed.frames < 0.4


def test_only_the_region_is_looked_at(run: Run, posts: Posts) -> None:
    beside = np.full((480, 1280), 120, np.uint8)
    beside[:, :640] = lane(qr(TEXT))
    inside = np.roll(beside, 640, axis=1)
    config = CameraConfig(roi=(0.5, 0.0, 1.0, 1.0))
    run(Cameras(lambda: Film(noisy(beside, 30), noisy(inside, 30))), config)
    assert posts.wait_for(Sighting).at > 100.0 + 30 / FPS


def test_a_camera_is_told_when_something_moves(run: Run, posts: Posts) -> None:
    cameras = Cameras(lambda: Film(noisy(lane(), round(5 * FPS)), noisy(lane(qr(TEXT)), 5), noisy(lane(), round(5 * FPS)), iter([lane()])))
    feed = run(cameras)
    posts.wait_for(Sighting)
    feed.stop()
    assert cameras.opened[0].attended[:3] == [True, False, True]


def test_without_bracketing_a_camera_is_left_alone(run: Run, posts: Posts) -> None:
    cameras = Cameras(lambda: Film(noisy(lane(qr(TEXT)), 15)))
    run(cameras, CameraConfig(bracketing=False))
    posts.wait_for(Sighting)
    assert cameras.opened[0].attended == []


def test_a_code_that_cannot_be_read_is_glimpsed(run: Run, posts: Posts) -> None:
    torn = qr(TEXT).copy()
    height, width = torn.shape
    torn[height // 3 : height * 2 // 3, width // 3 :] = 128
    run(Cameras(lambda: Film(noisy(lane(torn), 5))))
    assert posts.wait_for(Glimpse).at > 100


def test_readers_that_die_are_told_of_and_many_of_them_in_one_line(posts: Posts) -> None:
    reader = ReaderProcess(["zxing_local"], frame_limit_s=10.0)

    def deadly(frames: int) -> Iterator[Pixels]:
        """Frames before each of which the reader is killed."""
        for pixels in noisy(lane(), frames):
            assert reader.pid is not None
            os.kill(reader.pid, signal.SIGKILL)
            yield pixels

    cameras = Cameras(lambda: Film(deadly(20), noisy(lane(), round(15 * FPS)), deadly(10), noisy(lane(qr(TEXT)), 5)))
    feed = CameraFeed(cameras.open_one, reader, posts.queue.put)
    feed.start()
    try:
        assert posts.wait_for(ReaderLost).cause == "it ended"
        assert posts.wait_for(ReaderLost).cause == "it ended; 19 more before it"
        assert posts.wait_for(Sighting).text == TEXT
    finally:
        feed.stop()
        reader.close()


def test_a_driver_that_stops_answering_shows_no_progress(run: Run, posts: Posts) -> None:
    feed = run(Cameras(lambda: Film(noisy(lane(), 5))))
    posts.wait_for(DeviceBack)
    turned_at = feed.last_turn
    assert turned_at is not None
    assert turned_at <= time.monotonic()
    feed.check(turned_at + SILENT_S + 1)
    assert posts.queue.empty()


def test_a_driver_that_never_answered_is_reported_once_and_no_reason_to_end(run: Run, posts: Posts) -> None:
    feed = run(Cameras(lambda: Film(noisy(lane(), 0))))
    assert feed.last_turn is None, "nothing is expected of a camera that has not given a frame"
    now = time.monotonic()
    feed.check(now + SILENT_S - 1)
    assert posts.queue.empty()
    for later_s in range(1, 5):
        feed.check(now + SILENT_S + later_s)
    lost = posts.wait_for(DeviceLost)
    assert (lost.device, lost.alert, lost.detail) == (Device.CAMERA, "camera_frozen", "the driver has not answered for 30 s")
    assert posts.queue.empty()
    assert feed.last_turn is None
