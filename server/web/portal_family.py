"""The family: register oneself and others, edit, hand over to an account of their own, take over, answer others' claims."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.charges import ClaimWaits, HouseholdFault, Refused, Registered
from server.enrolment import DetailField, EntryField, Relation
from server.faults import Faults
from server.handovers import Purpose
from server.households import Member
from server.identity import Paper, mask_name, mask_number
from server.web import residents
from server.web.faulty import Shown, tell
from server.web.forms import Fields, Form
from server.web.pages import show
from server.web.places import OUTSIDE, list_places
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, Seen

House = Annotated[Services, Depends(services_of)]
OTHERS = [relation.value for relation in Relation if relation is not Relation.SELF]
PAPERS = [paper.value for paper in Paper]


def add_routes(router: APIRouter) -> None:
    """All pages of the family."""
    router.add_api_route("/family", family_page)
    router.add_api_route("/family/add", add_page)
    router.add_api_route("/family/add", add, methods=["POST"])
    router.add_api_route("/family/take", take_page)
    router.add_api_route("/family/take", take, methods=["POST"])
    router.add_api_route("/family/edit", edit_page)
    router.add_api_route("/family/edit", edit, methods=["POST"])
    router.add_api_route("/family/leave", leave, methods=["POST"])
    router.add_api_route("/family/hand-over", hand_over_page)
    router.add_api_route("/family/hand-over", hand_over, methods=["POST"])
    router.add_api_route("/family/app", end_app, methods=["POST"])
    router.add_api_route("/family/claim", answer_claim, methods=["POST"])


def family_page(request: Request, services: House, visitor: Seen, session: ResidentSession) -> Response:
    """Everybody whom the account looks after, and what waits for a word."""
    members = residents.find_members(services, session.actor)
    names = {member.resident: mask_name(member.person.name) for member in members}
    links = services.office.app_people.links(session.actor)
    return show(
        request,
        "family.html",
        links=[
            {"resident": link.resident, "name": names[link.resident], "app": link.app, "person": link.person, "since": link.since}
            for link in links
        ],
        members=[residents.show_member(services, visitor.words, member) for member in members],
        has_self=any(member.relation is Relation.SELF for member in members),
        claims=services.office.handovers.claims_on(session.actor),
        waiting=bool(services.office.handovers.own_claims(session.actor)),
        who="",
        room="family",
    )


def add_page(request: Request, session: ResidentSession, relation: str = "") -> Response:
    """Asks who is to be registered."""
    return _ask(request, "add", relation == Relation.SELF.value, {"relation": relation}, [])


def add(request: Request, services: House, session: ResidentSession, form: Form) -> Response:
    """Registers oneself or a member of the family; what is known already is claimed instead."""
    typed = _typed(form)
    outcome = services.office.households.register(session.actor, typed)
    match outcome:
        case Registered():
            return RedirectResponse(f"/declare?who={outcome.resident}", 303)
        case ClaimWaits():
            return RedirectResponse("/family", 303)
        case Faults() | Refused():
            return _ask(request, "add", typed["relation"] == Relation.SELF.value, typed, tell(outcome))


def take_page(request: Request, session: ResidentSession) -> Response:
    """Asks for a hand-over code and whose it is."""
    return _ask(request, "take", False, {}, [])


def take(request: Request, services: House, session: ResidentSession, form: Form) -> Response:
    """Takes over somebody with their history."""
    typed = _typed(form)
    outcome = services.office.handovers.accept(session.actor, form.text("code"), typed)
    if isinstance(outcome, Registered):
        return RedirectResponse(f"/code?who={outcome.resident}", 303)
    return _ask(request, "take", False, {**typed, "code": form.text("code")}, tell(outcome, "code"))


def edit_page(request: Request, services: House, visitor: Seen, session: ResidentSession, who: str = "") -> Response:
    """Shows the details that may be edited."""
    return _edit(request, services, visitor, session, who, None, [])


def edit(request: Request, services: House, visitor: Seen, session: ResidentSession, form: Form) -> Response:
    """Changes details; a field left empty that was empty stays so."""
    member = residents.choose(residents.find_members(services, session.actor), form.text("who"))
    typed = {field.value: form.text(field.value) for field in DetailField}
    held = {field.value: str(getattr(member.person, field.value)) for field in DetailField}
    outcome = services.office.households.edit(
        session.actor, member.resident, {name: said for name, said in typed.items() if said != held[name]}
    )
    if isinstance(outcome, Faults | Refused):
        return _edit(request, services, visitor, session, member.resident, typed, tell(outcome))
    return RedirectResponse("/family", 303)


def leave(services: House, session: ResidentSession, form: Form) -> Response:
    """The account looks after a member of the family no more."""
    member = residents.choose(residents.find_members(services, session.actor), form.text("who"))
    if services.office.households.detach(session.actor, member.resident) is not None:
        raise HTTPException(403)
    return RedirectResponse("/family", 303)


def hand_over_page(request: Request, services: House, session: ResidentSession, who: str = "") -> Response:
    """Asks for whom a hand-over code is to be."""
    member = residents.choose(residents.find_members(services, session.actor), who)
    return _hand_over(request, member, "", [])


def hand_over(request: Request, services: House, session: ResidentSession, form: Form) -> Response:
    """Makes a hand-over code and shows it once."""
    member = residents.choose(residents.find_members(services, session.actor), form.text("who"))
    if form.text("purpose") not in tuple(Purpose):
        raise HTTPException(400)
    outcome = services.office.handovers.offer(session.actor, member.resident, Purpose(form.text("purpose")))
    return _hand_over(
        request, member, "" if isinstance(outcome, Refused) else outcome, tell(outcome) if isinstance(outcome, Refused) else []
    )


def end_app(services: House, session: ResidentSession, form: Form) -> Response:
    """An app acts for a member of the family no more."""
    if not services.office.app_people.end_link(session.actor, form.text("who"), form.text("app")):
        raise HTTPException(404)
    return RedirectResponse("/family", 303)


def answer_claim(services: House, session: ResidentSession, form: Form) -> Response:
    """Says whether somebody else's claim on a member of the family is right."""
    number = form.text("claim")
    if not (number.isascii() and number.isdigit() and len(number) < 18):
        raise HTTPException(400)
    refused = services.office.handovers.confirm(session.actor, int(number), is_theirs=form.text("right") == "yes")
    if refused is not None and refused.fault is HouseholdFault.NO_CLAIM:
        raise HTTPException(404)
    return RedirectResponse("/family", 303)


