"""Asking for conversion: why the colour is wrong, papers, and what became of the request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from server.appeals import MEDIA_TYPES, MOST_LETTERS, MOST_PAPER_BYTES, MOST_PAPERS, Appeal, AppealFault, Refused
from server.charges import Refused as NotYours
from server.deadlines import DEADLINE_S
from server.households import Member
from server.identity import mask_name
from server.insight import Explained
from server.web import residents
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.pages import show
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, Seen, Visitor

House = Annotated[Services, Depends(services_of)]
PATH = "/appeal"
MOST_BYTES = (MOST_PAPERS + 1) * MOST_PAPER_BYTES
"""Longest request: what is allowed, and room for a paper that is too large, so that it can be named."""
_MIB = 1024 * 1024
_FIELDS = {
    AppealFault.NO_WORDS: "words",
    AppealFault.TOO_LONG: "words",
    AppealFault.TOO_MANY_PAPERS: "papers",
    AppealFault.PAPER_TOO_LARGE: "papers",
    AppealFault.PAPER_OF_WHAT: "papers",
}


def add_routes(router: APIRouter) -> None:
    """The page of requests for conversion."""
    router.add_api_route(PATH, appeal_page)
    router.add_api_route(PATH, ask, methods=["POST"])


def appeal_page(request: Request, services: House, visitor: Seen, session: ResidentSession, who: str = "") -> Response:
    """The requests that were made, and the form for one more where there is something to ask."""
    members = residents.find_members(services, session.actor)
    if not members:
        return RedirectResponse("/family", 303)
    return _show(request, services, visitor, session, residents.choose(members, who), "", [])


def ask(request: Request, services: House, visitor: Seen, session: ResidentSession, form: Form) -> Response:
    """Takes a request. The form names the newest request that its page knew: where there is a newer one, this came twice."""
    member = residents.choose(residents.find_members(services, session.actor), form.text("who"))
    known, words = form.text("after"), form.text("words")
    if not (known.isascii() and known.isdigit() and len(known) < 18):
        raise HTTPException(400)
    made = _own(services, session, member)
    if made and made[0].number > int(known):
        return _back(member)
    wait_s = services.uploads.take(session.actor.account, services.office.now())
    if wait_s:
        raise HTTPException(429, headers={"retry-after": f"{wait_s:.0f}"})
    outcome = services.office.appeals.ask(
        session.actor, member.resident, words, [_read(each) for each in form.files.get("papers", ()) if each.size]
    )
    match outcome:
        case Appeal():
            return _back(member)
        case NotYours():
            raise HTTPException(404)
        case Refused(AppealFault.ONE_WAITS):  # the same form, sent twice at once
            return _back(member)
        case Refused():
            return _show(
                request, services, visitor, session, member, words, [Shown(_FIELDS.get(outcome.fault, ""), outcome.key, outcome.params)]
            )


def _show(
    request: Request, services: Services, visitor: Visitor, session: ResidentSession, member: Member, words: str, faults: list[Shown]
) -> Response:
    explained = services.office.insight.explain(session.actor, member.resident)
    if not isinstance(explained, Explained):
        raise HTTPException(404)
    made = _own(services, session, member)
    members = residents.find_members(services, session.actor)
    return show(
        request,
        "appeal.html",
        422 if faults else 200,
        members=[residents.show_member(services, visitor.words, each) for each in members],
        who=member.resident,
        name=mask_name(member.person.name),
        colour=explained.ruling.word,
        why=visitor.words.explain(explained.ruling.why),
        may_ask=explained.may_ask,
        made=made,
        after=made[0].number if made else 0,
        said=words,
        faults=faults,
        hours=round(DEADLINE_S / 3600),
        letters=MOST_LETTERS,
        papers=MOST_PAPERS,
        megabytes=MOST_PAPER_BYTES // _MIB,
        accepted=",".join(MEDIA_TYPES.values()),
        room="history",
    )


def _own(services: Services, session: ResidentSession, member: Member) -> list[Appeal]:
    """The requests about the member, newest first."""
    found = services.office.appeals.own(session.actor, member.resident)
    if isinstance(found, NotYours):
        raise HTTPException(404)
    return found


def _read(paper: UploadFile) -> bytes:
    """A paper; of one that is too long no more than shows that."""
    return paper.file.read(MOST_PAPER_BYTES + 1)


def _back(member: Member) -> Response:
    return RedirectResponse(f"{PATH}?who={member.resident}", 303)
