"""What happened a little while ago and is still worth an alert: each by its word, how often and when last. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge import lane

LANE_ALARMS: dict[type, tuple[str, str]] = {
    lane.Forced: ("forced", "somebody crossed without a grant"),
    lane.Tailgated: ("tailgate", "somebody followed another person's grant"),
    lane.HeldOpen: ("held_open", "the passage was occupied for too long"),
}
"""Events of the lane that raise an alert: its name, and what it says."""


@dataclass(frozen=True)
class Seen:
    """It happened so many times in a row, each within the time of the one before; the last at `last_at` (monotonic seconds)."""

    times: int
    last_at: float


@dataclass(frozen=True)
class Lately:
    """What happened lately, by name. What is over is forgotten when it is asked for."""

    seen: Mapping[str, Seen] = field(default_factory=dict)

    def noted(self, event: lane.Event, for_s: float) -> Lately:
        """With an event of the lane, where it is one that raises an alert for `for_s` seconds."""
        if type(event) not in LANE_ALARMS:
            return self
        name, _ = LANE_ALARMS[type(event)]
        before = self.seen.get(name)
        times = before.times + 1 if before is not None and event.at - before.last_at < for_s else 1
        return Lately({**self.seen, name: Seen(times, event.at)})

    def standing(self, at: float, for_s: float, *, lasting: str = "") -> dict[str, str]:
        """The alerts that stand at `at`, each with one line; `lasting` is the one whose cause lasts still, if one does."""
        found = {}
        for name, words in LANE_ALARMS.values():
            seen = self.seen.get(name)
            if seen is not None and (at - seen.last_at < for_s or name == lasting):
                found[name] = words if seen.times == 1 else f"{words}: {seen.times} times"
        return found
