"""What the gate and the updater say to each other: small files, each written by one of them and read by the other.

    DATA/update.ask         the gate: somebody wishes for a release
    RUN/gate.json           the gate: which release runs, since when, whether camera and thermometer work. In memory, every few seconds
    RUN/starts              a byte for every start of the gate since the boot, by its service: also where it does not get as far as Python
    RUN/updater.json        the updater: what it is about

RUN is in memory and empty after a boot. Times are the machine's monotonic clock, the same for both processes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from edge import apart
from edge.config import Updates
from edge.files import Calls, write_atomically
from edge.releasefolder import ReleaseFolder, ReleaseFolderError
from edge.updates import Phase, Seen
from healthcode.messages import ReleaseVersion, Short
from healthcode.releases import order

log = logging.getLogger(__name__)

ASK_FILE, GATE_FILE, STARTS_FILE, UPDATER_FILE, TOLD_FILE = "update.ask", "gate.json", "starts", "updater.json", "update.told"
MOST_BYTES = 16 * 1024
SAY_EVERY_S, LOOK_EVERY_S = 3.0, 1.0

IN_MEMORY = Calls(fsync=lambda _: None)
"""For files that no power cut leaves: there is nothing to wait for."""

T = TypeVar("T")


class Wish(msgspec.Struct, frozen=True):
    """Somebody wishes for a release; `id` tells wishes apart, `by` is who, for the log."""

    version: ReleaseVersion
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    by: Short = ""


class GateSays(msgspec.Struct, frozen=True):
    """The gate says how it is; see `edge.updates.Seen`."""

    version: ReleaseVersion
    since: float
    at: float
    camera: bool
    sensor: bool


class UpdaterSays(msgspec.Struct, frozen=True):
    """The updater says what it is about; `trouble` is one line, empty while all is well, `is_final` whether it waits for another wish."""

    phase: Phase
    good: ReleaseVersion
    current: ReleaseVersion
    wanted: ReleaseVersion | None = None
    wish: Short = ""
    trouble: Short = ""
    is_final: bool = False


def version_of(prefix: Path) -> str | None:
    """Which release a virtual environment is: the name of its folder in `releases`; None for any other, a checkout's."""
    prefix = prefix.resolve()  # it may have been reached by `current`
    try:
        return msgspec.convert(prefix.name, ReleaseVersion) if prefix.parent.name == "releases" else None
    except msgspec.ValidationError:
        return None


def wish(data: Path, updates: Updates, version: str, wish_id: str, by: str) -> str | None:
    """Asks for a release; None where the updater will see to it, else why it will not: one line. OSError where the disk takes no wish.

    `data` and `updates` are what the unit's configuration says.
    """
    if not updates.folder:
        return "updates.folder is not set: this unit is not updated from afar"
    if read_updater(Path(updates.run)) is None:
        return "the updater is not there: is the service healthgate-updates enabled at this unit?"
    releases = ReleaseFolder(Path(updates.folder))
    try:
        good, kept = releases.version_at("good"), releases.read()
    except ReleaseFolderError as wrong:
        return str(wrong)
    if order(version) < order(good):
        return f"release {version}: {good} runs, expected a newer one"
    if version in kept.refused:
        return f"release {version} is refused here: {kept.refused[version]}"
    write_atomically(data / ASK_FILE, msgspec.json.encode(Wish(version, wish_id, by[:200])))
    return None


def read_wish(data: Path) -> tuple[str, str] | None:
    """The wish that stands, its name and its version; None where there is none."""
    found = _read(data / ASK_FILE, Wish)
    return None if found is None else (found.id, found.version)


def read_seen(run: Path) -> Seen | None:
    """What the gate last said of itself."""
    found = _read(run / GATE_FILE, GateSays)
    return None if found is None else Seen(found.version, found.since, found.at, found.camera, found.sensor)


def read_updater(run: Path) -> UpdaterSays | None:
    """What the updater last said; None where there is none since the boot."""
    return _read(run / UPDATER_FILE, UpdaterSays)


def count_starts(run: Path) -> int:
    """How often the gate was started since the boot."""
    try:
        return (run / STARTS_FILE).stat().st_size
    except OSError:
        return 0


