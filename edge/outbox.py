"""What happened at this unit and is not yet known to be in the server's database: on disk before the barrier moves.

SQLite in write-ahead mode with synchronous FULL: `append` returns when the disk has the events. Each event of a boot has a seq, from 1,
without gaps; (unit, boot_id, seq) names it for ever. Only a watermark of the bridge takes an event out of the pending ones; it stays
here for seven days more, because a restored database may ask for it again. The passages of the last day are remembered beside the
events, so that one commit writes both and a restart does not forget who has just passed.

May be used by several threads: one lock, one connection. A fault closes the connection; the next call opens it again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec

from healthcode.messages import AnyEvent, Watermark, encode

KEEP_S = 7 * 86_400.0
"""How long an acknowledged event stays (DESIGN, Watermark)."""
REMEMBER_S = 86_400.0
"""How long a passage is remembered: the longest `lane.replay_s` that the configuration allows."""
MOST_ROWS = 500_000
"""Rows held at most, at about 700 bytes each: some 350 MB of a card, three weeks of a busy gate without a server."""
DAMAGED_KEPT = 3
UNNUMBERED = 1
"""What to write as the seq of an event that `append` is going to number."""

Person = tuple[str, int]
"""(list uri, index): all that a unit knows of a person."""

_PENDING, _ACKNOWLEDGED, _SPOILED = 0, 1, 2

_TABLES = """
CREATE TABLE IF NOT EXISTS boots (number INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS events (
    boot INTEGER NOT NULL REFERENCES boots(number),
    seq INTEGER NOT NULL,
    state INTEGER NOT NULL,
    acknowledged_at REAL,
    body BLOB NOT NULL,
    PRIMARY KEY (boot, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_pending ON events (boot, seq) WHERE state = 0;
CREATE INDEX IF NOT EXISTS events_acknowledged ON events (acknowledged_at) WHERE state = 1;
CREATE TABLE IF NOT EXISTS passages (uri TEXT NOT NULL, idx INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (uri, idx)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""

_DECODER: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class OutboxFault(Exception):
    """The disk did not take or give what was asked, or the outbox is full; the text is one line. The verdict becomes OUTBOX_FAULT."""


@dataclass(frozen=True, order=True)
class Place:
    """Where an event stands: the number of its boot on this unit, and its seq in it."""

    boot: int
    seq: int


@dataclass(frozen=True)
class Stored:
    """An event that waits for the server."""

    place: Place
    boot_id: str
    event: AnyEvent


@dataclass(frozen=True)
class Acknowledged:
    """What a watermark changed: so many events done with, so many to be sent again."""

    done: int
    again: int


@dataclass(frozen=True)
class StaleWatermark:
    """A watermark that is not newer than the last one taken."""

    at_ms: int
    last_ms: int


class Outbox:
    """The events of this unit, of this boot and earlier ones, and who passed lately.

    `damaged` is where a database that could not be read was set aside at the start, for whoever wants to save what is in it.
    """

    def __init__(self, path: Path, boot_id: str, *, most_rows: int = MOST_ROWS, keep_s: float = KEEP_S) -> None:
        """Opens or makes the database. OutboxFault where the disk does not let it; ValueError where `boot_id` has been used before."""
        self.boot_id = boot_id
        self.damaged: Path | None = None
        self._path = path
        self._most_rows = most_rows
        self._keep_s = keep_s
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._boot = 0
        self._seq = 0
        self._unsure = False  # after a fault: whether the last append is on disk after all
        self._rows = 0
        self._pending = 0
        self._recent: dict[Person, float] = {}
        with self._lock:
            try:
                self._start()
            except BaseException:
                self.close()
                raise

    def append(self, events: Sequence[AnyEvent], used: Mapping[Person, float] | None = None) -> list[int]:
        """Writes `events`, all or none, and says which seq each has got; whatever seq they bring is replaced.

        `used`: whose passage this is and when (wall seconds), remembered in the same commit. On disk when it returns, else OutboxFault.
        """
        with self._lock:
            if self._rows + len(events) > self._most_rows:
                self._make_room(len(events))
            with self._transaction() as connection:
                first = 1 + (max(self._seq, self._last_seq(connection)) if self._unsure else self._seq)
                numbered = [msgspec.structs.replace(event, seq=first + place) for place, event in enumerate(events)]
                connection.executemany(
                    "INSERT INTO events (boot, seq, state, body) VALUES (?, ?, 0, ?)",
                    [(self._boot, event.seq, encode(event)) for event in numbered],
                )
                if used:
                    connection.executemany(
                        "INSERT INTO passages (uri, idx, at) VALUES (?, ?, ?) ON CONFLICT (uri, idx) DO UPDATE SET at = excluded.at",
                        [(uri, index, at) for (uri, index), at in used.items()],
                    )
            self._seq, self._unsure = first + len(events) - 1, False
            self._rows += len(events)
            self._pending += len(events)
            self._recent.update(used or {})
            return [event.seq for event in numbered]

    def pending(self, limit: int, outstanding: Collection[Place] = ()) -> list[Stored]:
        """The first `limit` events that wait and are not in `outstanding`, in the order of boots and seqs."""
        with self._lock, self._transaction() as connection:
            rows = connection.execute(
                "SELECT e.boot, e.seq, b.boot_id, e.body FROM events e JOIN boots b ON b.number = e.boot"
                " WHERE e.state = 0 ORDER BY e.boot, e.seq LIMIT ?",
                (limit + len(outstanding),),
            ).fetchall()
            found: list[Stored] = []
            for boot, seq, boot_id, body in rows:
                place = Place(boot, seq)
                if place in outstanding or len(found) == limit:
                    continue
                try:
                    found.append(Stored(place, boot_id, _DECODER.decode(body)))
                except (msgspec.DecodeError, UnicodeDecodeError):
                    connection.execute("UPDATE events SET state = ? WHERE boot = ? AND seq = ?", (_SPOILED, boot, seq))
                    self._pending -= 1
            return found

    def acknowledge(self, watermark: Watermark, at: float) -> Acknowledged | StaleWatermark:
        """Takes over what the database holds: what it has is done with, what it lacks waits again.

        Boots that are not named stay as they are, unless the watermark is complete: then the database may hold nothing of them.
        `at` (wall seconds) begins the days that a row is kept. Only a watermark newer than the last one taken counts, across restarts.
        """
        with self._lock, self._transaction() as connection:
            row = connection.execute("SELECT value FROM numbers WHERE name = 'watermark_ms'").fetchone()
            last = int(row[0]) if row else -1
            if watermark.at_ms <= last:
                return StaleWatermark(watermark.at_ms, last)
            done = again = 0
            if watermark.is_complete:
                named = {mark.boot_id for mark in watermark.boots}
                boots = connection.execute("SELECT number, boot_id FROM boots").fetchall()
                again = sum(_wait_again(connection, number, 0, ()) for number, boot_id in boots if boot_id not in named)
            for mark in watermark.boots:
                found = connection.execute("SELECT number FROM boots WHERE boot_id = ?", (mark.boot_id,)).fetchone()
                if found is None:
                    continue
                boot = int(found[0])
                missing = set(mark.missing)
                again += _wait_again(connection, boot, mark.up_to, missing)
                waiting = connection.execute("SELECT seq FROM events WHERE boot = ? AND state = 0 AND seq <= ?", (boot, mark.up_to))
                held = [(at, boot, seq) for (seq,) in waiting if seq not in missing]
                connection.executemany("UPDATE events SET state = 1, acknowledged_at = ? WHERE boot = ? AND seq = ?", held)
                done += len(held)
            connection.execute("INSERT OR REPLACE INTO numbers VALUES ('watermark_ms', ?)", (watermark.at_ms,))
            self._pending += again - done
            return Acknowledged(done, again)

    def purge(self, at: float) -> int:
        """Forgets what was acknowledged over seven days before `at` and passages of over a day before; how many events went."""
        with self._lock, self._transaction() as connection:
            gone = connection.execute("DELETE FROM events WHERE state = 1 AND acknowledged_at < ?", (at - self._keep_s,)).rowcount
            connection.execute("DELETE FROM passages WHERE at < ?", (at - REMEMBER_S,))
            connection.execute("DELETE FROM boots WHERE number <> ? AND number NOT IN (SELECT boot FROM events)", (self._boot,))
            self._rows -= gone
            self._recent = {person: used for person, used in self._recent.items() if used >= at - REMEMBER_S}
            return gone

    @property
    def recent(self) -> Mapping[Person, float]:
        """When each person last passed here (wall seconds): the memory behind REPLAY."""
        return MappingProxyType(self._recent)

    @property
    def waiting(self) -> int:
        """How many events wait for the server."""
        return self._pending

    def close(self) -> None:
        """Closes the database; a later call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _start(self) -> None:
        try:
            connection = self._open(check=True)
        except sqlite3.DatabaseError as wrong:
            if isinstance(wrong, sqlite3.OperationalError) or not self._path.exists():
                raise OutboxFault(f"{self._path}: {wrong}") from None
            self._set_aside()
            connection = self._reopen()
        except OSError as wrong:
            raise OutboxFault(f"{self._path}: {wrong}") from None
        self._connection = connection
        with self._transaction():
            self._boot = int(connection.execute("SELECT coalesce(max(number), 0) + 1 FROM boots").fetchone()[0])
            try:
                connection.execute("INSERT INTO boots VALUES (?, ?)", (self._boot, self.boot_id))
            except sqlite3.IntegrityError:
                raise ValueError(f"boot_id {self.boot_id}: used before, expected fresh random bits") from None
            self._rows, self._pending = connection.execute("SELECT count(*), coalesce(sum(state = 0), 0) FROM events").fetchone()
            self._recent = {(uri, index): at for uri, index, at in connection.execute("SELECT uri, idx, at FROM passages")}

    def _open(self, *, check: bool) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if check and (verdict := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(verdict)
            connection.executescript(_TABLES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _reopen(self) -> sqlite3.Connection:
        try:
            return self._open(check=False)
        except (sqlite3.Error, OSError) as wrong:
            raise OutboxFault(f"{self._path}: {wrong}") from None

    def _set_aside(self) -> None:
        kept = sorted(self._path.parent.glob(f"{self._path.name}.damaged-*"), key=lambda file: file.stat().st_mtime)
        for old in kept[: max(0, len(kept) - DAMAGED_KEPT + 1)]:
            old.unlink()
        self.damaged = self._path.with_name(f"{self._path.name}.damaged-{self.boot_id[:8]}")
        self._path.replace(self.damaged)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection = self._connection or self._reopen()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as wrong:
            self._unsure = True
            self._close_after(connection.close)
            raise OutboxFault(f"{self._path}: {wrong}") from wrong
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _close_after(self, close: Callable[[], None]) -> None:
        self._connection = None
        try:
            close()
        except sqlite3.Error:
            return

    def _last_seq(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT coalesce(max(seq), 0) FROM events WHERE boot = ?", (self._boot,)).fetchone()[0])

    def _make_room(self, wanted: int) -> None:
        if self._pending + wanted > self._most_rows:
            raise OutboxFault(f"{self._path}: {self._pending} events wait for the server, expected at most {self._most_rows - wanted}")
        with self._transaction() as connection:
            gone = connection.execute(
                "DELETE FROM events WHERE (boot, seq) IN"
                " (SELECT boot, seq FROM events WHERE state = 1 ORDER BY acknowledged_at, boot, seq LIMIT ?)",
                (max(wanted, self._most_rows // 100),),
            ).rowcount
            self._rows -= gone


def _wait_again(connection: sqlite3.Connection, boot: int, up_to: int, missing: Collection[int]) -> int:
    above = connection.execute(
        "UPDATE events SET state = 0, acknowledged_at = NULL WHERE boot = ? AND state = 1 AND seq > ?", (boot, up_to)
    ).rowcount
    within = connection.executemany(
        "UPDATE events SET state = 0, acknowledged_at = NULL WHERE boot = ? AND state = 1 AND seq = ?",
        [(boot, seq) for seq in missing if seq <= up_to],
    ).rowcount
    return above + max(0, within)
