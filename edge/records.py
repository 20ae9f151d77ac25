"""What happened, as the events that go to disk and to the server. Pure: values in, messages out; the outbox numbers them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from edge import lane
from edge.foreign import Guest, hash_of, person_of
from edge.presentation import Presentation
from edge.screening import Screened
from edge.verdict import Source, Verdict, standing
from healthcode.messages import AnyEvent, LaneEvent, PassageEvent, PassEvent, ReleaseEvent, UnitEvent, stamp
from healthcode.status import StatusList
from healthcode.terms import ClockState, PassageOutcome, Reason
from healthcode.token import HealthCode

MOST_FRAMES = 1_000_000
"""What `messages.Frames` holds: a day of frames at full rate."""
UNNUMBERED = 1
"""The seq of an event that the outbox is going to number."""
WITHOUT_READING = frozenset(
    {
        Reason.RED,
        Reason.YELLOW,
        Reason.REVOKED,
        Reason.TEST_POSITIVE,
        Reason.NOT_ACCEPTED,
        Reason.DOSES_MISSING,
        Reason.TOO_RECENT,
        Reason.TOO_OLD,
    }
)
"""Verdicts that carry no reading, even where colour, policy or hour changed while the temperature was being taken."""


@dataclass(frozen=True)
class Moment:
    """When something happened (seconds since 1970), and how far the clock was to be believed."""

    wall: float
    clock: ClockState


def pass_event(
    shown: Presentation, verdict: Verdict, found: Screened | None, lists: Mapping[str, StatusList], moment: Moment, at: float
) -> PassEvent:
    """The verdict on a presentation at `at` (monotonic), with the code itself where it was valid and the readings where they counted.

    Of a foreign certificate there is a keyed hash alone: neither its text nor anything that it says.
    """
    event = PassEvent(
        seq=UNNUMBERED,
        at=stamp(moment.wall),
        clock=moment.clock,
        decision=verdict.decision,
        reason=verdict.reason,
        ms=round(max(0.0, at - shown.first_at) * 1000, 1),
        reader=shown.reader or None,
        frames=min(shown.frames, MOST_FRAMES),
        glimpses=min(shown.glimpses, MOST_FRAMES),
    )
    if found is not None and verdict.reason not in WITHOUT_READING:
        event = _with_reading(event, found)
    if isinstance(shown.subject, Guest):
        return msgspec.structs.replace(event, certificate=hash_of(shown.subject.person))
    return _with_code(event, shown.text, shown.subject, lists) if isinstance(shown.subject, HealthCode) else event


def measurements(events: Iterable[AnyEvent], wall: float, at: float) -> Iterator[tuple[lane.Person, Screened]]:
    """Who was measured and what was found, of those `events` that name somebody; `wall` (seconds since 1970) is now, and so is `at`.

    What is dated later than now was dated by a clock that was wrong, or now is: it counts as just found.
    """
    for event in events:
        if not isinstance(event, PassEvent) or event.screening is None:
            continue
        when = at - max(0.0, wall - event.at.timestamp())
        found = Screened(event.screening, when, event.skin_c, event.ambient_c, event.body_c, event.samples)
        if event.certificate is not None:
            yield person_of(event.certificate), found
        elif event.list is not None and event.index is not None:
            yield (event.list, event.index), found


def lane_event(event: lane.Event, moment: Moment) -> AnyEvent:
    """An event of the barrier."""
    match event:
        case lane.Used(grant=grant, person=person):
            return _passage(moment, PassageOutcome.USED, grant, person)
        case lane.NotUsed(grant=grant, person=person):
            return _passage(moment, PassageOutcome.NOT_USED, grant, person)
        case lane.Forced():
            return _passage(moment, PassageOutcome.FORCED, None, None)
        case lane.Tailgated(grant=grant):
            return _passage(moment, PassageOutcome.TAILGATED, grant, None)
        case lane.HeldOpen(grant=grant):
            return _passage(moment, PassageOutcome.HELD_OPEN, grant, None)
        case lane.Released(by=by, note=note):
            return ReleaseEvent(seq=UNNUMBERED, at=stamp(moment.wall), clock=moment.clock, by=by, note=note[:200])
        case lane.LaneChanged(mode=mode, fire=fire, tamper=tamper, until=until, note=note):
            end = None if until is None else stamp(moment.wall + until - event.at)
            return LaneEvent(
                seq=UNNUMBERED, at=stamp(moment.wall), clock=moment.clock, mode=mode, fire=fire, tamper=tamper, until=end, note=note[:200]
            )


def unit_event(what: str, detail: str, moment: Moment) -> UnitEvent:
    """Something about the unit itself; `what` is a stable word, `detail` one line for people."""
    return UnitEvent(seq=UNNUMBERED, at=stamp(moment.wall), clock=moment.clock, what=what, detail=detail[:200])


def _passage(moment: Moment, outcome: PassageOutcome, grant: int | None, person: lane.Person | None) -> PassageEvent:
    """A guest's passage names nobody: `grant` leads to the verdict."""
    listed = person if person is not None and hash_of(person) is None else None
    return PassageEvent(
        seq=UNNUMBERED,
        at=stamp(moment.wall),
        clock=moment.clock,
        outcome=outcome,
        grant=grant,
        list=listed[0] if listed else None,
        index=listed[1] if listed else None,
    )


def _with_reading(event: PassEvent, found: Screened) -> PassEvent:
    return msgspec.structs.replace(
        event,
        screening=found.screening,
        skin_c=None if found.skin_c is None else round(found.skin_c, 2),
        ambient_c=None if found.ambient_c is None else round(found.ambient_c, 2),
        body_c=None if found.body_c is None else round(found.body_c, 2),
        samples=found.samples,
    )


def _with_code(event: PassEvent, text: str, code: HealthCode, lists: Mapping[str, StatusList]) -> PassEvent:
    stands = standing(code, lists)
    return msgspec.structs.replace(
        event,
        code=text,
        issuer=code.issuer,
        list=code.uri,
        index=code.index,
        form=code.form,
        colour=stands.colour,
        said_at=None if stands.source is Source.NONE else stamp(stands.said_at),
    )
