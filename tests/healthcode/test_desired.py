"""Settings as both sides write, read and compare them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from healthcode.desired import digest_settings, read_settings, write_settings

NAMES = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True)
PATHS = st.builds(lambda section, name: f"{section}.{name}", NAMES, NAMES)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(-1e12, 1e12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = NUMBERS | st.booleans() | TEXTS | st.lists(NUMBERS | TEXTS, max_size=5)
SETTINGS = st.dictionaries(PATHS, VALUES, max_size=12)


@given(settings=SETTINGS)
def test_what_is_written_is_read(settings: dict[str, object]) -> None:
    assert read_settings(write_settings(settings)) == settings


@given(settings=SETTINGS)
def test_the_same_settings_are_the_same_text_and_digest_in_any_order(settings: dict[str, object]) -> None:
    turned = dict(reversed(list(settings.items())))
    assert write_settings(turned) == write_settings(settings)
    assert digest_settings(turned) == digest_settings(settings)
    assert digest_settings(json.loads(json.dumps(settings))) == digest_settings(settings), "a journey in JSON changes nothing"


def test_it_reads_as_an_operator_would_write_it() -> None:
    settings = {"sound.volume": 0.5, "camera.roi": [0.0, 0.1, 1.0, 1.0], "camera.fps": 20, "sound.night_from": "21:30"}
    assert write_settings(settings) == ('[camera]\nfps = 20\nroi = [0.0, 0.1, 1.0, 1.0]\n\n[sound]\nnight_from = "21:30"\nvolume = 0.5\n')
    assert write_settings({}) == ""


def test_a_value_that_differs_is_another_digest() -> None:
    digests = {digest_settings({"a.b": value}) for value in (1, 2, 1.5, True, "1", [1], [1, 2], [])}
    assert len(digests) == 8
    assert digest_settings({"a.b": 20}) == digest_settings({"a.b": 20.0}), "however it was typed"
