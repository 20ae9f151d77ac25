"""What becomes of a file's sectors when the power goes, or when a sync fails. Pure."""

from __future__ import annotations

from random import Random

SECTOR = 512


def torn(before: bytes, after: bytes, random: Random) -> bytes:
    """A file that was to become `after`: each sector is found old or new, and of those that are added none, some or all are there."""
    length = len(after) if random.random() < 0.5 else random.randint(min(len(before), len(after)), len(after))
    chance = random.random()
    old = before[:length].ljust(length, b"\0")
    pieces = []
    for start in range(0, length, SECTOR):
        end = min(start + SECTOR, length)
        is_new = after[start:end] == old[start:end] or random.random() < chance
        pieces.append((after if is_new else old)[start:end])
    return b"".join(pieces)


class Dropped:
    """Sectors, by inode, that the kernel takes for written and the disk does not have: it lost them in a sync that failed."""

    def __init__(self) -> None:
        self._sectors: dict[int, set[int]] = {}

    def clear(self) -> None:
        """Forgets all of them."""
        self._sectors.clear()

    def add(self, inode: int, safe: bytes, now: bytes) -> None:
        """A sync has failed while the disk had `safe` and the kernel `now`."""
        lost = self._sectors.setdefault(inode, set())
        lost.update(start for start in range(0, len(now), SECTOR) if now[start : start + SECTOR] != safe[start : start + SECTOR])

    def written(self, inode: int, start: int) -> None:
        """Something is written from here on: the kernel knows again that the disk does not have these sectors."""
        self._sectors[inode] = {place for place in self._sectors.get(inode, ()) if place + SECTOR <= start}

    def found(self, inode: int, safe: bytes, now: bytes) -> bytes:
        """What a sync brings to the disk where the kernel has `now` and the disk had `safe`."""
        lost = self._sectors.get(inode)
        if not lost:
            return now
        pieces = [now[start : start + SECTOR] for start in range(0, len(now), SECTOR)]
        for start in sorted(lost):
            if start < len(now):
                length = len(pieces[start // SECTOR])
                pieces[start // SECTOR] = safe[start : start + length].ljust(length, b"\0")
        return b"".join(pieces)
