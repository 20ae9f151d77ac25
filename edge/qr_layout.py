"""What of a QR code is the same in every code of its version: finders, timing, alignment and version bits (ISO/IEC 18004:2015, 6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

SMALLEST, LARGEST = 1, 40
"""Versions: 21 to 177 modules a side, 4 more each."""

FROM_VERSION_BITS = 7
"""The first version that spells out its number, twice."""


@dataclass(frozen=True)
class Layout:
    """`size` modules a side; `known` marks those that every code of the version shares, `dark` says which of them are dark."""

    size: int
    known: NDArray[np.bool_]
    dark: NDArray[np.bool_]


def version_of(size: float) -> int:
    """The version nearest to `size` modules a side."""
    return min(LARGEST, max(SMALLEST, round((size - 17) / 4)))


@cache
def layout(version: int) -> Layout:
    """The layout of `version`."""
    size = 17 + 4 * version
    known = np.zeros((size, size), np.bool_)
    dark = np.zeros((size, size), np.bool_)
    for index in range(8, size - 8):
        known[6, index] = known[index, 6] = True
        dark[6, index] = dark[index, 6] = index % 2 == 0
    middles = alignment(version)
    for down in middles:
        for across in middles:
            near_finder = (down == 6 and across in (6, middles[-1])) or (across == 6 and down == middles[-1])
            if not near_finder:
                _rings(known, dark, down, across, 2, (True, False, True))
    for down, across in ((3, 3), (3, size - 4), (size - 4, 3)):
        _rings(known, dark, down, across, 4, (True, True, False, True, False))
    known[size - 8, 8] = dark[size - 8, 8] = True
    if version >= FROM_VERSION_BITS:
        bits = _version_bits(version)
        for index in range(18):
            bit = bool(bits >> index & 1)
            down, across = index // 3, size - 11 + index % 3
            known[down, across] = known[across, down] = True
            dark[down, across] = dark[across, down] = bit
    return Layout(size, known, dark)


def alignment(version: int) -> tuple[int, ...]:
    """The rows, and columns, of the middles of alignment patterns."""
    if version == 1:
        return ()
    count = version // 7 + 2
    last = 4 * version + 10
    step = 26 if version == 32 else -(-(last - 6) // (2 * (count - 1))) * 2
    return (6, *(last - step * index for index in range(count - 2, -1, -1)))


def _rings(known: NDArray[np.bool_], dark: NDArray[np.bool_], down: int, across: int, radius: int, rings: tuple[bool, ...]) -> None:
    """Square rings around a middle, by their distance from it; what lies outside the code is left out."""
    size = len(known)
    for y in range(max(0, down - radius), min(size, down + radius + 1)):
        for x in range(max(0, across - radius), min(size, across + radius + 1)):
            known[y, x] = True
            dark[y, x] = rings[max(abs(y - down), abs(x - across))]


def _version_bits(version: int) -> int:
    """`version` with its twelve check bits."""
    rest = version << 12
    for bit in range(17, 11, -1):
        if rest >> bit & 1:
            rest ^= 0x1F25 << (bit - 12)
    return version << 12 | rest
