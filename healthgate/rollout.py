"""A release on its way to many units: canaries first, then stage by stage, and no further once one unit refuses it. Pure.

A unit is told by a command, and says in events what became of it: `update_trial`, `update_done` five good minutes later, `update_refused`
where it does not take it or came back from it, `update_waits` while it cannot go on. Units that cannot be reached are left out and named;
the same command later tells them. A canary that cannot be reached proves nothing, and so ends the rollout too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from math import ceil


class Mark(StrEnum):
    """How far a unit is."""

    WAITING = "waiting"
    TOLD = "told"
    TRIAL = "trial"
    DONE = "done"
    AWAY = "away"
    BAD = "bad"


OVER = frozenset({Mark.DONE, Mark.AWAY})
"""What lets the next stage begin."""
MARK_OF_EVENT = {"update_fetching": Mark.TOLD, "update_waits": Mark.TOLD, "update_trial": Mark.TRIAL}


class StagesError(ValueError):
    """Stages that are none; the text is one line."""


@dataclass(frozen=True)
class Rollout:
    """`groups` are told one after the other. `said` is each unit's last line, `told_at` when it was told."""

    release: str
    groups: tuple[tuple[str, ...], ...]
    has_canary: bool
    marks: Mapping[str, Mark] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    told_at: Mapping[str, float] = field(default_factory=dict)

    def mark(self, unit: str) -> Mark:
        """How far it is."""
        return self.marks.get(unit, Mark.WAITING)

    @property
    def stopped(self) -> str:
        """Why no further unit is told: one line; empty while it goes on."""
        for unit, mark in self.marks.items():
            if mark is Mark.BAD:
                return f"{unit}: {self.said.get(unit, '')}"
        if self.has_canary:
            for unit in self.groups[0]:
                if self.mark(unit) is Mark.AWAY:
                    return f"{unit}, a canary, cannot be reached: {self.said.get(unit, '')}"
        return ""

    @property
    def group(self) -> int | None:
        """The number of the group whose turn it is; None where all are over."""
        return next((number for number, group in enumerate(self.groups) if not all(self.mark(unit) in OVER for unit in group)), None)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it: all are through, or it was stopped and nobody who was told is still at it."""
        if not self.stopped:
            return self.group is None
        return not any(mark in (Mark.TOLD, Mark.TRIAL) for mark in self.marks.values())


def make(release: str, units: Sequence[str], canary: int, stages: Sequence[float]) -> Rollout:
    """The units in their order, the first `canary` of them alone, then up to each share of all of them; `stages` end with 1."""
    ends = [canary] if canary else []
    ends += [ceil(share * len(units)) for share in stages]
    groups, begin = [], 0
    for end in ends:
        if end > begin:
            groups.append(tuple(units[begin:end]))
            begin = end
    return Rollout(release, tuple(groups), has_canary=0 < canary < len(units))


def parse_stages(text: str) -> list[float]:
    """`10%,50%,100%` as shares; StagesError where they are none, do not go up or do not end with all."""
    try:
        shares = [float(part.strip().removesuffix("%")) / 100 for part in text.split(",")]
    except ValueError:
        shares = []
    goes_up = all(before < after for before, after in pairwise([0.0, *shares]))  # which no NaN does
    if not goes_up or shares[-1:] != [1.0]:
        raise StagesError(f"--stages {text[:60]!r}: expected percentages that go up to 100%, such as 10%,50%,100%")
    return shares


def to_tell(rollout: Rollout) -> tuple[str, ...]:
    """Who is to be told now."""
    if rollout.stopped or rollout.group is None:
        return ()
    return tuple(unit for unit in rollout.groups[rollout.group] if rollout.mark(unit) is Mark.WAITING)


def told(rollout: Rollout, unit: str, at: float, refused: str = "") -> Rollout:
    """The unit has been told at `at`, or says at once why it does not take it."""
    if refused:
        return _mark(rollout, unit, Mark.BAD, refused)
    return replace(_mark(rollout, unit, Mark.TOLD, "told"), told_at={**rollout.told_at, unit: at})


def away(rollout: Rollout, unit: str, why: str) -> Rollout:
    """The unit cannot be told."""
    return _mark(rollout, unit, Mark.AWAY, why)


def heard(rollout: Rollout, unit: str, what: str, detail: str) -> Rollout:
    """An event of the unit since it was told; what is not about this release changes nothing."""
    if rollout.mark(unit) not in (Mark.TOLD, Mark.TRIAL):
        return rollout
    if what == "update_refused":
        return _mark(rollout, unit, Mark.BAD, detail)
    if re.match(rf"release {re.escape(rollout.release)}(?![0-9])", detail) is None:
        return rollout
    if what == "update_done":
        return _mark(rollout, unit, Mark.DONE, detail)
    mark = MARK_OF_EVENT.get(what)
    return rollout if mark is None else _mark(rollout, unit, mark, f"{what.removeprefix('update_')}: {detail}")


def wait(rollout: Rollout, at: float, patience_s: float) -> Rollout:
    """Time goes by: who was told longer ago than `patience_s` and has not come through it has failed."""
    for unit, since in rollout.told_at.items():
        if rollout.mark(unit) in (Mark.TOLD, Mark.TRIAL) and at - since >= patience_s:
            rollout = _mark(rollout, unit, Mark.BAD, f"not through after {patience_s / 60:.0f} minutes; last: {rollout.said.get(unit, '')}")
    return rollout


def _mark(rollout: Rollout, unit: str, mark: Mark, said: str) -> Rollout:
    return replace(rollout, marks={**rollout.marks, unit: mark}, said={**rollout.said, unit: said})
