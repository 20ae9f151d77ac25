"""Who is asking: the app of a bearer token, what the token is good for, the person it acts for, and how often it may ask.

Everything is decided in one dependency, in this order: token (401), scope (403), how often (429), the person (404).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Annotated

from fastapi import Depends, Header, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from server import audit
from server.actors import Actor, Role
from server.apps import Scope
from server.audit import Action
from server.config import Apps as AppsConfig
from server.replays import Busy, Fresh, Kept, Other
from server.web.api.models import ID
from server.web.api.problems import Problem, ProblemFound
from server.web.rates import Rate, Rates
from server.web.services import Services, services_of

LONGEST_TOKEN = 200
OF_ADDRESS = Rate(60, 60)
"""Requests for tokens from one address."""


class Quotas:
    """How often may be asked: by each app, for each of its people, and for tokens by each address."""

    def __init__(self, config: AppsConfig) -> None:
        self.apps = Rates(Rate(config.burst, config.per_minute))
        self.people = Rates(Rate(config.person_burst, config.person_per_minute))
        self.addresses = Rates(OF_ADDRESS)

    @staticmethod
    def take(rates: Rates, key: str) -> None:
        """Takes one; a problem that says how long to wait where there is none."""
        wait_s = rates.take(key, time.monotonic())
        if wait_s:
            raise ProblemFound(Problem.TOO_MANY, headers={"retry-after": str(ceil(wait_s))})


@dataclass(frozen=True)
class Call:
    """A request that may go on: the app, and the account by which it acts for the person (empty where it is about none)."""

    services: Services
    app: str
    person: str
    scopes: frozenset[Scope]

    @property
    def actor(self) -> Actor:
        """Who acts, for the services."""
        return Actor(self.person, Role.APP)


def entering(scope: Scope) -> Callable[..., Call]:
    """A dependency for requests that are about nobody yet."""

    def enter(request: Request, services: Annotated[Services, Depends(services_of)]) -> Call:
        return _enter(request, services, scope, None)

    return enter


def acting(scope: Scope) -> Callable[..., Call]:
    """A dependency for requests about one of the app's people."""

    def act(request: Request, services: Annotated[Services, Depends(services_of)], person: Annotated[str, Path(pattern=ID)]) -> Call:
        return _enter(request, services, scope, person)

    return act


Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r'^"?[A-Za-z0-9_-]{8,64}"?$',
        description="Drawn by the app for each request; the same request again gets the same answer for a day.",
    ),
]


def once(call: Call, request: Request, key: str, asked: BaseModel | None, act: Callable[[], tuple[int, BaseModel]]) -> Response:
    """What `act` answers, or what it answered when the same request came with this key before. What it refuses leaves the key free."""
    replays, name = call.services.office.replays, key.strip('"')
    body = "" if asked is None else asked.model_dump_json()
    told = f"{request.method} {request.url.path} {body}".encode()
    match replays.begin(call.app, name, told):
        case Other():
            raise ProblemFound(Problem.KEY_REUSED)
        case Busy():
            raise ProblemFound(Problem.BUSY, headers={"retry-after": "1"})
        case Kept(status, held):
            return Response(held, status, {"idempotency-replayed": "true"}, "application/json")
        case Fresh():
            pass
    try:
        status, made = act()
    except BaseException:
        replays.release(call.app, name)
        raise
    sent = made.model_dump_json(by_alias=True).encode()
    replays.keep(call.app, name, told, status, sent)
    return Response(sent, status, media_type="application/json")


def answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A body as JSON."""
    return Response(body.model_dump_json(by_alias=True), status, headers, "application/json")


def note_view(call: Call, *viewed: str) -> None:
    """Puts into the audit that the app saw how these residents stand."""
    if not viewed:
        return
    office = call.services.office
    entries = [audit.Entry(call.actor, Action.RESIDENT_VIEWED, audit.about("resident", each), {"app": call.app}) for each in viewed]
    with office.store.write() as tx:
        audit.append_many(tx, entries, office.now())


def quotas_of(request: Request) -> Quotas:
    """The quotas of the application."""
    found = request.app.state.quotas
    if not isinstance(found, Quotas):
        raise TypeError("the application has no quotas")
    return found


def _enter(request: Request, services: Services, scope: Scope, person: str | None) -> Call:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    found = None
    if kind.lower() == "bearer" and 0 < len(token) <= LONGEST_TOKEN:
        found = services.office.apps.caller(token.strip(), person or "")
    if found is None:
        raise ProblemFound(Problem.TOKEN_INVALID, headers={"www-authenticate": 'Bearer realm="healthgate", error="invalid_token"'})
    if scope not in found.scopes:
        challenge = f'Bearer realm="healthgate", error="insufficient_scope", scope="{scope.value}"'
        raise ProblemFound(Problem.SCOPE_MISSING, detail=scope.value, headers={"www-authenticate": challenge})
    quotas = quotas_of(request)
    quotas.take(quotas.apps, found.app)
    if person is not None:
        if not found.is_its_person:
            raise ProblemFound(Problem.NOT_FOUND)
        quotas.take(quotas.people, person)
    return Call(services, found.app, person or "", found.scopes)
