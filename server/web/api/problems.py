"""What goes wrong, as problem details (RFC 9457): a stable type for each kind, and sentences in both languages where people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus

from pydantic import BaseModel
from starlette.responses import Response
from typing_extensions import TypedDict  # pydantic wants it before Python 3.12

from server.faults import Fault, Faults
from server.sentences import Language, say
from server.web.faulty import Keyed

MEDIA_TYPE = "application/problem+json"
PLACE = "/api/v1/problems/"
"""Before the word of a problem: its type, an address at which it is explained."""


class Problem(StrEnum):
    """The kinds of problems. Stable words: the ends of their types."""

    MALFORMED = "malformed"
    TOKEN_INVALID = "token_invalid"  # noqa: S105
    SCOPE_MISSING = "scope_missing"
    NOT_FOUND = "not_found"
    METHOD = "method"
    REFUSED = "refused"
    PENDING = "pending"
    BUSY = "busy"
    TOO_LARGE = "too_large"
    INVALID = "invalid"
    KEY_REUSED = "key_reused"
    TOO_MANY = "too_many"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"


STATUS = {
    Problem.MALFORMED: 400,
    Problem.TOKEN_INVALID: 401,
    Problem.SCOPE_MISSING: 403,
    Problem.NOT_FOUND: 404,
    Problem.METHOD: 405,
    Problem.REFUSED: 409,
    Problem.PENDING: 409,
    Problem.BUSY: 409,
    Problem.TOO_LARGE: 413,
    Problem.INVALID: 422,
    Problem.KEY_REUSED: 422,
    Problem.TOO_MANY: 429,
    Problem.FAILED: 500,
    Problem.UNAVAILABLE: 503,
}
TITLE = {
    Problem.MALFORMED: "The request is not one that the description of this API allows.",
    Problem.TOKEN_INVALID: "There is no bearer token, or it is not good any more: fetch another one.",
    Problem.SCOPE_MISSING: "The token is not good for this: the scope that it needs is named.",
    Problem.NOT_FOUND: "There is nothing here for this app.",
    Problem.METHOD: "This address does not know the method.",
    Problem.REFUSED: "It was not done; the reason says why, in words for people.",
    Problem.PENDING: "The person has not been reviewed: there is no code before that.",
    Problem.BUSY: "The same request is being answered: ask again in a second.",
    Problem.TOO_LARGE: "The body is longer than the API takes.",
    Problem.INVALID: "Something that was typed is wrong; each fault names its field, in words for people.",
    Problem.KEY_REUSED: "This idempotency key belongs to another request.",
    Problem.TOO_MANY: "Too many requests: wait as long as Retry-After says.",
    Problem.FAILED: "Something went wrong inside.",
    Problem.UNAVAILABLE: "The service is not available now: ask again later.",
}
OF_STATUS = {status: problem for problem, status in reversed(STATUS.items())}


Text = TypedDict("Text", {"zh-CN": str, "en": str})
"""One text in both languages."""


def both(chinese: str, english: str) -> Text:
    """A text in both languages."""
    return {"zh-CN": chinese, "en": english}


class Sentence(BaseModel):
    """A sentence for people: its stable key, what is filled in, and how it reads."""

    key: str
    values: dict[str, str | int | float] = {}
    text: Text


class FieldFault(Sentence):
    """What is wrong with one field."""

    field: str


class ProblemBody(BaseModel):
    """RFC 9457. `reason` where people are to be told something, `faults` where fields are wrong."""

    type: str
    title: str
    status: int
    detail: str | None = None
    reason: Sentence | None = None
    faults: list[FieldFault] | None = None


class ProblemFound(Exception):
    """A request ends with a problem."""

    def __init__(
        self,
        problem: Problem,
        *,
        detail: str | None = None,
        reason: Keyed | None = None,
        faults: Faults | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(problem.value)
        self.problem = problem
        self.detail = detail
        self.reason = reason
        self.faults = faults
        self.headers = dict(headers or {})

    def answer(self) -> Response:
        """The answer that says so."""
        return tell(self.problem, self.detail, self.reason, self.faults, self.headers)


def tell(
    problem: Problem,
    detail: str | None = None,
    reason: Keyed | None = None,
    faults: Faults | None = None,
    headers: Mapping[str, str] | None = None,
    status: int | None = None,
) -> Response:
    """The answer for a problem."""
    number = STATUS[problem] if status is None else status
    body = ProblemBody(
        type=PLACE + problem.value,
        title=TITLE[problem] if status is None else HTTPStatus(status).phrase,
        status=number,
        detail=detail,
        reason=None if reason is None else say_both(reason.key, reason.params),
        faults=None if faults is None else _tell_faults(faults.by_field),
    )
    return Response(body.model_dump_json(by_alias=True, exclude_none=True), number, headers, MEDIA_TYPE)


def say_both(key: str, params: Mapping[str, str | int]) -> Sentence:
    """A sentence in both languages."""
    text = both(say(Language.CHINESE, key, params), say(Language.ENGLISH, key, params))
    return Sentence(key=key, values=dict(params), text=text)


def _tell_faults(by_field: Mapping[str, Fault]) -> list[FieldFault]:
    return [FieldFault(field=field, **say_both(fault.key, fault.params).model_dump(by_alias=True)) for field, fault in by_field.items()]


def responses(*problems: Problem) -> dict[int | str, dict[str, object]]:
    """The problems of an operation, and those that every one has, for the API's description."""
    every = (Problem.MALFORMED, Problem.TOKEN_INVALID, Problem.SCOPE_MISSING, Problem.TOO_LARGE, Problem.TOO_MANY, Problem.UNAVAILABLE)
    return describe((*every, *problems))


def describe(problems: Sequence[Problem]) -> dict[int | str, dict[str, object]]:
    """These problems by their status, for the API's description."""
    found: dict[int | str, dict[str, object]] = {}
    for status in sorted({STATUS[problem] for problem in problems}):
        said = " ".join(f"`{problem.value}`: {TITLE[problem]}" for problem in problems if STATUS[problem] == status)
        found[status] = {"description": said, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}}
        if status in (429, 503):
            found[status]["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
        if status == 401:
            found[status]["headers"] = {"WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}}}
    return found
