"""Resets of units' clocks on their way from the keys folder, where the root signed them, to the units' retained topics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from healthcode import topics
from healthcode.cose import PublicKey
from healthcode.messages import MAX_HEAD, ClockReset
from healthcode.signed import SignedFault, read_rooted
from server.keys import RESETS_FOLDER
from server.lists import Publication

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often the folder is looked at, in seconds."""


class ClockResets:
    """The files {unit}.cbor of the folder: each is published when it is new or has changed, for as long as its unit is in service."""

    def __init__(self, keys: Path, roots: Callable[[], Sequence[PublicKey]], in_service: Callable[[str], bool]) -> None:
        """`keys` is the keys folder, `roots` gives whose signatures count; a unit checks again. `in_service` knows who is not retired."""
        self._folder = keys / RESETS_FOLDER
        self._roots = roots
        self._in_service = in_service
        self._seen: dict[str, bytes] = {}
        self._without_unit: set[str] = set()
        self._looked = float("-inf")

    def due(self, at: float) -> list[Publication]:
        """What to publish at the monotonic time `at`."""
        if at - self._looked < LOOK_S:
            return []
        self._looked = at
        fresh: list[Publication] = []
        for path in sorted(self._folder.glob("*.cbor")):
            data = self._read(path)
            if self._seen.get(path.stem) == data:
                continue
            if not self._in_service(path.stem):
                self._say_without_unit(path)
                continue
            self._seen[path.stem] = data
            self._without_unit.discard(path.stem)
            reset = read_rooted(data, ClockReset, self._roots())
            if isinstance(reset, SignedFault) or reset.unit != path.stem:
                why = reset.value if isinstance(reset, SignedFault) else f"it names {reset.unit}"
                log.warning("%s is not published: %s: expected a reset that a root signed for unit %s", path, why, path.stem[:32])
                continue
            log.info("clock reset %d for unit %s goes out", reset.serial, reset.unit)
            fresh.append(Publication(topics.down(reset.unit, "clock"), data, retain=True))
        return fresh

    def again(self) -> None:
        """All of them at the next asking: the broker may have forgotten them."""
        self._seen.clear()
        self._looked = float("-inf")

    def _say_without_unit(self, path: Path) -> None:
        """Once: it is kept for a unit of that name that comes later."""
        if path.stem not in self._without_unit:
            log.warning("%s is not published: no unit %s is in service", path, path.stem[:32])
        self._without_unit.add(path.stem)

    def _read(self, path: Path) -> bytes:
        """Empty where it cannot be read: it is then no reset."""
        try:
            with path.open("rb") as file:
                return file.read(MAX_HEAD + 1)
        except OSError:
            return b""
