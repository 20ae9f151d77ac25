"""Today's check-in in one step for who is well; what is different is asked question by question (server.web.portal_reports)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from server.charges import Refused
from server.checkins import NotTaken, ReportKind, Taken
from server.declarations import NO, NONE, Field
from server.facts import Isolating
from server.faults import Faults
from server.identity import mask_name
from server.web import residents
from server.web.faulty import Shown, tell
from server.web.forms import Form
from server.web.pages import show
from server.web.portal_reports import CHECK_IN, Said, show_taken
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, Seen, Visitor

House = Annotated[Services, Depends(services_of)]


def add_routes(router: APIRouter) -> None:
    """The page and its form; before those of single questions, whose addresses begin alike."""
    router.add_api_route("/check-in", check_in_page)
    router.add_api_route("/check-in/well", check_in_well, methods=["POST"])


def check_in_page(request: Request, services: House, visitor: Seen, session: ResidentSession, who: str = "") -> Response:
    """Today's check-in: one step for who is well."""
    return _show_check_in(request, services, visitor, session, who, {}, [])


def check_in_well(request: Request, services: House, visitor: Seen, session: ResidentSession, form: Form, who: str = "") -> Response:
    """Checks in somebody who is well: no symptom, no contact, no isolation."""
    members = residents.find_members(services, session.actor)
    member = residents.choose(members, who)
    answers: Said = {Field.SYMPTOMS.value: [NONE], Field.CONTACT.value: NO, Field.ISOLATION.value: Isolating.NONE.value}
    typed = form.text(Field.TEMPERATURE.value)
    if typed:
        answers[Field.TEMPERATURE.value] = typed
    outcome = services.office.checkins.submit(session.actor, member.resident, ReportKind.CHECK_IN, form.text("submission"), answers)
    match outcome:
        case Taken():
            return show_taken(request, services, visitor, members, member, outcome, CHECK_IN)
        case Faults() | NotTaken() | Refused():
            return _show_check_in(request, services, visitor, session, who, {Field.TEMPERATURE.value: typed}, tell(outcome))


def _show_check_in(
    request: Request,
    services: Services,
    visitor: Visitor,
    session: ResidentSession,
    who: str,
    said: Mapping[str, str],
    faults: list[Shown],
) -> Response:
    members = residents.find_members(services, session.actor)
    if not members:
        return RedirectResponse("/family", 303)
    member = residents.choose(members, who)
    shown = [residents.show_member(services, visitor.words, each) for each in members]
    if next(each for each in shown if each.resident == member.resident).needs_declaration:
        return RedirectResponse(f"/declare?who={member.resident}", 303)
    return show(
        request,
        "check_in.html",
        422 if faults else 200,
        members=shown,
        who=member.resident,
        name=mask_name(member.person.name),
        said=said,
        faults=faults,
        submission=secrets.token_urlsafe(16),
        room="check_in",
    )
