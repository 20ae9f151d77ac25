"""What has come of a snapshot, on the unit's disk, so that a restart goes on where it was.

    part        the reference from the signed head: epoch, version, size, SHA-256, CRC-32; then the pieces, each: length, CRC-32, bytes

A piece is in the kernel's hands at once (kill -9 loses nothing) and on the card at the next flush; what follows the first damaged piece is
as if it were not there. The CRC is against bad cards alone: the whole is checked against the SHA-256 before it is used. One file for
each list, never longer than its snapshot and some bytes a piece; the last piece is not kept, because the whole is swapped in at once.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

from edge.files import CALLS, Calls, make_folder
from edge.syncwords import Part
from healthcode.messages import MAX_CHUNK, MAX_SNAPSHOT, SnapshotRef

_HEAD = struct.Struct(">QQQ32sI")
_PIECE = struct.Struct(">II")
_LONGEST = _HEAD.size + MAX_SNAPSHOT + MAX_SNAPSHOT // 1024 * _PIECE.size
"""Bytes read at most: pieces of a kilobyte would be shorter than any server of ours sends."""


class PartFile:
    """The file of one list. Every method may raise OSError."""

    def __init__(self, path: Path, calls: Calls = CALLS) -> None:
        self._path = path
        self._calls = calls
        self._file: int | None = None
        self._of: tuple[int, SnapshotRef] | None = None
        self._length = 0
        self._is_dirty = False

    def read(self) -> Part | None:
        """What is kept, and goes on being kept; None where there is nothing of use."""
        self.close()
        try:
            with self._path.open("rb") as file:
                raw = file.read(_LONGEST)
        except FileNotFoundError:
            return None
        if len(raw) < _HEAD.size or zlib.crc32(raw[: _HEAD.size - 4]) != int.from_bytes(raw[_HEAD.size - 4 : _HEAD.size], "big"):
            return None
        epoch, version, size, sha256, _ = _HEAD.unpack_from(raw)
        data, place = bytearray(), _HEAD.size
        while place + _PIECE.size <= len(raw):
            length, crc = _PIECE.unpack_from(raw, place)
            piece = raw[place + _PIECE.size : place + _PIECE.size + length]
            if not 0 < length <= MAX_CHUNK or len(piece) < length or zlib.crc32(piece) != crc:
                break
            data += piece
            place += _PIECE.size + length
        if not 0 < len(data) < size <= MAX_SNAPSHOT:
            return None
        ref = SnapshotRef(version=version, size=size, sha256=sha256)
        self._file = self._calls.open(self._path, os.O_WRONLY | os.O_APPEND, 0)
        os.ftruncate(self._file, place)
        self._of, self._length = (epoch, ref), len(data)
        return Part(epoch, ref, bytes(data))

    def add(self, epoch: int, ref: SnapshotRef, offset: int, piece: bytes) -> None:
        """Keeps a piece that continues what is kept. The first piece of a snapshot begins the file anew; any other is left out."""
        if offset == 0:
            self.close()
            make_folder(self._path.parent, self._calls)
            self._file = self._calls.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
            head = _HEAD.pack(epoch, ref.version, ref.size, ref.sha256, 0)[:-4]
            self._of, self._length = (epoch, ref), 0
            self._write(head + zlib.crc32(head).to_bytes(4, "big"))
        if self._file is None or self._of != (epoch, ref) or self._length != offset:
            return
        self._write(_PIECE.pack(len(piece), zlib.crc32(piece)) + piece)
        self._length += len(piece)

    def flush(self) -> None:
        """Waits until the card has it."""
        if self._is_dirty and self._file is not None:
            self._calls.fsync(self._file)
        self._is_dirty = False

    def remove(self) -> None:
        """Forgets it."""
        self.close()
        with suppress(FileNotFoundError):
            self._calls.unlink(self._path)

    def close(self) -> None:
        """Stops keeping."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._of, self._length, self._is_dirty = None, None, 0, False

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        if self._calls.write(self._file, data) != len(data):
            self.close()
            raise OSError(f"{self._path}: not all of {len(data)} bytes were written")
        self._is_dirty = True
