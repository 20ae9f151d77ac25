"""The claim `status_list` of the IETF Token Status List (draft-ietf-oauth-status-list): entries of 1, 2, 4 or 8 bits in zlib.

Entries are packed least significant first, and an index outside of them must be rejected. Our own lists have two bits
(`healthcode.status`); the other widths are read, so that a list by anybody who keeps to the standard can be looked at.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTHS = (1, 2, 4, 8)
"""Bits of an entry that the standard knows."""
MOST_BYTES = 2**26
"""Bytes of entries that are inflated at most: as many entries as our longest list has, of eight bits."""
_PIECE = 2**16
"""Bytes that are inflated in one go: one may become a thousand."""


@dataclass(frozen=True)
class Entries:
    """Entries of `bits` bits each, packed."""

    bits: int
    packed: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.packed) * 8 // self.bits

    def get(self, index: int) -> int:
        """The entry at `index`; IndexError outside the list."""
        if not 0 <= index < len(self):
            raise IndexError(f"index {index}: expected 0 to {len(self) - 1}")
        place, slot = divmod(index * self.bits, 8)
        return int(self.packed[place]) >> slot & (1 << self.bits) - 1

    def unpacked(self) -> NDArray[np.uint8]:
        """All entries, one a byte."""
        slots = np.arange(0, 8, self.bits, dtype=np.uint8)
        every: NDArray[np.uint8] = (self.packed[:, None] >> slots & np.uint8((1 << self.bits) - 1)).reshape(-1)
        return every


def read_entries(claim: object, most_bytes: int = MOST_BYTES) -> Entries | None:
    """The entries of a decoded claim {"bits": ..., "lst": ...}, its further members ignored; None where it is not as the standard says.

    Inflating stops at `most_bytes`.
    """
    match claim:
        case {"bits": int(bits), "lst": bytes(compressed)} if bits in WIDTHS and not isinstance(bits, bool):
            inflated = inflate(compressed, most_bytes)
            return None if not inflated else Entries(bits, np.frombuffer(inflated, np.uint8))
    return None


def inflate(data: bytes, limit: int) -> bytes | None:
    """zlib `data` inflated to at most `limit` bytes; None where it is no complete zlib stream or would be longer."""
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, limit + 1)
    except zlib.error:
        return None
    if len(out) > limit or not inflater.eof or inflater.unused_data:
        return None
    return out


def inflate_exactly(data: bytes, size: int) -> NDArray[np.uint8] | None:
    """zlib `data` inflated to `size` bytes that may be changed; None where it is no complete zlib stream of just so many.

    Piece by piece into its place: a province's list is in memory once, never twice.
    """
    out = np.empty(size, np.uint8)
    inflater, filled = zlib.decompressobj(), 0
    try:
        for start in range(0, len(data), _PIECE):
            piece = inflater.decompress(data[start : start + _PIECE], size - filled + 1)
            if len(piece) > size - filled:
                return None
            out[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
            if inflater.eof:
                return out if filled == size and not inflater.unused_data and start + _PIECE >= len(data) else None
            if inflater.unconsumed_tail:
                return None
    except zlib.error:
        return None
    return None
