"""What the server makes of units' messages: each event once, fevers as facts, strangers refused."""

from __future__ import annotations

import hashlib
import random
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bench.postgres import Cluster
from edge.outbox import Acknowledged, Outbox
from healthcode import token, topics
from healthcode.cose import SoftwareKey
from healthcode.messages import Info, encode, stamp
from healthcode.signed import write
from healthcode.terms import ClockState, Colour, Screening, Use
from server.colours import Rule
from server.config import Codes
from server.facts import HandReason
from server.fleet import Fleet
from server.intake import Incoming, Intake
from server.issuer import Issuer, Pack
from server.office import Office, open_office
from server.registry import Resident
from server.store import events
from tests.server.office import CAPACITY, ISSUER, Clock, Town
from tests.server.reports import BOOT, OTHER_BOOT, batch, fever, held, note, stored
from tests.server.test_registry import add


@pytest.fixture
def intake(office: Office, town: Town, clock: Clock) -> Intake:
    """An intake that knows the units north and south, three fevers an hour."""
    fleet = Fleet(office.store, clock)
    assert fleet.add("north")
    assert fleet.add("south")
    assert not fleet.add("south")
    return Intake(office.store, office.registry, town.ring, clock, 3)


def code_of(office: Office, town: Town, clock: Clock, resident: Resident) -> str:
    pack = Issuer(office.store, town.keys[Use.TOKEN], ISSUER, Codes(), clock).paper(resident.resident)
    assert isinstance(pack, Pack)
    return pack.codes[0].text


