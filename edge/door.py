"""The local door: how somebody who works at the unit sets its lane's mode, with and without a network.

Two files in the unit's data folder, which its account alone may use: `mode.ask` is written by `healthgate edge mode` and taken by the unit,
which leaves what became of it in `mode.answer`. Times are the machine's monotonic clock, the same for all its processes: a question that
nobody took in time is void, and does not open a lane when the unit starts the next morning.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from edge.files import write_atomically
from healthcode.messages import Short
from healthcode.terms import LaneMode

T = TypeVar("T")

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
VOID_AFTER_S = 10.0
"""How long a question counts."""
AHEAD_S = 1.0
"""How much later than the unit's turn a question may be asked: it may come while the turn, whose time is taken before, goes on."""
LONGEST_FREE_S = 24 * 3600.0
MOST_BYTES = 4096


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`mode` from now on, free for `for_s` seconds; `note` is who asks and why, `at` when (monotonic seconds)."""

    mode: LaneMode
    at: float
    for_s: Annotated[float, Meta(ge=0, le=LONGEST_FREE_S)] = 0.0
    note: Short = ""


class Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the question of `at`: `mode` is the lane's now, `refused` says why it is not what was asked, empty where it is."""

    at: float
    mode: LaneMode
    refused: Short = ""


class Silence(Enum):
    """Why there is no answer."""

    UNHEARD = "nobody took the question, which has been taken back"
    UNTOLD = "it was taken, and what became of it was not said in time"


class Door:
    """The unit's side; `attend` is called in its loop, in monotonic seconds."""

    def __init__(self, folder: Path) -> None:
        self._ask = folder / "mode.ask"
        self._answer = folder / "mode.answer"
        self._look_at = float("-inf")

    def attend(self, at: float, decide: Callable[[Asked], Answered]) -> None:
        """Takes a question that is new at `at` to whoever decides, and leaves the answer."""
        asked = self._look(at)
        if asked is None:
            return
        try:
            write_atomically(self._answer, msgspec.json.encode(decide(asked)))
        except OSError as wrong:
            log.error("%s: the answer cannot be left there: %s", self._answer, wrong.strerror)

    def _look(self, at: float) -> Asked | None:
        """A question that is new; what is old, unreadable or none at all is thrown away."""
        if at < self._look_at:
            return None
        self._look_at = at + LOOK_EVERY_S
        asked = _read(self._ask, Asked)
        try:
            self._ask.unlink(missing_ok=True)
        except OSError:
            return None  # it would be carried out again and again
        return asked if asked is not None and -AHEAD_S < at - asked.at <= VOID_AFTER_S else None


def ask(folder: Path, asked: Asked, limit_s: float = VOID_AFTER_S / 2) -> Answered | Silence:
    """Asks the unit of `folder` and waits for its answer, or says why there is none. OSError where the folder takes no question."""
    question, answer = folder / "mode.ask", folder / "mode.answer"
    write_atomically(question, msgspec.json.encode(asked))
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        found = _read(answer, Answered)
        if found is not None and found.at == asked.at:
            return found
        time.sleep(0.05)
    try:
        question.unlink()
    except FileNotFoundError:
        return Silence.UNTOLD
    return Silence.UNHEARD


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
