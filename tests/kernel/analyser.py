"""What a person would have seen and heard, out of the kernel's trace of the lines, and what the table of signals promised. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from edge.signals import HIGH, LOW, MEDIUM, SILENT, Pattern, Rgb
from tests.kernel.header import Change

V = TypeVar("V")

TOGETHER_S = 0.005
"""Three lamps that change within this time change as one."""
PAUSE_S = 0.025
"""A buzzer whose line stands still for longer is silent: ten periods of its lowest tone."""
SURE = 4
"""So many periods of one length in turn are a tone."""


@dataclass(frozen=True)
class Phase(Generic[V]):
    """Something that is shown or heard from `at` to `until`, seconds; `step` is its place in the pattern, where it is one's."""

    value: V
    at: float
    until: float
    step: int = -1

    @property
    def seconds(self) -> float:
        """For how long."""
        return self.until - self.at


def promised(pattern: Pattern[V], seconds: float) -> list[Phase[V]]:
    """The phases of `pattern` within `seconds` from its start, each of another value than the one before."""
    once = [(step, *each) for step, each in enumerate(pattern.steps)]
    turns = (
        once * math.ceil(seconds / sum(length for _, _, length in once)) if pattern.repeat else [*once, (len(once), pattern.rest, math.inf)]
    )
    found: list[Phase[V]] = []
    at = 0.0
    for step, value, length in turns:
        if found and found[-1].value == value:
            found[-1] = Phase(value, found[-1].at, at + length, found[-1].step)
        else:
            found.append(Phase(value, at, at + length, step))
        at += length
    return [phase for phase in found if phase.at < seconds]


def seen(changes: Iterable[Change], lamps: tuple[int, int, int], before: Mapping[int, int], began: float, until: float) -> list[Phase[Rgb]]:
    """The colours of the light from `began` on; `before` has the lamps' levels until then."""
    levels = {bcm: before.get(bcm, 0) for bcm in lamps}
    turns: list[tuple[float, Rgb]] = [(began, _rgb(levels, lamps))]
    for change in changes:
        if change.bcm in levels:
            levels[change.bcm] = change.level
            if change.at - turns[-1][0] < TOGETHER_S:
                turns[-1] = (turns[-1][0], _rgb(levels, lamps))
            else:
                turns.append((change.at, _rgb(levels, lamps)))
    return _merged(turns, until)


def heard(changes: Iterable[Change], buzzer: int, began: float, until: float) -> list[Phase[int]]:
    """The tones from `began` on, each the one of LOW, MEDIUM and HIGH that is nearest, or SILENT.

    One CPU serves the buzzer's thread and all others, so now and then a period comes late and those behind it at once. So a tone is what
    SURE periods in turn agree on, and how high it is says `pitch`, by their number.
    """
    rises = [change.at for change in changes if change.bcm == buzzer and change.level]
    tones = [_tone(following - rise) for rise, following in pairwise([*rises, math.inf])]
    turns: list[tuple[float, int]] = [(began, SILENT)] if not rises or rises[0] - began > PAUSE_S else []
    sure = [tone if tones[place : place + SURE] == [tone] * SURE else None for place, tone in enumerate(tones)]
    begins = True
    for place, (rise, tone) in enumerate(zip(rises, tones, strict=True)):
        if begins:
            turns.append((rise, next(each for each in sure[place:] if each)))
        begins = tone == SILENT
        if tone == SILENT:
            turns.append((rise + 0.5 / turns[-1][1], SILENT))
        elif sure[place] not in (None, turns[-1][1]):
            turns.append((rise, sure[place] or SILENT))
    return _merged(turns, until)


def pitch(changes: Iterable[Change], buzzer: int, phase: Phase[int]) -> float:
    """How often in a second the line rose in `phase`, the first and the last tenth left out."""
    edge = phase.seconds / 10
    rises = [
        change.at for change in changes if change.bcm == buzzer and change.level and phase.at + edge <= change.at <= phase.until - edge
    ]
    return (len(rises) - 1) / (rises[-1] - rises[0])


def duty(changes: Iterable[Change], buzzer: int) -> float:
    """The share of its periods for which the buzzer's line is high, in the middle of all of them; 0.0 where it never is."""
    edges = [change for change in changes if change.bcm == buzzer]
    if edges and not edges[0].level:
        del edges[0]
    highs = [fall.at - rise.at for rise, fall in zip(edges[::2], edges[1::2], strict=False)]
    periods = [after.at - before.at for before, after in pairwise(edges[::2])]
    return statistics.median(highs) / statistics.median(periods) if periods else 0.0


def _tone(period_s: float) -> int | None:
    """What a period sounds like; None where no tone of the table has it."""
    if period_s > PAUSE_S:
        return SILENT
    return next((tone for tone in (LOW, MEDIUM, HIGH) if abs(period_s * tone - 1) < 0.1), None)


def _rgb(levels: Mapping[int, int], lamps: Sequence[int]) -> Rgb:
    red, green, blue = (bool(levels[bcm]) for bcm in lamps)
    return red, green, blue


def _merged(turns: Sequence[tuple[float, V]], until: float) -> list[Phase[V]]:
    found: list[Phase[V]] = []
    for (at, value), (end, _) in pairwise([*turns, (until, turns[-1][1])]):
        if found and found[-1].value == value:
            found[-1] = Phase(value, found[-1].at, end)
        elif end > at:
            found.append(Phase(value, at, end))
    return found
