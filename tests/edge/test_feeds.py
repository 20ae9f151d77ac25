"""The threads that feed the unit, on a real file camera and a real thermometer on the simulated bus."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from PIL import Image

from edge.calibration import Unreadable
from edge.config import Sensor
from edge.drivers.camera import Camera, CameraFault, Frame
from edge.drivers.file_camera import FileCamera
from edge.drivers.simulated_sensor import SimulatedBus
from edge.drivers.world import WorldClient
from edge.feeds import Calibrated, CameraFeed, Device, DeviceBack, DeviceLost, Fed, FeedBroken, Sample, SensorFeed
from edge.parts import BEHIND, Inbox
from edge.scan import Crowd, Reader, Sighting
from edge.screening import Reading, SensorFault, SensorFaultKind
from edge.thermal import Thermometer
from healthgate.world import World
from tests.edge.codes import TEXT, beside, qr
from tests.edge.unit_bench import WARM, Bench

F = TypeVar("F")
LIMIT_S = 10.0
FPS = 50.0


class Posts:
    """What the feeds posted, waited for."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[Fed] = queue.SimpleQueue()

    def wait_for(self, kind: type[F], wanted: Callable[[F], bool] = lambda item: True) -> F:
        while True:
            item = self.queue.get(timeout=LIMIT_S)
            if isinstance(item, kind) and wanted(item):
                return item


@pytest.fixture
def posts() -> Posts:
    return Posts()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "code.png"
    Image.fromarray(qr(TEXT)).save(path)
    return path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "w") as world:
        yield world


def feed_of(picture: Path, posts: Posts, reopen_first_s: float = 0.02) -> CameraFeed:
    return CameraFeed(lambda: FileCamera([picture], FPS, repeat=True), Reader(["zxing_local"]), posts.queue.put, reopen_first_s)


def test_a_camera_s_frames_are_read_and_what_they_show_is_posted(picture: Path, posts: Posts) -> None:
    feed = feed_of(picture, posts)
    feed.start()
    try:
        assert posts.wait_for(DeviceBack).device is Device.CAMERA
        assert posts.wait_for(Sighting).text == TEXT
        Image.fromarray(beside(qr(TEXT), qr(TEXT + "X"))).save(picture)
        assert set(posts.wait_for(Crowd).texts) == {TEXT, TEXT + "X"}
    finally:
        feed.stop()
    assert feed.frames >= 2


def test_a_camera_that_breaks_is_reported_and_opened_again(picture: Path, posts: Posts) -> None:
    content = picture.read_bytes()
    feed = feed_of(picture, posts)
    feed.start()
    try:
        posts.wait_for(Sighting)
        for _ in range(12):  # a pause that doubled each time would be 80 s by now
            picture.unlink()
            lost = posts.wait_for(DeviceLost)
            assert (lost.device, lost.detail.count("\n")) == (Device.CAMERA, 0)
            assert str(picture) in lost.detail
            aside = picture.with_suffix(".new")
            aside.write_bytes(content)
            aside.replace(picture)
            posts.wait_for(DeviceBack)
            posts.wait_for(Sighting)
    finally:
        feed.stop()


def test_a_camera_that_cannot_be_opened_is_tried_again(picture: Path, posts: Posts) -> None:
    tries: list[int] = []

    def open_one() -> Camera:
        tries.append(1)
        if len(tries) < 3:
            raise CameraFault("camera.source: busy")
        return FileCamera([picture], FPS, repeat=True)

    feed = CameraFeed(open_one, Reader(["zxing_local"]), posts.queue.put, 0.02)
    feed.start()
    try:
        assert [posts.wait_for(DeviceLost).detail for _ in range(2)] == ["camera.source: busy"] * 2
        posts.wait_for(Sighting)
    finally:
        feed.stop()


class BrokenSight:
    """A reader with a fault of ours."""

    def sight(self, frame: Frame) -> None:
        raise ZeroDivisionError(str(frame.at))


