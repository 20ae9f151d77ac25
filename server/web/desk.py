"""The officers' desk: its router, its first page, and what all its pages have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from server.web import (
    desk_appeals,
    desk_approvals,
    desk_audit,
    desk_fleet,
    desk_groups,
    desk_imports,
    desk_number,
    desk_numbers,
    desk_people,
    desk_policy,
    desk_policy_proposals,
    desk_queue,
)
from server.web.desk_pages import show_desk
from server.web.desk_rules import StaffSession, add
from server.web.services import Services, services_of

House = Annotated[Services, Depends(services_of)]


def make_router() -> APIRouter:
    """The router of all pages of the desk."""
    router = APIRouter(include_in_schema=False)
    add(router, "GET", "/desk", first_page)
    deciding = (desk_queue, desk_groups, desk_people, desk_number, desk_approvals, desk_appeals)
    for room in (*deciding, desk_imports, desk_policy, desk_policy_proposals, desk_audit, desk_numbers, desk_fleet):
        room.add_routes(router)
    return router


def first_page(request: Request, services: House, session: StaffSession) -> Response:
    """What waits for whom, and where everything is."""
    waiting = services.office.reviews.count(session.actor)
    groups = services.office.reviews.groups(session.actor)
    counts = {"queue": sum(waiting.values()) + len(groups)} if isinstance(waiting, dict) and isinstance(groups, list) else {}
    return show_desk(request, session, "desk_first.html", "first", counts=counts)
