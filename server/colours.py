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

from healthcode.terms import ClockState, Colour


class HandReason(StrEnum):
    """Why a colour is set by hand: grounds of health and nothing else, each for the colours that it can lead to."""

    REVIEWED = "reviewed"
    CONFIRMED = "confirmed"
    SUSPECTED = "suspected"
    FEVER_CASE = "fever_case"
    CLOSE_CONTACT = "close_contact"
    HOME_ISOLATION = "home_isolation"
    CENTRAL_ISOLATION = "central_isolation"
    DISCHARGED = "discharged"
    RULED_OUT = "ruled_out"
    ISOLATION_ENDED = "isolation_ended"
    RECORD_LAPSED = "record_lapsed"
    CORRECTION = "correction"


_EVERY = frozenset(Colour)
COLOURS_OF_REASON: dict[HandReason, frozenset[Colour]] = {
    HandReason.REVIEWED: frozenset({Colour.GREEN}),
    HandReason.CONFIRMED: frozenset({Colour.RED}),
    HandReason.SUSPECTED: frozenset({Colour.RED}),
    HandReason.FEVER_CASE: frozenset({Colour.RED}),
    HandReason.CLOSE_CONTACT: frozenset({Colour.YELLOW}),
    HandReason.HOME_ISOLATION: frozenset({Colour.YELLOW}),
    HandReason.CENTRAL_ISOLATION: frozenset({Colour.YELLOW}),
    HandReason.DISCHARGED: frozenset({Colour.YELLOW}),
    HandReason.RULED_OUT: frozenset({Colour.YELLOW}),
    HandReason.ISOLATION_ENDED: frozenset({Colour.GREEN}),
    HandReason.RECORD_LAPSED: frozenset({Colour.YELLOW}),
    HandReason.CORRECTION: _EVERY,
}
"""The notice of 16 March 2020 (red, yellow, green) and the conversion rules printed on 3 March 2020."""


class Rule(StrEnum):
    """Which rule gave a colour. Stable words: they are stored."""

    NOTHING_KNOWN = "nothing_known"
    SET_BY_HAND = "set_by_hand"
    FEVER_AT_GATE = "fever_at_gate"


@dataclass(frozen=True)
class SetByHand:
    """An officer set the colour for a reason from the list. `at` in seconds since 1970; `by` names the role or account."""

    at: float
    colour: Colour
    reason: HandReason
    by: str


@dataclass(frozen=True)
class FeverAtGate:
    """A gate measured fever twice in the holder of a code that was valid then. `body_c` is the estimate in degrees Celsius."""

    at: float
    unit: str
    body_c: float | None
    clock: ClockState


@dataclass(frozen=True)
class Cleared:
    """An officer measured a normal temperature with a clinical thermometer: fevers found at gates before `at` no longer count."""

    at: float
    body_c: float
    by: str


Fact = SetByHand | FeverAtGate | Cleared
FACTS: dict[str, type[SetByHand] | type[FeverAtGate] | type[Cleared]] = {
    "set_by_hand": SetByHand,
    "fever_at_gate": FeverAtGate,
    "cleared": Cleared,
}
"""The word under which each kind of fact is stored."""


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
            case FeverAtGate():
                pass
    if base is None:
        return Ruling(Colour.YELLOW, Rule.NOTHING_KNOWN, 0.0, "nothing is known of this person yet")
    ruling = Ruling(base.colour, Rule.SET_BY_HAND, base.at, f"set by {base.by}: {base.reason.value}")
    fevers = [fact for fact in known if isinstance(fact, FeverAtGate) and fact.at > max(base.at, cleared_at)]
    if fevers and ruling.colour is Colour.GREEN:
        first = fevers[0]
        return Ruling(Colour.YELLOW, Rule.FEVER_AT_GATE, first.at, f"fever found at gate {first.unit}; a clinical thermometer can clear it")
    return ruling


def fits(reason: HandReason, colour: Colour) -> bool:
    """Whether `reason` can lead to `colour`."""
    return colour in COLOURS_OF_REASON[reason]
