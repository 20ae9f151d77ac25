"""The app's people and their families: identify, list, add, edit, end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from server.app_people import NotLinked, Person, State
from server.apps import Scope
from server.charges import ClaimWaits, HouseholdFault, Refused, Registered
from server.faults import Fault, Faults
from server.households import Member
from server.identity import mask_name
from server.web.api.callers import Call, Key, acting, answer, entering, note_view, once
from server.web.api.models import (
    ID,
    Details,
    Identified,
    MemberAdded,
    MemberBody,
    MembersBody,
    NewMember,
    PeopleBody,
    PersonBody,
)
from server.web.api.problems import Problem, ProblemFound, responses, say_both

Linking = Annotated[Call, Depends(entering(Scope.LINK))]
AboutPerson = Annotated[Call, Depends(acting(Scope.LINK))]
Registering = Annotated[Call, Depends(acting(Scope.REGISTER))]
Who = Annotated[str, Path(pattern=ID, description="The resident: a member of the person's family, or the person.")]
_MEMBER_RELATIONS = ("child", "elder", "other")
MOST_PEOPLE = 500


def add_routes(router: APIRouter) -> None:
    """Every route of this module."""
    link, register = {"security": [{"app": ["link"]}]}, {"security": [{"app": ["register"]}]}
    gone = (Problem.NOT_FOUND,)
    kept = (Problem.BUSY, Problem.KEY_REUSED)
    router.add_api_route(
        "/people",
        identify,
        methods=["POST"],
        tags=["people"],
        summary="Identify a person: the one that the app knows already, else a new one",
        status_code=201,
        response_model=PersonBody,
        responses={
            200: {"model": PersonBody, "description": "The app knew the person."},
            **responses(Problem.INVALID, Problem.REFUSED, *kept),
        },
        openapi_extra=link,
    )
    router.add_api_route(
        "/people",
        list_people,
        tags=["people"],
        summary="List the app's people",
        response_model=PeopleBody,
        responses=responses(),
        openapi_extra=link,
    )
    router.add_api_route(
        "/people/{person}",
        show_person,
        tags=["people"],
        summary="How the app stands to a person",
        response_model=PersonBody,
        responses=responses(*gone),
        openapi_extra=link,
    )
    router.add_api_route(
        "/people/{person}",
        end_person,
        methods=["DELETE"],
        tags=["people"],
        summary="Act for a person and their family no more",
        status_code=204,
        response_model=None,
        responses=responses(*gone),
        openapi_extra=link,
    )
    router.add_api_route(
        "/people/{person}/members",
        list_members,
        tags=["family"],
        summary="List those for whom the app acts with this person, the person among them",
        response_model=MembersBody,
        responses=responses(*gone),
        openapi_extra=link,
    )
    router.add_api_route(
        "/people/{person}/members",
        add_member,
        methods=["POST"],
        tags=["family"],
        summary="Add a member of the person's family",
        status_code=201,
        response_model=MemberAdded,
        responses=responses(*gone, Problem.INVALID, Problem.REFUSED, *kept),
        openapi_extra=register,
    )
    router.add_api_route(
        "/people/{person}/members/{resident}",
        edit_member,
        methods=["PATCH"],
        tags=["family"],
        summary="Edit details",
        status_code=204,
        response_model=None,
        responses=responses(*gone, Problem.INVALID),
        openapi_extra=link,
    )
    router.add_api_route(
        "/people/{person}/members/{resident}",
        end_member,
        methods=["DELETE"],
        tags=["family"],
        summary="Act for a member no more",
        status_code=204,
        response_model=None,
        responses=responses(*gone, Problem.REFUSED),
        openapi_extra=link,
    )


def identify(request: Request, call: Linking, key: Key, asked: Identified) -> Response:
    """A person whose paper the app has seen.

    With a one-time `code` from the person's own pages the app may act at once. Without one it needs the scope `register`: a number that
    is new is registered; any other has to be checked first, which is `waiting`.
    """
    services = call.services
    if not asked.code and Scope.REGISTER not in call.scopes:
        raise ProblemFound(Problem.SCOPE_MISSING, detail=Scope.REGISTER.value)

    def act() -> tuple[int, PersonBody]:
        typed = asked.model_dump(exclude={"code"})
        outcome = services.office.app_people.identify(call.app, typed, asked.code)
        match outcome:
            case Person():
                return 201 if outcome.is_new else 200, _show(outcome)
            case Faults() | Refused():
                raise refusal(outcome)
            case NotLinked():
                headers = {"retry-after": str(max(1, round(outcome.wait_s)))} if outcome.wait_s else {"retry-after": "3600"}
                raise ProblemFound(Problem.TOO_MANY, reason=outcome, headers=headers)

    return once(call, request, key, asked, act)


def list_people(
    call: Linking,
    after: Annotated[str, Query(pattern=r"^[0-9a-z]{0,32}$", description="The `next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_PEOPLE)] = 100,
) -> Response:
    """A page of the app's people."""
    found = call.services.office.app_people.list_people(call.app, after, limit)
    following = found[-1].person if len(found) == limit else None
    return answer(PeopleBody(people=[_show(person) for person in found], next=following))


