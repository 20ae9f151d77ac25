"""Files that a power cut cannot leave half written. What is asked of the disk goes through `Calls`; a simulated disk brings its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.linkwords import Disk


@dataclass(frozen=True)
class Calls:
    """What is asked of the operating system to change a file: what each of os does, or OSError."""

    open: Callable[[Path, int, int], int] = os.open
    write: Callable[[int, bytes | memoryview], int] = os.write
    fsync: Callable[[int], None] = os.fsync
    replace: Callable[[Path, Path], None] = os.replace
    unlink: Callable[[Path], None] = os.unlink
    mkdir: Callable[[Path], None] = os.mkdir


CALLS = Calls()


def write_atomically(path: Path, data: bytes, calls: Calls = CALLS, mode: int = 0o666) -> None:
    """`data` into `path`: after a power cut the file holds all of the old or all of the new. OSError where the disk does not take it.

    Of a new file the umask may take from `mode`.
    """
    make_folder(path.parent, calls)
    fresh = path.with_name(path.name + ".new")
    file = calls.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        left = memoryview(data)
        while left:
            left = left[calls.write(file, left) :]
        calls.fsync(file)
    finally:
        os.close(file)
    calls.replace(fresh, path)
    sync_folder(path.parent, calls)


def keep_secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """The secret in `path`, for this account alone; what `make` gives where there is none, or one of another length. OSError as above."""
    fresh = make()
    try:
        held = path.read_bytes()
    except FileNotFoundError:
        held = b""
    if len(held) == len(fresh):
        return held
    write_atomically(path, fresh, mode=0o600)
    return fresh


def measure_disk(folder: Path, calls: Calls = CALLS) -> Disk:
    """What a small file takes in `folder`, as an event does, and the room that is left."""
    path = folder / "disk.test"
    began = time.perf_counter()
    try:
        write_atomically(path, b"0" * 512, calls, mode=0o600)
        took_ms = (time.perf_counter() - began) * 1000
        calls.unlink(path)
        room = os.statvfs(folder)
    except OSError as wrong:
        return Disk(round((time.perf_counter() - began) * 1000, 1), 0.0, f"{folder}: {wrong.strerror}")
    return Disk(round(took_ms, 1), round(room.f_bavail * room.f_frsize / 1e6, 1))


def make_folder(folder: Path, calls: Calls = CALLS) -> None:
    """`folder`, and what is missing above it, so that a power cut takes none of their names. OSError as above."""
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        with suppress(FileExistsError):
            calls.mkdir(each)
        try:
            sync_folder(each.parent, calls)
        except OSError:
            with suppress(OSError):
                each.rmdir()  # whoever comes next must not take its name for safe
            raise


def sync_folder(folder: Path, calls: Calls = CALLS) -> None:
    """Makes names that were added, changed or removed in `folder` last."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        calls.fsync(handle)
    finally:
        os.close(handle)
