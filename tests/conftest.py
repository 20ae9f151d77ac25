"""Fixtures that more than one room's tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running private mosquitto of its own; the test may kill and restart it."""
    private = Broker(tmp_path / "broker")
    private.start()
    yield private
    private.stop()
