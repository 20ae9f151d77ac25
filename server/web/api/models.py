"""The bodies of requests and answers. Texts are as people type them; what they mean is read by the services, which the pages ask too."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.enrolment import Relation
from server.web.api.problems import Sentence, Text

Typed = Annotated[str, Field(max_length=200)]
Answer = Typed | Annotated[list[Typed], Field(max_length=60)]
ID = r"^[0-9a-z]{1,32}$"


class Asked(BaseModel):
    """Base of requests: what nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Papers(Asked):
    """A person by their paper. `state` (three letters of ICAO) and `born` go with a passport, `born` with a travel permit."""

    name: Typed = Field(examples=["张伟"])
    paper: Typed = Field(description="citizen, passport, hk_macao or taiwan", examples=["citizen"])
    number: Typed = Field(examples=["420106198005010012"])
    state: Typed = ""
    born: Typed = ""


class Identified(Papers):
    """A person whom the app has identified; `code` is a one-time code that they gave the app."""

    code: Typed = ""


class NewMember(Papers):
    """A member of the person's family."""

    relation: Typed = Field(description="child, elder or other", examples=["child"])


class Details(Asked):
    """The details that change; what is left out stays."""

    name: Typed | None = None
    phone: Typed | None = None
    district: Typed | None = Field(None, description="A code of GET /districts, or outside.")


class Report(Asked):
    """The answers to the questions of GET /questions; those that do not apply are left out."""

    symptoms: Answer | None = Field(None, examples=[["none"]])
    temperature: Answer | None = Field(None, description="Degrees Celsius, as typed.", examples=["36.6"])
    contact: Answer | None = Field(None, examples=["no"])
    travel: Answer | None = Field(None, examples=[["none"]])
    isolation: Answer | None = Field(None, examples=["none"])
    isolation_since: Answer | None = None
    district: Answer | None = Field(None, examples=["420106"])
    phone: Answer | None = Field(None, examples=["13800138000"])


class Pack(Asked):
    """For how many seconds codes are wanted; at most, and by default, as long as a pack lasts."""

    lasting_s: int | None = Field(None, ge=1, le=86_400)


class Token(BaseModel):
    """RFC 6749, 5.1."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class TokenRefused(BaseModel):
    """RFC 6749, 5.2."""

    error: Literal["invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"]
    error_description: str


class PersonBody(BaseModel):
    """A person of the app. `ready`: it may act; `waiting`: somebody has to check first; `refused`: it may not.

    `resident` is the id of the person among their members, where the app may act.
    """

    person: str
    state: Literal["ready", "waiting", "refused"]
    resident: str | None = None
    reason: Sentence | None = None


class PeopleBody(BaseModel):
    """The app's people, a page of them; `next` is the `after` of the next page."""

    people: list[PersonBody]
    next: str | None = None


class MemberBody(BaseModel):
    """Somebody for whom the app acts; the name is masked."""

    resident: str
    relation: Relation
    name: str
    years: int | None
    must_hand_over: bool


class MembersBody(BaseModel):
    """Everybody for whom the app acts with this person."""

    members: list[MemberBody]


class MemberAdded(BaseModel):
    """The new member, or `waiting`: somebody has to check first."""

    state: Literal["ready", "waiting"]
    resident: str | None = None
    reason: Sentence | None = None


class ReportTaken(BaseModel):
    """When the report was taken."""

    taken_at: datetime


class Standing(BaseModel):
    """How somebody stands: `rule` is a stable word, the sentences say why, what else holds, and what would change it."""

    resident: str
    colour: Literal["green", "yellow", "red", "pending"]
    rule: str
    since: datetime
    until: datetime | None
    ruled_at: datetime | None
    why: Sentence
    others: list[Sentence]
    changes: list[Sentence]
    needs_declaration: bool
    last_report_at: datetime | None


class Code(BaseModel):
    """One code: what the QR says, and from when until when it is good."""

    text: str
    not_before: datetime
    expires: datetime


class CodePack(BaseModel):
    """Codes in the order in which they are to be shown, each while it is good."""

    colour: Literal["green", "yellow", "red"]
    ruled_at: datetime
    codes: list[Code]


class Choice(BaseModel):
    """One of the answers to a question."""

    value: str
    text: Text


class QuestionBody(BaseModel):
    """One question. It is asked only if the answer to `only_if.field` is among `only_if.values`."""

    field: str
    kind: Literal["one", "many", "temperature", "date", "place", "places", "phone"]
    is_optional: bool
    title: Text
    hint: Text | None
    choices: list[Choice]
    only_if: OnlyIf | None


class OnlyIf(BaseModel):
    """When a question is asked."""

    field: str
    values: list[str]


class QuestionsBody(BaseModel):
    """The questions of a declaration and of a check-in, in order."""

    declaration: list[QuestionBody]
    check_in: list[QuestionBody]


class District(BaseModel):
    """A district by its code (GB/T 2260)."""

    code: str
    prefecture: Text
    name: Text


class DistrictsBody(BaseModel):
    """The districts that can be answered; beside them there is `outside`."""

    districts: list[District]


class ProblemMeaning(BaseModel):
    """What a problem means."""

    type: str
    status: int
    title: str
