"""Fixtures of the server's tests: a town in a folder, a clock, and the open registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from bench.postgres import Cluster, running
from server.office import Office
from server.store import Store
from tests.server.office import Clock, Town
from tests.server.web import LOOP


@pytest.fixture(scope="session", autouse=True)
def loop() -> Iterator[None]:
    """The browsers' event loop."""
    with start_blocking_portal() as started:
        LOOP.append(started)
        yield
        LOOP.clear()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster | None]:
    """A PostgreSQL server where the variable HEALTHGATE_POSTGRES is set; otherwise all stores are SQLite files."""
    if not os.environ.get("HEALTHGATE_POSTGRES"):
        yield None
        return
    with running() as started:
        yield started


@pytest.fixture(scope="session")
def empty(cluster: Cluster | None) -> str:
    """The URL of a database with all tables and nothing in them, from which others are copied; nothing where stores are SQLite files."""
    if cluster is None:
        return ""
    url = cluster.url()
    store = Store.open(url)
    store.migrate(0)
    store.close()
    return url


@pytest.fixture
def town(tmp_path: Path, cluster: Cluster | None, empty: str) -> Iterator[Town]:
    """Keys, trust list and configuration."""
    if cluster is None:
        yield Town(tmp_path / "town")
        return
    url = cluster.url(like=empty)
    yield Town(tmp_path / "town", database=url)
    cluster.drop(url)


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out what looks at SQLite itself where the stores are PostgreSQL's."""
    if os.environ.get("HEALTHGATE_POSTGRES"):
        for item in items:
            if item.get_closest_marker("sqlite"):
                item.add_marker(pytest.mark.skip(reason="looks at SQLite itself"))
