"""The officers' desk: its router, its first page, and what all its pages have in common."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.web import desk_numbers, forms
from server.web.desk_pages import show_desk
from server.web.desk_rules import StaffSession, add


def make_router() -> APIRouter:
    """The router of all pages of the desk."""
    router = forms.make_router()
    add(router, "GET", "/desk", first_page)
    for room in (desk_numbers,):
        room.add_routes(router)
    return router


def first_page(request: Request, session: StaffSession) -> Response:
    """What waits for whom, and where everything is."""
    return show_desk(request, session, "desk_first.html", "first")
