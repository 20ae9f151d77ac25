"""Several units at once: whom patterns mean, what would be done to each, and who goes first. Nothing is done before the plan was shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import typer
from rich.console import Console
from rich.table import Table

from healthgate.cells import cell


class PlanError(ValueError):
    """A pattern that means no unit, or a plan that nobody can agree to; the text is one line."""


@dataclass(frozen=True)
class Step:
    """What is done to one unit, in one line for people."""

    unit: str
    change: str


@dataclass(frozen=True)
class Plan:
    """`what` is done in the order of `steps`: to the first `canary` units, then, when those have come through it, to the others.

    With a canary of 0 it is done to all at once.
    """

    what: str
    steps: tuple[Step, ...]
    canary: int = 0

    @property
    def first(self) -> tuple[str, ...]:
        """The units that go first: the canaries, or all where there are none."""
        return tuple(step.unit for step in self.steps[: self.canary or None])

    @property
    def rest(self) -> tuple[str, ...]:
        """The units that wait for the first ones."""
        return tuple(step.unit for step in self.steps[self.canary :]) if self.canary else ()


def find_units(patterns: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those of `known`, by name, that any of the patterns means: `north`, `hall-*`, `lane-[1-4]`. PlanError for one that means none."""
    found: set[str] = set()
    for pattern in patterns:
        fitting = {unit for unit in known if fnmatchcase(unit, pattern)}
        if not fitting:
            some = ", ".join(sorted(known)[:5]) or "none is known yet: healthgate fleet enrol UNIT"
            raise PlanError(f"{pattern[:60]!r} means no unit: expected a name or a pattern of one such as {some}")
        found |= fitting
    return sorted(found)


def agree(plan: Plan, *, yes: bool) -> bool:
    """Shows the plan on the standard error and asks, where not `yes`; whether it is agreed to. PlanError where there is nobody to ask."""
    console = Console(stderr=True, highlight=False)
    console.print(f"{plan.what}: {_count(len(plan.steps))}", markup=False)
    table = Table("", "unit", "change", box=None)
    for number, step in enumerate(plan.steps):
        turn = "" if not plan.canary else "first" if number < plan.canary else "then"
        table.add_row(turn, step.unit, cell(step.change))
    console.print(table)
    if plan.rest:
        console.print(f"{_count(len(plan.rest))} when {', '.join(plan.first)} came through it", markup=False)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise PlanError("nothing was done: nobody can be asked here: expected --yes")
    return typer.confirm("Do it?", err=True)


def _count(units: int) -> str:
    return "1 unit" if units == 1 else f"{units} units"
