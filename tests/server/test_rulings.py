"""Facts become rulings: of one person and of many, with time alone, under outages and another policy, by several at once."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import text

from healthcode import token
from healthcode.terms import ClockState, Colour, Status, Use
from healthcode.token import HealthCode
from server import rulebook
from server.actors import AT_CONSOLE, BY_RULES
from server.colours import Rule
from server.config import Codes
from server.explanations import explain
from server.facts import Case, CaseCategory, CloseContact, Declared, Fact, FeverAtGate, HandReason, Reviewed
from server.issuer import Issuer, Pack
from server.office import Office
from server.persons import Person
from server.policy import CaseRules, GateRules, Policy, PolicyError, RecordRules
from server.registry import Refused, Registry, RegistryFault, Resident
from server.rulebook import OutageFault
from server.rulings import MOST_AHEAD_S
from server.store import publication, rulings
from tests.server.office import ISSUER, URI, Clock, Town, set_colour
from tests.server.test_registry import add, waiting

DAY = 86_400.0


def enter(office: Office, name: str = "Resident") -> str:
    """A resident who is pending."""
    with office.store.write() as tx:
        resident = office.registry.register(tx, Person(name), office.now(), BY_RULES)
    assert isinstance(resident, str)
    return resident


def tell(office: Office, resident: str, *facts: Fact) -> Resident:
    with office.store.write() as tx:
        office.registry.record_many(tx, [(resident, fact) for fact in facts], office.now(), BY_RULES)
    return look(office, resident)


def look(office: Office, resident: str) -> Resident:
    found = office.registry.find(resident)
    assert found is not None
    return found


def issuer(office: Office, town: Town) -> Issuer:
    return Issuer(office.store, town.keys[Use.TOKEN], ISSUER, Codes(), office.now)


def test_nobody_has_a_code_before_the_review(office: Office, town: Town, clock: Clock) -> None:
    resident = enter(office)
    assert (look(office, resident).colour, look(office, resident).word) == (None, "pending")
    refused = issuer(office, town).live_pack(resident)
    assert isinstance(refused, Refused)
    assert refused.fault is RegistryFault.PENDING
    clock.at += 60
    assert tell(office, resident, Declared(clock(), district="420106")).rule is Rule.PENDING
    clock.at += 60
    green = tell(office, resident, Reviewed(clock(), "rule"))
    assert (green.colour, green.rule, green.since, green.ruled_at) == (Colour.GREEN, Rule.HEALTHY, round(clock(), 3), int(clock()))
    assert isinstance(issuer(office, town).live_pack(resident), Pack)
    assert waiting(office) == []


def test_who_is_let_in_yellow_gets_a_statement_newer_than_any_list(office: Office, clock: Clock) -> None:
    resident = enter(office)
    yellow = tell(office, resident, CloseContact(clock(), "disease control"), Reviewed(clock(), "officer"))
    assert (yellow.colour, yellow.ruled_at) == (Colour.YELLOW, int(clock()) + 1)
    assert waiting(office) == [(yellow.index, Status.YELLOW)]


def test_a_check_in_makes_no_new_ruling_but_moves_what_is_due(office: Office, clock: Clock) -> None:
    resident = add(office.registry).resident
    before = look(office, resident)
    clock.at += DAY
    assert tell(office, resident, Declared(clock(), is_check_in=True)) == before
    ruling = office.registry.explain(resident)
    assert ruling is not None
    assert ruling.until == pytest.approx(clock() + 3 * DAY)


def test_time_alone_turns_green_yellow_and_a_check_in_brings_it_back(office: Office, clock: Clock) -> None:
    residents = [add(office.registry, f"resident {number}") for number in range(5)]
    began = clock()
    clock.at = began + 3 * DAY - 0.001
    assert office.registry.rule_due(100) == 0
    clock.at = began + 3 * DAY
    assert [office.registry.rule_due(2) for _ in range(4)] == [2, 2, 1, 0]
    assert {look(office, each.resident).rule for each in residents} == {Rule.RECORD_LAPSED}
    assert {status for _, status in waiting(office)} == {Status.YELLOW}
    assert tell(office, residents[0].resident, Declared(clock(), is_check_in=True)).colour is Colour.GREEN


def test_from_red_to_yellow_to_green_with_time_alone(office: Office, clock: Clock) -> None:
    """A case, discharged; checking in every day, the colours come on their days and each is one change of the list."""
    resident = add(office.registry, colour=Colour.RED, reason=HandReason.CONFIRMED).resident
    set_colour(office, resident, Colour.YELLOW, HandReason.DISCHARGED)
    began = clock()
    seen = []
    for day in range(1, 20):
        clock.at = began + day * DAY - 60
        tell(office, resident, Declared(clock(), is_check_in=True))
        clock.at = began + day * DAY + 0.01
        if office.registry.rule_due(10):
            seen.append((day, look(office, resident).colour))
    assert seen == [(14, Colour.GREEN)]
    assert [status for _, status in waiting(office)] == [Status.RED, Status.YELLOW, Status.GREEN]


@pytest.mark.sqlite
def test_what_is_due_is_found_by_its_index_and_not_by_looking_at_everybody(office: Office) -> None:
    with office.store.read() as tx:
        plan = tx.execute(text("EXPLAIN QUERY PLAN SELECT resident FROM residents WHERE due_ms <= 5 ORDER BY due_ms LIMIT 9")).all()
    assert "residents_due" in str(plan)


def test_nothing_lapses_while_nobody_can_check_in(office: Office, clock: Clock) -> None:
    resident = add(office.registry).resident
    began = clock()
    clock.at = began + 2 * DAY
    with office.store.write() as tx:
        assert rulebook.begin_outage(tx, clock(), "data centre", AT_CONSOLE, clock()) is None
        assert rulebook.begin_outage(tx, clock(), "again", AT_CONSOLE, clock()) is OutageFault.ONE_IS_OPEN
    clock.at = began + 3 * DAY
    assert office.registry.rule_due(10) == 1
    assert look(office, resident).colour is Colour.GREEN
    ruling = office.registry.explain(resident)
    assert ruling is not None
    assert explain(ruling.changes[0]) == "Checking in is not possible just now: nothing lapses meanwhile."
    clock.at = began + 9 * DAY
    assert office.registry.rule_due(10) == 0
    with office.store.write() as tx:
        assert rulebook.end_outage(tx, clock(), AT_CONSOLE, clock()) is None
        assert rulebook.end_outage(tx, clock(), AT_CONSOLE, clock()) is OutageFault.NONE_IS_OPEN
    assert office.registry.rule_due(10) == 1
    clock.at = began + 10 * DAY - 0.001
    assert office.registry.rule_due(10) == 0
    clock.at = began + 10 * DAY
    assert office.registry.rule_due(10) == 1
    assert look(office, resident).rule is Rule.RECORD_LAPSED


def test_an_outage_that_is_told_of_late_gives_back_what_lapsed_in_it(office: Office, clock: Clock) -> None:
    resident = add(office.registry).resident
    began = clock()
    clock.at = began + 3.5 * DAY
    assert office.registry.rule_due(10) == 1
    assert look(office, resident).colour is Colour.YELLOW
    with office.store.write() as tx:
        rulebook.begin_outage(tx, began + 2.5 * DAY, "found out late", AT_CONSOLE, clock())
        assert rulebook.end_outage(tx, began, AT_CONSOLE, clock()) is OutageFault.BEFORE_ITS_BEGIN
        assert rulebook.end_outage(tx, clock() + 1, AT_CONSOLE, clock()) is OutageFault.IN_THE_FUTURE
    assert office.registry.rule_due(10) == 1
    assert look(office, resident).colour is Colour.GREEN


def test_another_policy_is_adopted_once_and_rules_everybody_anew(office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry).resident
    clock.at += 1.5 * DAY
    strict = Policy(version=2, record=RecordRules(lapse_days=1))
    other = Registry(office.store, office.seal, issuer=ISSUER, uris=[URI], now=clock, policy=strict)
    assert office.registry.rule_due(10) == 1, "the process that was there before rules by the new policy, too"
    assert look(office, resident).rule is Rule.RECORD_LAPSED
    with office.store.read() as tx:
        assert other.rulings.policy(tx) == office.registry.rulings.policy(tx) == strict
        assert tx.execute(text("SELECT policy FROM rulings ORDER BY ruling")).scalars().all() == [1, 1, 2]
    for wrong, words in (
        (Policy(version=1), "policy 1 is older than 2, which is in force: expected version 2 or higher"),
        (Policy(version=2, case=CaseRules(red_days=7)), "policy 2 is in force with other rules: expected version 3 for these"),
    ):
        with pytest.raises(PolicyError, match=words):
            Registry(office.store, office.seal, issuer=ISSUER, uris=[URI], now=clock, policy=wrong)


def test_what_is_known_stays_known_when_the_clock_goes_back(office: Office, clock: Clock) -> None:
    resident = enter(office)
    red = tell(office, resident, Declared(clock()), Reviewed(clock(), "rule"), Case(clock(), CaseCategory.CONFIRMED, "clinic"))
    clock.at -= 3600
    moved = office.registry.revoke(resident)
    assert isinstance(moved, Resident)
    assert (moved.colour, moved.rule, moved.since) == (red.colour, red.rule, red.since)


def test_a_policy_may_make_a_gates_fever_red(town: Town, clock: Clock) -> None:
    office = town.open(clock)
    registry = Registry(
        office.store, office.seal, issuer=ISSUER, uris=[URI], now=clock, policy=Policy(version=2, gate=GateRules(fever="red"))
    )
    resident = add(registry).resident
    clock.at += 1
    with office.store.write() as tx:
        assert registry.record(tx, resident, FeverAtGate(clock(), "north", 38.5, ClockState.TRUSTED), clock(), BY_RULES)
    assert look(office, resident).colour is Colour.RED
    office.store.close()


def test_ten_thousand_contacts_are_recorded_in_a_moment(office: Office, clock: Clock) -> None:
    """All of one import: one transaction, in bulk; a hundred thousand are ten times that."""
    with office.store.write() as tx:
        tx.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
                " INSERT INTO residents (resident, sealed, added_ms, uri, idx) SELECT 'r' || i, '', 0, :uri, i FROM n"
            ),
            {"uri": URI},
        )
        everybody = [f"r{number}" for number in range(1, 10_001)]
        office.registry.record_many(tx, [(resident, Reviewed(clock(), "rule")) for resident in everybody], clock(), BY_RULES)
    clock.at += DAY
    began = time.thread_time()
    with office.store.write() as tx:
        news = [(resident, CloseContact(clock(), "import")) for resident in everybody]
        assert office.registry.record_many(tx, news, clock(), BY_RULES) == 10_000
    assert time.thread_time() - began < 10.0, "of the processor, whatever else it does"
    with office.store.read() as tx:
        changes = publication.waiting_changes(tx, URI, 20_000)
        assert (
            tx.execute(text("SELECT count(*) FROM residents r JOIN rulings g ON g.ruling = r.ruling WHERE g.colour = 'yellow'")).scalar()
            == 10_000
        )
    assert [change.status for change in changes] == [Status.YELLOW] * 10_000


def test_codes_and_colours_agree_whatever_many_do_at_once(office: Office, town: Town) -> None:
    """Officers, gates and phones at once on one file: every code says a ruling that was in force, and the last says the last."""
    resident = add(office.registry).resident
    packs: list[Pack] = []
    failed: list[Exception] = []

    def work(what: int) -> None:
        try:
            for turn in range(12):
                if what == 0:
                    colour, reason = [(Colour.RED, HandReason.CONFIRMED), (Colour.GREEN, HandReason.REVIEWED)][turn % 2]
                    set_colour(office, resident, colour, reason)
                elif what == 1:
                    office.registry.revoke(resident)
                elif what == 2:
                    with office.store.write() as tx:
                        office.registry.record(
                            tx, resident, FeverAtGate(office.now(), "north", 38.5, ClockState.TRUSTED), office.now(), BY_RULES
                        )
                else:
                    pack = issuer(office, town).live_pack(resident, lasting_s=120)
                    assert isinstance(pack, Pack)
                    packs.append(pack)
        except Exception as wrong:  # noqa: BLE001  whatever it is fails the test
            failed.append(wrong)

    threads = [threading.Thread(target=work, args=(what,)) for what in (0, 1, 2, 3, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with office.store.read() as tx:
        made = {
            (str(uri), int(idx), str(colour), int(ruled_at))
            for uri, idx, colour, ruled_at in tx.execute(text("SELECT uri, idx, colour, ruled_at FROM rulings"))
        }
        ruled = tx.execute(text("SELECT ruled_at FROM rulings WHERE colour <> 'pending' ORDER BY ruling")).scalars().all()
        latest = int(office.now()) + MOST_AHEAD_S
    assert ruled == sorted(ruled) and ruled[-1] <= latest, "later rulings are of no earlier time, and of none that gates refuse"
    assert {(pack.uri, pack.index, pack.colour.value, pack.ruled_at) for pack in packs} <= made
    last = issuer(office, town).live_pack(resident, lasting_s=120)
    assert isinstance(last, Pack)
    now = look(office, resident)
    code = token.read(last.codes[0].text, town.ring(), office.now())
    assert isinstance(code, HealthCode)
    assert (code.uri, code.index, code.colour, code.ruled_at) == (now.uri, now.index, now.colour, now.ruled_at)


def test_the_facts_of_a_person_come_back_as_they_were_told(office: Office, clock: Clock) -> None:
    resident = enter(office)
    told: list[Fact] = [Declared(clock(), district="420106"), Reviewed(clock(), "rule")]
    tell(office, resident, *told)
    clock.at += 5
    tell(office, resident, CloseContact(clock() - DAY, "disease control"))
    with office.store.read() as tx:
        assert office.registry.rulings.facts(tx, resident) == [CloseContact(clock() - DAY, "disease control", heard=clock()), *told]
        assert rulings.newest_recorded_ms(tx, resident) == round(clock() * 1000)
