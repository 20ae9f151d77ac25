"""How somebody stands and why, and their codes."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response

from healthcode.messages import stamp
from server.apps import Scope
from server.charges import Refused, charge_of
from server.explanations import Sentence as Told
from server.issuer import Pack
from server.registry import Refused as NotIssued
from server.registry import RegistryFault
from server.sentences import Language
from server.web import residents
from server.web.api.callers import Call, Key, Quotas, acting, answer, note_view, once
from server.web.api.models import Code, CodePack, Standing
from server.web.api.models import Pack as PackAsked
from server.web.api.people import Who, refusal
from server.web.api.problems import Problem, ProblemFound, Sentence, both, responses
from server.web.services import Services

Looking = Annotated[Call, Depends(acting(Scope.STANDING))]
Fetching = Annotated[Call, Depends(acting(Scope.CODE))]
_ETAG = {"ETag": {"description": "Of what is answered (RFC 9110, 8.8.3).", "schema": {"type": "string"}}}


def add_routes(router: APIRouter) -> None:
    """Every route of this module."""
    one = "/people/{person}/members/{resident}"
    router.add_api_route(
        f"{one}/standing",
        standing,
        tags=["standing"],
        summary="The colour, since when, until when, why, and what would change it",
        response_model=Standing,
        responses={
            200: {"description": "How the resident stands.", "headers": _ETAG},
            304: {"description": "It is as it was.", "headers": _ETAG},
            **responses(Problem.NOT_FOUND),
        },
        openapi_extra={"security": [{"app": ["standing"]}]},
    )
    router.add_api_route(
        f"{one}/code-packs",
        fetch_codes,
        methods=["POST"],
        tags=["codes"],
        summary="Codes for a phone, each good for about two minutes, for hours without a line",
        response_model=CodePack,
        responses=responses(Problem.NOT_FOUND, Problem.PENDING),
        openapi_extra={"security": [{"app": ["code"]}]},
    )
    router.add_api_route(
        f"{one}/codes/end",
        end_codes,
        methods=["POST"],
        tags=["codes"],
        summary="End every code of the resident at once: a phone or a paper was lost",
        response_model=Standing,
        responses=responses(Problem.NOT_FOUND, Problem.BUSY, Problem.KEY_REUSED),
        openapi_extra={"security": [{"app": ["code"]}]},
    )


def standing(call: Looking, resident: Who, if_none_match: Annotated[str, Header(max_length=400)] = "") -> Response:
    """The ruling in force, in words for people."""
    _check(call, resident)
    made = answer(_stand(call.services, resident))
    tag = f'"{hashlib.sha256(bytes(made.body)).hexdigest()[:32]}"'
    asked = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    if tag in asked or "*" in asked:
        return Response(status_code=304, headers={"etag": tag})
    made.headers["etag"] = tag
    note_view(call, resident)
    return made


def fetch_codes(call: Fetching, resident: Who, asked: PackAsked) -> Response:
    """Codes under the ruling in force; what was fetched before stays good."""
    _check(call, resident)
    Quotas.take(call.services.packs, f"app {call.person}")
    found = call.services.issuer.live_pack(resident, lasting_s=asked.lasting_s, who=call.actor)
    match found:
        case Pack():
            codes = [Code(text=code.text, not_before=stamp(code.not_before), expires=stamp(code.expires)) for code in found.codes]
            return answer(CodePack(colour=found.colour.value, ruled_at=stamp(found.ruled_at), codes=codes))
        case NotIssued(RegistryFault.PENDING):
            raise ProblemFound(Problem.PENDING)
        case NotIssued():
            raise ProblemFound(Problem.NOT_FOUND)


def end_codes(request: Request, call: Fetching, resident: Who, key: Key) -> Response:
    """No code that the resident holds opens anything any more; codes fetched from now on do."""
    _check(call, resident)

    def act() -> tuple[int, Standing]:
        if isinstance(call.services.office.registry.revoke(resident, call.actor), NotIssued):
            raise ProblemFound(Problem.UNAVAILABLE, headers={"retry-after": "60"})
        return 200, _stand(call.services, resident)

    return once(call, request, key, None, act)


def _check(call: Call, resident: str) -> None:
    with call.services.office.store.read() as tx:
        relation = charge_of(tx, call.actor, resident)
    if isinstance(relation, Refused):
        raise refusal(relation)


def _stand(services: Services, resident: str) -> Standing:
    ruling, declared = residents.look_up(services, resident)
    held = services.office.registry.find(resident)
    newest = max((fact.at for fact in declared), default=None)
    return Standing(
        resident=resident,
        colour="pending" if ruling.colour is None else ruling.colour.value,
        rule=ruling.rule.value,
        since=stamp(ruling.since),
        until=None if ruling.until is None else stamp(ruling.until),
        ruled_at=None if held is None or held.colour is None else stamp(held.ruled_at),
        why=_explain(services, ruling.why),
        others=[_explain(services, reason.why) for reason in ruling.others],
        changes=[_explain(services, change) for change in ruling.changes],
        needs_declaration=all(fact.is_check_in for fact in declared),
        last_report_at=None if newest is None else stamp(newest),
    )


def _explain(services: Services, told: Told) -> Sentence:
    chinese, english = (services.words[language].explain(told) for language in (Language.CHINESE, Language.ENGLISH))
    return Sentence(key=told.key, values=dict(told.values), text=both(chinese, english))
