"""Whom a pattern means, who goes first, and that nothing is agreed to by nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from healthgate.fleet_plan import Plan, PlanError, Step, agree, find_units

KNOWN = ["hall-1", "hall-2", "north", "south"]


@pytest.mark.parametrize(
    ("patterns", "units"),
    [
        (["north"], ["north"]),
        (["hall-*"], ["hall-1", "hall-2"]),
        (["hall-[2-9]", "north"], ["hall-2", "north"]),
        (["*"], KNOWN),
        (["north", "n*", "*h"], ["north", "south"]),
    ],
)
def test_whom_patterns_mean(patterns: list[str], units: list[str]) -> None:
    assert find_units(patterns, KNOWN) == units


@pytest.mark.parametrize("pattern", ["west", "North", "hall", "", "nor"])
def test_a_pattern_that_means_nobody_is_a_fault(pattern: str) -> None:
    with pytest.raises(PlanError, match="means no unit: expected"):
        find_units(["north", pattern], KNOWN)


@pytest.mark.parametrize(
    ("canary", "first", "rest"),
    [(0, ("a", "b", "c"), ()), (1, ("a",), ("b", "c")), (3, ("a", "b", "c"), ()), (9, ("a", "b", "c"), ())],
)
def test_who_goes_first(canary: int, first: tuple[str, ...], rest: tuple[str, ...]) -> None:
    plan = Plan("set", tuple(Step(unit, "x") for unit in "abc"), canary)
    assert (plan.first, plan.rest) == (first, rest)


def test_the_plan_is_shown_and_nobody_there_agrees_to_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan("set lane.pulse_s", (Step("north", "0.5 to 0.7"), Step("south", "0.5 to 0.7 \x1b[2J")), 1)
    assert agree(plan, yes=True)
    shown = capsys.readouterr().err
    assert "set lane.pulse_s: 2 units" in shown
    assert "first" in shown
    assert "1 unit when north came through it" in shown
    assert "\x1b[2J" not in shown, "what others wrote does not clear the screen"
    with Path("/dev/null").open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        with pytest.raises(PlanError, match="expected --yes"):
            agree(plan, yes=False)
