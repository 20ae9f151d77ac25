"""Where a code's three finders are in a picture that zxing-cpp could not make sense of: one of them may be cracked, banded or noisy.

Runs of 1:1:3:1:1 along rows and along columns vote for middles; a place that both vote for is a finder, a place with few votes may be a
damaged one. Three that stand as a code's do make a `Corners`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edge.drivers.luma import Pixels

MAX_PLACES = 8
"""Places, by votes, of which three are chosen."""

SMALLEST_SIDE = 50
"""Pixels below which no picture of a code can be read: 21 modules of two pixels, and a quiet zone."""

PAIRED = 4
"""Places, by votes, of which two may stand for three."""

CLEAR = 0.2
"""How far a finder's middle stands out of its surroundings at least, as a part of how far the clearest thirtieth of the picture does."""

CELL = 4
"""Pixels of a voting cell's side."""


@dataclass(frozen=True)
class Place:
    """A middle of a finder in pixels, the module's size in pixels, and how many runs voted for it."""

    x: float
    y: float
    module: float
    votes: float


@dataclass(frozen=True)
class Corners:
    """Three finders of one code: top left, top right, bottom left as printed; `light` where they are light on dark."""

    top_left: Place
    top_right: Place
    bottom_left: Place
    light: bool

    @property
    def module(self) -> float:
        """The size of a module in pixels."""
        return (self.top_left.module + self.top_right.module + self.bottom_left.module) / 3

    @property
    def size(self) -> float:
        """Modules a side, estimated."""
        across = math.hypot(self.top_right.x - self.top_left.x, self.top_right.y - self.top_left.y)
        down = math.hypot(self.bottom_left.x - self.top_left.x, self.bottom_left.y - self.top_left.y)
        return (across + down) / 2 / self.module + 7


def find_corners(pixels: Pixels, most: int) -> list[Corners]:
    """At most `most` guesses, the likeliest first.

    Dark is what is darker than its near surroundings: that sharpens what is out of focus or smeared, and no band or reflection matters.
    """
    if min(pixels.shape) < SMALLEST_SIDE:
        return []
    image = Image.fromarray(pixels)
    around = max(4, min(pixels.shape) // 60)
    near = np.asarray(image.filter(ImageFilter.BoxBlur(around)), np.int16)
    smooth = np.asarray(image.filter(ImageFilter.BoxBlur(1)), np.int16)
    dark = smooth < near
    clear = np.abs(near - smooth)
    clear = clear > max(2.0, CLEAR * float(np.percentile(clear[::4, ::4], 97)))
    votes = _votes(dark, clear), _votes(np.ascontiguousarray(dark.T), np.ascontiguousarray(clear.T))
    guesses: list[tuple[float, Corners]] = []
    for light in (False, True):
        places = _places(votes[0][light], votes[1][light], pixels.shape)
        guesses += [(worth, Corners(*three, light)) for worth, three in (*_threes(places), *_pairs(places))]
    guesses.sort(key=lambda guess: -guess[0])
    return [corners for _, corners in guesses[:most]]


Votes = tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]


