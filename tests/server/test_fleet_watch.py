"""The fleet as the server knows it: what units say, what changed since, their hours, and nothing that names somebody."""

from __future__ import annotations

import msgspec
import pytest

from healthcode import topics
from healthcode.messages import Alert, Info, Lane, Message, PassageEvent, PassEvent, UnitStatus, encode, stamp
from healthcode.terms import ClockState, Decision, LaneMode, PassageOutcome, Reason, Screening
from server.__main__ import build
from server.fleet import Fleet
from server.fleet_hours import Hour, bin_of
from server.fleet_state import BEATING_MS, SILENT_MS, Presence
from server.fleet_watch import Seen
from server.intake import Incoming, Intake
from server.office import Office
from server.rounds import Rounds
from server.store import fleet
from tests.server.office import Clock, Town
from tests.server.reports import BOOT, batch, note, passed

STATUS = UnitStatus(uptime_s=60, outbox_pending=3, lists_held=1, list_age_s=4.0)


@pytest.fixture
def intake(office: Office, town: Town, clock: Clock) -> Intake:
    for unit in ("east", "north", "south"):
        Fleet(office.store, clock).add(unit, site="square")
    return Intake(office.store, office.registry, town.ring, clock, 3)


def say(unit: str, channel: str, message: Message | bytes, name: str = "", *, is_retained: bool = False) -> Incoming:
    return Incoming(topics.up(unit, channel, name), message if isinstance(message, bytes) else encode(message), is_retained)


def presences(seen: Seen) -> dict[str, str]:
    return {unit.unit: unit.state.presence.value for unit in seen.units}


def test_what_a_unit_says_is_there_in_one_look(intake: Intake, office: Office, clock: Clock) -> None:
    at = stamp(clock())
    info = Info(unit="north", boot_id=BOOT, software="0.1.0", hardware="pi", started_at=at)
    lane = Lane(since=at, mode=LaneMode.FREE, stage="free", signal="pass", until=stamp(clock() + 600))
    alert = Alert(name="sensor", since=at, detail="no answer")
    said = [say("north", "state", b"online"), say("north", "info", info), say("north", "status", STATUS), say("north", "lane", lane)]
    taken = intake.take([*said, say("north", "alert", alert, "sensor")])
    assert taken.refused == 0
    found = office.watch.find("north")
    assert found is not None
    state = found.state
    assert (state.presence, state.info, state.status, state.lane, state.alerts) == (Presence.ONLINE, info, STATUS, lane, {"sensor": alert})
    assert (found.site, found.is_gone) == ("square", False)
    assert office.watch.find("nowhere") is None


def test_a_reader_is_told_what_changed_and_no_more(intake: Intake, office: Office, clock: Clock) -> None:
    office.watch.beat(clock())
    whole = office.watch.see()
    assert presences(whole) == {"east": "unknown", "north": "unknown", "south": "unknown"}
    intake.take([say("north", "status", STATUS)])
    changed = office.watch.see(whole.token)
    assert (presences(changed), changed.is_whole) == ({"north": "online"}, False)
    assert office.watch.see(changed.token).units == ()
    Fleet(office.store, clock).add("west")
    assert office.watch.see(changed.token).is_whole, "another unit: all is told anew"
    for nonsense in ("", "x", "7", "-1.1.4", "9" * 40 + ".1.4", changed.token + ".1"):
        assert office.watch.see(nonsense).is_whole


def test_a_unit_that_falls_silent_is_a_change_too(intake: Intake, office: Office, clock: Clock) -> None:
    office.watch.beat(clock())
    listening = clock()
    clock.at += SILENT_MS / 1000
    intake.take([say("north", "status", STATUS), say("east", "status", STATUS)])
    token = office.watch.see().token
    clock.at += SILENT_MS / 1000 - 1
    intake.take([say("east", "status", STATUS)])
    office.watch.beat(listening)
    token = office.watch.see(token).token
    clock.at += 1
    office.watch.beat(listening)
    assert presences(office.watch.see(token)) == {"north": "silent"}


