"""Charts as SVG, drawn here: axes named, units given, colours of codes for codes alone, shapes and patterns that read in grey. Pure.

Nothing in them is a style, so that the pages' policy lets them be. A table under each says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from math import floor, log10

from markupsafe import Markup, escape

WIDTH = 720
_LEFT, _RIGHT = 76, 92
_PLOT = WIDTH - _LEFT - _RIGHT
_PANEL, _GAP = 104, 46
_BAR, _ROW = 18, 46
_MARKS_UP_TO = 35
"""With more days than these a line has a mark at its end alone."""
_TINT = {"green": "#00723f", "yellow": "#ffd200", "red": "#b3001b", "pending": "#ffffff"}
_LINE = {"green": "#00723f", "yellow": "#8a6d00", "red": "#b3001b", "pending": "#4a5a66"}
_PATTERNS = Markup(
    '<defs><pattern id="fill-yellow" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" fill="#ffd200"/>'
    '<path d="M-2 2l4-4M0 8l8-8M6 10l4-4" stroke="#14202a" stroke-width="1.5"/></pattern>'
    '<pattern id="fill-red" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" fill="#b3001b"/>'
    '<path d="M0 8l8-8M0 0l8 8" stroke="#fff" stroke-width="1"/></pattern>'
    '<pattern id="fill-pending" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" fill="#fff"/>'
    '<circle cx="4" cy="4" r="1.3" fill="#14202a"/></pattern></defs>'
)


@dataclass(frozen=True)
class Panel:
    """One colour's line: its word, and how many people on which day; days that were not counted are left out."""

    colour: str
    word: str
    points: Sequence[tuple[date, int]]


@dataclass(frozen=True)
class Bar:
    """A place's bar: its name, and how many people of each colour in the order in which they are drawn."""

    name: str
    parts: Sequence[tuple[str, int]]

    @property
    def total(self) -> int:
        """How many people in all."""
        return sum(people for _, people in self.parts)


def lines(panels: Sequence[Panel], title: str, people: str, day: str) -> Markup:
    """A panel for each colour above a common axis of days; every panel begins at 0 and has a scale of its own.

    `people` and `day` name the axes. None of the panels may be without points.
    """
    days = sorted({at for panel in panels for at, _ in panel.points})
    height = len(panels) * (_PANEL + _GAP) + 34
    body = Markup("").join(
        _panel(panel, number * (_PANEL + _GAP) + 26, days, people, is_last=number == len(panels) - 1) for number, panel in enumerate(panels)
    )
    name = Markup('<text x="{}" y="{}" font-size="14" text-anchor="middle" fill="#14202a">{}</text>').format(
        _LEFT + _PLOT // 2, height - 4, day
    )
    return _svg(title, height, body + name)


def bars(rows: Sequence[Bar], title: str, people: str, words: dict[str, str]) -> Markup:
    """A bar for each place, its parts beside each other, above one axis of people."""
    most = max((row.total for row in rows), default=0)
    top = ceiling(most)
    marks = ticks(top)
    legend = _legend([colour for colour, _ in rows[0].parts] if rows else [], words)
    begin = 34
    height = begin + len(rows) * _ROW + 48
    parts = [legend]
    for tick in marks:
        x = 8 + tick / top * (WIDTH - 90)
        parts.append(rule(x, begin, x, begin + len(rows) * _ROW))
        parts.append(text(x, begin + len(rows) * _ROW + 16, f"{tick:,}", "middle" if tick else "start", 13))
    for number, row in enumerate(rows):
        y = begin + number * _ROW
        parts.append(text(8, y + 16, row.name, "start", 14))
        x = 8.0
        for colour, count in row.parts:
            width = count / top * (WIDTH - 90)
            if count:
                parts.append(_rect(x, y + 22, width, _BAR, colour))
            x += width
        parts.append(text(x + 6, y + 36, f"{row.total:,}", "start", 13))
    parts.append(text(8 + (WIDTH - 90) / 2, height - 6, people, "middle", 14))
    return _svg(title, height, Markup("").join(parts))


def ceiling(most: int) -> int:
    """The end of an axis on which `most` fits: 1, 2 or 5 times a power of ten, at least 4."""
    if most <= 4:
        return 4
    power = int(10 ** floor(log10(most)))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= most)


