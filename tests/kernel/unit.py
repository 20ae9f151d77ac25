"""A unit as the service starts it, with hardware = "pi", what it has on its disk, and the hands that open and close its contacts."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from edge.cache import Cache
from edge.config import Pins
from edge.gate import INPUT_OF, NORMALLY_CLOSED
from healthcode import token
from healthcode.messages import AnyEvent, LaneEvent
from healthcode.terms import Colour, Form, Status
from tests.edge.province import ROOT, ROOTS, URI, Province, list_entry, trust_list
from tests.edge.unit_bench import TOKEN_ENTRY, TOKEN_KEY
from tests.kernel import sensor
from tests.kernel.header import Header
from tests.kernel.machine import VIDEO

PINS = Pins()
LIMIT_S = 30.0
POLL_S = 0.05
AIR_C, SKIN_C = 25.0, 34.0
"""A temperate lane, and a healthy forehead in it: about 36.6 C of body."""

CONFIG = """\
unit = "north"
hardware = "pi"
data = "{folder}/data"
roots = ["{folder}/root.pub.pem"]

[camera]
source = "{video}"
fps = 8.0

[sensor]
bus = {bus}

[screening]
warm_up_s = 0.0

[lane]
pulse_s = {pulse_s}
alarm_s = 0.5

[link]
host = "127.0.0.1"
port = 9

[watchdog]
sensor_s = 2.0
"""
"""Nobody listens on the port: the unit has no server. The alarm is short because contacts can be closed only once the unit
holds them, and the thermometer's loop has little time because somebody waits for the test that makes it hang."""

_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def enrol(folder: Path, pulse_s: float = 0.5) -> Path:
    """Puts on the disk what a unit holds that was on line a minute ago; its configuration's path."""
    now = int(time.time())
    (folder / "root.pub.pem").write_bytes(ROOT.public_key.to_pem())
    province = Province(trust=trust_list(1, list_entry(), TOKEN_ENTRY, expires_at=now + 86_400 * 30))
    province.at = now - 60
    province.change({1: Status.RED})
    province.compact()
    cache = Cache(folder / "data" / "cache", ROOTS)
    province.fill(cache)
    cache.close()
    (folder / "data" / "floor").write_text(f"{now - 60}\n")
    config = folder / "north.toml"
    config.write_text(CONFIG.format(folder=folder, video=VIDEO, bus=sensor.BUS, pulse_s=pulse_s))
    return config


def code(index: int) -> str:
    """A green code."""
    now = int(time.time())
    claims = token.Claims("CN-HB", URI, index, Colour.GREEN, Form.LIVE, now - 3600, now - 5, now + 115)
    return token.write(claims, TOKEN_KEY)


def wait_until(holds: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Waits until something holds; AssertionError with `what` where it does not come true."""
    limit, never = time.monotonic() + limit_s, threading.Event()
    while not holds():
        assert time.monotonic() < limit, f"not within {limit_s:.0f} s: {what}"
        never.wait(POLL_S)


class Unit:
    """One process `python -m edge`, and what its disk holds."""

    def __init__(self, config: Path, header: Header, environment: Mapping[str, str] | None = None) -> None:
        """Starts it."""
        self._header = header
        self._data = config.parent / "data"
        self.said: deque[str] = deque(maxlen=200)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", str(config)], stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self._listener = threading.Thread(target=self._listen, name="log")
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.said.append(line.rstrip())

    @property
    def log(self) -> str:
        """The last of what it said."""
        return "\n".join(self.said)

    def wait_until_up(self) -> None:
        """Waits until it runs and all contacts are as they are while all is well."""
        wait_until(lambda: "gate north is up" in self.log or self.process.poll() is not None, "it is up")
        assert self.process.poll() is None, self.log
        for name in INPUT_OF:
            self.put(name, False)
        wait_until(self._is_at_rest, "fire loop and lid are closed")

    def _is_at_rest(self) -> bool:
        lanes = [event for event in self.events() if isinstance(event, LaneEvent)]
        return not lanes or not (lanes[-1].fire or lanes[-1].tamper)

    def put(self, name: str, active: bool) -> None:
        """Makes an input report `active`."""
        self._header.pull(getattr(PINS, name), int(active is (name in NORMALLY_CLOSED)))

    def events(self) -> list[AnyEvent]:
        """What its outbox holds, the oldest first, read by somebody else."""
        try:
            connection = sqlite3.connect(f"file:{self._data / 'outbox.sqlite'}?mode=ro", uri=True, timeout=5.0)
            rows = connection.execute("SELECT body FROM events ORDER BY boot, seq").fetchall()
            connection.close()
        except sqlite3.OperationalError:
            return []
        return [_EVENT.decode(body) for (body,) in rows]

    def end(self, how: int) -> int:
        """Sends a signal and waits; the exit status."""
        self.process.send_signal(how)
        status = self.process.wait(LIMIT_S)
        self._listener.join(LIMIT_S)
        return status

    def close(self) -> None:
        """Ends it in any case."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(LIMIT_S)
        self._listener.join(LIMIT_S)
