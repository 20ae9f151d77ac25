"""What processes of this machine have taken, as the kernel says it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """The process's children, and theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += [int(child), *descendants(int(child))]
    return found


def cpu_s(pid: int) -> float:
    """Seconds of processor time that the process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """A process's memory in MB of 2^20 bytes: resident, its share where pages are shared with others, and what it alone holds."""

    resident: float
    share: float
    private: float

    def __sub__(self, other: Memory) -> Memory:
        """What is more than `other`."""
        return Memory(self.resident - other.resident, self.share - other.share, self.private - other.private)


def memory_mb(pid: int) -> Memory:
    """What the kernel counts as the process's (Rss, Pss, and Private_Clean with Private_Dirty)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    sizes = {name: int(value.split()[0]) / 1024 for name, _, value in (line.partition(":") for line in lines[1:])}
    return Memory(sizes["Rss"], sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"])
