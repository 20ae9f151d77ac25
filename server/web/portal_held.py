"""What is held: who looked at a person, where their code was read, and all of it to take away."""

from __future__ import annotations

from math import ceil
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.charges import Refused
from server.explanations import name_role
from server.identity import mask_name
from server.insight import MOST_SHOWN
from server.web import residents
from server.web.forms import Form
from server.web.pages import show
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, Seen

House = Annotated[Services, Depends(services_of)]


def add_routes(router: APIRouter) -> None:
    """The page of what is held, and the file."""
    router.add_api_route("/held", held_page)
    router.add_api_route("/held", take_away, methods=["POST"])
    router.add_api_route("/held/places", share_places, methods=["POST"])


def held_page(request: Request, services: House, visitor: Seen, session: ResidentSession, who: str = "") -> Response:
    """Who looked, by role, and where the code was read."""
    members = residents.find_members(services, session.actor)
    if not members:
        return RedirectResponse("/family", 303)
    member, words = residents.choose(members, who), visitor.words
    insight = services.office.insight
    looked = insight.looked(session.actor, member.resident)
    readings = insight.readings(session.actor, member.resident, services.ring())
    if isinstance(looked, Refused) or isinstance(readings, Refused):
        raise HTTPException(404)
    return show(
        request,
        "held.html",
        members=[residents.show_member(services, words, each) for each in members],
        who=member.resident,
        name=mask_name(member.person.name),
        looked=[{"role": name_role(words.language, each.role), "times": each.times, "last": each.last} for each in looked],
        readings=readings.rows,
        told=readings.told.value,
        may_choose=readings.may_choose,
        shares=readings.shares,
        most=MOST_SHOWN,
        days=services.office.config.privacy.passes_days,
        room="history",
    )


def share_places(services: House, session: ResidentSession, form: Form) -> Response:
    """The person's word on whether the family sees where the code was read."""
    member = residents.choose(residents.find_members(services, session.actor), form.text("who"))
    if form.text("places") not in ("shared", "own"):
        raise HTTPException(400)
    if services.office.insight.share_places(session.actor, member.resident, form.text("places") == "shared") is not None:
        raise HTTPException(404)
    return RedirectResponse(f"/held?who={member.resident}#places", 303)


def take_away(services: House, session: ResidentSession, form: Form) -> Response:
    """All that is held of the person, as a JSON file."""
    member = residents.choose(residents.find_members(services, session.actor), form.text("who"))
    wait_s = services.uploads.take(session.actor.account, services.office.now())
    if wait_s:
        raise HTTPException(429, headers={"retry-after": str(ceil(wait_s))})
    told = services.office.insight.take_away(session.actor, member.resident, services.ring())
    if isinstance(told, Refused):
        raise HTTPException(404)
    headers = {"content-disposition": 'attachment; filename="health-code-data.json"'}
    return Response(msgspec.json.format(msgspec.json.encode(told), indent=2), media_type="application/json", headers=headers)
