"""Every target's seeds, and what hypothesis makes of them; `./run test --fuzz` searches for minutes, guided by what the bytes reach.

Longer by hand: `python -m tests.fuzz.run NAME --seconds 3600`.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

BUDGET_S = 255
"""For all targets together, however many processes share them."""
START_S = 2
needs_atheris = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="no atheris here: its wheels are for x86-64 alone")


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


def search(name: str, seconds: int) -> None:
    """A guided search, in a process of its own."""
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert runs is not None
    assert int(runs[1]) > 50, done.stderr[-2000:]
    print(f"{runs[1]} inputs in {seconds} s")


@pytest.mark.slow
@needs_atheris
def test_a_short_guided_search_finds_nothing() -> None:
    search("code_bytes", 1)


@pytest.mark.fuzz
@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_a_guided_search_finds_nothing(name: str) -> None:
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    search(name, BUDGET_S // math.ceil(len(TARGETS) / processes) - START_S)
