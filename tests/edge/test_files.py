from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edge.files import Calls, make_folder, write_atomically


def names_of(descriptors: list[str], folder: Path) -> list[str]:
    return [str(Path(each).relative_to(folder)) for each in descriptors]


def test_every_folder_that_is_made_is_synced_in_the_one_above_it_before_anything_is_in_it(tmp_path: Path) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        os.fsync(descriptor)

    write_atomically(tmp_path / "a" / "b" / "file", b"content", Calls(fsync=fsync))
    assert names_of(synced, tmp_path) == [".", "a", "a/b/file.new", "a/b"]
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"content"
    synced.clear()
    make_folder(tmp_path / "a" / "b", Calls(fsync=fsync))
    assert synced == []


def test_a_folder_whose_name_the_disk_did_not_take_is_made_and_synced_again(tmp_path: Path) -> None:
    synced: list[str] = []

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    with pytest.raises(OSError, match="input/output"):
        make_folder(tmp_path / "a", Calls(fsync=refuse))
    make_folder(tmp_path / "a", Calls(fsync=fsync))
    assert names_of(synced, tmp_path) == ["."]


def test_a_write_that_is_cut_short_goes_on(tmp_path: Path) -> None:
    calls = Calls(write=lambda descriptor, data: os.write(descriptor, data[:3]))
    write_atomically(tmp_path / "file", b"ten bytes!", calls)
    assert (tmp_path / "file").read_bytes() == b"ten bytes!"
