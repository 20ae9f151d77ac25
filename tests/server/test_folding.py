"""Old health records that are folded away: no ruling changes by it, whatever comes later, and few facts are read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from healthcode.terms import ClockState, Colour
from server.actors import BY_RULES
from server.colours import Outage, Rule, colour_of
from server.facts import Case, CaseCategory, CloseContact, Declared, Fact, HandReason, Isolating, NormalAtGate, Reviewed, SetByHand, Symptom
from server.folding import basis, find_foldable, join
from server.office import Office, open_office
from server.policy import DEFAULT, Policy, RecordRules
from tests.server.office import CAPACITY, Clock, Town, set_colour
from tests.server.test_colours import OUTAGES, POLICIES, STORY
from tests.server.test_registry import add

DAY = 86_400.0
_WHEN = st.one_of(st.integers(0, 120 * 4).map(lambda quarter: quarter * DAY / 4), st.floats(0, 120 * DAY))
_PLAIN = st.builds(Declared, _WHEN, is_check_in=st.booleans())
_GATE = st.builds(NormalAtGate, _WHEN, st.just(""), st.just(36.5), st.just(ClockState.TRUSTED))
_ISOLATING = st.builds(Declared, _WHEN, isolation=st.sampled_from(Isolating), contact=st.booleans())
_LAPSED = st.builds(SetByHand, _WHEN, st.just(Colour.YELLOW), st.just(HandReason.RECORD_LAPSED), st.just("officer"))
_RECORDS = st.lists(st.one_of(_PLAIN, _PLAIN, _PLAIN, _GATE, _ISOLATING, _LAPSED), min_size=5, max_size=60)
_IMPORTED = st.lists(
    st.one_of(
        st.builds(CloseContact, _WHEN, st.just("centre"), _WHEN), st.builds(Case, _WHEN, st.sampled_from(CaseCategory), st.just("c"), _WHEN)
    ),
    max_size=2,
)


@settings(max_examples=150, deadline=None)
@given(
    _RECORDS,
    STORY,
    _IMPORTED,
    STORY,
    OUTAGES,
    POLICIES,
    st.floats(0, 120 * DAY),
    st.lists(st.floats(0, 60 * DAY), min_size=1, max_size=3),
)
def test_what_is_folded_changes_no_ruling_whatever_comes_later(
    records: list[Fact],
    story: list[Fact],
    imported: list[Fact],
    later: list[Fact],
    outages: list[Outage],
    policy: Policy,
    until: float,
    waits: list[float],
) -> None:
    """A person's whole history beside the folded one: with what imports say of any time, and with what happens after the folding."""
    facts = [Reviewed(0.0, "rule"), *records, *story]
    places = set(find_foldable(facts, until, policy))
    folded = join((facts[place] for place in places), policy)
    left = [fact for place, fact in enumerate(facts) if place not in places]
    newest = max(fact.at for fact in facts)
    later = [replace(fact, at=newest + 1.0 + fact.at) for fact in later if not isinstance(fact, Declared) or fact.corrects is None]
    for wait in waits:
        at = newest + wait
        whole = colour_of([*facts, *imported, *later], at, policy, outages)
        assert colour_of([*left, *imported, *later], at, policy, outages, folded) == whole


def test_the_story_of_somebody_who_checks_in_every_day_folds_to_little() -> None:
    facts: list[Fact] = [Declared(0.0), Reviewed(0.0, "rule")]
    facts += [Declared(number * DAY, is_check_in=True) for number in range(1, 2000) if number != 700 and not 1200 <= number < 1206]
    facts.insert(500, Declared(499.5 * DAY, (Symptom.COUGH,), is_check_in=True))
    places = find_foldable(facts, 1990 * DAY, DEFAULT)
    folded = join((facts[place] for place in places), DEFAULT)
    assert len(facts) - len(places) == 14, "the first, the review, the cough and those beside it, and the last days"
    assert [(round(began / DAY), round(until / DAY)) for began, until in folded] == [(1, 1199), (1206, 1990)]


