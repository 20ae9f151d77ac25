"""Names, numbers and telephones are in no log at any level, and in the database's files only sealed."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

import pytest

from server.actors import BY_RULES, Role
from server.charges import ClaimWaits, Registered
from server.checkins import ReportKind, Taken
from server.corrections import NumberReason
from server.drafts import DraftKind
from server.facts import CloseContact
from server.four_eyes import ProposalFault
from server.four_eyes import Refused as NotProposed
from server.handovers import Purpose
from server.identity import mask_number
from server.persons import Person
from server.proposals import Proposal
from server.reviews import Decision, ReviewReason
from tests.server.family import actor, entry, number, put_right
from tests.server.office import Clock, Town

MOTHER, CHILD, OTHER = number(date(1985, 2, 3), 2), number(date(2008, 6, 1), 11), number(date(1941, 1, 9), 4)
PROPOSED = number(date(1978, 11, 23), 5)
PHONES = ("13700137001", "13700137002", "13700137003")
NAMES = ("慕容晓月", "慕容小星", "Winifred Quillfeather", "慕容大海")
PASSPORT = "Q7654321"
PERSONAL = (MOTHER, CHILD, OTHER, PROPOSED, *PHONES, *NAMES, "慕容", "Quillfeather", PASSPORT, MOTHER[6:14], CHILD[6:14])
ANSWERS = {
    "symptoms": ["none"],
    "temperature": "36.8",
    "contact": "no",
    "travel": ["none"],
    "isolation": "none",
    "district": "420106",
}


def live(town: Town, clock: Clock) -> None:
    """Everything that can be done with people, with right and with wrong entries."""
    office = town.open(clock)
    mother, grown, officer = (
        actor(office, name, role) for name, role in zip(PHONES, (Role.RESIDENT, Role.RESIDENT, Role.OFFICER), strict=True)
    )
    own = office.households.register(mother, entry("self", NAMES[0], MOTHER))
    child = office.households.register(mother, entry("child", NAMES[1], CHILD))
    guest = office.households.register(mother, entry("other", NAMES[2], PASSPORT, paper="passport", state="GBR", born="1990-05-01"))
    assert isinstance(own, Registered) and isinstance(child, Registered) and isinstance(guest, Registered)
    for wrong in ({"number": MOTHER[:17] + "z"}, {"name": f"{NAMES[0]}<script>"}, {"number": CHILD}):
        office.households.register(mother, {**entry("other", NAMES[0], MOTHER), **wrong})
    office.households.edit(mother, guest.resident, {"phone": PHONES[1], "district": "moon"})
    office.households.edit(mother, guest.resident, {"phone": PHONES[1]})
    waits = office.number_proposals.propose(officer, guest.resident, {"paper": "citizen", "number": MOTHER}, NumberReason.OTHER_PAPER)
    assert isinstance(waits, NotProposed) and waits.fault is ProposalFault.NUMBER_KNOWN
    office.households.edit(mother, guest.resident, {"name": NAMES[3]})
    put_right(office, guest.resident, OTHER)
    typed = {"paper": "citizen", "number": PROPOSED}
    office.number_proposals.preview(officer, guest.resident, typed)
    waits = office.number_proposals.propose(officer, guest.resident, typed, NumberReason.REISSUED)
    assert isinstance(waits, Proposal)
    office.proposals.look(officer, waits.number, shows=True)
    office.drafts.save(mother, DraftKind.REGISTRATION, "", {"name": NAMES[3], "number": OTHER})
    office.drafts.load(mother, DraftKind.REGISTRATION)
    with office.store.write() as tx:
        office.registry.record(tx, child.resident, CloseContact(clock() - 86_400, "clinic"), clock(), BY_RULES)
    answers = {**ANSWERS, "phone": PHONES[0]}
    for resident in (own.resident, child.resident):
        assert isinstance(office.checkins.submit(mother, resident, ReportKind.DECLARATION, f"report-{resident}", answers), Taken)
    office.checkins.submit(mother, own.resident, ReportKind.DECLARATION, "report-wrong", {**answers, "phone": f"{PHONES[2]}9"})
    office.checkins.correct(mother, own.resident, "report-right", answers)
    claim = office.households.register(grown, entry("self", NAMES[1], CHILD[:6] + "-" + CHILD[6:]))
    if isinstance(claim, ClaimWaits):
        office.handovers.claims_on(mother)
        office.handovers.confirm(mother, claim.claim, is_theirs=False)
        office.handovers.decide(officer, claim.claim, is_granted=True)
    code = office.handovers.offer(mother, guest.resident, Purpose.SHARE)
    assert isinstance(code, str)
    office.handovers.accept(grown, code, entry("other", NAMES[3], OTHER))
    office.registry.add(Person(NAMES[2], MOTHER, PHONES[0]))
    waiting = office.reviews.waiting(officer)
    assert isinstance(waiting, list)
    for review in waiting:
        office.reviews.decide(officer, review.review, Decision.CLOSE, ReviewReason.PERSON_ASKED)
    assert {member.person.name for member in office.households.members(mother)} == {NAMES[0], NAMES[3]}
    office.registry.list_residents()
    office.store.close()


def test_no_log_names_anybody(town: Town, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for logger in ("", "sqlalchemy", "server"):
        caplog.set_level(logging.DEBUG, logger)
    clock.at = 1_700_000_000.5
    live(town, clock)
    written = caplog.text
    assert "INSERT INTO charges" in written and "INSERT INTO submissions" in written
    assert [word for word in PERSONAL if word in written] == []
    assert mask_number(MOTHER) not in written


@pytest.mark.sqlite
def test_the_database_names_nobody(town: Town, clock: Clock) -> None:
    live(town, clock)
    held = b"".join(path.read_bytes() for path in sorted(Path(town.folder / "data").rglob("*")) if path.is_file())
    assert b"420106" in held and b"number_claimed" in held
    assert [word for word in PERSONAL if word.encode() in held] == []
