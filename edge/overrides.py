"""The configurations from afar on the unit's disk, and how a process begins with them: `desired.json` in the data folder.

One file holds all of it, the last good configuration, the one on trial and its starts, so that one write moves from one state to the next
and a power cut leaves the state before or the state after. A start is written down before a device is touched: a configuration
that ends the process, however it does that, is counted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge import trial
from edge.afar import lay_over
from edge.config import Config, ConfigError, parse
from edge.files import CALLS, Calls, write_atomically
from edge.trial import Given, Held
from healthcode.settings import Layer, why_unread

log = logging.getLogger(__name__)

FILE = "desired.json"
MOST_BYTES = 256 * 1024


class Overrides:
    """The file. `held` is what it holds, or would if the disk had taken it. For one thread."""

    def __init__(self, folder: Path, calls: Calls = CALLS) -> None:
        """A file that cannot be read is put aside: the unit's own file counts alone, until the server says again what shall hold."""
        self._path = folder / FILE
        self._calls = calls
        self.held = self._load()

    def keep(self, held: Held) -> None:
        """`held` counts from now on, once it is on the disk; OSError where the disk does not take it, and what it held still counts."""
        if held != self.held:
            write_atomically(self._path, msgspec.json.format(msgspec.json.encode(held), indent=1) + b"\n", self._calls)
            self.held = held

    def fail(self, last_words: str) -> None:
        """The process has not come up, and this is why: a trial that ends for it says so."""
        try:
            self.keep(trial.failed(self.held, last_words.splitlines()[0] if last_words else ""))
        except OSError as wrong:
            log.error("%s: why it ends cannot be written down: %s", self._path, wrong.strerror)

    def _load(self) -> Held:
        held = read(self._path)
        if isinstance(held, Held):
            return held
        log.error("%s: %s: put aside: the unit's own file counts alone until the server says again what shall hold", self._path, held)
        try:
            self._calls.replace(self._path, self._path.with_suffix(".bad"))
        except OSError as wrong:
            log.error("%s: cannot be put aside: %s", self._path, wrong.strerror)
        return Held()


def read(path: Path) -> Held | str:
    """What the file `path` holds, nothing where there is none; one line where it cannot be read."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=Held)
    except (FileNotFoundError, NotADirectoryError):
        return Held()  # a folder that is none is named by whoever needs it first
    except OSError as wrong:
        return why_unread(wrong)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        return str(wrong)


@dataclass(frozen=True)
class Started:
    """What a process runs with: the `config` that its `own` file and, above it, `running` make."""

    config: Config
    own: Layer
    running: Given
    overrides: Overrides

    def find_faults(self, given: Given) -> list[str]:
        """All that is wrong with `given` above the unit's own file, a line each."""
        try:
            lay_over(self.own, given.text, given.version)
        except ConfigError as wrong:
            return str(wrong).splitlines()
        return []


def own_layer(path: Path) -> Layer:
    """The unit's own file; ConfigError where it cannot be read."""
    try:
        return Layer(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{path}: cannot be read: {why_unread(wrong)}") from None


def start(path: Path, calls: Calls = CALLS) -> Started:
    """Begins a process with the unit's own file `path` and what stands above it. ConfigError where the own file alone is no good.

    It counts as a start of a trial. A configuration from afar that no longer fits the file below it is taken back, and so is one
    whose start cannot be written down.
    """
    own = own_layer(path)
    alone = parse(own.text, own.name)
    overrides = Overrides(Path(alone.data), calls)
    held, config = fit(trial.begun(overrides.held), own, alone)
    try:
        overrides.keep(held)
    except OSError as wrong:
        log.error("%s: the start cannot be written down: %s", Path(alone.data) / FILE, wrong.strerror)
        if held.trial is not None:
            held, config = fit(trial.fallen(held, f"its start could not be written down: {wrong.strerror}"), own, alone)
        overrides.held = held
    if held != overrides.held or held.current.version:
        log.info("configuration %d from afar is in force", held.current.version)
    return Started(config, own, held.current, overrides)


def fit(held: Held, own: Layer, alone: Config) -> tuple[Held, Config]:
    """What counts of `held` above the `own` file, which makes `alone`, and the configuration that both make."""
    while held.current.text:
        try:
            return held, lay_over(own, held.current.text, held.current.version)
        except ConfigError as wrong:
            log.error("configuration %d from afar is taken back: %s", held.current.version, wrong)
            held = trial.fallen(held, *str(wrong).splitlines())
    return held, alone
