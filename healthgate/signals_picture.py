"""The picture of all signals: for each its meaning, its light and its sound over the first seconds, as an SVG that reads in grey too."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TypeVar

from edge.signals import BLUE, DARK, GREEN, RED, SILENT, TABLE, WHITE, WORDS, YELLOW, Pattern, Rgb, Signal, light_in_words, sound_in_words

V = TypeVar("V")

SECONDS = 6.0
"""How much of each signal is drawn: the longest turn of a light is 4 s, the guard's sound comes again after 5 s."""
LEFT, WIDTH, TOP, ROW = 345, 720, 64, 62
LIGHT, SOUND = 20, 26
"""Heights of the two bands of a row."""
FONT = "DejaVu Sans, Noto Sans CJK SC, WenQuanYi Micro Hei, Microsoft YaHei, sans-serif"
PAINT: dict[Rgb, tuple[str, str, str]] = {
    RED: ("#c62828", "#ffffff", "R"),
    GREEN: ("#2e7d32", "#ffffff", "G"),
    BLUE: ("#1e5bc6", "#ffffff", "B"),
    YELLOW: ("#fbc02d", "#000000", "Y"),
    WHITE: ("#ffffff", "#000000", "W"),
}
"""How a lit lamp is painted: fill, letter's colour, letter."""
LETTER_FITS = {"W": 16}
"""Width of a bar in which this letter has room; others need 11."""


def picture() -> str:
    """The SVG."""
    height = TOP + ROW * len(Signal) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 30} {height}" font-family="{FONT}" font-size="12">',
        f'<rect width="{LEFT + WIDTH + 30}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="26" font-size="17" font-weight="bold">Light and sound of a gate  灯光与声音</text>',
        '<text x="16" y="46">Upper band: the lamp, lit with the letter of its colour, or dark.'
        " Lower band: the buzzer, its height is the pitch. Only “pass” stays lit.</text>",
    ]
    parts += [part for row, signal in enumerate(Signal) for part in _row(signal, TOP + ROW * row)]
    parts += _scale(TOP + ROW * len(Signal))
    return "\n".join([*parts, "</svg>", ""])


def _row(signal: Signal, top: int) -> list[str]:
    english, chinese = WORDS[signal]
    row = TABLE[signal]
    parts = [
        f'<g id="{signal.value}"><title>{escape(english)}: {light_in_words(row.light)}; sound: {sound_in_words(row.sound)}</title>',
        f'<line x1="10" y1="{top}" x2="{LEFT + WIDTH + 20}" y2="{top}" stroke="#d0d0d0"/>',
        f'<text x="16" y="{top + 20}" font-size="15" font-weight="bold">{signal.value}</text>',
        f'<text x="118" y="{top + 20}" font-size="14">{escape(chinese)}</text>',
        *(f'<text x="16" y="{top + 37 + 15 * place}">{escape(line)}</text>' for place, line in enumerate(_lines(english))),
        f'<rect x="{LEFT}" y="{top + 6}" width="{WIDTH}" height="{LIGHT}" fill="#2b2b2b"/>',
    ]
    for colour, begin, end in _bars(row.light, DARK):
        fill, ink, letter = PAINT[colour]
        x, width = _place(begin), _place(end) - _place(begin)
        parts.append(
            f'<rect x="{x:g}" y="{top + 6}" width="{width:g}" height="{LIGHT}" fill="{fill}" stroke="#2b2b2b" stroke-width="0.6"/>'
        )
        if width >= LETTER_FITS.get(letter, 11):
            parts.append(f'<text x="{x + width / 2:g}" y="{top + 20}" text-anchor="middle" font-weight="bold" fill="{ink}">{letter}</text>')
    floor = top + 6 + LIGHT + 4 + SOUND
    parts.append(f'<line x1="{LEFT}" y1="{floor}" x2="{LEFT + WIDTH}" y2="{floor}" stroke="#888888"/>')
    for hertz, begin, end in _bars(row.sound, SILENT):
        tall = {440: 8, 880: 16, 1760: 24}[hertz]
        x, width = _place(begin), _place(end) - _place(begin)
        parts.append(f'<rect x="{x:g}" y="{floor - tall}" width="{max(1.5, width):g}" height="{tall}" fill="#444444"/>')
    if not row.sound.steps:
        parts.append(f'<text x="{LEFT + 6}" y="{floor - 6}" fill="#555555">no sound</text>')
    return [*parts, "</g>"]


def _bars(pattern: Pattern[V], off: V) -> list[tuple[V, float, float]]:
    """What is on, from when to when, in seconds from the start and as far as is drawn."""
    bars = []
    begin = 0.0
    while begin < SECONDS:
        inside = begin + 0.001  # a thousandth past the edge, so that rounding cannot fall before it
        left = pattern.next_change(inside)
        end = SECONDS if left is None else min(SECONDS, round(inside + left, 2))
        value = pattern.value(inside)
        if value != off:
            bars.append((value, begin, end))
        begin = end
    return bars


def _place(seconds: float) -> float:
    """Where a moment is drawn, from the left."""
    return round(LEFT + WIDTH * seconds / SECONDS, 1)


def _lines(words: str) -> list[str]:
    """`words` in lines that fit beside the bands."""
    return textwrap.wrap(words, 46)


def _scale(top: int) -> list[str]:
    parts = [f'<line x1="10" y1="{top}" x2="{LEFT + WIDTH + 20}" y2="{top}" stroke="#d0d0d0"/>']
    for second in range(int(SECONDS) + 1):
        x = _place(second)
        parts.append(f'<line x1="{x:g}" y1="{top}" x2="{x:g}" y2="{top + 6}" stroke="#555555"/>')
        parts.append(f'<text x="{x:g}" y="{top + 20}" text-anchor="middle">{second} s</text>')
    return parts
