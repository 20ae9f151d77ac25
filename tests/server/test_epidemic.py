"""Imports of epidemic data: whole or not at all, once, for people who are not there yet, and withdrawn when they were wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from healthcode.terms import Colour, Status
from server import audit
from server import reviews as reviews_of_server
from server.actors import Actor, Role
from server.audit import Action
from server.charges import Refused, Registered
from server.checkins import ReportKind, Taken
from server.contradictions import Flag
from server.epidemic import ABANDONED_MS, Epidemic, KnownFile, NotDone, Plan, Preview, Staged, Unfit, changed_of
from server.epidemic_lines import Encoding, Form, Layout
from server.epidemic_rows import EpidemicKind
from server.facts import CloseContact, HandReason
from server.identity import day_of, start_of
from server.office import Office, open_office
from server.persons import Person
from server.registry import Resident
from server.reviews import Decision, Group, NoReview, ReviewReason
from server.rounds import RULE_SLICE
from server.store import audit as log
from server.store import epidemic, publication
from tests.server.family import actor, entry, number, put_right
from tests.server.office import CAPACITY, URI, Clock, Town, set_colour

OFFICER = Actor("anna", Role.OFFICER)
PEOPLE = [number(sequence=sequence) for sequence in range(1, 8)]
WELL = {
    "symptoms": ["none"],
    "temperature": "36.8",
    "contact": "no",
    "travel": ["none"],
    "isolation": "none",
    "phone": "13812345678",
    "district": "420106",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, clock: Clock) -> Write:
    """Writes contacts of yesterday, or rows with more columns, as CSV."""

    def file(people: list[str], name: str = "contacts.csv", header: str = "", cells: str = "", days: int = 1) -> Path:
        day = day_of(clock()) - timedelta(days=days)
        path = tmp_path / name
        path.write_text(f"number,at{header}\n" + "".join(f"{who},{day}{cells}\n" for who in people))
        return path

    return file


def plan(office: Office, kind: EpidemicKind = EpidemicKind.CLOSE_CONTACT, source: str = "CDC", *, leaves_out: bool = False) -> Plan:
    return Plan(Layout(kind, Form.CSV, Encoding.UTF_8, source, office.now()), "contacts.csv", OFFICER, leaves_out)


def stage(office: Office, path: Path, kind: EpidemicKind = EpidemicKind.CLOSE_CONTACT, source: str = "CDC") -> Staged:
    staged = office.epidemic.stage(path, plan(office, kind, source))
    assert isinstance(staged, Staged), staged
    return staged


def settle(office: Office, limit: int = RULE_SLICE) -> None:
    while office.epidemic.rule_waiting(limit):
        pass


def put(office: Office, path: Path, kind: EpidemicKind = EpidemicKind.CLOSE_CONTACT, source: str = "CDC") -> Staged:
    staged = stage(office, path, kind, source)
    assert office.epidemic.put_in_force(staged.number, OFFICER) is None
    settle(office)
    return staged


def add(office: Office, who: str, colour: Colour = Colour.GREEN) -> str:
    reason = HandReason.REVIEWED if colour is Colour.GREEN else HandReason.CONFIRMED
    made = office.registry.add(Person("居民", who), colour=colour, reason=reason)
    assert isinstance(made, Resident) and isinstance(office.now, Clock)
    office.now.at += 1  # what is heard at the very moment in which an officer sets a colour was known to them
    return made.resident


def colour(office: Office, resident: str) -> Colour | None:
    found = office.registry.find(resident)
    assert found is not None
    return found.colour


def count(office: Office, table: str) -> int:
    with office.store.read() as tx:
        return int(tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def waiting(office: Office) -> list[Status]:
    with office.store.read() as tx:
        return [change.status for change in publication.waiting_changes(tx, URI, 1000)]


def test_contacts_turn_yellow_and_the_list_says_so(office: Office, clock: Clock, write: Write) -> None:
    first, second = (add(office, who) for who in PEOPLE[:2])
    clock.at += 60
    staged = stage(office, write(PEOPLE[:3]))
    assert (staged.row_count, staged.new, staged.known, staged.people, staged.registered) == (3, 3, 0, 3, 2)
    assert office.epidemic.preview(staged.number) == Preview({("green", "yellow"): 2}, 0)
    assert (colour(office, first), waiting(office)) == (Colour.GREEN, [])
    assert office.epidemic.put_in_force(staged.number, OFFICER) is None
    settle(office)
    assert [colour(office, who) for who in (first, second)] == [Colour.YELLOW] * 2
    assert waiting(office) == [Status.YELLOW] * 2
    row = office.epidemic.find(staged.number)
    assert row is not None and changed_of(row) == {("green", "yellow"): 2} and row.is_ruled
    explained = office.registry.explain(first)
    assert explained is not None and explained.until == start_of(day_of(clock()) - timedelta(days=1)) + 14 * 86_400


def test_a_dry_run_that_is_discarded_leaves_nothing(office: Office, write: Write) -> None:
    add(office, PEOPLE[0])
    staged = stage(office, write(PEOPLE))
    office.epidemic.preview(staged.number)
    office.epidemic.discard(staged.number)
    assert [count(office, table) for table in ("epidemic_rows", "epidemic_facts")] == [0, 0]
    assert office.epidemic.list_imports() == []


def test_the_same_file_and_an_overlapping_one_add_nothing_twice(office: Office, write: Write) -> None:
    first = put(office, write(PEOPLE[:4]))
    assert office.epidemic.stage(write(PEOPLE[:4]), plan(office)) == KnownFile(first.number)
    assert len(office.epidemic.list_imports()) == 1
    overlapping = put(office, write([*PEOPLE[2:6], PEOPLE[5]], name="more.csv"))
    assert (overlapping.new, overlapping.known, overlapping.repeated) == (2, 2, 1)
    assert count(office, "epidemic_facts") == 6
    elsewhere = put(office, write(PEOPLE[:4]), source="another clinic")
    assert elsewhere.new == 4, "two who report the same are two facts"


def test_people_who_register_later_find_what_was_said_of_them(office: Office, clock: Clock, write: Write) -> None:
    put(office, write(PEOPLE[:1]))
    clock.at += 3600
    who = actor(office, "13812345678")
    for sequence, (typed, expected) in enumerate(((PEOPLE[0], None), (PEOPLE[1], Colour.GREEN))):
        made = office.households.register(who, entry("self" if sequence == 0 else "other", typed=typed))
        assert isinstance(made, Registered)
        taken = office.checkins.submit(who, made.resident, ReportKind.DECLARATION, f"report-{sequence}", WELL)
        assert isinstance(taken, Taken)
        assert colour(office, made.resident) is expected
        assert taken.flags == (() if expected else (Flag.CONTACT_DENIED, Flag.LISTED_CONTACT))


def test_a_corrected_number_is_ruled_on_at_once(office: Office, clock: Clock, write: Write) -> None:
    resident = add(office, PEOPLE[0])
    put(office, write(PEOPLE[1:2]))
    put_right(office, resident, PEOPLE[1])
    assert (colour(office, resident), waiting(office)) == (Colour.YELLOW, [Status.YELLOW])
    clock.at += 60
    put_right(office, resident, PEOPLE[0])
    assert colour(office, resident) is Colour.GREEN, "what belongs to another number counts no more"


def test_a_withdrawn_import_counts_no_more_but_for_what_another_says_too(office: Office, clock: Clock, write: Write) -> None:
    both, one = add(office, PEOPLE[0]), add(office, PEOPLE[1])
    first = put(office, write(PEOPLE[:2]))
    second = put(office, write(PEOPLE[:1], name="other.csv"))
    assert [colour(office, who) for who in (both, one)] == [Colour.YELLOW] * 2
    clock.at += 60
    assert office.epidemic.withdraw(first.number, OFFICER, "wrong town") is None
    settle(office)
    assert [colour(office, who) for who in (both, one)] == [Colour.YELLOW, Colour.GREEN]
    row = office.epidemic.find(first.number)
    assert row is not None and (row.state, row.withdrawn_why) == ("withdrawn", "wrong town")
    assert changed_of(row) == {("yellow", "green"): 1}
    assert isinstance(office.epidemic.withdraw(first.number, OFFICER, "again"), NotDone)
    assert isinstance(office.epidemic.withdraw(99, OFFICER, "none"), NotDone)
    again = put(office, write(PEOPLE[:2]))
    assert (again.new, again.known) == (1, 1), "after a withdrawal the same file may come again"
    assert colour(office, one) is Colour.YELLOW
    assert office.epidemic.withdraw(second.number, OFFICER, "x") is None
    settle(office)
    assert colour(office, both) is Colour.YELLOW


def test_a_file_with_a_faulty_row_is_not_imported_at_all(office: Office, write: Write) -> None:
    resident = add(office, PEOPLE[0])
    path = write([PEOPLE[0], "1", PEOPLE[1]])
    found = office.epidemic.stage(path, plan(office))
    assert isinstance(found, Unfit)
    assert (found.fault_count, found.faulty_rows, found.row_count, found.faults[0].line) == (1, 1, 3, 3)
    assert [count(office, table) for table in ("epidemic_rows", "epidemic_facts")] == [0, 0]
    assert office.epidemic.list_imports() == []
    left_out = office.epidemic.stage(path, plan(office, leaves_out=True))
    assert isinstance(left_out, Staged) and (left_out.new, left_out.left_out) == (2, 1)
    assert colour(office, resident) is Colour.GREEN
    path.write_bytes(path.read_bytes() + b"\xff\n")
    assert isinstance(office.epidemic.stage(path, plan(office, leaves_out=True)), Unfit), "the rest of this file could not be read"


def test_a_staged_import_counts_for_nothing_and_is_forgotten_when_its_process_died(office: Office, clock: Clock, write: Write) -> None:
    resident = add(office, PEOPLE[0])
    abandoned = stage(office, write(PEOPLE))
    clock.at += 1
    with office.store.write() as tx:
        office.registry.rulings.rule(tx, [resident], clock())
    assert colour(office, resident) is Colour.GREEN
    clock.at += ABANDONED_MS / 1000 + 1
    fresh = stage(office, write(PEOPLE[:2], name="next.csv"))
    assert count(office, "epidemic_facts") == 2
    assert isinstance(office.epidemic.put_in_force(abandoned.number, OFFICER), NotDone)
    assert office.epidemic.put_in_force(fresh.number, OFFICER) is None


def test_rulings_go_on_in_another_process_where_one_died(town: Town, clock: Clock, write: Write) -> None:
    office = town.open(clock)
    residents = [add(office, who) for who in PEOPLE[:5]]
    staged = stage(office, write(PEOPLE))
    office.epidemic.put_in_force(staged.number, OFFICER)
    assert office.epidemic.rule_waiting(2)
    assert [colour(office, who) for who in residents].count(Colour.YELLOW) == 2
    office.store.close()  # as if killed between two slices
    office = town.open(clock)
    explained = office.registry.explain(residents[4])
    assert explained is not None and explained.colour is Colour.YELLOW, "what an import in force says counts before its ruling is made"
    settle(office, 2)
    assert [colour(office, who) for who in residents] == [Colour.YELLOW] * 5
    row = office.epidemic.find(staged.number)
    assert row is not None and changed_of(row) == {("green", "yellow"): 5} and row.ruled_count == 7
    office.store.close()


def test_somebody_named_many_times_is_ruled_on_once(office: Office, write: Write, tmp_path: Path) -> None:
    resident = add(office, PEOPLE[0])
    days = [day_of(office.now()) - timedelta(days=back) for back in range(1, 10)]
    path = tmp_path / "many.csv"
    path.write_text("number,at\n" + "".join(f"{PEOPLE[0]},{day}\n" for day in days))
    staged = stage(office, path)
    assert (staged.new, staged.people) == (9, 1)
    assert office.epidemic.preview(staged.number) == Preview({("green", "yellow"): 1}, 0)
    office.epidemic.put_in_force(staged.number, OFFICER)
    settle(office, 1)
    row = office.epidemic.find(staged.number)
    assert row is not None and changed_of(row) == {("green", "yellow"): 1}
    assert colour(office, resident) is Colour.YELLOW


def test_a_declaration_that_does_not_agree_comes_before_an_officer(office: Office, clock: Clock, write: Write) -> None:
    who = actor(office, "13812345678")
    made = office.households.register(who, entry(typed=PEOPLE[0]))
    assert isinstance(made, Registered)
    assert isinstance(office.checkins.submit(who, made.resident, ReportKind.DECLARATION, "report-1", WELL), Taken)
    clock.at += 60
    staged = stage(office, write(PEOPLE[:2]))
    assert office.epidemic.preview(staged.number) == Preview({("green", "yellow"): 1}, 1)
    office.epidemic.put_in_force(staged.number, OFFICER)
    settle(office)
    with office.store.read() as tx:
        assert tx.execute(text("SELECT kind, why, resident FROM reviews")).all() == [("contradiction", "contact_denied", made.resident)]
    put(office, write(PEOPLE[:1], name="again.csv", days=2))
    assert count(office, "reviews") == 1, "what is before an officer already is not put there twice"


def test_what_an_officer_set_by_hand_before_an_import_came_does_not_undo_it(office: Office, clock: Clock, write: Write) -> None:
    resident = add(office, PEOPLE[0])
    clock.at += 600
    put(office, write(PEOPLE[:1]))
    assert colour(office, resident) is Colour.YELLOW, "the officer did not know of the contact of the day before"
    clock.at += 600
    set_colour(office, resident, Colour.GREEN, HandReason.CORRECTION)
    assert colour(office, resident) is Colour.GREEN, "now they did"
    with office.store.read() as tx:
        contact = next(fact for fact in office.registry.rulings.facts(tx, resident) if isinstance(fact, CloseContact))
    assert contact.heard == clock() - 600


def test_a_case_and_its_end_come_in_their_order(office: Office, clock: Clock, write: Write) -> None:
    resident = add(office, PEOPLE[0])
    clock.at += 60
    put(office, write(PEOPLE[:1], "closed.csv", ",end", ",ruled_out", days=20), EpidemicKind.CASE_CLOSED)
    put(office, write(PEOPLE[:1], "cases.csv", ",category", ",suspected", days=25), EpidemicKind.CASE)
    assert colour(office, resident) is Colour.YELLOW, "ruled out 20 days ago: 14 days red, then 14 yellow"
    put(office, write(PEOPLE[:1], "cases2.csv", ",category", ",confirmed", days=1), EpidemicKind.CASE)
    assert colour(office, resident) is Colour.RED


def test_other_writers_have_their_turn_between_slices(office: Office, write: Write) -> None:
    pauses: list[float] = []
    imports = Epidemic(office.store, office.registry, office.seal, office.now, pauses.append)
    born = [date(1950, 1, 1) + timedelta(days=day) for day in range(2100)]
    staged = imports.stage(write([number(day) for day in born]), plan(office))
    assert isinstance(staged, Staged) and staged.new == 2100
    assert len(pauses) == 3 and all(pauses)


def test_the_audit_log_tells_of_an_import_its_withdrawal_and_each_colour(office: Office, write: Write) -> None:
    resident = add(office, PEOPLE[0])
    staged = put(office, write(PEOPLE[:2]))
    assert office.epidemic.withdraw(staged.number, OFFICER, "错误的文件") is None
    settle(office)
    with office.store.read() as tx:
        told = tx.execute(
            text("SELECT account, action, subject FROM audit WHERE action IN ('imported', 'import.withdrawn', 'colour') ORDER BY entry")
        ).all()
        assert isinstance(audit.verify(tx), audit.Sound)
    number, who = f"import/{staged.number}", f"resident/{resident}"
    assert [tuple(row) for row in told[1:]] == [  # before them: pending to green, by the officer who added them
        ("anna", "imported", number),
        ("", "colour", who),
        ("anna", "import.withdrawn", number),
        ("", "colour", who),
    ]


def test_nothing_of_a_number_is_in_the_database(office: Office, write: Write) -> None:
    put(office, write(PEOPLE))
    held = b""
    with office.store.read() as tx:
        for table in inspect(tx).get_table_names():
            for row in tx.execute(text(f"SELECT * FROM {table}")):
                held += b" ".join(bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row)
    assert b"close_contact" in held and not any(who.encode() in held or who[6:14].encode() in held for who in PEOPLE)


def declared_well(office: Office, names: list[str]) -> list[str]:
    """Residents who have declared that they are well and know of no contact."""
    found = []
    for place, who in enumerate(names):
        account = actor(office, f"1380013{place:04}")
        made = office.households.register(account, entry("self", "居民", who))
        assert isinstance(made, Registered), made
        assert isinstance(office.checkins.submit(account, made.resident, ReportKind.DECLARATION, "report-1", WELL), Taken)
        found.append(made.resident)
    return found


def test_contradictions_of_an_import_wait_together_and_one_word_closes_them(office: Office, clock: Clock, write: Write) -> None:
    """Of five who declared no contact the import turns four; the fifth is silenced by an officer's word of later: that one is looked at."""
    people = declared_well(office, PEOPLE[:5])
    clock.at += 60
    staged = put(office, write(PEOPLE[:5]))
    clock.at += 60
    set_colour(office, people[4], Colour.GREEN, HandReason.CORRECTION)
    assert office.reviews.count(OFFICER) == {}
    assert office.reviews.queue(OFFICER, 10) == [], "nothing of the import drowns what waits one by one"
    (line,) = office.reviews.groups(OFFICER)  # type: ignore[misc]
    assert (line.number, line.why, line.people, line.kind) == (staged.number, "contact_denied", 5, "close_contact")
    group = office.reviews.group(OFFICER, staged.number, "contact_denied")
    assert isinstance(group, Group) and (group.turned, group.colours) == (4, {"green": 1, "yellow": 4})
    before = [colour(office, who) for who in people]
    heard: list[int] = []
    assert office.reviews.let_stand(OFFICER, staged.number, "contact_denied", ReviewReason.CLINIC_ASKED, heard.append) == 4
    assert heard == [4]
    assert [colour(office, who) for who in people] == before, "nobody's colour changes by it"
    (left,) = office.reviews.members(OFFICER, staged.number, "contact_denied", 10, turned=False)  # type: ignore[misc]
    assert left.resident == people[4]
    assert office.reviews.decide(OFFICER, left.review, Decision.CLOSE, ReviewReason.DATA_MISTAKEN) is None
    assert office.reviews.groups(OFFICER) == []
    with office.store.read() as tx:
        (entry_,) = log.list_newest(tx, 5, action=Action.REVIEWS_CLOSED.value)
    assert (entry_.subject, entry_.account, entry_.role) == (f"import/{staged.number}", "anna", "officer")
    assert json.loads(entry_.detail) == {"kind": "contradiction", "why": "contact_denied", "reviews": 4, "reason": "clinic_asked"}


