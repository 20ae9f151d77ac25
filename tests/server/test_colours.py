"""The table of rulings: facts in, colour and rule out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.terms import ClockState, Colour
from server.colours import Rule, colour_of
from server.facts import COLOURS_OF_REASON, Cleared, Fact, FeverAtGate, HandReason, SetByHand, fits

G, Y, R = Colour.GREEN, Colour.YELLOW, Colour.RED


def hand(at: float, colour: Colour, reason: HandReason = HandReason.CORRECTION) -> SetByHand:
    return SetByHand(at, colour, reason, "officer")


def fever(at: float) -> FeverAtGate:
    return FeverAtGate(at, "north", 38.4, ClockState.TRUSTED)


def clear(at: float) -> Cleared:
    return Cleared(at, 36.5, "officer")


@pytest.mark.parametrize(
    ("facts", "colour", "rule", "since"),
    [
        pytest.param([], Y, Rule.NOTHING_KNOWN, 0.0, id="nobody is green unknown"),
        pytest.param([fever(5)], Y, Rule.NOTHING_KNOWN, 0.0, id="a fever alone rules nothing"),
        pytest.param([hand(1, G)], G, Rule.SET_BY_HAND, 1, id="green by hand"),
        pytest.param([hand(1, G), hand(2, R)], R, Rule.SET_BY_HAND, 2, id="the newest setting counts"),
        pytest.param([hand(2, R), hand(1, G)], R, Rule.SET_BY_HAND, 2, id="by when it happened, not by when it was heard"),
        pytest.param([hand(1, G), fever(5)], Y, Rule.FEVER_AT_GATE, 5, id="fever turns green yellow"),
        pytest.param([hand(1, G), fever(5), fever(7)], Y, Rule.FEVER_AT_GATE, 5, id="yellow since the first fever"),
        pytest.param([hand(1, R), fever(5)], R, Rule.SET_BY_HAND, 1, id="fever never improves red"),
        pytest.param([hand(1, Y), fever(5)], Y, Rule.SET_BY_HAND, 1, id="yellow keeps its own reason"),
        pytest.param([hand(1, G), fever(5), clear(6)], G, Rule.SET_BY_HAND, 1, id="cleared by an officer"),
        pytest.param([hand(1, G), clear(6), fever(5)], G, Rule.SET_BY_HAND, 1, id="a late report cannot undo the clearance"),
        pytest.param([hand(1, G), clear(6), fever(7)], Y, Rule.FEVER_AT_GATE, 7, id="a new fever after the clearance"),
        pytest.param([hand(1, R), clear(6)], R, Rule.SET_BY_HAND, 1, id="a clearance does not improve red"),
        pytest.param([hand(1, G), fever(5), hand(6, G)], G, Rule.SET_BY_HAND, 6, id="a newer setting ends the fever"),
        pytest.param([hand(1, G), fever(101)], G, Rule.SET_BY_HAND, 1, id="the future is not there yet"),
    ],
)
def test_rulings(facts: list[Fact], colour: Colour, rule: Rule, since: float) -> None:
    ruling = colour_of(facts, 100)
    assert (ruling.colour, ruling.rule, ruling.since) == (colour, rule, since)
    assert ruling.why


def test_every_reason_leads_somewhere_and_only_health_is_a_reason() -> None:
    assert set(COLOURS_OF_REASON) == set(HandReason)
    assert all(COLOURS_OF_REASON.values())
    assert not fits(HandReason.REVIEWED, R)
    assert not fits(HandReason.CONFIRMED, G)


_FACTS = st.lists(
    st.one_of(
        st.builds(hand, st.integers(0, 50).map(float), st.sampled_from(Colour)),
        st.builds(fever, st.integers(0, 50).map(float)),
        st.builds(clear, st.integers(0, 50).map(float)),
    ),
    max_size=8,
    unique_by=lambda fact: fact.at,
)


@given(_FACTS)
def test_a_fever_never_improves(facts: list[Fact]) -> None:
    worse = {Colour.GREEN: 0, Colour.YELLOW: 1, Colour.RED: 2}
    before = colour_of(facts, 100).colour
    assert worse[colour_of([*facts, fever(60)], 100).colour] >= worse[before]


@given(_FACTS)
def test_the_order_of_hearing_does_not_matter(facts: list[Fact]) -> None:
    orders = itertools.islice(itertools.permutations(facts), 24)
    assert len({colour_of(order, 100) for order in orders}) == 1
