"""The arm64 root for the tests of this room, which run only when `-m arm64` asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arm64 import root as roots

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is of this room, before tests/conftest.py leaves out what was not asked for."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.arm64)


@pytest.fixture(scope="session")
def root() -> roots.Root:
    """The root, made where it is missing; the tests are skipped, with the reason, where there can be none."""
    try:
        return roots.made()
    except roots.CannotRun as reason:
        pytest.skip(f"no arm64 here: {reason}")
    except roots.NotMade as wrong:
        pytest.fail(str(wrong), pytrace=False)