def ticks(top: int) -> list[int]:
    """Where an axis from 0 to `top` has its marks."""
    step = max(1, top // (4 if top % 4 == 0 else 5))
    return list(range(0, top + 1, step))


def _panel(panel: Panel, y: int, days: Sequence[date], people: str, *, is_last: bool) -> Markup:
    top = ceiling(max(count for _, count in panel.points))
    span = max(1, (days[-1] - days[0]).days)

    def place(at: date, count: int) -> tuple[float, float]:
        x = _LEFT + ((at - days[0]).days / span if days[-1] > days[0] else 0.5) * _PLOT
        return x, y + _PANEL - count / top * _PANEL

    parts = [_mark(panel.colour, _LEFT + 6, y - 11), text(_LEFT + 20, y - 6, panel.word, "start", 14, "bold")]
    for tick in ticks(top)[:: 2 if len(ticks(top)) > 4 else 1]:
        _, at_y = place(days[0], tick)
        parts.append(rule(_LEFT, at_y, _LEFT + _PLOT, at_y))
        parts.append(text(_LEFT - 8, at_y + 4, f"{tick:,}", "end", 13))
    parts.append(
        Markup('<text transform="translate(14 {}) rotate(-90)" font-size="13" text-anchor="middle" fill="#14202a">{}</text>').format(
            y + _PANEL / 2, people
        )
    )
    path = " ".join(_steps([(at, *place(at, count)) for at, count in panel.points]))
    parts.append(Markup('<path d="{}" fill="none" stroke="{}" stroke-width="2"/>').format(path, _LINE[panel.colour]))
    shown = panel.points if len(panel.points) <= _MARKS_UP_TO else panel.points[-1:]
    parts += [_mark(panel.colour, *place(at, count)) for at, count in shown]
    last_x, last_y = place(*panel.points[-1])
    parts.append(text(last_x + 10, last_y + 4, f"{panel.points[-1][1]:,}", "start", 13, "bold"))
    for at in _few(days) if is_last else ():
        x, _ = place(at, 0)
        parts.append(rule(x, y + _PANEL, x, y + _PANEL + 5, "#14202a"))
        parts.append(text(x, y + _PANEL + 20, f"{at:%Y-%m-%d}", "middle", 13))
    return Markup("").join(parts)


def _steps(points: Sequence[tuple[date, float, float]]) -> Iterator[str]:
    """A line that breaks where days are missing."""
    before: date | None = None
    for at, x, y in points:
        yield f"{'L' if before is not None and (at - before).days == 1 else 'M'}{x:.1f} {y:.1f}"
        before = at


def _few(days: Sequence[date]) -> list[date]:
    """At most five of the days, as far apart as they can be, the first and the last among them."""
    if len(days) <= 5:
        return list(days)
    return [days[round(number * (len(days) - 1) / 4)] for number in range(5)]


def _legend(colours: Sequence[str], words: dict[str, str]) -> Markup:
    parts, x = [], 8.0
    for colour in colours:
        parts += [_rect(x, 4, 22, 16, colour), text(x + 28, 17, words[colour], "start", 14)]
        x += 52 + 14 * len(words[colour]) * (1.0 if ord(words[colour][0]) > 0x2E80 else 0.6)
    return Markup("").join(parts)


def _mark(colour: str, x: float, y: float) -> Markup:
    """A code's shape: circle, triangle, octagon, square."""
    shapes = {
        "green": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
        "yellow": "M0-6L6 5H-6z",
        "red": "M-3-7h6L7-3v6L3 7h-6L-7 3v-6z",
        "pending": "M-4.5-4.5h9v9h-9z",
    }
    return Markup('<path transform="translate({:.1f} {:.1f})" d="{}" fill="{}" stroke="#14202a" stroke-width="1"/>').format(
        x, y, shapes[colour], _TINT[colour]
    )


def _rect(x: float, y: float, width: float, height: float, colour: str) -> Markup:
    fill = _TINT["green"] if colour == "green" else f"url(#fill-{colour})"
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}" stroke="#14202a" stroke-width="1"/>').format(
        x, y, max(width, 1.0), height, fill
    )


def rule(x: float, y: float, to_x: float, to_y: float, colour: str = "#c3ced5") -> Markup:
    """A line."""
    return Markup('<path d="M{:.1f} {:.1f}L{:.1f} {:.1f}" stroke="{}"/>').format(x, y, to_x, to_y, colour)


def text(x: float, y: float, words: str, anchor: str, size: int, weight: str = "normal") -> Markup:
    """Words at a place; `anchor` is start, middle or end."""
    return Markup('<text x="{:.1f}" y="{:.1f}" font-size="{}" font-weight="{}" text-anchor="{}" fill="#14202a">{}</text>').format(
        x, y, size, weight, anchor, words
    )


def _svg(title: str, height: int, body: Markup) -> Markup:
    return Markup('<svg class="chart" role="img" viewBox="0 0 {} {}" aria-label="{}">{}{}</svg>').format(
        WIDTH, height, escape(title), _PATTERNS, body
    )