def test_many_are_closed_in_slices(office: Office, clock: Clock, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reviews_of_server, "CLOSED_AT_ONCE", 2)
    declared_well(office, PEOPLE[:5])
    clock.at += 60
    number_ = put(office, write(PEOPLE[:5])).number
    heard: list[int] = []
    assert office.reviews.let_stand(OFFICER, number_, "contact_denied", ReviewReason.CLINIC_ASKED, heard.append) == 5
    assert heard == [2, 4, 5]
    assert isinstance(office.reviews.let_stand(OFFICER, number_, "contact_denied", ReviewReason.CLINIC_ASKED), NoReview)


def test_what_an_import_put_before_officers_goes_with_it(office: Office, clock: Clock, write: Write) -> None:
    declared_well(office, PEOPLE[:2])
    clock.at += 60
    staged = put(office, write(PEOPLE[:2]))
    assert len(office.reviews.groups(OFFICER)) == 1  # type: ignore[arg-type]
    assert office.epidemic.withdraw(staged.number, OFFICER, "wrong town") is None
    settle(office)
    assert office.reviews.groups(OFFICER) == []
    with office.store.read() as tx:
        found = tx.execute(text("SELECT DISTINCT state, decided_by, decided_why FROM reviews")).all()
    assert found == [("closed", "rule", "data_mistaken")]


