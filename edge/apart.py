"""A configuration from afar and a release are never on trial at once: what breaks then would be blamed on either.

Two processes begin trials, the gate those of configurations and the updater those of releases, each in notes of its own on the disk
(`desired.json`, `updates.json`). Whoever begins one holds the lock, looks at the other's notes, and writes its own before it lets go. So
at most one of the two says that a trial is under way, wherever the power goes; the other's waits.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge import overrides
from edge.trial import Held

log = logging.getLogger(__name__)


@contextmanager
def alone(data: Path) -> Iterator[bool]:
    """Whether nobody else begins a trial in this block; False where somebody is at it just now, or nobody can know. `data` is the unit's
    folder.

    A lock of the kernel on the folder itself: it leaves nothing behind, and ends with the process however that ends.
    """
    try:
        folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as wrong:
        log.warning("%s: cannot be opened: %s", data, wrong.strerror)
        yield False
        return
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(folder)


def is_configuration_on_trial(data: Path) -> bool:
    """Whether a configuration from afar is on trial, or waits to be; of notes that cannot be read the gate begins none."""
    held = overrides.read(data / overrides.FILE)
    return isinstance(held, Held) and held.trial is not None
