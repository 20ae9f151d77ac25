"""Frames from image files: for a bench without a camera, and for pictures that a camera once took."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.camera_watch import Trouble
from edge.drivers.camera import CameraFault, Frame
from edge.drivers.luma import ImageFault, images_in, load_luma


def find_sources(source: str) -> list[Path]:
    """The image files that `source` names: one file, a folder (its images, sorted, at any depth), or several of either with ':' between."""
    names = [source] if Path(source).exists() else source.split(os.pathsep)
    files: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = images_in(path)
            if not found:
                raise CameraFault(f"camera.source: {path}: expected a folder with images in it")
            files += found
        elif name and path.exists():
            files.append(path)
        else:
            raise CameraFault(
                f"camera.source: {name!r}: expected picamera2, simulated, a device /dev/videoN, or an image file or folder that exists",
                Trouble.MISSING,
            )
    return files


class FileCamera:
    """Shows `files` one after another, `fps` a second, from the beginning again when `repeat`; files that are no image are passed over.

    CameraFault from `frames` where not one of them is an image. Files are read anew each time, so that they may change under it.
    """

    def __init__(self, files: Sequence[Path], fps: float, repeat: bool) -> None:
        self._files = tuple(files)
        self._period_s = 1.0 / fps
        self._repeat = repeat
        self._closed = threading.Event()
        self.faults: list[ImageFault] = []
        """The files passed over in the latest round."""

    def frames(self) -> Iterator[Frame]:
        """A frame a file, until `close`, or once through without `repeat`."""
        due = time.monotonic()
        while True:
            self.faults = []
            for path in self._files:
                loaded = load_luma(path)
                if isinstance(loaded, ImageFault):
                    self.faults.append(loaded)
                    continue
                if self._closed.wait(max(0.0, due - time.monotonic())):
                    return
                now = time.monotonic()
                due = max(due + self._period_s, now)
                yield Frame(loaded, now, still=True)
            if len(self.faults) == len(self._files):
                raise CameraFault(f"camera.source: {self.faults[0] if self.faults else 'no files'}: expected at least one image")
            if not self._repeat or self._closed.is_set():
                return

    def close(self) -> None:
        """Ends `frames` at once."""
        self._closed.set()
