"""Laying the grid of modules over a picture of a code, so that every module's place is known.

Finders, timing and alignment patterns, which every code of a version shares, are moved to where they are seen: `fit` begins at guesses at
the finders' places, `follow` at the grid of the frame before. One finder may be missing; the fourth corner never has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edge.drivers.luma import Pixels
from edge.finders import Corners
from edge.qr_layout import LARGEST, SMALLEST, layout, version_of

Floats = NDArray[np.float64]

STEPS = (1.2, 0.8, 0.8, 0.5, 0.5, 0.3, 0.3, 0.2, 0.2, 0.12, 0.12)
"""How far, in modules, the corners of the grid are moved in one round of the search."""

NEAR = 1.25
"""Modules to every side whose mean a pixel is compared with."""

SMOOTHED = 0.7
"""Pixels (standard deviation) over which the sensor's noise is smoothed before."""

SUPPOSED = 3
"""The same for a finder that was only supposed, in steps of two modules."""

_LINE = np.array([-7.0, -5.0, -3.5, -2.0, -1.0, 0.0, 1.0, 2.0, 3.5, 5.0, 7.0])
FAR_CORNER: Floats = np.stack([axis.ravel() for axis in np.meshgrid(_LINE, _LINE)], axis=1)
"""Where the fourth corner, which has no finder, is looked for, in modules from where a parallelogram has it."""

LIKELY = 0.3
"""How well three finders must agree with the picture for a guess to be tried."""

TRIED = 6
"""Guesses, the likeliest first, whose fourth corner is looked for."""

PROMISING = 0.25
"""The same before the corners are moved to their places: less is not worth the search."""

CERTAIN = 0.6
"""The same, from which on no further guess is weighed."""

SETTLED = 3
"""Guesses whose corners are moved to their places."""

SMALLEST_MODULE = 1.2
"""Pixels of a module below which a code cannot be read."""

FOLLOWED = 7
"""Modules by which a code is followed from frame to frame."""

GOOD_FIT = 0.48
"""How well the shared patterns must agree with the picture, 1 being perfect, for the grid to count as a code's."""


@dataclass(frozen=True)
class Grid:
    """A code's place: `corners` of its outermost modules in pixels, clockwise from the top left as printed, and how well it fits."""

    version: int
    corners: Floats
    light: bool
    fit: float


class View:
    """A picture with what is worked out from it once: distances from the surroundings, for modules of several sizes."""

    def __init__(self, pixels: Pixels) -> None:
        self._image = Image.fromarray(pixels)
        self._smooth: NDArray[np.int16] | None = None
        self._normalised: dict[int, NDArray[np.float32]] = {}

    def normalised(self, module: float, light: bool) -> NDArray[np.float32]:
        """How far every pixel is from its near surroundings' mean, in units of the mean deviation, -1 to 1; its light modules +1.

        The surroundings of the mean are little more than a module to every side: that sharpens, and takes bands and reflections away.
        """
        size = round(np.log(max(module, 1.0)) / np.log(1.3))
        if size not in self._normalised:
            rounded = 1.3**size
            if self._smooth is None:
                self._smooth = np.asarray(self._image.filter(ImageFilter.GaussianBlur(SMOOTHED)), np.int16)
            away = self._smooth - np.asarray(self._image.filter(ImageFilter.BoxBlur(max(2.0, NEAR * rounded))), np.int16)
            deviation = Image.fromarray(np.abs(away).astype(np.uint8)).filter(ImageFilter.BoxBlur(4 * rounded))
            spread = np.asarray(deviation, np.float32) + 2
            self._normalised[size] = np.clip(away / spread, -1, 1)
        return -self._normalised[size] if light else self._normalised[size]


def fit(view: View, guesses: Sequence[Corners]) -> Grid | None:
    """The grid that bears out one of the `guesses`, None where the picture bears out none."""
    weighed: list[tuple[float, int, Floats, Corners]] = []
    for guess in guesses:
        if guess.module >= SMALLEST_MODULE and 18 <= guess.size <= 190:
            picture = view.normalised(guess.module, guess.light)
            near = version_of(guess.size)
            middles = _middles(guess, layout(near).size, picture)
            versions = range(max(SMALLEST, near - 1), min(LARGEST, near + 2) + 1)  # out of focus, modules look larger
            worths = _rings(picture, middles, [layout(version).size for version in versions])
            weighed += [(worth, version, middles, guess) for worth, version in zip(worths, versions, strict=True) if worth >= LIKELY]
    weighed.sort(key=_first, reverse=True)
    promising: list[tuple[float, int, Floats, Corners]] = []
    for _, version, middles, guess in weighed[:TRIED]:
        picture = view.normalised(guess.module, guess.light)
        score, corners = _far_corner(picture, version, _outline(middles, layout(version).size))
        if score >= PROMISING:
            promising.append((score, version, corners, guess))
        if promising and max(promising, key=_first)[0] >= CERTAIN:
            break
    promising.sort(key=_first, reverse=True)
    for _, version, corners, guess in promising[:SETTLED]:
        grid = settle(view.normalised(guess.module, guess.light), version, corners, guess.light)
        if grid.fit >= GOOD_FIT:
            return grid
    return None


