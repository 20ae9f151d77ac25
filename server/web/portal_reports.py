"""Declarations, check-ins and corrections: one question a page, answers kept as a draft, a last look, and sent once.

The three differ in what they ask (server.declarations) and where they go (server.checkins); the pages are the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.charges import Refused
from server.checkins import NotTaken, ReportKind, Taken
from server.declarations import Field, Kind, Question, asked, questions, read_answer
from server.drafts import DraftKind
from server.faults import Fault, Faults
from server.households import Member
from server.identity import mask_name, start_of
from server.sentences import Language
from server.web import residents
from server.web.faulty import Shown, tell
from server.web.forms import Fields, Form
from server.web.language import Words
from server.web.pages import show
from server.web.places import OUTSIDE, list_places, place_name
from server.web.services import Services, services_of
from server.web.visitors import ResidentSession, Seen, Visitor

House = Annotated[Services, Depends(services_of)]
Said = dict[str, str | Sequence[str]]


@dataclass(frozen=True)
class Path:
    """One of the three ways through the questions: its address, and the room that it belongs to."""

    name: str
    room: str


DECLARE, CHECK_IN, CORRECT = Path("declare", "code"), Path("check-in", "check_in"), Path("correct", "history")


@dataclass(frozen=True)
class Sheet:
    """A report that is being filled in."""

    path: Path
    member: Member
    is_check_in: bool
    said: Said

    @property
    def draft(self) -> DraftKind:
        """What its draft is of."""
        return DraftKind.CHECK_IN if self.is_check_in else DraftKind.DECLARATION

    @property
    def asked(self) -> tuple[Question, ...]:
        """The questions that apply."""
        return asked(self.said, is_check_in=self.is_check_in)

    @property
    def open(self) -> list[Question]:
        """Those that have no answer yet."""
        return [question for question in self.asked if question.field.value not in self.said]

    @property
    def answers(self) -> Said:
        """The answers to the questions that apply."""
        return {question.field.value: self.said[question.field.value] for question in self.asked if question.field.value in self.said}

    def address(self, step: str) -> str:
        """The page of a step."""
        return f"/{self.path.name}/{step}?who={self.member.resident}"

    def next(self) -> str:
        """The page of the first open question, else the last look."""
        return self.address(self.open[0].field.value if self.open else "check")


def add_routes(router: APIRouter) -> None:
    """The pages of all three ways."""
    for path in (DECLARE, CHECK_IN, CORRECT):
        steps = _Steps(path)
        if path is not CHECK_IN:
            router.add_api_route(f"/{path.name}", steps.begin)
        router.add_api_route(f"/{path.name}/check", steps.look)
        router.add_api_route(f"/{path.name}/send", steps.send, methods=["POST"])
        router.add_api_route(f"/{path.name}/{{field}}", steps.ask)
        router.add_api_route(f"/{path.name}/{{field}}", steps.answer, methods=["POST"])


class _Steps:
    """The pages of one way."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, services: House, session: ResidentSession, who: str = "") -> Response:
        """Goes to the first open question."""
        return RedirectResponse(self._sheet(services, session, who).next(), 303)

    def ask(self, request: Request, services: House, visitor: Seen, session: ResidentSession, field: Field, who: str = "") -> Response:
        """Shows one question."""
        sheet = self._sheet(services, session, who)
        return self._show(request, visitor, sheet, self._question(sheet, field), None)

    def answer(
        self, request: Request, services: House, visitor: Seen, session: ResidentSession, form: Form, field: Field, who: str = ""
    ) -> Response:
        """Takes one answer into the draft and goes on."""
        sheet = self._sheet(services, session, who)
        question = self._question(sheet, field)
        said: Said = {**sheet.said, field.value: _texts(form, question)}
        found = read_answer(question, said, services.office.now())
        fresh = Sheet(sheet.path, sheet.member, sheet.is_check_in, said)
        if isinstance(found, Fault):
            return self._show(request, visitor, fresh, question, found)
        if services.office.drafts.save(session.actor, sheet.draft, sheet.member.resident, said) is None:
            raise HTTPException(400)
        return RedirectResponse(fresh.next(), 303)

    def look(self, request: Request, services: House, visitor: Seen, session: ResidentSession, who: str = "") -> Response:
        """Shows all answers before they are sent."""
        sheet = self._sheet(services, session, who)
        if sheet.open:
            return RedirectResponse(sheet.next(), 303)
        return self._show_answers(request, services, visitor, sheet, [])

    def send(self, request: Request, services: House, visitor: Seen, session: ResidentSession, form: Form, who: str = "") -> Response:
        """Sends the report; the same one again counts once."""
        sheet = self._sheet(services, session, who)
        submission, office = form.text("submission"), services.office
        if sheet.open:
            return RedirectResponse(sheet.next(), 303)
        if self._path is CORRECT:
            outcome = office.checkins.correct(session.actor, sheet.member.resident, submission, sheet.answers)
        else:
            kind = ReportKind.CHECK_IN if sheet.is_check_in else ReportKind.DECLARATION
            outcome = office.checkins.submit(session.actor, sheet.member.resident, kind, submission, sheet.answers)
        match outcome:
            case Taken():
                return show_taken(
                    request, services, visitor, residents.find_members(services, session.actor), sheet.member, outcome, sheet.path
                )
            case Faults() | NotTaken() | Refused():
                return self._show_answers(request, services, visitor, sheet, [Shown("", each.key, each.values) for each in tell(outcome)])

    def _sheet(self, services: Services, session: ResidentSession, who: str) -> Sheet:
        """The report as its draft has it; telephone and district as they are known."""
        member = residents.choose(residents.find_members(services, session.actor), who)
        is_check_in = self._path is CHECK_IN
        if self._path is CORRECT:
            _, declared = residents.look_up(services, member.resident)
            is_check_in = bool(declared) and max(declared, key=lambda fact: fact.at).is_check_in
        kind = DraftKind.CHECK_IN if is_check_in else DraftKind.DECLARATION
        draft = services.office.drafts.load(session.actor, kind, member.resident)
        return Sheet(self._path, member, is_check_in, {} if draft is None else dict(draft.answers))

    def _question(self, sheet: Sheet, field: Field) -> Question:
        for question in questions(is_check_in=sheet.is_check_in):
            if question.field is field:
                return question
        raise HTTPException(404)

    def _show(self, request: Request, visitor: Visitor, sheet: Sheet, question: Question, fault: Fault | None) -> Response:
        field = question.field.value
        places = [each.field.value for each in sheet.asked]
        place = places.index(field) if field in places else 0
        known = {Field.PHONE: sheet.member.person.phone, Field.DISTRICT: sheet.member.person.district}.get(question.field, "")
        said = sheet.said.get(field, known)
        back = sheet.address(places[place - 1]) if place else "/check-in?who=" + sheet.member.resident if sheet.path is CHECK_IN else ""
        return show(
            request,
            "question.html",
            422 if fault else 200,
            question=question,
            kind=sheet.path.name,
            who=sheet.member.resident,
            name=mask_name(sheet.member.person.name),
            chosen=[said] if isinstance(said, str) else list(said),
            faults=[] if fault is None else [Shown(field, fault.key, fault.params)],
            step=place + 1,
            steps=len(places),
            back=back,
            places=list_places(visitor.words.language),
            outside=OUTSIDE,
            room=sheet.path.room,
        )

    def _show_answers(self, request: Request, services: Services, visitor: Visitor, sheet: Sheet, faults: list[Shown]) -> Response:
        at = services.office.now()
        answers = [
            {"field": question.field.value, "text": _tell(question, read_answer(question, sheet.said, at), visitor.words)}
            for question in sheet.asked
        ]
        return show(
            request,
            "check_answers.html",
            422 if faults else 200,
            answers=answers,
            faults=faults,
            kind=sheet.path.name,
            who=sheet.member.resident,
            name=mask_name(sheet.member.person.name),
            submission=secrets.token_urlsafe(16),
            room=sheet.path.room,
        )


