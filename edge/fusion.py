"""The stage `grid`: module by module, what no library reads; and what several frames show together, none of them alone.

A code that moves is followed from frame to frame by its grid, so its modules can be added up however it is held: noise averages out, and a
lamp's reflection, a dimmer's bands and a smear lie elsewhere in every frame. What is added up is a memory of FORGOTTEN_S, of one code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.drivers.camera import Frame
from edge.drivers.luma import Pixels
from edge.finders import find_corners
from edge.grid import Grid, View, fit, follow
from edge.modules import picture_of, values
from edge.places import Box, Found, Look, busy

FORGOTTEN_S = 1.0
"""Seconds after which a code that was not seen again is forgotten."""

GUESSES = 8
"""Guesses at a place that are weighed."""

LONGEST_SIDE = 800
"""Pixels of a region's longer side beyond which it is reduced before the search."""

FADING = 0.85
"""What the sum of the earlier frames counts for, frame by frame: the hand moves, and a pack's next code comes."""

ALIKE = 0.2
"""Correlation of the modules with the sum's from which on they are taken for the same code's."""

DOUBTED = 0.65
"""How well a followed grid must fit for the code not to be searched for anew."""

PATIENCE = 5
"""Frames of which one is searched where searches find nothing and no other stage locates a code: a checked shirt stays."""


@dataclass
class Memory:
    """The code followed: its grid in the last frame, the sum of its modules' values, of how many frames, and when it was seen last."""

    grid: Grid
    total: NDArray[np.float32]
    frames: int
    at: float


class Fusion:
    """The stage. `decode` reads a clean picture, "" where it cannot."""

    def __init__(self, decode: Callable[[Pixels], str]) -> None:
        self._decode = decode
        self._memory: Memory | None = None
        self._barren = 0
        self._idle = 0

    def __call__(self, frame: Frame, located: Sequence[Box] | None) -> Look:
        """What the modules say: of the code that is followed, or of the largest that is located, or seems to be there."""
        memory = self._memory
        if memory is not None and not 0 <= frame.at - memory.at <= FORGOTTEN_S:
            memory = self._memory = None
        view = View(frame.pixels)
        grid = follow(view, memory.grid) if memory is not None else None
        if grid is None or grid.fit < DOUBTED:
            other = self._search(frame, located)
            grid = other if grid is None or (other is not None and other.fit > grid.fit) else grid
        if grid is None:
            return Look()
        place = _box(grid)
        seen = values(frame.pixels, grid)
        text = self._decode(picture_of(seen))
        if not text:
            self._memory = memory = self._added(memory, grid, seen, frame.at)
            if memory.frames > 1:
                text = self._decode(picture_of(memory.total))
        return Look((Found(text, place),), None) if text else Look((), (place,))

    def _search(self, frame: Frame, located: Sequence[Box] | None) -> Grid | None:
        pixels, searched = frame.pixels, None
        for box in sorted(located or (), key=lambda box: -box.area)[:1]:
            searched = box.grown(0.5, pixels)
            grid = _grid_in(pixels, searched)
            if grid is not None:
                return grid
        self._idle += 1
        if self._idle < min(self._barren, PATIENCE) and not located and math.isfinite(frame.at):
            return None
        region = busy(pixels)
        if region is None or (searched is not None and searched.covers(region)):
            return None
        grid = _grid_in(pixels, region)
        self._barren, self._idle = (0 if grid is not None else self._barren + 1), 0
        return grid

    def _added(self, memory: Memory | None, grid: Grid, seen: NDArray[np.float32], at: float) -> Memory:
        if memory is None or memory.total.shape != seen.shape or _alike(memory.total, seen) < ALIKE:
            return Memory(grid, seen, 1, at)
        return Memory(grid, FADING * memory.total + seen, memory.frames + 1, at)


def _grid_in(pixels: Pixels, region: Box) -> Grid | None:
    """The grid of the code in `region`."""
    part = region.cut(pixels)
    reduced = max(1, -(-max(part.shape) // LONGEST_SIDE))
    if reduced > 1:
        part = np.asarray(Image.fromarray(part).reduce(reduced))
    grid = fit(View(part), find_corners(part, GUESSES))
    if grid is None:
        return None
    return Grid(grid.version, grid.corners * reduced + np.array([region.left, region.top]), grid.light, grid.fit)


def _alike(total: NDArray[np.float32], seen: NDArray[np.float32]) -> float:
    return float(np.corrcoef(total.ravel(), seen.ravel())[0, 1])


def _box(grid: Grid) -> Box:
    left, top = grid.corners.min(axis=0)
    right, bottom = grid.corners.max(axis=0)
    return Box(int(left), int(top), int(right), int(bottom))
