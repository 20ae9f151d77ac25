"""A unit's process whose camera is pulled, or stops."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.outbox import Outbox
from healthcode import topics
from healthcode.messages import Alert, UnitEvent, decode
from tests.broker import Broker, Client, listening
from tests.edge.test_process import LIMIT_S, Site

pytestmark = pytest.mark.slow


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    site = Site(tmp_path, broker)
    yield site
    site.close()


@pytest.fixture
def alerts(broker: Broker) -> Iterator[Client]:
    """Who hears what is published under the alert camera_missing."""
    with listening(broker, topics.up("north", "alert", "camera_missing")) as client:
        yield client


def test_a_camera_that_is_pulled_is_an_alert_until_it_is_back(site: Site, alerts: Client) -> None:
    site.start()
    site.pass_code(7)
    site.world.set("north", shown=(), skin_c=None, camera="unplugged")
    while not (payload := alerts.next(LIMIT_S)[1]):
        pass
    words = ("the camera was unplugged", "there is no such camera")  # as it is lost, and once it has been looked for again
    assert decode(payload, Alert).detail in [f"simulated camera: {each}" for each in words]
    site.world.set("north", camera="ok")
    while alerts.next(LIMIT_S)[1]:
        pass
    site.pass_code(8)
    assert site.end(signal.SIGTERM)[0] == 0


def test_a_camera_that_stops_ends_the_process_with_status_1_and_the_relay_off(site: Site) -> None:
    site.start()
    site.pass_code(7)
    site.world.set("north", shown=(), skin_c=None, camera="stopped")
    assert site.process is not None
    _, said = site.process.communicate(timeout=LIMIT_S)
    assert site.process.returncode == 1
    assert said.rstrip().endswith("the camera gives no frame, opened again 3 times: the service is to start the unit again")
    assert "Traceback" not in said
    assert site.world.wait_gone("north", LIMIT_S)
    assert site.world.level("north", "relay") == 0
    outbox = Outbox(site.folder / "data" / "outbox.sqlite", "f" * 32)
    events = [each.event for each in outbox.pending(1000)]
    outbox.close()
    (lost,) = [event for event in events if isinstance(event, UnitEvent) and event.what == "camera_lost"]
    assert lost.detail == "simulated camera: no frame for 3 s"