def test_nobody_but_officers_lets_an_import_stand(office: Office, clock: Clock, write: Write) -> None:
    declared_well(office, PEOPLE[:1])
    clock.at += 60
    number_ = put(office, write(PEOPLE[:1])).number
    for role in (Role.OPERATOR, Role.AUDITOR, Role.RESIDENT):
        somebody = Actor("him", role)
        assert isinstance(office.reviews.let_stand(somebody, number_, "contact_denied", ReviewReason.NO_RISK), Refused)
        assert isinstance(office.reviews.groups(somebody), Refused)


def test_a_positive_test_of_which_the_policy_has_people_look_first_waits_for_them(town: Town, clock: Clock, write: Write) -> None:
    (town.folder / "policy.toml").write_text('version = 2\n[case]\npositive_test = "review"\n')
    office = open_office(town.config('policy = "policy.toml"'), clock, CAPACITY)
    who = add(office, PEOPLE[0])
    put(office, write(PEOPLE[:1], header=",outcome", cells=",positive"), EpidemicKind.TEST_RESULT)
    assert colour(office, who) is Colour.GREEN
    assert [(row.why, row.people) for row in office.reviews.groups(OFFICER)] == [("test_positive", 1)]  # type: ignore[union-attr]
    office.store.close()


def test_the_log_says_whom_an_import_turned_and_what_it_was(office: Office, clock: Clock, write: Write) -> None:
    first, second = (add(office, who) for who in PEOPLE[:2])
    clock.at += 60
    staged = put(office, write(PEOPLE[:3]))
    late = add(office, PEOPLE[2])
    with office.store.read() as tx:
        for who in (first, second):
            turned, *_ = log.list_newest(tx, 10, subject=f"resident/{who}", action=Action.COLOUR.value)
            assert json.loads(turned.detail)["import"] == staged.number
        (imported,) = log.list_newest(tx, 10, action=Action.IMPORTED.value)
        detail = json.loads(imported.detail)
        assert (imported.subject, imported.account, detail["rows"]) == (f"import/{staged.number}", "anna", 3)
        for who in (first, second, late):
            ((row, facts),) = epidemic.list_telling(tx, who)
            assert (row.number, facts, audit.in_groups(row.digest)) == (staged.number, 1, detail["digest"])
        assert audit.is_word(detail["digest"]) and bytes.fromhex(detail["digest"].replace("-", "")) == row.digest
    office.epidemic.withdraw(staged.number, OFFICER, "wrong town")
    settle(office)
    with office.store.read() as tx:
        back, *_ = log.list_newest(tx, 10, subject=f"resident/{first}", action=Action.COLOUR.value)
        ((row, _),) = epidemic.list_telling(tx, first)
    assert json.loads(back.detail)["import"] == staged.number
    assert row.withdrawn_by == "officer anna", "who wants to know why they were yellow finds it still"
