"""One person's page: what is known in the order of time, the ruling in words, what would change it, codes, who looked, what can be done."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.dossiers import Dossier, Effect
from server.faults import Fault
from server.identity import Paper
from server.registry import Resident
from server.typed import read_temperature
from server.web.desk_pages import show_desk
from server.web.desk_places import tell_place
from server.web.desk_rules import StaffSession, add
from server.web.desk_telling import tell_age, tell_entry, tell_fact
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
LEAST_C = 34.0
"""Less is no temperature of a person who stands there."""
DONE = ("cleared", "reissued", "proposed")


def add_routes(router: APIRouter) -> None:
    """Finding people, their page, and what can be done there."""
    add(router, "GET", "/desk/people", find_page)
    add(router, "POST", "/desk/people", find)
    add(router, "GET", "/desk/people/{resident}", person_page)
    add(router, "POST", "/desk/people/{resident}/names", show_names)
    add(router, "POST", "/desk/people/{resident}/thermometer", thermometer)
    add(router, "GET", "/desk/people/{resident}/reissue", reissue_page)
    add(router, "POST", "/desk/people/{resident}/reissue", reissue)


def find_page(request: Request, session: StaffSession) -> Response:
    """Asks whom to find."""
    return _ask(request, session, "", Paper.CITIZEN.value, [])


def find(request: Request, services: House, session: StaffSession, form: Form) -> Response:
    """Finds a person by id or number; neither is ever in an address that a log could keep, but the id of whoever was found."""
    typed, state = form.text("number"), form.text("state")
    paper = form.text("paper") if form.text("paper") in tuple(Paper) else Paper.CITIZEN.value
    found = services.office.dossiers.find(session.actor, Paper(paper), typed, state)
    if isinstance(found, str):
        return RedirectResponse(f"/desk/people/{found}", 303)
    fault = Shown("number", "people.nobody") if found is None else Shown("number", found.key, found.params)
    return _ask(request, session, state, paper, [fault])


def person_page(request: Request, services: House, visitor: Seen, session: StaffSession, resident: str, did: str = "") -> Response:
    """The person's page with name and number masked."""
    return _show(request, services, visitor.words, session, resident, did=did if did in DONE else "")


def show_names(request: Request, services: House, visitor: Seen, session: StaffSession, resident: str) -> Response:
    """The same with name and number in clear."""
    return _show(request, services, visitor.words, session, resident, shows=True)


def thermometer(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, resident: str) -> Response:
    """Takes a clinical thermometer's reading: says first what it does, and does it when that was read."""
    dossiers, words = services.office.dossiers, visitor.words
    most = dossiers.most_c()
    read = read_temperature(form.text("body_c"))
    fault: Shown | None = None
    if isinstance(read, Fault):
        fault = Shown("body_c", read.key, read.params)
    elif not LEAST_C <= read < most:
        fault = Shown("body_c", "people.thermometer_range", {"least": f"{LEAST_C:.1f}", "most": f"{most:.1f}"})
    if fault is not None or isinstance(read, Fault):
        return _show(request, services, words, session, resident, faults=[fault] if fault else [], typed=form.text("body_c"))
    if form.text("confirmed") == "yes":
        _done(dossiers.clear(session.actor, resident, read))
        return RedirectResponse(f"/desk/people/{resident}?did=cleared", 303)
    effect = dossiers.effect(resident, dossiers.cleared(session.actor, read))
    if effect is None:
        raise HTTPException(404)
    return show_desk(
        request,
        session,
        "desk_confirm.html",
        "people",
        title=words("people.thermometer"),
        lead=words("people.thermometer_lead", figure=f"{read:.1f}", resident=resident),
        effects=[tell_effect(words, effect), words("effect.no_undo")],
        action=f"/desk/people/{resident}/thermometer",
        fields={"body_c": f"{read:.1f}", "confirmed": "yes"},
        go=words("people.thermometer_go"),
        back=f"/desk/people/{resident}",
    )


def reissue_page(request: Request, services: House, visitor: Seen, session: StaffSession, resident: str) -> Response:
    """Says what ending a person's codes does."""
    words = visitor.words
    if services.office.registry.find(resident) is None:
        raise HTTPException(404)
    return show_desk(
        request,
        session,
        "desk_confirm.html",
        "people",
        title=words("people.reissue"),
        lead=words("people.reissue_lead", resident=resident),
        effects=[words("queue.effect.reissue"), words("effect.no_undo")],
        action=f"/desk/people/{resident}/reissue",
        fields={},
        go=words("people.reissue_go"),
        back=f"/desk/people/{resident}",
    )


def reissue(services: House, session: StaffSession, form: Form, resident: str) -> Response:
    """Ends a person's codes."""
    _done(services.office.dossiers.reissue(session.actor, resident))
    return RedirectResponse(f"/desk/people/{resident}?did=reissued", 303)


def tell_effect(words: Words, effect: Effect) -> str:
    """To how many people something does what, in words."""
    after = words(f"colour.{effect.after}.word")
    if effect.before == effect.after:
        return words("effect.stays", colour=after, why=words.explain(effect.why))
    return words("effect.turns", before=words(f"colour.{effect.before}.word"), after=after, why=words.explain(effect.why))


def _done(outcome: object) -> None:
    if not isinstance(outcome, Resident):
        raise HTTPException(404)


def _ask(request: Request, session: StaffSession, state: str, paper: str, faults: list[Shown]) -> Response:
    return show_desk(
        request,
        session,
        "desk_find.html",
        "people",
        status=422 if faults else 200,
        state=state,
        paper=paper,
        papers=[each.value for each in Paper],
        faults=faults,
    )


def _show(
    request: Request,
    services: Services,
    words: Words,
    session: StaffSession,
    resident: str,
    *,
    shows: bool = False,
    did: str = "",
    faults: list[Shown] | None = None,
    typed: str = "",
) -> Response:
    found = services.office.dossiers.open(session.actor, resident, shows=shows)
    if not isinstance(found, Dossier):
        raise HTTPException(404)
    now = services.office.now()
    ruling = found.ruling
    return show_desk(
        request,
        session,
        "desk_person.html",
        "people",
        status=422 if faults else 200,
        person=found,
        place=tell_place(words, found.district),
        colour=ruling.word,
        why=words.explain(ruling.why),
        since=ruling.since,
        until=ruling.until,
        others=[words.explain(reason.why) for reason in ruling.others],
        changes=[words.explain(change) for change in ruling.changes],
        facts=[tell_fact(words, fact) for fact in found.facts],
        made=[{"at": each.at, "colour": each.colour, "why": words.explain(each.why), "policy": each.policy} for each in found.made],
        issues=[
            {
                "at": row.issued_ms / 1000,
                "form": row.form,
                "codes": row.codes,
                "from": float(row.not_before),
                "to": float(row.expires),
                "state": "ended" if row.is_over else "expired" if row.expires <= now else "valid",
            }
            for row in found.issues
        ],
        waiting=[{"review": row.review, "kind": row.kind, "age": tell_age(words, now - row.received_ms / 1000)} for row in found.waiting],
        looked=[tell_entry(words, entry) for entry in found.looked],
        done=[tell_entry(words, entry) for entry in found.done],
        did=did,
        faults=faults or [],
        typed=typed,
    )
