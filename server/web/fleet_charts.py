"""What the hours counted, as charts and the tables that say the same: passes, reasons, temperatures, the age of lists. Pure.

Verdicts are told apart by pattern and by their place in the column, in one ink: the colours of codes are for codes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from markupsafe import Markup, escape

from healthcode.terms import Decision, Reason
from server.fleet_hours import Hour
from server.sentences import Language
from server.web.charts import WIDTH, ceiling, rule, text, ticks
from server.web.language import Words

T = TypeVar("T")

LEFT, RIGHT, TOP, HEIGHT, BELOW = 64, 8, 36, 170, 46
_PLOT = WIDTH - LEFT - RIGHT
MOST_REASONS = 15
"""Reasons that are drawn; the table has all."""
_DEFS = Markup(
    '<defs><pattern id="ink-hatch" width="7" height="7" patternUnits="userSpaceOnUse"><rect width="7" height="7" fill="#fff"/>'
    '<path d="M-2 2l4-4M0 7l7-7M5 9l4-4" stroke="#0b4f6c" stroke-width="1.6"/></pattern>'
    '<pattern id="ink-dots" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" fill="#fff"/>'
    '<circle cx="3" cy="3" r="1.5" fill="#0b4f6c"/></pattern></defs>'
)
FILLS = {Decision.ADMIT.value: "#0b4f6c", Decision.REFUSE.value: "url(#ink-hatch)", Decision.CALL_GUARD.value: "url(#ink-dots)"}
PLAIN = "#0b4f6c"


@dataclass(frozen=True)
class Chart:
    """A chart, its title, and its table: the heads of the columns and the rows."""

    title: str
    picture: Markup
    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class Column:
    """A column: its name on the axis (empty for none), and its parts from below: how they are filled and how much they are."""

    name: str
    parts: Sequence[tuple[str, float]]


def draw(words: Words, series: Sequence[tuple[int, Hour]], *, is_one: bool) -> list[Chart]:
    """The four charts of (begin of the hour in milliseconds, counts); `is_one`: of one gate, else of all."""
    who = words("fleet.of_one") if is_one else words("fleet.of_all")
    return [_passes(words, series, who), _reasons(words, series, who), _temperatures(words, series, who), _ages(words, series, who)]


def columns(title: str, y_name: str, x_name: str, found: Sequence[Column], legend: Sequence[tuple[str, str]] = ()) -> Markup:
    """Columns beside each other above one axis; `legend` is (fill, words)."""
    top = ceiling(round(max((sum(amount for _, amount in column.parts) for column in found), default=0) + 0.499))
    step = _PLOT / max(1, len(found))
    body = [_legend(legend)]
    for tick in ticks(top):
        y = TOP + HEIGHT - tick / top * HEIGHT
        body += [rule(LEFT, y, LEFT + _PLOT, y), text(LEFT - 8, y + 4, f"{tick:,}", "end", 13)]
    for number, column in enumerate(found):
        x, y = LEFT + number * step, float(TOP + HEIGHT)
        for fill, amount in column.parts:
            tall = amount / top * HEIGHT
            y -= tall
            if amount:
                body.append(_rect(x + step * 0.08, y, step * 0.84, tall, fill))
        if column.name:
            body.append(rule(x + step / 2, TOP + HEIGHT, x + step / 2, TOP + HEIGHT + 5, "#14202a"))
            body.append(text(min(max(x + step / 2, LEFT + 20), WIDTH - 44), TOP + HEIGHT + 19, column.name, "middle", 13))
    body.append(
        Markup('<text transform="translate(14 {}) rotate(-90)" font-size="13" text-anchor="middle" fill="#14202a">{}</text>').format(
            TOP + HEIGHT / 2, y_name
        )
    )
    body.append(text(LEFT + _PLOT / 2, TOP + HEIGHT + BELOW - 6, x_name, "middle", 14))
    return _svg(title, TOP + HEIGHT + BELOW, body)


def rows(title: str, x_name: str, found: Sequence[tuple[str, int]]) -> Markup:
    """A bar for each name, its number at its end."""
    top, begin, each = ceiling(max((many for _, many in found), default=0)), 8, 40
    body = []
    for tick in ticks(top):
        x = 8 + tick / top * (WIDTH - 90)
        body += [rule(x, begin, x, begin + len(found) * each)]
        body += [text(x, begin + len(found) * each + 16, f"{tick:,}", "middle" if tick else "start", 13)]
    for number, (name, many) in enumerate(found):
        y, wide = begin + number * each, many / top * (WIDTH - 90)
        body += [text(8, y + 14, name, "start", 13), _rect(8, y + 19, wide, 14, PLAIN), text(14 + wide, y + 31, f"{many:,}", "start", 13)]
    body.append(text(8 + (WIDTH - 90) / 2, begin + len(found) * each + 38, x_name, "middle", 14))
    return _svg(title, begin + len(found) * each + 46, body)


def _passes(words: Words, series: Sequence[tuple[int, Hour]], who: str) -> Chart:
    title = words("fleet.chart.passes", who=who)
    names = {fill: words(f"fleet.decision.{decision}") for decision, fill in FILLS.items()}
    found = [
        Column(name, [(fill, hour.decisions.get(decision, 0)) for decision, fill in FILLS.items()])
        for name, hour in _named(words, series, lambda hour: hour)
    ]
    picture = columns(title, words("fleet.chart.people"), words("fleet.chart.hour"), found, list(names.items()))
    table = [(words.moment(at / 1000), [f"{hour.decisions.get(decision, 0):,}" for decision in FILLS]) for at, hour in reversed(series)]
    return Chart(title, picture, [words("fleet.chart.hour"), *names.values()], table)


def _reasons(words: Words, series: Sequence[tuple[int, Hour]], who: str) -> Chart:
    title = words("fleet.chart.reasons", who=who)
    counts: Counter[str] = Counter()
    for _, hour in series:
        counts.update({reason: many for reason, many in hour.reasons.items() if reason != Reason.GREEN})
    most = counts.most_common()
    picture = rows(title, words("fleet.chart.people"), most[:MOST_REASONS])
    return Chart(
        title,
        picture,
        [words("fleet.chart.reason"), words("fleet.chart.meaning"), words("fleet.chart.people")],
        [(reason, [_sentence(words, reason), f"{many:,}"]) for reason, many in most],
    )


def _temperatures(words: Words, series: Sequence[tuple[int, Hour]], who: str) -> Chart:
    title = words("fleet.chart.body", who=who)
    counts: Counter[int] = Counter()
    for _, hour in series:
        counts.update({round(float(low) * 5): many for low, many in hour.body.items()})
    bins = range(min(counts, default=175), max(counts, default=189) + 1)
    found = [Column(f"{at / 5:.0f}" if at % 5 == 0 else "", [(PLAIN, counts[at])]) for at in bins]
    picture = columns(title, words("fleet.chart.people"), words("fleet.chart.celsius"), found)
    table = [(f"{at / 5:.1f}-{at / 5 + 0.2:.1f}", [f"{counts[at]:,}"]) for at in bins if counts[at]]
    return Chart(title, picture, [words("fleet.chart.celsius"), words("fleet.chart.people")], table)


def _ages(words: Words, series: Sequence[tuple[int, Hour]], who: str) -> Chart:
    title = words("fleet.chart.age", who=who)
    found = [Column(name, [(PLAIN, age)]) for name, age in _named(words, series, lambda hour: max(0.0, hour.list_age_s or 0.0) / 60)]
    picture = columns(title, words("fleet.chart.minutes"), words("fleet.chart.hour"), found)
    table = [
        (words.moment(at / 1000), [words("fleet.none") if hour.list_age_s is None else f"{hour.list_age_s / 60:,.1f}"])
        for at, hour in reversed(series)
    ]
    return Chart(title, picture, [words("fleet.chart.hour"), words("fleet.chart.minutes")], table)


def _named(words: Words, series: Sequence[tuple[int, Hour]], take: Callable[[Hour], T]) -> list[tuple[str, T]]:
    """Hours with the name that stands below some six of them: the time of day, or the date where there are days."""
    gap = max(1, len(series) // 6)
    form = "%H:%M" if len(series) <= 48 else "%m-%d %H:%M"
    return [
        (f"{datetime.fromtimestamp(at / 1000, words.zone):{form}}" if number % gap == gap // 2 else "", take(hour))
        for number, (at, hour) in enumerate(series)
    ]


def _sentence(words: Words, reason: str) -> str:
    if reason not in Reason.__members__:
        return ""
    return Reason(reason).sentence if words.language is Language.ENGLISH else Reason(reason).sentence_zh


def _legend(found: Sequence[tuple[str, str]]) -> Markup:
    parts, x = [], float(LEFT)
    for fill, name in found:
        parts += [_rect(x, 6, 22, 16, fill), text(x + 28, 19, name, "start", 14)]
        x += 52 + 14 * len(name) * (1.0 if ord(name[0]) > 0x2E80 else 0.6)
    return Markup("").join(parts)


def _rect(x: float, y: float, width: float, height: float, fill: str) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}" stroke="#14202a" stroke-width="1"/>').format(
        x, y, max(width, 1.0), max(height, 1.0), fill
    )


def _svg(title: str, height: float, body: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart" role="img" viewBox="0 0 {} {:.0f}" aria-label="{}">{}{}</svg>').format(
        WIDTH, height, escape(title), _DEFS, Markup("").join(body)
    )
