"""What an app needs to ask the questions, and what problems mean: nothing personal, no token wanted, the same for everybody."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import BaseModel
from starlette.responses import Response

from server.declarations import Question, questions
from server.districts import districts
from server.sentences import Language, sentences
from server.web.api.models import Choice, District, DistrictsBody, OnlyIf, ProblemMeaning, QuestionBody, QuestionsBody
from server.web.api.problems import PLACE, STATUS, TITLE, Problem, Text, both, describe

FRESH_S = 3600
Match = Annotated[str, Header(max_length=400, alias="If-None-Match")]


def add_routes(router: APIRouter) -> None:
    """Every route of this module."""
    kept: dict[int | str, dict[str, object]] = {
        304: {"description": "It is as it was."},
        **describe((Problem.MALFORMED, Problem.TOO_LARGE, Problem.UNAVAILABLE)),
    }
    for path, function, model, summary in (
        ("/questions", ask, QuestionsBody, "The questions of declarations and check-ins, in both languages"),
        ("/districts", list_districts, DistrictsBody, "The districts that can be answered"),
    ):
        router.add_api_route(path, function, tags=["questions"], summary=summary, response_model=model, responses=kept)
    router.add_api_route(
        "/problems/{problem}",
        explain_problem,
        tags=["problems"],
        summary="What a problem means",
        response_model=ProblemMeaning,
        responses=describe((Problem.MALFORMED, Problem.NOT_FOUND, Problem.TOO_LARGE, Problem.UNAVAILABLE)),
    )


def ask(if_none_match: Match = "") -> Response:
    """Titles, hints, choices, and when a question is asked."""
    return _answer(_questions(), if_none_match)


def list_districts(if_none_match: Match = "") -> Response:
    """Codes and names."""
    return _answer(_districts(), if_none_match)


def explain_problem(problem: Problem) -> Response:
    """The status and the title of a problem's type."""
    meaning = ProblemMeaning(type=PLACE + problem.value, status=STATUS[problem], title=TITLE[problem])
    return Response(meaning.model_dump_json(), media_type="application/json", headers={"cache-control": f"public, max-age={FRESH_S}"})


def _answer(made: tuple[str, str], if_none_match: str) -> Response:
    body, tag = made
    headers = {"etag": tag, "cache-control": f"public, max-age={FRESH_S}"}
    if tag in [each.strip().removeprefix("W/") for each in if_none_match.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


@cache
def _questions() -> tuple[str, str]:
    return _seal(
        QuestionsBody(
            declaration=[_question(question) for question in questions(is_check_in=False)],
            check_in=[_question(question) for question in questions(is_check_in=True)],
        )
    )


@cache
def _districts() -> tuple[str, str]:
    found = [
        District(
            code=each.code,
            prefecture=both(each.prefecture_name, each.prefecture_english),
            name=both(each.name, each.english),
        )
        for each in districts().values()
    ]
    return _seal(DistrictsBody(districts=found))


def _question(question: Question) -> QuestionBody:
    field = question.field.value
    condition = question.only_if
    return QuestionBody(
        field=field,
        kind=question.kind.value,
        is_optional=question.is_optional,
        title=_say(f"question.{field}.title"),
        hint=_say(f"question.{field}.hint") if f"question.{field}.hint" in sentences(Language.ENGLISH) else None,
        choices=[Choice(value=choice, text=_say(f"question.{field}.{choice}")) for choice in question.choices],
        only_if=None if condition is None else OnlyIf(field=condition[0].value, values=sorted(condition[1])),
    )


def _say(key: str) -> Text:
    return both(sentences(Language.CHINESE)[key], sentences(Language.ENGLISH)[key])


def _seal(body: BaseModel) -> tuple[str, str]:
    text = body.model_dump_json(by_alias=True)
    return text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
