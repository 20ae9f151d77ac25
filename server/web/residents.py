"""What residents' pages have in common: whom the account looks after, which of them a page is about, and how they stand."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import HTTPException

from server.actors import Actor
from server.colours import Ruling
from server.enrolment import Relation
from server.facts import Declared
from server.households import Member
from server.identity import mask_name
from server.web.language import Words
from server.web.services import Services


@dataclass(frozen=True)
class Shown:
    """A member of the family as pages show them: `name` is masked, `label` tells them from others of one mask, `colour` is a word.

    Times are told in the visitor's language.
    """

    resident: str
    name: str
    label: str
    full_name: str
    relation: str
    must_hand_over: bool
    colour: str
    why: str
    until: str
    checked_in: str
    needs_declaration: bool


def find_members(services: Services, actor: Actor) -> list[Member]:
    """Whom the account looks after, itself first."""
    return services.office.households.members(actor)


def choose(members: list[Member], who: str) -> Member:
    """The member that a page is about: the one named, else the first; 404 for anybody else's."""
    for member in members:
        if who in ("", member.resident):
            return member
    raise HTTPException(404)


def show_member(services: Services, words: Words, member: Member) -> Shown:
    """How a member of the family stands now."""
    ruling, declared = look_up(services, member.resident)
    today = words.day(services.office.now())
    told = max((fact.at for fact in declared), default=None)
    return Shown(
        resident=member.resident,
        name=mask_name(member.person.name),
        label=_label(words, member),
        full_name=member.person.name,
        relation=member.relation.value,
        must_hand_over=member.must_hand_over,
        colour=ruling.word,
        why=words.explain(ruling.why),
        until="" if ruling.until is None else words.moment(ruling.until),
        checked_in=words.clock(told) if told is not None and words.day(told) == today else "",
        needs_declaration=not any(not fact.is_check_in for fact in declared),
    )


def look_up(services: Services, resident: str) -> tuple[Ruling, list[Declared]]:
    """The ruling on a resident who exists, and what was declared of them."""
    registry, at = services.office.registry, services.office.now()
    with services.office.store.read() as tx:
        ruling = registry.rulings.explain(tx, resident, at)
        facts = registry.rulings.recent(tx, resident)
    return ruling, [fact for fact in facts if isinstance(fact, Declared)]


def _label(words: Words, member: Member) -> str:
    name = mask_name(member.person.name)
    if member.relation is Relation.SELF:
        return words("portal.me", name=name)
    return name if member.years is None else words("portal.aged", name=name, years=member.years)