def test_nobody_looks_alive_when_the_bridge_is_gone(intake: Intake, office: Office, clock: Clock) -> None:
    office.watch.beat(clock())
    intake.take([say("north", "status", STATUS), say("south", "state", b"offline")])
    token = office.watch.see().token
    clock.at += BEATING_MS / 1000 + 1
    seen = office.watch.see(token)
    assert (seen.is_whole, seen.listening_ms) == (True, None)
    clock.at += SILENT_MS / 1000
    assert presences(office.watch.see()) == {"east": "unknown", "north": "unknown", "south": "offline"}
    office.watch.beat(None)
    clock.at += 1
    assert office.watch.see().listening_ms is None


def test_what_is_no_such_message_changes_nothing(intake: Intake, office: Office) -> None:
    rubbish = [say("north", channel, b'{"uptime_s":1}') for channel in ("status", "lane", "info")]
    huge = say("north", "alert", b"", "x")
    taken = intake.take([*rubbish, say("north", "alert", b"[]", "sensor"), Incoming(huge.topic, b" " * 5000)])
    assert taken.refused == 5
    found = office.watch.find("north")
    assert found is not None
    assert found.state.presence is Presence.UNKNOWN


def test_events_are_shown_without_who_it_was(intake: Intake, office: Office, clock: Clock) -> None:
    read = passed(1, clock(), "HB1:SECRET", ("https://hb.example/s/1", 4711))
    used = PassageEvent(
        seq=2, at=stamp(clock()), clock=ClockState.TRUSTED, outcome=PassageOutcome.USED, grant=1, list="https://hb.example/s/1", index=4711
    )
    guest = PassEvent(
        seq=3, at=stamp(clock()), clock=ClockState.TRUSTED, decision=Decision.ADMIT, reason=Reason.GREEN, certificate="a" * 32
    )
    intake.take([batch("north", [read, used, guest, note(4, clock())])])
    shown = office.watch.last_events("north", 10)
    assert [one.seq for one in shown] == [4, 3, 2, 1]
    told = msgspec.json.encode([one.event for one in shown]).decode()
    assert not [word for word in ("SECRET", "4711", "hb.example", "aaaa") if word in told]
    assert [one.seq for one in office.watch.last_events("north", 10, ["pass"])] == [3, 1]
    assert [one.seq for one in office.watch.last_events("north", 1)] == [4]


def test_events_are_followed_in_the_order_in_which_they_come(intake: Intake, office: Office, clock: Clock) -> None:
    intake.take([batch("north", [note(1, clock()), note(2, clock())])])
    first = office.watch.events_from("north", 0, 100)
    clock.at += 1
    intake.take([batch("north", [note(3, clock() - 3600)]), batch("south", [note(1, clock())])])
    more = office.watch.events_from("north", first[-1].received_ms, 100)
    assert [one.seq for one in first] == [1, 2]
    assert [one.seq for one in more] == [1, 2, 3]


def verdict(seq: int, at: float, reason: Reason, body_c: float | None, clock: ClockState = ClockState.TRUSTED) -> PassEvent:
    decision = Decision.ADMIT if reason is Reason.GREEN else Decision.REFUSE
    return PassEvent(
        seq=seq, at=stamp(at), clock=clock, decision=decision, reason=reason, body_c=body_c, screening=Screening.NORMAL if body_c else None
    )