def count(office: Office, table: str = "events") -> int:
    with office.store.read() as tx:
        return int(tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def colour(office: Office, resident: Resident) -> Colour:
    found = office.registry.find(resident.resident)
    assert found is not None
    assert found.colour is not None
    return found.colour


def test_events_are_held_once_however_often_they_come(intake: Intake, office: Office, clock: Clock) -> None:
    message = batch("north", [note(seq, clock()) for seq in (1, 2, 3)])
    first = intake.take([message, message])
    assert (first.new, first.known, count(office)) == (3, 3, 3)
    again = intake.take([message, batch("north", [note(4, clock())])])
    assert (again.new, again.known, count(office)) == (1, 3, 4)
    assert held(again.watermarks[0].boots) == {1, 2, 3, 4}
    assert again.watermarks[0].at_ms > first.watermarks[0].at_ms


def test_the_watermark_names_each_boot_and_what_is_missing(intake: Intake, clock: Clock) -> None:
    taken = intake.take([batch("north", [note(2, clock()), note(5, clock())]), batch("north", [note(1, clock())], OTHER_BOOT)])
    (mark,) = taken.watermarks
    assert mark.unit == "north"
    assert {boot.boot_id: (boot.up_to, boot.missing) for boot in mark.boots} == {BOOT: (5, [1, 3, 4]), OTHER_BOOT: (1, [])}


def test_a_watermark_stays_short_enough_to_be_signed(intake: Intake, town: Town, clock: Clock) -> None:
    for number in range(30):
        clock.at += 1
        intake.take([batch("north", [note(501, clock())], f"{number:032x}")])
    mark, _ = intake.watermarks()
    assert len(mark.boots) == 20
    assert not mark.is_complete
    assert mark.boots[0].boot_id == f"{29:032x}"
    assert len(write(mark, town.keys[Use.ACK])) < 64 * 1024


def test_a_long_backlog_in_one_batch_is_marked_to_its_end(intake: Intake, clock: Clock) -> None:
    last = 2 * events.BEYOND + 100
    messages = [batch("north", [note(seq, clock()) for seq in range(first, first + 100)]) for first in range(1, last, 100)]
    ((boot,),) = (mark.boots for mark in intake.take(messages).watermarks)
    assert (boot.up_to, boot.missing) == (last, [])


def test_the_watermarks_time_only_goes_up(intake: Intake, clock: Clock) -> None:
    first = intake.take([batch("north", [note(1, clock())])]).watermarks[0]
    clock.at -= 3600
    second = intake.take([batch("north", [note(2, clock())])]).watermarks[0]
    third, _ = intake.watermarks()
    assert first.at_ms < second.at_ms < third.at_ms
    assert held(third.boots) == {1, 2}


def test_only_the_newest_boots_are_named(intake: Intake, clock: Clock) -> None:
    for number in range(70):
        clock.at += 1
        (mark,) = intake.take([batch("north", [note(1, clock())], f"{number:032x}")]).watermarks
        assert mark.is_complete == (number < 64)
    mark, _ = intake.watermarks()
    assert [boot.boot_id for boot in mark.boots] == [f"{number:032x}" for number in range(69, 5, -1)]
    clock.at += 8 * 86_400
    assert all(mark.is_complete for mark in intake.watermarks()), "what is left out is forgotten by the unit too"


def test_a_restored_database_gets_back_boots_and_units_that_it_never_heard_of(
    intake: Intake, office: Office, town: Town, clock: Clock, tmp_path: Path, cluster: Cluster | None
) -> None:
    if cluster is not None:
        town.database = cluster.url()
    backup = open_office(town.config('data = "backup"'), clock, CAPACITY)
    restored = Intake(backup.store, backup.registry, town.ring, clock, 3)
    for unit in ("north", "south"):
        Fleet(backup.store, clock).add(unit)
    with closing(backup.store), closing(Outbox(tmp_path / "outbox", BOOT)) as outbox:
        outbox.append([note(1, clock()), note(2, clock())])
        (mark,) = intake.take([batch("north", [each.event for each in outbox.pending(10)])]).watermarks
        outbox.acknowledge(mark, clock())
        assert outbox.waiting == 0
        clock.at += 1
        told, _ = restored.watermarks()
        assert outbox.acknowledge(told, clock()) == Acknowledged(done=0, again=2)
        (mark,) = restored.take([batch("north", [each.event for each in outbox.pending(10)])]).watermarks
        outbox.acknowledge(mark, clock())
        assert outbox.waiting == 0
        assert count(backup) == count(office) == 2


def test_the_same_id_with_other_content_is_set_aside_with_an_alert(intake: Intake, office: Office, clock: Clock) -> None:
    at = clock()
    intake.take([batch("north", [note(1, at, "the truth")])])
    taken = intake.take([batch("north", [note(1, at, "another")]), batch("north", [note(1, at, "the truth")])])
    assert (taken.new, taken.refused) == (0, 1)
    with office.store.read() as tx:
        (row,) = stored(tx)
        ((name, unit, times, _),) = events.list_alerts(tx)
    assert "the truth" in row.body
    assert row.hash == hashlib.sha256(row.body.encode()).digest()
    assert (name, unit, times) == ("event_conflict", "north", 1)
    assert count(office, "quarantine") == 1
    assert held(taken.watermarks[0].boots) == {1}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (batch("stranger", [note(1, 1.7e9)]), "not known"),
        (batch("north", [note(1, 1.7e9)], speaks_for="south"), "for itself only"),
        (Incoming(topics.up("north", "events"), b""), "expected EventBatch"),
        (Incoming(topics.up("north", "events"), b"\xff\xfe{"), "expected EventBatch"),
        (Incoming(topics.up("north", "events"), b"[" * 100_000), "expected EventBatch"),
        (Incoming(topics.up("north", "events"), b"x" * 300_000), "at most"),
        (Incoming(topics.up("north", "events"), b'{"unit":"north","boot_id":"x","events":[]}'), "expected EventBatch"),
        (Incoming(topics.up("north", "state"), b"asleep"), "expected online or offline"),
        (Incoming(topics.up("north", "info"), b"{}"), "expected Info"),
        (Incoming("healthgate/v1/gates/north/up/rubbish\n2026 INFO all is well", b"x"), "no topic"),
    ],
)
def test_rubbish_is_refused_in_one_line_and_holds_nothing_up(
    intake: Intake, office: Office, clock: Clock, message: Incoming, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    taken = intake.take([batch("north", [note(1, clock())]), message, batch("north", [note(2, clock())])])
    assert (taken.new, taken.refused) == (2, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert why in caplog.records[0].getMessage()
    assert "\n" not in caplog.records[0].getMessage()
    assert count(office) == 2
    assert intake.refused == 1


@given(st.binary(max_size=300))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_payload_raises(intake: Intake, payload: bytes) -> None:
    for channel in ("events", "state", "info", "status"):
        assert intake.take([Incoming(topics.up("north", channel), payload)]).new == 0


def test_quarantine_has_an_end(intake: Intake, office: Office, clock: Clock) -> None:
    with office.store.write() as tx:
        tx.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most)"
                " INSERT INTO quarantine (why, topic, unit, boot_id, seq, received_ms, body) SELECT '', '', '', '', 0, 0, '' FROM n"
            ),
            {"most": events.QUARANTINE_LIMIT - 1},
        )
    for _ in range(3):
        intake.take([batch("stranger", [note(1, clock())])])
    assert count(office, "quarantine") == events.QUARANTINE_LIMIT
    assert intake.refused == 3


def test_what_units_say_of_themselves_is_noted(intake: Intake, office: Office, clock: Clock) -> None:
    info = Info(unit="north", boot_id=BOOT, software="0.1.0", hardware="simulated", started_at=stamp(clock()))
    intake.take([Incoming(topics.up("north", "info"), encode(info)), Incoming(topics.up("north", "state"), b"online")])
    north, south = office.watch.see().units
    assert north.state.info == info
    assert (north.state.word, south.state.word) == ("online", "")


