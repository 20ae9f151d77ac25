"""Configurations: whatever is wrong is one line that says what was expected."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.settings import read_toml


class Camera(msgspec.Struct, forbid_unknown_fields=True):
    width: int = 640
    source: str = "picamera2"
    mirrored: bool = False


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    unit: str
    camera: Camera = msgspec.field(default_factory=Camera)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('unit = "n"\n[camera]\nsorce = "x"', "unknown key camera.sorce: expected one of source, width, mirrored"),
        ('unit = "n"\n[camra]', "unknown key camra: expected one of camera, unit"),
        ('unit = "n"\n"a\\nb" = 1', r"unknown key 'a\nb': expected one of unit, camera"),
        ("unit: n", "Expected '=' after a key in a key/value pair (at line 1, column 5): expected TOML, key = value"),
        ("a = " + "[" * 10_000, "nested too deeply: expected TOML, key = value"),
        ('unit = "n"\n[camera]\nwidth = "wide"', "Expected `int`, got `str` - at `$.camera.width`"),
        ('unit = "n"\ncamera = 3', "Expected `object`, got `int` - at `$.camera`"),
        ("", "Object missing required field `unit`"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, line: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_toml(text, Whole)
    assert str(caught.value) == line


def test_what_is_right_is_read() -> None:
    assert read_toml('unit = "n"\ncamera = {source = "x"}', Whole) == Whole("n", Camera(source="x"))


@given(st.text(max_size=60))
def test_any_text_is_a_configuration_or_one_line(text: str) -> None:
    try:
        read_toml(text, Whole)
    except ValueError as wrong:
        assert len(str(wrong).splitlines()) == 1
