"""An outbreak: many close contacts at once, from a file to what a unit holds, by the command, the server and a broker as processes.

HEALTHGATE_OUTBREAK says how many people; 100,000 must reach the units within a minute (docs/testing.md).
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import registry_town as made
from healthcode.messages import Delta, Head
from healthcode.status import StatusList
from healthcode.terms import Status
from server.identity import day_of
from server.office import open_office
from tests.broker import Broker
from tests.server.office import URI, Town
from tests.server.test_bridge import DELTA, HEAD, Scene, Unit

pytestmark = pytest.mark.slow
PEOPLE = int(os.environ.get("HEALTHGATE_OUTBREAK", "1500"))
LIMIT_S = 60.0
EPOCH = 1


@pytest.fixture
def scene(tmp_path: Path, broker: Broker) -> Iterator[Scene]:
    """A server's folder with PEOPLE who are green, and half as many about whom nobody reports."""
    town = Town(tmp_path / "town")
    config = town.configure(port=broker.port)
    opened = Scene(town, broker, open_office(town.config(port=broker.port)), config)
    people = made.Town(opened.office.store, opened.office.seal, opened.office.registry)
    made.fill(people, PEOPLE * 3 // 2, time.time, lambda _: None)
    yield opened
    opened.close()


def write(path: Path) -> Path:
    day = day_of(time.time() - 86_400)
    path.write_text("number,at\n" + "".join(f"{made.number_of(place)},{day}\n" for place in range(PEOPLE)))
    return path


def start_import(scene: Scene, path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "healthgate", "epidemic", "import", str(path), "--kind", "close_contact"]
    process = subprocess.Popen([*command, "--config", str(scene.config), "--json"], stdout=subprocess.PIPE)
    scene.running.append(process)
    return process


def begin(scene: Scene) -> tuple[Unit, StatusList]:
    """A unit that holds the list as it is before."""
    scene.start()
    unit = scene.unit()
    _, payload = unit.wait(HEAD)
    assert scene.read(payload, Head).version == 0
    return unit, StatusList.empty(URI, EPOCH, scene.office.registry.capacities[URI], as_of=0)


def hear(scene: Scene, unit: Unit, held: StatusList, until: int, limit_s: float) -> float:
    """Applies deltas until so many entries are yellow, two bits each; when the last of them came."""
    ends = time.monotonic() + limit_s
    yellow, at = 0, 0.0
    while yellow < until:
        assert time.monotonic() < ends, f"{yellow} of {until} after {limit_s} s"
        try:
            at, payload = unit.wait(DELTA)
        except queue.Empty:
            continue  # a large file is staged before the first delta
        delta = scene.read(payload, Delta)
        assert held.apply(delta) is None
        yellow = int.from_bytes(held.packed).bit_count() // 2
    return at


def test_contacts_of_a_file_are_in_every_units_list_within_a_minute(scene: Scene, tmp_path: Path) -> None:
    unit, held = begin(scene)
    began = time.time()
    process = start_import(scene, write(tmp_path / "contacts.csv"))
    took = hear(scene, unit, held, PEOPLE, 10 * LIMIT_S) - began
    out, _ = process.communicate(timeout=LIMIT_S)
    print(json.dumps({"people": PEOPLE, "file_to_unit_s": round(took, 1)}))
    assert json.loads(out)["changed"] == {"green": {"yellow": PEOPLE}}
    assert took < LIMIT_S
    index = scene.office.registry.find(made.resident_of(0))
    assert index is not None and held.get(index.index) is Status.YELLOW


def test_the_server_goes_on_where_a_killed_import_stopped(scene: Scene, tmp_path: Path) -> None:
    unit, held = begin(scene)
    process = start_import(scene, write(tmp_path / "contacts.csv"))
    hear(scene, unit, held, 1, LIMIT_S)
    process.kill()
    process.communicate()
    hear(scene, unit, held, PEOPLE, LIMIT_S)
    assert all(is_yellow(scene, held, place) for place in range(PEOPLE))
    assert not any(is_yellow(scene, held, place) for place in range(PEOPLE, PEOPLE * 3 // 2))


def is_yellow(scene: Scene, held: StatusList, place: int) -> bool:
    index = scene.office.registry.find(made.resident_of(place))
    assert index is not None
    return held.get(index.index) is Status.YELLOW
