"""Whether a gate finds more fevers, or turns more people away, than it usually does at this hour of the day. Pure.

The rule. Of the last 28 days the same hour of the day is taken: how many were measured there and how many of them had a fever, how many
verdicts there were and how many refused. To that are added 200 made-up people with the share that is expected of a gate nobody knows yet,
so that a new gate has a usual share too. That share times those of the last 60 minutes is how many are to be expected now; were they
independent, their number would be Poisson's. The alert is raised where so many or more would come by chance in less than one hour in
100,000, and they are at least four; it is over where one hour in 1,000 would bring as many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, lgamma, log

from healthcode.terms import Decision, Reason

HOUR_S = 3600
DAY_HOURS = 24
KEPT_DAYS = 28
LEAST = 4
RAISED_AT = 1e-5
OVER_AT = 1e-3
MADE_UP = 200.0
"""People who are added to what is known of an hour."""
EXPECTED = {"fevers": 0.005, "refusals": 0.05}
"""The share of them who have a fever, or are refused."""


@dataclass(frozen=True)
class Tally:
    """How many: verdicts, refusals among them (fevers apart), people measured, fevers among them."""

    verdicts: int = 0
    refusals: int = 0
    measured: int = 0
    fevers: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.verdicts + other.verdicts, self.refusals + other.refusals, self.measured + other.measured, self.fevers + other.fevers
        )

    def of(self, what: str) -> tuple[int, int]:
        """(how many, of how many) fevers or refusals."""
        return (self.fevers, self.measured) if what == "fevers" else (self.refusals, self.verdicts)


NOTHING = Tally()


@dataclass(frozen=True)
class Concluded:
    """A verdict that was final, at `at` (monotonic seconds); `measured`: a temperature was taken for it."""

    at: float
    decision: Decision
    reason: Reason
    measured: bool


def usual_share(history: Mapping[int, Tally], hour: int | None, what: str) -> float:
    """The usual share of `what` at the hour of the day of `hour` (hours since 1970), or at any where it is None: nobody knows the time."""
    hits, of = 0, 0
    for then, tally in history.items():
        if hour is None or ((hour - then) % DAY_HOURS == 0 and 0 < hour - then <= KEPT_DAYS * DAY_HOURS):
            some, all_ = tally.of(what)
            hits, of = hits + some, of + all_
    return (hits + EXPECTED[what] * MADE_UP) / (of + MADE_UP)


def find_unusual(now: Tally, history: Mapping[int, Tally], hour: int | None, raised: frozenset[str]) -> dict[str, str]:
    """The alerts `fevers` and `refusals` that stand for the last hour's tally, each with one line; `raised` are those that stood before."""
    found = {}
    for what, words in (("fevers", "fevers among {of} people measured"), ("refusals", "of {of} people refused")):
        count, of = now.of(what)
        expected = usual_share(history, hour, what) * of
        if count >= LEAST and chance_of(count, expected) < (OVER_AT if what in raised else RAISED_AT):
            found[what] = f"{count} {words.format(of=of)} in the last hour, {expected:.1f} are usual"
    return found


def chance_of(count: int, expected: float) -> float:
    """How likely `count` or more are where `expected` are (Poisson's distribution)."""
    if count <= 0:
        return 1.0
    if expected <= 0:
        return 0.0
    if count <= expected:
        return 1.0 - sum(_term(fewer, expected) for fewer in range(count))
    term, total, more = _term(count, expected), 0.0, count
    while term > total * 1e-12:
        total, more = total + term, more + 1
        term *= expected / more
    return min(1.0, total)


def _term(count: int, expected: float) -> float:
    return exp(count * log(expected) - expected - lgamma(count + 1))
