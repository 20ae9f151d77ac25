"""One status list on the unit's disk: a snapshot that never changes, a log of deltas beside it, and the newest head.

    list-{epoch}-{version}.snapshot     the issuer's signed snapshot, put in place by one rename
    list-{epoch}-{version}.log          the signed deltas after it: length (4 bytes), CRC-32 (4 bytes), delta; again and again
    head                                the newest adopted head, for its as_of
    part                                a snapshot that is on its way (edge.partfile)

A snapshot's log is written before its rename, so that the rename alone decides. What follows the first damaged record of a log is as if
it were not there, and goes when the next delta is appended. A record is in the kernel's hands at once (kill -9 loses nothing) and on
the card at the next `flush` (a power cut loses seconds, which the server sends again).
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

from edge.files import Fsync, make_folder, sync_folder, write_atomically
from healthcode.messages import MAX_HEAD, MAX_SIGNED, MAX_SNAPSHOT

_RECORD = struct.Struct(">II")
_NAME = re.compile(r"list-(\d{1,16})-(\d{1,16})\.snapshot")
PART = "part"
MAX_LOG = 64 * 1024 * 1024
"""Bytes of a log that are read at most; the unit fetches a new snapshot long before."""


@dataclass(frozen=True, order=True)
class Base:
    """Which snapshot: its epoch and version."""

    epoch: int
    version: int


class ListFolder:
    """The files of one list. Every method may raise OSError."""

    def __init__(self, folder: Path, fsync: Fsync = os.fsync) -> None:
        self.folder = folder
        self.records = 0
        self._fsync = fsync
        self._base: Base | None = None
        self._log: int | None = None
        self._is_dirty = False

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

    def open(self, base: Base, deltas: Sequence[bytes]) -> None:
        """Goes on with this snapshot after those deltas of its log; whatever else is in the folder goes."""
        self.close()
        keep = {self._path(base, "snapshot").name, self._path(base, "log").name, "head", PART}
        for file in list(self.folder.iterdir()):
            if file.name not in keep:
                file.unlink()
        self._log = os.open(self._path(base, "log"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        end = sum(_RECORD.size + len(delta) for delta in deltas)
        if os.fstat(self._log).st_size > end:
            os.ftruncate(self._log, end)
            self._fsync(self._log)
        self._base = base
        self.records = len(deltas)

    def install(self, base: Base, snapshot: bytes, deltas: Sequence[bytes]) -> None:
        """Puts a snapshot and the deltas after it in place of all that was held, in one step."""
        make_folder(self.folder, self._fsync)
        if base != self._base:
            write_atomically(self._path(base, "log"), b"".join(_frame(delta) for delta in deltas), self._fsync)
            write_atomically(self._path(base, "snapshot"), snapshot, self._fsync)
        self.open(base, deltas)
        sync_folder(self.folder, self._fsync)

    def append(self, delta: bytes) -> None:
        """Adds a delta to the log."""
        if self._log is None:
            raise OSError("the log is not open")
        record = _frame(delta)
        written = os.write(self._log, record)
        if written != len(record):
            raise OSError(f"only {written} of {len(record)} bytes were written")
        self.records += 1
        self._is_dirty = True

    def flush(self) -> None:
        """Waits until the card has the log."""
        if self._is_dirty and self._log is not None:
            self._fsync(self._log)
        self._is_dirty = False

    def store_head(self, head: bytes) -> None:
        """Replaces the head."""
        write_atomically(self.folder / "head", head, self._fsync)

    def head(self) -> bytes:
        """The head, to be verified."""
        return _read(self.folder / "head", MAX_HEAD)

    def close(self) -> None:
        """Stops appending."""
        if self._log is not None:
            os.close(self._log)
        self._log, self._base, self._is_dirty, self.records = None, None, False, 0

    def remove(self) -> None:
        """Deletes the list from the disk."""
        self.close()
        if self.folder.is_dir():
            shutil.rmtree(self.folder)
            sync_folder(self.folder.parent, self._fsync)

    def _path(self, base: Base, kind: str) -> Path:
        return self.folder / f"list-{base.epoch}-{base.version}.{kind}"


def _frame(delta: bytes) -> bytes:
    return _RECORD.pack(len(delta), zlib.crc32(delta)) + delta


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit + 1)
