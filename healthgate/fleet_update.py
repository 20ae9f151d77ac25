"""`healthgate fleet update`: many units to another release, canaries first, then stage by stage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from healthcode.messages import Release, UnitEvent
from healthcode.releases import order
from healthgate import rollout
from healthgate.errors import one_line_errors
from healthgate.fleet_plan import Plan, PlanError, Step, agree
from healthgate.fleet_show import chosen, complete_unit, in_one_line_too
from healthgate.release import as_version, published
from healthgate.bundles import BundleError
from healthgate.rollout import Mark, Rollout, StagesError, parse_stages
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from healthgate.times import rfc3339
from server.fleet_watch import FleetWatch, Unit

AT_ONCE = 500
LOOK_EVERY_S = 1.0
Tell = Callable[[str], "Answer"]
"""Tells a unit to take the release."""


@dataclass(frozen=True)
class Answer:
    """What a unit says at once: `away` why it cannot be told, `refused` why it does not take it; both empty where it will see to it."""

    away: str = ""
    refused: str = ""


def make_plan(release: Release, units: list[Unit], canary: int) -> Plan:
    """What would be done to each unit that does not run this release yet, those on line first. PlanError where there is none."""
    steps = []
    for unit in sorted(units, key=lambda each: (each.is_gone, each.unit)):
        runs = software_of(unit)
        if runs == release.version:
            continue
        is_newer = runs is not None and order(runs) > order(release.version)
        if is_newer:
            raise PlanError(f"{unit.unit} runs {runs}: expected a release newer than that")
        away = f"; {unit.state.presence.value}, will be left out unless it is back" if unit.is_gone else ""
        steps.append(Step(unit.unit, f"{runs or 'what it runs'} -> {release.version}{away}"))
    if not steps:
        raise PlanError(f"release {release.version} runs on every unit that is meant")
    return Plan(f"release {release.version}", tuple(steps), canary if 0 < canary < len(steps) else 0)


def software_of(unit: Unit) -> str | None:
    """The release that a unit said it runs; None where it runs none, or has not said."""
    info = unit.state.info
    try:
        return None if info is None else as_version(info.software, "software")
    except BundleError:
        return None


class Conductor:
    """Takes a rollout from step to step: tells units, and reads in the server's database what becomes of it."""

    def __init__(self, state: Rollout, tell: Tell, watch: FleetWatch, now: Callable[[], float], patience_s: float) -> None:
        self.state = state
        self._tell, self._watch, self._now, self._patience_s = tell, watch, now, patience_s
        self._since: dict[str, int] = {}
        self._known: dict[str, set[tuple[str, int]]] = {}

    def turn(self) -> list[tuple[str, Mark, str]]:
        """One step; (unit, mark, line) of every unit whose line has changed."""
        before = self.state
        for unit in rollout.to_tell(self.state):
            if rollout.to_tell(self.state):  # the one before may have refused it
                self._tell_one(unit)
        for unit in self._since:
            if self.state.mark(unit) in (Mark.TOLD, Mark.TRIAL):
                self._read(unit)
        self.state = rollout.wait(self.state, self._now(), self._patience_s)
        after = self.state
        return [
            (unit, after.mark(unit), after.said[unit])
            for unit in after.said
            if (before.mark(unit), before.said.get(unit)) != (after.mark(unit), after.said[unit])
        ]

    def _tell_one(self, unit: str) -> None:
        at = self._now()
        last = self._watch.last_events(unit, 1)
        self._since[unit] = last[0].received_ms if last else 0
        self._known[unit] = {(one.boot_id, one.seq) for one in self._watch.events_from(unit, self._since[unit], AT_ONCE)}
        answer = self._tell(unit)
        if answer.away:
            self.state = rollout.away(self.state, unit, answer.away)
        else:
            self.state = rollout.told(self.state, unit, at, answer.refused)

    def _read(self, unit: str) -> None:
        """The events since it was told, in their order; several may have come in one moment, so that one is asked for again."""
        known = self._known[unit]
        while True:
            found = self._watch.events_from(unit, self._since[unit], AT_ONCE + len(known))
            fresh = [one for one in found if (one.boot_id, one.seq) not in known]
            for one in fresh:
                if isinstance(one.event, UnitEvent):
                    self.state = rollout.heard(self.state, unit, one.event.what, one.event.detail)
            if not fresh:
                return
            self._since[unit] = fresh[-1].received_ms
            known = {(one.boot_id, one.seq) for one in found if one.received_ms == self._since[unit]}
            self._known[unit] = known
