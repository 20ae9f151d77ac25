"""Figures for Prometheus, as Prometheus reads them: over HTTP, in its text format, with labels that nobody can multiply."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator

import msgspec
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from healthcode.messages import Alert, stamp
from healthgate.broker import free_port
from server.admissions import Admissions
from server.config import ConfigError
from server.fleet import Fleet
from server.intake import Intake, Taken
from server.metrics import BridgeFigures, Listener, UnitFigures, WebFigures, make_registry
from server.office import Office
from tests.server.office import Clock, Town
from tests.server.test_fleet_watch import STATUS, say


class Scrape:
    """What Prometheus would know after a scrape."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._port = free_port()
        self._listener = Listener(registry, "127.0.0.1", self._port, "metrics.port")

    def __call__(self) -> dict[tuple[str, ...], float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=60) as answer:
            body = answer.read().decode()
        samples = [sample for family in text_string_to_metric_families(body) for sample in family.samples]
        return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples}

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def registry() -> CollectorRegistry:
    return make_registry()


@pytest.fixture
def scrape(registry: CollectorRegistry) -> Iterator[Scrape]:
    made = Scrape(registry)
    yield made
    made.close()


def test_units_while_they_are_there_and_when_they_are_gone(
    registry: CollectorRegistry, scrape: Scrape, office: Office, town: Town, clock: Clock
) -> None:
    UnitFigures(office.watch, registry)
    for unit in ("north", "south", "west"):
        Fleet(office.store, clock).add(unit)
    office.watch.beat(clock() - 3600)
    intake = Intake(office.store, office.registry, town.ring, clock, 3)
    alert = Alert(name="x", since=stamp(clock()))
    status = msgspec.structs.replace(STATUS, passes=9, board_c=48.3)
    intake.take([say("north", "status", status), say("north", "alert", alert, "sensor"), say("south", "status", status)])
    intake.take([say("north", "alert", alert, f"strange{number}") for number in range(20)])
    intake.take([say("south", "state", b"offline")])
    found = scrape()
    assert {key[1]: value for key, value in found.items() if key[0] == "healthgate_units"} == {
        "online": 1, "offline": 1, "unknown": 1, "silent": 0, "retired": 0,
    }  # fmt: skip
    assert {key[1]: value for key, value in found.items() if key[0] == "healthgate_unit_online"} == {"north": 1, "south": 0, "west": 0}
    assert found["healthgate_unit_board_c", "north"] == 48.3
    assert found["healthgate_unit_passes_total", "north"] == 9
    assert found["healthgate_unit_last_heard_timestamp_seconds", "south"] == pytest.approx(clock(), abs=0.001)
    assert ("healthgate_unit_board_c", "south") not in found, "what a dead unit said is not said again"
    assert {key for key in found if key[0] == "healthgate_unit_alert"} == {
        ("healthgate_unit_alert", "sensor", "north"),
        ("healthgate_unit_alert", "other", "north"),
    }
    assert found["process_resident_memory_bytes",] > 0
    Admissions(office.store, clock).retire("south")
    assert ("healthgate_unit_online", "south") not in scrape()


def test_what_the_bridge_does(registry: CollectorRegistry, scrape: Scrape) -> None:
    figures = BridgeFigures(registry)
    figures.taken(7, Taken(new=5, known=1, refused=2, watermarks=()), 0.03)
    figures.published()
    figures.watch(lambda: True, lambda: 4096, lambda: {"request": 3})
    found = scrape()
    assert found["healthgate_intake_messages_total",] == 7
    assert (found["healthgate_intake_events_total", "new"], found["healthgate_intake_events_total", "known"]) == (5, 1)
    assert (found["healthgate_intake_refused_total",], found["healthgate_published_total",]) == (2, 1)
    assert (found["healthgate_broker_connected",], found["healthgate_intake_waiting_bytes",]) == (1, 4096)
    assert found["healthgate_dropped_total", "request"] == 3
    assert (found["healthgate_intake_batch_seconds_bucket", "0.02"], found["healthgate_intake_batch_seconds_bucket", "0.05"]) == (0, 1)


def test_routes_are_counted_never_addresses(registry: CollectorRegistry, scrape: Scrape) -> None:
    app, inner = FastAPI(), FastAPI()

    @app.get("/people/{name}")
    def person(name: str) -> str:
        return name

    @inner.get("/things/{number}")
    def thing(number: int) -> int:
        return 1 // number

    app.mount("/api", inner)
    client = TestClient(WebFigures(app, registry), raise_server_exceptions=False)
    for address in ("/people/li", "/people/wang", "/api/things/1", "/api/things/0", "/secret-address"):
        client.get(address)
    client.request("BREW", "/people/li")
    found = {key[1:]: value for key, value in scrape().items() if key[0] == "healthgate_http_request_seconds_count"}
    assert found == {
        ("GET", "/people/{name}", "2xx"): 2,
        ("GET", "/things/{number}", "2xx"): 1,
        ("GET", "/things/{number}", "5xx"): 1,
        ("GET", "none", "4xx"): 1,
        ("OTHER", "/people/{name}", "4xx"): 1,
    }


def test_what_is_no_request_passes_through(registry: CollectorRegistry) -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: object) -> None:
        raise AssertionError

    asyncio.run(WebFigures(app, registry)({"type": "lifespan"}, nothing, nothing))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


def test_a_port_that_is_taken_is_one_line(registry: CollectorRegistry) -> None:
    port = free_port()
    first = Listener(registry, "127.0.0.1", port, "metrics.port")
    with pytest.raises(ConfigError, match=rf"metrics.host 127.0.0.1, metrics.port {port}: cannot listen there: Address already in use"):
        Listener(registry, "127.0.0.1", port, "metrics.port")
    first.close()
