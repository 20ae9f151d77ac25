"""Rules that were proposed: what they would do, who proposed them, and a second person's yes or no."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.actors import Role
from server.four_eyes import Refused
from server.web.desk_pages import show_desk
from server.web.desk_policy import PATH, compare, delay_hours
from server.web.desk_rules import StaffSession, add
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
NO_NUMBER = 16
"""Digits that no number of a proposal has."""


def add_routes(router: APIRouter) -> None:
    """One proposal, and what is decided about it."""
    add(router, "GET", PATH + "/proposals/{number}", proposal_page)
    add(router, "POST", PATH + "/proposals/{number}", decide)


def proposal_page(request: Request, services: House, session: StaffSession, number: str) -> Response:
    """Proposed rules: what differs, what the trial said, and what can be done with them."""
    return _show(request, services, session, number, [])


def decide(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, number: str) -> Response:
    """Approves, refuses, withdraws or undoes."""
    book = services.office.policies
    ways = {"approve": book.approve, "refuse": book.refuse, "withdraw": book.withdraw, "revoke": book.revoke}
    way = ways.get(form.text("do"))
    if way is None:
        raise HTTPException(400)
    outcome = way(session.actor, _number(number))
    if isinstance(outcome, Refused):
        return _show(request, services, session, number, [_fault(visitor.words, outcome)])
    return RedirectResponse(f"{PATH}/proposals/{number}", 303)


def _fault(words: Words, refused: Refused) -> Shown:
    params = dict(refused.params)
    if "state" in params:
        params["state"] = words(f"approvals.state.{params['state']}")
    return Shown("", refused.key, params)


def _show(request: Request, services: Services, session: StaffSession, number: str, faults: list[Shown]) -> Response:
    found = services.office.policies.find(_number(number))
    if found is None:
        raise HTTPException(404)
    return show_desk(
        request,
        session,
        "desk_policy_proposal.html",
        "policy",
        status=422 if faults else 200,
        row=found,
        changes=[((before, after), people) for before, after, people in found.changes],
        differs=compare(services, found.policy),
        hours=delay_hours(services),
        is_own=found.by.account == session.actor.account,
        is_approver=session.actor.role is Role.APPROVER,
        faults=faults,
    )


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) >= NO_NUMBER:
        raise HTTPException(404)
    return int(text)
