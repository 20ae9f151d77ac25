"""What the unit knows of a camera: frames of luma, one after another, and the one door through which a camera is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge.config import Camera as CameraConfig
from edge.drivers.luma import Pixels

if TYPE_CHECKING:
    from edge.drivers.world import WorldClient

RESTARTS = 3
"""How often in a row a capture that broke before its first frame is opened again before the fault is passed on."""


@dataclass(frozen=True)
class Frame:
    """One picture: luma, (height, width), and when it was taken, monotonic seconds. No driver reuses the memory of the pixels."""

    pixels: Pixels
    at: float


class CameraFault(Exception):
    """A camera that is missing, busy or frozen, or a driver's library that is not installed: one line that says which and what to do."""


class Camera(Protocol):
    """What every driver gives."""

    def frames(self) -> Iterator[Frame]:
        """Frames as they come, the newest each time, until `close`; CameraFault where the camera breaks."""
        ...

    def close(self) -> None:
        """Ends `frames` and gives the device back; may be called from any thread and more than once."""
        ...


class RestartingCamera:
    """A camera that is closed and opened again when it freezes, as the Pi's capture does after hours (picamera2 issues 794, 1090).

    The fault goes on to the unit, and from there to the service's watchdog, when it comes back RESTARTS times without a frame between.
    """

    def __init__(self, open_one: Callable[[], Camera]) -> None:
        self._open_one = open_one
        self._closed = False
        self._camera = open_one()
        self.restarts = 0

    def frames(self) -> Iterator[Frame]:
        """The frames of one capture after another."""
        in_a_row = 0
        while not self._closed:
            try:
                for frame in self._camera.frames():
                    in_a_row = 0
                    yield frame
                return
            except CameraFault:
                if self._closed:
                    return
                if in_a_row >= RESTARTS:
                    raise
            in_a_row += 1
            self.restarts += 1
            self._camera.close()
            self._camera = self._open_one()
            if self._closed:
                self._camera.close()

    def close(self) -> None:
        """Ends the capture for good."""
        self._closed = True
        self._camera.close()


def open_camera(config: CameraConfig, world: WorldClient | None) -> Camera:
    """The camera that `config.source` names; CameraFault where it cannot be had. Nothing else is opened instead."""
    if config.source == "simulated":
        from edge.drivers.simulated_camera import SimulatedCamera

        if world is None:
            raise CameraFault('camera.source = "simulated": expected a simulated world, and hardware = "simulated"')
        return SimulatedCamera(world, config.width, config.height, config.fps)
    if config.source == "picamera2":
        from edge.drivers.picamera2_camera import Picamera2Camera

        return RestartingCamera(lambda: Picamera2Camera(config.width, config.height, config.fps))
    if config.source.startswith("/dev/"):
        from edge.drivers.v4l2_camera import V4l2Camera

        return RestartingCamera(lambda: V4l2Camera(config.source, config.width, config.height, config.fps))
    from edge.drivers.file_camera import FileCamera, find_sources

    return FileCamera(find_sources(config.source), config.fps, repeat=True)
