"""The token endpoint: client credentials (RFC 6749, 4.4), by HTTP Basic or in the form."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from typing import Annotated, Literal
from urllib.parse import unquote_plus

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from server.apps import TokenFault
from server.web.api.callers import answer, quotas_of
from server.web.api.models import Token, TokenRefused
from server.web.api.problems import Problem, describe
from server.web.services import Services, services_of

Error = Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"]
_SAID: dict[Error, str] = {
    "invalid_request": "expected grant_type, and the app's id and secret once, by HTTP Basic or as client_id and client_secret",
    "invalid_client": "the id or the secret is wrong, or the app may do nothing any more",
    "unsupported_grant_type": "expected grant_type=client_credentials",
    "invalid_scope": "the app does not have all of these scopes",
}
_Field = Annotated[str, Form(max_length=200)]


def add_routes(router: APIRouter) -> None:
    """The endpoint."""
    router.add_api_route(
        "/token",
        fetch_token,
        methods=["POST"],
        tags=["token"],
        summary="Fetch a bearer token, good for a quarter of an hour",
        response_model=Token,
        openapi_extra={"security": [{"client": []}, {}]},
        responses={
            **describe((Problem.TOO_LARGE, Problem.TOO_MANY, Problem.UNAVAILABLE)),
            400: {"model": TokenRefused, "description": "RFC 6749, 5.2."},
            401: {
                "model": TokenRefused,
                "description": "`invalid_client`",
                "headers": {"WWW-Authenticate": {"description": "RFC 7617.", "schema": {"type": "string"}}},
            },
        },
    )


def fetch_token(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    grant_type: _Field = "",
    scope: _Field = "",
    client_id: _Field = "",
    client_secret: _Field = "",
) -> Response:
    """A bearer token for the scopes asked for, or for all that the app has."""
    quotas = quotas_of(request)
    quotas.take(quotas.addresses, request.client.host if request.client is not None else "")
    basic = request.headers.get("authorization", "")
    found = _read_basic(basic) if basic else (client_id, client_secret)
    if found is None:
        return refuse("invalid_client")
    if not grant_type or not all(found) or (basic and client_secret):
        return refuse("invalid_request")
    if grant_type != "client_credentials":
        return refuse("unsupported_grant_type")
    outcome = services.office.apps.token(*found, scope)
    match outcome:
        case TokenFault.CLIENT:
            return refuse("invalid_client")
        case TokenFault.SCOPE:
            return refuse("invalid_scope")
    made = Token(access_token=outcome.token, token_type="Bearer", expires_in=outcome.lasts_s, scope=" ".join(outcome.scopes))  # noqa: S106
    return answer(made)


def refuse(error: Error) -> Response:
    """Why there is no token."""
    headers = {"www-authenticate": 'Basic realm="healthgate", charset="UTF-8"'} if error == "invalid_client" else None
    return answer(TokenRefused(error=error, error_description=_SAID[error]), 401 if headers else 400, headers)


def _read_basic(header: str) -> tuple[str, str] | None:
    """Id and secret of HTTP Basic, form-encoded as RFC 6749, 2.3.1 wants them."""
    kind, _, coded = header.partition(" ")
    try:
        said = b64decode(coded.strip(), validate=True).decode() if kind.lower() == "basic" else ""
    except (NotBase64, ValueError):
        return None
    name, colon, secret = said.partition(":")
    return (unquote_plus(name), unquote_plus(secret)) if colon and name and secret else None
