"""The page of codes: the code of now, packs for when the line is gone, and the end of all codes when a phone or a paper is lost."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from server import qr
from server.colours import PENDING
from server.identity import mask_name
from server.issuer import Pack
from server.registry import Refused, RegistryFault
from server.sessions import Session
from server.web import residents
from server.web.forms import Form
from server.web.pages import show
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, Seen

House = Annotated[Services, Depends(services_of)]


def add_routes(router: APIRouter) -> None:
    """The page of codes and what its script asks."""
    router.add_api_route("/code", code_page)
    router.add_api_route("/code/pack", pack)
    router.add_api_route("/code/picture", picture)
    router.add_api_route("/code/standing", standing)
    router.add_api_route("/code/lost", lost_page)
    router.add_api_route("/code/lost", end_codes, methods=["POST"])


def code_page(request: Request, services: House, visitor: Seen, session: ResidentSession, who: str = "") -> Response:
    """The code of one member of the family: its script asks for a pack and draws it."""
    members = residents.find_members(services, session.actor)
    if not members:
        return RedirectResponse("/family", 303)
    member = residents.choose(members, who)
    shown = [residents.show_member(services, visitor.words, each) for each in members]
    mine = next(each for each in shown if each.resident == member.resident)
    return show(
        request,
        "code.html",
        members=shown,
        who=mine.resident,
        name=mine.name,
        colour=mine.colour,
        zone=services.office.config.web.zone,
        room="code",
    )


def picture(services: House, session: ResidentSession, who: str = "") -> Response:
    """The code of the moment as SVG, for browsers without scripts."""
    _hold_back(services, session)
    member = residents.choose(residents.find_members(services, session.actor), who)
    found = services.issuer.live_pack(member.resident, lasting_s=1, who=session.actor)
    if isinstance(found, Refused):
        raise HTTPException(404)
    return Response(qr.svg(found.codes[0].text), media_type="image/svg+xml")


def pack(services: House, session: ResidentSession, who: str = "") -> JSONResponse:
    """Live codes for as long as a pack lasts: [text, not before, expires] each; none for whoever is pending."""
    _hold_back(services, session)
    member = residents.choose(residents.find_members(services, session.actor), who)
    found = services.issuer.live_pack(member.resident, who=session.actor)
    said: dict[str, object] = {
        "now": services.office.now(),
        "name": mask_name(member.person.name),
        "lasts": services.office.config.codes.pack_s,
    }
    match found:
        case Pack():
            codes = [[code.text, code.not_before, code.expires] for code in found.codes]
            return JSONResponse({**said, "colour": found.colour.value, "ruled_at": found.ruled_at, "codes": codes})
        case Refused(RegistryFault.PENDING):
            return JSONResponse({**said, "colour": PENDING, "ruled_at": 0, "codes": []})
        case Refused():
            raise HTTPException(404)


def standing(services: House, session: ResidentSession, who: str = "") -> JSONResponse:
    """When the ruling in force was made, by which a phone sees that its codes are of an older one; 0 for whoever is pending."""
    member = residents.choose(residents.find_members(services, session.actor), who)
    found = services.office.registry.find(member.resident)
    if found is None:
        raise HTTPException(404)
    return JSONResponse({"now": services.office.now(), "colour": found.word, "ruled_at": 0 if found.colour is None else found.ruled_at})


def lost_page(request: Request, services: House, session: ResidentSession, who: str = "") -> Response:
    """Says what ends, and asks."""
    member = residents.choose(residents.find_members(services, session.actor), who)
    return show(request, "lost.html", who=member.resident, name=mask_name(member.person.name), room="code")


def end_codes(services: House, session: ResidentSession, form: Form) -> Response:
    """Ends every code of the person; what the pages show next is new."""
    member = residents.choose(residents.find_members(services, session.actor), form.text("who"))
    if isinstance(services.office.registry.revoke(member.resident, session.actor), Refused):
        raise HTTPException(503)
    return RedirectResponse(f"/code?who={member.resident}", 303)


def _hold_back(services: Services, session: Session) -> None:
    """429 for who asks for more packs than a family of phones does."""
    wait_s = services.packs.take(session.actor.account, services.office.now())
    if wait_s:
        raise HTTPException(429, headers={"retry-after": str(ceil(wait_s))})
