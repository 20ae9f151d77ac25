"""Gates that say things of themselves, for tests of the operators' pages."""

from __future__ import annotations

from healthcode import topics
from healthcode.messages import (
    Alert,
    AnyEvent,
    Info,
    Lane,
    LaneEvent,
    Message,
    PassageEvent,
    PassEvent,
    ReleaseEvent,
    UnitStatus,
    encode,
    stamp,
)
from healthcode.terms import ClockState, Decision, LaneMode, PassageOutcome, Reason, Screening
from server.fleet import Fleet
from server.intake import Incoming, Intake
from server.office import Office
from tests.server.reports import BOOT, batch, note, passed

SECRETS = ("HB1:SECRET", "4711", "hb.example/s/1")
"""What names somebody, in what these gates report."""


def say(unit: str, channel: str, message: Message | bytes, name: str = "", *, is_retained: bool = False) -> Incoming:
    """A message of a gate about itself."""
    return Incoming(topics.up(unit, channel, name), message if isinstance(message, bytes) else encode(message), is_retained)


def status(passes: int = 41, list_age_s: float = 4.0, pending: int = 3) -> UnitStatus:
    """A gate's numbers."""
    return UnitStatus(uptime_s=3600, outbox_pending=pending, lists_held=1, list_age_s=list_age_s, passes=passes, admitted=passes)


def lane(at: float, mode: LaneMode = LaneMode.CONTROLLED, stage: str = "locked", signal: str = "ready") -> Lane:
    """A lane as it stands since `at`."""
    return Lane(since=stamp(at), mode=mode, stage=stage, signal=signal)


def refused(seq: int, at: float, reason: Reason, body_c: float | None = None) -> PassEvent:
    """Somebody who was not admitted."""
    screening = Screening.FEBRILE if body_c is not None else None
    return PassEvent(
        seq=seq, at=stamp(at), clock=ClockState.TRUSTED, decision=Decision.REFUSE, reason=reason, body_c=body_c, screening=screening
    )


def open_gates(office: Office, intake: Intake, at: float, more: int = 0) -> None:
    """Four gates: north works and has a day behind it, south is gone with an alert, east is new and silent; and so many more that work."""
    names = ["north", "south", "east", "west", *(f"g{number:03}" for number in range(more))]
    fleet = Fleet(office.store, lambda: at)
    for name in names:
        fleet.add(name, note=f"lane {name}", site="square" if name in ("north", "west") else "station")
    office.watch.beat(at)
    person = ("https://hb.example/s/1", 4711)
    day = [passed(seq, at - 3600 * (seq % 20), "HB1:SECRET", person) for seq in range(1, 40)]
    later: list[AnyEvent] = [
        refused(40, at - 50, Reason.RED),
        refused(41, at - 40, Reason.FEBRILE, 38.1),
        refused(42, at - 39, Reason.EXPIRED),
        PassageEvent(
            seq=43,
            at=stamp(at - 30),
            clock=ClockState.TRUSTED,
            outcome=PassageOutcome.USED,
            grant=39,
            list=person[0],
            index=person[1],
        ),
        ReleaseEvent(seq=44, at=stamp(at - 20), clock=ClockState.TRUSTED, by="staff", note="pram"),
        LaneEvent(seq=45, at=stamp(at - 10), clock=ClockState.UNTRUSTED, mode=LaneMode.FREE, until=stamp(at + 600), note="op.he: queue"),
        note(46, at - 5, "0.1.0"),
    ]
    said = [
        batch("north", [*day, *later]),
        say("north", "state", b"online"),
        say("north", "info", Info(unit="north", boot_id=BOOT, software="0.1.0", hardware="simulated", started_at=stamp(at - 3600))),
        say("north", "status", status()),
        say("north", "lane", lane(at - 10, LaneMode.FREE, "free", "pass")),
        say("south", "status", status(7, 90_000.0)),
        say("south", "lane", lane(at - 100)),
        say("south", "alert", Alert(name="sensor", since=stamp(at - 90), detail="no answer on the bus"), "sensor"),
        say("south", "state", b"offline"),
        say("west", "status", status(1)),
        say("west", "lane", Lane(since=stamp(at), mode=LaneMode.LOCKED, stage="a_stage_of_tomorrow", signal="a_signal_of_tomorrow")),
    ]
    said += [say(name, "status", status(number)) for number, name in enumerate(names[4:])]
    assert intake.take(said).refused == 0
