"""The way in and out: first page, register, sign in, sign out, another password, the language."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from server.accounts import AccountFault, Refused
from server.actors import Role
from server.sentences import Language
from server.sessions import SignedIn
from server.web import forms
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.pages import show
from server.web.services import Services, services_of
from server.web.static_files import StaticFile, answer
from server.web.visitors import Seen, SignInNeeded, begin, end, remember_language, safe_path

House = Annotated[Services, Depends(services_of)]
ROOMS = {Role.RESIDENT: "/code"}
"""Where each role begins; all others at the officers' desk."""
DESK = "/desk"


def make_router(files: dict[str, StaticFile]) -> APIRouter:
    """The router of the entrance; the service worker and the manifest lie at the root, where browsers look for them."""
    router = forms.make_router()
    router.add_api_route("/", first_page)
    router.add_api_route("/sign-in", sign_in_page)
    router.add_api_route("/sign-in", sign_in, methods=["POST"])
    router.add_api_route("/register", register_page)
    router.add_api_route("/register", register, methods=["POST"])
    router.add_api_route("/sign-out", sign_out, methods=["POST"])
    router.add_api_route("/password", password_page)
    router.add_api_route("/password", change_password, methods=["POST"])
    router.add_api_route("/language", choose_language)

    def worker(request: Request) -> Response:
        return answer(request, files["worker.js"], "no-cache")

    def manifest(request: Request) -> Response:
        return answer(request, files["healthgate.webmanifest"], "no-cache")

    router.add_api_route("/worker.js", worker)
    router.add_api_route("/healthgate.webmanifest", manifest)
    return router


def first_page(request: Request, visitor: Seen, closed: str = "") -> Response:
    """Who is signed in goes to their room; others read what this is."""
    if visitor.session is not None:
        return RedirectResponse(ROOMS.get(visitor.session.actor.role, DESK), 303)
    return show(request, "welcome.html", is_closed=closed == "yes")


def sign_in_page(request: Request, visitor: Seen, next: str = "/") -> Response:  # the word in the address
    """Asks for name and password."""
    if visitor.session is not None:
        return RedirectResponse(safe_path(next), 303)
    return show(request, "sign_in.html", faults=[], name="", back=safe_path(next))


def sign_in(request: Request, services: House, form: Form) -> Response:
    """Begins a session."""
    name, back = form.text("name"), safe_path(form.text("next") or "/")
    outcome = services.office.sessions.sign_in(
        name, _secret(form, "password"), address(request), request.cookies.get(services.cookies.browser, "")
    )
    if isinstance(outcome, Refused):
        return show(request, "sign_in.html", _status(outcome), faults=[_fault(outcome, "name")], name=name, back=back)
    return _go_in(services, outcome, back)


def register_page(request: Request, visitor: Seen) -> Response:
    """Asks for a name and a password of one's own."""
    if visitor.session is not None:
        return RedirectResponse("/", 303)
    return show(request, "register.html", faults=[], name="")


def register(request: Request, services: House, form: Form) -> Response:
    """Makes a resident's account and begins its first session."""
    name = form.text("name")
    outcome = services.office.sessions.register(name, _secret(form, "password"), address(request))
    if isinstance(outcome, Refused):
        field = "password" if outcome.fault.value.startswith("password") else "name"
        return show(request, "register.html", _status(outcome), faults=[_fault(outcome, field)], name=name)
    return _go_in(services, outcome, "/")


def sign_out(request: Request, services: House, visitor: Seen) -> Response:
    """Ends the session; the browser forgets its codes."""
    token = request.cookies.get(services.cookies.session)
    if visitor.session is not None and token:
        services.office.sessions.sign_out(token)
    response = RedirectResponse("/", 303)
    end(services, response)
    return response


def password_page(request: Request, visitor: Seen) -> Response:
    """Asks for the old password and a new one."""
    if visitor.session is None:
        raise SignInNeeded("/password")
    return show(request, "password.html", faults=[])


def change_password(request: Request, services: House, visitor: Seen, form: Form) -> Response:
    """Changes the password: every other session ends."""
    if visitor.session is None:
        raise SignInNeeded("/password")
    outcome = services.office.sessions.change_password(visitor.session.actor, _secret(form, "old"), _secret(form, "new"))
    if isinstance(outcome, Refused):
        field = "new" if outcome.fault.value.startswith("password") else "old"
        return show(request, "password.html", _status(outcome), faults=[_fault(outcome, field)])
    return _go_in(services, outcome, "/")


def choose_language(services: House, to: str = "", back: str = "/") -> Response:
    """Remembers a language and goes back to the page that was read."""
    response = RedirectResponse(safe_path(back), 303)
    if to in tuple(Language):
        remember_language(services, response, to)
    return response


def address(request: Request) -> str:
    """Where a request comes from, as far as the server or a proxy that it trusts can tell."""
    return request.client.host if request.client is not None else ""


def _go_in(services: Services, signed_in: SignedIn, back: str) -> Response:
    response = RedirectResponse(back, 303)
    begin(services, response, signed_in)
    return response


def _secret(form: Form, name: str) -> str:
    return form.text(name)


def _fault(refused: Refused, field: str) -> Shown:
    if refused.fault is AccountFault.WAIT:
        if refused.wait_s > 90:
            return Shown(field, "account.wait_minutes", {"n": ceil(refused.wait_s / 60)})
        return Shown(field, "account.wait_seconds", {"n": ceil(refused.wait_s)})
    return Shown(field, f"account.{refused.fault.value}")


def _status(refused: Refused) -> int:
    return 429 if refused.fault is AccountFault.WAIT else 422