def show_person(call: AboutPerson) -> Response:
    """Whether the app may act for the person."""
    found = call.services.office.app_people.find(call.app, call.person)
    if found is None:
        raise ProblemFound(Problem.NOT_FOUND)
    return answer(_show(found))


def end_person(call: AboutPerson) -> Response:
    """Ends everything that the app does for the person. What was declared stays with the person."""
    if not call.services.office.app_people.end(call.app, call.person):
        raise ProblemFound(Problem.NOT_FOUND)
    return Response(status_code=204)


def list_members(call: AboutPerson) -> Response:
    """The person and the family, names masked."""
    members = call.services.office.households.members(call.actor)
    note_view(call, *(member.resident for member in members))
    return answer(MembersBody(members=[_show_member(member) for member in members]))


def add_member(request: Request, call: Registering, key: Key, asked: NewMember) -> Response:
    """A child, an elder or somebody else of the family; what the person may do for them the app may do."""
    if asked.relation not in _MEMBER_RELATIONS:
        raise ProblemFound(Problem.INVALID, faults=Faults({"relation": Fault("relation.missing")}))
    if not call.services.office.households.members(call.actor):
        raise ProblemFound(Problem.NOT_FOUND)  # it does not act for the person yet

    def act() -> tuple[int, MemberAdded]:
        outcome = call.services.office.households.register(call.actor, asked.model_dump())
        match outcome:
            case Registered():
                return 201, MemberAdded(state="ready", resident=outcome.resident)
            case ClaimWaits():
                return 201, MemberAdded(state="waiting", reason=say_both("app.waiting", {}))
            case Faults() | Refused():
                raise refusal(outcome)

    return once(call, request, key, asked, act)


def edit_member(call: AboutPerson, resident: Who, asked: Details) -> Response:
    """Changes what is given."""
    outcome = call.services.office.households.edit(call.actor, resident, asked.model_dump(exclude_none=True))
    if isinstance(outcome, Faults | Refused):
        raise refusal(outcome)
    return Response(status_code=204)


def end_member(call: AboutPerson, resident: Who) -> Response:
    """The app does not act for this member any more."""
    outcome = call.services.office.households.detach(call.actor, resident)
    if outcome is not None:
        raise refusal(outcome)
    return Response(status_code=204)


def refusal(outcome: Faults | Refused) -> ProblemFound:
    """What a service refused, as a problem. Residents of others and none at all are told alike."""
    match outcome:
        case Faults():
            return ProblemFound(Problem.INVALID, faults=outcome)
        case Refused(HouseholdFault.NOT_YOURS):
            return ProblemFound(Problem.NOT_FOUND)
        case Refused():
            return ProblemFound(Problem.REFUSED, reason=outcome)


def _show(person: Person) -> PersonBody:
    reason = {State.READY: None, State.WAITING: "app.waiting", State.REFUSED: "app.refused"}[person.state]
    return PersonBody(
        person=person.person,
        state=person.state.value,
        resident=person.resident or None,
        reason=None if reason is None else say_both(reason, {}),
    )


def _show_member(member: Member) -> MemberBody:
    return MemberBody(
        resident=member.resident,
        relation=member.relation,
        name=mask_name(member.person.name),
        years=member.years,
        must_hand_over=member.must_hand_over,
    )
