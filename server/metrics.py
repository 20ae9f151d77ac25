"""Figures for Prometheus, over HTTP on a port of their own: of the bridge and the web's process, and of the units through the bridge.

Labels are bounded: units that the server knows, alerts of our own list, routes as the code names them. A unit has numbers only while
it is online; of one that is gone there is that it is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthcode.alerts import ALERTS
from healthcode.messages import UnitStatus
from server.config import ConfigError
from server.fleet_state import Presence
from server.fleet_watch import FleetWatch, Unit
from server.intake import Taken

COUNTED = ("passes", "admitted", "refused", "called_guard")
"""Numbers of a unit that only go up while it runs."""
OTHER_ALERT = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MOST_UNITS = 5000
"""Units whose numbers are given; of more there are the counts alone."""
_BATCH_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def make_registry() -> CollectorRegistry:
    """A registry that has the process's own figures: memory, processor time, open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class Listener:
    """Answers /metrics until it is closed. ConfigError where the address cannot be used; `key` is its port in the configuration."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int, key: str) -> None:
        self._server: WSGIServer
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as wrong:
            raise ConfigError(f"metrics.host {host}, {key} {port}: cannot listen there: {wrong.strerror}") from None

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)


class BridgeFigures:
    """What the bridge does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._batch_s = Histogram(
            "healthgate_intake_batch_seconds", "Time to store a batch of messages.", buckets=_BATCH_S, registry=registry
        )
        self._messages = Counter("healthgate_intake_messages", "Messages from units that were stored or refused.", registry=registry)
        self._events = Counter("healthgate_intake_events", "Events by whether they were new.", ["kind"], registry=registry)
        self._refused = Counter("healthgate_intake_refused", "Messages that were refused and set aside.", registry=registry)
        self._published = Counter("healthgate_published", "Messages published.", registry=registry)
        self._connected = Gauge("healthgate_broker_connected", "Whether the bridge is connected to the broker.", registry=registry)
        self._waiting = Gauge("healthgate_intake_waiting_bytes", "What waits for the database.", registry=registry)
        self._dropped = CounterFunction("healthgate_dropped", "Messages dropped because too many waited.", registry)

    def taken(self, messages: int, taken: Taken, seconds: float) -> None:
        """A batch was stored."""
        self._batch_s.observe(seconds)
        self._messages.inc(messages)
        self._events.labels("new").inc(taken.new)
        self._events.labels("known").inc(taken.known)
        self._refused.inc(taken.refused)

    def published(self) -> None:
        """A message was published."""
        self._published.inc()

    def watch(self, is_connected: Callable[[], bool], waiting: Callable[[], int], dropped: Callable[[], dict[str, int]]) -> None:
        """Asks these for what is so at the time of asking; `dropped` gives how many of which kind, so far."""
        self._connected.set_function(lambda: float(is_connected()))
        self._waiting.set_function(lambda: float(waiting()))
        self._dropped.ask = dropped


class CounterFunction(Collector):
    """A counter whose values somebody else keeps, by kind."""

    def __init__(self, name: str, about: str, registry: CollectorRegistry) -> None:
        self.ask: Callable[[], dict[str, int]] = dict
        self._name, self._about = name, about
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The values now."""
        family = CounterMetricFamily(self._name, self._about, labels=["kind"])
        for kind, count in self.ask().items():
            family.add_metric([kind], count)
        yield family


class UnitFigures(Collector):
    """Every unit as the server knows it, asked for at each scrape."""

    def __init__(self, watch: FleetWatch, registry: CollectorRegistry) -> None:
        self._watch = watch
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures now; none where the database cannot be read."""
        try:
            units = self._watch.see().units
        except SQLAlchemyError:
            return
        counts = GaugeMetricFamily("healthgate_units", "Units by whether they are there.", labels=["state"])
        for presence in Presence:
            counts.add_metric([presence.value], sum(unit.state.presence is presence for unit in units))
        yield counts
        if len(units) <= MOST_UNITS:
            yield from _of_each([unit for unit in units if unit.state.presence is not Presence.RETIRED])


def _of_each(units: list[Unit]) -> Iterator[Metric]:
    online = GaugeMetricFamily("healthgate_unit_online", "Whether a unit is there.", labels=["unit"])
    heard = GaugeMetricFamily("healthgate_unit_last_heard_timestamp_seconds", "When a unit was last heard.", labels=["unit"])
    alerts = GaugeMetricFamily("healthgate_unit_alert", "Alerts that units raise, 1 each.", labels=["unit", "alert"])
    about = "What a unit says in its status message; only while it is online."
    numbers: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for unit in units:
        state = unit.state
        online.add_metric([unit.unit], float(not unit.is_gone))
        if state.heard_ms is not None:
            heard.add_metric([unit.unit], state.heard_ms / 1000)
        if unit.is_gone:
            continue
        for name in {name if name in ALERTS else OTHER_ALERT for name in state.alerts}:
            alerts.add_metric([unit.unit, name], 1)
        for name in UnitStatus.__struct_fields__ if state.status is not None else ():
            value = getattr(state.status, name)
            if value is None:
                continue
            family = numbers.get(name)
            if family is None:
                kind = CounterMetricFamily if name in COUNTED else GaugeMetricFamily
                family = numbers[name] = kind(f"healthgate_unit_{name}", about, labels=["unit"])
            family.add_metric([unit.unit], value)
    yield from (online, heard, alerts, *numbers.values())


class WebFigures:
    """Counts and times what is asked of an application, by the route as the code names it: never by the address that was asked for."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._seconds = Histogram(
            "healthgate_http_request_seconds", "Time to the end of an answer.", ["method", "route", "status"], registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            route = getattr(scope.get("route"), "path", None) or "none"
            self._seconds.labels(method, route, f"{status // 100}xx").observe(time.perf_counter() - began)
