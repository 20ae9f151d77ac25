"""What waits for a thread, with a bound: whoever sends faster than we work must not fill the memory."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from typing import Generic, TypeVar

T = TypeVar("T")

OVERHEAD = 500
"""What a waiting item costs beside its payload, in bytes, so that a flood of empty ones has an end too."""


class Bounded(Generic[T]):
    """A queue of items that weigh at most `most_bytes` together, no more than `most_each` of them of one sender (None: no matter)."""

    def __init__(self, most_bytes: int, most_each: int | None = None) -> None:
        self.most_bytes = most_bytes
        self.dropped = 0
        self._most_each = most_each
        self._items: queue.SimpleQueue[tuple[T, int, str]] = queue.SimpleQueue()
        self._added = 0
        self._taken = 0
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def waiting_bytes(self) -> int:
        """What waits now. One thread puts, one takes, and each has a sum of its own, so this needs no lock; what each sender has does."""
        return self._added - self._taken

    def put(self, item: T, size: int, *, always: bool = False, sender: str = "") -> bool:
        """Adds an item with a payload of `size` bytes; False where there is no room for it. `always`: somebody else bounds these."""
        weight = size + OVERHEAD
        if not always and (self.waiting_bytes + weight > self.most_bytes or not self._has_place(sender)):
            self.dropped += 1
            return False
        self._added += weight
        with self._lock:
            self._waiting[sender] += 1
        self._items.put((item, weight, sender))
        return True

    def get(self, timeout_s: float) -> T:
        """The item that has waited longest; queue.Empty where none comes within `timeout_s`."""
        item, weight, sender = self._items.get(timeout=timeout_s)
        self._taken += weight
        with self._lock:
            self._waiting[sender] -= 1
            if not self._waiting[sender]:
                del self._waiting[sender]
        return item

    def _has_place(self, sender: str) -> bool:
        return self._most_each is None or self._waiting[sender] < self._most_each
