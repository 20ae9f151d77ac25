"""What happened at this unit and is not yet known to be in the server's database: on disk before the barrier moves.

SQLite in write-ahead mode with synchronous FULL: `append` returns when the disk has the events. Each event of a boot has a seq, from 1,
without gaps; (unit, boot_id, seq) names it for ever. Only a watermark of the bridge takes an event out of the pending ones; it stays
here for seven days more, because a restored database may ask for it again. The passages of the last day are remembered beside the
events, so that one commit writes both and a restart does not forget who has just passed.

May be used by several threads: one lock, one connection. A fault closes the connection; the next call opens it again. What concerns many
rows (a watermark, forgetting) is done in slices, each a commit of its own, with the lock free in between: a verdict's append waits for one
slice at most. A slice that was done stays done, and the watermark is noted after its last: whoever was interrupted does the rest again.
Nor does an append pay for the log that it writes: `fold` carries it over into the database, on a connection of its own, without the lock.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import msgspec

from edge.files import make_folder
from edge.formats import OUTBOX, READS, WRITES
from healthcode.messages import AnyEvent, BootMark, Watermark, encode

KEEP_S = 7 * 86_400.0
"""How long an acknowledged event stays (DESIGN, Watermark)."""
REMEMBER_S = 86_400.0
"""How long a passage is remembered: the longest `lane.replay_s` that the configuration allows."""
MOST_ROWS = 500_000
"""Rows held at most, at about 700 bytes each: some 350 MB of a card, three weeks of a busy gate without a server."""
DAMAGED_KEPT = 3
SLICE = 1000
"""Rows changed in one commit at most."""
PAUSE_S = 0.002
"""How long the lock stays free between two slices: Python's locks know no queue, and whoever waits needs a moment to take it."""
FOLD_ROWS = 300
"""Rows changed until the log is carried over: about the 1,000 pages after which SQLite would do it within a commit."""
MOST_LOGGED = 16_000
"""Pages in the log (64 MB) at which a commit does carry it over after all: the thread that should have is gone."""
START_BUSY_S, BUSY_S = 5.0, 0.25
"""How long SQLite waits for whoever else has the file, at the start (the process before may still be ending) and later."""
FOREVER = float("inf")
UNNUMBERED = 1
"""What to write as the seq of an event that `append` is going to number."""

Person = tuple[str, int]
"""(list uri, index): all that a unit knows of a person."""

