"""The log that cannot be rewritten unseen: what is in it, what the database refuses, and every way of changing it that is found."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from healthcode import topics
from healthcode.messages import AuditHead
from healthcode.signed import Signed, read
from healthcode.terms import Colour, Use
from server import audit
from server.actors import AT_CONSOLE, BY_GATE, Actor, Role
from server.audit import Action, Broken, Sound
from server.audit_heads import AuditHeads
from server.facts import HandReason
from server.office import Office
from server.persons import Person
from server.store import audit as rows
from tests.server.family import actor
from tests.server.office import ISSUER, Clock, Town, set_colour

OFFICER = Actor("zhang23456", Role.OFFICER)


def write(office: Office, count: int) -> None:
    """So many entries, each in a transaction of its own."""
    for number in range(count):
        with office.store.write() as tx:
            audit.append(tx, OFFICER, Action.RESIDENT_VIEWED, audit.about("resident", f"abc{number}"), {"part": "facts"}, office.now())


def verify(office: Office, *heads: AuditHead) -> Sound | Broken:
    with office.store.read() as tx:
        return audit.verify(tx, heads)


def heads(office: Office, town: Town) -> AuditHeads:
    return AuditHeads(office.store, lambda: town.keys[Use.ACK], ISSUER, office.now)


def published(town: Town, office: Office, maker: AuditHeads, at: float) -> AuditHead:
    (said,) = maker.due(at)
    assert said.retain
    assert said.topic == topics.audit_topic(ISSUER)
    found = read(said.payload, AuditHead, town.ring(), office.now())
    assert isinstance(found, Signed)
    return found.message


def past_the_triggers(change: Callable[[Connection], Any]) -> Callable[[Office], None]:
    """What somebody can do who may do anything in the database."""

    def do(office: Office) -> None:
        with office.store.write() as tx:
            if tx.dialect.name == "postgresql":
                off = [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in ("audit", "audit_heads")]
                on = [statement.replace("DISABLE", "ENABLE") for statement in off]
            else:
                kept = tx.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
                off, on = [f"DROP TRIGGER {name}" for name, _ in kept], [sql for _, sql in kept]
            execute(*off)(tx)
            change(tx)
            execute(*on)(tx)

    return do


def execute(*statements: str) -> Callable[[Connection], None]:
    def change(tx: Connection) -> None:
        for statement in statements:
            tx.exec_driver_sql(statement)

    return change


def chain_anew(tx: Connection) -> None:
    """Computes every digest and the end of the log anew, as who wrote this program can."""
    digest = rows.GENESIS
    number = 0
    for number, row in enumerate(rows.list_after(tx, 0, 1000), start=1):
        told = (number, *row.said[1:])
        digest = hashlib.sha256(digest + json.dumps(told, separators=(",", ":")).encode()).digest()
        tx.execute(text("UPDATE audit SET entry = :n, digest = :d WHERE entry = :e"), {"n": number, "d": digest, "e": row.entry})
    tx.execute(text("UPDATE audit_tip SET entry = :n, digest = :d"), {"n": number, "d": digest.hex()})


def test_the_database_refuses_to_change_and_to_delete(office: Office) -> None:
    write(office, 2)
    for statement in (
        "UPDATE audit SET account = 'somebody else' WHERE entry = 1",
        "DELETE FROM audit WHERE entry = 2",
        "DELETE FROM audit",
        "UPDATE audit_heads SET entry = 0",
        "DELETE FROM audit_heads",
    ):
        if "heads" in statement:
            with office.store.write() as tx:
                rows.insert_head(tx, rows.HeadRow(1, hash(statement) % 10**9, b"x"))
        with pytest.raises(DatabaseError, match="append-only"), office.store.write() as tx:
            tx.exec_driver_sql(statement)
    assert isinstance(verify(office), Sound)


FOUND = [
    ("a rewritten account", execute("UPDATE audit SET account = 'li' WHERE entry = 5"), 5, "digest"),
    ("a rewritten reason", execute("UPDATE audit SET detail = '{}' WHERE entry = 9"), 9, "digest"),
    ("another time", execute("UPDATE audit SET at_ms = at_ms + 1 WHERE entry = 1"), 1, "digest"),
    ("a dropped entry", execute("DELETE FROM audit WHERE entry = 6"), 6, "entry 6 is missing"),
    ("a dropped beginning", execute("DELETE FROM audit WHERE entry < 4"), 1, "entry 1 is missing"),
    (
        "two entries swapped",
        execute(
            "UPDATE audit SET entry = 99 WHERE entry = 3",
            "UPDATE audit SET entry = 3 WHERE entry = 7",
            "UPDATE audit SET entry = 7 WHERE entry = 99",
        ),
        3,
        "not in its place",
    ),
    ("a dropped tail", execute("DELETE FROM audit WHERE entry > 10"), 11, "ends with entry 10: expected entry 12"),
    ("the log emptied", execute("DELETE FROM audit"), 1, "ends with entry 0"),
    (
        "a forged entry",
        execute("INSERT INTO audit SELECT 13, at_ms, account, role, action, subject, detail, digest FROM audit WHERE entry = 12"),
        13,
        "digest",
    ),
]


@pytest.mark.parametrize(("change", "entry", "words"), [case[1:] for case in FOUND], ids=[case[0] for case in FOUND])
def test_every_change_is_found_and_named(office: Office, change: Callable[[Connection], None], entry: int, words: str) -> None:
    with office.store.read() as tx:
        before = rows.find_tip(tx).entry
    write(office, 12 - before)
    assert isinstance(verify(office), Sound)
    past_the_triggers(change)(office)
    found = verify(office)
    assert isinstance(found, Broken)
    assert found.entry == entry
    assert words in found.why


REWRITTEN = [
    ("a reason", execute("UPDATE audit SET detail = '{}' WHERE entry = 5"), "the log was rewritten"),
    ("left out", execute("DELETE FROM audit WHERE entry = 5"), "the log was rewritten"),
    ("cut short", execute("DELETE FROM audit WHERE entry > 5"), "entries 6 to"),
    ("emptied", execute("DELETE FROM audit"), "entries 1 to"),
]


@pytest.mark.parametrize(("change", "words"), [case[1:] for case in REWRITTEN], ids=[case[0] for case in REWRITTEN])
def test_a_log_that_was_chained_anew_contradicts_the_head_that_somebody_kept(
    office: Office, town: Town, change: Callable[[Connection], None], words: str
) -> None:
    write(office, 12)
    kept = published(town, office, heads(office, town), 0.0)
    write(office, 1)

    def change_and_chain(tx: Connection) -> None:
        change(tx)
        chain_anew(tx)

    past_the_triggers(change_and_chain)(office)
    assert isinstance(verify(office), Sound)
    found = verify(office, kept)
    assert isinstance(found, Broken)
    assert words in found.why


def test_missing_triggers_are_told(office: Office) -> None:
    with office.store.write() as tx:
        tx.exec_driver_sql(f"DROP TRIGGER audit_no_delete{' ON audit' if tx.dialect.name == 'postgresql' else ''}")
    assert verify(office) == Broken(0, "the triggers that refuse changes to the log are missing")


def test_a_head_a_day_and_again_for_a_broker_that_forgot(office: Office, town: Town, clock: Clock) -> None:
    maker = heads(office, town)
    write(office, 3)
    first = published(town, office, maker, 0.0)
    assert maker.due(1.0) == []
    assert maker.due(100.0) == []
    write(office, 2)
    maker.again()
    assert published(town, office, maker, 101.0) == first
    clock.at += 86_400
    second = published(town, office, maker, 200.0)
    assert second.entry == first.entry + 2
    assert published(town, office, heads(office, town), 0.0) == second
    found = verify(office, first, second)
    assert isinstance(found, Sound)
    assert found.heads == 2


def test_a_head_by_another_key_or_of_another_issuer_counts_nowhere(office: Office, town: Town) -> None:
    for key, issuer in ((town.keys[Use.LIST], ISSUER), (town.keys[Use.ACK], "CN-HN")):
        (said,) = AuditHeads(office.store, lambda key=key: key, issuer, office.now).due(0.0)  # type: ignore[misc]
        assert not isinstance(read(said.payload, AuditHead, town.ring(), office.now()), Signed)
        past_the_triggers(execute("DELETE FROM audit_heads"))(office)


def test_what_happens_to_a_resident_is_told_by_account_and_role_and_nothing_personal(office: Office) -> None:
    resident = office.registry.add(Person("张三丰", "420106199001011234", "13800000000"), who=OFFICER)
    assert not isinstance(resident, audit.Broken)
    name = getattr(resident, "resident", "")
    set_colour(office, name, Colour.RED, HandReason.CONFIRMED)
    with office.store.read() as tx:
        told = rows.list_newest(tx, 10, subject=f"resident/{name}")
    assert [(row.action, row.account, row.role) for row in reversed(told)] == [
        ("resident.added", "zhang23456", "officer"),
        ("fact", "zhang23456", "officer"),
        ("colour", "", "rule"),
        ("fact", "", "console"),
        ("colour", "", "rule"),
    ]
    assert json.loads(told[0].detail) == {"from": "green", "policy": 1, "reason": "set_by_hand", "to": "red"}
    for row in told:
        assert not {"张", "4201", "1380"} & {part for part in ("张", "4201", "1380") if part in str(row)}


def test_an_entry_and_what_it_tells_of_are_there_together_or_not_at_all(office: Office) -> None:
    before = verify(office)
    with pytest.raises(RuntimeError), office.store.write() as tx:
        office.registry.register(tx, Person("A"), office.now(), OFFICER)
        raise RuntimeError
    assert verify(office) == before
    assert office.registry.list_residents() == []


@pytest.mark.parametrize("wrong", ["张三", "a" * 81, "13800000000", "42010619900101123X", 'x"'])
def test_what_could_be_a_person_is_no_detail(office: Office, wrong: str) -> None:
    with pytest.raises(ValueError, match="expected a word"), office.store.write() as tx:
        audit.append(tx, AT_CONSOLE, Action.FACT, "resident/x", {"reason": wrong}, 0.0)


def test_writers_at_once_keep_the_chain(office: Office) -> None:
    people = [threading.Thread(target=write, args=(office, 25)) for _ in range(4)]
    for thread in people:
        thread.start()
    for thread in people:
        thread.join(60)
    found = verify(office)
    assert isinstance(found, Sound)
    assert found.entries >= 100


def test_who_does_not_hold_the_write_lock_is_stopped(office: Office) -> None:
    with office.store.write() as tx:
        old = rows.find_tip(tx)
        audit.append(tx, BY_GATE, Action.FACT, "resident/x", {}, 0.0)
        with pytest.raises(RuntimeError, match="at once"):
            rows.move_tip(tx, old, rows.Tip(old.entry + 1, bytes(32)))


def test_progress_is_told(office: Office) -> None:
    write(office, 3)
    seen: list[tuple[int, int]] = []
    with office.store.read() as tx:
        found = audit.verify(tx, (), lambda done, whole: seen.append((done, whole)))
    assert isinstance(found, Sound)
    assert seen[-1] == (found.entries, found.entries)


@given(
    st.tuples(st.integers(1, 9), st.integers(), st.text(), st.text(), st.text(), st.text(), st.text()),
    st.tuples(st.integers(1, 9), st.integers(), st.text(), st.text(), st.text(), st.text(), st.text()),
)
def test_different_entries_have_different_digests(
    one: tuple[int, int, str, str, str, str, str], two: tuple[int, int, str, str, str, str, str]
) -> None:
    first, second = (audit.digest_after(each, rows.GENESIS) for each in (one, two))
    assert (first == second) == (one == two)


def test_an_account_and_its_password_leave_a_trace(office: Office) -> None:
    made = actor(office, "officer.li", Role.OFFICER)
    with office.store.read() as tx:
        told = rows.list_newest(tx, 10, subject=f"account/{made.account}")
    assert [(row.action, row.role, row.detail) for row in told] == [("account.added", "console", '{"role":"officer"}')]
