"""Every target for a few seconds; longer by hand with `python -m tests.fuzz.run NAME --seconds 3600`."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

SECONDS = 4


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_find_nothing(name: str) -> None:
    target = TARGETS[name]
    assert target.seeds
    for seed in target.seeds:
        target.run(seed)


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_changed_seeds_find_nothing(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    seed = bytearray(data.draw(st.sampled_from(target.seeds)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(seed)))
        seed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    target.run(bytes(seed))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="no atheris here: its wheels are for x86-64 alone")
@pytest.mark.parametrize("name", TARGETS)
def test_a_guided_search_finds_nothing(name: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert runs is not None
    assert int(runs[1]) > 50, done.stderr[-2000:]
