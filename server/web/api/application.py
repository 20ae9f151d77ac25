"""The API's application: its routes, its problems, its description (OpenAPI)."""

from __future__ import annotations

import json
import logging
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute

from server.apps import MEANING
from server.web.api import open_data, people, reports, standings, token
from server.web.api.callers import Quotas
from server.web.api.problems import OF_STATUS, Problem, ProblemBody, ProblemFound, tell
from server.web.guard import TooLarge
from server.web.services import Services

log = logging.getLogger("server.web.api")

ROOT = "/api/v1"
VERSION = "1.0.0"
"""Of the API, not of the program: the second number goes up with what is added; a change that breaks apps gets another root."""
MOST_BYTES = 16 * 1024
"""Of a request's body: a declaration with every place has under 2 KB."""
_ABOUT = """Acts for people whom an app has identified: register, declare, check in, read the colour and its reasons, fetch codes.

Apps are added by who runs the server (`healthgate app add`). docs/api.md goes through a day."""


def make_api() -> FastAPI:
    """The application without services: enough for its description."""
    api = FastAPI(
        title="healthgate API for apps",
        version=VERSION,
        description=_ABOUT,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        servers=[{"url": ROOT}],
        root_path_in_servers=False,
        routes=_routes(),
    )
    api.add_exception_handler(ProblemFound, _tell_problem)
    for kind in (HTTPException, RequestValidationError, SQLAlchemyError, TooLarge, Exception):
        api.add_exception_handler(kind, tell_wrong)
    api.openapi = lambda: _describe(api)  # type: ignore[method-assign]
    return api


@cache
def _routes() -> list[BaseRoute]:
    """What takes longest to make, and is the same for every application of the process."""
    router = APIRouter()
    for part in (token, people, reports, standings, open_data):
        part.add_routes(router)
    return router.routes


def serve_api(services: Services) -> FastAPI:
    """The application with its services."""
    api = make_api()
    api.state.services, api.state.quotas = services, Quotas(services.office.config.apps)
    return api


def describe_api() -> str:
    """The API's description as a file."""
    return json.dumps(make_api().openapi(), indent=1, ensure_ascii=False) + "\n"


def _describe(api: FastAPI) -> dict[str, Any]:
    """The description: FastAPI's, with the ways in and the schema of problems."""
    if api.openapi_schema is None:
        made = get_openapi(
            title=api.title,
            version=api.version,
            description=api.description,
            routes=api.routes,
            servers=api.servers,
            separate_input_output_schemas=False,
        )
        parts = made["components"]
        problem = ProblemBody.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
        parts["schemas"].update(problem.pop("$defs"))
        parts["schemas"]["ProblemBody"] = problem
        for unused in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(unused, None)
        for operation in (each for path in made["paths"].values() for each in path.values()):
            if "HTTPValidationError" in str(operation["responses"].get("422")):  # FastAPI's own: ours is a 400
                del operation["responses"]["422"]
        parts["schemas"] = dict(sorted(parts["schemas"].items()))
        flow = {"tokenUrl": f"{ROOT}/token", "scopes": {scope.value: said for scope, said in MEANING.items()}}
        parts["securitySchemes"] = {
            "app": {"type": "oauth2", "description": "Client credentials (RFC 6749, 4.4).", "flows": {"clientCredentials": flow}},
            "client": {"type": "http", "scheme": "basic", "description": "The app's id and secret."},
        }
        api.openapi_schema = made
    return api.openapi_schema


async def _tell_problem(_: Request, wrong: Exception) -> Response:
    assert isinstance(wrong, ProblemFound)
    return wrong.answer()


async def tell_wrong(request: Request, wrong: Exception) -> Response:
    """What went wrong inside goes to the log alone, and never what was sent."""
    if isinstance(wrong, TooLarge) or isinstance(wrong.__cause__, TooLarge):
        return tell(Problem.TOO_LARGE, headers={"connection": "close"})
    match wrong:
        case RequestValidationError():
            errors = wrong.errors()
            if request.url.path.endswith("/token"):
                return token.refuse("invalid_request")
            if any(error["loc"][0] == "path" for error in errors):
                return tell(Problem.NOT_FOUND)
            return tell(Problem.MALFORMED, detail="; ".join(_place(error["loc"]) + f": {error['msg']}" for error in errors[:5]))
        case HTTPException(status_code=405):
            return tell(Problem.METHOD, headers=wrong.headers)
        case HTTPException():
            problem = OF_STATUS.get(wrong.status_code)
            return tell(problem or Problem.MALFORMED, headers=wrong.headers, status=None if problem else wrong.status_code)
        case SQLAlchemyError():
            log.error("%s %s: %s", request.method, _route(request), str(wrong).splitlines()[0])
            return tell(Problem.UNAVAILABLE, headers={"retry-after": "5"})
        case _:
            log.error("%s %s: %s", request.method, _route(request), type(wrong).__name__, exc_info=wrong)
            return tell(Problem.FAILED)


def _route(request: Request) -> str:
    """The address as the description has it, without ids."""
    return str(getattr(request.scope.get("route"), "path", request.url.path))


def _place(where: tuple[int | str, ...]) -> str:
    return ".".join(str(part)[:40] for part in where)
