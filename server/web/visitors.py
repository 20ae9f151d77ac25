"""Who is asking: the session of a request, what its role may see, its language, and the token that its forms must carry."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, HTTPException, Request
from starlette.responses import Response

from server.actors import Role
from server.sessions import Session, SignedIn
from server.web.language import Words, choose
from server.web.services import Services, services_of


@dataclass(frozen=True)
class Visitor:
    """A request's session (None: nobody is signed in), its words, and the secret by which its forms are known."""

    session: Session | None
    words: Words
    form_secret: str
    is_new: bool

    @property
    def form_token(self) -> str:
        """What every form must carry."""
        return self.form_secret


class SignInNeeded(Exception):
    """Nobody is signed in and the page is for somebody; `back` is where to go afterwards."""

    def __init__(self, back: str) -> None:
        self.back = back


def see(request: Request, services: Annotated[Services, Depends(services_of)]) -> Visitor:
    """The visitor of a request."""
    names = services.cookies
    token = request.cookies.get(names.session, "")
    looks_on = "text/event-stream" in request.headers.get("accept", "")
    session = services.office.sessions.session(token, is_use=not looks_on) if token else None
    words = services.words[choose(request.cookies.get(names.language), request.headers.get("accept-language", ""))]
    anonymous = request.cookies.get(names.form, "")
    is_new = session is None and not 20 <= len(anonymous) <= 64
    root = f"session {token}" if session is not None else f"browser {secrets.token_urlsafe(24) if is_new else anonymous}"
    visitor = Visitor(session, words, root, is_new)
    request.state.visitor = visitor
    return visitor


Seen = Annotated[Visitor, Depends(see)]


def form_token(services: Services, visitor: Visitor) -> str:
    """The token of the visitor's forms: a keyed hash of the session's or the browser's secret, so that no other site can know it."""
    return hmac.digest(services.form_key, visitor.form_secret.encode(), "sha256").hex()


def only(*roles: Role) -> Callable[[Request, Visitor], Awaitable[Session]]:
    """A dependency that lets pass who is signed in with one of `roles`: others are asked to sign in, or told that it is not theirs."""

    async def check(request: Request, visitor: Seen) -> Session:  # nothing to wait for: not worth a thread
        if visitor.session is None:
            raise SignInNeeded(f"{request.url.path}?{request.url.query}".rstrip("?") if request.method == "GET" else "/")
        if visitor.session.actor.role not in roles:
            raise HTTPException(403)
        return visitor.session

    return check


ResidentSession = Annotated[Session, Depends(only(Role.RESIDENT))]


def begin(services: Services, response: Response, signed_in: SignedIn) -> None:
    """Gives the browser its session and its mark. Residents' outlive the browser's end, for a code is shown every day; others' do not."""
    names = services.cookies
    is_resident = signed_in.session.actor.role is Role.RESIDENT
    lasting = int(signed_in.session.ends - signed_in.session.began) if is_resident else None
    _set(services, response, names.session, signed_in.token, lasting)
    _set(services, response, names.browser, signed_in.browser, 400 * 86_400)
    response.delete_cookie(names.form, secure=names.is_secure, httponly=True, samesite="lax")


def end(services: Services, response: Response) -> None:
    """Takes the session away, and what the browser kept of the pages."""
    names = services.cookies
    response.delete_cookie(names.session, secure=names.is_secure, httponly=True, samesite="lax")
    response.headers["clear-site-data"] = '"cache", "storage"'


def remember_form(services: Services, response: Response, visitor: Visitor) -> None:
    """Gives a browser without a session the secret of its forms."""
    if visitor.is_new:
        _set(services, response, services.cookies.form, visitor.form_secret.removeprefix("browser "), None)


def remember_language(services: Services, response: Response, language: str) -> None:
    """Remembers the language that somebody chose."""
    _set(services, response, services.cookies.language, language, 400 * 86_400)


def safe_path(path: str) -> str:
    """`path` where it is one of this site, else the first page: nobody is sent elsewhere by a link to us."""
    return path if path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable() else "/"


def sign_in_path(back: str) -> str:
    """The sign-in page that comes back to `back`."""
    return "/sign-in" if back == "/" else f"/sign-in?next={quote(back, safe='/')}"


def _set(services: Services, response: Response, name: str, value: str, lasting_s: int | None) -> None:
    response.set_cookie(name, value, max_age=lasting_s, path="/", secure=services.cookies.is_secure, httponly=True, samesite="lax")
