"""Who may do what at the officers' desk: one table. A route that is not in it cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from server.actors import Role
from server.sessions import Session
from server.web.forms import take_form
from server.web.visitors import only

OFFICER, APPROVER, OPERATOR, AUDITOR = Role.OFFICER, Role.APPROVER, Role.OPERATOR, Role.AUDITOR
STAFF = frozenset({OFFICER, APPROVER, OPERATOR, AUDITOR})
DECIDERS = frozenset({OFFICER, APPROVER})
"""Who looks at people and decides about one of them. What an officer proposes an approver approves: never the same person."""

WATCHERS = frozenset({OPERATOR, AUDITOR})
"""Who looks at gates; what gates say names nobody."""

RULES: dict[tuple[str, str], frozenset[Role]] = {
    ("GET", "/desk"): STAFF,
    ("GET", "/desk/queue"): DECIDERS,
    ("GET", "/desk/queue/{review}"): DECIDERS,
    ("POST", "/desk/queue/{review}"): DECIDERS,
    ("GET", "/desk/queue/imports/{number}"): DECIDERS,
    ("POST", "/desk/queue/imports/{number}"): DECIDERS,
    ("GET", "/desk/queue/imports/jobs/{job}"): DECIDERS,
    ("GET", "/desk/people"): DECIDERS,
    ("POST", "/desk/people"): DECIDERS,
    ("GET", "/desk/people/{resident}"): DECIDERS,
    ("POST", "/desk/people/{resident}/names"): DECIDERS,
    ("POST", "/desk/people/{resident}/thermometer"): DECIDERS,
    ("GET", "/desk/people/{resident}/reissue"): DECIDERS,
    ("POST", "/desk/people/{resident}/reissue"): DECIDERS,
    ("GET", "/desk/people/{resident}/number"): DECIDERS,
    ("POST", "/desk/people/{resident}/number"): DECIDERS,
    ("GET", "/desk/people/{resident}/propose"): DECIDERS,
    ("POST", "/desk/people/{resident}/propose"): DECIDERS,
    ("GET", "/desk/approvals"): DECIDERS | {AUDITOR},
    ("GET", "/desk/approvals/new"): DECIDERS,
    ("POST", "/desk/approvals/new"): DECIDERS,
    ("GET", "/desk/approvals/{number}"): DECIDERS | {AUDITOR},
    ("POST", "/desk/approvals/{number}"): DECIDERS,
    ("GET", "/desk/appeals"): DECIDERS,
    ("GET", "/desk/appeals/{number}"): DECIDERS,
    ("POST", "/desk/appeals/{number}"): DECIDERS,
    ("GET", "/desk/appeals/{number}/papers/{paper}"): DECIDERS,
    ("GET", "/desk/imports"): frozenset({OPERATOR, AUDITOR}),
    ("POST", "/desk/imports"): frozenset({OPERATOR}),
    ("GET", "/desk/imports/jobs/{job}"): frozenset({OPERATOR}),
    ("POST", "/desk/imports/jobs/{job}"): frozenset({OPERATOR}),
    ("GET", "/desk/imports/{number}"): frozenset({OPERATOR, AUDITOR}),
    ("POST", "/desk/imports/{number}"): frozenset({OPERATOR}),
    ("GET", "/desk/policy"): STAFF,
    ("POST", "/desk/policy"): frozenset({OPERATOR, APPROVER}),
    ("GET", "/desk/policy/jobs/{job}"): frozenset({OPERATOR, APPROVER}),
    ("POST", "/desk/policy/jobs/{job}"): frozenset({OPERATOR, APPROVER}),
    ("GET", "/desk/policy/proposals/{number}"): STAFF,
    ("POST", "/desk/policy/proposals/{number}"): frozenset({OPERATOR, APPROVER}),
    ("GET", "/desk/audit"): frozenset({AUDITOR}),
    ("POST", "/desk/audit"): frozenset({AUDITOR}),
    ("GET", "/desk/audit/jobs/{job}"): frozenset({AUDITOR}),
    ("GET", "/desk/numbers"): STAFF,
    ("GET", "/desk/fleet"): WATCHERS,
    ("GET", "/desk/fleet/live"): WATCHERS,
    ("GET", "/desk/fleet/hours"): WATCHERS,
    ("GET", "/desk/fleet/units/{unit}"): WATCHERS,
    ("GET", "/desk/fleet/units/{unit}/live"): WATCHERS,
}
"""(method, path) -> roles."""

StaffSession = Annotated[Session, Depends(only(*STAFF))]


def add(router: APIRouter, method: str, path: str, page: Callable[..., Response]) -> None:
    """A route of the desk, for the roles that the table names; KeyError where it names none.

    Who may not come here is told so before their form is read: files are large.
    """
    router.add_api_route(path, page, methods=[method], dependencies=[Depends(only(*RULES[(method, path)])), Depends(take_form)])


def may(role: Role, method: str, path: str) -> bool:
    """Whether a role may do this."""
    return role in RULES[(method, path)]
