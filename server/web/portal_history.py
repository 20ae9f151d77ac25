"""Why the colour is what it is: the ruling in words, until when, what would change it, and the colours before."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.charges import Refused
from server.checkins import CORRECTABLE_S
from server.explanations import name_role
from server.identity import mask_name
from server.rulings import read_why
from server.store import rulings as rows
from server.store.proposals import CorrectedRow
from server.web import residents
from server.web.language import Words
from server.web.pages import show
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, Seen

House = Annotated[Services, Depends(services_of)]
MOST_ROWS = 50


def add_routes(router: APIRouter) -> None:
    """The page of reasons."""
    router.add_api_route("/history", history_page)


def history_page(request: Request, services: House, visitor: Seen, session: ResidentSession, who: str = "") -> Response:
    """The ruling in force and those before."""
    members = residents.find_members(services, session.actor)
    if not members:
        return RedirectResponse("/family", 303)
    member, words = residents.choose(members, who), visitor.words
    explained = services.office.insight.explain(session.actor, member.resident)
    asked = services.office.appeals.own(session.actor, member.resident)
    corrected = services.office.insight.corrected(session.actor, member.resident)
    if isinstance(explained, Refused) or isinstance(asked, Refused) or isinstance(corrected, Refused):
        raise HTTPException(404)
    ruling = explained.ruling
    _, declared = residents.look_up(services, member.resident)
    with services.office.store.read() as tx:
        made = rows.list_rulings(tx, member.resident, MOST_ROWS)
    return show(
        request,
        "history.html",
        members=[residents.show_member(services, words, each) for each in members],
        who=member.resident,
        name=mask_name(member.person.name),
        colour=ruling.word,
        why=words.explain(ruling.why),
        since=ruling.since,
        until=ruling.until,
        decided_by=name_role(words.language, explained.decided_by),
        may_ask=explained.may_ask,
        has_asked=bool(asked),
        others=[words.explain(reason.why) for reason in ruling.others],
        changes=[words.explain(change) for change in ruling.changes],
        rows=[{"colour": row.colour, "since": row.made_ms / 1000, "why": words.explain(read_why(row.why))} for row in made],
        numbers=[{"at": row.at_ms / 1000, "said": _tell_corrected(words, row)} for row in corrected],
        may_correct=any(fact.at >= services.office.now() - CORRECTABLE_S for fact in declared),
        room="history",
    )


def _tell_corrected(words: Words, row: CorrectedRow) -> str:
    reason, by, second = f"number.reason.{row.reason}", f"desk.role.{row.role}", f"desk.role.{row.decided_role}"
    return words("history.number", reason=words(reason), by=words(by), second=words(second))