def test_nobody_is_folded_before_they_are_let_in() -> None:
    facts: list[Fact] = [Declared(number * DAY) for number in range(100)]
    assert find_foldable(facts, 90 * DAY, DEFAULT) == []


def live(office: Office, resident: str, clock: Clock, days: int) -> None:
    """Checks in every day, well."""
    with office.store.write() as tx:
        for _ in range(days):
            clock.at += DAY
            office.registry.record(tx, resident, Declared(clock(), temperature_c=36.6, is_check_in=True), clock(), BY_RULES)


def read(office: Office, resident: str) -> tuple[int, int]:
    """(facts that are read for a ruling, facts there are)."""
    with office.store.read() as tx:
        rulings = office.registry.rulings
        return len(rulings.recent(tx, resident)), len(rulings.facts(tx, resident))


def same(office: Office, resident: str) -> None:
    """The ruling from what is read is the ruling from all there is."""
    with office.store.read() as tx:
        rulings = office.registry.rulings
        whole = colour_of(rulings.facts(tx, resident), office.now(), rulings.policy(tx))
        assert rulings.explain(tx, resident, office.now()) == whole


def test_years_of_check_ins_are_read_in_a_moment(office: Office, clock: Clock) -> None:
    resident = add(office.registry).resident
    live(office, resident, clock, 800)
    few, all_ = read(office, resident)
    assert all_ == 801 and few < 200
    same(office, resident)
    found = office.registry.explain(resident)
    assert found is not None and (found.colour, found.rule) == (Colour.GREEN, Rule.SET_BY_HAND), "as it was said two years ago"
    seen: list[str] = []
    event.listen(office.store.engine, "before_cursor_execute", lambda _c, _k, statement, *_: seen.append(statement))
    office.registry.explain(resident)
    assert len(seen) < 10


def test_a_fact_that_comes_late_stands_where_it_happened(office: Office, clock: Clock) -> None:
    """A gate that was off line for a year tells of a record in a gap: the gap is none."""
    resident = add(office.registry).resident
    clock.at += 20 * DAY
    live(office, resident, clock, 300)
    began = office.registry.explain(resident)
    assert began is not None and began.since == pytest.approx(clock() - 299 * DAY)
    for days in (302, 305, 308, 311, 314, 317):
        with office.store.write() as tx:
            late = NormalAtGate(clock() - days * DAY, "", 36.5, ClockState.TRUSTED)
            office.registry.record(tx, resident, late, clock(), BY_RULES)
        same(office, resident)
    after = office.registry.explain(resident)
    assert after is not None and after.since < began.since
    assert read(office, resident)[0] < 200, "and it is folded again"


def test_with_another_lapse_all_is_read_again(office: Office, town: Town, clock: Clock) -> None:
    resident = add(office.registry).resident
    for _ in range(110):
        clock.at += DAY  # two days without a record, again and again
        live(office, resident, clock, 2)
    assert read(office, resident)[0] < 200
    (town.folder / "policy.toml").write_text("version = 2\n[record]\nlapse_days = 1\n")
    strict = open_office(town.config('policy = "policy.toml"'), clock, CAPACITY)
    same(strict, resident)
    assert strict.registry.rule_due(10) == 1
    same(strict, resident)
    assert read(strict, resident)[0] < 200, "and it is folded by the new rules"
    with strict.store.read() as tx:
        held = Policy(version=2, record=RecordRules(lapse_days=1))
        assert tx.execute(text("SELECT basis FROM folds")).scalar_one() == basis(held)
    strict.store.close()


def test_what_an_officer_says_after_years_counts_as_ever(office: Office, clock: Clock) -> None:
    resident = add(office.registry).resident
    live(office, resident, clock, 250)
    lapsed, red, green = HandReason.RECORD_LAPSED, HandReason.CONFIRMED, HandReason.CORRECTION
    for colour, reason in ((Colour.YELLOW, lapsed), (Colour.RED, red), (Colour.GREEN, green)):
        set_colour(office, resident, colour, reason)
        clock.at += 1
        same(office, resident)
        live(office, resident, clock, 3)
        same(office, resident)
