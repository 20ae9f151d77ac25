"""What this gate did in the last hour, and in the hours of the last four weeks: counts alone, kept on disk, for `edge.unusual`.

The file is written once an hour. A restart forgets the hour that runs; a file that cannot be read is begun anew, the usual shares with it.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

import msgspec

from edge.files import write_atomically
from edge.unusual import DAY_HOURS, HOUR_S, KEPT_DAYS, NOTHING, Concluded, Tally, find_unusual
from healthcode.terms import Decision, Reason

log = logging.getLogger(__name__)

MOST = 20_000
"""Verdicts of one hour that are remembered: more than five a second."""
_FILE = msgspec.json.Decoder(dict[int, Tally])


class Hours:
    """The counts. For one thread; `at` is monotonic, `wall` seconds since 1970, None while the clock is not believed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recent: deque[tuple[float, Tally]] = deque(maxlen=MOST)
        self._hour: int | None = None
        self._counted = NOTHING
        self._history = self._load()

    def count(self, verdict: Concluded) -> None:
        """Counts a verdict."""
        is_fever = verdict.reason is Reason.FEBRILE
        is_refused = verdict.decision is Decision.REFUSE and not is_fever
        one = Tally(1, int(is_refused), int(verdict.measured or is_fever), int(is_fever))
        self._recent.append((verdict.at, one))
        self._counted += one

    def find_unusual(self, at: float, wall: float | None, raised: frozenset[str]) -> dict[str, str]:
        """The alerts that stand; `raised` are those that stood before."""
        hour = None if wall is None else int(wall // HOUR_S)
        if hour is not None and hour != self._hour:
            self._turn(hour)
        while self._recent and at - self._recent[0][0] > HOUR_S:
            self._recent.popleft()
        return find_unusual(sum((one for _, one in self._recent), NOTHING), self._history, hour, raised)

    def _turn(self, hour: int) -> None:
        """Another hour has begun: what was counted belongs to the one before."""
        before, counted = self._hour, self._counted
        self._hour, self._counted = hour, NOTHING
        if before is None or counted == NOTHING:
            return
        oldest = hour - KEPT_DAYS * DAY_HOURS
        kept = {then: tally for then, tally in self._history.items() if oldest <= then <= hour}
        self._history = {**kept, before: kept.get(before, NOTHING) + counted}
        try:
            write_atomically(self._path, msgspec.json.encode(self._history))
        except OSError as wrong:
            log.warning("the hour's counts cannot be stored: %s", wrong)

    def _load(self) -> dict[int, Tally]:
        try:
            return _FILE.decode(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as wrong:
            log.warning("%s: what was usual is not known any more: %s", self._path, wrong)
            return {}
