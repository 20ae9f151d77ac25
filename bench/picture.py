"""The benchmark's picture: how many presentations are read within three frames, by condition, ours and peers, as SVG that reads in grey."""

from __future__ import annotations

from bench.presentations import CONDITIONS
from bench.scan import Outcome

FRAMES = 3
LEFT, TOP, WIDE, ROW = 110, 74, 520, 40
MARKS = {
    "opencv": ("OpenCV", '<path d="M{x},{u} L{r},{y} L{x},{d} L{l},{y} Z" fill="white" stroke="#555"/>'),
    "pyzbar": ("pyzbar", '<rect x="{l}" y="{u}" width="10" height="10" fill="#bbb" stroke="#555"/>'),
    "zxing": ("zxing-cpp", '<circle cx="{x}" cy="{y}" r="6" fill="#777" stroke="#444"/>'),
    "ours": ("healthgate", '<circle cx="{x}" cy="{y}" r="7" fill="black"/>'),
}
"""Name and mark of each reader; what is drawn last lies on top."""


def draw(outcome: Outcome) -> str:
    """The SVG."""
    rows = [*CONDITIONS, None]
    tall = TOP + ROW * len(rows) + 58
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDE + 40} {tall}" font-family="sans-serif" font-size="13">',
        f'<rect width="{LEFT + WIDE + 40}" height="{tall}" fill="white"/>',
        f'<text x="12" y="22" font-size="15" font-weight="bold">Read within {FRAMES} frames, by condition</text>',
        f'<text x="12" y="40" fill="#444">{outcome.total()} synthetic presentations, {outcome.total(CONDITIONS[0])} of each condition; '
        "every reader sees the same frames</text>",
    ]
    for index, (name, mark) in enumerate(reversed(MARKS.values())):
        parts.append(_mark(mark, LEFT + 8 + 120 * index, 58))
        parts.append(f'<text x="{LEFT + 22 + 120 * index}" y="62">{name}</text>')
    bottom = TOP + ROW * len(rows)
    for percent in range(0, 101, 20):
        x = _across(percent)
        parts.append(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{percent}</text>')
    parts.append(f'<text x="{_across(50)}" y="{bottom + 40}" text-anchor="middle">presentations read within {FRAMES} frames (%)</text>')
    parts.append(f'<text x="{LEFT - 12}" y="{TOP - 2}" text-anchor="end" fill="#444">condition</text>')
    for row, condition in enumerate(rows):
        y = TOP + ROW * row + ROW // 2
        weight = ' font-weight="bold"' if condition is None else ""
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end"{weight}>{condition or "all"}</text>')
        total = max(1, outcome.total(condition))
        rates = {name: 100 * outcome.within(name, FRAMES, condition) / total for name in MARKS}
        parts.append(f'<line x1="{_across(min(rates.values()))}" y1="{y}" x2="{_across(max(rates.values()))}" y2="{y}" stroke="#ccc"/>')
        parts += [_mark(mark, _across(rates[name]), y + 7 * place - 10) for place, (name, (_, mark)) in enumerate(MARKS.items())]
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _across(percent: float) -> float:
    return round(LEFT + WIDE * percent / 100, 1)


def _mark(mark: str, x: float, y: float) -> str:
    return mark.format(x=x, y=y, l=round(x - 5, 1), r=round(x + 5, 1), u=y - 5, d=y + 5)
