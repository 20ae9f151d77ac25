"""The witnesses' arithmetic: what the journal of pins says about the relay and the light."""

from __future__ import annotations

import pytest

from healthgate.witness import COLOUR_WORDS, LIGHTS, light_colours, relay_pulses, word_of_levels
from healthgate.world import Entry

R, G, B = LIGHTS
DARK = dict.fromkeys(LIGHTS, 0.0)
WHITE = dict.fromkeys(LIGHTS, 1.0)


def lines(*changes: tuple[float, str, float]) -> list[Entry]:
    return [{"pin": pin, "value": value, "at": at} for at, pin, value in changes]


@pytest.mark.parametrize(
    ("levels", "pulses"),
    [([], 0), ([0], 0), ([1], 1), ([0, 1, 0], 1), ([1, 1, 0], 1), ([0, 1, 0, 1], 2), ([0.5, 0, 1], 2), ([1, 0, 0, 1, 0], 2)],
)
def test_the_relay_pulses_as_often_as_its_line_rises(levels: list[float], pulses: int) -> None:
    entries = lines(*((float(place), "relay", level) for place, level in enumerate(levels)))
    others: list[Entry] = [{"pin": "led_red", "value": 1, "at": 0.5}, {"register": 7, "word": 1, "at": 0.6}, {"frame": 1, "at": 0.7}]
    assert relay_pulses([*others, *entries, *others]) == pulses


@pytest.mark.parametrize(
    ("changes", "colours"),
    [
        ([], []),
        ([(1.0, R, 1)], ["red"]),
        ([(1.0, R, 1), (2.0, R, 0)], ["red", "off"]),
        ([(1.0, R, 1), (1.001, G, 1)], ["yellow"]),
        ([(1.0, R, 1), (1.001, G, 1), (1.002, B, 1), (2.0, R, 0), (2.001, B, 0)], ["white", "green"]),
        ([(1.0, G, 1), (2.0, G, 1)], ["green"]),
        ([(1.0, R, 1), (1.004, R, 0), (1.008, G, 1)], ["green"]),
        ([(1.0, R, 1), (2.0, R, 0), (3.0, R, 1)], ["red", "off", "red"]),
        ([(1.0, R, 0.02), (2.0, B, 0.5)], ["off", "blue"]),
    ],
)
def test_lines_that_change_together_are_one_colour(changes: list[tuple[float, str, float]], colours: list[str]) -> None:
    others: list[Entry] = [{"pin": "relay", "value": 1, "at": 1.5}, {"register": 6, "word": 1, "at": 1.6}]
    assert light_colours([*others, *lines(*changes)], DARK) == colours


def test_a_line_that_stays_on_has_no_entry_and_counts_all_the_same() -> None:
    assert light_colours(lines((1.0, G, 0), (1.001, B, 0)), WHITE) == ["red"]
    assert light_colours([], WHITE) == []


@pytest.mark.parametrize(("on", "word"), COLOUR_WORDS.items())
def test_every_combination_of_the_three_lines_has_a_word(on: tuple[int, int, int], word: str) -> None:
    assert word_of_levels(dict(zip(LIGHTS, map(float, on), strict=True))) == word
