"""Fixtures that more than one room's tests use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.broker import Broker

# What else runs on the machine is no finding: no limit on an example's time. All else stays as whoever started this has chosen.
_chosen = settings.get_profile(settings.get_current_profile_name())
settings.register_profile("patient", parent=_chosen, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running private mosquitto of its own; the test may kill and restart it."""
    private = Broker(tmp_path / "broker")
    private.start()
    yield private
    private.stop()


ASKED_FOR = ("fuzz", "simulation", "kernel", "arm64", "homeassistant")
"""Marks of tests that take minutes and run only where -m names them."""


LONGEST = ("test_demo.py", "test_hostile.py", "test_story.py")
"""Files whose tests take longest: they begin, then all else that is slow: nobody waits for another at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what was not asked for; in a run of everything, what is slow begins, and has a second chance."""
    left_out = {mark for mark in ASKED_FOR if mark not in config.option.markexpr}
    ours = [item for item in items if any(mark.name in left_out for mark in item.iter_markers())]
    config.hook.pytest_deselected(items=ours)
    items[:] = [item for item in items if item not in ours]
    if names_tests(config):
        return
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.get_closest_marker("slow") is None))
    if config.pluginmanager.hasplugin("rerunfailures"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.flaky(reruns=1))


def names_tests(config: pytest.Config) -> bool:
    """Whether whoever started this asked for certain tests: -k, or a file."""
    return bool(config.option.keyword) or any(".py" in name for name in config.args)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`, which ./run test says: one process, and none beside it, for whoever names files or tests.

    Else one more than there are processors: a third of the time a test waits for a unit, a broker or a limit.
    """
    return 0 if names_tests(config) else len(os.sched_getaffinity(0)) + 1