def _first(item: tuple[float, int, Floats, Corners]) -> float:
    return item[0]


def follow(view: View, grid: Grid) -> Grid | None:
    """The grid again in a later frame, moved by at most FOLLOWED modules; None where it is not there any more."""
    size = layout(grid.version).size
    right, down = (grid.corners[1] - grid.corners[0]) / size, (grid.corners[3] - grid.corners[0]) / size
    picture = view.normalised(float(np.hypot(*right) + np.hypot(*down)) / 2, grid.light)
    offsets = np.arange(-FOLLOWED, FOLLOWED + 1)
    across, along = (axis.ravel()[:, None, None] for axis in np.meshgrid(offsets, offsets))
    tries = grid.corners + across * right + along * down
    scores = _agreement(picture, tries, *_shared(grid.version, 3), size)
    moved = settle(picture, grid.version, tries[int(np.argmax(scores))], grid.light)
    return moved if moved.fit >= GOOD_FIT else None


def _middles(guess: Corners, size: int, picture: NDArray[np.float32]) -> Floats:
    """The finders' middles, (x, y) each; one that was only supposed is looked for around its place."""
    places = (guess.top_left, guess.top_right, guess.bottom_left)
    middles = np.array([[place.x, place.y] for place in places])
    for index, place in enumerate(places):
        if place.votes == 0:
            for offsets in (_square(SUPPOSED, 2.0), _square(1, 1.0)):
                right, down = _axes(middles, size)
                tries = middles[index] + offsets[:, :1] * right + offsets[:, 1:] * down
                middles[index] = tries[int(np.argmax(_ring(picture, tries, right, down)))]
    return middles


@cache
def _square(reach: int, step: float) -> Floats:
    """Points (x, y) every `step` in a square of `reach` steps to every side."""
    line = np.arange(-reach, reach + 1) * step
    return np.stack([axis.ravel() for axis in np.meshgrid(line, line)], axis=1)


def _rings(picture: NDArray[np.float32], middles: Floats, sizes: Sequence[int]) -> list[float]:
    """How well the picture shows finders at `middles`, 1 being perfect, for each size of the code."""
    offsets, signs = _finder()
    steps = 1.0 / (np.array(sizes)[:, None, None, None] - 7)
    right, down = middles[1] - middles[0], middles[2] - middles[0]
    points = middles[:, None, :] + (offsets[:, :1] * right + offsets[:, 1:] * down) * steps
    return [float(worth) for worth in (_look_up(picture, points[..., 0], points[..., 1]) @ signs).mean(axis=1)]


def _ring(picture: NDArray[np.float32], middles: Floats, right: Floats, down: Floats) -> NDArray[np.float32]:
    """How well the picture shows a finder at each of `middles`."""
    offsets, signs = _finder()
    points = middles[:, None, :] + offsets[:, :1] * right + offsets[:, 1:] * down
    return np.asarray(_look_up(picture, points[..., 0], points[..., 1]) @ signs)


def _axes(middles: Floats, size: int) -> tuple[Floats, Floats]:
    """A module's step to the right and down, in pixels."""
    return (middles[1] - middles[0]) / (size - 7), (middles[2] - middles[0]) / (size - 7)


def _outline(middles: Floats, size: int) -> Floats:
    """The corners of the parallelogram whose finders' middles are `middles`."""
    right, down = _axes(middles, size)
    top_left = middles[0] - 3.5 * (right + down)
    return np.array([top_left, top_left + size * right, top_left + size * (right + down), top_left + size * down])


def _far_corner(picture: NDArray[np.float32], version: int, corners: Floats) -> tuple[float, Floats]:
    """The fourth corner, which has no finder, where the shared patterns agree best; and how well."""
    size = layout(version).size
    right, down = (corners[1] - corners[0]) / size, (corners[3] - corners[0]) / size
    tries = np.repeat(corners[None], len(FAR_CORNER), axis=0)
    tries[:, 2] += FAR_CORNER[:, :1] * right + FAR_CORNER[:, 1:] * down
    scores = _agreement(picture, tries, *_shared(version, 3), size)
    best = int(np.argmax(scores))
    return float(scores[best]), tries[best]


