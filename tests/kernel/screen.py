"""What stands in front of the camera: pictures that somebody writes into the kernel's V4L2 loopback device."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from types import TracebackType

import numpy as np

from edge.drivers.luma import Pixels
from tests.kernel.machine import VIDEO

VIDIOC_S_FMT = 0xC0D05605
VIDEO_OUTPUT = 2
ANY_FIELD, PROGRESSIVE = 0, 1
"""linux/videodev2.h."""

WIDTH, HEIGHT = 640, 480
GREY_CHROMA = 128


def encoded(luma: Pixels, letters: str) -> bytes:
    """A picture without colour in the pixel format GREY, YUYV, YU12 or NV12."""
    if letters == "YUYV":
        return np.stack((luma, np.full_like(luma, GREY_CHROMA)), axis=-1).tobytes()
    return luma.tobytes() + (b"" if letters == "GREY" else bytes((GREY_CHROMA,)) * (luma.size // 2))


def on_paper(picture: Pixels, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """`picture` in the middle of a grey frame."""
    frame = np.full((height, width), 160, dtype=np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    frame[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return frame


class Screen:
    """The writing end of the loopback device."""

    def __init__(self, letters: str = "GREY", width: int = WIDTH, height: int = HEIGHT) -> None:
        """Opens it for pictures of one pixel format and size, and shows black. From now on the device is a camera to all others."""
        self._letters = letters
        self._fd = os.open(VIDEO, os.O_RDWR)
        black = np.zeros((height, width), dtype=np.uint8)
        stride = 2 * width if letters == "YUYV" else width
        pixels = struct.pack("=II4sIII", width, height, letters.encode(), PROGRESSIVE, stride, len(encoded(black, letters)))
        fcntl.ioctl(self._fd, VIDIOC_S_FMT, struct.pack("=II", VIDEO_OUTPUT, 0) + pixels.ljust(200, b"\0"))
        self.write(black)

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def write(self, luma: Pixels) -> None:
        """One frame."""
        assert os.write(self._fd, encoded(luma, self._letters)) > 0

    def close(self) -> None:
        """Takes the camera away."""
        os.close(self._fd)


class Scene:
    """A live picture, `fps` frames a second with a sensor's noise in them, until `close`."""

    def __init__(self, fps: float = 8.0) -> None:
        self._screen = Screen()
        self._random = np.random.default_rng(1)
        self._wait_s = 1 / fps
        self._picture = self.nothing()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play, name="scene")
        self._thread.start()

    @staticmethod
    def nothing() -> Pixels:
        """An empty lane."""
        return np.tile(np.linspace(90, 170, WIDTH).astype(np.uint8), (HEIGHT, 1))

    def show(self, picture: Pixels | None) -> None:
        """A picture from now on; None takes it away."""
        self._picture = self.nothing() if picture is None else on_paper(picture)

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        self._thread.join()
        self._screen.close()

    def _play(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += self._wait_s
            frame = self._picture.copy()
            frame[:: HEIGHT // 24] ^= self._random.integers(0, 4, frame[:: HEIGHT // 24].shape, dtype=np.uint8)
            self._screen.write(frame)
