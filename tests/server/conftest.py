"""Fixtures of the server's tests: a town in a folder, a clock, and the open registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.office import Office
from tests.server.office import Clock, Town


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Keys, trust list and configuration."""
    return Town(tmp_path / "town")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until the test moves it."""
    return Clock()


@pytest.fixture
def office(town: Town, clock: Clock) -> Iterator[Office]:
    """The town's store and registry."""
    opened = town.open(clock)
    yield opened
    opened.store.close()
