"""Requests for conversion: the one that is due first first, its words and papers, and an answer with what follows from it."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from healthcode.terms import Colour
from server.appeals import MEDIA_TYPES, Answer, Appeal, Refused, facts_of
from server.faults import Fault
from server.identity import day_of, start_of
from server.typed import read_date
from server.web.desk_pages import show_desk
from server.web.desk_people import tell_effect
from server.web.desk_rules import StaffSession, add
from server.web.desk_telling import tell_age
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
PATH = "/desk/appeals"
PAGE = 50
SOON_S = 12 * 3600.0
"""What is due within so long is marked."""
_LONGEST = 16


def add_routes(router: APIRouter) -> None:
    """Requests for conversion."""
    add(router, "GET", PATH, appeals_page)
    add(router, "GET", PATH + "/{number}", appeal_page)
    add(router, "POST", PATH + "/{number}", answer)
    add(router, "GET", PATH + "/{number}/papers/{paper}", paper)


def appeals_page(request: Request, services: House, visitor: Seen, session: StaffSession, after: str = "", done: str = "") -> Response:
    """What waits, by deadline."""
    due, _, number = after.partition(".")
    is_mark = due.isdecimal() and number.isdecimal() and len(after) <= 2 * _LONGEST
    mark = (int(due) / 1000, int(number)) if is_mark else None
    found = services.office.appeals.queue(session.actor, PAGE + 1, mark)
    if isinstance(found, Refused):
        raise HTTPException(403)
    last = found[PAGE - 1] if len(found) > PAGE else None
    return show_desk(
        request,
        session,
        "desk_appeals.html",
        "appeals",
        rows=[_tell(services, visitor.words, each) for each in found[:PAGE]],
        next=f"{PATH}?after={round(last.due * 1000)}.{last.number}" if last else "",
        is_first=mark is None,
        first=PATH,
        done=done if done.isdecimal() else "",
    )


def appeal_page(request: Request, services: House, visitor: Seen, session: StaffSession, number: str) -> Response:
    """One request."""
    return _show(request, services, visitor.words, session, number, [])


def answer(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, number: str) -> Response:
    """Answers a request."""
    wanted, typed, colour = form.text("answer"), form.text("happened"), form.text("colour") or Colour.GREEN.value
    happened: float | None = None
    faults = []
    if wanted not in tuple(Answer):
        faults.append(Shown("answer", "appeals.answer_missing"))
    if colour not in tuple(Colour):
        raise HTTPException(400)
    if typed:
        now = services.office.now()
        read = read_date(typed, now)
        if isinstance(read, Fault):
            faults.append(Shown("happened", read.key, read.params))
        else:
            happened = now if isinstance(read, date) and read == day_of(now) else start_of(read)
    if not faults:
        outcome = services.office.appeals.decide(session.actor, _number(number), Answer(wanted), happened=happened, colour=Colour(colour))
        if isinstance(outcome, Appeal):
            return RedirectResponse(f"{PATH}?done={number}", 303)
        faults.append(Shown("answer", outcome.key, outcome.params))
    return _show(request, services, visitor.words, session, number, faults, wanted=wanted, typed=typed)


def paper(services: House, session: StaffSession, number: str, paper: str) -> Response:
    """Hands a paper out as a file: what strangers send is never shown within a page of ours."""
    found = services.office.appeals.paper(session.actor, _number(number), _number(paper))
    if isinstance(found, Refused):
        raise HTTPException(404)
    media_type, content = found
    ending = next(kind for kind, each in MEDIA_TYPES.items() if each == media_type)
    name = f'attachment; filename="appeal-{_number(number)}-{_number(paper)}.{ending}"'
    return Response(content, media_type=media_type, headers={"content-disposition": name})


def _show(
    request: Request,
    services: Services,
    words: Words,
    session: StaffSession,
    number: str,
    faults: list[Shown],
    wanted: str = "",
    typed: str = "",
) -> Response:
    found = services.office.appeals.look(session.actor, _number(number))
    if isinstance(found, Refused):
        raise HTTPException(404)
    now = services.office.now()
    with services.office.store.read() as tx:
        ruling = services.office.registry.rulings.explain(tx, found.resident, now)
    return show_desk(
        request,
        session,
        "desk_appeal.html",
        "appeals",
        status=422 if faults else 200,
        row=_tell(services, words, found),
        said=found.words,
        papers=[(each.paper, each.kind, f"{each.size / 1024:,.0f}") for each in found.papers],
        colour=ruling.word,
        why=words.explain(ruling.why),
        others=[words.explain(reason.why) for reason in ruling.others],
        answer=None if found.answer is None else words(f"appeal.answer.{found.answer.value}"),
        decided=found.decided,
        decided_by=found.decided_by,
        choices=[(each.value, _tell_effect(services, words, found.resident, each)) for each in Answer] if found.answer is None else [],
        wanted=wanted,
        typed=typed,
        faults=faults,
    )


def _tell_effect(services: Services, words: Words, resident: str, given: Answer) -> str:
    """To how many people an answer does what."""
    if given is Answer.CORRECTION:
        return words("appeals.effect.correction")
    facts = facts_of(given, services.office.now())
    effect = services.office.dossiers.effect(resident, *facts) if facts else None
    return words("appeals.effect.none") if effect is None else tell_effect(words, effect)


def _tell(services: Services, words: Words, row: Appeal) -> dict[str, object]:
    left = row.due - services.office.now()
    return {
        "number": row.number,
        "resident": row.resident,
        "colour": row.colour,
        "papers": len(row.papers),
        "asked": row.asked,
        "due": row.due,
        "left": tell_age(words, left) if left > 0 else "",
        "late": tell_age(words, -left) if left <= 0 else "",
        "is_soon": left <= SOON_S,
    }


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) >= _LONGEST:
        raise HTTPException(404)
    return int(text)
