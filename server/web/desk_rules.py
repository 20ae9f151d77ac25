"""Who may do what at the officers' desk: one table. A route that is not in it cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from server.actors import Role
from server.sessions import Session
from server.web.visitors import only

OFFICER, APPROVER, OPERATOR, AUDITOR = Role.OFFICER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR
STAFF = frozenset({OFFICER, APPROVER, OPERATOR, AUDITOR})
DECIDERS = frozenset({OFFICER, APPROVER})
"""Who looks at people and decides about one of them. What an officer proposes an approver approves: never the same person."""

RULES: dict[tuple[str, str], frozenset[Role]] = {
    ("GET", "/desk"): STAFF,
    ("GET", "/desk/numbers"): STAFF,
}
"""(method, path) -> roles."""

StaffSession = Annotated[Session, Depends(only(*STAFF))]


def add(router: APIRouter, method: str, path: str, page: Callable[..., Response]) -> None:
    """A route of the desk, for the roles that the table names; KeyError where it names none."""
    router.add_api_route(path, page, methods=[method], dependencies=[Depends(only(*RULES[(method, path)]))])


def may(role: Role, method: str, path: str) -> bool:
    """Whether a role may do this."""
    return role in RULES[(method, path)]
