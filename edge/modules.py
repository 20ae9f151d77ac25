"""Reading a code module by module where its grid is known: what zxing-cpp and zbar cannot read.

The patterns that every code of a version shares are known in advance, so they teach an equaliser (ridge regression, as a modem learns its
line from a preamble) what the lens, the hand and the lighting did to a module and its neighbours; its own surest decisions then teach it
further. What comes out can be added up, module by module, over several frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.drivers.luma import Pixels
from edge.grid import Floats, Grid, project
from edge.qr_layout import layout

REACH = 2
"""Half modules around a module's middle that the equaliser looks at."""

ROUNDS = 3
"""How often the equaliser learns from its own decisions."""

AROUND = 8
"""Half modules around a sample whose mean and mean deviation it is measured by."""

SURE = 0.25
"""How far from the middle a decision is that counts as sure."""

RIDGE = 10.0
"""How strongly the equaliser is held to taking a module as it is: as much as so many modules that were seen."""


def values(pixels: Pixels, grid: Grid) -> NDArray[np.float32]:
    """For every module how light it is: about +1 light, -1 dark, near 0 where the picture does not say."""
    plan = layout(grid.version)
    size = plan.size
    halves = np.arange(-REACH - AROUND, 2 * size + REACH + AROUND) / 2 + 0.5
    lo = REACH + AROUND
    points = np.stack([axis.ravel() for axis in np.meshgrid(halves, halves)], axis=1)
    x, y = project(grid.corners[None], points, size)
    fine = _bilinear(pixels, x[0], y[0]).reshape(len(halves), len(halves))
    if grid.light:
        fine = 255 - fine
    mean, spread = _surroundings(fine, AROUND)
    flat = (fine - mean) / (spread + 1.5)
    mean2, _ = _surroundings(flat, AROUND // 2)
    near = range(-REACH, REACH + 1)
    parts = [flat[lo + down : lo + down + 2 * size : 2, lo + across : lo + across + 2 * size : 2] for down in near for across in near]
    parts.append(mean2[lo : lo + 2 * size : 2, lo : lo + 2 * size : 2])
    parts.append(np.ones((size, size)))
    features = np.stack([part.ravel() for part in parts], axis=1).astype(np.float32)
    truth = np.where(plan.dark, -1.0, 1.0).ravel().astype(np.float32)
    known = plan.known.ravel()
    start = np.zeros(features.shape[1], np.float32)
    start[(2 * REACH + 1) ** 2 // 2] = 0.8
    weights = _learn(features[known], truth[known], start, 2 * RIDGE)
    for _ in range(ROUNDS):
        decided = np.clip(features @ weights, -1.2, 1.2)
        target = np.where(known, truth, np.sign(decided)).astype(np.float32)
        sure = known | (np.abs(decided) > SURE)
        weights = _learn(features[sure], target[sure], start, RIDGE)
    out = np.clip(features @ weights, -1.5, 1.5)
    return np.asarray(np.where(known, 1.5 * truth, out).reshape(size, size).astype(np.float32))


def _learn(features: NDArray[np.float32], target: NDArray[np.float32], start: NDArray[np.float32], ridge: float) -> NDArray[np.float32]:
    """The weights that make `features` come nearest to `target`, held towards `start`."""
    square = features.T @ features + ridge * np.eye(features.shape[1], dtype=np.float32)
    return np.asarray(np.linalg.solve(square, features.T @ target + ridge * start))


def _surroundings(fine: Floats, radius: int) -> tuple[Floats, Floats]:
    """Mean, and mean deviation from it, of the square of `radius` around every sample."""
    mean = _box(fine, radius)
    return mean, _box(np.abs(fine - mean), radius)


def _box(fine: Floats, radius: int) -> Floats:
    padded = np.pad(fine, radius + 1, mode="edge")
    sums = padded.cumsum(0).cumsum(1)
    side = 2 * radius + 1
    return np.asarray(
        (sums[side:-1, side:-1] - sums[: -side - 1, side:-1] - sums[side:-1, : -side - 1] + sums[: -side - 1, : -side - 1]) / side**2
    )


def _bilinear(pixels: Pixels, x: Floats, y: Floats) -> Floats:
    """`pixels` between their middles; beyond the edge as at the edge."""
    height, width = pixels.shape
    x, y = np.clip(x - 0.5, 0, width - 1.001), np.clip(y - 0.5, 0, height - 1.001)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, low = x - left, y - top
    flat, at = pixels.ravel(), top * width + left
    above: Floats = flat[at] * (1 - right) + flat[at + 1] * right
    below: Floats = flat[at + width] * (1 - right) + flat[at + width + 1] * right
    return np.asarray(above * (1 - low) + below * low)


def picture_of(modules: NDArray[np.float32]) -> Pixels:
    """A clean picture of the modules, dark where negative, with its quiet zone."""
    clean = np.where(np.pad(modules, 4, constant_values=1.0) < 0, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(clean.repeat(3, 0).repeat(3, 1))
