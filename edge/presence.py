"""Whether a frame is worth decoding: cheap figures against a slowly learnt picture of the empty lane. Pure; time comes with the frames.

Every fourth pixel of every fourth row is compared with a background that learns. What differs in enough places, or is much brighter,
is motion: every frame is decoded at once, and for `busy_s` after the last such frame. While nothing moves, `idle_fps` frames a second are
decoded all the same, so that a telephone held still, or one that has become part of the background, is read.

A camera that alternates its exposure shows the same lane in two brightnesses. Then there are two backgrounds, and a frame is compared
with the one of its own brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.config import Camera

STRIDE = 4
"""Of 640 x 480 pixels 160 x 120 are looked at: 0.05 ms. A code that can be read covers thousands of them."""
LEARN_S = 8.0
"""Time constant of the background in seconds: a person passes in less, a moved post is learnt in half a minute."""
DIFFERS = 20.0
"""Grey levels by which a pixel differs from the background: above a sensor's noise in low light (about 5, so four standard deviations)."""
BRIGHTER = 60.0
"""Grey levels by which a pixel is brighter than the background: a screen that lights up."""
MOVING_SHARE, BRIGHT_SHARE = 0.008, 0.002
"""Shares of the pixels that make motion: a code that can be read is 150 pixels wide, which is 0.07 of 640 x 480, and brings its phone."""
OTHER_EXPOSURE = 0.25
"""Share by which the mean brightness differs between two exposures of one lane; the darker is a quarter of the brighter."""
EARLY = 0.8
"""Share of the time between two decodings after which the next frame counts as in time: cameras are not punctual."""


@dataclass(frozen=True)
class Look:
    """What a frame's cheap figures say. `moved` is the share of pixels that differ, `luma` the mean grey level.

    `same` says that not one pixel differs from the frame before, which a camera that works never shows.
    """

    decode: bool
    busy: bool
    moved: float
    luma: float
    same: bool


class Presence:
    """Looks at one camera's frames, in their order."""

    def __init__(self, config: Camera) -> None:
        self._idle_s = EARLY / config.idle_fps
        self._busy_s = config.busy_s
        self._backgrounds: list[NDArray[np.float32]] = []
        self._before: NDArray[np.uint8] | None = None
        self._seen_at = 0.0
        self._busy_until = float("-inf")
        self._decoded_at = float("-inf")

    def look(self, pixels: NDArray[np.uint8], at: float, bracketed: bool = False) -> Look:
        """Looks at the frame of `at` (monotonic seconds); `bracketed` while the camera alternates its exposure."""
        small = np.ascontiguousarray(pixels[::STRIDE, ::STRIDE])
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            self._backgrounds = [small.astype(np.float32)]
            return self._told(at, busy=True, moved=1.0, luma=float(small.mean()), same=False)
        luma = float(small.mean())
        background = self._background(small, luma, bracketed)
        difference = small - background
        passed = max(0.0, at - self._seen_at)
        background += difference * np.float32(min(1.0, passed / LEARN_S))
        moved = np.count_nonzero(np.abs(difference) > DIFFERS) / small.size
        bright = np.count_nonzero(difference > BRIGHTER) / small.size
        return self._told(at, moved > MOVING_SHARE or bright > BRIGHT_SHARE, moved, luma, np.array_equal(before, small))

    def _background(self, small: NDArray[np.uint8], luma: float, bracketed: bool) -> NDArray[np.float32]:
        if not bracketed:
            return self._backgrounds[0]
        means = [float(background.mean()) for background in self._backgrounds]
        if len(means) == 1 and abs(luma - means[0]) > OTHER_EXPOSURE * max(means[0], luma, 1.0):
            self._backgrounds.append(self._backgrounds[0] * np.float32(luma / max(means[0], 1.0)))
            return self._backgrounds[1]
        nearest = min(range(len(means)), key=lambda number: abs(means[number] - luma))
        return self._backgrounds[nearest]

    def _told(self, at: float, busy: bool, moved: float, luma: float, same: bool) -> Look:
        self._seen_at = at
        if busy:
            self._busy_until = at + self._busy_s
        is_busy = at <= self._busy_until
        decode = is_busy or at - self._decoded_at >= self._idle_s
        if decode:
            self._decoded_at = at
        return Look(decode, is_busy, moved, luma, same)


def region(pixels: NDArray[np.uint8], roi: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """The part of a frame that `roi` names, in fractions (left, top, right, bottom): a view, nothing is copied."""
    height, width = pixels.shape
    left, top, right, bottom = roi
    return pixels[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
