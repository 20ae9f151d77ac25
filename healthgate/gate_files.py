"""What a gate has on its own disk, read from outside: the third witness, beside pins and database. The gate may be running or dead."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from healthcode.cose import PublicKey
from healthcode.messages import TrustList
from healthcode.signed import SignedFault, read_rooted


@dataclass(frozen=True)
class DeltaLog:
    """The file in which a gate keeps the deltas of one list: its name and size, and when it last changed (milliseconds since 1970)."""

    name: str
    size: int
    changed_ms: float


class GateFiles:
    """The data folder of one gate. `roots` are the keys that its trust list must be signed by."""

    def __init__(self, folder: Path, roots: Sequence[PublicKey]) -> None:
        self._folder = folder
        self._roots = tuple(roots)

    def trust_version(self) -> int | None:
        """The version of the trust list held; None where there is none that verifies."""
        path = self._folder / "cache" / "trust"
        found = read_rooted(path.read_bytes(), TrustList, self._roots) if path.exists() else SignedFault.SIZE
        return found.version if isinstance(found, TrustList) else None

    def delta_log(self, uri: str) -> DeltaLog | None:
        """The log of list `uri`; None where the list is not held."""
        logs = sorted((self._folder / "cache" / hashlib.sha256(uri.encode()).hexdigest()[:32]).glob("list-*.log"))
        if not logs:
            return None
        try:
            stat = logs[-1].stat()
        except FileNotFoundError:
            return None
        return DeltaLog(logs[-1].name, stat.st_size, stat.st_mtime_ns / 1e6)

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
