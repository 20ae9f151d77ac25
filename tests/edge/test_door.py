"""The local door: questions that count, questions that are void, and answers that are ours."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest

from edge.door import LOOK_EVERY_S, VOID_AFTER_S, Answered, Asked, Door, Silence, ask
from healthcode.terms import LaneMode

NOON = 5000.0


class Unit:
    """Whoever decides: says yes, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def decide(self, asked: Asked) -> Answered:
        self.asked.append(asked)
        return Answered(asked.at, asked.mode)


def put(folder: Path, content: bytes) -> None:
    (folder / "mode.ask").write_bytes(content)


def test_a_question_is_taken_once_and_answered(tmp_path: Path) -> None:
    unit, door = Unit(), Door(tmp_path)
    asked = Asked(LaneMode.LOCKED, NOON, note="li: market day")
    put(tmp_path, msgspec.json.encode(asked))
    door.attend(NOON + 1, unit.decide)
    door.attend(NOON + 1 + LOOK_EVERY_S, unit.decide)
    assert unit.asked == [asked]
    assert msgspec.json.decode((tmp_path / "mode.answer").read_bytes(), type=Answered) == Answered(NOON, LaneMode.LOCKED)


def test_nothing_is_looked_for_in_every_turn_of_the_loop(tmp_path: Path) -> None:
    unit, door = Unit(), Door(tmp_path)
    door.attend(NOON, unit.decide)
    put(tmp_path, msgspec.json.encode(Asked(LaneMode.LOCKED, NOON)))
    door.attend(NOON + LOOK_EVERY_S / 2, unit.decide)
    assert unit.asked == []
    door.attend(NOON + LOOK_EVERY_S, unit.decide)
    assert len(unit.asked) == 1


@pytest.mark.parametrize("late_s", [VOID_AFTER_S + 0.1, 86_400.0, -1.0], ids=["just too old", "of yesterday", "of a boot before"])
def test_a_question_of_another_time_is_void(tmp_path: Path, late_s: float) -> None:
    unit, door = Unit(), Door(tmp_path)
    put(tmp_path, msgspec.json.encode(Asked(LaneMode.FREE, NOON, 3600)))
    door.attend(NOON + late_s, unit.decide)
    assert unit.asked == []
    assert not (tmp_path / "mode.ask").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"free",
        b'{"mode": "open", "at": 5000}',
        b'{"mode": "free", "at": 5000, "for_s": 86401}',
        b'{"mode": "free", "at": 5000, "for_s": -1}',
        b'{"mode": "locked", "at": 5000, "more": 1}',
        b"\xff" * 10_000,
    ],
)
def test_what_is_no_question_is_thrown_away(tmp_path: Path, content: bytes) -> None:
    unit, door = Unit(), Door(tmp_path)
    put(tmp_path, content)
    door.attend(NOON, unit.decide)
    assert unit.asked == []
    assert not (tmp_path / "mode.ask").exists()


def test_a_unit_that_cannot_answer_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    unit, door = Unit(), Door(tmp_path)
    (tmp_path / "mode.answer").mkdir()
    put(tmp_path, msgspec.json.encode(Asked(LaneMode.LOCKED, NOON)))
    door.attend(NOON, unit.decide)
    assert len(unit.asked) == 1
    assert "cannot be left" in caplog.text


def test_who_asks_gets_the_answer_to_that_question_and_not_an_old_one(tmp_path: Path) -> None:
    unit, door = Unit(), Door(tmp_path)
    at = time.monotonic()
    (tmp_path / "mode.answer").write_bytes(msgspec.json.encode(Answered(at - 60, LaneMode.OUT_OF_SERVICE)))
    done = threading.Event()

    def turn() -> None:
        while not done.wait(0.02):
            door.attend(time.monotonic(), unit.decide)

    loop = threading.Thread(target=turn)
    loop.start()
    try:
        assert ask(tmp_path, Asked(LaneMode.LOCKED, at)) == Answered(at, LaneMode.LOCKED)
    finally:
        done.set()
        loop.join()


def test_a_unit_that_does_not_run_answers_nothing_and_nothing_is_left_for_its_start(tmp_path: Path) -> None:
    assert ask(tmp_path, Asked(LaneMode.FREE, time.monotonic(), 3600), limit_s=0.1) is Silence.UNHEARD
    assert list(tmp_path.iterdir()) == []


def test_who_asks_while_the_unit_is_in_the_middle_of_a_turn_is_heard(tmp_path: Path) -> None:
    unit, door = Unit(), Door(tmp_path)
    put(tmp_path, msgspec.json.encode(Asked(LaneMode.LOCKED, NOON + 0.03)))
    door.attend(NOON, unit.decide)
    assert len(unit.asked) == 1


def test_a_question_that_was_taken_and_not_answered_is_not_called_unheard(tmp_path: Path) -> None:
    (tmp_path / "mode.answer").mkdir()
    unit, is_over = Unit(), threading.Event()

    def turn() -> None:
        while not unit.asked and not is_over.wait(0.01):
            Door(tmp_path).attend(time.monotonic(), unit.decide)

    loop = threading.Thread(target=turn)
    loop.start()
    try:
        assert ask(tmp_path, Asked(LaneMode.LOCKED, time.monotonic()), limit_s=1.0) is Silence.UNTOLD
    finally:
        is_over.set()
        loop.join()
    assert len(unit.asked) == 1, "the lane is locked, and nobody may say that nothing was changed"
