"""The threads that feed the deciding thread: the camera with its reader, and the thermometer. They post values and decide nothing.

A device that breaks is reported and tried again with a pause; what is posted while the unit is behind with its work is dropped, newest
first, because an old frame or reading is worth nothing.

A capture that freezes, which the Pi's does after hours (picamera2 issues 794, 1090), is closed and opened again at once. When it comes back
three times without a frame, and gave frames before, a new process may do better: the unit ends, and its service starts it again. A camera
that never gave one stays reported, and is tried again and again, because the guard's button works without it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from edge.camera_watch import ForeignWatch, PictureWatch, Trouble
from edge.config import Camera as CameraConfig
from edge.drivers.camera import Attentive, Camera, CameraFault, Frame
from edge.presence import Look, Presence, region
from edge.scan import Crowd, Foreign, Glimpse, Sighting
from edge.scan_child import ReaderLost
from edge.thermal import Reading, SensorFault, SensorFaultKind, SensorState, Thermometer

log = logging.getLogger(__name__)

DEFAULT = CameraConfig()

REOPEN_FIRST_S, REOPEN_MOST_S = 0.5, 30.0
REOPENINGS = 3
"""How often in a row a frozen capture is opened again before a new process is asked for."""
SILENT_S = 30.0
"""A camera's driver that has not answered for so long since the start is reported, seconds."""
RESTARTS_TOLD_EVERY_S = 10.0
"""How often events tell of readers that were replaced: a picture that kills each one would fill the disk."""


class Device(StrEnum):
    """What can be lost and come back."""

    CAMERA = "camera"
    SENSOR = "sensor"


@dataclass(frozen=True)
class DeviceLost:
    """A device does not work; `detail` is one line for people. `at` in monotonic seconds. `alert` is what it is called while it lasts."""

    device: Device
    detail: str
    at: float
    alert: str = ""


@dataclass(frozen=True)
class DeviceBack:
    """A device works, for the first time or again. `at` in monotonic seconds."""

    device: Device
    at: float


@dataclass(frozen=True)
class Calibrated:
    """How the thermometer's calibration stands: `warning` is one line, "" where there is nothing to say. `at` in monotonic seconds."""

    warning: str
    at: float


@dataclass(frozen=True)
class Obstructed:
    """A code that is not ours has been in view for too long (`active`), or has gone. `at` in monotonic seconds."""

    active: bool
    at: float


class CameraStuck(Exception):
    """A camera that gave frames gives none any more, however often it is opened: the process should end and be started again. One line."""


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


Shown = Sighting | Crowd | Glimpse | ReaderLost
Seen = Shown | Foreign
Fed = Shown | Sample | DeviceLost | DeviceBack | Calibrated | Obstructed | FeedBroken
Post = Callable[[Fed], None]


class Sight(Protocol):
    """What reads frames: the reader in a child process, or the one in this process."""

    def sight(self, frame: Frame) -> Seen | None:
        """What of concern the frame shows."""


