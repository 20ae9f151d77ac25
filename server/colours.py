"""Facts about a person -> colour and why. Pure: the same facts at the same time always give the same ruling.

Facts are ordered by when they happened (`at`), not by when the server heard of them, so that a gate that was offline for two days
cannot undo a clearance made since. The newest setting by hand is the base; what happened before it no longer counts. A fever found at
a gate after the base and after the newest clinical clearance turns green into yellow and changes nothing else: it never improves red.
Nobody about whom nothing is known is green.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from healthcode.terms import Colour
from server.facts import Cleared, Fact, FeverAtGate, SetByHand


class Rule(StrEnum):
    """Which rule gave a colour. Stable words: they are stored."""

    NOTHING_KNOWN = "nothing_known"
    SET_BY_HAND = "set_by_hand"
    FEVER_AT_GATE = "fever_at_gate"


@dataclass(frozen=True)
class Ruling:
    """The colour, the rule that gave it, since when (seconds since 1970), and why in one line for people."""

    colour: Colour
    rule: Rule
    since: float
    why: str


def colour_of(facts: Iterable[Fact], at: float) -> Ruling:
    """The ruling at `at` (seconds since 1970). Facts later than `at` are not there yet; of two at the same time the later given wins."""
    known = sorted((fact for fact in facts if fact.at <= at), key=lambda fact: fact.at)
    base: SetByHand | None = None
    cleared_at = float("-inf")
    for fact in known:
        match fact:
            case SetByHand():
                base = fact
            case Cleared():
                cleared_at = fact.at
            case _:
                pass
    if base is None:
        return Ruling(Colour.YELLOW, Rule.NOTHING_KNOWN, 0.0, "nothing is known of this person yet")
    ruling = Ruling(base.colour, Rule.SET_BY_HAND, base.at, f"set by {base.by}: {base.reason.value}")
    fevers = [fact for fact in known if isinstance(fact, FeverAtGate) and fact.at > max(base.at, cleared_at)]
    if fevers and ruling.colour is Colour.GREEN:
        first = fevers[0]
        return Ruling(Colour.YELLOW, Rule.FEVER_AT_GATE, first.at, f"fever found at gate {first.unit}; a clinical thermometer can clear it")
    return ruling