_PENDING, _ACKNOWLEDGED, _SPOILED = 0, 1, 2
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
"""What SQLite says where there is no room: for the database and its log, and for the log's index."""

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
CREATE INDEX IF NOT EXISTS events_done ON events (boot, seq) WHERE state = 1;
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

    def __init__(
        self,
        path: Path,
        boot_id: str,
        *,
        most_rows: int = MOST_ROWS,
        keep_s: float = KEEP_S,
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
    ) -> None:
        """Opens or makes the database; `connect` takes what sqlite3's own does.

        Where the disk is full this boot is not in it yet: each later call tries again, and raises OutboxFault until there is room.
        OutboxFault where the disk does not let it for another reason; ValueError where `boot_id` has been used before.
        """
        self.boot_id = boot_id
        self.damaged: Path | None = None
        self._path = path
        self._most_rows = most_rows
        self._keep_s = keep_s
        self._connect = connect
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._boot = 0  # until this boot is in the database
        self._is_checked = False
        self._seq = 0
        self._unsure = False  # after a fault: whether the last append is on disk after all
        self._is_counted = True  # not after a fault either: `_rows` and `_pending` are counted anew
        self._rows = 0
        self._pending = 0
        self._folded = 0  # how many rows this connection had changed when the log was last carried over
        self._recent: dict[Person, float] = {}
        with self._lock:
            try:
                self._start()
            except OutboxFault as wrong:
                self.close()
                if getattr(wrong.__cause__, "sqlite_errorcode", None) not in _FULL:
                    raise
            except BaseException:
                self.close()
                raise

    def append(self, events: Sequence[AnyEvent], used: Mapping[Person, float] | None = None) -> list[int]:
        """Writes `events`, all or none, and says which seq each has got; whatever seq they bring is replaced.

        `used`: whose passage this is and when (wall seconds), remembered in the same commit. On disk when it returns, else OutboxFault.
        Whoever tries again after an OutboxFault brings the same events first: those that are on disk after all are not written twice.
        """
        with self._lock:
            if self._rows + len(events) > self._most_rows:
                self._make_room(len(events))
            with self._transaction() as connection:
                there = self._landed(connection, events) if self._unsure else 0
                first = 1 + (max(self._seq, self._last_seq(connection)) if self._unsure else self._seq) - there
                numbered = [msgspec.structs.replace(event, seq=first + place) for place, event in enumerate(events)]
                connection.executemany(
                    "INSERT INTO events (boot, seq, state, body) VALUES (?, ?, 0, ?)",
                    [(self._boot, event.seq, encode(event)) for event in numbered[there:]],
                )
                if used:
                    connection.executemany(
                        "INSERT INTO passages (uri, idx, at) VALUES (?, ?, ?) ON CONFLICT (uri, idx) DO UPDATE SET at = excluded.at",
                        [(uri, index, at) for (uri, index), at in used.items()],
                    )
            self._seq, self._unsure = first + len(events) - 1, False
            self._rows += len(events) - there
            self._pending += len(events) - there
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

    def newest(self, limit: int) -> list[AnyEvent]:
        """The last `limit` events, acknowledged or not, the oldest of them first; what cannot be read is left out."""
        with self._lock, self._transaction() as connection:
            rows = connection.execute("SELECT body FROM events ORDER BY boot DESC, seq DESC LIMIT ?", (limit,)).fetchall()
        found: list[AnyEvent] = []
        for (body,) in reversed(rows):
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                found.append(_DECODER.decode(body))
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
            numbers = {boot_id: int(number) for number, boot_id in connection.execute("SELECT number, boot_id FROM boots")}
        marks = {numbers[mark.boot_id]: mark for mark in watermark.boots if mark.boot_id in numbers}
        done = again = 0
        if watermark.is_complete:
            again = sum(self._wait_again(number, 0) for number in numbers.values() if number not in marks)
        for number, mark in marks.items():
            again += self._wait_again(number, mark.up_to, mark.missing)
            done += self._finish(number, mark, at)
        with self._lock, self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO numbers VALUES ('watermark_ms', ?)", (watermark.at_ms,))
        return Acknowledged(done, again)

    def purge(self, at: float) -> int:
        """Forgets what was acknowledged over seven days before `at` and passages of over a day before; how many events went."""
        gone = self._in_slices(lambda connection: _forget(connection, at - self._keep_s), rows=-1)
        old = (at - REMEMBER_S, SLICE)
        self._in_slices(
            lambda connection: (
                connection.execute(
                    "DELETE FROM passages WHERE (uri, idx) IN (SELECT uri, idx FROM passages WHERE at < ? LIMIT ?)", old
                ).rowcount
            )
        )
        with self._lock, self._transaction() as connection:
            connection.execute(
                "DELETE FROM boots WHERE number <> ? AND NOT EXISTS (SELECT 1 FROM events WHERE boot = number)", (self._boot,)
            )
        with self._lock:
            self._recent = {person: used for person, used in self._recent.items() if used >= at - REMEMBER_S}
        return gone

    def fold(self) -> bool:
        """Carries the log over into the database where enough has gathered; whether it did. OutboxFault where the disk does not let it.

        Meanwhile others may append: what they write is carried over the next time. For any thread but the one that decides.
        """
        with self._lock:
            changed = 0 if self._connection is None else self._connection.total_changes
            if changed - self._folded < FOLD_ROWS:
                return False
            self._folded = changed
        try:
            with closing(self._connect(self._path, timeout=BUSY_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as wrong:
            raise OutboxFault(f"{self._path}: {wrong}") from wrong
        return True

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
            connection = self._open(check=not self._is_checked)
        except sqlite3.DatabaseError as wrong:
            if isinstance(wrong, sqlite3.OperationalError) or not self._path.exists():
                raise OutboxFault(f"{self._path}: {wrong}") from wrong
            self._set_aside()
            connection = self._reopen()
        except OSError as wrong:
            raise OutboxFault(f"{self._path}: {wrong}") from None
        self._connection = connection
        self._is_checked = True
        with self._commit():
            mine = connection.execute("SELECT number FROM boots WHERE boot_id = ?", (self.boot_id,)).fetchone()
            if mine is not None and not self._unsure:  # unless it was we who wrote it, and the disk said that it had not
                raise ValueError(f"boot_id {self.boot_id}: used before, expected fresh random bits")
            if mine is None:
                mine = connection.execute(
                    "INSERT INTO boots SELECT coalesce(max(number), 0) + 1, ? FROM boots RETURNING number", (self.boot_id,)
                ).fetchone()
            boot = int(mine[0])
            rows, pending = _count(connection)
            recent = {(uri, index): at for uri, index, at in connection.execute("SELECT uri, idx, at FROM passages")}
        self._boot, self._rows, self._pending, self._recent = boot, rows, pending, recent

    def _open(self, *, check: bool) -> sqlite3.Connection:
        make_folder(self._path.parent)
        connection = self._connect(self._path, timeout=START_BUSY_S if check else BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {MOST_LOGGED}")
            if check and (verdict := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(verdict)
            if (number := connection.execute("PRAGMA user_version").fetchone()[0]) > READS[OUTBOX]:
                raise sqlite3.OperationalError(f"has format {number}: expected {READS[OUTBOX]} or less, a newer release wrote it")
            connection.executescript(_TABLES)
            if number < WRITES[OUTBOX]:
                connection.execute(f"PRAGMA user_version = {WRITES[OUTBOX]}")
            connection.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _reopen(self) -> sqlite3.Connection:
        self._folded = 0
        try:
            return self._open(check=False)
        except (sqlite3.Error, OSError) as wrong:
            raise OutboxFault(f"{self._path}: {wrong}") from wrong

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
        """One commit, after this boot's start where that had to wait."""
        if not self._boot:
            self._start()
        with self._commit() as connection:
            yield connection

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection = self._connection or self._reopen()
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not self._is_counted:
                self._rows, self._pending = _count(connection)
                self._is_counted = True
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as wrong:
            self._unsure, self._is_counted = True, False
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

    def _in_slices(self, turn: Callable[[sqlite3.Connection], int], *, rows: int = 0, pending: int = 0) -> int:
        """Does `turn` until it changes less than a slice; how many rows it changed. Each counts so much in `_rows` and `_pending`."""
        total = 0
        while True:
            with self._lock:
                with self._transaction() as connection:
                    changed = turn(connection)
                self._rows += rows * changed
                self._pending += pending * changed
            total += changed
            if changed < SLICE:
                return total
            self.fold()
            time.sleep(PAUSE_S)

    def _wait_again(self, boot: int, up_to: int, missing: Sequence[int] = ()) -> int:
        """Acknowledged events beyond `up_to`, and those that are missing, wait again; how many."""
        again = self._in_slices(
            lambda connection: (
                connection.execute(
                    "UPDATE events SET state = 0, acknowledged_at = NULL WHERE boot = ? AND seq IN"
                    " (SELECT seq FROM events INDEXED BY events_done WHERE boot = ? AND state = 1 AND seq > ? ORDER BY seq LIMIT ?)",
                    (boot, boot, up_to, SLICE),
                ).rowcount
            ),
            pending=1,
        )
        if missing:
            again += self._in_slices(partial(_wait_again, boot=boot, seqs=[seq for seq in missing if seq <= up_to]), pending=1)
        return again

    def _finish(self, boot: int, mark: BootMark, at: float) -> int:
        """Waiting events up to the mark that are not missing are done with; how many."""
        missing, passed = set(mark.missing), 0

        def turn(connection: sqlite3.Connection) -> int:
            nonlocal passed
            waiting = connection.execute(
                "SELECT seq FROM events INDEXED BY events_pending WHERE boot = ? AND state = 0 AND seq > ? AND seq <= ? ORDER BY seq",
                (boot, passed, mark.up_to),
            )
            held = list(islice((seq for (seq,) in waiting if seq not in missing), SLICE))
            waiting.close()
            passed = held[-1] if held else passed
            connection.executemany(
                "UPDATE events SET state = 1, acknowledged_at = ? WHERE boot = ? AND seq = ?", [(at, boot, seq) for seq in held]
            )
            return len(held)

        return self._in_slices(turn, pending=-1)

    def _last_seq(self, connection: sqlite3.Connection) -> int:
        return int(connection.execute("SELECT coalesce(max(seq), 0) FROM events WHERE boot = ?", (self._boot,)).fetchone()[0])

    def _landed(self, connection: sqlite3.Connection, events: Sequence[AnyEvent]) -> int:
        """How many of `events`, the first of them, earlier calls that ended in a fault have written all the same; 0 where others did."""
        place = (self._boot, self._seq)
        rows = connection.execute("SELECT seq, body FROM events WHERE boot = ? AND seq > ? ORDER BY seq", place).fetchall()
        same = [encode(msgspec.structs.replace(event, seq=seq)) == body for (seq, body), event in zip(rows, events, strict=False)]
        return len(rows) if len(rows) <= len(events) and all(same) else 0

    def _make_room(self, wanted: int) -> None:
        if self._pending + wanted > self._most_rows:
            raise OutboxFault(f"{self._path}: {self._pending} events wait for the server, expected at most {self._most_rows - wanted}")
        with self._transaction() as connection:
            gone = _forget(connection, FOREVER, max(wanted, min(SLICE, self._most_rows // 100)))
        self._rows -= gone


def _count(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many events there are, and how many of them wait."""
    rows, pending = connection.execute("SELECT count(*), coalesce(sum(state = 0), 0) FROM events").fetchone()
    return int(rows), int(pending)


def _forget(connection: sqlite3.Connection, before: float, most: int = SLICE) -> int:
    """Deletes events that were acknowledged before then, the oldest first, at most so many; how many went."""
    return connection.execute(
        "DELETE FROM events WHERE (boot, seq) IN"
        " (SELECT boot, seq FROM events WHERE state = 1 AND acknowledged_at < ? ORDER BY acknowledged_at, boot, seq LIMIT ?)",
        (before, most),
    ).rowcount


def _wait_again(connection: sqlite3.Connection, boot: int, seqs: Sequence[int]) -> int:
    """Those of `seqs` that were acknowledged wait again; how many."""
    changed = connection.executemany(
        "UPDATE events SET state = 0, acknowledged_at = NULL WHERE boot = ? AND state = 1 AND seq = ?", [(boot, seq) for seq in seqs]
    ).rowcount
    return max(0, changed)  # -1 where there were none
