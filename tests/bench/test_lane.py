"""The lane's benchmark: figures follow from what the witnesses saw, and the real processes let everybody through once."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from bench.lane_figures import Series, Times, Turn, ratio, settling_s, spread, summary, timings
from edge.config import Config
from healthcode.messages import AnyEvent, PassageEvent, PassEvent
from healthcode.terms import ClockState, Decision, PassageOutcome, Reason
from healthgate import bench

OBJECT = 0x07
CONFIG = Config(unit="lane", hardware="simulated", data="d", roots=("r",), world="w")
AT = datetime(2026, 1, 5, 8, tzinfo=UTC)
SPREADS = {"read_to_relay_ms", "with_settling_ms", "sensor_wait_ms", "beyond_sample_ms"}
SERIES = {
    *SPREADS,
    "presentations",
    "people_per_hour",
    "admitted",
    "used",
    "not_used",
    "lost",
    "twice",
    "other_passages",
    "other_verdicts",
    "phases_ms",
    "unit_cpu_percent",
}


def admitted(index: int, seq: int, ms: float) -> PassEvent:
    return PassEvent(seq=seq, at=AT, clock=ClockState.TRUSTED, decision=Decision.ADMIT, reason=Reason.GREEN, ms=ms, index=index)


def used(index: int, seq: int, grant: int) -> PassageEvent:
    return PassageEvent(seq=seq, at=AT, clock=ClockState.TRUSTED, outcome=PassageOutcome.USED, grant=grant, list="u", index=index)


def frame(at: float, *shown: str) -> dict[str, Any]:
    return {"frame": 1, "shown": list(shown), "at": at}


def sample(at: float) -> dict[str, Any]:
    return {"register": OBJECT, "word": 15360, "error": None, "at": at}


def rise(at: float) -> dict[str, Any]:
    return {"pin": "relay", "value": 1, "at": at}


def blue(at: float) -> dict[str, Any]:
    return {"pin": "led_blue", "value": 1, "at": at}


def posed(at: float, name: str) -> dict[str, Any]:
    return {"scene": {"shown": [{"id": name, "text": "HB1:"}], "tilt": 12.0}, "seen_at": at}


def whole(at: float) -> dict[str, Any]:
    return {"scene": {"beam": False}, "seen_at": at}


def timings_of(series: Series) -> list[Times]:
    return timings(series, CONFIG.camera.steady_after)


def one_person(*entries: dict[str, Any], ms: float = 500.0, readable: str = "b") -> Series:
    """Person 7, to whom pictures a (far off) and b were shown, and for whom the relay rose at 10.51."""
    journal = [frame(9.8, "a"), frame(10.0, "b"), sample(10.1), sample(10.3), sample(10.49), rise(10.51), *entries]
    events: list[AnyEvent] = [admitted(7, 1, ms), used(7, 2, 1)]
    return Series([Turn(7, readable, 10.51)], journal, events, [[10.51]])


def test_time_runs_from_the_first_frame_that_could_be_read_to_the_relay() -> None:
    (times,) = timings_of(one_person(blue(10.03), posed(9.95, "b")))
    assert times.whole == pytest.approx(0.51)
    assert times.sensor == pytest.approx(0.49)
    assert times.beyond_sample == pytest.approx(0.02)
    assert times.to_frame == pytest.approx(0.05)
    assert times.to_light == pytest.approx(0.03)
    assert times.sample_to_decided == pytest.approx(0.01)
    assert times.decided_to_relay == pytest.approx(0.01)


def test_the_light_says_nothing_where_it_was_blue_before_the_code_was_read() -> None:
    series = one_person(blue(10.03))
    series.events = [msgspec.structs.replace(event, glimpses=4) if isinstance(event, PassEvent) else event for event in series.events]
    (times,) = timings_of(series)
    assert times.to_light is None


def test_a_white_light_that_goes_out_is_not_taken_for_blue() -> None:
    white = [{"pin": line, "value": 1, "at": 9.0} for line in ("led_red", "led_green", "led_blue")]
    out = [{"pin": line, "value": 0, "at": 10.2 + part / 1000} for part, line in enumerate(("led_red", "led_green", "led_blue"))]
    (times,) = timings_of(one_person(*white, *out))
    assert times.to_light is None
    (times,) = timings_of(one_person(*white, *out[:2]))
    assert times.to_light == pytest.approx(0.201), "two of its lines went out: blue is left"


def test_a_frame_that_our_reader_reads_counts_even_where_the_unit_read_a_later_one() -> None:
    (times,) = timings_of(one_person(readable="a"))
    assert times.whole == pytest.approx(0.71)


def test_what_the_unit_read_before_our_reader_counts_from_there() -> None:
    (times,) = timings_of(one_person(ms=650.0))
    assert times.whole == pytest.approx(0.65)
    assert times.sample_to_decided is None, "the unit's own frame is not in the journal: when it decided is not known"


def test_who_waits_for_the_one_before_them_is_timed_from_the_free_lane() -> None:
    (times,) = timings_of(one_person(whole(10.25)))
    assert times.whole == pytest.approx(0.26)
    (times,) = timings_of(one_person(whole(11.5)))
    assert times.whole == pytest.approx(0.51), "their own way out of the beam comes after"


def test_the_settling_time_is_taken_off_the_same_for_all() -> None:
    told = summary(one_person(), CONFIG)
    assert settling_s(CONFIG) == pytest.approx(3 * CONFIG.sensor.quiet_s)
    beyond = pytest.approx(510.0 - 1000 * settling_s(CONFIG))
    assert told["read_to_relay_ms"] == {"p50": beyond, "p99": beyond, "n": 1}
    assert told["with_settling_ms"] == {"p50": 510.0, "p99": 510.0, "n": 1}


def test_nobody_lost_nobody_twice() -> None:
    told = summary(one_person(), CONFIG)
    assert (told["presentations"], told["admitted"], told["used"], told["lost"], told["twice"]) == (1, 1, 1, 0, 0)


def test_who_was_not_admitted_is_lost() -> None:
    series = one_person()
    series.turns.append(Turn(8, "c", None))
    assert summary(series, CONFIG)["lost"] == 1


@pytest.mark.parametrize(
    "again",
    [admitted(7, 3, 400.0), used(7, 3, 1)],
    ids=["two verdicts", "two passages"],
)
def test_who_was_let_in_twice_is_counted(again: AnyEvent) -> None:
    series = one_person()
    series.events.append(again)
    assert summary(series, CONFIG)["twice"] == 1


def test_a_relay_that_rises_without_a_verdict_is_counted() -> None:
    assert summary(one_person(rise(10.9)), CONFIG)["twice"] == 1


def test_people_an_hour_are_intervals_between_rises_within_a_block() -> None:
    series = Series(blocks=[[0.0, 3.0, 6.0], [100.0, 102.0]])
    assert summary(series, CONFIG)["people_per_hour"] == 1350.0
    assert summary(Series(blocks=[[5.0]]), CONFIG)["people_per_hour"] is None


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert spread([n / 1000 for n in range(1, 101)]) == {"p50": 50.0, "p99": 99.0, "n": 100}
    assert spread([0.004, None]) == {"p50": 4.0, "p99": 4.0, "n": 1}
    assert spread([]) == {"p50": None, "p99": None, "n": 0}


def test_a_ratio_of_nothing_is_nothing() -> None:
    assert ratio(spread([0.3]), spread([0.2])) == {"p50": 1.5, "p99": 1.5}
    assert ratio(spread([]), spread([0.2])) == {"p50": None, "p99": None}


@pytest.mark.slow
def test_the_json_has_the_promised_form_and_everybody_gets_in_once(tmp_path: Path) -> None:
    folder = tmp_path / "lane"
    command = [sys.executable, "-m", "healthgate", "bench", "lane", "--people", "4", "--close", "3", "--pace", "0", "--beam", "0.3"]
    done = subprocess.run([*command, "--folder", str(folder), "--json"], capture_output=True, text=True, timeout=240, check=True)
    said = json.loads(done.stdout)
    extra = {"server", "settling_ms", "unreachable_over_reachable", "unreachable", "close", "events", "environment"}
    assert set(said) == SERIES | extra
    assert said["server"] == "reachable"
    for one, people in ((said, 4), (said["unreachable"], 4), (said["close"], 3)):
        assert set(one) >= SERIES
        counts = {name: one[name] for name in ("presentations", "admitted", "used", "not_used", "lost", "twice")}
        assert counts == {"presentations": people, "admitted": people, "used": people, "not_used": 0, "lost": 0, "twice": 0}
        assert all(one[name]["n"] == people for name in SPREADS)
        assert 0 < one["beyond_sample_ms"]["p50"] < one["with_settling_ms"]["p50"]
        assert one["people_per_hour"] > 0
    assert said["events"]["at_gate"] == said["events"]["at_server"] >= 2 * 11
    assert said["settling_ms"] == said["environment"]["sensor"]["samples"] * said["environment"]["sensor"]["silence_ms"]
    assert set(said["environment"]) >= {"cores", "load_at_start", "fsync_ms", "people_each_way", "pace_s", "beam_s"}
    assert (folder / "lane" / "outbox.sqlite").exists()


@pytest.mark.slow
def test_a_folder_that_is_in_use_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    command = [sys.executable, "-m", "healthgate", "bench", "lane", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "is not empty" in " ".join(done.stderr.replace("│", "").split())  # where the frame's lines break depends on the folder's name


def test_a_part_that_there_is_not_is_one_line() -> None:
    said = CliRunner().invoke(bench.app, ["lane", "--part", "XYZ"])
    assert said.exit_code == 2
    assert "expected one of DCI, DCC" in said.output
