"""Accounts that cost nothing, and people with made-up numbers that are right."""

from __future__ import annotations

from datetime import date

from server.accounts import Account, Accounts
from server.actors import Actor, Role
from server.corrections import NumberReason
from server.four_eyes import ProposalState
from server.identity import check_character
from server.office import Office
from server.passwords import Cost, Passwords
from server.proposals import Proposal

PASSWORD = "three blue herons"


def number(born: date = date(1980, 5, 1), sequence: int = 1, region: str = "420106") -> str:
    """A citizen's number with the right check character. Nobody has it: sequences are counted by the tests."""
    first = f"{region}{born:%Y%m%d}{sequence:03}"
    return first + check_character(first)


def actor(office: Office, name: str, role: Role = Role.RESIDENT) -> Actor:
    """A new account."""
    added = Accounts(office.store, office.seal, office.now, Passwords(Cost(1, 64, 1))).add(name, PASSWORD, role)
    assert isinstance(added, Account), added
    return added.actor


def entry(relation: str = "self", name: str = "居民甲", typed: str | None = None, **more: str) -> dict[str, str]:
    """A registration as it comes from a form."""
    return {"relation": relation, "name": name, "paper": "citizen", "number": typed if typed is not None else number(), **more}


def put_right(office: Office, resident: str, typed: str, **more: str) -> Proposal:
    """Another number for a person, proposed by one officer and approved by another."""
    asked = {"paper": "citizen", "number": typed, **more}
    made = office.number_proposals.propose(Actor("li", Role.OFFICER), resident, asked, NumberReason.MISTYPED)
    assert isinstance(made, Proposal), made
    agreed = office.proposals.approve(Actor("wang", Role.APPROVER), made.number)
    assert isinstance(agreed, Proposal) and agreed.state is ProposalState.IN_FORCE, agreed
    return agreed