def say(run: Path, said: UpdaterSays) -> None:
    """The updater says what it is about. OSError where the folder is not there."""
    write_atomically(run / UPDATER_FILE, msgspec.json.encode(said), IN_MEMORY)


def to_tell(said: UpdaterSays) -> tuple[str, str] | None:
    """What of the updater's word goes into the log of events: a stable word, and one line."""
    name = f"release {said.wanted}"
    match said.phase:
        case Phase.RESTING | Phase.WAITING if said.trouble:
            return "update_refused" if said.is_final else "update_waits", said.trouble
        case Phase.RESTING if said.wanted is not None and said.wanted == said.good:
            return "update_done", f"{name} has proved itself"
        case Phase.FETCHING | Phase.TRIAL if said.wanted is not None:
            return f"update_{said.phase.value}", name
    return None


class ReleaseDoor:
    """The gate's side; `attend` is called in its loop."""

    def __init__(self, data: Path, folder: str, run: str, at: float, prefix: Path = Path(sys.prefix)) -> None:
        """`prefix` is the virtual environment that the gate runs from; one that is no release in `folder` is never left for another."""
        self._data, self._run, self._prefix = data, Path(run), prefix
        self._folder = Path(folder) if folder else None
        self._version = version_of(prefix) if self._folder is not None else None
        self._since = at
        self._say_due = self._look_due = float("-inf")
        self._other_since: float | None = None
        self._told: dict[str, str] = _read(data / TOLD_FILE, dict[str, str]) or {}
        self._is_deaf = False

    def attend(self, at: float, *, camera: bool, sensor: bool) -> list[tuple[str, str]]:
        """Says at `at` how the gate is, where that is due; gives what of the updater's news is to be an event, each once."""
        if self._version is None:
            return []
        if at >= self._say_due:
            self._say_due = at + SAY_EVERY_S
            self._say(GateSays(self._version, self._since, at, camera, sensor))
        if at < self._look_due:
            return []
        self._look_due = at + LOOK_EVERY_S
        self._look_for_another(at)
        said = read_updater(self._run)
        news = to_tell(said) if said is not None else None
        if said is None or news is None or self._told.get(news[0]) == f"{said.wish} {news[1]}":
            return []
        self._told[news[0]] = f"{said.wish} {news[1]}"
        try:
            write_atomically(self._data / TOLD_FILE, msgspec.json.encode(self._told))
        except OSError as wrong:
            log.warning("%s: cannot be written: %s", self._data / TOLD_FILE, wrong.strerror)
        return [news]

    def is_to_end(self, at: float, may_end: Callable[[float], bool]) -> bool:
        """Whether the gate is to end at `at`, to be started as another release: once `may_end`, given for how long that was waited for."""
        return self._other_since is not None and may_end(at - self._other_since)

    @contextmanager
    def apart(self) -> Iterator[str]:
        """Until its end no release goes on trial. Gives the release for which a configuration has to wait, in words; empty for none."""
        if self._folder is None or self._version is None:
            yield ""
            return
        with apart.alone(self._data) as is_alone:
            yield self._find_trial(ReleaseFolder(self._folder)) if is_alone else "a release is about to be on trial"

    def _find_trial(self, releases: ReleaseFolder) -> str:
        """The release on trial; or the one that is to run in place of this one, whose devices say nothing of the next configuration."""
        try:
            trial = releases.read().trial
            if trial is not None:
                return f"release {trial.version} is on trial"
            current = releases.version_at("current")
        except ReleaseFolderError:
            return ""  # there is no updater that could have one on trial: it ends with this
        return "" if current == self._version else f"release {current} is to run in place of {self._version}"

    def _look_for_another(self, at: float) -> None:
        assert self._folder is not None
        try:
            current = ReleaseFolder(self._folder).version_at("current")
        except ReleaseFolderError:
            return  # the updater's concern: what runs, runs
        if current == self._version:
            self._other_since = None
        elif self._other_since is None:
            log.warning("release %s is to run in place of %s", current, self._version)
            self._other_since = at

    def _say(self, said: GateSays) -> None:
        try:
            write_atomically(self._run / GATE_FILE, msgspec.json.encode(said), IN_MEMORY)
            self._is_deaf = False
        except OSError as wrong:
            if not self._is_deaf:
                log.warning("%s: the updater cannot be told how the gate is: %s", self._run, wrong.strerror)
            self._is_deaf = True


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
