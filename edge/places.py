"""Where codes are in a picture, what was read there, and where one may be that no reader has located."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edge.drivers.luma import Pixels


@dataclass(frozen=True)
class Box:
    """Where a code is, upright, in pixels: left, top, right, bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        """In square pixels, at least 1."""
        return max(1, self.right - self.left) * max(1, self.bottom - self.top)

    def covers(self, other: Box) -> bool:
        """Whether the middle of `other` lies in this box."""
        x, y = (other.left + other.right) / 2, (other.top + other.bottom) / 2
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def touches(self, other: Box) -> bool:
        """Whether the two have a point in common."""
        return self.left <= other.right and other.left <= self.right and self.top <= other.bottom and other.top <= self.bottom

    def joined(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(min(self.left, other.left), min(self.top, other.top), max(self.right, other.right), max(self.bottom, other.bottom))

    def grown(self, part: float, pixels: Pixels) -> Box:
        """This box with `part` of its longer side, and 8 pixels, more on every side, as far as `pixels` reach."""
        height, width = pixels.shape
        more = 8 + int(max(self.right - self.left, self.bottom - self.top) * part)
        return Box(max(0, self.left - more), max(0, self.top - more), min(width, self.right + more), min(height, self.bottom + more))

    def cut(self, pixels: Pixels) -> Pixels:
        """The part of `pixels` in this box."""
        return np.ascontiguousarray(pixels[self.top : self.bottom, self.left : self.right])


@dataclass(frozen=True)
class Found:
    """A code that was read."""

    text: str
    box: Box


@dataclass(frozen=True)
class Look:
    """What one stage made of a picture: the codes read, and the places of codes that were not read (None: this stage cannot tell)."""

    found: tuple[Found, ...] = ()
    located: tuple[Box, ...] | None = None


def merged(boxes: Sequence[Box]) -> list[Box]:
    """`boxes` with those that touch made one: zxing-cpp often locates one code several times, by different corners."""
    whole: list[Box] = []
    for box in boxes:
        one = box
        apart = []
        for other in whole:
            if one.touches(other):
                one = one.joined(other)
            else:
                apart.append(other)
        whole = [*apart, one]
    return whole


BLOCK = 10
"""Side of the blocks in which edges are counted, in pixels of the halved picture."""

BUSY = 0.13
"""Part of a block's pixels at an edge from which on the block may be of a code, in which about half are."""

SMALLEST_SIDE = 4
"""Blocks that a code is wide and high at least."""


def busy(pixels: Pixels) -> Box | None:
    """The part of a picture where edges are as dense as in a code, None where there is none of a code's size."""
    height, width = pixels.shape
    half = max(2, 2 * (max(height, width) // 1000))
    small = np.asarray(Image.fromarray(pixels).reduce(half), np.int16)
    rows, columns = (small.shape[0] - 1) // BLOCK, (small.shape[1] - 1) // BLOCK
    if min(rows, columns) < SMALLEST_SIDE:
        return Box(0, 0, width, height) if min(height, width) >= 40 else None
    small = small[: rows * BLOCK + 1, : columns * BLOCK + 1]
    across, down = np.abs(small[1:, 1:] - small[1:, :-1]), np.abs(small[1:, 1:] - small[:-1, 1:])
    few = np.maximum(across[::3, ::3], down[::3, ::3])
    strong = float(np.percentile(few, 98))
    least = max(6.0, 0.25 * strong, min(0.75 * strong, 3.0 * float(np.median(few))))  # well above the noise, which has the same everywhere
    most = [np.asarray(Image.fromarray((edge > least).view(np.uint8) * np.uint8(255)).reduce(BLOCK)) for edge in (across, down)]
    dense = np.minimum(most[0], most[1]) > 255 * BUSY  # a bar code's edges, or a fence's, run one way
    if dense.sum() < SMALLEST_SIDE**2:
        return None
    left, top, right, bottom = _largest(dense)
    if min(right - left, bottom - top) < SMALLEST_SIDE:
        return None
    scale = BLOCK * half
    return Box(left * scale, top * scale, right * scale, bottom * scale).grown(0.15, pixels)


def _largest(dense: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the largest group of neighbouring blocks."""
    left: set[tuple[int, int]] = {(int(y), int(x)) for y, x in np.argwhere(dense)}
    best: list[tuple[int, int]] = []
    while left:
        group = [left.pop()]
        for y, x in group:
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1), (y - 1, x - 1), (y - 1, x + 1), (y + 1, x - 1), (y + 1, x + 1)):
                if near in left:
                    left.remove(near)
                    group.append(near)
        if len(group) > len(best):
            best = group
    ys, xs = [y for y, _ in best], [x for _, x in best]
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1
