"""The simulated world of the demo and of tests: several units connect, each sees its own scene, and journals what its hardware did.

The journal is the witness: it comes from the simulated pins and registers, never from the unit's own report. When a connection ends, as
with SIGKILL, every output line of that unit falls to its pull (all outputs of hw/wiring.md are pulled down), and that is journalled too.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from edge.drivers.world import MAX_LINE, SEND_LIMIT_S, Scene, Shown

Entry = dict[str, Any]

KEPT = 50_000
"""Entries of one unit's journal that stay in memory."""

FILE_LIMIT = 32 * 1024 * 1024
"""Bytes of one unit's journal file before it is put aside as `.1`."""

log = logging.getLogger(__name__)


class _Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hello: Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    pid: int


class Journal:
    """What one unit's hardware did, in order: in memory, and in a file of JSON lines where there is one. The world's lock guards it."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = path.open("ab") if path else None
        self._entries: list[Entry] = []
        self._dropped = 0

    def append(self, entry: Entry) -> None:
        """Adds `entry` with its number `n` and the world's own `seen_at` (monotonic seconds)."""
        entry = {"n": self.count + 1, "seen_at": time.monotonic(), **entry}
        self._entries.append(entry)
        if len(self._entries) > KEPT:
            del self._entries[: KEPT // 10]
            self._dropped += KEPT // 10
        if self._file and self._path:
            self._file.write(msgspec.json.encode(entry) + b"\n")
            self._file.flush()
            if self._file.tell() > FILE_LIMIT:
                self._file.close()
                self._path.replace(self._path.with_suffix(".jsonl.1"))
                self._file = self._path.open("ab")

    @property
    def count(self) -> int:
        """How many entries there ever were."""
        return self._dropped + len(self._entries)

    def since(self, mark: int) -> list[Entry]:
        """The entries after number `mark` that are still in memory."""
        return self._entries[max(0, mark - self._dropped) :]

    def close(self) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()
            self._file = None


class World:
    """The server side: scenes by unit, journals by unit."""

    def __init__(self, path: Path | str, folder: Path | None = None) -> None:
        """Listens on the Unix socket `path`; journals also go to `folder`/{unit}.jsonl where one is given."""
        self._path = Path(path)
        self._folder = folder
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        self._news = threading.Condition(threading.RLock())
        self._scenes: dict[str, Scene] = defaultdict(Scene)
        self._journals: dict[str, Journal] = {}
        self._levels: dict[str, dict[str, float]] = defaultdict(dict)
        self._connections: dict[str, socket.socket] = {}
        self._ids = count(1)
        self._closed = False
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._path.chmod(0o600)
        self._listener.listen(16)
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def set(self, unit: str, **changes: object) -> Scene:
        """Changes fields of `unit`'s scene and sends it the whole scene; msgspec.ValidationError where there is no such field or value."""
        with self._news:
            scene = msgspec.convert({**msgspec.to_builtins(self._scenes[unit]), **msgspec.to_builtins(changes)}, Scene)
            self._scenes[unit] = scene
            self._journal(unit).append({"scene": msgspec.to_builtins(changes)})
            self._send(unit)
            self._news.notify_all()
            return scene

    def show(self, unit: str, *texts: str) -> tuple[str, ...]:
        """Holds up codes with `texts` and nothing else; their ids, each new, as the camera will journal them."""
        shown = tuple(Shown(f"c{next(self._ids)}", text) for text in texts)
        self.set(unit, shown=shown)
        return tuple(one.id for one in shown)

    def scene(self, unit: str) -> Scene:
        """The scene of `unit` as it is now."""
        with self._news:
            return self._scenes[unit]

    def mark(self, unit: str) -> int:
        """The number of the newest entry of `unit`'s journal, to pass as `since`."""
        with self._news:
            return self._journal(unit).count

    def entries(self, unit: str, since: int = 0) -> list[Entry]:
        """The entries of `unit`'s journal after number `since`, oldest first."""
        with self._news:
            return list(self._journal(unit).since(since))

    def wait_for(self, unit: str, predicate: Callable[[Entry], bool], limit_s: float, since: int = 0) -> Entry | None:
        """The first entry of `unit`'s journal after number `since` for which `predicate` holds, None where none came in `limit_s`."""
        until = time.monotonic() + limit_s
        with self._news:
            journal = self._journal(unit)
            while True:
                for entry in journal.since(since):
                    if predicate(entry):
                        return entry
                since = max(since, journal.count)
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._news.wait(left)

    def level(self, unit: str, pin: str) -> float | None:
        """What `unit`'s output line `pin` carries now, 0 to 1; None where it was never driven."""
        with self._news:
            return self._levels[unit].get(pin)

    def connected(self, unit: str) -> bool:
        """Whether a process stands behind `unit` now."""
        with self._news:
            return unit in self._connections

    def wait_connected(self, unit: str, limit_s: float) -> bool:
        """Whether a process connected as `unit` within `limit_s`."""
        with self._news:
            return self._news.wait_for(lambda: unit in self._connections, limit_s)

    def wait_gone(self, unit: str, limit_s: float) -> bool:
        """Whether the process behind `unit` was gone within `limit_s`, and its lines released."""
        with self._news:
            return self._news.wait_for(lambda: unit not in self._connections, limit_s)

    def close(self) -> None:
        """Hangs up on every unit, as a power cut of the simulated parts would."""
        with self._news:
            self._closed = True
            connections = list(self._connections.values())
        for connection in (self._listener, *connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(SEND_LIMIT_S)
        with self._news:
            for journal in self._journals.values():
                journal.close()
        self._path.unlink(missing_ok=True)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, args=args, name="world", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _journal(self, unit: str) -> Journal:
        if unit not in self._journals:
            self._journals[unit] = Journal(self._folder / f"{unit}.jsonl" if self._folder else None)
        return self._journals[unit]

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_LIMIT_S, 0))
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        unit = ""
        pid = 0
        try:
            with connection, connection.makefile("rb") as lines:
                hello = msgspec.json.decode(lines.readline(MAX_LINE), type=_Hello)
                with self._news:
                    if hello.hello in self._connections:
                        log.warning("the world hung up on a second process that calls itself %s", hello.hello)
                        return
                    unit, pid = hello.hello, hello.pid
                    self._connections[unit] = connection
                    self._record(unit, {"hello": unit, "pid": pid})
                    self._send(unit)
                while line := lines.readline(MAX_LINE):
                    self._record(unit, msgspec.json.decode(line, type=Entry))
        except (OSError, ValueError, msgspec.DecodeError) as wrong:
            log.warning("the world hung up on %s: %s", unit or "a stranger", wrong)
        finally:
            if unit:
                self._release(unit, pid)

    def _record(self, unit: str, entry: Entry) -> None:
        with self._news:
            self._journal(unit).append(entry)
            if isinstance(entry.get("pin"), str) and isinstance(entry.get("value"), int | float):
                self._levels[unit][entry["pin"]] = cast(float, entry["value"])
            self._news.notify_all()

    def _release(self, unit: str, pid: int) -> None:
        with self._news:
            for pin, value in tuple(self._levels[unit].items()):
                if value:
                    self._record(unit, {"pin": pin, "value": 0, "cause": "released", "at": time.monotonic()})
            self._record(unit, {"gone": unit, "pid": pid})
            del self._connections[unit]
            self._news.notify_all()

    def _send(self, unit: str) -> None:
        connection = self._connections.get(unit)
        if connection is None:
            return
        try:
            connection.sendall(msgspec.json.encode({"scene": self._scenes[unit]}) + b"\n")
        except OSError as wrong:
            log.warning("the world could not reach %s: %s", unit, wrong)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def default_socket(folder: Path) -> Path:
    """The world's socket inside a data `folder`; socket paths end at about 100 bytes, so a deep folder raises ValueError."""
    path = folder / "world.sock"
    if len(os.fsencode(path)) > 100:
        raise ValueError(f"{path}: too long for a socket, expected a data folder of at most {100 - len('/world.sock')} bytes")
    return path