def show_taken(
    request: Request, services: Services, visitor: Visitor, members: list[Member], member: Member, taken: Taken, path: Path
) -> Response:
    """Says that it came, what follows, and who of the family is next."""
    shown = [residents.show_member(services, visitor.words, each) for each in members if each.resident != member.resident]
    ruling, _ = residents.look_up(services, member.resident)
    return show(
        request,
        "sent.html",
        who=member.resident,
        name=mask_name(member.person.name),
        at=taken.at,
        outcome=f"sent.{ruling.word}",
        next_member=next((each for each in shown if not each.checked_in), None),
        room=path.room,
    )


def _texts(form: Fields, question: Question) -> str | list[str]:
    name = question.field.value
    return list(form.every(name)) if question.kind in (Kind.MANY, Kind.PLACES) else form.text(name)


def _tell(question: Question, found: object, words: Words) -> str:
    """An answer as people read it again."""
    prefix = f"question.{question.field.value}."
    joined: Callable[[Sequence[str]], str] = ("、" if words.language is Language.CHINESE else ", ").join
    match question.kind, found:
        case _, None | Fault():
            return words("check.empty")
        case Kind.TEMPERATURE, float():
            return f"{found:.1f} ℃"
        case Kind.DATE, date():
            return words.day(start_of(found))
        case ((Kind.PLACE | Kind.PLACES), _):
            codes = [found] if isinstance(found, str) else list(found) if isinstance(found, tuple) else []
            return joined([words("place.outside") if code == OUTSIDE else place_name(words.language, code) for code in codes]) or words(
                f"{prefix}none"
            )
        case Kind.MANY, tuple():
            return joined([words(f"{prefix}{choice}") for choice in found]) or words(f"{prefix}none")
        case Kind.ONE, _:
            return words(f"{prefix}{found}")
        case _:
            return str(found)
