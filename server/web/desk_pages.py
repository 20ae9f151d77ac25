"""What the desk's pages share: which rooms a role sees, and a page in the desk's frame."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import HTMLResponse

from server.sessions import Session
from server.web.desk_rules import RULES, may
from server.web.pages import show

ROOMS = {
    "first": "/desk",
    "queue": "/desk/queue",
    "people": "/desk/people",
    "approvals": "/desk/approvals",
    "appeals": "/desk/appeals",
    "imports": "/desk/imports",
    "policy": "/desk/policy",
    "audit": "/desk/audit",
    "numbers": "/desk/numbers",
    "fleet": "/desk/fleet",
}
"""The rooms in the order in which they are shown; sentences desk.room.{name}."""


def show_desk(request: Request, session: Session, template: str, room: str, status: int = 200, **context: object) -> HTMLResponse:
    """A page of the desk for who is signed in."""
    role = session.actor.role
    rooms = {name: path for name, path in ROOMS.items() if ("GET", path) in RULES and may(role, "GET", path)}
    return show(request, template, status, rooms=rooms, room=room, **context)