@cache
def _finder() -> tuple[Floats, Floats]:
    """The middles of a finder's 81 modules, from its middle, and its shade, weighed."""
    down, across = np.mgrid[-4:5, -4:5]
    ring = np.maximum(np.abs(down), np.abs(across)).ravel()
    signs = np.array([-1.0, -1.0, 1.0, -1.0, 1.0])[ring]
    return np.stack([across.ravel(), down.ravel()], axis=1).astype(float), signs / len(signs)


def settle(picture: NDArray[np.float32], version: int, corners: Floats, light: bool) -> Grid:
    """The grid of `version` near `corners` that fits the normalised `picture` best."""
    points, signs = _shared(version, 1)
    size = layout(version).size
    unit = np.hypot(*(corners[2] - corners[0])) / size / 1.41
    score = float(_agreement(picture, corners[None], points, signs, size)[0])
    moves = np.zeros((8, 4, 2))
    for move in range(8):
        moves[move, move // 2, move % 2] = 1
    moves = np.concatenate([moves, -moves])
    for step in STEPS:
        scores = _agreement(picture, corners + step * unit * moves, points, signs, size)
        gains = np.maximum(scores - score, 0)
        if gains.max() <= 0:
            continue
        together = corners + step * unit * np.tensordot(gains / gains.max(), moves, 1)
        one = corners + step * unit * moves[int(np.argmax(gains))]
        both = _agreement(picture, np.stack([together, one]), points, signs, size)
        chosen = int(np.argmax(both))
        if both[chosen] > score:
            corners, score = (together, one)[chosen], float(both[chosen])
    return Grid(version, corners, light, score)


@cache
def _shared(version: int, every: int) -> tuple[Floats, Floats]:
    """Middles (x, y) of the modules that every code of `version` shares, each `every`-th; their shade, +1 light, -1 dark, weighed."""
    plan = layout(version)
    rows, columns = (axis[::every] for axis in np.nonzero(plan.known))
    signs = np.where(plan.dark[rows, columns], -1.0, 1.0)
    timing = ((rows == 6) & (columns > 8)) | ((columns == 6) & (rows > 8))
    signs = np.where(timing, 2 * signs, signs)
    points = np.stack([columns + 0.5, rows + 0.5], axis=1)
    return points, signs / np.abs(signs).sum()


def _agreement(picture: NDArray[np.float32], tries: Floats, points: Floats, signs: Floats, size: int) -> Floats:
    """How well `picture` at `points` under each of `tries` (four corners each) agrees with `signs`."""
    return np.asarray(_look_up(picture, *project(tries, points, size)) @ signs)


def _look_up(picture: NDArray[np.float32], x: Floats, y: Floats) -> NDArray[np.float32]:
    """`picture` at the pixels; beyond its edge as at the edge."""
    height, width = picture.shape
    index = np.minimum(np.maximum(y, 0.0), height - 1.0).astype(np.int32)  # np.clip takes twice as long
    index *= width
    index += np.minimum(np.maximum(x, 0.0), width - 1.0).astype(np.int32)
    return np.asarray(picture.ravel().take(index))


def project(corners: Floats, points: Floats, size: int) -> tuple[Floats, Floats]:
    """Where `points`, in modules, are in pixels under each of `corners` (n, 4, 2): the perspective that maps the square onto them."""
    p0, p1, p2, p3 = (corners[:, index] for index in range(4))
    d1, d2, total = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    scale = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
    scale = np.where(np.abs(scale) < 1e-9, 1e-9, scale)
    g = (total[:, 0] * d2[:, 1] - d2[:, 0] * total[:, 1]) / scale
    h = (d1[:, 0] * total[:, 1] - total[:, 0] * d1[:, 1]) / scale
    a = p1 - p0 + g[:, None] * p1
    b = p3 - p0 + h[:, None] * p3
    one = np.ones_like(g)
    rows = np.stack([p0[:, 0], a[:, 0], b[:, 0], p0[:, 1], a[:, 1], b[:, 1], one, g, h], axis=1).reshape(-1, 3)
    square = np.stack([np.ones(len(points)), points[:, 0] / size, points[:, 1] / size])
    x_y_depth = (rows @ square).reshape(len(corners), 3, len(points))
    depth = np.maximum(x_y_depth[:, 2], 0.05)
    return x_y_depth[:, 0] / depth, x_y_depth[:, 1] / depth
