"""What units report, taken into the database: events once each, and the watermark that lets the unit forget.

`Intake.take` is one transaction for a batch of messages; only after it returns may they be acknowledged. Whatever a stranger sends is
counted, put in quarantine while there is room, and named in one line.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import InterfaceError, OperationalError

from healthcode import topics
from healthcode.messages import (
    MAX_SAID,
    Alert,
    AnyEvent,
    BadPayload,
    BootMark,
    EventBatch,
    Info,
    Lane,
    PassEvent,
    Reported,
    UnitStatus,
    Watermark,
    decode,
    encode,
)
from healthcode.terms import ClockState
from healthcode.trust import KeyRing
from server import fleet_book
from server.fleet_state import AlertNews, EventsNews, Heard, Saying, StateWord
from server.marks import Mark, advance
from server.readings import Pass, Readings, event_name
from server.registry import Registry
from server.store import Store, desired, events, to_ms
from server.store.desired import ReportedRow
from server.store.events import EventRow, Quarantined

log = logging.getLogger(__name__)

MOST_GAPS = 10_000
"""Missing seqs that one watermark may name, at most 90 KB of CBOR."""
NEWEST_BOOTS = 64
"""Boots that one watermark may name (messages.Watermark)."""
SETTLED_MS = 8 * 86_400_000
"""A boot not heard of for so long need not be named: units forget what was acknowledged seven days ago (edge.outbox.KEEP_S)."""
_ENCODER = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True)
class Incoming:
    """A message as it came from the broker; `is_retained`: it comes from the broker's memory, its unit may be gone."""

    topic: str
    payload: bytes
    is_retained: bool = False


@dataclass(frozen=True)
class Taken:
    """What became of a batch: events stored and already held, messages refused, and the watermarks to sign."""

    new: int
    known: int
    refused: int
    watermarks: tuple[Watermark, ...]


@dataclass
class _Work:
    """One batch on its way through its transaction."""

    at: float
    new: int = 0
    known: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    batches: list[EventBatch] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    reported: dict[str, Reported] = field(default_factory=dict)
    happened: list[tuple[str, AnyEvent]] = field(default_factory=list)

    def refuse(self, message: Incoming, unit: str, why: str, boot_id: str = "", seq: int = 0) -> None:
        self.quarantined.append(Quarantined(why[:200], message.topic[:200], unit, boot_id, seq, to_ms(self.at), message.payload[:4096]))
        self.lines.append(f"{ascii(message.topic[:120])[1:-1]}: {ascii(why[:200])[1:-1]}")


