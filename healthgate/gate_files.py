"""What a gate has on its own disk, read from outside: the third witness, beside pins and database. The gate may be running or dead."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.cache import held_roots
from edge.listfolder import ListFolder
from healthcode import cose, signed
from healthcode.cose import PublicKey
from healthcode.messages import MAX_SIGNED, Delta
from healthcode.roots import Roots


@dataclass(frozen=True)
class HeldList:
    """One list on a gate's disk: the version that its files lead to, and when the last delta was written (milliseconds since 1970)."""

    version: int
    changed_ms: float


class GateFiles:
    """The data folder of one gate. `roots` are the keys that its trust list must be signed by."""

    def __init__(self, folder: Path, roots: Sequence[PublicKey]) -> None:
        self._folder = folder
        self._roots = tuple(roots)

    def trust_version(self) -> int | None:
        """The version of the trust list held; None where there is none that verifies."""
        return held_roots(self._folder / "cache", self._roots)[1] or None

    def roots(self) -> Roots:
        """The root keys that count there, those of the enrolment and those that followed."""
        return held_roots(self._folder / "cache", self._roots)[0]

    def held_list(self, uri: str) -> HeldList | None:
        """How far list `uri` is; None where it is not held. What is there is read, not verified: that is the gate's business."""
        folder = ListFolder(self._folder / "cache" / hashlib.sha256(uri.encode()).hexdigest()[:32])
        try:
            base = folder.bases()[0]
            deltas = folder.deltas(base)
            changed_ns = (folder.folder / f"list-{base.epoch}-{base.version}.log").stat().st_mtime_ns
        except (IndexError, FileNotFoundError):
            return None
        version = signed.unpack(cose.parse(deltas[-1]).payload, Delta, MAX_SIGNED).to if deltas else base.version
        return HeldList(version, changed_ns / 1e6)

    def events(self, *, waiting: bool = False) -> set[tuple[str, int]]:
        """(boot_id, seq) of every event in the outbox, or of those that wait for the server."""
        path = self._folder / "outbox.sqlite"
        if not path.exists():
            return set()
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
        try:
            rows = connection.execute(
                "SELECT b.boot_id, e.seq FROM events e JOIN boots b ON b.number = e.boot WHERE e.state = 0 OR ?", (not waiting,)
            ).fetchall()
        finally:
            connection.close()
        return {(str(boot), int(seq)) for boot, seq in rows}

    def knows_the_time(self) -> bool:
        """Whether a time key has ever answered."""
        return (self._folder / "floor").exists()
