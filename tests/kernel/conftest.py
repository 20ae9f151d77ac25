"""Tests in tests/kernel/inside run in a kernel of their own, and are reported here as if they had run here.

The host boots one machine for all of them that are selected, and each file has a process of its own in there. pytest in there writes each
report as a line of JSON; the host reads them as they come. Without `-m kernel` nothing of this room is selected, and where there is no
kernel all of it is skipped, with the reason.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Generator
from itertools import groupby
from pathlib import Path
from typing import Literal

import pytest

from tests.kernel.machine import IN_GUEST, Machine, find_kernel

HERE = Path(__file__).parent
INSIDE = HERE / "inside"
REPORTS = "reports.jsonl"
ALL_S = 400.0
"""A machine that runs for so long does not end any more."""
POLL_S = 0.05
OPTIONS = ("-m", "kernel", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-vv")


class MachineLost(Exception):
    """The machine is off, or hangs, and tests are left."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is of this room, before tests/conftest.py leaves out what was not asked for."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kernel)


class Host:
    """Runs the selected tests of tests/kernel/inside, all in one machine."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._folder = tempfile.TemporaryDirectory(prefix="healthgate-kernel-")
        self._lost = ""
        kernel = find_kernel()
        self._missing = kernel if isinstance(kernel, str) else ""
        self._reports = self._boot(kernel) if isinstance(kernel, Path) else None

    def run(self, item: pytest.Item) -> list[pytest.TestReport]:
        """The reports of one test: set-up, call, and tear-down."""
        if self._reports is None:
            return [made_here(item, "skipped", (str(item.path), (item.location[1] or 0) + 1, f"Skipped: {self._missing}"))]
        found: list[pytest.TestReport] = []
        try:
            while not self._lost:
                found.append(next(self._reports))
                assert found[-1].nodeid == item.nodeid, f"the machine ran {found[-1].nodeid} when it was the turn of {item.nodeid}"
                if found[-1].when == "teardown":
                    return found
        except (MachineLost, StopIteration, AssertionError) as wrong:
            self._lost = str(wrong)
        return [*found, made_here(item, "failed", self._lost)]

    def close(self) -> None:
        """Pulls the machine's plug, if it is not off yet, and takes its folder away."""
        if self._reports is not None:
            self._reports.close()
        self._folder.cleanup()

    def _boot(self, kernel: Path) -> Generator[pytest.TestReport, None, None]:
        folder, config = Path(self._folder.name), self._session.config
        wanted = groupby((item for item in self._session.items if INSIDE in item.path.parents), key=lambda item: item.path)
        commands = [[sys.executable, "-m", "pytest", *OPTIONS, *(item.nodeid for item in items)] for _, items in wanted]
        with Machine(kernel, folder, commands) as machine, (folder / REPORTS).open("w+", encoding="utf-8") as lines:
            limit = time.monotonic() + ALL_S
            line = ""
            while True:
                ended = machine.ends_within(POLL_S if not line else 0)
                line += lines.readline()
                if line.endswith("\n"):
                    yield config.hook.pytest_report_from_serializable(config=config, data=json.loads(line))
                    line = ""
                elif ended or time.monotonic() > limit:
                    raise MachineLost(f"the machine {'went off' if ended else 'hangs'} before all tests were done\n{machine.told()}")


def made_here(item: pytest.Item, outcome: Literal["skipped", "failed"], why: str | tuple[str, int, str]) -> pytest.TestReport:
    """A report of a test that did not run."""
    return pytest.TestReport(item.nodeid, item.location, {}, outcome, why, "setup")


HOST = pytest.StashKey[Host]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """A test of tests/kernel/inside, seen from the host: its reports come from the machine."""
    if IN_GUEST in os.environ or INSIDE not in item.path.parents:
        return None
    if HOST not in item.session.stash:
        item.session.stash[HOST] = Host(item.session)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in item.session.stash[HOST].run(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    if HOST in session.stash:
        session.stash[HOST].close()


class Teller:
    """In the machine: each report goes to the host at once."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config = config
        self._file = folder / REPORTS

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(data) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    if IN_GUEST in os.environ:
        config.pluginmanager.register(Teller(config, Path(os.environ[IN_GUEST])))
