"""Screening as the thermometer's makers, the notice of 2020 and one case in Changsha tell it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import ScreeningPolicy
from edge.screening import Reading, Screened, SensorFault, SensorFaultKind, SensorState, estimate_body, screen
from healthcode.terms import Screening

POLICY = ScreeningPolicy()
WARM = SensorState(powered_s=7200, ambient_drift_c_per_min=0.0)
SKIN = {35.2: 31.65, 35.9: 32.3, 36.5: 33.6, 36.9: 34.93, 37.1: 35.17, 37.2: 35.29, 37.5: 35.63, 38.0: 36.22, 38.6: 36.91}
"""Skin that gives a body estimate at 25 C, within 0.1."""


def body(*bodies: float, start: float = 0.1, every: float = 0.15, ambient: float = 25.0) -> list[Reading | SensorFault]:
    return [Reading(SKIN[one], ambient, start + number * every) for number, one in enumerate(bodies)]


def steady(one: float, start: float = 0.1) -> list[Reading | SensorFault]:
    return body(one, one, one, start=start)


def first(readings: Sequence[Reading | SensorFault], at: float = 1.0, sensor: SensorState = WARM) -> Screened:
    return screen(readings, POLICY, sensor, None, at, 0.0)


def faults(count: int, kind: SensorFaultKind = SensorFaultKind.NO_ANSWER) -> list[Reading | SensorFault]:
    return [SensorFault(kind, "no answer", 0.1 * number) for number in range(count)]


@pytest.mark.parametrize(
    ("ambient", "skin", "expected"),
    [
        (25, 31.5, 35.0), (25, 32.7, 36.3), (25, 35.4, 37.3),
        (10, 28.2, 35.0), (10, 29.9, 36.3), (10, 33.2, 37.3),
        (35, 32.5, 35.0), (35, 33.5, 36.3), (35, 36.4, 37.3),
    ],
)  # fmt: skip
def test_the_estimate_meets_its_check_points(ambient: float, skin: float, expected: float) -> None:
    assert estimate_body(skin, ambient) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("one", "skin"), SKIN.items())
def test_the_table_of_this_file_is_what_it_says(one: float, skin: float) -> None:
    assert estimate_body(skin, 25.0) == pytest.approx(one, abs=0.1)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (36.5, Screening.NORMAL),
        (36.9, Screening.NORMAL),
        (37.1, Screening.RECHECK),
        (37.2, Screening.RECHECK),
        (37.5, Screening.FEVER_SUSPECTED),
        (38.6, Screening.FEVER_SUSPECTED),
    ],
)
def test_three_steady_samples_are_judged(one: float, expected: Screening) -> None:
    found = first(steady(one))
    assert found.screening is expected
    assert found.samples == 3
    assert found.body_c == pytest.approx(one, abs=0.1)


@pytest.mark.parametrize(("fever_c", "expected"), [(37.3, Screening.FEVER_SUSPECTED), (37.4, Screening.RECHECK)])
def test_the_threshold_itself_is_fever(fever_c: float, expected: Screening) -> None:
    skin = 34.84 + 0.5 / (0.829321 + 0.002364 * 25)
    readings = [Reading(skin + 1e-9, 25.0, 0.1 * number) for number in range(3)]
    assert screen(readings, ScreeningPolicy(fever_c=fever_c), WARM, None, 1, 0).screening is expected


def test_two_samples_are_too_few() -> None:
    assert first(body(36.5, 36.5)).screening is Screening.PENDING


def test_samples_from_before_the_code_was_seen_do_not_count() -> None:
    readings = steady(36.5, start=-0.5) + body(36.5, 36.5)
    assert first(readings).screening is Screening.PENDING


def test_somebody_who_fidgets_is_asked_to_hold_still_and_then_sent_to_the_guard() -> None:
    fidget = body(36.5, 36.9, 36.5)
    found = first(fidget)
    assert (found.screening, found.hint) == (Screening.PENDING, Screening.UNSTEADY)
    assert first(fidget, at=POLICY.give_up_s).screening is Screening.UNSTEADY
    assert first(fidget + steady(36.5, start=0.6)).screening is Screening.NORMAL


def test_nobody_near_is_asked_three_times_to_come_closer_then_it_is_the_guards_turn() -> None:
    empty = [Reading(25.0, 25.0, 0.1 * number) for number in range(100)]
    told = [first(empty, at=at / 10) for at in range(3, 80)]
    assert {one.screening for one in told} == {Screening.PENDING}
    assert {one.hint for one in told} == {Screening.TOO_FAR}
    assert [one.tries for one in told] == sorted(one.tries for one in told)
    assert told[-1].tries == POLICY.too_far_tries - 1
    assert first(empty, at=8).screening is Screening.TOO_FAR


def test_a_hot_cup_is_not_a_fever() -> None:
    cup = [Reading(60.0, 25.0, 0.1 * number) for number in range(3)]
    assert first(cup).hint is Screening.IMPLAUSIBLE
    assert first(cup, at=8).screening is Screening.IMPLAUSIBLE


@pytest.mark.parametrize("ambient", [15.9, 40.1])
def test_a_winter_lane_or_a_hot_roof_is_outside_the_sensors_span(ambient: float) -> None:
    found = first([Reading(34.0, ambient, 0.1 * number) for number in range(3)])
    assert found.screening is Screening.OUT_OF_RANGE
    assert found.body_c is None


@pytest.mark.parametrize("sensor", [SensorState(0.1, 0), SensorState(1799, 0), SensorState(7200, 0.11)])
def test_a_sensor_that_warms_up_does_not_judge(sensor: SensorState) -> None:
    assert first(steady(36.5), sensor=sensor).screening is Screening.WARMING


def test_even_without_warm_up_the_first_quarter_second_does_not_count() -> None:
    policy = ScreeningPolicy(warm_up_s=0)
    assert screen(steady(36.5), policy, SensorState(0.2, 0), None, 1, 0).screening is Screening.WARMING
    assert screen(steady(36.5), policy, SensorState(0.4, 0), None, 1, 0).screening is Screening.NORMAL


def test_five_failed_cycles_are_a_broken_sensor() -> None:
    assert first(faults(4)).screening is Screening.PENDING
    assert first(faults(5)).screening is Screening.SENSOR_FAULT


@pytest.mark.parametrize("kind", [SensorFaultKind.NO_BUS, SensorFaultKind.WRONG_SENSOR, SensorFaultKind.FROZEN, SensorFaultKind.NO_PEC])
def test_a_fault_that_another_try_does_not_cure_ends_it_at_once(kind: SensorFaultKind) -> None:
    assert first(faults(1, kind)).screening is Screening.SENSOR_FAULT


def test_a_thermometer_that_says_nothing_at_all_is_broken() -> None:
    assert first([], at=1).screening is Screening.PENDING
    assert first([], at=8).screening is Screening.SENSOR_FAULT


def test_a_fault_between_samples_breaks_the_group() -> None:
    readings = [*body(36.5, 36.5), SensorFault(SensorFaultKind.BAD_PEC, "", 0.5), *body(36.5, 36.5, start=0.6)]
    assert first(readings).screening is Screening.PENDING
    assert first([*readings, *body(36.5, start=0.9)]).screening is Screening.NORMAL


def again(earlier: Screened, one: float, at: float = 8.0) -> Screened:
    return screen(steady(one, start=at - 0.5), POLICY, WARM, earlier, at, 0.0)


SUSPECTED = first(steady(38.0))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (38.6, Screening.FEBRILE),
        (37.5, Screening.FEBRILE),
        (37.2, Screening.NORMAL),
        (36.9, Screening.NOT_CLEARED),
        (36.5, Screening.NOT_CLEARED),
        (35.2, Screening.NOT_CLEARED),
    ],
)
def test_a_suspected_fever_is_measured_again(one: float, expected: Screening) -> None:
    assert SUSPECTED.measure_again
    assert again(SUSPECTED, one).screening is expected


def test_changsha_a_second_reading_far_below_the_first_clears_nobody() -> None:
    suspected = first([Reading(35.9, 25.0, 0.1 * number) for number in range(3)])
    assert suspected.body_c == pytest.approx(37.7, abs=0.05)
    low = [Reading(31.0, 25.0, 6 + 0.1 * number) for number in range(100)]
    for at in (7.0, 14.0):
        assert screen(low, POLICY, WARM, suspected, at, 0.0).screening in (Screening.PENDING, Screening.NOT_CLEARED)
    assert screen(low, POLICY, WARM, suspected, 16.0, 0.0).screening is Screening.NOT_CLEARED


def test_the_second_measurement_waits_and_takes_only_new_samples() -> None:
    before = steady(36.9, start=4.0)
    waiting = screen(before, POLICY, WARM, SUSPECTED, 5.9, 0.0)
    assert (waiting.screening, waiting.hint) == (Screening.PENDING, Screening.FEVER_SUSPECTED)
    assert screen(before, POLICY, WARM, SUSPECTED, 6.1, 0.0).screening is Screening.PENDING


def test_a_suspect_who_walks_away_is_not_cleared() -> None:
    assert screen([], POLICY, WARM, SUSPECTED, SUSPECTED.at + POLICY.retest_within_s, 0.0).screening is Screening.NOT_CLEARED


def test_a_sensor_pulled_out_during_the_second_measurement_clears_nobody() -> None:
    dead = [SensorFault(SensorFaultKind.NO_ANSWER, "", 6.1 + 0.1 * number) for number in range(6)]
    assert screen(dead, POLICY, WARM, SUSPECTED, 7, 0).screening is Screening.NOT_CLEARED


RECHECK = first(steady(37.1))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (36.5, Screening.NORMAL),
        (37.2, Screening.NORMAL),
        (37.5, Screening.FEVER_SUSPECTED),
        (35.2, Screening.NOT_CLEARED),
    ],
)
def test_a_borderline_value_is_silently_measured_once_more(one: float, expected: Screening) -> None:
    assert RECHECK.measure_again
    assert again(RECHECK, one, at=1.6).screening is expected


def test_below_the_floor_nobody_is_cleared_even_where_two_measurements_may_differ_by_as_much() -> None:
    lenient = ScreeningPolicy(disagree_c=2.0)
    for one, expected in ((35.2, Screening.NOT_CLEARED), (36.5, Screening.NORMAL)):
        assert screen(steady(one, start=1.1), lenient, WARM, RECHECK, 1.6, 0.0).screening is expected


def test_the_silent_measurement_takes_new_samples() -> None:
    assert screen(steady(37.1), POLICY, WARM, RECHECK, 1.2, 0.0).screening is Screening.PENDING


def test_fever_found_by_the_silent_measurement_is_measured_again_in_its_turn() -> None:
    suspected = again(RECHECK, 37.5, at=1.6)
    assert again(suspected, 37.5, at=8).screening is Screening.FEBRILE


skins = st.floats(15, 45)
ambients = st.floats(0, 40)
CLEARED = (Screening.NORMAL, Screening.RECHECK)


@given(ambients, skins, st.floats(0.001, 5))
def test_a_warmer_skin_is_a_warmer_body(ambient: float, skin: float, more: float) -> None:
    assert estimate_body(skin + more, ambient) > estimate_body(skin, ambient)


ORDER = [Screening.TOO_FAR, Screening.NORMAL, Screening.RECHECK, Screening.FEVER_SUSPECTED, Screening.IMPLAUSIBLE]


@given(st.floats(16, 40), skins, st.floats(0, 5))
def test_a_warmer_skin_is_never_judged_cooler(ambient: float, skin: float, more: float) -> None:
    cool, warm = (first([Reading(one, ambient, 0.1 * number) for number in range(3)], at=8) for one in (skin, skin + more))
    assert ORDER.index(cool.screening) <= ORDER.index(warm.screening)


@given(st.floats(16, 40), st.floats(35.5, 42), skins, st.integers(0, 12))
def test_one_low_reading_never_clears_a_fever(ambient: float, high: float, low: float, where: int) -> None:
    suspected = first([Reading(high, ambient, 0.1 * number) for number in range(3)])
    if suspected.screening is not Screening.FEVER_SUSPECTED:
        return
    later: list[Reading | SensorFault] = [Reading(high, ambient, 6.5 + 0.1 * number) for number in range(12)]
    later.insert(where, Reading(low, ambient, 6.4 + 0.1 * where))
    for upto in range(len(later) + 1):
        found = screen(sorted(later, key=lambda one: one.at)[:upto], POLICY, WARM, suspected, 9.0, 0.0)
        assert found.screening not in CLEARED


@given(st.floats(16, 40), st.floats(35.5, 42), skins)
def test_nothing_a_degree_below_the_first_clears_a_fever(ambient: float, high: float, low: float) -> None:
    suspected = first([Reading(high, ambient, 0.1 * number) for number in range(3)])
    if suspected.screening is not Screening.FEVER_SUSPECTED or suspected.body_c is None:
        return
    found = screen([Reading(low, ambient, 7 + 0.1 * number) for number in range(3)], POLICY, WARM, suspected, 9.0, 0.0)
    if estimate_body(low, ambient) < suspected.body_c - POLICY.disagree_c:
        assert found.screening not in CLEARED


kinds = st.sampled_from(SensorFaultKind)
sequences = st.lists(st.one_of(st.tuples(skins, ambients), kinds), max_size=20)


class Gate:
    """Screens one person as the unit does: every reading as it comes, and the second measurement after the first."""

    def __init__(self, policy: ScreeningPolicy, since: float) -> None:
        self.policy = policy
        self.since = since
        self.readings: list[Reading | SensorFault] = []
        self.earlier: Screened | None = None
        self.suspected: Screened | None = None

    def take(self, one: Reading | SensorFault, at: float) -> Screened:
        self.readings.append(one)
        found = screen(self.readings, self.policy, WARM, self.earlier, at, self.since)
        if found.measure_again:
            self.earlier = found
            self.suspected = found if found.screening is Screening.FEVER_SUSPECTED else self.suspected
        return found


near, starts = st.floats(34.0, 37.5), st.floats(-3, 3)
policies = st.builds(ScreeningPolicy, samples=st.integers(3, 5), spread_c=st.floats(0.1, 1.0), fever_c=st.sampled_from([37.0, 37.3, 37.8]))


@given(
    policies, st.lists(st.one_of(near, near, near, skins, kinds), max_size=60), st.floats(16, 40), st.floats(0.05, 1.0), st.floats(-3, 3)
)
def test_whatever_comes_in_whatever_order_nobody_is_normal_whose_median_is_a_fever(
    policy: ScreeningPolicy, sequence: list[float | SensorFaultKind], ambient: float, every_s: float, since: float
) -> None:
    gate = Gate(policy, since)
    for number, one in enumerate(sequence):
        at = number * every_s
        found = gate.take(SensorFault(one, "", at) if isinstance(one, SensorFaultKind) else Reading(one, ambient, at), at)
        assert found.screening in Screening
        if found.screening is not Screening.NORMAL:
            if found.screening is not Screening.PENDING and not found.measure_again:
                return
            continue
        group = [each for each in gate.readings if each.at >= since][-policy.samples :]
        assert len(group) == policy.samples
        assert all(isinstance(each, Reading) for each in group)
        warmest = sorted(each.skin_c for each in group if isinstance(each, Reading))
        assert estimate_body(warmest[policy.samples // 2], ambient) < policy.fever_c
        assert warmest[-1] - warmest[0] <= policy.spread_c
        if gate.suspected is not None:
            began = gate.suspected.at + policy.retest_after_s
            assert min(each.at for each in group) >= began, "two groups of their own"
            assert gate.suspected.skin_c is not None
            assert abs(warmest[policy.samples // 2] - gate.suspected.skin_c) <= policy.disagree_c
        return


@given(st.lists(kinds, min_size=1, max_size=40), st.floats(0.05, 1.0), st.one_of(st.none(), st.just(SUSPECTED), st.just(RECHECK)))
def test_a_faulty_sensor_never_yields_a_number(sequence: list[SensorFaultKind], every_s: float, earlier: Screened | None) -> None:
    gate = Gate(POLICY, 0.0)
    gate.earlier = earlier
    for number, kind in enumerate(sequence):
        found = gate.take(SensorFault(kind, "", number * every_s), number * every_s)
        assert (found.body_c, found.skin_c) == (None, None)
        assert found.screening not in (Screening.NORMAL, Screening.RECHECK, Screening.FEVER_SUSPECTED, Screening.FEBRILE)


def test_a_suspicion_is_not_cleared_by_skin_that_was_somebody_else_s() -> None:
    """37.5 and then 36.6 of estimate differ by 0.9 only, but the skin by 1.6: hair, a wiped forehead, the person behind."""
    suspected = first([Reading(35.63, 25.0, 0.1 * number) for number in range(3)])
    assert suspected.screening is Screening.FEVER_SUSPECTED
    later = [Reading(34.0, 25.0, 7.0 + 0.1 * number) for number in range(3)]
    found = screen(later, POLICY, WARM, suspected, 8.0, 0.0)
    assert found.screening is Screening.NOT_CLEARED
    assert found.body_c is not None and suspected.body_c is not None
    assert abs(found.body_c - suspected.body_c) < POLICY.disagree_c


@given(sequences, st.floats(0, 20), st.one_of(st.none(), st.just(SUSPECTED), st.just(RECHECK)))
def test_a_number_comes_from_a_full_group_of_readings_and_from_nothing_else(
    sequence: list[tuple[float, float] | SensorFaultKind], at: float, earlier: Screened | None
) -> None:
    readings = [
        SensorFault(one, "", 0.1 * number) if isinstance(one, SensorFaultKind) else Reading(*one, 0.1 * number)
        for number, one in enumerate(sequence)
    ]
    found = screen(readings, POLICY, WARM, earlier, at, 0.0)
    if found.body_c is not None:
        assert found.samples == POLICY.samples
        group = [one for one in readings if one.at <= at][-POLICY.samples :]
        assert all(isinstance(one, Reading) for one in group)
    if found.screening in CLEARED:
        assert found.body_c is not None
