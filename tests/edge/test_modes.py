"""The lane's mode over restarts: what was kept, what was damaged, what the disk did not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.modes import STORE_AGAIN_S, Modes
from healthcode.terms import LaneMode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "mode"


def test_a_new_unit_is_controlled_and_writes_nothing(path: Path) -> None:
    modes = Modes(path)
    modes.keep(LaneMode.CONTROLLED, 1.0)
    assert (modes.kept, modes.trouble, path.exists()) == (LaneMode.CONTROLLED, "", False)


@pytest.mark.parametrize("mode", [LaneMode.CONTROLLED, LaneMode.LOCKED, LaneMode.OUT_OF_SERVICE])
def test_what_was_set_is_there_after_a_restart(path: Path, mode: LaneMode) -> None:
    first = Modes(path)
    first.keep(LaneMode.OUT_OF_SERVICE, 1.0)
    first.keep(mode, 2.0)
    assert Modes(path).kept is mode


def test_free_ends_at_a_restart(path: Path) -> None:
    modes = Modes(path)
    modes.keep(LaneMode.LOCKED, 1.0)
    modes.keep(LaneMode.FREE, 2.0)
    assert Modes(path).kept is LaneMode.CONTROLLED


@pytest.mark.parametrize("content", [b"", b"free\n", b"open\n", b"lock", b"\xff\xfe\x00", b"controlled\nlocked\n", b"x" * 5000])
def test_what_cannot_be_read_means_locked_until_somebody_sets_it(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    modes = Modes(path)
    assert modes.kept is LaneMode.LOCKED
    assert "locked until somebody sets it" in modes.trouble
    modes.keep(LaneMode.LOCKED, 1.0)
    assert modes.trouble, "nobody has set it"
    modes.keep(LaneMode.LOCKED, 2.0, anew=True)
    assert modes.trouble == ""
    assert Modes(path).trouble == ""


def test_a_folder_in_the_files_place_means_locked_too(path: Path) -> None:
    path.mkdir(parents=True)
    assert Modes(path).kept is LaneMode.LOCKED


def test_a_disk_that_does_not_take_the_mode_is_asked_again_once_a_second(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    modes = Modes(tmp_path / "data" / "mode")
    (tmp_path / "data").symlink_to(blocked)
    modes.keep(LaneMode.LOCKED, 1.0)
    assert "the mode locked cannot be stored" in modes.trouble
    (tmp_path / "data").unlink()
    modes.keep(LaneMode.LOCKED, 1.0 + STORE_AGAIN_S / 2)
    assert modes.trouble
    modes.keep(LaneMode.LOCKED, 1.0 + STORE_AGAIN_S)
    assert modes.trouble == ""
    assert Modes(tmp_path / "data" / "mode").kept is LaneMode.LOCKED
