"""The drawings of hw/wiring.md, made anew from the pins that the configuration has by default: `python -m hw.draw`."""

from pathlib import Path

from edge.config import Pins
from hw.header import draw_header
from hw.schematic import draw_schematic

FOLDER = Path(__file__).parent
DRAWINGS = {"header.svg": draw_header, "schematic.svg": draw_schematic}
"""What draws each file beside this one."""


def main() -> None:
    """Writes every drawing."""
    for name, draw in DRAWINGS.items():
        (FOLDER / name).write_text(draw(Pins()), encoding="utf-8")


if __name__ == "__main__":
    main()
