"""What a simulated gate does, told to its page as it happens: the lines of its pins from the journal, its events from the database."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from healthcode.terms import Decision, Reason
from healthgate.town import Town
from healthgate.witness import LIGHTS, RELAY
from healthgate.world import Entry

BUZZER = "buzzer"
LINES = (*LIGHTS, RELAY, BUZZER)
LOOK_S = 0.1
"""How often the database is asked for events while nothing moves on the pins."""
MOST_WAITING = 2000
"""Messages that wait for a page that does not read, before it is hung up on."""
SHAPES = {Decision.ADMIT: "circle", Decision.REFUSE: "square", Decision.CALL_GUARD: "triangle"}

Message = dict[str, Any]
_ROWS = text(
    "SELECT boot_id, seq, kind, received_ms, body FROM events WHERE unit = :unit AND received_ms >= :since ORDER BY received_ms, seq"
)
_NEWEST = text("SELECT max(received_ms) FROM events WHERE unit = :unit")


@dataclass
class Reader:
    """One page that follows: its queue belongs to the loop that reads it; None ends it."""

    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[Message | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))

    def put(self, message: Message | None) -> None:
        """Hands a message over from any thread; a page that reads too slowly is hung up on."""

        def hand_over() -> None:
            is_slow = self.queue.full()
            while is_slow and not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None if is_slow else message)

        try:
            self.loop.call_soon_threadsafe(hand_over)
        except RuntimeError:  # the loop has ended, and the page with it
            return


class GateFeed:
    """Follows gate `unit` of `town` on a thread of its own. `turn` is held by whoever stands at the gate."""

    def __init__(self, town: Town, unit: str) -> None:
        self.unit = unit
        self.turn = threading.Lock()
        self._town = town
        self._lock = threading.Lock()
        self._readers: list[Reader] = []
        self._is_busy = False
        self._ended = threading.Event()
        with town.store.read() as tx:
            self._newest_ms = int(tx.execute(_NEWEST, {"unit": unit}).scalar_one_or_none() or 0)
            self._known = {(row.boot_id, row.seq) for row in tx.execute(_ROWS, {"unit": unit, "since": self._newest_ms})}
        self._thread = threading.Thread(target=self._follow, name=f"feed {unit}", daemon=True)
        self._thread.start()

    @property
    def is_watched(self) -> bool:
        """Whether anybody has the gate's page open."""
        with self._lock:
            return bool(self._readers)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """A page that follows from now on, on the loop that runs; told first how the lines stand, and None when the feed ends."""
        reader = Reader(asyncio.get_running_loop())
        world = self._town.world
        with self._lock:
            self._readers.append(reader)
            for line in LINES:
                reader.put({"pin": line, "value": world.level(self.unit, line) or 0.0})
            reader.put({"unit": "there" if world.connected(self.unit) else "gone"})
            reader.put({"busy": self._is_busy})
        try:
            yield reader
        finally:
            with self._lock:
                self._readers.remove(reader)

    @contextmanager
    def somebody_else(self) -> Iterator[bool]:
        """Whether somebody who is no page's visitor may stand at the gate now: not while its page is open. Pages say so meanwhile."""
        if not self.turn.acquire(blocking=False):
            yield False
            return
        with self._lock:
            self._is_busy = not self._readers
        try:
            yield self._is_busy
        finally:
            with self._lock:
                self._is_busy = False
            self.turn.release()
            self._tell({"busy": False})

    def close(self) -> None:
        """Ends the thread, and every page's feed."""
        self._ended.set()
        self._thread.join(5)
        with self._lock:
            for reader in self._readers:
                reader.put(None)

    def _follow(self) -> None:
        world = self._town.world
        since = world.mark(self.unit)
        while not self._ended.is_set():
            world.wait_for(self.unit, _is_of_pins, LOOK_S, since)
            entries = world.entries(self.unit, since)
            since = int(entries[-1]["n"]) if entries else since
            for entry in entries:
                self._tell_entry(entry)
            self._tell_rows()

    def _tell_entry(self, entry: Entry) -> None:
        if entry.get("pin") in LINES:
            self._tell({name: entry[name] for name in ("pin", "value", "hz", "at") if name in entry})
        elif "hello" in entry or "gone" in entry:
            self._tell({"unit": "there" if "hello" in entry else "gone"})
        elif "frame" in entry:
            self._tell({"seen": len(entry["shown"]), "frame": entry["frame"]})

    def _tell_rows(self) -> None:
        with self._town.store.read() as tx:
            rows = tx.execute(_ROWS, {"unit": self.unit, "since": self._newest_ms}).all()
        fresh = [row for row in rows if (row.boot_id, row.seq) not in self._known]
        for row in fresh:
            message = _message_of(str(row.kind), json.loads(row.body))
            if message is not None:
                self._tell(message)
        if fresh:
            self._newest_ms = max(int(row.received_ms) for row in fresh)
            self._known = {(row.boot_id, row.seq) for row in rows if int(row.received_ms) == self._newest_ms}

    def _tell(self, message: Message) -> None:
        with self._lock:
            for reader in self._readers:
                reader.put(message)


def _is_of_pins(entry: Entry) -> bool:
    return "pin" in entry or "frame" in entry or "hello" in entry or "gone" in entry


def _message_of(kind: str, body: dict[str, Any]) -> Message | None:
    """What a page says of an event: a verdict with its reason in words, or how a passage ended."""
    if kind == "pass":
        decision, reason = Decision(body["decision"]), Reason(body["reason"])
        return {
            "verdict": decision.value,
            "shape": SHAPES[decision],
            "reason": reason.value,
            "words": reason.sentence,
            "words_zh": reason.sentence_zh,
            "body_c": body.get("body_c"),
        }
    return {"passage": body["outcome"]} if kind == "passage" else None
