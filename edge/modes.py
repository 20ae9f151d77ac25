"""The lane's mode on disk, so that a restart does not open a lane that somebody closed.

The mode free is not kept: it ends at a restart, and what follows it is controlled. A file that cannot be read means locked, until somebody
sets the mode anew; only where there has never been a file is the lane controlled.
"""

from __future__ import annotations

import logging
from pathlib import Path

from edge.files import write_atomically
from healthcode.terms import LaneMode

log = logging.getLogger(__name__)

STORE_AGAIN_S = 1.0
LONGEST = 100
"""Bytes of the file that are looked at; a mode is shorter."""


class Modes:
    """Remembers the mode. `trouble` is one line on what is wrong with that, empty where nothing is. For one thread."""

    def __init__(self, path: Path) -> None:
        self.trouble = ""
        self._path = path
        self._again_at = float("-inf")
        self._stored: LaneMode | None = None
        self.kept = self._load()
        """The mode to start in."""

    def keep(self, mode: LaneMode, at: float, *, anew: bool = False) -> None:
        """The lane is in `mode` at `at` (monotonic seconds): stored where that is new, or `anew` because somebody set it.

        Where the disk fails it is tried again once a second.
        """
        wanted = LaneMode.CONTROLLED if mode is LaneMode.FREE else mode
        known = self.kept if self._stored is None and not anew else self._stored
        if wanted is known or (at < self._again_at and not anew):
            return
        try:
            write_atomically(self._path, f"{wanted.value}\n".encode())
        except OSError as wrong:
            if not self.trouble:
                log.error("the lane's mode cannot be stored: %s", wrong)
            self._again_at = at + STORE_AGAIN_S
            self.trouble = f"the mode {wanted.value} cannot be stored ({wrong.strerror}): a restart would bring back another one"
            return
        self._stored, self.trouble = wanted, ""

    def _load(self) -> LaneMode:
        try:
            with self._path.open("rb") as file:
                text = file.read(LONGEST).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return LaneMode.CONTROLLED
        except OSError as wrong:
            return self._doubt(str(wrong.strerror))
        if text not in LaneMode.__members__.values() or text == LaneMode.FREE:
            return self._doubt(f"{text[:20]!r}: expected controlled, locked or out_of_service")
        self._stored = LaneMode(text)
        return self._stored

    def _doubt(self, why: str) -> LaneMode:
        self.trouble = f"the lane's mode cannot be read ({why}): locked until somebody sets it"
        log.error("%s: %s", self._path, self.trouble)
        return LaneMode.LOCKED
