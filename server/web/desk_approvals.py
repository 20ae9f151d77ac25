"""Colours set by hand: propose for one or for many with what it does to how many, approve, refuse, withdraw, and undo within the delay.

Numbers that are to be put right (server.web.desk_number) wait and are decided here too.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from healthcode.terms import Colour
from server.actors import Role
from server.facts import HandReason, fits
from server.four_eyes import ProposalState, Refused
from server.proposals import Preview, Proposal
from server.web.desk_number import tell_outlook, tell_paper
from server.web.desk_pages import show_desk
from server.web.desk_rules import StaffSession, add
from server.web.desk_telling import tell_age
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
PATH = "/desk/approvals"
PAGE = 50
MOST_SHOWN = 200
"""People of a proposal who are listed."""
NO_NUMBER = 16
"""Digits that no number of a proposal has."""


def add_routes(router: APIRouter) -> None:
    """Proposals."""
    add(router, "GET", PATH, approvals_page)
    add(router, "GET", PATH + "/new", new_page)
    add(router, "POST", PATH + "/new", propose_many)
    add(router, "GET", PATH + "/{number}", proposal_page)
    add(router, "POST", PATH + "/{number}", decide)
    add(router, "GET", "/desk/people/{resident}/propose", one_page)
    add(router, "POST", "/desk/people/{resident}/propose", propose_one)


def approvals_page(
    request: Request, services: House, visitor: Seen, session: StaffSession, state: str = "open", before: str = ""
) -> Response:
    """Proposals, the newest first; those that wait unless others are asked for."""
    chosen = ProposalState(state) if state in tuple(ProposalState) else None
    last = int(before) if before.isdecimal() and len(before) < NO_NUMBER else None
    found = services.office.proposals.list_newest(session.actor, PAGE + 1, state=chosen, before=last)
    if isinstance(found, Refused):
        raise HTTPException(403)
    filters = urlencode({"state": state if chosen else "all"})
    return show_desk(
        request,
        session,
        "desk_approvals.html",
        "approvals",
        rows=[_tell(services, visitor.words, session, each) for each in found[:PAGE]],
        states=[each.value for each in ProposalState],
        state=chosen.value if chosen else "all",
        next=f"{PATH}?{filters}&before={found[PAGE - 1].number}" if len(found) > PAGE else "",
        is_first=last is None,
        first=f"{PATH}?{filters}",
        may_propose=session.actor.role is not Role.AUDITOR,
    )


def proposal_page(request: Request, services: House, visitor: Seen, session: StaffSession, number: str) -> Response:
    """One proposal: about whom, what it would do now, and what can be done with it."""
    return _show(request, services, visitor.words, session, number, [])


def decide(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, number: str) -> Response:
    """Approves, refuses, withdraws or undoes; or shows numbers of people in clear."""
    if form.text("do") == "show":
        return _show(request, services, visitor.words, session, number, [], shows=True)
    proposals = services.office.proposals
    ways = {"approve": proposals.approve, "refuse": proposals.refuse, "withdraw": proposals.withdraw, "revoke": proposals.revoke}
    way = ways.get(form.text("do"))
    if way is None:
        raise HTTPException(400)
    outcome = way(session.actor, _number(number))
    if isinstance(outcome, Refused):
        return _show(request, services, visitor.words, session, number, [_fault(visitor.words, outcome)])
    return RedirectResponse(f"{PATH}/{number}", 303)


def new_page(request: Request, session: StaffSession) -> Response:
    """Asks for many people, a colour and a reason."""
    return _ask(request, session, "", "", "", [])


def one_page(request: Request, session: StaffSession, resident: str) -> Response:
    """Asks for a colour and a reason for one person."""
    return _ask(request, session, resident, "", "", [])


def propose_many(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form) -> Response:
    """Says what the proposal does to how many, and makes it when that was read."""
    typed = form.text("residents")
    return _propose(request, services, visitor.words, session, form, re.findall(r"[^\s,;，；]+", typed), "", typed)


def propose_one(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, resident: str) -> Response:
    """The same for one person."""
    return _propose(request, services, visitor.words, session, form, [resident], resident, "")


def _propose(
    request: Request, services: Services, words: Words, session: StaffSession, form: Form, residents: list[str], one: str, typed: str
) -> Response:
    wanted = form.text("wanted")
    colour, _, reason = wanted.partition(".")
    if wanted not in [f"{each}.{why}" for each, why in _wants()]:
        return _ask(request, session, one, typed, wanted, [Shown("wanted", "approvals.wanted_missing")])
    asked = (session.actor, residents, Colour(colour), HandReason(reason))
    action = f"/desk/people/{one}/propose" if one else f"{PATH}/new"
    if form.text("confirmed") == "yes":
        made = services.office.proposals.propose(*asked)
        if isinstance(made, Refused):
            return _ask(request, session, one, typed, wanted, [_fault(words, made, "residents" if not one else "wanted")])
        return RedirectResponse(f"{PATH}/{made.number}", 303)
    found = services.office.proposals.preview(*asked)
    if isinstance(found, Refused):
        return _ask(request, session, one, typed, wanted, [_fault(words, found, "residents" if not one else "wanted")])
    return show_desk(
        request,
        session,
        "desk_confirm.html",
        "approvals",
        title=words("approvals.new"),
        lead=words("approvals.lead", colour=words(f"colour.{colour}.word"), reason=words(f"hand.{reason}")),
        effects=[*_effects(words, found), words("approvals.second")],
        action=action,
        fields={"wanted": wanted, "confirmed": "yes", **({} if one else {"residents": " ".join(residents)})},
        go=words("approvals.go", n=f"{found.people:,}"),
        back=f"/desk/people/{one}" if one else f"{PATH}/new",
    )


def _wants() -> list[tuple[str, str]]:
    """(colour, reason) of everything that can be proposed."""
    return [(colour.value, reason.value) for colour in Colour for reason in HandReason if fits(reason, colour)]


def _effects(words: Words, found: Preview) -> list[str]:
    """What a proposal does to how many people, a line for each change."""
    if found.number is not None:
        return [*tell_outlook(words, found.number), words("approvals.at_once")]
    lines = [words("approvals.people", n=f"{found.people:,}", changed=f"{found.changed:,}")]
    for turn in found.turns:
        before, after = words(f"colour.{turn.before}.word"), words(f"colour.{turn.after}.word")
        key = "approvals.stay" if turn.before == turn.after else "approvals.turn"
        lines.append(words(key, n=f"{turn.people:,}", before=before, after=after))
    hours = f"{found.delay_s / 3600:g}"
    lines.append(words("approvals.delay", hours=hours) if found.delay_s else words("approvals.at_once"))
    return lines


def _ask(request: Request, session: StaffSession, one: str, typed: str, wanted: str, faults: list[Shown]) -> Response:
    return show_desk(
        request,
        session,
        "desk_propose.html",
        "approvals",
        status=422 if faults else 200,
        one=one,
        typed=typed,
        wanted=wanted,
        wants=[(colour.value, [reason for each, reason in _wants() if each == colour.value]) for colour in Colour],
        faults=faults,
    )


def _show(
    request: Request, services: Services, words: Words, session: StaffSession, number: str, faults: list[Shown], *, shows: bool = False
) -> Response:
    found = services.office.proposals.look(session.actor, _number(number), shows=shows)
    if isinstance(found, Refused):
        raise HTTPException(404)
    proposal, residents, preview = found
    return show_desk(
        request,
        session,
        "desk_proposal.html",
        "approvals",
        status=422 if faults else 200,
        row=_tell(services, words, session, proposal),
        proposal=proposal,
        residents=residents[:MOST_SHOWN],
        more=max(0, len(residents) - MOST_SHOWN),
        effects=_effects(words, preview) if preview.turns else [],
        outlook=preview.number,
        paper="" if preview.number is None else tell_paper(words, preview.number),
        shows=shows,
        sees_people=session.actor.role is not Role.AUDITOR,
        is_approver=session.actor.role is Role.APPROVER,
        faults=faults,
    )


def _tell(services: Services, words: Words, session: StaffSession, proposal: Proposal) -> dict[str, object]:
    now = services.office.now()
    waits = proposal.state is ProposalState.OPEN
    return {
        "number": proposal.number,
        "colour": "" if proposal.colour is None else proposal.colour.value,
        "reason": f"number.reason.{proposal.reason.value}" if proposal.colour is None else f"hand.{proposal.reason.value}",
        "people": proposal.people,
        "by": proposal.by,
        "made": proposal.made,
        "age": tell_age(words, now - proposal.made),
        "state": ProposalState.EXPIRED.value if waits and proposal.expires <= now else proposal.state.value,
        "is_own": proposal.by.account == session.actor.account,
        "left": tell_age(words, proposal.expires - now) if waits else "",
        "force": proposal.force,
        "until_force": tell_age(words, proposal.force - now) if proposal.force is not None and proposal.force > now else "",
    }


def _number(number: str) -> int:
    if not number.isdecimal() or len(number) >= NO_NUMBER:
        raise HTTPException(404)
    return int(number)


def _fault(words: Words, refused: Refused, beside: str = "") -> Shown:
    """A refusal with the words of colours, reasons and states in the visitor's language."""
    names = {"colour": "colour.{}.word", "reason": "hand.{}", "state": "approvals.state.{}"}
    told = {name: words(names[name].format(value)) if name in names else value for name, value in refused.params.items()}
    return Shown(beside, refused.key, told)