def test_fever_with_a_valid_code_turns_yellow_once(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry)
    clock.at += 60
    message = batch("north", [fever(1, clock(), code_of(office, town, clock, resident))])
    intake.take([message])
    intake.take([message])
    found = office.registry.find(resident.resident)
    assert found is not None
    assert (found.colour, found.rule, found.ruled_at) == (Colour.YELLOW, Rule.FEVER_AT_GATE, int(clock()))
    assert count(office, "facts") == 2


def test_a_reading_is_no_fact_without_its_valid_code(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry)
    clock.at += 60
    good = code_of(office, town, clock, resident)
    claims = token.read(good, town.ring(), clock())
    assert isinstance(claims, token.HealthCode)
    said = token.Claims(*msgspec.structs.astuple(claims)[:-1])
    forged = token.write(said, SoftwareKey.generate())
    nobody = token.write(msgspec.structs.replace(said, index=77), town.keys[Use.TOKEN])
    at = clock()
    intake.take(
        [
            batch(
                "north",
                [
                    fever(1, at, None),
                    fever(2, at, "rubbish"),
                    fever(3, at, forged),
                    fever(4, at, nobody),
                    fever(5, at + 90 * 86400, good),
                    fever(6, at - 90 * 86400, good),
                    fever(7, at, good, screening=Screening.FEVER_SUSPECTED),
                    fever(8, at, good, screening=Screening.NOT_CLEARED),
                ],
            )
        ]
    )
    assert count(office) == 8
    assert colour(office, resident) is Colour.GREEN
    assert count(office, "fevers") == 0


def test_the_code_of_a_revoked_index_says_nothing_about_anybody(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry)
    old = code_of(office, town, clock, resident)
    office.registry.revoke(resident.resident)
    intake.take([batch("north", [fever(1, clock(), old)])])
    assert colour(office, resident) is Colour.GREEN


def test_fever_never_improves_red_and_a_late_report_undoes_no_clearance(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    red = add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED)
    green = add(office.registry)
    clock.at += 10
    texts = [code_of(office, town, clock, resident) for resident in (red, green)]
    happened = clock() + 10
    clock.at += 86_400
    office.registry.clear(green.resident, 36.5)
    clock.at += 10
    intake.take([batch("north", [fever(1, happened, texts[0]), fever(2, happened, texts[1])])])
    assert colour(office, red) is Colour.RED
    assert colour(office, green) is Colour.GREEN


def test_too_many_fevers_of_one_unit_go_to_review(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    people = [add(office.registry) for _ in range(6)]
    clock.at += 10
    texts = [code_of(office, town, clock, resident) for resident in people]
    intake.take([batch("north", [fever(seq, clock(), code) for seq, code in enumerate(texts[:5], 1)])])
    assert [colour(office, resident) for resident in people] == [Colour.YELLOW] * 3 + [Colour.GREEN] * 3
    assert count(office, "reviews") == 2
    with office.store.read() as tx:
        assert [(name, unit, times) for name, unit, times, _ in events.list_alerts(tx)] == [("fevers_for_review", "north", 2)]
    intake.take([batch("south", [fever(1, clock(), texts[5])])])
    assert colour(office, people[5]) is Colour.YELLOW
    clock.at += 3601
    intake.take([batch("north", [fever(6, clock(), texts[4])])])
    assert colour(office, people[4]) is Colour.YELLOW


def test_a_unit_without_the_time_makes_no_facts(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry)
    clock.at += 10
    code = code_of(office, town, clock, resident)
    intake.take([batch("north", [fever(1, clock(), code, ClockState.UNTRUSTED), fever(2, clock() + 600, code)])])
    assert colour(office, resident) is Colour.GREEN
    assert count(office, "reviews") == 2


def test_events_in_any_order_in_any_batches_end_the_same(intake: Intake, office: Office, clock: Clock) -> None:
    """A seed drives a network that loses, doubles and reorders; in the end each event is held once and the mark says so."""
    dice = random.Random(7)
    at = clock()
    sent = [(unit, boot, seq) for unit in ("north", "south") for boot in (BOOT, OTHER_BOOT) for seq in range(1, 41)]
    left = set(sent)
    while left:
        clock.at += 1
        messages = []
        for unit, boot, seq in dice.sample(sorted(left), min(len(left), 12)):
            more = [note(other, at) for other in {seq, *(dice.randint(1, 40) for _ in range(3))}]
            messages += [batch(unit, more, boot)] * dice.choice([1, 1, 2])
        dice.shuffle(messages)
        for mark in intake.take(messages).watermarks:
            for told in mark.boots:
                left -= {(mark.unit, told.boot_id, seq) for seq in held(mark.boots, told.boot_id)}
    assert count(office) == len(sent)
    with office.store.read() as tx:
        assert {(row.unit, row.boot_id, row.seq) for row in stored(tx)} == set(sent)
