"""Closing one's account: what ends and what stays is said first, and the password is asked."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from server.accounts import AccountFault
from server.accounts import Refused as NotProved
from server.enrolment import Relation
from server.identity import mask_name
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.pages import show
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, end

House = Annotated[Services, Depends(services_of)]
PATH = "/account/close"


def add_routes(router: APIRouter) -> None:
    """The page, and its button."""
    router.add_api_route(PATH, closing_page)
    router.add_api_route(PATH, close, methods=["POST"])


def closing_page(request: Request, services: House, session: ResidentSession) -> Response:
    """Says what ends and what stays."""
    return _ask(request, services, session, [])


def close(request: Request, services: House, session: ResidentSession, form: Form) -> Response:
    """Closes the account; the browser forgets its codes."""
    office = services.office
    refused = office.closing.close(office.sessions, session.actor, form.text("password"))
    if refused is None:
        answer = RedirectResponse("/?closed=yes", 303)
        end(services, answer)
        return answer
    if not isinstance(refused, NotProved):
        return _ask(request, services, session, [Shown("", refused.key, refused.params)])
    if refused.fault is AccountFault.WAIT:
        fault = Shown("password", "account.wait_minutes", {"n": ceil(refused.wait_s / 60)})
        return _ask(request, services, session, [fault], 429)
    return _ask(request, services, session, [Shown("password", "close.wrong")])


def _ask(request: Request, services: Services, session: ResidentSession, faults: list[Shown], status: int = 422) -> Response:
    left = services.office.closing.foresee(session.actor)
    return show(
        request,
        "close.html",
        status if faults else 200,
        faults=faults,
        forgets_phone=any(each.relation is Relation.SELF and not each.others for each in left),
        own=next((mask_name(each.person.name) for each in left if each.relation is Relation.SELF), ""),
        alone=[(each.resident, mask_name(each.person.name)) for each in left if each.relation is not Relation.SELF and not each.others],
        others=[mask_name(each.person.name) for each in left if each.relation is not Relation.SELF and each.others],
        days=services.office.config.privacy.passes_days,
        who="",
        room="family",
    )
