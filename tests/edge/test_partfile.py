"""What is kept of a snapshot on its way: whatever the card does to the file, what comes back is the true beginning or nothing."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.files import Calls
from edge.partfile import PartFile
from edge.syncwords import Part
from healthcode.messages import SnapshotRef

WHOLE = Random(1).randbytes(1000)
REF = SnapshotRef(version=7, size=1000, sha256=bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list" / "part"


def keep(path: Path, pieces: int = 5, ref: SnapshotRef = REF) -> PartFile:
    file = PartFile(path)
    for number in range(pieces):
        file.add(1, ref, number * 100, WHOLE[number * 100 : number * 100 + 100])
    return file


def test_what_was_kept_is_there_after_a_restart_and_goes_on(path: Path) -> None:
    keep(path).close()
    again = PartFile(path)
    assert again.read() == Part(1, REF, WHOLE[:500])
    again.add(1, REF, 500, WHOLE[500:600])
    again.close()
    assert PartFile(path).read() == Part(1, REF, WHOLE[:600])


def test_a_piece_that_does_not_follow_is_left_out(path: Path) -> None:
    file = keep(path)
    file.add(1, REF, 600, b"later")
    file.add(2, REF, 500, b"another epoch")
    file.add(1, SnapshotRef(version=8, size=1000, sha256=REF.sha256), 500, b"another version")
    assert file.read() == Part(1, REF, WHOLE[:500])


def test_another_snapshot_s_first_piece_begins_anew(path: Path) -> None:
    file = keep(path)
    other = SnapshotRef(version=8, size=500, sha256=bytes(32))
    file.add(1, other, 0, b"other")
    assert file.read() == Part(1, other, b"other")


def test_nothing_and_no_more_than_the_beginning_are_both_nothing(path: Path) -> None:
    assert PartFile(path).read() is None
    keep(path, 10).close()
    assert PartFile(path).read() is None, "a whole snapshot is no part: it was false, or is swapped in"
    file = keep(path)
    file.remove()
    assert not path.exists()
    file.remove()


@given(at=st.integers(0, 600), what=st.sampled_from(["cut", "flip", "zeros", "longer"]))
def test_after_a_power_cut_it_is_the_true_beginning_or_nothing(tmp_path_factory: pytest.TempPathFactory, at: int, what: str) -> None:
    path = tmp_path_factory.mktemp("card") / "part"
    keep(path).close()
    raw = bytearray(path.read_bytes())
    at = at % len(raw)
    damaged = {
        "cut": raw[:at],
        "flip": raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :],
        "zeros": raw[:at] + bytes(len(raw) - at),
        "longer": raw + raw[at:],
    }[what]
    path.write_bytes(damaged)
    file = PartFile(path)
    found = file.read()
    if found is None:
        return
    assert (found.epoch, found.ref) == (1, REF)
    assert found.data == WHOLE[: len(found.data)] or what == "longer"
    before = len(found.data)
    file.add(1, REF, before, b"next")
    file.close()
    again = PartFile(path).read()
    assert again is not None
    assert again.data == found.data + b"next"


def test_a_full_card_costs_the_piece_and_nothing_else(path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    path.parent.mkdir(parents=True, exist_ok=True)
    file = PartFile(path, Calls(fsync=full))
    file.add(1, REF, 0, WHOLE[:100])
    with pytest.raises(OSError, match="no space"):
        file.flush()
    assert file.read() == Part(1, REF, WHOLE[:100])
