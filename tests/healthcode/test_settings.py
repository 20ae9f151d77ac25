"""Configurations: whatever is wrong is said at once, a line each, with its place and what was expected."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from healthcode.settings import Layer, Rule, SettingsError, read_layers, read_toml


class Camera(msgspec.Struct, forbid_unknown_fields=True):
    width: Annotated[int, Meta(ge=160, le=4096, extra={"unit": "px"})] = 640
    source: str = "picamera2"
    mirrored: bool = False
    wait_s: Annotated[float, Meta(ge=0.5, le=60.0)] = 2.0
    pause_s: Annotated[float, Meta(ge=0.5, le=60.0)] = 1.0


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    unit: str
    hardware: Literal["pi", "simulated"] = "pi"
    camera: Camera = msgspec.field(default_factory=Camera)


RULES = (
    Rule(("camera.wait_s", "camera.pause_s"), "more than {}", "because it waits longer", lambda c: c.camera.wait_s > c.camera.pause_s),
    Rule(("unit", "camera.source"), "another name than {}", "because names are few", lambda c: c.unit != c.camera.source, swap=True),
)
CAMERA = "width, source, mirrored, wait_s, pause_s"


def faults(text: str) -> list[str]:
    """What is wrong with `text`, line by line."""
    with pytest.raises(SettingsError, match=r".") as caught:
        read_toml(text, Whole, "x.toml", RULES)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'unit = "n"\n[camera]\nsorce = "x"',
            "x.toml:3: unknown key camera.sorce (did you mean camera.source?): expected one of source, width, mirrored, wait_s, pause_s",
        ),
        ('unit = "n"\n[camra]', "x.toml:2: unknown key camra (did you mean camera?): expected one of camera, unit, hardware"),
        ('unit = "n"\nwidth = 3', "x.toml:2: unknown key width (did you mean camera.width?): expected one of unit, hardware, camera"),
        ('unit = "n"\n[camera]\nunit = 3', f"x.toml:3: unknown key camera.unit (did you mean unit?): expected one of {CAMERA}"),
        ('unit = "n"\n"a\\nb" = 1', r"x.toml:2: unknown key 'a\nb': expected one of unit, hardware, camera"),
        ("unit: n", "x.toml:1: Expected '=' after a key in a key/value pair at column 5: expected TOML, key = value"),
        ("a = " + "[" * 10_000, "x.toml: nested too deeply: expected TOML, key = value"),
        ('unit = "n"\n\n[camera]\nwidth = "wide"', 'x.toml:4: camera.width = "wide": expected a whole number from 160 to 4096 px'),
        ('unit = "n"\ncamera.width = 100', "x.toml:2: camera.width = 100: expected a whole number from 160 to 4096 px"),
        ('unit = "n"\n[camera]\nwait_s = 0', "x.toml:3: camera.wait_s = 0: expected a number from 0.5 to 60 s"),
        ('unit = "n"\nhardware = "PI"', 'x.toml:2: hardware = "PI": expected one of pi, simulated'),
        ('unit = "n"\ncamera = 3', "x.toml:2: camera = 3: expected a section, [camera]"),
        ('unit = "n"\n[[camera]]', "x.toml:2: camera = [{}]: expected a section, [camera]"),
        ("unit = 1979-05-27", 'x.toml:1: unit = "1979-05-27": expected text'),
        ("", "x.toml: unit is missing: expected text"),
        (
            'unit = "n"\ncamera.pause_s = 3.0',
            "x.toml:2: camera.wait_s = 2.0 (by default): expected more than camera.pause_s = 3.0 (line 2), because it waits longer",
        ),
        (
            'unit = "n"\n[camera]\nwait_s = 0.5\n',
            "x.toml:3: camera.wait_s = 0.5: expected more than camera.pause_s = 1.0 (by default), because it waits longer",
        ),
        (
            'unit = "n"\n[camera]\nsource = "n"\n',
            'x.toml:3: camera.source = "n": expected another name than unit = "n" (line 1), because names are few',
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(text: str, line: str) -> None:
    assert faults(text) == [line]


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    found = faults('color = 1\nhardware = "x"\n[camera]\nwait_s = 0.7\nmirrored = 3\n')
    assert [line.partition(": expected")[0] for line in found] == [
        "x.toml: unit is missing",
        "x.toml:1: unknown key color",
        'x.toml:2: hardware = "x"',
        "x.toml:4: camera.wait_s = 0.7",
        "x.toml:5: camera.mirrored = 3",
    ]


def test_a_rule_keeps_silent_about_a_key_that_is_wrong_by_itself() -> None:
    assert len(faults('unit = "n"\n[camera]\nwait_s = "long"\npause_s = 3.0')) == 1


def test_what_is_right_is_read() -> None:
    assert read_toml('unit = "n"\ncamera = {source = "x"}', Whole, "x.toml", RULES) == Whole("n", camera=Camera(source="x"))


@given(st.text(max_size=60))
def test_any_text_is_a_configuration_or_lines_that_name_the_file(text: str) -> None:
    try:
        read_toml(text, Whole, "x.toml", RULES)
    except SettingsError as wrong:
        assert all(line.startswith("x.toml:") for line in str(wrong).splitlines())


class Eye(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fps: Annotated[int, Meta(ge=1, le=60)] = 30
    idle: Annotated[int, Meta(ge=1, le=60)] = 5
    pin: int = 3


class Layered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    camera: Eye = Eye()


LAYERED_RULES = (Rule(("camera.idle", "camera.fps"), "at most {}", "because so", lambda c: c.camera.idle <= c.camera.fps),)
UNDER = Layer("[camera]\nfps = 15\nidle = 5\n", "gate.toml")


def over(text: str) -> Layer:
    return Layer(text, "desired 8", only=frozenset({"camera.fps", "camera.idle"}), otherwise="expected a key that may be set from afar")


def test_what_the_last_layer_says_counts() -> None:
    assert read_layers([UNDER, over("[camera]\nfps = 20\n")], Layered) == Layered(Eye(fps=20, idle=5))
    assert read_layers([UNDER, over("")], Layered) == Layered(Eye(fps=15, idle=5))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[camera]\n\nfps = 90\n", ["desired 8:3: camera.fps = 90: expected a whole number from 1 to 60 1/s"]),
        ("[camera]\nfsp = 9\n", ["desired 8:2: unknown key camera.fsp (did you mean camera.fps?): expected one of fps, idle, pin"]),
        ("camera = 5\n", ["desired 8:1: camera = 5: expected a section, [camera]"]),
        ("[camera]\npin = 4\n", ["desired 8:2: camera.pin = 4: expected a key that may be set from afar"]),
        ("[camera]\nidle = 16\n", ["desired 8:2: camera.idle = 16: expected at most camera.fps = 15 (line 2 of gate.toml), because so"]),
        (
            "[camera]\nfps = 4\n",
            ["desired 8:2: camera.idle = 5 (line 3 of gate.toml): expected at most camera.fps = 4 (line 2), because so"],
        ),
        ("[camera\n", ["desired 8:1: Expected ']' at the end of a table declaration at column 8: expected TOML, key = value"]),
        (
            "[camera]\npin = 4\nfps = 90\nidle = 0\n",
            [
                "desired 8:2: camera.pin = 4: expected a key that may be set from afar",
                "desired 8:3: camera.fps = 90: expected a whole number from 1 to 60 1/s",
                "desired 8:4: camera.idle = 0: expected a whole number from 1 to 60",
            ],
        ),
    ],
)
def test_every_fault_bears_the_place_where_it_was_said(text: str, faults: list[str]) -> None:
    with pytest.raises(SettingsError) as wrong:
        read_layers([UNDER, over(text)], Layered, LAYERED_RULES)
    assert str(wrong.value).splitlines() == faults
