"""The devices around the gate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel import sensor
from tests.kernel.header import Header


@pytest.fixture(scope="session")
def header() -> Iterator[Header]:
    """The header's chip."""
    with Header() as made:
        yield made


@pytest.fixture
def thermometer() -> Iterator[None]:
    """The sensor looks at a wall at 23 C and is whole."""
    sensor.show(sensor.word(23.0), sensor.word(23.0))
    sensor.set_noise(True)
    sensor.break_with(sensor.Fault.NONE)
    yield
    sensor.break_with(sensor.Fault.NONE)
