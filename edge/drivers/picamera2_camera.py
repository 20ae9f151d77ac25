"""The Pi's own camera, through picamera2: luma of the low-resolution stream, beside a main stream that nobody converts.

Written from picamera2's source (0.3.36); not run on a Pi yet, so it belongs on the bench checklist. picamera2 comes from Raspberry Pi OS
(`python3-picamera2`) and is imported when the camera is opened.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator
from typing import Any

from edge.camera_watch import Trouble
from edge.drivers.camera import CameraFault, Frame
from edge.drivers.exposure import Bracketing, Exposure, pi_exposure
from edge.drivers.luma import Pixels

MAIN_SIZE = (1280, 960)
"""Main stream in pixels: what the sensor is read at; only the low-resolution stream beside it is looked at."""

FRAME_US = 33_333
"""Length of a frame in microseconds: 30 a second, and with it the longest exposure."""

FRAME_LIMIT_S = 3.0
"""How long one frame may take; captures are known to freeze after hours (picamera2 issues 794, 952, 1090)."""

BUSY_WORDS = ("busy", "acquire", "in use")
"""What libcamera and picamera2 say of a camera that another process holds."""

log = logging.getLogger(__name__)


class Picamera2Camera:
    """Frames of the first camera, `width` x `height`, at most `fps` a second, the newest each time.

    A frame's pixels are the camera's own memory, which it gets back when the next frame is asked for: nothing is copied.
    """

    def __init__(self, width: int, height: int, fps: float) -> None:
        """Opens the camera and starts it; CameraFault where there is none, it is busy, or picamera2 is not installed."""
        self._size = (width, height)
        self._period_s = 1.0 / fps
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._open = False
        self._active = False
        self._bracketing = Bracketing()
        self._base = Exposure(FRAME_US / 4, 1.0)
        try:
            from libcamera import controls  # type: ignore[import-not-found]
            from picamera2 import MappedArray, Picamera2
        except ImportError as wrong:
            raise CameraFault(f'camera.source = "picamera2": {wrong}: expected Raspberry Pi OS\'s package python3-picamera2') from None
        self._mapped: Any = MappedArray
        try:
            if not Picamera2.global_camera_info():
                raise CameraFault(
                    'camera.source = "picamera2": no camera found: expected one on the CSI connector and camera_auto_detect=1',
                    Trouble.MISSING,
                )
            self._camera: Any = Picamera2()
            self._open = True
            wanted = {
                "AfMode": controls.AfModeEnum.Continuous,
                "AfRange": controls.AfRangeEnum.Macro,
                "AfSpeed": controls.AfSpeedEnum.Fast,
                "AeExposureMode": controls.AeExposureModeEnum.Short,
                "FrameDurationLimits": (FRAME_US, FRAME_US),
            }
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"size": MAIN_SIZE},
                    lores={"size": self._size, "format": "YUV420"},
                    controls=keep_known(wanted, self._camera.camera_controls),
                    buffer_count=4,
                    queue=False,
                )
            )
            self._camera.start()
        except CameraFault:
            raise
        except Exception as wrong:  # picamera2 raises RuntimeError, IndexError and more for a camera that is busy or loose  # noqa: BLE001
            self.close()
            told = (str(wrong) or type(wrong).__name__).replace("\n", " ")
            trouble = Trouble.BUSY if any(word in told.lower() for word in BUSY_WORDS) else Trouble.BROKEN
            raise CameraFault(f'camera.source = "picamera2": {told}', trouble) from None

    def frames(self) -> Iterator[Frame]:
        """Frames until `close`; CameraFault where the capture freezes."""
        due = time.monotonic()
        while not self._closed.wait(max(0.0, due - time.monotonic())):
            try:
                with self._camera.captured_request(wait=FRAME_LIMIT_S) as request, self._mapped(request, "lores", write=False) as mapped:
                    now = time.monotonic()
                    due = max(due + self._period_s, now)
                    self._expose(request.get_metadata(), now)
                    yield Frame(luma_of(mapped.array, *self._size), now)
            except CameraFault:
                raise
            except Exception as wrong:  # a time-out, or whatever libcamera makes of a loose cable  # noqa: BLE001
                if self._closed.is_set():
                    return
                if isinstance(wrong, TimeoutError):
                    raise CameraFault(f"picamera2: no frame for {FRAME_LIMIT_S:.0f} s", Trouble.FROZEN) from None
                raise CameraFault(f"picamera2: {str(wrong) or type(wrong).__name__}".replace("\n", " ")) from None

    def attend(self, active: bool) -> None:
        """While `active`, every second frame is exposed for a quarter of the time."""
        self._active = active

    def _expose(self, metadata: dict[str, Any], at: float) -> None:
        shot = self._bracketing.next_shot(self._active, at)
        if shot is None:
            if {"ExposureTime", "AnalogueGain"} <= metadata.keys():
                self._base = Exposure(metadata["ExposureTime"], metadata["AnalogueGain"])
            return
        controls = pi_exposure(self._camera.camera_controls, shot, self._base)
        if controls:
            self._camera.set_controls(controls)

    def close(self) -> None:
        """Stops the camera and gives it back, whatever state it is in."""
        self._closed.set()
        with self._lock:
            if not self._open:
                return
            self._open = False
            for end in (self._camera.cancel_all_and_flush, self._camera.close):
                try:
                    end()
                except Exception as wrong:  # a frozen camera may refuse to be closed; it is opened anew all the same  # noqa: BLE001
                    log.warning("picamera2: %s: %s", getattr(end, "__name__", "close"), wrong)


def keep_known(wanted: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The controls of `wanted` that the camera has: a fixed lens has no autofocus, and picamera2 raises for a control that is not there."""
    return {name: value for name, value in wanted.items() if name in known}


def luma_of(planes: Pixels, width: int, height: int) -> Pixels:
    """The luma of picamera2's YUV420 array, (height * 3/2, stride): a view of its first `height` rows without the padding."""
    if planes.ndim != 2 or planes.shape[0] < height or planes.shape[1] < width:
        raise CameraFault(f"picamera2: a frame of {planes.shape}: expected at least {height} rows of {width} bytes")
    return planes[:height, :width]
