"""What the unit knows of a camera: frames of luma, one after another, and the one door through which a camera is opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from edge.camera_watch import Trouble
from edge.config import Camera as CameraConfig
from edge.drivers.luma import Pixels

if TYPE_CHECKING:
    from edge.drivers.world import WorldClient


@dataclass(frozen=True)
class Frame:
    """One picture: luma, (height, width), and when it was taken, monotonic seconds.

    The pixels are the driver's: they may change as soon as the next frame is asked for. `still` says that the source is a picture, which
    may rightly be the same again; a camera's never is.
    """

    pixels: Pixels
    at: float
    still: bool = False


class CameraFault(Exception):
    """A camera that is missing, busy or frozen, or a driver's library that is not installed: one line that says which and what to do."""

    def __init__(self, detail: str, trouble: Trouble = Trouble.BROKEN) -> None:
        super().__init__(detail)
        self.trouble = trouble


class Camera(Protocol):
    """What every driver gives. A frozen camera is closed and opened again by `edge.feeds`."""

    def frames(self) -> Iterator[Frame]:
        """Frames as they come, the newest each time, until `close`; CameraFault where the camera breaks."""
        ...

    def close(self) -> None:
        """Ends `frames` and gives the device back; may be called from any thread and more than once."""
        ...


@runtime_checkable
class Attentive(Protocol):
    """A camera that can do more while somebody is there: alternate its exposure."""

    def attend(self, active: bool) -> None:
        """Whether something moves in front of it; called by the thread that takes the frames."""
        ...


def open_camera(config: CameraConfig, world: WorldClient | None) -> Camera:
    """The camera that `config.source` names; CameraFault where it cannot be had. Nothing else is opened instead."""
    if config.source == "simulated":
        from edge.drivers.simulated_camera import SimulatedCamera

        if world is None:
            raise CameraFault('camera.source = "simulated": expected a simulated world, and hardware = "simulated"')
        return SimulatedCamera(world, config.width, config.height, config.fps)
    if config.source == "picamera2":
        from edge.drivers.picamera2_camera import Picamera2Camera

        return Picamera2Camera(config.width, config.height, config.fps)
    if config.source.startswith("/dev/"):
        from edge.drivers.v4l2_camera import V4l2Camera

        return V4l2Camera(config.source, config.width, config.height, config.fps)
    from edge.drivers.file_camera import FileCamera, find_sources
    from edge.drivers.video_camera import VIDEO_ENDINGS, VideoCamera

    if Path(config.source).suffix.lower() in VIDEO_ENDINGS:
        return VideoCamera(Path(config.source), config.fps, repeat=True)

    return FileCamera(find_sources(config.source), config.fps, repeat=True)