def _ask(request: Request, what: str, is_self: bool, said: dict[str, str], faults: list[Shown]) -> Response:
    name = "add.self" if is_self else what
    return show(
        request,
        "add.html",
        422 if faults else 200,
        title=f"{name}_title" if is_self else f"{name}.title",
        lead=f"{name}_lead" if is_self else f"{name}.lead",
        action=f"/family/{what}",
        with_code=what == "take",
        relations=[Relation.SELF.value] if is_self else [Relation.SELF.value, *OTHERS] if what == "take" else OTHERS,
        papers=PAPERS,
        said=said,
        faults=faults,
        who="",
        room="family",
    )


def _edit(
    request: Request,
    services: Services,
    visitor: Seen,
    session: ResidentSession,
    who: str,
    typed: dict[str, str] | None,
    faults: list[Shown],
) -> Response:
    member = residents.choose(residents.find_members(services, session.actor), who)
    person = member.person
    return show(
        request,
        "edit.html",
        422 if faults else 200,
        who=member.resident,
        person=person,
        relation=member.relation.value,
        number=mask_number(person.number),
        said=typed or {field.value: str(getattr(person, field.value)) for field in DetailField},
        faults=faults,
        places=list_places(visitor.words.language),
        outside=OUTSIDE,
        room="family",
    )


def _hand_over(request: Request, member: Member, code: str, faults: list[Shown]) -> Response:
    purposes = [Purpose.SHARE.value] if member.relation is Relation.SELF else [Purpose.SELF.value, Purpose.SHARE.value]
    return show(
        request,
        "hand_over.html",
        422 if faults else 200,
        who=member.resident,
        name=mask_name(member.person.name),
        purposes=purposes,
        code=code,
        faults=faults,
        room="family",
    )


def _typed(form: Fields) -> dict[str, str]:
    return {field.value: form.text(field.value) for field in EntryField}
