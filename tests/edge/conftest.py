"""Fixtures of the unit's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.unit_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A unit on a bench, under the test's own clock."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()
