"""The application: every room's router behind one guard, error pages, static files, the answer to whoever asks whether it is well."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from healthcode import admission
from healthcode.cose import Signer
from healthcode.trust import KeyRing
from server.office import Office
from server.store.sql import text
from server.web import desk, desk_imports, desk_jobs, desk_policy, entrance, fleet_door, portal, portal_appeal, releases, static_files
from server.web.api.application import MOST_BYTES, ROOT, serve_api, tell_wrong
from server.web.guard import Guard, TooLarge
from server.web.pages import Pages, show
from server.web.services import Services
from server.web.visitors import SignInNeeded, see, sign_in_path

log = logging.getLogger("server.web")

API = "/api/"
"""Where apps ask: no cookies, no forms; problem+json instead of pages."""
ERRORS = (400, 403, 404, 405, 413, 429, 500, 503)
"""Those with words of their own; others are told as 400 or 500."""
LIMITS: dict[str, int] = {
    API: MOST_BYTES,
    desk_imports.PATH: desk_imports.MOST_BYTES,
    desk_policy.PATH: desk_policy.MOST_BYTES,
    portal_appeal.PATH: portal_appeal.MOST_BYTES,
    admission.PATH: admission.MOST_BYTES,
}
"""Most bytes of a request's body by the beginning of its path, where a room takes more than `guard.LEAST_LIMIT`."""


def create_app(office: Office, sign_token: Callable[[], Signer], ring: Callable[[], KeyRing]) -> FastAPI:
    """The application on an open office; `sign_token` gives the key that signs codes now, `ring` the keys that are trusted."""
    pages, routes = _rooms()
    app = FastAPI(title="healthgate", openapi_url=None, docs_url=None, redoc_url=None, routes=routes)
    services = Services(office, sign_token, ring)
    app.state.services, app.state.pages = services, pages
    app.mount(ROOT, serve_api(services))
    app.add_api_route("/health", _health, include_in_schema=False)
    app.add_exception_handler(SignInNeeded, _ask_to_sign_in)
    app.add_exception_handler(TooLarge, _too_large)
    app.add_exception_handler(desk_jobs.JobGone, desk_jobs.tell_gone)
    app.add_exception_handler(ClientDisconnect, _gone)
    for kind in (StarletteHTTPException, RequestValidationError, SQLAlchemyError, Exception):
        app.add_exception_handler(kind, _tell)
    app.add_middleware(Guard, origin=office.config.web.origin, limits=LIMITS, strangers=[API, admission.PATH], too_large=_tell_too_large)
    return app


@cache
def _rooms() -> tuple[Pages, list[BaseRoute]]:
    """The pages, and the routes to them: what takes longest to make, and is the same for every application of the process.

    Routes and not routers: FastAPI makes each route of a router that it includes a second time, while the first visitor waits.
    """
    files = static_files.load_static()
    rooms = (portal.make_router(), desk.make_router(), fleet_door.make_router(), releases.make_router())
    return Pages(files), [route for room in (static_files.make_router(files), entrance.make_router(files), *rooms) for route in room.routes]


def _health(request: Request) -> JSONResponse:
    """Whether the database answers, for whoever watches the process."""
    services: Services = request.app.state.services
    try:
        with services.office.store.read() as tx:
            tx.execute(text("SELECT version FROM schema_version LIMIT 1")).scalar()
    except SQLAlchemyError:
        return JSONResponse({"status": "fail", "database": "fail"}, 503)
    return JSONResponse({"status": "pass", "database": "pass"})


async def _ask_to_sign_in(request: Request, wrong: Exception) -> Response:
    if not _is_read_by_people(request):
        return JSONResponse({"type": "about:blank", "status": 401}, 401, media_type="application/problem+json")
    back = wrong.back if isinstance(wrong, SignInNeeded) else "/"
    return RedirectResponse(sign_in_path(back), 303)


async def _tell_too_large(request: Request) -> Response:
    answer = await _tell(request, StarletteHTTPException(413))
    answer.headers["connection"] = "close"
    return answer


async def _too_large(request: Request, _: Exception) -> Response:
    return await _tell_too_large(request)


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody is there to be told; it is no fault of ours, and not for the log."""
    return Response(status_code=400)


async def _tell(request: Request, wrong: Exception) -> Response:
    """An error page in the visitor's language; a program gets problem+json (RFC 9457). What went wrong inside goes to the log alone."""
    if request.url.path.startswith(API):  # an address that the API does not have, or could not be
        return await tell_wrong(request, wrong)
    match wrong:
        case StarletteHTTPException():
            status, what, headers = wrong.status_code, str(wrong.detail), wrong.headers
        case RequestValidationError():
            status, what, headers = 400, "", None
        case SQLAlchemyError():
            log.error("%s %s: %s", request.method, request.url.path, str(wrong).splitlines()[0])
            status, what, headers = 503, "", None
        case _:
            log.error("%s %s: %s", request.method, request.url.path, type(wrong).__name__, exc_info=wrong)
            status, what, headers = 500, "", None
    if not _is_read_by_people(request):
        return JSONResponse({"type": "about:blank", "status": status}, status, headers, media_type="application/problem+json")
    name = status if status in ERRORS else 400 if status < 500 else 500
    try:
        if not hasattr(request.state, "visitor"):
            await run_in_threadpool(see, request, request.app.state.services)
        key = what if what == "stale_form" else str(name)
        return show(request, "error.html", status, key=key)
    except SQLAlchemyError:  # who is asking cannot be known either
        return PlainTextResponse("服务暂时不可用,请稍后再试。\nThe service is not available now. Please try again later.\n", 503)


def _is_read_by_people(request: Request) -> bool:
    """Whether the answer is a page: scripts ask for JSON."""
    return "application/json" not in request.headers.get("accept", "")
