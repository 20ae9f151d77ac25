"""Virtual time: what happens next, and the record of what has happened."""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

LAST_STEPS = 40
"""Steps of the record that a failure shows."""


class Crash(BaseException):
    """The process that runs this ends here and now: what it had in memory is gone. Nothing but a power switch may catch it."""


class Failure(Exception):
    """An invariant does not hold; the text is one line that says which."""


class Trace:
    """What has happened: the last steps as lines, and a hash over all of them."""

    def __init__(self) -> None:
        self.steps = 0
        self.last: deque[str] = deque(maxlen=LAST_STEPS)
        self._hash = hashlib.blake2b(digest_size=8)

    def note(self, at: float, who: str, what: str) -> None:
        """One step, at virtual seconds `at`."""
        line = f"{at:10.3f} {who:<8} {what}"
        self.steps += 1
        self.last.append(line)
        self._hash.update(line.encode())

    @property
    def digest(self) -> str:
        """Of all steps so far."""
        return self._hash.hexdigest()


class Schedule:
    """What is to happen, in the order of its time; at the same time, in the order in which it was planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()

    def after(self, delay_s: float, what: Callable[[], None]) -> None:
        """Plans `what` for `delay_s` virtual seconds from now."""
        heapq.heappush(self._planned, (self.now + delay_s, next(self._number), what))

    def step(self) -> None:
        """Lets the next thing happen. IndexError where nothing is planned."""
        self.now, _, what = heapq.heappop(self._planned)
        what()

    def run(self, until: float) -> None:
        """Lets all happen that comes before the virtual second `until`."""
        while self._planned and self._planned[0][0] < until:
            self.step()
        self.now = until
