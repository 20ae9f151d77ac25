"""Cameras of the kernel's video interface, /dev/videoN: USB cameras, and the kernel's own test driver vivid.

linuxpy speaks to the kernel; it is imported when a camera is opened. Its own waiting `read()` cannot be used (0.25.0 calls the select
module instead of its function, and it has no time limit), so this driver waits itself and takes frames with `raw_read()`.
"""

from __future__ import annotations

import errno
import logging
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from edge.camera_watch import Trouble
from edge.drivers.camera import CameraFault, Frame
from edge.drivers.exposure import (
    V4L2_EXPOSURE_ABSOLUTE,
    V4L2_EXPOSURE_AUTO,
    V4L2_FOCUS_AUTO,
    Bracketing,
    Range,
    v4l2_exposure,
    v4l2_start,
)
from edge.drivers.luma import LumaError, Pixels, from_mjpg, from_plane, from_yuyv

STALL_S = 3.0
"""A capture that gives no frame for so long is frozen, seconds."""

BUFFERS = 3
"""Buffers in the queue: few, so that a frame is not old when its turn comes."""

TIMESTAMP_MASK = 0x0000E000
TIMESTAMP_MONOTONIC = 0x00002000
"""V4L2_BUF_FLAG_TIMESTAMP_*, linux/videodev2.h: what clock a buffer's time is of."""

MISSING_ERRORS = (errno.ENOENT, errno.ENODEV, errno.ENXIO)

log = logging.getLogger(__name__)

Convert = Callable[[bytes, int, int, int], Pixels]

CONVERSIONS: dict[str, tuple[str, Convert]] = {
    "GREY": ("GREY", from_plane),
    "YUYV": ("YUYV", from_yuyv),
    "YUV420": ("YU12", from_plane),
    "NV12": ("NV12", from_plane),
    "MJPEG": ("MJPG", lambda data, width, height, stride: from_mjpg(data)),
}
"""linuxpy's name of a pixel format -> its four letters and its way to luma, the cheapest first."""


