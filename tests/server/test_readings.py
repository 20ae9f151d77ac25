"""What pass events say about people: normal temperatures as health records, codes that are at two gates at once."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from healthcode.messages import PassEvent
from healthcode.terms import ClockState, Colour, Screening
from server.fleet import Fleet
from server.intake import Intake
from server.office import Office
from server.policy import GateRules, Policy, RecordRules
from server.registry import Registry, Resident
from server.store import events
from tests.server.office import ISSUER, URI, Clock, Town
from tests.server.reports import batch, fever, passed
from tests.server.test_intake import code_of, colour, count
from tests.server.test_registry import add

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def intake(office: Office, town: Town, clock: Clock) -> Intake:
    """An intake with two units at the station, one in the market and one of which nobody said where it is."""
    fleet = Fleet(office.store, clock)
    for unit, site in (("north", "station"), ("south", "station"), ("market", "market"), ("lost", "")):
        fleet.add(unit, site=site)
    return Intake(office.store, office.registry, town.ring, clock, 3)


def shows(
    seq: int,
    at: float,
    code: str | None,
    resident: Resident,
    clock: ClockState = ClockState.TRUSTED,
    screening: Screening = Screening.NORMAL,
) -> PassEvent:
    """The resident passes."""
    return passed(seq, at, code, (resident.uri, resident.index), clock, screening)


def normals(office: Office) -> int:
    with office.store.read() as tx:
        return int(tx.execute(text("SELECT count(*) FROM facts WHERE kind = 'normal_at_gate'")).scalar_one())


def alerts(office: Office) -> list[tuple[str, str, int]]:
    with office.store.read() as tx:
        return [(name, unit, times) for name, unit, times, _ in events.list_alerts(tx)]


def test_a_normal_temperature_at_a_gate_keeps_green(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry)
    code = code_of(office, town, clock, resident)
    began = clock()
    clock.at = began + 2 * DAY
    intake.take([batch("north", [shows(1, clock(), code, resident)])])
    clock.at = began + 3 * DAY
    assert office.registry.rule_due(10) == 0
    clock.at = began + 5 * DAY
    assert office.registry.rule_due(10) == 1
    assert colour(office, resident) is Colour.YELLOW


def test_one_record_in_six_hours_is_enough(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident, other = add(office.registry), add(office.registry)
    codes = {each.index: code_of(office, town, clock, each) for each in (resident, other)}
    began = clock()
    clock.at += DAY
    hours = [0, 1, 5.9, 6, 11, 12]
    intake.take([batch("north", [shows(seq, began + hour * HOUR, codes[resident.index], resident) for seq, hour in enumerate(hours, 1)])])
    assert normals(office) == 3
    intake.take([batch("south", [shows(1, began + 17 * HOUR, codes[resident.index], resident)])])
    assert normals(office) == 3
    intake.take([batch("south", [shows(2, began + 17 * HOUR, codes[other.index], other)])])
    assert normals(office) == 4
    assert count(office, "passes") == 8


def test_a_record_needs_the_code_of_the_person_it_names_valid_then(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident, other = add(office.registry), add(office.registry)
    code = code_of(office, town, clock, resident)
    at = clock()
    clock.at += 60
    told = [
        shows(1, at, None, resident),
        shows(2, at, "rubbish", resident),
        shows(3, at, code, other),
        shows(4, at - 90 * DAY, code, resident),
        shows(5, at + HOUR, code, resident),
        shows(6, at, code, resident, clock=ClockState.UNTRUSTED),
        shows(7, at, code, resident, screening=Screening.RECHECK),
        passed(8, at, code, None),
        passed(9, at, code, (URI, 4000)),
    ]
    intake.take([batch("north", told)])
    assert (count(office), normals(office)) == (9, 0)
    intake.take([batch("south", [shows(1, at, code, resident)])])
    assert normals(office) == 1


def test_a_late_record_of_a_gate_that_was_offline_counts_from_when_it_was(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry)
    code = code_of(office, town, clock, resident)
    began = clock()
    clock.at = began + 3.5 * DAY
    office.registry.rule_due(10)
    assert colour(office, resident) is Colour.YELLOW
    intake.take([batch("north", [shows(1, began + 2 * DAY, code, resident, clock=ClockState.HOLDOVER)])])
    assert colour(office, resident) is Colour.GREEN
    clock.at = began + 5 * DAY
    assert office.registry.rule_due(10) == 1


@pytest.mark.parametrize(
    ("first", "second", "apart_s", "is_copied"),
    [
        ("north", "market", 59.9, True),
        ("north", "market", 60.1, False),
        ("north", "south", 2.9, True),
        ("north", "south", 3.1, False),
        ("north", "lost", 3.1, False),
        ("north", "lost", 2.9, True),
        ("north", "north", 1.0, False),
        ("market", "north", -59.0, True),
    ],
)
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_one_code_at_two_gates(
    intake: Intake, office: Office, town: Town, clock: Clock, first: str, second: str, apart_s: float, is_copied: bool, is_one_batch: bool
) -> None:
    resident = add(office.registry)
    code = code_of(office, town, clock, resident)
    at = clock() + 100
    clock.at += 300
    told = [batch(first, [shows(1, at, code, resident)]), batch(second, [shows(2, at + apart_s, code, resident)])]
    for messages in [told] if is_one_batch else [[message] for message in told]:
        intake.take(messages)
    assert bool(alerts(office)) == is_copied
    assert {name for name, _, _ in alerts(office)} <= {"copied"}
    assert colour(office, resident) is Colour.GREEN, "nobody is stopped for it"
    if is_copied:
        with office.store.read() as tx:
            (detail, *_) = [detail for *_, detail in events.list_alerts(tx)]
        assert first in detail
        assert second in detail


def test_a_unit_that_invents_entries_raises_no_alarm(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    resident, other = add(office.registry), add(office.registry)
    code, another = code_of(office, town, clock, resident), code_of(office, town, clock, other)
    at = clock()
    intake.take([batch("north", [shows(1, at, code, resident)])])
    intake.take([batch("market", [shows(1, at, None, resident), shows(2, at, another, resident), shows(3, at, "rubbish", resident)])])
    intake.take([batch("south", [shows(1, at, code, resident, clock=ClockState.UNTRUSTED)])])
    assert alerts(office) == []


def test_another_policy(office: Office, town: Town, clock: Clock) -> None:
    policy = Policy(version=2, gate=GateRules(fever="review"), record=RecordRules(gate_hours=1))
    registry = Registry(office.store, office.seal, issuer=ISSUER, uris=[URI], now=clock, policy=policy)
    Fleet(office.store, clock).add("north")
    intake = Intake(office.store, registry, town.ring, clock, 3)
    resident = add(registry)
    clock.at += 60
    code = code_of(office, town, clock, resident)
    intake.take([batch("north", [shows(1, clock(), code, resident), fever(2, clock(), code)])])
    assert colour(office, resident) is Colour.GREEN
    assert (normals(office), count(office, "reviews")) == (1, 1)
    clock.at += HOUR
    intake.take([batch("north", [shows(3, clock(), code, resident)])])
    assert normals(office) == 2


def test_a_batch_asks_a_bounded_number_of_questions(intake: Intake, office: Office, town: Town, clock: Clock) -> None:
    """Two hundred events that are held already, and two hundred passes, take as many statements as two of each."""
    from sqlalchemy import event

    asked: list[str] = []
    event.listen(office.store.engine, "before_cursor_execute", lambda _c, _u, statement, *_: asked.append(statement))
    resident = add(office.registry)
    code = code_of(office, town, clock, resident)
    counts = []
    for size, first in ((2, 1), (80, 100)):
        clock.at += 600
        told = [shows(seq, clock(), code, resident) for seq in range(first, first + size)]
        intake.take([batch("north", told)])
        clock.at += 30
        before = len(asked)
        more = [shows(seq, clock(), code, resident) for seq in range(first, first + size)]
        intake.take([batch("north", told), batch("south", more)])
        counts.append(len(asked) - before)
    assert counts[1] <= counts[0] + 2
