"""What is unusual for a gate at this hour: by its own past, with made-up people while it has none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.hours import Hours
from edge.unusual import HOUR_S, KEPT_DAYS, LEAST, OVER_AT, RAISED_AT, Concluded, Tally, chance_of, find_unusual, usual_share
from healthcode.terms import Decision, Reason

NONE: frozenset[str] = frozenset()
NINE = 24 * 20_000 + 9  # nine o'clock on some day, in hours since 1970
BUSY = {NINE - 24 * day: Tally(verdicts=300, refusals=15, measured=285, fevers=0) for day in range(1, 29)}


@pytest.mark.parametrize(
    ("now", "history", "raised"),
    [
        (Tally(300, 15, 285, 0), BUSY, set()),
        (Tally(300, 15, 285, 4), BUSY, {"fevers"}),
        (Tally(300, 15, 285, 3), BUSY, set()),
        (Tally(300, 30, 285, 0), BUSY, set()),
        (Tally(300, 40, 285, 0), BUSY, {"refusals"}),
        (Tally(5, 5, 0, 0), BUSY, {"refusals"}),
        (Tally(4, 4, 0, 0), BUSY, set()),
        (Tally(300, 15, 285, 4), {}, set()),
        (Tally(300, 15, 285, 12), {}, {"fevers"}),
        (Tally(5, 0, 5, 5), {}, {"fevers"}),
    ],
    ids=[
        "as on any day",
        "four fevers where there are none",
        "three are not enough to tell",
        "twice the refusals may be chance",
        "forty are not",
        "five, all refused",
        "four are not enough to tell",
        "a new gate may have some",
        "a new gate with very many",
        "a new gate where everybody has one",
    ],
)
def test_the_rule(now: Tally, history: dict[int, Tally], raised: set[str]) -> None:
    assert find_unusual(now, history, NINE, NONE).keys() == raised


def test_only_this_hour_of_the_last_four_weeks_is_compared() -> None:
    other = {NINE - 1: Tally(1000, 900, 0, 0), NINE - 24 * (KEPT_DAYS + 1): Tally(1000, 900, 0, 0), NINE: Tally(1000, 900, 0, 0)}
    assert usual_share(other, NINE, "refusals") == pytest.approx(0.05)
    assert usual_share(other, None, "refusals") > 0.8, "who does not know the time takes all hours"
    assert usual_share(BUSY, NINE, "refusals") == pytest.approx(0.05, abs=0.001)


def test_a_busy_hour_does_not_raise_what_its_share_explains() -> None:
    assert find_unusual(Tally(3000, 150, 2850, 0), BUSY, NINE, NONE) == {}


def test_it_does_not_flutter() -> None:
    history = {NINE - 24: Tally(10_000, 500, 9500, 0)}
    counts = [count for count in range(LEAST, 200) if find_unusual(Tally(300, count), history, NINE, NONE)]
    stays = [count for count in range(LEAST, 200) if find_unusual(Tally(300, count), history, NINE, frozenset({"refusals"}))]
    assert counts == list(range(counts[0], 200))
    assert stays == list(range(stays[0], 200))
    assert stays[0] < counts[0]


@given(st.integers(0, 400), st.floats(0.001, 300))
def test_the_chance_is_poissons(count: int, expected: float) -> None:
    """Against the sum from the other side, where that can be told from 1."""
    from math import exp, lgamma, log

    below = sum(exp(k * log(expected) - expected - lgamma(k + 1)) for k in range(count))
    assert chance_of(count, expected) == pytest.approx(max(0.0, 1 - below), abs=1e-9)


def test_the_chance_falls_with_the_count() -> None:
    chances = [chance_of(count, 15.0) for count in range(60)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] == 1.0
    assert chance_of(1, 0.0) == 0.0
    assert RAISED_AT < OVER_AT


def refused(at: float) -> Concluded:
    return Concluded(at, Decision.REFUSE, Reason.RED, False)


def admitted(at: float) -> Concluded:
    return Concluded(at, Decision.ADMIT, Reason.GREEN, True)


def test_hours_are_kept_over_a_restart_and_forgotten_after_four_weeks(tmp_path: Path) -> None:
    wall, hours = NINE * HOUR_S + 1.0, Hours(tmp_path / "hours.json")
    hours.find_unusual(0.0, wall, NONE)
    for _ in range(1000):
        hours.count(refused(0.0))
    assert hours.find_unusual(1.0, wall, NONE).keys() == {"refusals"}
    assert hours.find_unusual(HOUR_S, wall + HOUR_S, NONE).keys() == {"refusals"}, "the last hour is not the clock's"
    assert hours.find_unusual(HOUR_S + 1.0, wall + HOUR_S, NONE) == {}
    again = Hours(tmp_path / "hours.json")
    again.find_unusual(0.0, wall + 24 * HOUR_S, NONE)
    for _ in range(20):
        again.count(refused(0.0))
    assert again.find_unusual(1.0, wall + 24 * HOUR_S, NONE) == {}, "this gate refuses nearly everybody at nine"
    again.find_unusual(1.0, wall + 40 * 24 * HOUR_S, NONE)
    again.count(admitted(2.0))
    again.find_unusual(3.0, wall + (40 * 24 + 1) * HOUR_S, NONE)
    assert str(NINE) not in (tmp_path / "hours.json").read_text()


def test_hours_that_cannot_be_read_are_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "hours.json").write_bytes(b"{" * 9)
    assert Hours(tmp_path / "hours.json").find_unusual(0.0, None, NONE) == {}
    assert "what was usual is not known any more" in caplog.text


def test_hours_on_a_full_disk_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "hours.json.new").mkdir()
    hours = Hours(tmp_path / "hours.json")
    hours.find_unusual(0.0, NINE * HOUR_S, NONE)
    hours.count(admitted(0.0))
    hours.find_unusual(1.0, (NINE + 1) * HOUR_S, NONE)
    assert "cannot be stored" in caplog.text


def test_while_the_time_is_not_known_nothing_is_counted_into_an_hour(tmp_path: Path) -> None:
    hours = Hours(tmp_path / "hours.json")
    for _ in range(10):
        hours.count(refused(0.0))
    assert hours.find_unusual(1.0, None, NONE).keys() == {"refusals"}
    assert not (tmp_path / "hours.json").exists()
