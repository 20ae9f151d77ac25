"""The arm64 root for the tests of this room, which run only when `-m arm64` asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arm64 import root as roots

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what is of this room, and leaves it out unless it is asked for."""
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.arm64)
    if "arm64" not in config.option.markexpr:
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


@pytest.fixture(scope="session")
def root() -> roots.Root:
    """The root, made where it is missing; the tests are skipped, with the reason, where there can be none."""
    try:
        return roots.made()
    except roots.CannotRun as reason:
        pytest.skip(f"no arm64 here: {reason}")
    except roots.NotMade as wrong:
        pytest.fail(str(wrong), pytrace=False)
