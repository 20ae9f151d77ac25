"""What a power cut leaves: a unit's files as far as they were synced, and of what was not, any part.

The unit writes real files in a real folder; the disk only watches. It hears of every call that changes a file (`Disk.calls`, handed to
cache and floor) and of every COMMIT and checkpoint of the outbox (`Disk.connect`), and notes what is safe then. A power cut puts the folder
into one of the states that a disk may be found in: names that were not synced old or new, contents that were not synced torn.

In a bad spell calls give errors. What a sync that failed was to bring to the disk may be lost for good, though a later sync says that all
is well: so Linux does since 4.13 (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Callable, Collection
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from edge.files import Calls
from healthgate.simulation.schedule import Crash
from healthgate.simulation.sectors import Dropped, torn

KINDS = ("open", "write", "fsync", "replace", "unlink", "mkdir", "database")
"""The calls that may give errors."""
T = TypeVar("T")
_SYNCHRONOUS = re.compile(r"PRAGMA synchronous = (\w+)")
Image = dict[str, bytes]
"""Files by name."""


class Watched(sqlite3.Connection):
    """A connection whose disk hears of commits and checkpoints."""

    disk: Disk

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """As sqlite3's own."""
        run = super().execute
        setting = _SYNCHRONOUS.fullmatch(sql)
        if setting:
            self.disk.database_is_synced = setting[1] == "FULL" and self.disk.syncs_database
        if sql == "COMMIT" or "wal_checkpoint" in sql:
            return self.disk.around(lambda: run(sql, parameters), is_checkpoint=sql != "COMMIT")
        return run(sql, parameters)