class Intake:
    """Takes units' messages into the store. `keys` is the trust list in force, `now` seconds since 1970."""

    def __init__(
        self, store: Store, registry: Registry, keys: Callable[[], KeyRing], now: Callable[[], float], fevers_an_hour: int
    ) -> None:
        self._store = store
        self._now = now
        self._readings = Readings(registry, keys, fevers_an_hour)
        self.refused = 0

    def take(self, messages: Sequence[Incoming]) -> Taken:
        """Takes a batch. What the database itself refuses is found message by message, so that one cannot hold up the others.

        Raises OperationalError where the database cannot be written now: nothing of the batch is in it, and it may be tried again.
        """
        try:
            return self._take(messages)
        except (OperationalError, InterfaceError):
            raise
        except Exception as wrong:  # noqa: BLE001  one message that the database cannot hold must not end the bridge
            if len(messages) == 1:
                return self._set_aside(messages[0], wrong)
        parts = [self.take([message]) for message in messages]
        watermarks = {watermark.unit: watermark for part in parts for watermark in part.watermarks}
        return Taken(
            sum(part.new for part in parts),
            sum(part.known for part in parts),
            sum(part.refused for part in parts),
            tuple(watermarks.values()),
        )

    def watermarks(self, units: Sequence[str] | None = None) -> list[Watermark]:
        """The watermarks of those of these units that are in service, or of all: a broker that was restarted has forgotten them.

        Of a unit without events too: a database that was restored from before its first report wants them all again.
        """
        with self._store.write() as tx:
            at_ms = to_ms(self._now())
            chosen = events.units_in_service(tx) if units is None else sorted(events.known_units(tx, units))
            return [_watermark(tx, unit, at_ms) for unit in chosen]

    def _take(self, messages: Sequence[Incoming]) -> Taken:
        with self._store.write() as tx:
            work = _Work(self._now())
            self._sort(tx, messages, work)
            self._store_events(tx, work)
            events.quarantine(tx, work.quarantined)
            at_ms = to_ms(work.at)
            fleet_book.keep(tx, work.heard, work.happened, at_ms)
            desired.put_reported(tx, [ReportedRow(unit, at_ms, encode(said).decode()) for unit, said in work.reported.items()])
            watermarks = tuple(_watermark(tx, unit, at_ms) for unit in sorted({batch.unit for batch in work.batches}))
        for line in work.lines:
            log.warning("%s", line)
        self.refused += len(work.quarantined)
        return Taken(work.new, work.known, len(work.quarantined), watermarks)

    def _set_aside(self, message: Incoming, wrong: Exception) -> Taken:
        log.exception("%s: not taken: %s", ascii(message.topic[:120])[1:-1], type(wrong).__name__)
        with self._store.write() as tx:
            work = _Work(self._now())
            work.refuse(message, "", f"not taken: {type(wrong).__name__}")
            events.quarantine(tx, work.quarantined)
        self.refused += 1
        return Taken(0, 0, 1, ())

    def _sort(self, tx: Connection, messages: Sequence[Incoming], work: _Work) -> None:
        """Refuses what is no message of a known unit, notes what units say of themselves, and gathers the batches of events."""
        parsed = [(message, topics.parse(message.topic)) for message in messages]
        known = events.known_units(tx, {topic.unit for _, topic in parsed if isinstance(topic, topics.UpTopic)})
        for message, topic in parsed:
            if not isinstance(topic, topics.UpTopic):
                work.refuse(message, "", "no topic of a unit")
            elif topic.unit not in known:
                if message.payload:  # else what the broker kept of a retired unit is being cleared
                    work.refuse(message, topic.unit, f"unit {topic.unit} is not known here")
            else:
                _hear(message, topic, work)

    def _store_events(self, tx: Connection, work: _Work) -> None:
        reports: dict[tuple[str, str, int], dict[bytes, tuple[EventRow, AnyEvent]]] = defaultdict(dict)
        arrived: dict[tuple[str, str], set[int]] = defaultdict(set)
        for row, event in _rows(work):
            arrived[(row.unit, row.boot_id)].add(row.seq)
            told = reports[(row.unit, row.boot_id, row.seq)]
            work.known += 1 if told else 0
            told.setdefault(row.hash, (row, event))
        marks = {place: events.find_mark(tx, *place) for place in arrived}
        settled = {key for key in reports if marks[key[:2]].has(key[2])}
        new = events.insert_new(tx, [next(iter(told.values()))[0] for key, told in reports.items() if key not in settled])
        held = events.stored_hashes(tx, [key for key in reports if key not in new])
        work.new += len(new)
        work.known += len(reports) - len(new)
        passes: list[Pass] = []
        for key, told in reports.items():
            first, event = next(iter(told.values()))
            if key in new:
                work.happened.append((first.unit, event))
                if isinstance(event, PassEvent):
                    passes.append(Pass(first, event))
            for row, _ in told.values():
                if row.hash != held.get(key, first.hash):
                    _conflict(tx, row, work)
        work.lines += self._readings.take(tx, passes, work.at)
        for (unit, boot_id), seqs in arrived.items():
            events.put_mark(tx, unit, boot_id, _advance(tx, unit, boot_id, seqs), to_ms(work.at))


def _hear(message: Incoming, topic: topics.UpTopic, work: _Work) -> None:
    try:
        said = _said(message, topic, work)
    except BadPayload as wrong:
        work.refuse(message, topic.unit, str(wrong))
        return
    if said is not None:
        work.heard.append(Heard(topic.unit, said, message.is_retained))


