"""What a unit reports, made up for tests: events, batches, messages."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from healthcode import topics
from healthcode.messages import AnyEvent, BootMark, EventBatch, PassEvent, UnitEvent, encode, stamp
from healthcode.terms import ClockState, Decision, Reason, Screening
from server.intake import Incoming
from server.store.events import EventRow

BOOT = "0" * 31 + "1"
OTHER_BOOT = "0" * 31 + "2"


def note(seq: int, at: float, detail: str = "") -> UnitEvent:
    """Some event."""
    return UnitEvent(seq=seq, at=stamp(at), clock=ClockState.TRUSTED, what="started", detail=detail)


def fever(
    seq: int,
    at: float,
    code: str | None,
    clock: ClockState = ClockState.TRUSTED,
    screening: Screening = Screening.FEBRILE,
) -> PassEvent:
    """A pass refused for fever."""
    return PassEvent(
        seq=seq,
        at=stamp(at),
        clock=clock,
        decision=Decision.REFUSE,
        reason=Reason.FEBRILE,
        code=code,
        screening=screening,
        body_c=38.6,
    )


def passed(
    seq: int,
    at: float,
    code: str | None,
    person: tuple[str, int] | None,
    clock: ClockState = ClockState.TRUSTED,
    screening: Screening = Screening.NORMAL,
) -> PassEvent:
    """A pass admitted with a normal temperature, by the code of this (list, index)."""
    return PassEvent(
        seq=seq,
        at=stamp(at),
        clock=clock,
        decision=Decision.ADMIT,
        reason=Reason.GREEN,
        code=code,
        list=person[0] if person else None,
        index=person[1] if person else None,
        screening=screening,
        body_c=36.6,
    )


def batch(unit: str, events: Sequence[AnyEvent], boot_id: str = BOOT, speaks_for: str = "") -> Incoming:
    """The message of these events."""
    return Incoming(topics.up(unit, "events"), encode(EventBatch(unit=speaks_for or unit, boot_id=boot_id, events=list(events))))


def held(marks: Sequence[BootMark], boot_id: str = BOOT) -> set[int]:
    """The seqs that a watermark says are held."""
    for mark in marks:
        if mark.boot_id == boot_id:
            return set(range(1, mark.up_to + 1)) - set(mark.missing)
    return set()


def stored(connection: Connection) -> list[EventRow]:
    """Every event in the database, newest first."""
    names = "unit, boot_id, seq, kind, at_ms, received_ms, hash, body"
    rows = connection.execute(text(f"SELECT {names} FROM events ORDER BY received_ms DESC, seq DESC"))
    return [EventRow(**row._mapping) for row in rows]
