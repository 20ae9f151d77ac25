"""One frame's luma in memory that two processes share: the unit writes, the reader's child only looks.

The memory is an anonymous file without a name, so that nothing is left behind however a process ends. It is sealed: the child can neither
write it nor change its size, which would otherwise end the unit with a bus error.
"""

from __future__ import annotations

import fcntl
import mmap
import os

import numpy as np

from edge.drivers.luma import Pixels

F_SEAL_FUTURE_WRITE = 0x0010
"""linux/fcntl.h, since Linux 5.1: only mappings made before may write."""


class SharedFrame:
    """Room for `capacity` pixels."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.descriptor = os.memfd_create("frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, capacity)
        self._memory: Pixels = np.frombuffer(mmap.mmap(self.descriptor, capacity), dtype=np.uint8)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | F_SEAL_FUTURE_WRITE)

    def write(self, pixels: Pixels) -> None:
        """Puts a (height, width) array in; it may be a view with any strides."""
        np.copyto(self._memory[: pixels.size].reshape(pixels.shape), pixels)

    def close(self) -> None:
        """Gives the memory back; may be called more than once."""
        if self.capacity:
            self.capacity = 0
            os.close(self.descriptor)
            self._memory = np.empty(0, dtype=np.uint8)


def map_frame(descriptor: int) -> Pixels:
    """The child's view of the memory behind `descriptor`, one long row that cannot be written."""
    return np.frombuffer(mmap.mmap(descriptor, os.fstat(descriptor).st_size, prot=mmap.PROT_READ), dtype=np.uint8)