def _said(message: Incoming, topic: topics.UpTopic, work: _Work) -> Saying | None:
    """What a message of a known unit says of it, and batches of events put by; None where it is for others."""
    match topic.channel:
        case "events":
            batch = decode(message.payload, EventBatch)
            _speaks_for_itself(batch.unit, topic.unit)
            work.batches.append(batch)
            return EventsNews(
                max((to_ms(event.at.timestamp()) for event in batch.events if event.clock is not ClockState.UNTRUSTED), default=0)
            )
        case "state":
            if message.payload not in (b"online", b"offline"):
                raise BadPayload(f"state {message.payload[:20]!r}: expected online or offline")
            return StateWord(message.payload == b"online")
        case "info":
            info = decode(message.payload, Info, MAX_SAID)
            _speaks_for_itself(info.unit, topic.unit)
            return info
        case "reported":
            reported = decode(message.payload, Reported)
            _speaks_for_itself(reported.unit, topic.unit)
            work.reported[topic.unit] = reported
        case "status":
            return decode(message.payload, UnitStatus, MAX_SAID)
        case "lane":
            return decode(message.payload, Lane, MAX_SAID)
        case "alert":
            return AlertNews(topic.name, decode(message.payload, Alert, MAX_SAID) if message.payload else None)
    return None


def _speaks_for_itself(named: str, unit: str) -> None:
    if named != unit:
        raise BadPayload(f"speaks for unit {named}: a unit may speak for itself only")


def _rows(work: _Work) -> Iterator[tuple[EventRow, AnyEvent]]:
    for batch in work.batches:
        for event in batch.events:
            body = _ENCODER.encode(event)
            yield (
                EventRow(
                    batch.unit,
                    batch.boot_id,
                    event.seq,
                    str(event.__struct_config__.tag),
                    to_ms(event.at.timestamp()),
                    to_ms(work.at),
                    hashlib.sha256(body).digest(),
                    body.decode(),
                ),
                event,
            )


def _advance(tx: Connection, unit: str, boot_id: str, arrived: set[int]) -> Mark:
    """The boot's mark with all that is held, taken from the database piece by piece."""
    before = events.find_mark(tx, unit, boot_id)
    mark = advance(before, arrived, events.seqs_beyond(tx, unit, boot_id, before.up_to))
    while mark.up_to > before.up_to:
        before = mark
        mark = advance(mark, (), events.seqs_beyond(tx, unit, boot_id, mark.up_to))
    return mark


def _conflict(tx: Connection, row: EventRow, work: _Work) -> None:
    message = Incoming(topics.up(row.unit, "events"), row.body.encode())
    work.refuse(message, row.unit, f"event {event_name(row)} is held with other content", row.boot_id, row.seq)
    events.raise_alert(tx, "event_conflict", row.unit, f"event {event_name(row)} came again with other content", row.received_ms)


def _watermark(tx: Connection, unit: str, at_ms: int) -> Watermark:
    """The unit's newest boots, fewer of them where they have so many gaps that the signed watermark would be too long.

    It is complete where it leaves out none but long settled ones: then the unit sends again what was acknowledged of others.
    """
    boots: list[BootMark] = []
    gaps = 0
    marks = events.newest_marks(tx, unit, NEWEST_BOOTS + 1)
    for boot_id, mark, _ in marks[:NEWEST_BOOTS]:
        gaps += len(mark.missing)
        if gaps > MOST_GAPS:
            break
        boots.append(BootMark(boot_id=boot_id, up_to=mark.up_to, missing=list(mark.missing)))
    left_out = marks[len(boots) :]
    is_complete = not left_out or left_out[0][2] < at_ms - SETTLED_MS
    return Watermark(unit=unit, at_ms=events.next_watermark_ms(tx, unit, at_ms), boots=boots, is_complete=is_complete)