class Disk:
    """One unit's card, in `folder`: `files` for what is written as files, `database` for the outbox.

    A test that takes `syncs_files` or `syncs_database` away has a disk that says that it has synced and has not.
    """

    def __init__(self, folder: Path, random: Random) -> None:
        self.files = folder / "files"
        self.database = folder / "database"
        self.syncs_files = self.syncs_database = True
        self.database_is_synced = True
        self.calls = Calls(self._open, self._write, self._fsync, self._replace, self._unlink, self._mkdir)
        self.has_failed = False
        """Whether a call has given an error since somebody set this to False."""
        self._failing: Collection[str] = ()
        self._chance = 0.0
        self._random = random
        self._operations_left: int | None = None
        self.cuts_power = False
        self._found: Image | None = None  # how the database is found after a cut in the middle of a commit
        self._safe_database: Image = {}
        self._pins: dict[int, int] = {}
        self._contents: dict[int, bytes] = {}
        self._names: dict[str, dict[str, int]] = {}
        self._dropped = Dropped()
        self.renew()

    def renew(self) -> None:
        """A new card: nothing is on it."""
        for folder in (self.files, self.database):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        self._safe_database = {}
        self._all_is_safe()

    def arm(self, operations: int, *, cuts_power: bool) -> None:
        """Before or after so many disk operations the process ends with a Crash, by a power cut or by a kill alone."""
        self._operations_left, self.cuts_power = operations, cuts_power

    def disarm(self) -> None:
        """No crash is to come."""
        self._operations_left = None

    def spoil(self, kinds: Collection[str], chance: float) -> None:
        """From now on calls of these KINDS give errors with this chance; 0: none."""
        self._failing, self._chance = kinds, chance

    # ---- what the product calls

    def _open(self, path: Path, flags: int, mode: int) -> int:
        return self._call("open", lambda: os.open(path, flags, mode))

    def _write(self, descriptor: int, data: bytes | memoryview) -> int:
        self._dropped.written(os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size)
        if self._is_bad("write"):  # a part of it may be there
            written = os.write(descriptor, data[: self._random.randrange(len(data))])
            if written and self._random.random() < 0.5:
                return written
            raise _error()
        return self._call("", lambda: os.write(descriptor, data))

    def _fsync(self, descriptor: int) -> None:
        if self._is_bad("fsync"):
            if self._random.random() < 0.5:
                self._drop(descriptor)
            raise _error()
        self._call("", lambda: self._keep(descriptor) if self.syncs_files else None)

    def _replace(self, old: Path, new: Path) -> None:
        self._call("replace", lambda: old.replace(new))

    def _unlink(self, path: Path) -> None:
        self._call("unlink", path.unlink)

    def _mkdir(self, path: Path) -> None:
        self._call("mkdir", path.mkdir)

    def _call(self, kind: str, run: Callable[[], T]) -> T:
        """Carries out a call, or gives an error; or the process ends before or after it."""
        if self._is_bad(kind):
            raise _error()
        is_last = self._is_last()
        if is_last and self._random.random() < 0.5:
            raise Crash
        done = run()
        if is_last:
            raise Crash
        return done

    def _is_bad(self, kind: str) -> bool:
        is_bad = kind in self._failing and self._random.random() < self._chance
        self.has_failed |= is_bad
        return is_bad

    def connect(self, path: Path, **options: Any) -> sqlite3.Connection:
        """In the place of sqlite3.connect."""
        connection: Watched = sqlite3.connect(path, factory=Watched, **options)
        connection.disk = self
        return connection

    def around(self, run: Callable[[], sqlite3.Cursor], *, is_checkpoint: bool) -> sqlite3.Cursor:
        """Carries out a commit or a checkpoint, or crashes in the middle of it. One that gives an error may have been done all the same."""
        if self._is_bad("database"):
            if self._random.random() < 0.5:
                run()
            raise sqlite3.OperationalError("disk I/O error")
        is_last = self._is_last()
        before = _read(self.database) if is_last and self.cuts_power else {}
        if is_last and not self.cuts_power and self._random.random() < 0.5:
            raise Crash
        cursor = run()
        if is_last:
            if self.cuts_power and self.database_is_synced:
                self._found = self._mixed(before, _read(self.database), is_checkpoint=is_checkpoint)
            raise Crash
        if is_checkpoint and not self.database_is_synced:
            self._safe_database = _read(self.database)
        return cursor

    # ---- the power switch

    def written_back(self) -> None:
        """The process was killed and the power stayed: the kernel brings to the disk on its own what it was given."""
        if self.syncs_files:
            self._all_is_safe()

    def power_cut(self) -> Callable[[], None]:
        """The power is gone now. Call what comes back once the process has let go of its files: it puts the folder into its new state."""
        database = self._database_found()
        self._found = None
        files = self._files_found(self.files)

        def settle() -> None:
            for folder, found in ((self.files, files), (self.database, database)):
                shutil.rmtree(folder)
                folder.mkdir()
                for name, content in found.items():
                    path = folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            self._safe_database = database
            self._all_is_safe()

        return settle

    def close(self) -> None:
        """Lets go of everything."""
        for pin in self._pins.values():
            os.close(pin)
        self._pins.clear()

    def _is_last(self) -> bool:
        if self._operations_left is None:
            return False
        self._operations_left -= 1
        if self._operations_left > 0:
            return False
        self._operations_left = None
        return True

    def _keep(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        place = f"/proc/self/fd/{descriptor}"
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(descriptor) as entries:
                self._names[str(Path(place).readlink())] = {entry.name: entry.inode() for entry in entries}
            return
        if found.st_ino not in self._pins:  # as long as somebody has it open, no other file gets its number
            self._pins[found.st_ino] = os.open(place, os.O_RDONLY)
        content = os.pread(self._pins[found.st_ino], found.st_size, 0)
        self._contents[found.st_ino] = self._dropped.found(found.st_ino, self._contents.get(found.st_ino, b""), content)

    def _drop(self, descriptor: int) -> None:
        """A sync has failed, and what it was to bring to the disk is taken for clean."""
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            if found.st_ino not in self._pins:
                self._pins[found.st_ino] = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
            content = os.pread(self._pins[found.st_ino], found.st_size, 0)
            self._dropped.add(found.st_ino, self._contents.get(found.st_ino, b""), content)

    def _all_is_safe(self) -> None:
        self.close()
        self._dropped.clear()
        self._contents.clear()
        self._names.clear()
        for folder, _, names in os.walk(self.files):
            for path in (Path(folder), *(Path(folder) / name for name in names)):
                descriptor = os.open(path, os.O_RDONLY)
                self._keep(descriptor)
                os.close(descriptor)

    def _files_found(self, folder: Path) -> Image:
        """The files in `folder` and below it as they are found after a power cut, by their paths from there."""
        safe = self._names.get(str(folder), {})
        current = {entry.name: entry.inode() for entry in os.scandir(folder)} if folder.is_dir() else {}
        chosen: dict[str, int] = {}
        moved = {inode: self._random.random() < 0.5 for inode in dict.fromkeys([*_by_name(safe), *_by_name(current)])}
        for name in sorted(safe.keys() | current.keys()):
            old, new = safe.get(name), current.get(name)
            if new is not None and (new == old or moved[new]):
                chosen[name] = new
            elif old is not None and (new is not None or not moved[old]):
                chosen[name] = old
        found: Image = {}
        for name, inode in chosen.items():
            path = folder / name
            if str(path) in self._names or path.is_dir():
                found |= {f"{name}/{below}": content for below, content in self._files_found(path).items()}
            else:
                is_here = current.get(name) == inode or (inode in current.values())
                here = next((other for other, number in current.items() if number == inode), None) if is_here else None
                now = (folder / here).read_bytes() if here is not None else None
                found[name] = self._content_found(inode, self._contents.get(inode), now)
        return found

    def _content_found(self, inode: int, safe: bytes | None, now: bytes | None) -> bytes:
        if now is None or now == safe:
            return safe or b""
        return torn(safe or b"", self._dropped.found(inode, safe or b"", now), self._random)

    def _database_found(self) -> Image:
        if self._found is not None:
            return self._found
        current = _read(self.database)
        if self.database_is_synced:
            return current
        return self._safe_database or dict.fromkeys(current, b"")

    def _mixed(self, before: Image, after: Image, *, is_checkpoint: bool) -> Image:
        """A commit writes the log alone, a checkpoint the database alone: that file is torn, the other as it was."""
        found = dict(before)
        for name, content in after.items():
            if name.endswith("-wal") != is_checkpoint:
                found[name] = torn(before.get(name, b""), content, self._random)
        return found


def _error() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def _read(folder: Path) -> Image:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.endswith("-shm")}


def _by_name(names: dict[str, int]) -> list[int]:
    return [names[name] for name in sorted(names)]
