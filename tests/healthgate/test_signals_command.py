"""`healthgate edge signals`: played on simulated pins, drawn, and refused in one line where somebody else holds the pins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from edge.drivers.world import WorldClient
from edge.signals import TABLE, WORDS, Signal
from healthgate.edge import app
from healthgate.signals import seconds_of
from healthgate.signals_picture import picture
from healthgate.world import World

DOCS = Path(__file__).parents[2] / "docs"
CONFIG = (
    'unit = "north"\nhardware = "simulated"\ndata = "{folder}"\nroots = ["root.pem"]\nworld = "{folder}/w"\ncamera.source = "simulated"\n'
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "gate.toml").write_text(CONFIG.format(folder=tmp_path))
    world = World(tmp_path / "w")
    yield world
    world.close()


def signals(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["signals", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.slow
def test_a_signal_is_named_in_two_languages_and_played_and_the_barrier_stays_locked(world: World, tmp_path: Path) -> None:
    status, said, _ = signals("--config", str(tmp_path / "gate.toml"), "--only", "red", "--night")
    assert status == 0
    assert all(words in said for words in (*WORDS[Signal.RED], "red 0.8 s, dark 0.2 s", "3 × (low"))
    assert world.wait_gone("north", 5.0)
    entries = world.entries("north")
    tones = [entry for entry in entries if entry.get("pin") == "buzzer" and entry["value"]]
    assert [(tone["hz"], tone["value"]) for tone in tones] == [(440, pytest.approx(0.0641, abs=1e-4))] * 3, "a fifth of the pressure"
    flashes = [entry for entry in entries if entry.get("pin") == "led_red" and entry["value"]]
    assert 3 <= len(flashes) <= 4
    assert not any(entry["value"] for entry in entries if entry.get("pin") == "relay")
    assert all(world.level("north", pin) == 0 for pin in ("led_red", "led_green", "led_blue", "buzzer"))


@pytest.mark.slow
def test_a_unit_that_runs_keeps_its_pins(world: World, tmp_path: Path) -> None:
    unit = WorldClient(str(tmp_path / "w"), "north")
    try:
        status, said, wrong = signals("--config", str(tmp_path / "gate.toml"))
    finally:
        unit.close()
    assert (status, said) == (2, "")
    assert re.fullmatch(r"healthgate edge signals: .*; a unit that runs holds its pins: stop it first\n", wrong)


def test_every_signal_plays_for_two_turns_and_all_of_its_sound() -> None:
    assert {signal: seconds_of(signal) for signal in (Signal.PASS, Signal.FIRE, Signal.GUARD, Signal.ALARM)} == {
        Signal.PASS: 3.0,
        Signal.FIRE: 8.0,
        Signal.GUARD: 5.0,
        Signal.ALARM: 3.0,
    }


def test_neither_a_gate_nor_a_file_is_a_matter_of_one_line() -> None:
    status, _, wrong = signals()
    assert (status, wrong.count("\n")) == (2, 1)
    assert "--config" in wrong and "--svg" in wrong


def test_a_picture_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    status, _, wrong = signals("--svg", str(tmp_path / "absent" / "signals.svg"))
    assert (status, wrong.count("\n")) == (2, 1)
    assert "expected a file that can be written" in wrong


def test_the_picture_in_docs_is_that_of_the_code(tmp_path: Path) -> None:
    assert signals("--svg", str(tmp_path / "signals.svg"))[0] == 0
    drawn = (tmp_path / "signals.svg").read_text(encoding="utf-8")
    assert drawn == picture()
    assert drawn == (DOCS / "signals.svg").read_text(encoding="utf-8"), "make it anew: ./run edge signals --svg docs/signals.svg"


def test_the_picture_shows_every_signal_with_its_words_its_flashes_and_its_beeps() -> None:
    space = {"svg": "http://www.w3.org/2000/svg"}
    root = ElementTree.fromstring(picture())
    for signal in Signal:
        (group,) = root.findall(f"svg:g[@id='{signal.value}']", space)
        words = " ".join(text.text or "" for text in group.findall("svg:text", space))
        assert all(part in words for part in WORDS[signal][0].split())
        assert WORDS[signal][1] in words
        lit = [rect for rect in group.findall("svg:rect", space) if rect.get("stroke")]
        turns = {Signal.READY: 3, Signal.MEASURING: 12, Signal.PASS: 1, Signal.RED: 6, Signal.GUARD: 8, Signal.ALARM: 30, Signal.FIRE: 5}
        assert len(lit) == turns.get(signal, len(lit))
        has_sound = bool(TABLE[signal].sound.steps)
        assert has_sound == any(rect.get("fill") == "#444444" for rect in group.findall("svg:rect", space))
