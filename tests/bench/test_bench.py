"""The benchmark: its frames come from their seed, its JSON has the promised form, its command says what is missing."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.idle import measure
from bench.presentations import CONDITIONS, FRAMES, HEIGHT, WIDTH, code_text, empty_frames, present
from edge.drivers.camera import Frame
from edge.scan import Reader, Sighting
from healthcode import token
from healthgate import bench
from tests.edge.codes import TEXT, qr

PHOTOS_KEYS = {"read", "wrong", "ms"}


def test_a_presentation_comes_from_its_seed_and_number() -> None:
    one, again, other = present(1, 4), present(1, 4), present(2, 4)
    assert one.text == again.text != other.text
    assert all(np.array_equal(a, b) for a, b in zip(one.frames, again.frames, strict=True))
    assert not np.array_equal(one.frames[0], other.frames[0])
    assert len(one.frames) == FRAMES
    assert one.frames[0].shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("number", range(len(CONDITIONS)))
def test_every_condition_is_shown_in_turn(number: int) -> None:
    assert present(1, number).condition == CONDITIONS[number]


def test_the_codes_are_codes_of_ours() -> None:
    text = code_text(1, 3)
    assert text.startswith(token.PREFIX)
    assert not isinstance(token.unwrap(text), token.TokenFault)


def test_a_plain_presentation_is_read() -> None:
    shown = present(1, 0)
    assert Reader(["zxing_local"]).sight(Frame(shown.frames[0], 1.0)) == Sighting(shown.text, 1.0, "zxing_local")


def test_empty_frames_differ_and_hold_no_code() -> None:
    frames = list(empty_frames(1, 0, 8))
    assert len({frame.tobytes() for frame in frames}) == 8
    reader = Reader(["zxing_local", "zxing_global", "grid"])
    assert [reader.read_all(frame).texts for frame in frames] == [()] * 8


@pytest.mark.slow
def test_the_json_has_the_promised_form(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from PIL import Image

    Image.fromarray(qr(TEXT)).save(tmp_path / "a.png")
    Image.fromarray(np.full((100, 100), 200, np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "index.json").write_text(json.dumps([{"file": "a.png", "expect": [TEXT]}, {"file": "b.png", "expect": []}]))
    picture = tmp_path / "picture.svg"
    command = [sys.executable, "-m", "healthgate", "bench", "scan", "--photos", str(tmp_path), "--presentations", "4", "--empty", "6"]
    done = subprocess.run([*command, "--json", "--picture", str(picture)], capture_output=True, text=True, timeout=240, check=True)
    said = json.loads(done.stdout)
    assert set(said) == {"photos", "presentations", "empty_frame_ms", "false_reads"}
    assert {key: said["photos"][key] for key in ("total", "read", "wrong")} == {"total": 1, "read": 1, "wrong": 0}
    assert set(said["photos"]) == {"total", "peers"} | PHOTOS_KEYS
    assert all(set(peer) == PHOTOS_KEYS for peer in said["photos"]["peers"].values())
    assert set(said["photos"]["peers"]) == {"pyzbar", "pyzbar_qr", "zxing", "opencv"}
    assert set(said["presentations"]) == {"total", "within", "peers"}
    assert said["presentations"]["total"] == 4
    assert set(said["presentations"]["within"]) == {"1", "3", "5", "8"}
    assert set(said["empty_frame_ms"]) == {"ours", "peers"}
    assert said["false_reads"] == 0
    assert picture.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.slow
def test_an_idle_gate_is_measured() -> None:
    said = measure(2.0, 1)
    assert 10 < said["fps"] < 20
    assert said["decoded_fps"] <= said["fps"]
    assert said["cpu_percent"] > 0
    assert 0 < said["together_mb"] <= said["parent_mb"] + said["children_mb"]


def test_a_folder_without_an_index_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    said = CliRunner().invoke(bench.app, ["scan", "--photos", str(tmp_path), "--presentations", "0", "--empty", "0"])
    assert said.exit_code == 2
    assert "index.json" in said.output


def test_the_benchmark_of_lists_has_the_promised_form_and_a_list_near_its_entropy() -> None:
    result = CliRunner().invoke(bench.app, ["lists", "--entries", "400000", "--deltas", "40", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"entries", "entropy_bytes", "snapshot_bytes", "delta_bytes_10k", "load_ms", "lookup_us", "apply_ms_10k", "rss_mb"} <= set(found)
    assert (found["long_log_deltas"], found["load_long_log_ms"] > 0) == (40, True)
    assert 40 * 100 < found["long_log_bytes"] < 40 * 500
    assert set(found["peers"]) == {"sqlite", "dict", "sorted_array"}
    assert found["entropy_bytes"] == pytest.approx(400_000 * 0.0916 / 8, rel=0.01)
    assert found["entropy_bytes"] < found["snapshot_bytes"]
    assert found["delta_entropy_bytes_10k"] < found["delta_bytes_10k"] < 1.25 * found["delta_entropy_bytes_10k"]
    assert found["rss_of_libraries_mb"] + 16 < found["rss_mb"] < found["rss_of_unit_mb"]
    assert found["private_mb"] < found["pss_mb"] < found["rss_mb"] < 45


def test_the_benchmark_of_sync_brings_all_into_step_and_turns_keep_changes_from_waiting() -> None:
    result = CliRunner().invoke(bench.app, ["sync", "--units", "12", "--storm", "8", "--server-mbit", "60", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["links"], found["converged"]) == (12, 12)
    assert 1.0 <= found["bytes_per_unit_over_needed"] < 1.5
    storm, quiet, turns, at_once = (found[part] for part in bench.SYNC_PARTS)
    assert storm["changes"] > 8
    assert quiet["within_a_second"] == 1.0
    assert storm["to_each_ms"]["p99"] > quiet["to_each_ms"]["p99"], "what is lost is late"
    assert (turns["fetched_by"], at_once["fetched_by"]) == (12, 12)
    assert turns["on_the_way_ms"]["p99"] < at_once["on_the_way_ms"]["p99"]


def test_the_benchmark_of_checks_has_the_promised_form() -> None:
    result = CliRunner().invoke(bench.app, ["check", "--turns", "10", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {"ES256", "Ed25519"}
    assert all(set(figures) == {"checks_per_s", "bare_verifies_per_s", "ratio"} for figures in found.values())
    assert all(figures["ratio"] < 1.2 for figures in found.values())
