"""The unit's clock: `edge.timekeeping` with the real clocks, randomness and a file for the floor passed in. For several threads."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path

from edge.files import write_atomically
from edge.timekeeping import Anchor, AnswerOutcome, Timekeeper
from healthcode.messages import TimeAnswer, TimeRequest
from healthcode.terms import ClockState

_TIMEX_BYTES = 512
"""More than struct timex takes on any Linux (208 bytes on 64 bits)."""
_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronised."""


def is_synchronised() -> bool:
    """Whether the kernel says that its clock follows a network's time: adjtimex(2), reading only. False where it cannot be asked."""
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state not in (-1, _TIME_ERROR)


class FloorFile:
    """The floor on disk: seconds since 1970 as decimal text."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> float | None:
        """The floor; None where there is none or the file is damaged, which means UNTRUSTED until a time key answers."""
        try:
            text = self.path.read_text(encoding="ascii")
            floor = float(text)
        except (OSError, ValueError):
            return None
        return floor if 0 <= floor <= 2**40 else None

    def store(self, floor: float) -> None:
        """Replaces the floor atomically; OSError where the disk does not take it."""
        write_atomically(self.path, f"{floor:.3f}\n".encode())


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
        self._lock = threading.Lock()
        self._keeper = Timekeeper(file.load(), Anchor(system(), monotonic()))
        self._stored = self._keeper.floor

    def now(self, mono: float | None = None) -> float:
        """Seconds since 1970, now or at the monotonic time `mono`."""
        return self._keeper.now(self._monotonic() if mono is None else mono)

    def state(self) -> ClockState:
        """How far `now` is to be believed, after a look at the system's clock."""
        with self._lock:
            mono = self._monotonic()
            self._keeper = self._keeper.tick(mono, self._system(), self._synchronised())
            return self._keeper.state(mono)

    @property
    def floor(self) -> float | None:
        """Below which it cannot be."""
        return self._keeper.floor

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
        """Takes in a verified answer that names this unit, and stores a floor that moved. OSError where the disk does not take it."""
        with self._lock:
            self._keeper, outcome = self._keeper.answer(answer, self._monotonic())
            floor = self._keeper.floor
            if floor is not None and floor != self._stored:
                self._file.store(floor)
                self._stored = floor
            return outcome
