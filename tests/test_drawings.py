"""The drawings of hw/wiring.md: made from the code, readable, and complete."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from edge.config import Pins
from hw.draw import DRAWINGS, FOLDER
from hw.header import HEADER_PIN, NAMES, draw_header
from hw.schematic import draw_schematic

SVG = "{http://www.w3.org/2000/svg}"
WIDTH_OF_A_LETTER = 0.58
"""In heights of a line of DejaVu Sans, on average."""


@pytest.fixture(scope="module", params=DRAWINGS)
def drawing(request: pytest.FixtureRequest) -> str:
    return str(DRAWINGS[request.param](Pins()))


def words_of(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_drawing_in_the_folder_is_the_one_that_the_code_makes(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == DRAWINGS[name](Pins()), "python -m hw.draw makes the drawings anew"


def test_a_signal_that_moves_to_another_pin_moves_in_both_drawings() -> None:
    moved = Pins(relay=12)
    assert "GPIO12, pin 32" in words_of(draw_schematic(moved))
    words = words_of(draw_header(moved))
    assert words[words.index("GPIO12") + 1] == "relay (out)"
    assert "relay (out)" not in words[words.index("GPIO23") : words.index("GPIO23") + 2]


def test_every_signal_stands_in_both_drawings_with_both_of_its_numbers() -> None:
    header, schematic = words_of(draw_header(Pins())), " ".join(words_of(draw_schematic(Pins())))
    for signal, bcm in msgspec.structs.asdict(Pins()).items():
        assert {f"{signal} (out)", f"{signal} (in)"} & set(header)
        assert re.search(rf"{signal}:? GPIO{bcm}, pin {HEADER_PIN[bcm]}\b", schematic), signal


def test_the_header_has_forty_pins_and_each_gpio_once() -> None:
    assert len(NAMES) == 40
    assert sorted(HEADER_PIN) == list(range(28))


def test_a_drawing_is_black_on_white_and_needs_no_colour(drawing: str) -> None:
    colours = set(re.findall(r"(?:fill|stroke)[=:]['\"]?([#a-z0-9]+)", drawing))
    assert colours <= {"black", "white", "none", "bg"}


def boxes(svg: str) -> list[tuple[str, float, float, float, float]]:
    """Each text with the place that it takes: left, top, right, bottom."""
    found = []
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        span = text.find(f"{SVG}tspan")
        at = {**text.attrib, **({} if span is None else span.attrib)}
        said = "".join(text.itertext())
        size, x = float(at["font-size"]), float(at["x"])
        y = float(at["y"]) + float(at.get("dy", 0))
        width = len(said) * size * WIDTH_OF_A_LETTER
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[at["text-anchor"]]
        if said:
            found.append((said, left, y - size * 0.7, left + width, y))
    return found


def test_no_words_lie_upon_each_other(drawing: str) -> None:
    upon = [
        (one[0], other[0])
        for one, other in combinations(boxes(drawing), 2)
        if one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4]
    ]
    assert upon == []


def test_the_page_lists_every_part_that_is_drawn_and_no_other() -> None:
    """R12 and R13 are the Pi's own, C2, X1, BT1 and the like stand with what they belong to."""
    drawn = set(re.findall(r"\b(?:[RDQUFKSB]\d+)\b", " ".join(words_of(draw_schematic(Pins())))))
    page = Path(FOLDER / "wiring.md").read_text(encoding="utf-8")
    table = page[page.index("## Parts") : page.index("## Fail-safe")]
    named = set(re.findall(r"\b(?:[RDQUFKSB]\d+)\b", table)) | {f"F{number}" for number in range(1, 5)}
    assert drawn - named <= {"R8", "R9", "R10", "R12", "R13", "S2a", "S2b"}
    assert named <= drawn
