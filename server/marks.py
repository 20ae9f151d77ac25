"""Which events of one boot the database holds, as the watermark says it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

MOST_MISSING = 500


@dataclass(frozen=True)
class Mark:
    """Every seq from 1 to `up_to` is held, except those in `missing` (ascending)."""

    up_to: int = 0
    missing: tuple[int, ...] = ()

    def has(self, seq: int) -> bool:
        """Whether `seq` is held, or was until it was deleted on time."""
        return seq <= self.up_to and seq not in self.missing


def advance(mark: Mark, arrived: Collection[int], beyond: Sequence[int], most_missing: int = MOST_MISSING) -> Mark:
    """The mark after the seqs in `arrived` came; `beyond` are all held seqs above `mark.up_to`, ascending.

    The mark stops before a seq that would leave more than `most_missing` gaps: a unit that invents a huge seq cannot make it grow.
    """
    held = set(arrived)
    missing = [seq for seq in mark.missing if seq not in held]
    up_to = mark.up_to
    for seq in beyond:
        if len(missing) + seq - up_to - 1 > most_missing:
            break
        missing.extend(range(up_to + 1, seq))
        up_to = seq
    return Mark(up_to, tuple(missing))
