"""A sheet of schematics: panels with a frame each, drawn in coordinates of their own; the electrical symbols are schemdraw's."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal, TypeAlias

import schemdraw
from schemdraw import elements as elm
from schemdraw.util import Point

from hw.header import HEADER_PIN

FONT = "DejaVu Sans, Arial, sans-serif"
SMALL, NORMAL, LARGE = 10, 11.5, 15

XY: TypeAlias = tuple[float, float]
Align: TypeAlias = Literal["left", "center", "right"]


class Panel:
    """One part of the sheet with a frame and a title; all coordinates are from its lower left corner."""

    def __init__(self, sheet: schemdraw.Drawing, corner: XY, size: XY, title: str) -> None:
        self.sheet, self.corner = sheet, corner
        sheet.add(elm.Rect(corner1=(0, 0), corner2=size).right().at(corner).linewidth(1))
        self.text((0.35, size[1] - 0.75), title, LARGE)

    def at(self, point: XY) -> Point:
        """Where `point` of this panel is on the sheet."""
        return Point((self.corner[0] + point[0], self.corner[1] + point[1]))

    def text(self, point: XY, words: str, size: float = NORMAL, align: Align = "left") -> None:
        """Words that begin, are centred or end at `point`, by `align`."""
        self.sheet.add(
            elm.Label().right().at(self.at(point)).label(words, fontsize=size, halign=align, valign="bottom", loc="center", ofst=0)
        )

    def wire(self, *points: XY) -> None:
        """A line through `points`."""
        for start, end in pairwise(points):
            self.sheet.add(elm.Line().endpoints(self.at(start), self.at(end)))

    def dot(self, *points: XY) -> None:
        """Joints at `points`."""
        for point in points:
            self.sheet.add(elm.Dot().at(self.at(point)))

    def part(self, kind: elm.Element2Term, start: XY, end: XY) -> None:
        """A part with two ends."""
        self.sheet.add(kind.endpoints(self.at(start), self.at(end)))

    def place(self, kind: elm.Element, anchor: str, point: XY) -> elm.Element:
        """A part whose `anchor` is at `point`."""
        return self.sheet.add(kind.right().anchor(anchor).at(self.at(point)))

    def find(self, element: elm.Element, anchor: str) -> XY:
        """Where an anchor of a placed part is, in this panel's coordinates."""
        point = element.absanchors[anchor]
        return point[0] - self.corner[0], point[1] - self.corner[1]

    def ground(self, point: XY) -> None:
        """The unit's GND."""
        self.sheet.add(elm.Ground().right().at(self.at(point)))

    def zero(self, point: XY) -> None:
        """The turnstile's 0 V, which is not the unit's GND."""
        self.sheet.add(elm.GroundChassis().right().at(self.at(point)))
        self.text((point[0] + 0.45, point[1] - 0.55), "0 V T", SMALL)

    def supply(self, point: XY, name: str) -> None:
        """A supply rail above `point`."""
        self.sheet.add(elm.Vdd().right().at(self.at(point)).label(name, fontsize=NORMAL))

    def pin(self, point: XY, signal: str, bcm: int) -> None:
        """A pin of the Pi's header, its wire leaving to the right at `point`."""
        self.box((point[0] - 3.1, point[1] - 0.5), (3.1, 1.0), signal, f"GPIO{bcm}, pin {HEADER_PIN[bcm]}")

    def box(self, corner: XY, size: XY, *words: str) -> None:
        """A frame with centred lines in it."""
        self.sheet.add(elm.Rect(corner1=(0, 0), corner2=size).right().at(self.at(corner)).linewidth(1.5))
        middle = corner[1] + size[1] / 2
        for row, line in enumerate(words):
            self.text(
                (corner[0] + size[0] / 2, middle + 0.42 * (len(words) / 2 - row - 1) + 0.06),
                line,
                SMALL if (row and len(words) < 3) or ":" in line else NORMAL,
                "center",
            )

    def terminal(self, point: XY, words: str = "", side: Literal["left", "right"] = "right") -> None:
        """A screw terminal, with words on one side of it."""
        self.sheet.add(elm.Dot(open=True).at(self.at(point)))
        if words:
            self.text(
                (point[0] + (0.25 if side == "right" else -0.25), point[1] - 0.16), words, NORMAL, "left" if side == "right" else "right"
            )


def resistor(words: str = "") -> elm.Element2Term:
    """A resistor, its name and value beside it."""
    return elm.ResistorIEC().label(words, fontsize=NORMAL, ofst=0.2)


def fuse(words: str) -> elm.Element2Term:
    """A fuse, its name and rating beside it; T is slow."""
    return elm.FuseIEC().label(words, fontsize=NORMAL, ofst=0.2)


def new_sheet() -> schemdraw.Drawing:
    """An empty sheet; text stays text, so that it can be searched."""
    schemdraw.use("svg")
    schemdraw.svgconfig.text = "text"
    return schemdraw.Drawing(show=False, fontsize=NORMAL, font=FONT, lw=1.5, unit=2, inches_per_unit=0.56, margin=0.2)


def on_white(svg: str) -> str:
    """The same drawing on white paper, one element a line: on a dark page black lines would be invisible."""
    view = re.search(r'viewBox="(\S+) (\S+) (\S+) (\S+)"', svg)
    if view is None:
        raise ValueError("the drawing has no viewBox")
    x, y, width, height = (round(float(one), 1) for one in view.groups())
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{x} {y} {width} {height}" width="{width}" height="{height}">'
    paper = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="white"/>'
    svg = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", svg.replace("stroke-dasharray:-;", ""))
    return head + paper + re.sub(r"(?=<(?:path|circle|text|/svg)\b)", "\n", svg[svg.index(">") + 1 :]) + "\n"
