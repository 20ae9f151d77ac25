"""The releases of a unit on its disk, so that the power may go at any point.

    releases/VERSION/       a virtual environment; whole once it has the file `whole`, which holds the SHA-256 of its bundle and comes last
    current, good           symbolic links to two of them, changed by renaming a new link over the old one
    updates.json            what the updater keeps (`edge.updates.Kept`)
    incoming/               a bundle on its way, and what is unpacked of it

A release without `whole` is half made or half removed: nobody starts it, and whoever comes next clears it away.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.files import CALLS, Calls, make_folder, sync_folder, write_atomically
from edge.formats import READS, UPDATES, WRITES
from edge.updates import Kept
from healthcode.messages import ReleaseVersion

KEPT_FILE = "updates.json"
WHOLE = "whole"
LINKS = ("current", "good")
MOST_BYTES = 64 * 1024


class ReleaseFolderError(Exception):
    """A folder of releases that cannot be used; the text is one line."""


class File(msgspec.Struct, frozen=True):
    """What updates.json holds; what a newer release adds is passed over."""

    format: int
    kept: Kept


@dataclass(frozen=True)
class FolderCalls(Calls):
    """What else is asked of the operating system here."""

    symlink: Callable[[str, Path], None] = os.symlink
    rmtree: Callable[[Path], None] = shutil.rmtree
    sync: Callable[[], None] = os.sync


FOLDER_CALLS = FolderCalls(**vars(CALLS))


class ReleaseFolder:
    """The folder `folder`. What changes it may raise OSError."""

    def __init__(self, folder: Path, calls: FolderCalls = FOLDER_CALLS) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self._calls = calls

    def path(self, version: str) -> Path:
        """Where a release is, or is to be."""
        return self.folder / "releases" / version

    def version_at(self, name: str) -> str:
        """The version that `name`, current or good, points at; ReleaseFolderError where it points at no whole release."""
        link = self.folder / name
        try:
            version = msgspec.convert(Path(os.readlink(link)).name, ReleaseVersion)  # noqa: PTH115  what it says, unresolved
        except OSError as wrong:
            raise ReleaseFolderError(f"{link}: cannot be read: {wrong.strerror}: expected a link to a release") from None
        except msgspec.ValidationError:
            raise ReleaseFolderError(f"{link}: points at no release: expected releases/VERSION") from None
        if not (self.path(version) / WHOLE).exists():
            raise ReleaseFolderError(f"{link}: {self.path(version)} is not whole: expected an installed release")
        return version

    def read(self) -> Kept:
        """What the updater keeps; nothing yet, or nothing that can be read, is a fresh Kept. ReleaseFolderError for a newer format."""
        path = self.folder / KEPT_FILE
        try:
            with path.open("rb") as file:
                raw = file.read(MOST_BYTES)
            number = json.loads(raw)["format"]
            if isinstance(number, int) and number > READS[UPDATES]:
                raise ReleaseFolderError(f"{path}: format {number}: expected {READS[UPDATES]} or less, a newer release wrote it")
            return msgspec.json.decode(raw, type=File).kept
        except (OSError, ValueError, TypeError, KeyError):  # what is refused here is lost with it, and at worst tried once more
            return Kept()

    def keep(self, kept: Kept) -> None:
        """Writes what the updater keeps."""
        write_atomically(self.folder / KEPT_FILE, msgspec.json.encode(File(WRITES[UPDATES], kept)), self._calls)

    def point(self, name: str, version: str) -> None:
        """Lets `name` point at a release from now on: a power cut leaves the one or the other."""
        fresh = self.folder / f"{name}.new"
        with suppress(FileNotFoundError):
            self._calls.unlink(fresh)
        self._calls.symlink(f"releases/{version}", fresh)
        self._calls.replace(fresh, self.folder / name)
        sync_folder(self.folder, self._calls)

    def is_whole(self, version: str, sha256: bytes) -> bool:
        """Whether this release is here, made from the bundle with this SHA-256."""
        try:
            return (self.path(version) / WHOLE).read_text(encoding="ascii").strip() == sha256.hex()
        except (OSError, UnicodeDecodeError):
            return False

    def begin(self, version: str) -> Path:
        """An empty folder for a release that is to be made; what was half made there is gone."""
        path = self.path(version)
        self._remove(path)
        make_folder(path, self._calls)
        return path

    def finish(self, version: str, sha256: bytes) -> None:
        """All of it is written: from now on it counts."""
        self._calls.sync()  # thousands of files: one flush of everything is quicker than one each
        write_atomically(self.path(version) / WHOLE, f"{sha256.hex()}\n".encode(), self._calls)

    def clear_incoming(self, kept: Path | None) -> None:
        """Removes what is on its way but the file `kept`: what was cut off of another release is of no use to this one."""
        with suppress(FileNotFoundError):
            for path in sorted(self.incoming.iterdir()):
                if path.is_dir():
                    self._calls.rmtree(path)
                elif path != kept:
                    self._calls.unlink(path)

    def tidy(self, kept: Collection[str], *, incoming: bool = True) -> None:
        """Removes every release but those, and what was on its way."""
        with suppress(FileNotFoundError):
            for path in sorted((self.folder / "releases").iterdir()):
                if path.name not in kept:
                    self._remove(path)
        if incoming and self.incoming.exists():
            self._calls.rmtree(self.incoming)

    def _remove(self, path: Path) -> None:
        """The mark first: a release of which a part is gone must not count."""
        if path.is_symlink() or path.is_file():
            self._calls.unlink(path)
        elif path.exists():
            with suppress(FileNotFoundError):
                self._calls.unlink(path / WHOLE)
            sync_folder(path, self._calls)
            self._calls.rmtree(path)
