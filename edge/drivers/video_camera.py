"""Frames from a video file, at the pace at which it was taken: for a bench without a camera, and for what a camera once saw.

PyAV decodes (extra `video`); it is imported when a video is opened. A video is an operator's file and never a stranger's: FFmpeg runs in
the unit's own process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge.camera_watch import Trouble
from edge.drivers.camera import CameraFault, Frame
from edge.drivers.luma import Pixels

VIDEO_ENDINGS = frozenset({".avi", ".h264", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"})
"""File endings that count as videos."""

LUMA_FIRST = frozenset({"gray", "yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12", "nv21"})
"""FFmpeg's names of the pixel formats whose first plane is eight bits of luma: taken as it is. All others are converted."""


class VideoCamera:
    """Shows the first video stream of `path`, at most `fps` frames a second, from the beginning again when `repeat`."""

    def __init__(self, path: Path, fps: float, repeat: bool) -> None:
        """Opens the file; CameraFault where it is missing or no video, or PyAV is not installed."""
        try:
            import av
        except ImportError:
            raise CameraFault(f"{path}: a video: expected the package av (extra video)") from None
        self._av: Any = av
        self._path = path
        self._period_s = 1.0 / fps
        self._repeat = repeat
        self._closed = threading.Event()
        if not path.exists():
            raise CameraFault(f"{path}: there is no such file", Trouble.MISSING)
        self._open().close()

    def frames(self) -> Iterator[Frame]:
        """A frame a picture of the video, until `close`, or once through without `repeat`; CameraFault where it cannot be decoded."""
        while not self._closed.is_set():
            count = 0
            for pixels in self._paced():
                count += 1
                yield Frame(pixels, time.monotonic(), still=True)
            if not count and not self._closed.is_set():
                raise CameraFault(f"{self._path}: there is no picture in it")
            if not self._repeat:
                return

    def close(self) -> None:
        """Ends `frames` at once."""
        self._closed.set()

    def _paced(self) -> Iterator[Pixels]:
        """Once through the video, each picture when its time has come; more than `fps` a second are left out."""
        begun, shown_s, number = time.monotonic(), float("-inf"), 0
        with self._open() as container:
            try:
                for picture in container.decode(video=0):
                    due_s = picture.time if picture.time is not None else number * self._period_s
                    number += 1
                    if due_s - shown_s < 0.9 * self._period_s:
                        continue
                    shown_s = due_s
                    if self._closed.wait(max(0.0, begun + due_s - time.monotonic())):
                        return
                    yield luma_of(picture)
            except self._av.FFmpegError as wrong:
                raise CameraFault(f"{self._path}: {wrong}".replace("\n", " ")) from None

    def _open(self) -> Any:
        try:
            container = self._av.open(str(self._path))
        except (OSError, self._av.FFmpegError) as wrong:
            raise CameraFault(f"{self._path}: {wrong}".replace("\n", " ")) from None
        if not container.streams.video:
            container.close()
            raise CameraFault(f"{self._path}: there is no video in it")
        return container


def luma_of(picture: Any) -> Pixels:
    """The luma of one of PyAV's frames, in memory of its own."""
    if picture.format.name in LUMA_FIRST:
        plane = picture.planes[0]
        rows: Pixels = np.frombuffer(plane, dtype=np.uint8).reshape(-1, plane.line_size)
        return rows[: picture.height, : picture.width].copy()
    converted: Pixels = picture.to_ndarray(format="gray")
    return converted
