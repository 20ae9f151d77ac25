"""What these tests run Home Assistant in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.homeassistant.environment import Unfit, environment


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter of an environment that holds Home Assistant as it is pinned."""
    try:
        return environment(os.environ, Path.home())
    except Unfit as unfit:
        why = str(unfit)
    pytest.fail(why, pytrace=False)
