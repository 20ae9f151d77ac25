"""One status list on the unit's disk: a snapshot that never changes, a log of deltas beside it, and the newest head.

    list-{epoch}-{version}.snapshot     the issuer's signed snapshot, put in place by one rename
    list-{epoch}-{version}.log          the signed deltas after it: length (4 bytes), CRC-32 (4 bytes), delta; again and again
    head                                the newest adopted head, for its as_of
    part                                a snapshot that is on its way (edge.partfile)

A snapshot's log is written before its rename, so that the rename alone decides. What follows the first damaged record of a log is as if
it were not there, and goes when the next delta is appended. A record is in the kernel's hands at once (kill -9 loses nothing) and on
the card at the next `flush` (a power cut loses seconds, which the server sends again).

What the disk does not take stays in memory, a snapshot and the deltas since the last flush, and each `flush` writes all of it again: after
a sync that failed the kernel takes for clean what the disk does not have (Rebello et al., "Can Applications Recover from fsync Failures?",
USENIX ATC 2020), so that asking it to sync again would not help.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.files import CALLS, Calls, make_folder, sync_folder, write_atomically
from healthcode.messages import MAX_HEAD, MAX_SIGNED, MAX_SNAPSHOT

_RECORD = struct.Struct(">II")
_NAME = re.compile(r"list-(\d{1,16})-(\d{1,16})\.snapshot")
PART = "part"
MAX_LOG = 64 * 1024 * 1024
"""Bytes of a log that are read at most; the unit fetches a new snapshot long before."""
MOST_UNSAFE = 4 * 1024 * 1024
"""Bytes of deltas that wait in memory for a disk at most; beyond it the log has ended, and the next snapshot begins another."""


@dataclass(frozen=True, order=True)
class Base:
    """Which snapshot: its epoch and version."""

    epoch: int
    version: int


class ListFolder:
    """The files of one list. Every method may raise OSError."""

    def __init__(self, folder: Path, calls: Calls = CALLS) -> None:
        self.folder = folder
        self.records = self.log_bytes = 0
        self._calls = calls
        self._base: Base | None = None
        self._log: int | None = None
        self._snapshot: bytes | None = None  # to be put in place
        self._end = 0  # bytes of the log that the card has
        self._unsafe: list[bytes] = []  # the deltas after those
        self._is_whole = True  # the kernel has taken them

    @property
    def base(self) -> Base | None:
        """The snapshot whose log is open."""
        return self._base

    def bases(self) -> list[Base]:
        """The snapshots that there are, newest first."""
        if not self.folder.is_dir():
            return []
        found = (_NAME.fullmatch(file.name) for file in self.folder.iterdir())
        return sorted((Base(int(name[1]), int(name[2])) for name in found if name), reverse=True)

    def snapshot(self, base: Base) -> bytes:
        """The bytes of a snapshot, to be verified."""
        return _read(self._path(base, "snapshot"), MAX_SNAPSHOT)

    def deltas(self, base: Base) -> list[bytes]:
        """The whole records of a snapshot's log, to be verified, up to the first that is cut off or damaged."""
        path = self._path(base, "log")
        data = _read(path, MAX_LOG) if path.exists() else b""
        return _records(data)

    def behind(self, base: Base, deltas: Sequence[bytes]) -> int:
        """How many bytes there are in a snapshot's log behind these deltas: a record that is cut off or damaged, and what follows it."""
        path = self._path(base, "log")
        return max(0, path.stat().st_size - len(_log(deltas))) if path.exists() else 0

    def held(self) -> list[bytes]:
        """The deltas after the snapshot in use, whether the disk has taken them or not."""
        if self._base is None or not self._end:
            return list(self._unsafe)
        return [*_records(_read(self._path(self._base, "log"), MAX_LOG)[: self._end]), *self._unsafe]

    def open(self, base: Base, deltas: Sequence[bytes]) -> None:
        """Goes on with this snapshot after those deltas of its log; whatever else is in the folder goes."""
        self.close()
        self._base, self._is_whole = base, False
        self._end, self.records, self.log_bytes = len(_log(deltas)), len(deltas), sum(map(len, deltas))
        self._mend()

    def install(self, base: Base, snapshot: bytes, deltas: Sequence[bytes]) -> None:
        """Puts a snapshot and the deltas after it in place of all that was held, in one step."""
        self.close()
        self._base, self._is_whole = base, False
        self._snapshot, self._unsafe, self.records, self.log_bytes = snapshot, list(deltas), len(deltas), sum(map(len, deltas))
        self._mend()

    def append(self, delta: bytes) -> None:
        """Adds a delta to the log."""
        if self._base is None:
            raise OSError(f"{self.folder}: the log is not open")
        self._unsafe.append(delta)
        self.records += 1
        self.log_bytes += len(delta)
        if not self._is_whole:
            raise OSError(f"{self.folder}: the log waits for the disk")
        self._write([delta])

    def flush(self) -> None:
        """Waits until the card has the log, and what it had not taken before."""
        if not self._is_whole and sum(map(len, self._unsafe)) > MOST_UNSAFE:
            self.close()
            self._is_whole = False
        if self._base is None and not self._is_whole:
            raise OSError(f"{self.folder}: the disk has not taken the log for too long")
        if not self._is_whole:
            self._mend()
        elif self._unsafe:
            self._sync()

    def store_head(self, head: bytes) -> None:
        """Replaces the head."""
        write_atomically(self.folder / "head", head, self._calls)

    def head(self) -> bytes:
        """The head, to be verified."""
        return _read(self.folder / "head", MAX_HEAD)

    def close(self) -> None:
        """Stops appending."""
        if self._log is not None:
            os.close(self._log)
        self._log, self._base, self.records, self.log_bytes = None, None, 0, 0
        self._snapshot, self._end, self._unsafe, self._is_whole = None, 0, [], True

    def remove(self) -> None:
        """Deletes the list from the disk."""
        self.close()
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
            sync_folder(self.folder.parent, self._calls)

    def _mend(self) -> None:
        """Makes the folder hold what it is to hold, and nothing else."""
        base = self._base
        assert base is not None
        make_folder(self.folder, self._calls)
        if self._snapshot is not None:
            log = _log(self._unsafe)
            write_atomically(self._path(base, "log"), log, self._calls)
            write_atomically(self._path(base, "snapshot"), self._snapshot, self._calls)
            self._snapshot, self._end, self._unsafe = None, len(log), []
        if self._log is None:
            self._log = self._calls.open(self._path(base, "log"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        keep = {self._path(base, "snapshot").name, self._path(base, "log").name, "head", PART}
        for file in list(self.folder.iterdir()):
            if file.name not in keep:
                self._calls.unlink(file)
        sync_folder(self.folder, self._calls)
        if os.fstat(self._log).st_size > self._end:
            os.ftruncate(self._log, self._end)
        self._write(self._unsafe)
        self._sync()

    def _write(self, deltas: Sequence[bytes]) -> None:
        assert self._log is not None
        data = _log(deltas)
        self._is_whole = False
        written = self._calls.write(self._log, data) if data else 0
        if written != len(data):
            raise OSError(f"{self.folder}: only {written} of {len(data)} bytes were written")
        self._is_whole = True

    def _sync(self) -> None:
        assert self._log is not None
        self._is_whole = False
        self._calls.fsync(self._log)
        self._end, self._unsafe, self._is_whole = self._end + len(_log(self._unsafe)), [], True

    def _path(self, base: Base, kind: str) -> Path:
        return self.folder / f"list-{base.epoch}-{base.version}.{kind}"


def _log(deltas: Sequence[bytes]) -> bytes:
    """A log of these deltas."""
    return b"".join(_RECORD.pack(len(delta), zlib.crc32(delta)) + delta for delta in deltas)


def _records(data: bytes) -> list[bytes]:
    """The whole records of a log, up to the first that is cut off or damaged."""
    found: list[bytes] = []
    place = 0
    while place + _RECORD.size <= len(data):
        length, crc = _RECORD.unpack_from(data, place)
        place += _RECORD.size
        body = data[place : place + length]
        if length > MAX_SIGNED or len(body) < length or zlib.crc32(body) != crc:
            break
        found.append(body)
        place += length
    return found


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit + 1)
