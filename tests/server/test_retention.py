"""What is deleted when, in slices, and that no unit notices: numbers of events stay known, watermarks say the same."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from healthcode.messages import PassageEvent, stamp
from healthcode.terms import ClockState, Colour, PassageOutcome
from server import audit
from server.audit import Sound
from server.fleet import Fleet
from server.intake import Intake
from server.office import Office
from server.persons import Person
from server.registry import Resident
from server.retention import EVERY_S, SLICE
from server.store import audit as log
from server.store import events, to_ms
from tests.server.office import URI, Clock, Town
from tests.server.reports import batch, fever, note

DAY = 86_400.0


@pytest.fixture
def intake(office: Office, town: Town, clock: Clock) -> Intake:
    Fleet(office.store, clock).add("north")
    return Intake(office.store, office.registry, town.ring, clock, 3)


def count(office: Office, table: str = "events", where: str = "1 = 1") -> int:
    with office.store.read() as tx:
        return int(tx.execute(text(f"SELECT count(*) FROM {table} WHERE {where}")).scalar_one())


def passage(seq: int, at: float) -> PassageEvent:
    return PassageEvent(seq=seq, at=stamp(at), clock=ClockState.TRUSTED, outcome=PassageOutcome.USED, grant=1, list=URI, index=7)


def run(office: Office) -> int:
    """Steps until nothing waits; how many."""
    steps = 1
    while office.retention.step():
        steps += 1
    return steps


def test_passes_go_after_14_days_to_the_second_and_what_is_left_says_nothing_of_them(office: Office, intake: Intake, clock: Clock) -> None:
    first = clock.at
    intake.take([batch("north", [fever(1, first, None), passage(2, first), note(3, first)])])
    clock.at += 14 * DAY - 1
    run(office)
    assert count(office) == 3
    clock.at += 1
    clock.at += EVERY_S
    run(office)
    assert (count(office), count(office, where="kind = 'unit'")) == (1, 1)
    clock.at = first + 90 * DAY + EVERY_S
    run(office)
    assert count(office) == 0


def test_a_unit_that_sends_again_what_was_deleted_is_told_that_it_is_held(office: Office, intake: Intake, clock: Clock) -> None:
    message = batch("north", [fever(seq, clock(), None) for seq in (1, 2, 3)])
    (before,) = intake.take([message]).watermarks
    clock.at += 15 * DAY
    run(office)
    assert count(office) == 0
    taken = intake.take([message])
    assert (taken.new, taken.known, taken.refused) == (0, 3, 0)
    assert taken.watermarks[0].boots == before.boots
    assert count(office) == 0
    assert intake.take([batch("north", [fever(4, clock(), None)])]).new == 1


def test_a_number_far_above_the_mark_stays_known_without_its_content(office: Office, intake: Intake, clock: Clock) -> None:
    far = batch("north", [fever(5000, clock(), None)])
    intake.take([batch("north", [note(1, clock())]), far])
    clock.at += 15 * DAY
    run(office)
    assert count(office, where="seq = 5000 AND body = '' AND kind = 'purged'") == 1
    assert intake.take([far]).new == 0
    filling = [note(seq, clock()) for seq in range(2, 5000)]
    taken = intake.take([batch("north", filling[begin : begin + 100]) for begin in range(0, len(filling), 100)])
    ((boot,),) = (mark.boots for mark in taken.watermarks)
    assert (boot.up_to, boot.missing) == (5000, [])


def test_a_unit_whose_clock_is_far_ahead_keeps_nothing_for_longer(office: Office, intake: Intake, clock: Clock) -> None:
    intake.take([batch("north", [fever(1, clock() + 400 * DAY, None)])])
    clock.at += 14 * DAY + 1
    run(office)
    assert count(office) == 0


def test_a_town_s_passes_go_in_slices_and_the_log_says_how_many(office: Office, clock: Clock) -> None:
    with office.store.write() as tx:
        rows = [
            events.EventRow("north", "0" * 32, seq, "pass", to_ms(clock()), to_ms(clock()), b"", "{}") for seq in range(1, 2 * SLICE + 2)
        ]
        events.insert_new(tx, rows)
        tx.execute(text("INSERT INTO boots VALUES ('north', :boot, :up_to, '[]', 0)"), {"boot": "0" * 32, "up_to": 2 * SLICE + 1})
    clock.at += 15 * DAY
    assert office.retention.step()
    assert count(office) == SLICE + 1
    assert run(office) == 2
    assert count(office) == 0
    with office.store.read() as tx:
        told = log.list_newest(tx, 10, action="purged")
        assert isinstance(audit.verify(tx), Sound)
    assert [row.detail for row in told] == ['{"passes":1}', f'{{"passes":{SLICE}}}', f'{{"passes":{SLICE}}}']
    assert not office.retention.step()


@pytest.mark.sqlite
def test_free_pages_are_given_back_and_what_was_in_them_is_overwritten(office: Office, clock: Clock) -> None:
    with office.store.write() as tx:
        body = "HB1:THE CODE OF SOMEBODY" + "x" * 1500
        rows = [events.EventRow("north", "0" * 32, seq, "pass", to_ms(clock()), to_ms(clock()), b"", body) for seq in range(1, 900)]
        events.insert_new(tx, rows)
        tx.execute(text("INSERT INTO boots VALUES ('north', :boot, 900, '[]', 0)"), {"boot": "0" * 32})
    before = pages(office)
    clock.at += 15 * DAY
    run(office)
    clock.at += EVERY_S
    run(office)
    assert pages(office) < before / 2
    with office.store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database = office.store.engine.url.database
    assert database is not None
    with open(database, "rb") as file:  # noqa: PTH123
        assert b"THE CODE OF SOMEBODY" not in file.read()


def pages(office: Office) -> int:
    with office.store.read() as tx:
        return int(tx.exec_driver_sql("PRAGMA page_count").scalar_one())


def test_what_was_decided_long_ago_goes_too_and_the_log_stays(office: Office, clock: Clock) -> None:
    added = office.registry.add(Person("A"))
    assert isinstance(added, Resident)
    assert added.colour is Colour.GREEN
    with office.store.write() as tx:
        at = to_ms(clock())
        tx.execute(
            text("INSERT INTO quarantine (why, topic, unit, boot_id, seq, received_ms, body) VALUES ('x', '', '', '', 0, :at, '')"),
            {"at": at},
        )
        tx.execute(
            text(
                "INSERT INTO codes_issued (resident, uri, idx, form, ruling, codes, not_before, expires, issued_ms)"
                " VALUES (:who, '', 0, 'paper', 0, 1, 0, :ends, :at)"
            ),
            {"who": added.resident, "ends": int(clock() + 28 * DAY), "at": at},
        )
        tx.execute(
            text("INSERT INTO submissions VALUES ('me', 'abcdefgh', :who, 'check_in', '', :at, NULL, '')"),
            {"who": added.resident, "at": at},
        )
    entries = count(office, "audit")
    clock.at += 41 * DAY
    run(office)
    assert [count(office, table) for table in ("quarantine", "submissions", "codes_issued")] == [0, 0, 1]
    clock.at += 2 * DAY
    run(office)
    assert count(office, "codes_issued") == 0
    assert count(office, "audit") == entries + 2
