"""The claim `status_list` of the IETF Token Status List (draft-ietf-oauth-status-list): entries of 1, 2, 4 or 8 bits in zlib.

Entries are packed least significant first, and an index outside of them must be rejected. Our own lists have two bits
(`healthcode.status`); the other widths are read, so that a list by anybody who keeps to the standard can be looked at.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from mmap import mmap

WIDTHS = (1, 2, 4, 8)
"""Bits of an entry that the standard knows."""
MOST_BYTES = 2**26
"""Bytes of entries that are inflated at most: as many entries as our longest list has, of eight bits."""
_PIECE = 2**16
"""Bytes that are inflated at most in one go, and that are given to the inflater at most: small enough to leave no hole behind them."""


@dataclass(frozen=True)
class Entries:
    """Entries of `bits` bits each, packed."""

    bits: int
    packed: bytes

    def __len__(self) -> int:
        return len(self.packed) * 8 // self.bits

    def get(self, index: int) -> int:
        """The entry at `index`; IndexError outside the list."""
        if not 0 <= index < len(self):
            raise IndexError(f"index {index}: expected 0 to {len(self) - 1}")
        place, slot = divmod(index * self.bits, 8)
        return self.packed[place] >> slot & (1 << self.bits) - 1

    def counts(self) -> dict[int, int]:
        """How many entries have each value that there is."""
        return count_entries(self.packed, self.bits)


def count_entries(packed: bytes, bits: int) -> dict[int, int]:
    """How many of the entries of `bits` bits in `packed` have each value that there is, the lowest first."""
    found = Counter[int]()
    for byte, times in Counter(packed).items():
        for slot in range(0, 8, bits):
            found[byte >> slot & (1 << bits) - 1] += times
    return dict(sorted(found.items()))


def read_entries(claim: object, most_bytes: int = MOST_BYTES) -> Entries | None:
    """The entries of a decoded claim {"bits": ..., "lst": ...}, its further members ignored; None where it is not as the standard says.

    Inflating stops at `most_bytes`.
    """
    match claim:
        case {"bits": int(bits), "lst": bytes(compressed)} if bits in WIDTHS and not isinstance(bits, bool):
            inflated = inflate(compressed, most_bytes)
            return None if not inflated else Entries(bits, inflated)
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


def inflate_into(out: bytearray | mmap, data: bytes) -> bool:
    """Whether zlib `data` is a complete stream of just as many bytes as `out` has, which then holds them.

    Piece by piece into its place: a province's list is in memory once, never twice.
    """
    inflater, filled, given, todo = zlib.decompressobj(), 0, 0, b""
    try:
        while not inflater.eof:
            if not todo:
                todo, given = data[given : given + _PIECE], given + _PIECE
            piece = inflater.decompress(todo, min(_PIECE, len(out) - filled + 1))
            if len(piece) > len(out) - filled or not (todo or piece):
                return False
            out[filled : filled + len(piece)] = piece
            filled += len(piece)
            todo = inflater.unconsumed_tail
    except zlib.error:
        return False
    return filled == len(out) and not inflater.unused_data and given >= len(data)
