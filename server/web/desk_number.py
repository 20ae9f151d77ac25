"""The number by which a person is known, put right: asked for, what it would do said, and proposed for a second officer's word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.corrections import NumberReason, Outlook
from server.enrolment import EntryField
from server.faults import Faults
from server.four_eyes import ProposalFault, Refused
from server.identity import Paper
from server.web.desk_pages import show_desk
from server.web.desk_rules import StaffSession, add
from server.web.faulty import Shown
from server.web.forms import Fields, Form
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
PATH = "/desk/people/{resident}/number"
FIELDS = (EntryField.PAPER.value, EntryField.NUMBER.value, EntryField.STATE.value, EntryField.BORN.value)


def add_routes(router: APIRouter) -> None:
    """Asking for the right number, and proposing it."""
    add(router, "GET", PATH, number_page)
    add(router, "POST", PATH, propose)


def number_page(request: Request, services: House, session: StaffSession, resident: str) -> Response:
    """Asks for the right number and why it is to be put right."""
    if services.office.registry.find(resident) is None:
        raise HTTPException(404)
    return _ask(request, session, resident, {EntryField.PAPER.value: Paper.CITIZEN.value}, "", [])


def propose(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, resident: str) -> Response:
    """Says what the number would do, and proposes it when that was read."""
    words, numbers = visitor.words, services.office.number_proposals
    typed, reason = _typed(form), form.text("reason")
    if reason not in tuple(NumberReason):
        return _ask(request, session, resident, typed, reason, [Shown("reason", "number.reason_missing")])
    is_read = form.text("confirmed") == "yes"
    outcome = (
        numbers.propose(session.actor, resident, typed, NumberReason(reason))
        if is_read
        else numbers.preview(session.actor, resident, typed)
    )
    match outcome:
        case Refused(ProposalFault.NO_SUCH_RESIDENT):
            raise HTTPException(404)
        case Refused():
            return _ask(request, session, resident, typed, reason, [Shown("number", outcome.key, outcome.params)])
        case Faults():
            shown = [Shown(field, fault.key, fault.params) for field, fault in outcome.by_field.items()]
            return _ask(request, session, resident, typed, reason, shown)
    if is_read:
        return RedirectResponse(f"/desk/approvals/{outcome.number}", 303)
    outlook = outcome.number
    if not isinstance(outlook, Outlook):
        raise LookupError("what a number does is foreseen where it can be proposed")
    return show_desk(
        request,
        session,
        "desk_confirm.html",
        "people",
        title=words("number.title"),
        lead=words(
            "number.lead",
            resident=resident,
            number=outlook.new.number,
            paper=tell_paper(words, outlook),
            reason=words(f"number.reason.{reason}"),
        ),
        effects=[*tell_outlook(words, outlook), words("approvals.at_once"), words("approvals.second")],
        action=PATH.format(resident=resident),
        fields={**typed, "reason": reason, "confirmed": "yes"},
        go=words("number.go"),
        back=f"/desk/people/{resident}",
    )


def tell_outlook(words: Words, outlook: Outlook) -> list[str]:
    """What a number would do to the person, a line for each effect, the colour first."""
    before, after = outlook.before, outlook.after
    why = words.explain(after.why)
    colours = {"before": words(f"colour.{before.word}.word"), "after": words(f"colour.{after.word}.word")}
    lines = [
        words("effect.turns", **colours, why=why) if before.word != after.word else words("effect.stays", colour=colours["after"], why=why)
    ]
    return [*lines, *(words.explain(sentence) for sentence in outlook.sentences())]


def tell_paper(words: Words, outlook: Outlook) -> str:
    """The kind of the new paper; of a passport with the state that issued it."""
    return " ".join([words(f"paper.{outlook.new.paper.value}"), *([outlook.new.state] if outlook.new.state else [])])


def _typed(form: Fields) -> dict[str, str]:
    return {field: form.text(field) for field in FIELDS}


def _ask(request: Request, session: StaffSession, resident: str, typed: Mapping[str, str], reason: str, faults: list[Shown]) -> Response:
    return show_desk(
        request,
        session,
        "desk_number.html",
        "people",
        status=422 if faults else 200,
        resident=resident,
        said=typed,
        papers=[each.value for each in Paper],
        reasons=[each.value for each in NumberReason],
        reason=reason,
        faults=faults,
    )
