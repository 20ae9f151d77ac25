"""The review queue: the gravest and oldest first, filters in the address, one decision a page with what it does to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from server.charges import Refused
from server.deadlines import DEADLINE_S
from server.facts import Declared
from server.handovers import ClaimView
from server.identity import mask_name
from server.reviews import DECISIONS, Decision, Mark, NoReview, ReviewKind, ReviewReason
from server.store.reviews import ReviewRow, WaitingRow
from server.web.desk_groups import tell_group
from server.web.desk_pages import show_desk
from server.web.desk_places import choose_districts, list_choices, tell_place
from server.web.desk_rules import StaffSession, add
from server.web.desk_telling import tell_age, tell_fact
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
PAGE = 50
"""Rows of a page."""
GRANT, REFUSE = "grant", "refuse"


@dataclass(frozen=True)
class Choice:
    """A decision that may be made, and what it does, in words."""

    word: str
    effect: str


def add_routes(router: APIRouter) -> None:
    """The queue and the page of one review."""
    add(router, "GET", "/desk/queue", queue_page)
    add(router, "GET", "/desk/queue/{review}", review_page)
    add(router, "POST", "/desk/queue/{review}", decide)


def queue_page(
    request: Request,
    services: House,
    visitor: Seen,
    session: StaffSession,
    kind: str = "",
    place: str = "",
    after: str = "",
    done: str = "",
    stands: str = "",
) -> Response:
    """What waits, by kind and place, and what came with imports."""
    words, reviews = visitor.words, services.office.reviews
    kinds = (ReviewKind(kind),) if kind in tuple(ReviewKind) else tuple(ReviewKind)
    districts = choose_districts(words, place)
    mark = _read_mark(after)
    if mark is not None and mark.kind not in kinds:
        mark = None
    found = reviews.queue(session.actor, PAGE + 1, kinds=kinds, districts=districts, after=mark)
    counts, late, groups = reviews.count(session.actor), reviews.count_late(session.actor), reviews.groups(session.actor)
    if isinstance(found, Refused) or isinstance(counts, Refused) or isinstance(late, Refused) or isinstance(groups, Refused):
        raise HTTPException(403)
    now = services.office.now()
    filters = _filters(kind if len(kinds) == 1 else "", place if districts else "")
    return show_desk(
        request,
        session,
        "desk_queue.html",
        "queue",
        rows=[_tell(words, row, now) for row in found[:PAGE]],
        counts={each.value: counts.get(each.value, 0) for each in ReviewKind},
        kinds=[each.value for each in ReviewKind],
        kind=kind if len(kinds) == 1 else "",
        place=place if districts else "",
        places=list_choices(words),
        query=filters,
        next=f"/desk/queue?{_with(filters, after=_write_mark(found[PAGE - 1]))}" if len(found) > PAGE else "",
        is_first=mark is None,
        first=f"/desk/queue?{filters}" if filters else "/desk/queue",
        done=done if done.isdigit() else "",
        late=late,
        groups=[tell_group(words, row, now) for row in groups]
        if mark is None and ReviewKind.CONTRADICTION in kinds and not districts
        else [],
        stands=int(stands) if stands.isdecimal() and len(stands) < 16 else 0,
    )


def review_page(
    request: Request, services: House, visitor: Seen, session: StaffSession, review: str, kind: str = "", place: str = ""
) -> Response:
    """One review: what it is about, and what may be made of it."""
    return _show(request, services, visitor.words, session, review, _filters(kind, place), [])


def decide(
    request: Request,
    services: House,
    visitor: Seen,
    session: StaffSession,
    form: Form,
    review: str,
    kind: str = "",
    place: str = "",
) -> Response:
    """Makes something of a review, for a reason from the list."""
    filters = _filters(kind, place)
    row = _find(services, session, review)
    wanted, reason = form.text("decision"), form.text("reason")
    faults = []
    if wanted not in [choice.word for choice in _choices(services, visitor.words, session, row)]:
        faults.append(Shown("decision", "queue.decision_missing"))
    if reason not in tuple(ReviewReason):
        faults.append(Shown("reason", "queue.reason_missing"))
    if faults:
        return _show(request, services, visitor.words, session, review, filters, faults, decision=wanted, reason=reason)
    outcome: NoReview | Refused | None
    if wanted in (GRANT, REFUSE):
        outcome = services.office.handovers.decide(session.actor, row.claim or 0, is_granted=wanted == GRANT, reason=reason)
    else:
        outcome = services.office.reviews.decide(session.actor, row.review, Decision(wanted), ReviewReason(reason))
    if outcome is not None:
        shown = [Shown("", outcome.key, {} if isinstance(outcome, NoReview) else outcome.params)]
        return _show(request, services, visitor.words, session, review, filters, shown, decision=wanted, reason=reason)
    return RedirectResponse(f"/desk/queue?{_with(filters, done=review)}", 303)


def _find(services: Services, session: StaffSession, review: str) -> ReviewRow:
    found = services.office.reviews.look(session.actor, int(review)) if review.isdigit() and len(review) < 16 else NoReview()
    if isinstance(found, ReviewRow):
        return found
    raise HTTPException(404)


def _show(
    request: Request,
    services: Services,
    words: Words,
    session: StaffSession,
    review: str,
    filters: str,
    faults: list[Shown],
    decision: str = "",
    reason: str = "",
) -> Response:
    row = _find(services, session, review)
    now = services.office.now()
    claim = services.office.handovers.look(session.actor, row.claim) if row.claim is not None else None
    with services.office.store.read() as tx:
        facts = services.office.registry.rulings.recent(tx, row.resident)
        ruling = services.office.registry.rulings.explain(tx, row.resident, now)
    declared = max((fact for fact in facts if isinstance(fact, Declared)), key=lambda fact: fact.at, default=None)
    return show_desk(
        request,
        session,
        "desk_review.html",
        "queue",
        status=422 if faults else 200,
        review=row.review,
        kind=row.kind,
        why=[words(f"review.{word}") for word in row.why.split()],
        at=row.at_ms / 1000,
        unit=row.unit,
        resident=row.resident,
        age=tell_age(words, now - row.received_ms / 1000),
        is_late=now - row.received_ms / 1000 > DEADLINE_S,
        colour=ruling.word,
        reason_now=words.explain(ruling.why),
        declared=None if declared is None else tell_fact(words, declared),
        others=[tell_fact(words, fact) for fact in facts if not isinstance(fact, Declared)][-8:],
        claim=_tell_claim(claim) if isinstance(claim, ClaimView) else None,
        choices=_choices(services, words, session, row),
        reasons=[each.value for each in ReviewReason],
        decision=decision,
        chosen_reason=reason,
        faults=faults,
        query=filters,
    )


def _choices(services: Services, words: Words, session: StaffSession, row: ReviewRow) -> list[Choice]:
    """What may be made of a review, and to how many people it does what."""
    if row.kind == ReviewKind.CLAIM.value:
        return [Choice(GRANT, words("queue.effect.grant")), Choice(REFUSE, words("queue.effect.refuse"))]
    found = []
    for decision in DECISIONS[ReviewKind(row.kind)]:
        effect = services.office.dossiers.effect_of(row, decision, session.actor)
        if effect is None:
            told = words(f"queue.effect.{decision.value}.{row.kind}" if decision is Decision.CLOSE else f"queue.effect.{decision.value}")
        elif effect.before == effect.after:
            told = words("effect.stays", colour=words(f"colour.{effect.after}.word"), why=words.explain(effect.why))
        else:
            before, after = words(f"colour.{effect.before}.word"), words(f"colour.{effect.after}.word")
            told = words("effect.turns", before=before, after=after, why=words.explain(effect.why))
        found.append(Choice(decision.value, told))
    return found


def _tell_claim(claim: ClaimView) -> dict[str, str]:
    return {
        "name": claim.typed_name,
        "person": mask_name(claim.person.name),
        "relation": claim.relation.value,
        "holder": claim.holder or "silent",
    }


def _tell(words: Words, row: WaitingRow, now: float) -> dict[str, object]:
    waits = now - row.received_ms / 1000
    return {
        "review": row.review,
        "kind": row.kind,
        "why": [words(f"review.{word}") for word in row.why.split()],
        "resident": row.resident,
        "place": tell_place(words, row.district),
        "colour": row.colour,
        "since": row.received_ms / 1000,
        "age": tell_age(words, waits),
        "is_late": waits > DEADLINE_S,
    }


def _filters(kind: str, place: str) -> str:
    return urlencode([(name, value) for name, value in (("kind", kind), ("place", place)) if value])


def _with(filters: str, **more: str) -> str:
    return "&".join(part for part in (filters, urlencode(more)) if part)


def _write_mark(row: WaitingRow) -> str:
    return f"{row.kind}.{row.received_ms}.{row.review}"


def _read_mark(text: str) -> Mark | None:
    kind, _, rest = text.partition(".")
    received, _, review = rest.partition(".")
    if kind not in tuple(ReviewKind) or not (received.isdecimal() and review.isdecimal()) or len(text) > 60:
        return None
    return Mark(ReviewKind(kind), int(received), int(review))
