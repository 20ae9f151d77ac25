"""Paper codes: what can be printed, and the PDF."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from server import throttle
from server.colours import PENDING
from server.identity import mask_name
from server.issuer import Pack
from server.papers import Holder, Layout, NoFont, make_pdf
from server.sentences import Language
from server.throttle import Limits
from server.web import residents
from server.web.forms import Form
from server.web.pages import show
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, Seen

House = Annotated[Services, Depends(services_of)]
OF_PRINTS = Limits(free=30, base_s=60, ceiling_s=3600, forget_s=86_400)
"""A document takes about a second of a processor, and each is one more code that can be lost."""


def add_routes(router: APIRouter) -> None:
    """The page of prints and its PDF."""
    router.add_api_route("/code/print", print_page)
    router.add_api_route("/code/print", print_code, methods=["POST"])


def print_page(request: Request, services: House, visitor: Seen, session: ResidentSession, who: str = "") -> Response:
    """Asks what is to be printed."""
    return _ask(request, services, visitor, session, who)


def print_code(request: Request, services: House, visitor: Seen, session: ResidentSession, form: Form) -> Response:
    """A new paper code as a PDF."""
    member = residents.choose(residents.find_members(services, session.actor), form.text("who"))
    try:
        layout, language = Layout(form.text("layout")), Language(form.text("language"))
    except ValueError:
        raise HTTPException(400) from None
    office = services.office
    with office.store.write() as tx:
        key = office.seal.fingerprint(f"throttle prints {session.actor.account}")
        wait_s = throttle.attempt(tx, [(key, OF_PRINTS)], office.now())
    if wait_s:
        fault = visitor.words("print.wait", minutes=-(-int(wait_s) // 60))
        return _ask(request, services, visitor, session, member.resident, fault, 429)
    pack = services.issuer.paper(member.resident, who=session.actor, layout=layout.value)
    if not isinstance(pack, Pack):
        return _ask(request, services, visitor, session, member.resident)
    web = office.config.web
    made = make_pdf(pack, Holder(member.person.name, web.origin), layout, language, ZoneInfo(web.zone))
    if isinstance(made, NoFont):
        return _ask(request, services, visitor, session, member.resident, visitor.words("print.no_font"), 503)
    name = f'attachment; filename="health-code-{layout}.pdf"'
    return Response(made, media_type="application/pdf", headers={"content-disposition": name})


def _ask(
    request: Request, services: Services, visitor: Seen, session: ResidentSession, who: str, fault: str = "", status: int = 200
) -> Response:
    members = residents.find_members(services, session.actor)
    member = residents.choose(members, who)
    ruling, _ = residents.look_up(services, member.resident)
    return show(
        request,
        "print.html",
        status,
        members=[residents.show_member(services, visitor.words, each) for each in members],
        who=member.resident,
        name=mask_name(member.person.name),
        is_pending=ruling.word == PENDING,
        days=services.office.config.codes.paper_days,
        layouts=[layout.value for layout in Layout],
        languages=[language.value for language in Language],
        fault=fault,
        room="code",
    )
