"""The unit's clock: `edge.timekeeping` with the real clocks, randomness and a file for the floor passed in. For several threads."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.files import CALLS, Calls, write_atomically
from edge.timekeeping import Anchor, AnswerOutcome, ResetOutcome, Timekeeper
from healthcode.messages import MAX_HEAD, ClockReset, TimeAnswer, TimeRequest
from healthcode.terms import ClockState

log = logging.getLogger(__name__)

_TIMEX_BYTES = 512
"""More than struct timex takes on any Linux (208 bytes on 64 bits)."""
_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronised."""
_LATEST = 2**40
MOST_SERIAL = 2**53


def is_synchronised() -> bool:
    """Whether the kernel says that its clock follows a network's time: adjtimex(2), reading only. OSError where it may not be asked."""
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == -1:
        raise OSError(ctypes.get_errno(), f"adjtimex: {os.strerror(ctypes.get_errno())}")
    return state != _TIME_ERROR


@dataclass(frozen=True)
class Kept:
    """What outlives a restart: the floor, seconds since 1970 (None: there is none), and the serial of the last reset."""

    floor: float | None = None
    serial: int = 0


class FloorFile:
    """What is kept, on disk: the floor as decimal text and, where there ever was a reset, its serial."""

    def __init__(self, path: Path, calls: Calls = CALLS) -> None:
        self.path = path
        self._calls = calls

    def load(self) -> Kept:
        """What is kept; no floor where the file is missing or damaged, which means UNTRUSTED until a time key answers."""
        try:
            floor, *serial = self.path.read_text(encoding="ascii").split()
            kept = Kept(float(floor), int(*serial))
        except FileNotFoundError:
            return Kept()
        except (OSError, ValueError, TypeError) as wrong:
            log.error("the clock's floor is lost, the time is not believed until a time server answers: %s: %s", self.path, wrong)
            return Kept()
        if kept.floor is None or not (0 <= kept.floor <= _LATEST and 0 <= kept.serial <= MOST_SERIAL):
            log.error("the clock's floor is lost, the time is not believed until a time server answers: %s: no such time", self.path)
            return Kept()
        return kept

    def store(self, kept: Kept) -> None:
        """Replaces what is kept, atomically; OSError where the disk does not take it."""
        serial = f" {kept.serial}" if kept.serial else ""
        write_atomically(self.path, f"{kept.floor or 0.0:.3f}{serial}\n".encode(), self._calls)


class ResetLetter:
    """A signed reset that somebody left in the data folder, for a unit without a link: `healthgate edge reset-clock`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clock.reset"

    def leave(self, data: bytes) -> None:
        """Leaves `data` for the unit. OSError where the folder is not ours to write in."""
        write_atomically(self._path, data)

    def take(self) -> bytes | None:
        """What was left, once; None where there is nothing."""
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_HEAD + 1)
            self._path.unlink()
        except OSError:
            return None
        return data

    @property
    def waits(self) -> bool:
        """Whether it has not been taken."""
        return self._path.exists()


class Clock:
    """What time it is at this unit, and how far that is to be believed."""

    def __init__(
        self,
        file: FloorFile,
        *,
        monotonic: Callable[[], float],
        system: Callable[[], float],
        draw: Callable[[], str],
        synchronised: Callable[[], bool],
    ) -> None:
        """`monotonic` and `system` are clocks in seconds (`time.monotonic`, `time.time`); `draw` gives 32 fresh random hex digits.

        `synchronised` says whether the system's clock follows a network's time (`is_synchronised`).
        """
        self._file = file
        self._monotonic = monotonic
        self._system = system
        self._draw = draw
        self._synchronised = synchronised
        self._may_ask = True
        self._disk_error = ""
        self._lock = threading.Lock()
        self._stored = file.load()
        self._keeper = Timekeeper(self._stored.floor, Anchor(system(), monotonic()), serial=self._stored.serial)

    def now(self, mono: float | None = None) -> float:
        """Seconds since 1970, now or at the monotonic time `mono`."""
        return self._keeper.now(self._monotonic() if mono is None else mono)

    def state(self) -> ClockState:
        """How far `now` is to be believed, after a look at the system's clock."""
        with self._lock:
            mono = self._look()
            return self._keeper.state(mono)

    def doubt(self) -> str:
        """Why it is not to be believed, one line for people; empty where it may be."""
        with self._lock:
            mono = self._look()
            return self._keeper.doubt(mono)

    @property
    def system_ahead_s(self) -> float:
        """How far the operating system's clock is ahead of `now`."""
        return self._system() - self.now()

    @property
    def floor(self) -> float | None:
        """Below which it cannot be."""
        return self._keeper.floor

    @property
    def serial(self) -> int:
        """The number of the last reset that was taken; 0 where there was none."""
        return self._keeper.serial

    @property
    def disk_error(self) -> str:
        """Why the floor is not on disk, one line: after a restart an older one counts. Empty where it is."""
        return self._disk_error

    def connected(self) -> None:
        """There is a new connection: a question that was under way is lost."""
        with self._lock:
            self._keeper = self._keeper.connected()

    def question(self) -> TimeRequest | None:
        """The question to send now, with a fresh nonce; None while none is due."""
        with self._lock:
            mono = self._monotonic()
            if mono < self._keeper.due(mono):
                return None
            self._keeper = self._keeper.ask(mono, self._draw())
            return TimeRequest(nonce=self._keeper.nonce or "")

    def answer(self, answer: TimeAnswer) -> AnswerOutcome:
        """Takes in a verified answer that names this unit, and stores a floor that moved; `disk_error` says where that fails."""
        with self._lock:
            self._keeper, outcome = self._keeper.answer(answer, self._monotonic())
            try:
                self._store(self._keeper)
            except OSError as wrong:
                self._disk_error = f"the clock's floor cannot be stored: {wrong}"
            return outcome

    def reset(self, reset: ClockReset) -> ResetOutcome:
        """Takes in a verified reset that names this unit. OSError where the disk does not take it: it then does not count."""
        with self._lock:
            keeper, outcome = self._keeper.reset(reset, self._look())
            self._store(keeper)
            self._keeper = keeper
            return outcome

    def _look(self) -> float:
        """Takes in what the operating system says now, the lock held; the monotonic time."""
        mono = self._monotonic()
        self._keeper = self._keeper.tick(mono, self._system(), self._may_ask and self._ask_system())
        return mono

    def _ask_system(self) -> bool:
        try:
            return self._synchronised()
        except OSError as wrong:
            self._may_ask = False
            log.warning("a time server that disagrees goes unnoticed: whether the system's clock follows one cannot be asked: %s", wrong)
            return False

    def _store(self, keeper: Timekeeper) -> None:
        kept = Kept(keeper.floor, keeper.serial)
        if kept.floor is not None and kept != self._stored:
            self._file.store(kept)
            self._stored, self._disk_error = kept, ""
