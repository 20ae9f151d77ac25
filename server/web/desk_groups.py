"""What an import put before officers: a page for each import and contradiction, and one decision for all whom it turned."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.deadlines import DEADLINE_S
from server.reviews import Group, ReviewReason
from server.store.reviews import GroupRow, WaitingRow
from server.web import desk_jobs
from server.web.desk_pages import show_desk
from server.web.desk_places import tell_place
from server.web.desk_rules import StaffSession, add
from server.web.desk_telling import tell_age
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.jobs import Job
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
PATH = "/desk/queue/imports"
KIND = "let_stand"
PAGE = 50
"""People of a page."""
REASONS = (ReviewReason.CLINIC_ASKED, ReviewReason.DECLARATION_MISTAKEN, ReviewReason.PERSON_ASKED, ReviewReason.NO_RISK)
"""On what officers let an import stand for many; data that are mistaken are withdrawn, by an operator."""


def add_routes(router: APIRouter) -> None:
    """A group, the decision for all of it, and how far that is."""
    add(router, "GET", PATH + "/{number}", group_page)
    add(router, "POST", PATH + "/{number}", let_stand)
    add(router, "GET", PATH + "/jobs/{job}", job_page)


def tell_group(words: Words, row: GroupRow, now: float) -> dict[str, object]:
    """A group as the queue shows it."""
    waits = now - row.oldest_ms / 1000
    return {
        "number": row.number,
        "path": _path(row.number, row.why),
        "why": [words(f"review.{word}") for word in row.why.split()],
        "people": row.people,
        "kind": row.kind,
        "file": row.file,
        "source": row.source,
        "since": row.oldest_ms / 1000,
        "age": tell_age(words, waits),
        "is_late": waits > DEADLINE_S,
    }


def group_page(
    request: Request,
    services: House,
    visitor: Seen,
    session: StaffSession,
    number: str,
    why: str = "",
    turned: str = "",
    after: str = "",
) -> Response:
    """How many wait, of which colour they are now, who they are, and one decision for those whom the import turned."""
    return _show(request, services, visitor.words, session, number, why, [], turned=turned == "yes", after=after)


def let_stand(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, number: str, why: str = "") -> Response:
    """Begins to close what waits of all whom the import turned."""
    found = _find(services, session, number, why)
    reason = form.text("reason")
    if reason not in [each.value for each in REASONS]:
        faults = [Shown("reason", "queue.reason_missing")]
        return _show(request, services, visitor.words, session, number, why, faults, turned=False, after="")
    reviews = services.office.reviews

    def work(job: Job) -> object:
        job.enter("closing", max(1, found.turned))
        return reviews.let_stand(session.actor, found.row.number, why, ReviewReason(reason), job.tell)

    job = Job(KIND, session.actor.account, services.office.now(), found.row.file)
    desk_jobs.begin(services, job, work)
    return RedirectResponse(f"{PATH}/jobs/{job.name}", 303)


def job_page(request: Request, services: House, visitor: Seen, session: StaffSession, job: str) -> Response:
    """How far it is; then the queue."""
    found = desk_jobs.find(services, job, KIND)
    waiting = desk_jobs.answer(request, visitor.words, session, found, "queue", f"{PATH}/jobs/{job}")
    return waiting if waiting is not None else RedirectResponse(f"/desk/queue?{urlencode({'stands': str(found.result)})}", 303)


def _find(services: Services, session: StaffSession, number: str, why: str) -> Group:
    is_number = number.isdecimal() and len(number) < 16
    found = services.office.reviews.group(session.actor, int(number), why) if is_number else None
    if not isinstance(found, Group):
        raise HTTPException(404)
    return found


def _show(
    request: Request,
    services: Services,
    words: Words,
    session: StaffSession,
    number: str,
    why: str,
    faults: list[Shown],
    *,
    turned: bool,
    after: str,
) -> Response:
    group = _find(services, session, number, why)
    now = services.office.now()
    mark = int(after) if after.isdecimal() and len(after) < 16 else 0
    members = services.office.reviews.members(session.actor, group.row.number, why, PAGE + 1, turned=turned, after=mark)
    found = members if isinstance(members, list) else []
    path = _path(group.row.number, why)
    whom = f"{path}&turned=yes" if turned else path
    return show_desk(
        request,
        session,
        "desk_group.html",
        "queue",
        status=422 if faults else 200,
        group=tell_group(words, group.row, now),
        colours=[(colour, count) for colour, count in sorted(group.colours.items()) if colour],
        turned_people=group.turned,
        others=group.row.people - group.turned,
        members=[_tell(words, row, now) for row in found[:PAGE]],
        shows_turned=turned,
        group_path=path,
        next=f"{whom}&after={found[PAGE - 1].review}" if len(found) > PAGE else "",
        is_first=mark == 0,
        first=whom,
        reasons=[each.value for each in REASONS],
        faults=faults,
    )


def _path(number: int, why: str) -> str:
    return f"{PATH}/{number}?{urlencode({'why': why})}"


def _tell(words: Words, row: WaitingRow, now: float) -> dict[str, object]:
    return {
        "review": row.review,
        "resident": row.resident,
        "colour": row.colour,
        "place": tell_place(words, row.district),
        "age": tell_age(words, now - row.received_ms / 1000),
    }
