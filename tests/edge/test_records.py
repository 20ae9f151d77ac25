"""What goes to disk: the code with its readings where they count, and a message for everything that the barrier tells."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from edge import lane, records
from edge.presentation import Presentation
from edge.records import Moment
from edge.screening import Screened
from edge.verdict import Crowd, Verdict
from healthcode.messages import AnyEvent, LaneEvent, PassEvent, ReleaseEvent, UnitEvent, encode, stamp
from healthcode.status import StatusList
from healthcode.terms import ClockState, Colour, Decision, Fault, Form, LaneMode, PassageOutcome, Reason, Screening, Status
from healthcode.token import HealthCode, TokenFault

NOON = 1_583_323_200
URI = "https://hb.example/s/1"
CODE = HealthCode("CN-HB", URI, 7, Colour.GREEN, Form.PAPER, NOON - 100, NOON - 50, NOON + 50, b"12345678")
SHOWN = Presentation((URI, 7), "HB1:TEXT", CODE, "zbar", 100.0, 101.0)
MEASURED = Screened(Screening.NORMAL, 101.0, 34.01234, 25.04999, 36.61234, 3)
MOMENT = Moment(NOON + 0.1234567, ClockState.HOLDOVER)
ADMITTED = Verdict(Decision.ADMIT, Reason.GREEN)


def a_list(status: Status, as_of: int = NOON) -> dict[str, StatusList]:
    held = StatusList.empty(URI, 0, 64, as_of=as_of - 1)
    assert held.apply(held.make_delta({7: status, 9: Status.RED}, as_of)) is None
    return {URI: held}


def a_pass(
    verdict: Verdict = ADMITTED,
    shown: Presentation = SHOWN,
    found: Screened | None = MEASURED,
    lists: dict[str, StatusList] | None = None,
) -> PassEvent:
    event = records.pass_event(shown, verdict, found, lists or a_list(Status.GREEN), MOMENT, 101.23456)
    again = msgspec.json.decode(encode(event), type=AnyEvent)
    assert again == event
    return event


def test_a_verdict_says_who_what_why_and_since_when() -> None:
    event = a_pass()
    assert (event.decision, event.reason, event.code, event.reader) == (Decision.ADMIT, Reason.GREEN, "HB1:TEXT", "zbar")
    assert (event.issuer, event.list, event.index, event.form) == ("CN-HB", URI, 7, Form.PAPER)
    assert (event.colour, event.said_at) == (Colour.GREEN, stamp(NOON))
    assert (event.screening, event.skin_c, event.ambient_c, event.body_c, event.samples) == (Screening.NORMAL, 34.01, 25.05, 36.61, 3)
    assert (event.at, event.clock, event.ms) == (stamp(NOON + 0.123), ClockState.HOLDOVER, 1234.6)


@pytest.mark.parametrize("reason", [Reason.RED, Reason.YELLOW, Reason.REVOKED, Reason.TEST_POSITIVE, Reason.TOO_OLD])
def test_who_is_turned_away_for_the_colour_leaves_no_reading(reason: Reason) -> None:
    event = a_pass(Verdict(Decision.REFUSE, reason))
    assert (event.screening, event.skin_c, event.ambient_c, event.body_c, event.samples) == (None, None, None, None, 0)
    assert event.code == "HB1:TEXT"


def test_a_measurement_without_figures_is_kept_as_that() -> None:
    event = a_pass(Verdict(Decision.CALL_GUARD, Reason.SENSOR_FAULT), found=Screened(Screening.SENSOR_FAULT, 101.0))
    assert (event.screening, event.skin_c, event.body_c) == (Screening.SENSOR_FAULT, None, None)


def test_the_statement_that_counted_is_the_newest() -> None:
    assert a_pass(lists=a_list(Status.RED, NOON - 200)).said_at == stamp(CODE.ruled_at)
    revoked = a_pass(Verdict(Decision.REFUSE, Reason.REVOKED), lists=a_list(Status.REVOKED))
    assert (revoked.colour, revoked.said_at) == (None, stamp(NOON))


def test_of_a_list_that_is_not_held_nothing_was_said() -> None:
    other = StatusList.empty("https://hb.example/s/2", 0, 64, as_of=NOON)
    event = a_pass(Verdict(Decision.CALL_GUARD, Reason.LIST_MISSING), found=None, lists={other.uri: other})
    assert (event.colour, event.said_at, event.list, event.index) == (None, None, URI, 7)


@pytest.mark.parametrize("subject", [TokenFault(Fault.SIGNATURE, "false"), Crowd()])
def test_what_names_nobody_is_not_kept(subject: TokenFault | Crowd) -> None:
    shown = replace(SHOWN, key="HB1:TEXT", subject=subject, reader="")
    event = a_pass(Verdict(Decision.REFUSE, Reason.SIGNATURE), shown, None)
    assert (event.code, event.issuer, event.list, event.index, event.form, event.reader) == (None, None, None, None, None, None)


PERSON = (URI, 7)


@pytest.mark.parametrize(
    ("event", "outcome", "grant", "person"),
    [
        (lane.Used(1.0, 5, PERSON), PassageOutcome.USED, 5, PERSON),
        (lane.NotUsed(1.0, 5, PERSON), PassageOutcome.NOT_USED, 5, PERSON),
        (lane.Forced(1.0), PassageOutcome.FORCED, None, None),
        (lane.Tailgated(1.0, 5), PassageOutcome.TAILGATED, 5, None),
        (lane.HeldOpen(1.0, None), PassageOutcome.HELD_OPEN, None, None),
    ],
)
def test_every_passage(event: lane.Event, outcome: PassageOutcome, grant: int | None, person: lane.Person | None) -> None:
    record = records.lane_event(event, MOMENT)
    assert msgspec.json.decode(encode(record), type=AnyEvent) == record
    fields = msgspec.structs.asdict(record)
    assert (fields["outcome"], fields["grant"]) == (outcome, grant)
    assert (fields["list"], fields["index"]) == (person or (None, None))


def test_a_release_and_a_change_of_the_lane() -> None:
    release = records.lane_event(lane.Released(1.0, "command", "n" * 300), MOMENT)
    assert isinstance(release, ReleaseEvent)
    assert (release.by, release.note) == ("command", "n" * 200)
    changed = records.lane_event(lane.LaneChanged(1.0, LaneMode.FREE, True, False), MOMENT)
    assert msgspec.json.decode(encode(changed), type=AnyEvent) == changed


def test_the_end_of_the_mode_free_is_told_in_the_time_of_day() -> None:
    free = records.lane_event(lane.LaneChanged(1.0, LaneMode.FREE, False, False, 61.0, "guard Li: market day"), MOMENT)
    assert isinstance(free, LaneEvent)
    assert (free.until, free.note) == (stamp(MOMENT.wall + 60), "guard Li: market day")
    assert msgspec.json.decode(encode(free), type=AnyEvent) == free


def test_the_unit_itself_in_one_short_line() -> None:
    event = records.unit_event("camera_lost", "d" * 300, MOMENT)
    assert event == UnitEvent(seq=1, at=stamp(MOMENT.wall), clock=ClockState.HOLDOVER, what="camera_lost", detail="d" * 200)
