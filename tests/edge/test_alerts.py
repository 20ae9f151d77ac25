"""Alerts: each cause raises its own, with one line for people, and nothing is raised while all is well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge.alerts import NAMES, Condition, find_alerts
from edge.config import Board, Statements
from healthcode.alerts import ALERTS
from healthcode.messages import TrustList

NOW = 1_600_000_000
HOUR, DAY = 3600, 86_400
URI = "https://hb.example/s/1"
TRUST = TrustList(version=1, signed_at=NOW - DAY, expires_at=NOW + 400 * DAY, entries=[])
WELL = Condition(
    troubles={},
    doubt="",
    floor_error="",
    trust=TRUST,
    wanted=frozenset({URI}),
    left_out=(),
    as_of={URI: NOW - 30},
    unsaved=0,
    disk_error="",
    tamper=False,
)


def test_nothing_is_raised_while_all_is_well() -> None:
    assert find_alerts(WELL, Statements(), Board(), NOW) == {}


def test_the_protocol_page_names_every_alert() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in page] == []


@pytest.mark.parametrize(("statements", "warn_s"), [(Statements(), DAY), (Statements(warn_s=7 * DAY, limit_s=7 * DAY), 7 * DAY)])
def test_a_list_warns_from_the_second_on_in_which_it_is_old(statements: Statements, warn_s: int) -> None:
    raised = [
        "lists_stale" in find_alerts(replace(WELL, as_of={URI: NOW - warn_s - beyond_s}), statements, Board(), NOW)
        for beyond_s in (-1, 0, 1)
    ]
    assert raised == [False, True, True]


@pytest.mark.parametrize(
    ("condition", "name", "words"),
    [
        (replace(WELL, troubles={"camera_missing": "there is no such camera"}), "camera_missing", "no such camera"),
        (replace(WELL, troubles={"sensor": "NO_ANSWER: no answer"}), "sensor", "NO_ANSWER"),
        (replace(WELL, troubles={"calibration": "the calibration ends in 9 days"}), "calibration", "9 days"),
        (replace(WELL, troubles={"obstructed": "take it away"}), "obstructed", "take it away"),
        (
            replace(WELL, doubt="the system's clock was put back by 24 h"),
            "clock",
            "not certain, no automatic pass: the system's clock was put back",
        ),
        (replace(WELL, floor_error="the clock's floor cannot be stored: no space left"), "clock", "no space left"),
        (replace(WELL, trust=None), "trust", "no trust list"),
        (replace(WELL, trust=TrustList(version=1, signed_at=0, expires_at=NOW + 20 * DAY, entries=[])), "trust", "ends in 20 days"),
        (replace(WELL, trust=TrustList(version=1, signed_at=0, expires_at=NOW - 2 * DAY, entries=[])), "trust", "ended 2 days ago"),
        (replace(WELL, as_of={}), "lists_missing", URI),
        (replace(WELL, left_out=["https://x/8", "https://x/9"]), "lists_left_out", "2 more than link.most_lists: https://x/8, https://x/9"),
        (replace(WELL, as_of={URI: NOW - 25 * HOUR}), "lists_stale", "25 h old, the guard is called at 72 h"),
        (replace(WELL, unsaved=3), "outbox", "3 events"),
        (replace(WELL, disk_error="no space left"), "outbox", "no space left"),
        (replace(WELL, waiting=5000), "outbox", "5000 events wait"),
        (replace(WELL, board_c=80.4), "board_hot", "has 80 °C, 80 °C is too much"),
        (replace(WELL, under_voltage=True), "under_voltage", "too low"),
        (replace(WELL, disk_free_mb=499), "disk", "499 MB are free, 500 MB are wanted"),
        (replace(WELL, certificate_ends=NOW + 4 * DAY), "certificate", "ends in 4 days"),
        (replace(WELL, certificate_ends=NOW - DAY), "certificate", "ended 1 days ago"),
        (replace(WELL, certificate_unread="/x: no such file"), "certificate", "/x"),
        (replace(WELL, lately={"forced": "somebody crossed"}), "forced", "crossed"),
        (replace(WELL, tamper=True), "tamper", "open"),
        (replace(WELL, configuration="version 9 was rejected: x"), "configuration", "version 9 was rejected"),
    ],
)
def test_each_cause_raises_its_own(condition: Condition, name: str, words: str) -> None:
    found = find_alerts(condition, Statements(), Board(), NOW)
    assert list(found) == [name]
    assert words in found[name]
    assert name in NAMES


@pytest.mark.parametrize(
    ("name", "worse", "between", "well"),
    [
        ("board_hot", {"board_c": 80.0}, {"board_c": 75.0}, {"board_c": 74.9}),
        ("disk", {"disk_free_mb": 499}, {"disk_free_mb": 599}, {"disk_free_mb": 600}),
        ("outbox", {"waiting": 5000}, {"waiting": 2500}, {"waiting": 2499}),
    ],
)
def test_an_alert_does_not_flutter_at_its_limit(
    name: str, worse: dict[str, float], between: dict[str, float], well: dict[str, float]
) -> None:
    def stands(values: dict[str, float], *raised: str) -> bool:
        return name in find_alerts(replace(WELL, **values), Statements(), Board(), NOW, frozenset(raised))  # type: ignore[arg-type]

    assert stands(worse)
    assert stands(between, name)
    assert not stands(between)
    assert not stands(well, name)


def test_every_alert_has_its_words() -> None:
    assert tuple(ALERTS) == NAMES
    assert len({words.title for words in ALERTS.values()}) == len(ALERTS)
    assert len({words.title_zh for words in ALERTS.values()}) == len(ALERTS)
