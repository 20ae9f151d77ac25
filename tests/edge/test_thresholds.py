"""No configuration lets somebody with 39 C through: not by one threshold, and not by several together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from edge.config import ConfigError, ScreeningPolicy, Sensor, parse
from edge.mlx90614 import PARTS, SKIN_EMISSIVITY, correct_emissivity, seen_of
from edge.screening import Reading, Screened, SensorState, estimate_body, screen, skin_of
from edge.thresholds import HIGH_FEVER_C, find_hole
from healthcode.terms import Screening

WARM = SensorState(7200.0, 0.0)


@pytest.mark.parametrize("part", PARTS)
def test_the_defaults_hold_with_every_part(part: str) -> None:
    assert find_hole(ScreeningPolicy(), Sensor(part=part)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "sensor", "words"),
    [
        ({"disagree_c": 1.95}, {}, "screening.disagree_c = 1.95 with screening.fever_c = 37.3"),
        ({"fever_c": 38.0, "disagree_c": 1.2}, {}, "screening.disagree_c = 1.2 with screening.fever_c = 38"),
        ({"fever_c": 38.0, "spread_c": 1.0, "disagree_c": 0.5}, {}, "screening.fever_c = 38 with screening.spread_c = 1"),
        ({"fever_c": 37.9, "spread_c": 0.8, "disagree_c": 0.5}, {"part": "BAA"}, "sensor.part = BAA"),
        ({"fever_c": 38.0, "spread_c": 0.4, "disagree_c": 0.5, "ambient_low_c": 0.0}, {"part": "BAA", "emissivity": 1.0}, "emissivity = 1"),
    ],
)
def test_thresholds_that_are_each_within_bounds_and_open_together(policy: dict[str, Any], sensor: dict[str, Any], words: str) -> None:
    hole = find_hole(ScreeningPolicy(**policy), Sensor(**sensor))
    assert hole is not None
    assert words in hole
    assert "\n" not in hole


@given(st.floats(30, 45), st.floats(0, 45))
def test_skin_and_body_lead_back_to_each_other(body: float, ambient: float) -> None:
    assert estimate_body(skin_of(body, ambient), ambient) == pytest.approx(body, abs=1e-9)


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """What a key of this type may hold, by the bounds of the configuration itself."""
    match kind:
        case inspect.Metadata(type=inner):
            return values(inner)
        case inspect.FloatType(ge=least, le=most):
            assert least is not None and most is not None
            return st.one_of(st.sampled_from([float(least), float(most)]), st.floats(least, most))
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.LiteralType(values=names):
            return st.sampled_from(names)
        case other:
            raise TypeError(other)


def some(section: type[msgspec.Struct], *left_out: str) -> st.SearchStrategy[dict[str, Any]]:
    """Some keys of a section, each with any value that its bounds allow."""
    whole = inspect.type_info(section)
    assert isinstance(whole, inspect.StructType)
    return st.fixed_dictionaries({}, optional={one.name: values(one.type) for one in whole.fields if one.name not in left_out})


HEAD = 'unit = "north"\nhardware = "pi"\ndata = "/d"\nroots = ["r"]\n'
risky = st.sampled_from([{}, {"fever_c": 38.0}, {"fever_c": 38.0, "spread_c": 1.0}])
"""Chance alone seldom draws several thresholds that are late together."""
policies = st.builds(lambda drawn, late: {**drawn, **late}, some(ScreeningPolicy), risky)
sensors = some(Sensor, "calibration", "bus", "address")


def toml(policy: dict[str, Any], sensor: dict[str, Any]) -> str:
    sections = (("screening", policy), ("sensor", sensor))
    return HEAD + "".join(f"[{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in keys.items()) for name, keys in sections)


@settings(max_examples=200)
@given(policies, sensors, st.data())
def test_no_configuration_that_is_accepted_admits_a_high_fever(policy: dict[str, Any], sensor: dict[str, Any], data: st.DataObject) -> None:
    """A forehead of 39 C or more before a part that errs as far as its maker allows, in samples as far apart as the policy allows."""
    try:
        config = parse(toml(policy, sensor))
    except ConfigError:
        assume(False)
    assume(find_hole(config.screening, config.sensor) is None)
    rules, part = config.screening, PARTS[config.sensor.part]
    ambient = data.draw(st.floats(rules.ambient_low_c, rules.ambient_high_c))
    worst = data.draw(st.booleans())
    body = HIGH_FEVER_C if worst else data.draw(st.floats(HIGH_FEVER_C, 41.0))
    error = -part.accuracy_c if worst else data.draw(st.floats(-part.accuracy_c, part.accuracy_c))
    seen = seen_of(skin_of(body, ambient), ambient, SKIN_EMISSIVITY) + error
    skin = correct_emissivity(seen, ambient, config.sensor.emissivity)
    noise = [-rules.spread_c] if worst else data.draw(st.lists(st.floats(-rules.spread_c, 0.0), min_size=4, max_size=12))
    every_s = config.sensor.cycle_s
    readings = [Reading(skin + noise[number % len(noise)], ambient, number * every_s) for number in range(1, 200)]
    earlier: Screened | None = None
    for upto in range(1, len(readings)):
        at = readings[upto - 1].at
        found = screen(readings[:upto], rules, WARM, earlier, at, 0.0)
        assert found.screening is not Screening.NORMAL
        if found.measure_again:
            earlier = found
        elif found.screening is not Screening.PENDING:
            break


@settings(max_examples=150)
@given(policies, sensors, st.data())
def test_no_configuration_clears_a_true_high_fever_by_whatever_comes_second(
    policy: dict[str, Any], sensor: dict[str, Any], data: st.DataObject
) -> None:
    try:
        config = parse(toml(policy, {**sensor, "emissivity": SKIN_EMISSIVITY}))
    except ConfigError:
        assume(False)
    assume(find_hole(config.screening, config.sensor) is None)
    rules = config.screening
    ambient = data.draw(st.floats(rules.ambient_low_c, rules.ambient_high_c))
    first_c = skin_of(data.draw(st.one_of(st.just(HIGH_FEVER_C), st.floats(HIGH_FEVER_C, 39.9))), ambient)
    first = screen([Reading(first_c, ambient, 0.1 * number) for number in range(1, 6)], rules, WARM, None, 0.6, 0.0)
    assert first.screening is Screening.FEVER_SUSPECTED
    just_under = skin_of(rules.fever_c, ambient) - 1e-6
    second_c = data.draw(st.one_of(st.just(just_under), st.floats(first_c - 3.0, first_c), st.floats(20.0, 45.0)))
    begin = first.at + rules.retest_after_s
    second = screen([Reading(second_c, ambient, begin + 0.1 * number) for number in range(1, 6)], rules, WARM, first, begin + 0.6, 0.0)
    assert second.screening is not Screening.NORMAL
