"""Writers of one process, in the order in which they came, and the transaction that brief ones share.

SQLite has who finds the write lock taken sleep and try again, longer each time up to a tenth of a second, and gives it to whoever comes by:
with a few writers at once some wait for seconds while the lock is free. Here they stand in a line instead. And a commit waits for the
disk, which on a busy one takes longer than all the rest: brief writers who stand in line together are committed together, each inside a
savepoint of its own, and none of them goes on before that is done.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

SHARED_S = 0.015
"""A shared transaction takes nobody in any more that began longer ago: what the first in it waits beyond a commit."""


@dataclass
class _Place:
    """One who waits; `shares`: is brief."""

    shares: bool
    come: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.come.acquire()


class Line:
    """One at a time, first come, first served."""

    def __init__(self, wait_s: float) -> None:
        """`wait_s`: how long anybody waits at most."""
        self._wait_s = wait_s
        self._guard = threading.Lock()
        self._is_taken = False
        self._waiting: deque[_Place] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The caller's turn, once it has come. OperationalError where it does not, as of the database itself."""
        self.begin(shares=False)
        try:
            yield
        finally:
            self.end()

    def begin(self, *, shares: bool) -> None:
        """Waits for the caller's turn, which lasts until `end` or `pass_on`. OperationalError where it does not come."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = _Place(shares)
            self._waiting.append(mine)
        if mine.come.acquire(timeout=self._wait_s):
            return
        with self._guard:
            if mine in self._waiting:  # else it came at the last moment
                self._waiting.remove(mine)
                raise OperationalError("BEGIN", None, TimeoutError(f"others have been writing for {self._wait_s:g} s"))

    def end(self) -> None:
        """Ends the caller's turn."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().come.release()
            else:
                self._is_taken = False

    def pass_on(self, hand_over: Callable[[], None]) -> bool:
        """Ends the caller's turn if who is next is brief; `hand_over` is called before they begin. Whether it did."""
        with self._guard:
            if not self._waiting or not self._waiting[0].shares:
                return False
            hand_over()
            self._waiting.popleft().come.release()
            return True


class Shared:
    """A transaction of several writers, each on their own turn in the line."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._began = time.monotonic()
        self._connection = connect()
        try:
            self._whole = self._connection.begin()
        except BaseException:
            self._connection.close()
            raise
        self._ended = threading.Event()
        self._wrong: BaseException | None = None

    @contextmanager
    def part(self) -> Iterator[Connection]:
        """One writer's part. It is undone where that raises; the others' stands."""
        try:
            part = self._connection.begin_nested()
        except BaseException as wrong:
            self._wrong = wrong
            raise
        try:
            yield self._connection
        except BaseException:
            self._undo(part.rollback)
            raise
        try:
            part.commit()
        except BaseException as wrong:
            self._wrong = wrong
            raise

    @property
    def takes_more(self) -> bool:
        """Whether another writer may come in."""
        return self._wrong is None and time.monotonic() - self._began < SHARED_S

    def end(self) -> None:
        """Commits what the writers wrote, or nothing of it; what went wrong is for each of them to raise from `wait`."""
        try:
            if self._wrong is None:
                self._whole.commit()
        except BaseException as wrong:
            self._wrong = wrong
            if not isinstance(wrong, Exception):
                raise
        finally:
            if self._wrong is not None:
                self._connection.invalidate()  # closed for good, which undoes what it wrote
            self._connection.close()
            self._ended.set()

    def wait(self) -> None:
        """Returns when everything is committed; raises what went wrong where it is not."""
        self._ended.wait()
        if self._wrong is not None:
            raise self._wrong

    def _undo(self, rollback: Callable[[], None]) -> None:
        try:
            rollback()
        except SQLAlchemyError as wrong:  # the database undid all of it, as SQLite does when the disk is full
            self._wrong = wrong