class CameraFeed:
    """Opens the camera, looks at its frames, has those read that are worth it, and posts what they show."""

    def __init__(
        self,
        open_one: Callable[[], Camera],
        reader: Sight,
        post: Post,
        reopen_first_s: float = REOPEN_FIRST_S,
        config: CameraConfig = DEFAULT,
    ) -> None:
        """A camera that broke is opened again after `reopen_first_s`, after twice that where it then gives no frame, and so on."""
        self.frames = 0
        self.decoded = 0
        self._reopen_first_s = reopen_first_s
        self._config = config
        self._open_one = open_one
        self._reader = reader
        self._post = post
        self._presence = Presence(config)
        self._picture = PictureWatch()
        self._foreign = ForeignWatch(config.obstructed_s)
        self._trouble: Trouble | None = None
        self._works = False
        self._good = 0
        self._attended = False
        self._obstructed = False
        self._restarts_untold = 0
        self._restart_told_at = float("-inf")
        self._turned_at = float("inf")
        self._framed_at = float("-inf")
        self._silence_told = False
        self._stopping = threading.Event()
        self._camera: Camera | None = None
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._turned_at = time.monotonic()
        self._thread.start()

    def stop(self, limit_s: float = 3.0) -> None:
        """Ends, and gives the camera back."""
        self._stopping.set()
        camera = self._camera
        if camera is not None:
            camera.close()
        if self._thread.is_alive():
            self._thread.join(limit_s)

    def check(self, at: float) -> None:
        """Called by the deciding thread: reports a driver that has not answered since the start, of which nobody else would hear."""
        if not self._good and not self._silence_told and at - self._turned_at > SILENT_S and not self._stopping.is_set():
            self._silence_told = True
            self._post(DeviceLost(Device.CAMERA, f"the driver has not answered for {SILENT_S:.0f} s", at, Trouble.FROZEN.value))

    def frame_age_s(self, at: float) -> float | None:
        """How old the newest frame is at `at`, monotonic seconds; None where there was none yet."""
        return max(0.0, at - self._framed_at) if self.frames else None

    @property
    def last_turn(self) -> float | None:
        """When its thread last came round, or will at the latest where it pauses; monotonic seconds.

        None until there was a good frame: that a driver never answers is reported, and starting again has then been tried.
        """
        return self._turned_at if self._good else None

    def _run(self) -> None:
        pause, reopened = self._reopen_first_s, 0
        while not self._stopping.is_set():
            good, frozen = self._good, False
            try:
                self._watch()
            except CameraFault as wrong:
                frozen = wrong.trouble is Trouble.FROZEN
                self._lose(wrong.trouble, str(wrong), time.monotonic())
            except Exception as wrong:  # noqa: BLE001  the deciding thread raises it
                self._post(FeedBroken(Device.CAMERA, wrong))
                return
            if self._good > good:
                pause, reopened = self._reopen_first_s, 0
            if frozen and reopened < REOPENINGS:
                reopened += 1
                continue
            if frozen and self._good:
                self._post(FeedBroken(Device.CAMERA, CameraStuck(f"the camera gives no frame, opened again {REOPENINGS} times")))
                return
            self._turned_at = time.monotonic() + pause
            self._stopping.wait(pause)
            pause = min(REOPEN_MOST_S, pause * 2)

    def _watch(self) -> None:
        """One opening of the camera, to its end."""
        self._turned_at = time.monotonic()
        self._camera = camera = self._open_one()
        self._picture.reopened()
        self._attended = False
        try:
            for frame in camera.frames():
                if self._stopping.is_set():
                    break
                self._turned_at = self._framed_at = time.monotonic()
                self.frames += 1
                self._take(camera, frame)
        finally:
            camera.close()

    def _take(self, camera: Camera, frame: Frame) -> None:
        """One frame: looked at, judged, and read where it is worth it."""
        pixels = region(frame.pixels, self._config.roi)
        look = self._presence.look(pixels, frame.at, self._attended)
        trouble = self._picture.judge(look.luma, look.same and not frame.still, frame.at)
        if trouble is Trouble.FROZEN:
            raise CameraFault("not one pixel of the picture changes", trouble)
        if trouble is not None:
            if trouble is not self._trouble:
                self._lose(trouble, "the picture is black", frame.at)
            return
        if not self._works and look.same and not frame.still:
            return  # the past, until something changes
        self._good += 1
        if not self._works:
            self._works, self._trouble = True, None
            self._post(DeviceBack(Device.CAMERA, frame.at))
        self._attend(camera, look)
        if look.decode:
            self.decoded += 1
            self._read(Frame(pixels, frame.at))

    def _attend(self, camera: Camera, look: Look) -> None:
        wanted = look.busy and self._config.bracketing
        if wanted != self._attended and isinstance(camera, Attentive):
            self._attended = wanted
            camera.attend(wanted)

    def _read(self, frame: Frame) -> None:
        seen = self._reader.sight(frame)
        if isinstance(seen, ReaderLost):
            self._tell_restart(seen)
        elif seen is not None and not isinstance(seen, Foreign):
            self._post(seen)
        in_the_way = self._foreign.judge(isinstance(seen, Foreign), frame.at)
        if in_the_way != self._obstructed:
            self._obstructed = in_the_way
            self._post(Obstructed(in_the_way, frame.at))

    def _tell_restart(self, lost: ReaderLost) -> None:
        if lost.at - self._restart_told_at < RESTARTS_TOLD_EVERY_S:
            self._restarts_untold += 1
            return
        more, self._restarts_untold = self._restarts_untold, 0
        self._restart_told_at = lost.at
        self._post(replace(lost, cause=f"{lost.cause}; {more} more before it") if more else lost)

    def _lose(self, trouble: Trouble, detail: str, at: float) -> None:
        self._works = False
        self._trouble = trouble
        if not self._stopping.is_set():
            self._post(DeviceLost(Device.CAMERA, detail, at, trouble.value))


class SensorFeed:
    """Reads the thermometer without end and posts each reading or fault, so that a person's samples are there when they are needed.

    Between the end of one read and the beginning of the next the bus is silent for `quiet_s`.
    """

    def __init__(self, thermometer: Thermometer, quiet_s: float, post: Post) -> None:
        self._thermometer = thermometer
        self._quiet_s = quiet_s
        self._post = post
        self._warning = ""
        self._stopping = threading.Event()
        self._works: bool | None = None
        self._turned_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sensor", daemon=True)

    @property
    def last_turn(self) -> float:
        """When its thread last came round, with a reading or a fault; monotonic seconds."""
        return self._turned_at

    @property
    def thermometer(self) -> Thermometer:
        """What it reads: its identity, its errors, its calibration. Only its own thread may read temperatures."""
        return self._thermometer

    def start(self) -> None:
        """Begins."""
        self._turned_at = time.monotonic()
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
            self._turned_at = time.monotonic()
            self._stopping.wait(self._quiet_s)

    def _report(self, found: Reading | SensorFault) -> None:
        if self._thermometer.warning != self._warning:
            self._warning = self._thermometer.warning
            self._post(Calibrated(self._warning, found.at))
        works = isinstance(found, Reading)
        if works == self._works:
            return
        self._works = works
        if isinstance(found, SensorFault):
            alert = "calibration" if found.kind is SensorFaultKind.CALIBRATION else ""
            self._post(DeviceLost(Device.SENSOR, f"{found.kind.value}: {found.detail}", found.at, alert))
        else:
            self._post(DeviceBack(Device.SENSOR, found.at))