def test_a_fault_of_our_own_in_a_feed_ends_the_unit_and_not_just_the_thread(picture: Path, posts: Posts, tmp_path: Path) -> None:
    feed = CameraFeed(lambda: FileCamera([picture], FPS, repeat=True), BrokenSight(), posts.queue.put)
    feed.start()
    broken = posts.wait_for(FeedBroken)
    feed.stop()
    (tmp_path / "unit").mkdir()
    bench = Bench(tmp_path / "unit")
    try:
        with pytest.raises(ZeroDivisionError):
            bench.give(broken)
    finally:
        bench.close()


def test_a_thermometer_is_lost_and_comes_back(world: World, posts: Posts) -> None:
    world.set("north", skin_c=34.0)
    client = WorldClient(str(world._path), "north")
    config = Sensor(settle_s=0.01, retry_pause_s=0.001)
    feed = SensorFeed(Thermometer(SimulatedBus(client), config, 0.0, 7200.0), config.quiet_s, posts.queue.put)
    feed.start()
    try:
        assert posts.wait_for(DeviceBack).device is Device.SENSOR
        sample = posts.wait_for(Sample)
        assert isinstance(sample.found, Reading)
        assert sample.sensor.powered_s > 7000
        world.set("north", sensor="unplugged")
        assert posts.wait_for(DeviceLost).detail.startswith("NO_ANSWER: ")
        fault = posts.wait_for(Sample, lambda sample: isinstance(sample.found, SensorFault)).found
        assert isinstance(fault, SensorFault)
        assert fault.kind is SensorFaultKind.NO_ANSWER
        world.set("north", sensor="ok")
        posts.wait_for(DeviceBack)
        posts.wait_for(Sample, lambda sample: isinstance(sample.found, Reading))
    finally:
        feed.stop()
        client.close()


def test_how_the_calibration_stands_is_told_once_and_a_refused_one_is_an_alert(world: World, posts: Posts) -> None:
    world.set("north", skin_c=34.0)
    client = WorldClient(str(world._path), "north")
    config = Sensor(settle_s=0.01, retry_pause_s=0.001)
    for kept, alert in ((None, ""), (Unreadable("calibration.json: no JSON"), "calibration")):
        feed = SensorFeed(Thermometer(SimulatedBus(client), config, 0.0, 7200.0, calibration=kept), 0.01, posts.queue.put)
        feed.start()
        try:
            if kept is None:
                assert "not calibrated" in posts.wait_for(Calibrated).warning
                for _ in range(3):
                    assert isinstance(posts.wait_for(Sample).found, Reading)
            else:
                lost = posts.wait_for(DeviceLost)
                assert (lost.detail, lost.alert) == ("CALIBRATION: calibration.json: no JSON", alert)
                assert isinstance(posts.wait_for(Sample).found, SensorFault)
        finally:
            feed.stop()
        left = [posts.queue.get_nowait() for _ in range(posts.queue.qsize())]
        assert not any(isinstance(item, Calibrated) for item in left)
    client.close()


def test_a_thermometer_without_a_bus_is_lost_from_the_start(posts: Posts) -> None:
    fault = SensorFault(SensorFaultKind.NO_BUS, "/dev/i2c-1: not there", 0.0)
    feed = SensorFeed(Thermometer(fault, Sensor(), 0.0, 0.0), 0.06, posts.queue.put)
    feed.start()
    try:
        assert posts.wait_for(DeviceLost).detail == "NO_BUS: /dev/i2c-1: not there"
        assert isinstance(posts.wait_for(Sample).found, SensorFault)
    finally:
        feed.stop()


def test_a_unit_that_falls_behind_drops_frames_and_readings_and_nothing_else() -> None:
    inbox = Inbox()
    for number in range(BEHIND + 50):
        inbox.feed(Sample(Reading(34.0, 25.0, float(number)), WARM))
    inbox.feed(DeviceLost(Device.CAMERA, "gone", 0.0))
    inbox.feed(FeedBroken(Device.SENSOR, ValueError("ours")))
    taken = []
    while (item := inbox.get(0.0)) is not None:
        taken.append(item)
    assert inbox.dropped == 49
    assert [type(item) for item in taken[-2:]] == [DeviceLost, FeedBroken]
    assert inbox.get(0.0) is None
