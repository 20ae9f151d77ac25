"""The 40-pin header of a Raspberry Pi, and its drawing with what a unit hangs on each pin."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

import msgspec

from edge.config import Pins
from edge.drivers.simulated_pins import OUTPUTS

NAMES = (
    *("3V3", "5V", "GPIO2", "5V", "GPIO3", "GND", "GPIO4", "GPIO14", "GND", "GPIO15"),
    *("GPIO17", "GPIO18", "GPIO27", "GND", "GPIO22", "GPIO23", "3V3", "GPIO24", "GPIO10", "GND"),
    *("GPIO9", "GPIO25", "GPIO11", "GPIO8", "GND", "GPIO7", "GPIO0", "GPIO1", "GPIO5", "GND"),
    *("GPIO6", "GPIO12", "GPIO13", "GND", "GPIO19", "GPIO16", "GPIO26", "GPIO20", "GND", "GPIO21"),
)
"""What each header pin is, pin 1 first (Raspberry Pi documentation, "GPIO and the 40-pin header")."""

HEADER_PIN = {int(name[4:]): number for number, name in enumerate(NAMES, 1) if name.startswith("GPIO")}
"""The header pin of each BCM number."""

BUS = {1: "3V3 for sensor and clock", 3: "SDA, sensor and clock", 5: "SCL, sensor and clock", 9: "GND for sensor and clock"}
GROUNDS = {14: "GND of light and buzzer", 20: "GND of the relay's driver", 34: "GND of the contacts", 17: "3V3 for the inputs"}
"""What the unit's board takes from pins that are not signals of the configuration."""


@dataclass(frozen=True)
class Use:
    """What hangs on a header pin: a few words, and for a signal whether it goes out or comes in."""

    words: str
    direction: str = ""


def uses(pins: Pins) -> dict[int, Use]:
    """What each header pin is used for."""
    found = {number: Use(words) for number, words in (BUS | GROUNDS).items()}
    for signal, bcm in msgspec.structs.asdict(pins).items():
        found[HEADER_PIN[bcm]] = Use(signal, "out" if signal in OUTPUTS else "in")
    return found


ROW, TOP, MIDDLE, WIDTH = 30, 118, 470, 940
RADIUS = 11
LINE = "stroke='black' stroke-width='1.5'"
STYLE = "font-family='DejaVu Sans, Arial, sans-serif' fill='black'"


def draw_header(pins: Pins) -> str:
    """The header as an SVG, seen from above with the pins towards the reader."""
    found = uses(pins)
    height = TOP + 20 * ROW + 72
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}'>",
        f"<rect width='{WIDTH}' height='{height}' fill='white'/>",
        _text(24, 34, "Header of the Raspberry Pi, seen from above, pins towards you", 19, "bold"),
        _text(
            24, 60, "Turn the board so that the header is on its right side and the USB sockets are below; pin 1 has the square pad.", 14
        ),
        _text(24, 82, "Black: used by the unit, with the signal's name and its direction. White: leave free.", 14),
        f"<rect x='{MIDDLE - 38}' y='{TOP - 20}' width='76' height='{20 * ROW + 10}' rx='6' fill='none' {LINE}/>",
    ]
    for number, name in enumerate(NAMES, 1):
        row, right = divmod(number - 1, 2)
        lines += _pin(number, name, found.get(number), TOP + row * ROW, right=bool(right))
    foot = height - 20
    lines += [_text(MIDDLE, foot - 34, "USB sockets", 13, anchor="middle"), _text(MIDDLE, foot - 50, "\u2193", 16, anchor="middle")]
    lines += [
        _text(24, foot, "out: the Pi drives the line. in: the Pi reads it, with its own pull-up on. All lines: 3.3 V, never 5 V.", 14),
        "</svg>",
        "",
    ]
    return "\n".join(lines)


def _pin(number: int, name: str, use: Use | None, y: int, *, right: bool) -> list[str]:
    side = 1 if right else -1
    x = MIDDLE + side * 18
    fill, ink = ("black", "white") if use else ("white", "black")
    square = f"<rect x='{x - RADIUS}' y='{y - RADIUS}' width='{2 * RADIUS}' height='{2 * RADIUS}' fill='{fill}' {LINE}/>"
    shape = square if number == 1 else f"<circle cx='{x}' cy='{y}' r='{RADIUS}' fill='{fill}' {LINE}/>"
    anchor = "start" if right else "end"
    near, far = MIDDLE + side * 50, MIDDLE + side * 132
    lines = [
        shape,
        _text(x, y + 4, str(number), 11, "bold", "middle", ink),
        _text(near, y + 5, name, 14, "bold" if use else "normal", anchor),
    ]
    if use:
        words = f"{use.words} ({use.direction})" if use.direction else use.words
        tail = f"<path d='M{near + side * 62} {y} H{far - side * 4}' stroke='black' stroke-width='1.2'/>"
        lines += [tail, _text(far, y + 5, words, 15, "bold" if use.direction else "normal", anchor)]
    return lines


def _text(x: int, y: int, words: str, size: int, weight: str = "normal", anchor: str = "start", ink: str = "black") -> str:
    style = STYLE.replace("fill='black'", f"fill='{ink}'")
    return f"<text x='{x}' y='{y}' {style} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{escape(words)}</text>"