def test_hours_count_once_what_came_twice(intake: Intake, office: Office, clock: Clock) -> None:
    hour = int(clock() // 3600 * 3600)
    clock.at = hour + 1800.0
    told = [
        verdict(1, clock(), Reason.GREEN, 36.59),
        verdict(2, clock(), Reason.GREEN, 36.61),
        verdict(3, clock(), Reason.RED, None),
        verdict(4, clock(), Reason.FEVER_SUSPECTED, 37.9),
        verdict(5, clock(), Reason.FEBRILE, 38.2),
        verdict(6, clock() - 3600, Reason.GREEN, 36.4),
        verdict(7, clock() - 90 * 86_400, Reason.GREEN, None),
        verdict(8, clock() - 3600, Reason.EXPIRED, None, ClockState.UNTRUSTED),
    ]
    intake.take([batch("north", told), batch("north", told[:3])])
    intake.take([batch("north", told), say("north", "status", STATUS)])
    intake.take(
        [
            batch("south", [verdict(1, clock(), Reason.GREEN, 36.59)]),
            say("south", "status", msgspec.structs.replace(STATUS, list_age_s=2.0)),
        ]
    )
    north = office.watch.hours((hour - 7200) * 1000, (hour + 3600) * 1000, ["north"])
    assert north == {
        (hour - 3600) * 1000: Hour(decisions={"admit": 1}, reasons={"GREEN": 1}, body={"36.4": 1}),
        hour * 1000: Hour(
            decisions={"admit": 3, "refuse": 3},
            reasons={"GREEN": 3, "RED": 1, "FEBRILE": 1, "EXPIRED": 1},
            body={"36.4": 1, "36.6": 1, "38.2": 1},
            suspected=1,
            list_age_s=4.0,
        ),
    }
    everywhere = office.watch.hours(hour * 1000, (hour + 3600) * 1000)[hour * 1000]
    both = office.watch.hours(hour * 1000, (hour + 3600) * 1000, ["north", "south"])[hour * 1000]
    assert everywhere == both
    assert (everywhere.decisions["admit"], everywhere.list_age_s) == (4, 4.0)
    with office.store.write() as tx:
        assert fleet.purge_hours(tx, hour * 1000) == 2
    assert office.watch.hours(0, hour * 1000) == {}


@pytest.mark.parametrize(("celsius", "bin_"), [(36.6, "36.6"), (36.599, "36.4"), (36.79, "36.6"), (37.0, "37.0"), (-0.1, "-0.2")])
def test_temperatures_fall_into_fifths_of_a_degree(celsius: float, bin_: str) -> None:
    assert bin_of(celsius) == bin_


def test_a_unit_that_is_dropped_leaves_what_all_counted(intake: Intake, office: Office, clock: Clock) -> None:
    intake.take([batch("north", [verdict(1, clock(), Reason.GREEN, 36.6)]), say("north", "status", STATUS)])
    token = office.watch.see().token
    with office.store.write() as tx:
        fleet.drop_state(tx, "north")
    assert office.watch.hours(0, 2**50, ["north"]) == {}
    assert len(office.watch.hours(0, 2**50)) == 1
    assert office.watch.see(token).token != token


def test_the_bridge_listens_anew_with_each_connection(office: Office, clock: Clock) -> None:
    """What was said between two connections may be lost: a unit is not called silent for it."""
    rounds, mono = Rounds(build(office, clock), 30.0, lambda _: None), 100.0

    def turn(*, is_connected: bool, announces: bool = False) -> int | None:
        nonlocal mono
        mono, clock.at = mono + 1, clock.at + 1
        rounds.due(mono, is_connected=is_connected, announces=announces)
        return office.watch.see().listening_ms

    assert turn(is_connected=False) is None
    first = turn(is_connected=True, announces=True)
    assert first == round(clock() * 1000)
    assert [turn(is_connected=True) for _ in range(60)] == [first] * 60
    assert turn(is_connected=False) is None
    second = turn(is_connected=True, announces=True)
    assert second == round(clock() * 1000)
    assert turn(is_connected=True, announces=True) != second, "a connection that was lost and made again between two looks"
    rounds.leave()
    assert office.watch.see().listening_ms is None


@pytest.mark.parametrize("after_s", [241.0, 270.0, 300.0], ids=["just after its numbers", "between", "just before its next numbers"])
def test_a_unit_that_dies_without_a_last_will_is_noticed_within_90_seconds(
    after_s: float, intake: Intake, office: Office, clock: Clock
) -> None:
    """The broker was restarted with it: its `online` is retained and no will comes."""
    rounds = Rounds(build(office, clock), 30.0, lambda _: None)
    died = clock() + after_s
    noticed = None
    for second in range(400):
        clock.at += 1
        rounds.due(float(second), is_connected=True, announces=second == 0)
        if clock() <= died and second % 60 == 0:
            intake.take([say("north", "state", b"online"), say("north", "status", STATUS)])
        found = presences(office.watch.see())["north"]
        assert found in ("online", "silent")
        if clock() <= died:
            assert found == "online"
        elif noticed is None and found == "silent":
            noticed = clock() - died
            intake.take([say("north", "state", b"online", is_retained=True), say("north", "status", STATUS, is_retained=True)])
        assert noticed is None or found == "silent"
    assert noticed is not None
    assert noticed <= 90