class V4l2Camera:
    """Frames of `device`, as near to `width` x `height` and `fps` as its driver goes."""

    def __init__(self, device: str, width: int, height: int, fps: float) -> None:
        """Opens the device and starts the capture; CameraFault where it is missing, busy or has no pixel format that we read."""
        self._name = device
        self._closed = threading.Event()
        self._lock = threading.Lock()
        try:
            from linuxpy.video.device import Device, VideoCapture  # type: ignore[import-untyped]
        except ImportError:
            raise CameraFault(f"{device}: expected the package linuxpy (extra edge)") from None
        self._device: Any = Device(device)
        try:
            self._device.open()
            self._capture: Any = VideoCapture(self._device, size=BUFFERS)
            offered = {image_format.pixel_format.name for image_format in self._capture.formats()}
            chosen = next((name for name in CONVERSIONS if name in offered), None)
            if chosen is None:
                wanted = ", ".join(letters for letters, _ in CONVERSIONS.values())
                raise CameraFault(f"{device}: gives {', '.join(sorted(offered)) or 'no picture'}: expected one of {wanted}")
            letters, self._convert = CONVERSIONS[chosen]
            self._capture.set_format(width, height, letters)
            _set_rate(self._capture, fps)
            got = self._capture.get_format()
            self._width, self._height, self._stride = int(got.width), int(got.height), int(got.bytes_per_line)
            self._capture.open()
            self._fd = int(self._device.fileno())
        except CameraFault:
            self._device.close()
            raise
        except Exception as wrong:  # linuxpy raises OSError, ValueError and its own V4L2Error for what a driver answers  # noqa: BLE001
            self._device.close()
            raise CameraFault(f"{device}: {_told(wrong)}", _trouble(wrong)) from None
        self._active = False
        self._bracketing = Bracketing()
        self._metered: dict[int, Range] = {}
        self._set(v4l2_start(self._controls()))
        self.broken = 0
        """Frames that the camera sent broken; they are passed over."""

    def frames(self) -> Iterator[Frame]:
        """Frames until `close`; CameraFault where none that is whole comes for STALL_S, or the device is pulled."""
        last = whole = time.monotonic()
        while not self._closed.is_set():
            try:
                ready, _, _ = select.select([self._fd], [], [], 0.5)
                if time.monotonic() - whole > STALL_S:
                    raise CameraFault(f"{self._name}: no frame for {STALL_S:.0f} s", Trouble.FROZEN)
                if not ready:
                    continue
                with self._lock:
                    if self._closed.is_set():
                        return
                    taken = self._capture.buffer.raw_read()
                last = time.monotonic()
                frame = Frame(self._convert(bytes(taken.data), self._width, self._height, self._stride), _taken_at(taken, last))
            except LumaError:
                self.broken += 1
                continue
            except BlockingIOError:
                continue
            except (OSError, ValueError) as wrong:
                if self._closed.is_set():
                    return
                raise CameraFault(f"{self._name}: {_told(wrong)}", _trouble(wrong)) from None
            self._expose(frame.at)
            yield frame
            whole = time.monotonic()

    def attend(self, active: bool) -> None:
        """While `active`, every second frame is asked for at a quarter of the exposure; how fast a camera follows differs."""
        self._active = active

    def _expose(self, at: float) -> None:
        shot = self._bracketing.next_shot(self._active, at)
        if shot is None:
            self._metered = {}
            return
        self._metered = self._metered or self._controls()
        self._set(v4l2_exposure(self._metered, shot))

    def _controls(self) -> dict[int, Range]:
        """The controls that matter, of those that the camera has."""
        found: dict[int, Range] = {}
        for number in (V4L2_EXPOSURE_AUTO, V4L2_EXPOSURE_ABSOLUTE, V4L2_FOCUS_AUTO):
            try:
                control = self._device.controls[number]
                least, most = getattr(control, "minimum", 0), getattr(control, "maximum", 1)
                found[number] = Range(int(least), int(most), int(control.default), int(control.value))
            except Exception as wrong:  # a camera is not lost for a control that linuxpy cannot make out  # noqa: BLE001
                log.debug("%s: control %#x: %s", self._name, number, wrong)
        return found

    def _set(self, values: dict[int, int]) -> None:
        for number, value in values.items():
            try:
                self._device.controls[number].value = value
            except Exception as wrong:  # nor for one that it does not take  # noqa: BLE001
                log.info("%s: control %#x: %s", self._name, number, wrong)
                return

    def close(self) -> None:
        """Stops the capture and gives the device back."""
        self._closed.set()
        with self._lock:
            if self._device.closed:
                return
            try:
                self._capture.close()
            except OSError:
                pass  # a pulled device answers nothing any more
            finally:
                self._device.close()


def _set_rate(capture: Any, fps: float) -> None:
    """Asks for `fps`; a driver that has one rate only may say no."""
    try:
        capture.set_fps(fps)
    except OSError as wrong:
        if wrong.errno not in (errno.EINVAL, errno.ENOTTY):
            raise


def _taken_at(taken: Any, now: float) -> float:
    """When the frame was taken, monotonic seconds: the driver's word where its clock is the monotonic one, else `now`."""
    if int(taken.buff.flags) & TIMESTAMP_MASK == TIMESTAMP_MONOTONIC:
        at = float(taken.timestamp)
        if now - STALL_S <= at <= now:
            return at
    return now


def _trouble(wrong: Exception) -> Trouble:
    """Which alert an exception raises."""
    number = wrong.errno if isinstance(wrong, OSError) else None
    return Trouble.MISSING if number in MISSING_ERRORS else Trouble.BUSY if number == errno.EBUSY else Trouble.BROKEN


def _told(wrong: Exception) -> str:
    """An exception in one line that says what to do about it where that is known."""
    known = {
        errno.ENOENT: "there is no such camera",
        errno.EBUSY: "the camera is in use by another program",
        errno.EACCES: "no permission: expected the user to be in group video",
        errno.ENODEV: "the camera was unplugged",
        errno.ENXIO: "there is no camera behind it",
    }
    if isinstance(wrong, OSError) and wrong.errno in known:
        return known[wrong.errno]
    return str(wrong).replace("\n", " ") or type(wrong).__name__