def _votes(dark: NDArray[np.bool_], clear: NDArray[np.bool_]) -> tuple[Votes, Votes]:
    """(middle along, row, module) of the runs that are 1:1:3:1:1, for dark finders and for light ones."""
    width = dark.shape[1]
    flat = dark.ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    rows = ends // width
    runs = np.diff(ends)
    if len(runs) < 5:
        none = (np.empty(0), np.empty(0, np.intp), np.empty(0))
        return none, none
    one, two, three, four, five = (runs[start : len(runs) - 4 + start] for start in range(5))
    module = (one + two + three + four + five) / 7
    slack = 0.5 * module + 0.7
    good = (rows[:-5] == rows[5:]) & (module >= 1.2) & (np.abs(three - 3 * module) < 1.6 * slack)
    for run in (one, two, four, five):
        good &= np.abs(run - module) < slack
    at = np.flatnonzero(good)
    at = at[clear.ravel()[(ends[at + 2] + ends[at + 3]) // 2]]
    begun = flat[ends[at]]
    middle = (ends[at + 2] + ends[at + 3]) / 2 - rows[at] * width
    both = []
    for light in (False, True):
        chosen = begun != light
        both.append((middle[chosen], rows[at][chosen], module[at][chosen]))
    return both[0], both[1]


def _places(along: Votes, down: Votes, shape: tuple[int, ...]) -> list[Place]:
    """The places with most votes. `down` is of the transposed picture."""
    height, width = shape[0] // CELL + 3, shape[1] // CELL + 3
    total = np.zeros((2, height, width))
    modules = np.zeros((height, width))
    sums = np.zeros((2, height, width))
    for number, (xs, ys, sizes) in enumerate(((along[0], along[1], along[2]), (down[1], down[0], down[2]))):
        cells = (np.asarray(ys) // CELL).astype(np.intp) * width + (np.asarray(xs) // CELL).astype(np.intp)
        total[number] = np.bincount(cells, minlength=height * width)[: height * width].reshape(height, width)
        modules += np.bincount(cells, sizes, minlength=height * width)[: height * width].reshape(height, width)
        sums[0] += np.bincount(cells, xs, minlength=height * width)[: height * width].reshape(height, width)
        sums[1] += np.bincount(cells, ys, minlength=height * width)[: height * width].reshape(height, width)
    rows, columns = _around(total[0]), _around(total[1])
    score = rows + columns + 2 * np.minimum(rows, columns)
    count, module, x, y = rows + columns, _around(modules), _around(sums[0]), _around(sums[1])
    places: list[Place] = []
    while len(places) < MAX_PLACES:
        top, left = divmod(int(score.argmax()), width)
        if score[top, left] < 3:
            break
        here = count[top, left]
        places.append(Place(x[top, left] / here, y[top, left] / here, module[top, left] / here, float(score[top, left])))
        near = 1 + int(4 * places[-1].module / CELL)
        score[max(0, top - near) : top + near + 1, max(0, left - near) : left + near + 1] = 0
    return places


def _around(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every cell's sum with its eight neighbours."""
    padded = np.pad(cells, 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])


def _threes(places: list[Place]) -> list[tuple[float, tuple[Place, Place, Place]]]:
    """Every three that may be a code's finders, and what speaks for them."""
    found = []
    for three in itertools.combinations(places, 3):
        p, q, r = three
        smallest, largest = min(p.module, q.module, r.module), max(p.module, q.module, r.module)
        if largest > 1.8 * smallest:
            continue
        sides = ((q.x - r.x) ** 2 + (q.y - r.y) ** 2, (p.x - r.x) ** 2 + (p.y - r.y) ** 2, (p.x - q.x) ** 2 + (p.y - q.y) ** 2)
        first = sides.index(max(sides))  # the corner is opposite the longest side
        corner, one, other = three[first], three[first - 1], three[first - 2]
        ax, ay, bx, by = one.x - corner.x, one.y - corner.y, other.x - corner.x, other.y - corner.y
        a, b = math.hypot(ax, ay), math.hypot(bx, by)
        if min(a, b) < 12 * smallest or max(a, b) > 2 * min(a, b):
            continue
        cosine = abs(ax * bx + ay * by) / (a * b)
        if cosine > 0.55:
            continue
        if ax * by - ay * bx < 0:  # as printed the way from right to bottom is clockwise on the picture
            one, other = other, one
        penalty = 1 + 2 * cosine + 2 * abs(math.log(a / b)) + 2 * math.log(largest / smallest)
        votes = [min(place.votes / max(place.module, 1), 12.0) for place in three]
        found.append((sum(votes) / penalty, (corner, one, other)))
    found.sort(key=lambda item: -item[0])
    return found[:8]


def _pairs(places: list[Place]) -> list[tuple[float, tuple[Place, Place, Place]]]:
    """Every two that may be two of a code's finders, with the third supposed (no votes) where a square has it."""
    found = []
    for one, other in itertools.combinations(places[:PAIRED], 2):
        module = (one.module + other.module) / 2
        x, y = other.x - one.x, other.y - one.y
        apart = math.hypot(x, y)
        if (
            max(one.module, other.module) > 1.5 * min(one.module, other.module)
            or apart < 12 * module
            or min(one.votes, other.votes) < 2 * module
        ):
            continue
        worth = sum(min(place.votes / max(place.module, 1), 12.0) for place in (one, other)) * 0.7
        for left, right, turn in ((one, other, 1), (other, one, -1)):
            bottom = Place(left.x - turn * y, left.y + turn * x, module, 0.0)
            found.append((worth, (left, right, bottom)))
            corner = Place(right.x - turn * y, right.y + turn * x, module, 0.0)
            found.append((worth * 0.99, (right, corner, left)))
            middle = Place((one.x + other.x + turn * y) / 2, (one.y + other.y - turn * x) / 2, module, 0.0)
            found.append((worth * 0.9, (middle, right, left)))
    found.sort(key=lambda item: -item[0])
    return found[:12]
