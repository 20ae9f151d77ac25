"""Declarations, check-ins and corrections. The idempotency key is the report's id: one transaction takes the report and remembers it."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from healthcode.messages import stamp
from server.apps import Scope
from server.charges import Refused
from server.checkins import NotTaken, ReportFault, ReportKind, Taken
from server.faults import Faults
from server.identity import day_of, start_of
from server.web.api.callers import Call, Key, acting, answer
from server.web.api.models import Report, ReportTaken
from server.web.api.people import Who, refusal
from server.web.api.problems import Problem, ProblemFound, responses

Reporting = Annotated[Call, Depends(acting(Scope.REPORT))]
DAY_S = 86_400


def add_routes(router: APIRouter) -> None:
    """Every route of this module."""
    for path, function, summary in (
        ("declarations", declare, "Send a declaration: with it a code is asked for"),
        ("check-ins", check_in, "Send the daily check-in"),
        ("corrections", correct, "Replace the newest report, once a day; it asks what that one asked"),
    ):
        router.add_api_route(
            f"/people/{{person}}/members/{{resident}}/{path}",
            function,
            methods=["POST"],
            tags=["reports"],
            summary=summary,
            status_code=201,
            response_model=ReportTaken,
            responses=responses(Problem.NOT_FOUND, Problem.INVALID, Problem.KEY_REUSED, Problem.REFUSED),
            openapi_extra={"security": [{"app": ["report"]}]},
        )


def declare(call: Reporting, resident: Who, key: Key, asked: Report) -> Response:
    """Everything is asked."""
    return _send(call, resident, ReportKind.DECLARATION, key, asked)


def check_in(call: Reporting, resident: Who, key: Key, asked: Report) -> Response:
    """Travel, district and telephone are not asked."""
    return _send(call, resident, ReportKind.CHECK_IN, key, asked)


def correct(call: Reporting, resident: Who, key: Key, asked: Report) -> Response:
    """The report of the last 24 hours was wrong."""
    return _send(call, resident, None, key, asked)


def _send(call: Call, resident: str, kind: ReportKind | None, key: str, asked: Report) -> Response:
    checkins, submission, answers = call.services.office.checkins, key.strip('"'), asked.model_dump(exclude_none=True)
    if kind is None:
        outcome = checkins.correct(call.actor, resident, submission, answers)
    else:
        outcome = checkins.submit(call.actor, resident, kind, submission, answers)
    match outcome:
        case Taken():
            return answer(ReportTaken(taken_at=stamp(outcome.at)), 201, {"idempotency-replayed": "true"} if outcome.is_again else None)
        case NotTaken(ReportFault.ID_USED):
            raise ProblemFound(Problem.KEY_REUSED, reason=outcome)
        case NotTaken(ReportFault.TOO_OFTEN):
            at = call.services.office.now()
            raise ProblemFound(Problem.TOO_MANY, reason=outcome, headers={"retry-after": str(ceil(start_of(day_of(at)) + DAY_S - at))})
        case NotTaken():
            raise ProblemFound(Problem.REFUSED, reason=outcome)
        case Faults() | Refused():
            raise refusal(outcome)
