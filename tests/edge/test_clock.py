from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.clock import Clock, FloorFile, Kept, ResetLetter
from edge.timekeeping import AnswerOutcome, ResetOutcome
from healthcode.messages import ClockReset, TimeAnswer
from healthcode.terms import ClockState

NOON = 1_583_323_200.0
HOUR = 3600.0
DAY = 24 * HOUR


def answer(wall: float, nonce: str) -> TimeAnswer:
    return TimeAnswer(unit="north", nonce=nonce, at_ms=round(wall * 1000))


@dataclass
class Hands:
    """Clocks that a test moves."""

    mono: float = 100.0
    system: float = NOON
    drawn: list[str] = field(default_factory=list)

    def draw(self) -> str:
        self.drawn.append(f"{len(self.drawn):032x}")
        return self.drawn[-1]


def clock(path: Path, hands: Hands) -> Clock:
    read: tuple[Callable[[], float], Callable[[], float]] = (lambda: hands.mono, lambda: hands.system)
    return Clock(FloorFile(path), monotonic=read[0], system=read[1], draw=hands.draw, synchronised=lambda: True)


def test_the_clock_keeps_its_floor_over_a_restart(tmp_path: Path) -> None:
    hands = Hands()
    first = clock(tmp_path / "floor", hands)
    assert first.state() is ClockState.UNTRUSTED
    question = first.question()
    assert question is not None
    assert first.question() is None
    assert first.answer(answer(NOON + 1, question.nonce)) is AnswerOutcome.TAKEN
    assert first.state() is ClockState.TRUSTED
    hands.mono, hands.system = 1.0, NOON + 30
    again = clock(tmp_path / "floor", hands)
    assert again.floor == NOON + 1
    assert again.state() is ClockState.HOLDOVER
    hands.system = NOON - DAY
    assert again.state() is ClockState.UNTRUSTED


@pytest.mark.parametrize(
    "content",
    [b"", b"yesterday", b"nan", b"-5", b"1e300", b"\xff\xfe", b"1583323200 x", b"1583323200 1 2", b"1583323200 -1", b"1583323200 1e3"],
)
def test_a_damaged_floor_is_no_floor_and_the_log_says_so(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "floor").write_bytes(content)
    assert FloorFile(tmp_path / "floor").load() == Kept()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(tmp_path / "floor") in record.message


def test_a_floor_that_was_never_there_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert FloorFile(tmp_path / "floor").load() == Kept()
    assert not caplog.records


@pytest.mark.parametrize("kept", [Kept(NOON), Kept(NOON + 0.25, 7), Kept(0.0, 2**53)])
def test_what_is_kept_is_found_again(tmp_path: Path, kept: Kept) -> None:
    file = FloorFile(tmp_path / "floor")
    file.store(kept)
    assert file.load() == kept


def test_a_half_written_floor_is_never_seen(tmp_path: Path) -> None:
    file = FloorFile(tmp_path / "floor")
    file.store(Kept(NOON))
    (tmp_path / "floor.new").write_bytes(b"15")
    assert file.load() == Kept(NOON)


def test_a_floor_that_cannot_be_stored_is_told_and_stored_when_it_can(tmp_path: Path) -> None:
    hands = Hands()
    unit = clock(tmp_path / "data" / "floor", hands)
    (tmp_path / "data").write_text("a file where the folder should be")
    question = unit.question()
    assert question is not None
    assert unit.answer(answer(NOON, question.nonce)) is AnswerOutcome.TAKEN
    assert unit.state() is ClockState.TRUSTED
    assert unit.disk_error.startswith("the clock's floor cannot be stored: ")
    (tmp_path / "data").unlink()
    hands.mono += HOUR
    question = unit.question()
    assert question is not None
    assert unit.answer(answer(NOON + HOUR, question.nonce)) is AnswerOutcome.TAKEN
    assert unit.disk_error == ""
    assert FloorFile(tmp_path / "data" / "floor").load() == Kept(NOON + HOUR)


def reset(to: float, serial: int = 1) -> ClockReset:
    return ClockReset(unit="north", serial=serial, floor=int(to))


def test_a_reset_outlives_a_restart_and_so_does_its_serial(tmp_path: Path) -> None:
    hands = Hands()
    FloorFile(tmp_path / "floor").store(Kept(NOON + 400 * DAY))
    unit = clock(tmp_path / "floor", hands)
    assert unit.doubt() == "the system's clock is before 2021-04-08 12:00:00 UTC, which the time server has said"
    assert unit.reset(reset(NOON - HOUR)) is ResetOutcome.TAKEN
    assert (unit.state(), unit.doubt()) == (ClockState.HOLDOVER, "")
    again = clock(tmp_path / "floor", hands)
    assert (again.floor, again.serial) == (NOON - HOUR, 1)
    assert again.reset(reset(NOON - DAY)) is ResetOutcome.OLD
    assert again.reset(reset(NOON - DAY, 2)) is ResetOutcome.TAKEN


def test_a_reset_that_the_disk_does_not_take_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "floor").mkdir()
    unit = clock(tmp_path / "floor", Hands())
    with pytest.raises(OSError, match="floor"):
        unit.reset(reset(NOON - HOUR))
    assert (unit.floor, unit.serial, unit.state()) == (None, 0, ClockState.UNTRUSTED)


def test_a_kernel_that_may_not_be_asked_is_told_once_and_nothing_else_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def forbidden() -> bool:
        raise PermissionError(1, os.strerror(1))

    FloorFile(tmp_path / "floor").store(Kept(NOON - HOUR))
    unit = Clock(FloorFile(tmp_path / "floor"), monotonic=lambda: 0.0, system=lambda: NOON, draw=lambda: "0" * 32, synchronised=forbidden)
    assert [unit.state() for _ in range(3)] == [ClockState.HOLDOVER] * 3
    (record,) = caplog.records
    assert "a time server that disagrees goes unnoticed" in record.message


def test_a_letter_is_taken_once(tmp_path: Path) -> None:
    letter = ResetLetter(tmp_path)
    assert letter.take() is None
    letter.leave(b"reset")
    assert letter.waits
    assert ResetLetter(tmp_path).take() == b"reset"
    assert letter.take() is None
    assert not letter.waits
