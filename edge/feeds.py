"""The threads that feed the deciding thread: the camera with its reader, and the thermometer. They post values and decide nothing.

A device that breaks is reported and tried again with a pause; what is posted while the unit is behind with its work is dropped, newest
first, because an old frame or reading is worth nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from edge.drivers.camera import Camera, CameraFault, Frame
from edge.scan import Crowd, Foreign, Glimpse, MissingReader, Sighting
from edge.scan_child import ReaderLost
from edge.thermal import Reading, SensorFault, SensorState, Thermometer

log = logging.getLogger(__name__)

REOPEN_FIRST_S, REOPEN_MOST_S = 0.5, 30.0


class Device(StrEnum):
    """What can be lost and come back."""

    CAMERA = "camera"
    SENSOR = "sensor"


@dataclass(frozen=True)
class DeviceLost:
    """A device does not work; `detail` is one line for people. `at` in monotonic seconds."""

    device: Device
    detail: str
    at: float


@dataclass(frozen=True)
class DeviceBack:
    """A device works, for the first time or again. `at` in monotonic seconds."""

    device: Device
    at: float


@dataclass(frozen=True)
class FeedBroken:
    """A feed's thread has ended on an error of our own. The unit must not go on without its eyes: it raises `error`."""

    device: Device
    error: Exception


@dataclass(frozen=True)
class Sample:
    """What the thermometer gave, and the state it was in."""

    found: Reading | SensorFault
    sensor: SensorState


Seen = Sighting | Crowd | Glimpse | Foreign | ReaderLost
Fed = Seen | Sample | DeviceLost | DeviceBack | FeedBroken
Post = Callable[[Fed], None]


class Sight(Protocol):
    """What reads frames: the reader in a child process, or the one in this process."""

    def sight(self, frame: Frame) -> Seen | None:
        """What of concern the frame shows."""


class CameraFeed:
    """Opens the camera, reads its frames and posts what they show."""

    def __init__(self, open_one: Callable[[], Camera], reader: Sight, post: Post, reopen_first_s: float = REOPEN_FIRST_S) -> None:
        """A camera that broke is opened again after `reopen_first_s`, after twice that where it then gives no frame, and so on."""
        self.frames = 0
        self._reopen_first_s = reopen_first_s
        self._open_one = open_one
        self._reader = reader
        self._post = post
        self._stopping = threading.Event()
        self._camera: Camera | None = None
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, limit_s: float = 3.0) -> None:
        """Ends, and gives the camera back."""
        self._stopping.set()
        camera = self._camera
        if camera is not None:
            camera.close()
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def _run(self) -> None:
        pause = self._reopen_first_s
        while not self._stopping.is_set():
            before = self.frames
            try:
                self._watch()
            except (CameraFault, MissingReader) as wrong:
                if not self._stopping.is_set():
                    self._post(DeviceLost(Device.CAMERA, str(wrong), time.monotonic()))
            except Exception as wrong:  # noqa: BLE001  the deciding thread raises it
                self._post(FeedBroken(Device.CAMERA, wrong))
                return
            if self.frames > before:
                pause = self._reopen_first_s
            self._stopping.wait(pause)
            pause = min(REOPEN_MOST_S, pause * 2)

    def _watch(self) -> None:
        """One opening of the camera, to its end."""
        is_back = False
        self._camera = camera = self._open_one()
        try:
            for frame in camera.frames():
                if self._stopping.is_set():
                    break
                if not is_back:
                    is_back = True
                    self._post(DeviceBack(Device.CAMERA, frame.at))
                self.frames += 1
                seen = self._reader.sight(frame)
                if seen is not None:
                    self._post(seen)
        finally:
            camera.close()


class SensorFeed:
    """Reads the thermometer every `period_s` and posts each reading or fault, so that a person's samples are there when they are needed."""

    def __init__(self, thermometer: Thermometer, period_s: float, post: Post) -> None:
        self._thermometer = thermometer
        self._period_s = period_s
        self._post = post
        self._stopping = threading.Event()
        self._works: bool | None = None
        self._thread = threading.Thread(target=self._run, name="sensor", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, limit_s: float = 3.0) -> None:
        """Ends, and gives the bus back."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(limit_s)
        self._thermometer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                found = self._thermometer.read(time.monotonic())
                sample = Sample(found, self._thermometer.state(found.at))
            except Exception as wrong:  # noqa: BLE001  the deciding thread raises it
                self._post(FeedBroken(Device.SENSOR, wrong))
                return
            self._report(found)
            self._post(sample)
            self._stopping.wait(self._period_s)

    def _report(self, found: Reading | SensorFault) -> None:
        works = isinstance(found, Reading)
        if works == self._works:
            return
        self._works = works
        if isinstance(found, SensorFault):
            self._post(DeviceLost(Device.SENSOR, f"{found.kind.value}: {found.detail}", found.at))
        else:
            self._post(DeviceBack(Device.SENSOR, found.at))
