"""Files that a power cut cannot leave half written. `fsync` asks the disk to keep what it has; a simulated disk brings its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Fsync = Callable[[int], None]
"""Waits until the disk has a file, or a folder's names, by its descriptor; OSError where it does not take them."""


def write_atomically(path: Path, data: bytes, fsync: Fsync = os.fsync) -> None:
    """`data` into `path`: after a power cut the file holds all of the old or all of the new. OSError where the disk does not take it."""
    make_folder(path.parent, fsync)
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent, fsync)


def keep_secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """The secret in `path`, for this account alone; what `make` gives where there is none, or one of another length. OSError as above."""
    fresh = make()
    try:
        held = path.read_bytes()
    except FileNotFoundError:
        held = b""
    if len(held) == len(fresh):
        return held
    write_atomically(path, fresh)
    path.chmod(0o600)
    return fresh


def make_folder(folder: Path, fsync: Fsync = os.fsync) -> None:
    """`folder`, and what is missing above it, so that a power cut takes none of their names. OSError as above."""
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent, fsync)


def sync_folder(folder: Path, fsync: Fsync = os.fsync) -> None:
    """Makes names that were added, changed or removed in `folder` last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fsync(handle)
    finally:
        os.close(handle)
