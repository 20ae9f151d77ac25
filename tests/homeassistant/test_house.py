"""A Home Assistant on the broker: what it shows of a unit, what its buttons ask, and that nothing is left of one that is retired."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from healthcode import topics
from healthcode.alerts import ALERTS
from healthcode.messages import Info, Lane, Request, UnitSeen, UnitStatus, encode, stamp
from healthcode.terms import LaneMode
from server.home_assistant import ASKS_BY, ONLINE, PREFIX, config_topic, device, status_topic
from tests.broker import Broker, listening

pytestmark = [pytest.mark.homeassistant, pytest.mark.timeout(1800)]
LIMIT_S = 60.0
INFO = Info(unit="hall-1", boot_id="0" * 32, software="healthgate 0.1.0", hardware="pi aarch64", started_at=stamp(0))
LANE = Lane(since=stamp(0), mode=LaneMode.FREE, stage="free", signal="pass", fire=True)
STATUS = UnitStatus(uptime_s=60, outbox_pending=3, lists_held=1, list_age_s=4.5, board_c=48.3, ambient_c=21.4, passes=9)


def seen(state: str, *alerts: str) -> UnitSeen:
    return UnitSeen(unit="hall-1", state=state, since=stamp(0), alerts=list(alerts))  # type: ignore[arg-type]


def _component(unique_id: str) -> str:
    return unique_id.removeprefix("healthgate_hall-1_")


class House:
    """What a Home Assistant shows, by component of the one unit."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.shown: dict[str, str] = {}
        self.faults: list[str] = []
        self._process = process
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)

    def _hear(self, awaited: object) -> None:
        try:
            said = json.loads(self._said.get(timeout=LIMIT_S))
        except queue.Empty:
            raise AssertionError(f"awaited: {awaited}; shown: {self.shown}; faults: {self.faults}") from None
        if "fault" in said:
            self.faults.append(said["fault"])
        elif said["state"] is None:
            del self.shown[_component(said["id"])]
        else:
            self.shown[_component(said["id"])] = said["state"]

    def until(self, expected: Mapping[str, str]) -> None:
        """Waits until all of `expected` is shown."""
        while awaited := expected.items() - self.shown.items():
            self._hear(awaited)

    def until_gone(self) -> None:
        """Waits until nothing of the unit is left."""
        while self.shown:
            self._hear("nothing")

    def press(self, button: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"healthgate_hall-1_{button}\n")
        self._process.stdin.flush()


@contextmanager
def house(python: Path, broker: Broker) -> Iterator[House]:
    command = [str(python), "-I", str(Path(__file__).with_name("house.py")), str(broker.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield House(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(LIMIT_S) == 0, "it says why above"
        finally:
            process.kill()


def test_a_unit_appears_shows_what_it_says_and_goes(python: Path, broker: Broker) -> None:
    with listening(broker, status_topic(PREFIX), topics.down("hall-1", "request", "identify")) as server, house(python, broker) as home:
        assert server.next(LIMIT_S) == (status_topic(PREFIX), ONLINE)

        def say(topic: str, payload: bytes) -> None:
            server.publish(topic, payload, retain=True)

        say(topics.BRIDGE_STATE, b"online")
        say(topics.unit_seen("hall-1"), encode(seen("online", "disk", "forced")))
        say(topics.up("hall-1", "lane"), encode(LANE))
        say(topics.up("hall-1", "status"), encode(STATUS))
        told = device("hall-1", INFO, "station")
        say(config_topic(PREFIX, "hall-1"), told)
        raised = {f"alert_{name}": "on" if name in ("disk", "forced") else "off" for name in ALERTS}
        home.until({"there": "on", "gate": "free", "light": "pass", "fire": "on", **raised})
        numbers = {"uptime_s": "60", "outbox_pending": "3", "list_age_s": "4.5", "board_c": "48.3", "ambient_c": "21.4", "passes": "9"}
        home.until({**numbers, "frames_per_s": "unknown", "disk_free_mb": "unknown", "certificate_days": "unknown"})
        assert home.shown.keys() == json.loads(told)["cmps"].keys()

        home.press("identify")
        assert server.next(LIMIT_S) == (topics.down("hall-1", "request", "identify"), encode(Request(transaction=ASKS_BY)))

        say(topics.unit_seen("hall-1"), encode(seen("silent", "disk")))
        home.until({"there": "off", **{name: "unavailable" for name in home.shown if name != "there"}})
        say(topics.unit_seen("hall-1"), encode(seen("online")))
        home.until({"there": "on", "gate": "free", "board_c": "48.3", "alert_disk": "off", "alert_forced": "off"})

        say(topics.unit_seen("hall-1"), b"")
        say(topics.up("hall-1", "lane"), b"")
        say(topics.up("hall-1", "status"), b"")
        home.until(dict.fromkeys(home.shown.keys() - {"there"}, "unavailable"))
        say(config_topic(PREFIX, "hall-1"), b"")
        home.until_gone()
    assert home.faults == []
