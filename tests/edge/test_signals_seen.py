"""The lights as eyes see them that see no red, no green, no blue, or no colour at all: told apart by rhythm alone, and lit means pass."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from edge.signals import BLUE, DARK, GREEN, RED, TABLE, WHITE, YELLOW, Pattern, Rgb, Signal

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]

NORMAL: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
GREY = (0.2126, 0.7152, 0.0722)
"""Luminance of linear sRGB (IEC 61966-2-1, ITU-R BT.709)."""
EYES: dict[str, Matrix] = {
    "normal": NORMAL,
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
    "achromatopsia": (GREY, GREY, GREY),
}
"""What a colour becomes, linear RGB: Machado, Oliveira and Fernandes, A Physiologically-based Model for Simulation of Color Vision
Deficiency (IEEE TVCG 15, 2009), severity 1.0; achromatopsia as the luminance alone."""
APART = 20.0
"""Difference of lightness (CIE L*, 0 to 100) above which two lights, or a light and none, count as seen to differ; 1 can just be seen."""
TWICE = 2.0
"""How much longer a flash or a pause must be to be told from another without comparing: trained listeners and watchers need a tenth."""


def seen(colour: Rgb, eyes: Matrix) -> tuple[float, float, float]:
    """The colour as these eyes see it, linear RGB."""
    red, green, blue = np.clip(np.array(eyes) @ np.array(colour, float), 0, 1)
    return float(red), float(green), float(blue)


def lightness(colour: Rgb, eyes: Matrix) -> float:
    """CIE 1976 L* of what these eyes see."""
    luminance = float(np.dot(GREY, seen(colour, eyes)))
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


@dataclass(frozen=True)
class Rhythm:
    """One turn of a light, as somebody sees it to whom all hues are one: seconds lit and dark in turn; no pauses where it is steady."""

    lit: tuple[float, ...]
    dark: tuple[float, ...]


def rhythm(light: Pattern[Rgb], eyes: Matrix) -> Rhythm:
    """What is left of a light when only light and dark count. Every pattern begins lit and ends dark, or is lit for good."""
    runs = [
        (lit, sum(seconds for _, seconds in group))
        for lit, group in itertools.groupby(light.steps, lambda step: lightness(step[0], eyes) > APART)
    ]
    if len(runs) == 1:
        return Rhythm((float("inf"),), ())
    assert [lit for lit, _ in runs] == [True, False] * (len(runs) // 2)
    return Rhythm(tuple(s for lit, s in runs if lit), tuple(s for lit, s in runs if not lit))


def told_apart(one: Rhythm, other: Rhythm) -> bool:
    """By the number of flashes in a turn, or by one flash or pause that is twice as long."""
    if len(one.lit) != len(other.lit) or len(one.dark) != len(other.dark):
        return True
    pairs = zip((*one.lit, *one.dark), (*other.lit, *other.dark), strict=True)
    return any(max(pair) >= TWICE * min(pair) for pair in pairs)


@pytest.mark.parametrize("eyes", EYES)
def test_every_colour_of_the_lamp_is_seen_as_light(eyes: str) -> None:
    assert lightness(DARK, EYES[eyes]) == 0
    for colour in (RED, GREEN, BLUE, YELLOW, WHITE):
        assert lightness(colour, EYES[eyes]) > APART


def test_the_simulation_confuses_what_such_eyes_confuse() -> None:
    """Red and green of one brightness differ in hue for normal eyes, and hardly for protanopes and deuteranopes."""

    def hue(colour: tuple[float, float, float]) -> float:
        return (colour[0] - colour[1]) / sum(colour)

    for eyes in ("protanopia", "deuteranopia"):
        apart = hue(seen(RED, EYES[eyes])) - hue(seen(GREEN, EYES[eyes]))
        assert abs(apart) < 0.35 < hue(seen(RED, NORMAL)) - hue(seen(GREEN, NORMAL))
    assert seen(RED, EYES["achromatopsia"])[0] == seen(RED, EYES["achromatopsia"])[2]


@pytest.mark.parametrize("eyes", EYES)
def test_any_two_signals_are_told_apart_by_rhythm_alone(eyes: str) -> None:
    for one, other in itertools.combinations(Signal, 2):
        first, second = rhythm(TABLE[one].light, EYES[eyes]), rhythm(TABLE[other].light, EYES[eyes])
        assert told_apart(first, second), (one, first, other, second)


def longest_lit(light: Pattern[Rgb], dead: int | None) -> float:
    """How long the lamp stays lit without a break, of two turns, with one of its three colours dead."""
    longest = lasts = 0.0
    for colour, seconds in light.steps * 2:
        shines = any(on for place, on in enumerate(colour) if place != dead)
        lasts = lasts + seconds if shines else 0.0
        longest = max(longest, lasts)
    return longest


@pytest.mark.parametrize("dead", [None, 0, 1, 2], ids=["whole lamp", "red dead", "green dead", "blue dead"])
@pytest.mark.parametrize("signal", [signal for signal in Signal if signal is not Signal.PASS])
def test_what_stays_lit_for_a_second_is_a_pass_even_if_the_lamp_has_lost_a_colour(signal: Signal, dead: int | None) -> None:
    assert longest_lit(TABLE[signal].light, dead) < 1.0


def test_a_pass_is_lit_for_good_and_sounds_like_nothing_else() -> None:
    assert longest_lit(TABLE[Signal.PASS].light, None) > 60
    assert [signal for signal in Signal if TABLE[signal].sound == TABLE[Signal.PASS].sound] == [Signal.PASS]


def beeps(signal: Signal) -> list[tuple[int, float]]:
    return [(hertz, seconds) for hertz, seconds in TABLE[signal].sound.steps if hertz]


def test_who_hears_and_does_not_see_knows_who_may_pass() -> None:
    """No refusal begins with a tone of the pass's height, and none is silent."""
    (hertz, seconds), *_ = beeps(Signal.PASS)
    for signal in (Signal.YELLOW, Signal.RED, Signal.INVALID, Signal.FEVER, Signal.GUARD):
        first, *_ = beeps(signal)
        assert first[0] <= hertz / 2, "an octave lower at least"
        assert beeps(signal) != [(hertz, seconds)]
