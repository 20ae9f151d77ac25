"""A service manager in little, on a machine with a watchdog: it starts one unit and feeds the watchdog as long as the unit says WATCHDOG=1.

Run inside the machine by test_watchdog.py, as `python -m tests.kernel.supervisor`, once for each boot. The unit's disk is /dev/ubda. At the
first boot the unit releases once, and then a transfer on the sensor's bus never ends: nothing can end that thread, SIGKILL neither, so only
the watchdog can help. At the second boot the unit runs on the same disk, releases again, and is told to end.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
from pathlib import Path

import msgspec

from healthcode.messages import ReleaseEvent
from tests.kernel import sensor
from tests.kernel.guest import mount
from tests.kernel.header import Header
from tests.kernel.machine import IN_GUEST
from tests.kernel.screen import Scene
from tests.kernel.unit import LIMIT_S, PINS, Unit, enrol, wait_until

DISK = Path("/run/disk")
UNSYNCED = DISK / "unsynced"
SOCKET = "/run/notify"
WDIOC_SETTIMEOUT = 0xC0045706
"""linux/watchdog.h."""
SERVICE_S, MACHINE_S = 3, 8
"""Within what time the unit is to say WATCHDOG=1, and the watchdog to be fed."""


class Feeder:
    """Feeds the watchdog, once armed, for each WATCHDOG=1 that comes, and for nothing else."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._ended = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(SOCKET)
        self._watchdog: int | None = None
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        while not self._ended.is_set():
            ready, _, _ = select.select([self._socket], [], [], 0.2)
            if ready:
                lines = self._socket.recv(4096).decode().splitlines()
                self.told += lines
                if "WATCHDOG=1" in lines and self._watchdog is not None:
                    os.write(self._watchdog, b"1")

    def arm(self) -> None:
        """Starts the watchdog."""
        self._watchdog = os.open("/dev/watchdog", os.O_WRONLY)
        fcntl.ioctl(self._watchdog, WDIOC_SETTIMEOUT, struct.pack("i", MACHINE_S))

    def close(self) -> None:
        """Stops the watchdog: the letter V before the end is a promise that all is well."""
        self._ended.set()
        self._thread.join()
        if self._watchdog is not None:
            os.write(self._watchdog, b"V")
            os.close(self._watchdog)


def main(out: Path) -> int:
    """One boot; does not return from the first."""
    boot = len(list(out.glob("boot*.json"))) + 1
    mount("/dev/ubda", str(DISK), "ext4", "commit=600")
    config = DISK / "north.toml"
    if not config.exists():
        enrol(DISK)
        os.sync()
    sensor.show(sensor.word(25.0), sensor.word(25.0))
    scene = Scene()
    with Header() as header:
        feeder = Feeder()
        unit = Unit(config, header, {"NOTIFY_SOCKET": SOCKET, "WATCHDOG_USEC": str(SERVICE_S * 1_000_000)})
        level = header.level(PINS.relay)
        wait_until(lambda: "READY=1" in feeder.told, "the unit is ready")
        feeder.arm()
        unit.wait_until_up()
        found = unit.events()
        unit.put("staff", True)
        header.wait_for(PINS.relay, 1, LIMIT_S)
        wait_until(lambda: sum(isinstance(event, ReleaseEvent) for event in unit.events()) == boot, "the release is told")
        unit.put("staff", False)
        wait_until(lambda: "WATCHDOG=1" in feeder.told, "the unit makes progress")
        events = unit.events()
        unsynced = UNSYNCED.read_text() if UNSYNCED.exists() else ""
        note = {"unsynced": unsynced, "relay_at_start": level, "found": msgspec.to_builtins(found), "events": msgspec.to_builtins(events)}
        (out / f"boot{boot}.json").write_text(json.dumps(note))
        if boot == 1:
            sensor.break_with(sensor.Fault.HANG)
            wait_until(lambda: "no progress in sensor" in unit.log, "the unit gives up")
            unit.process.kill()
            (out / "gave_up.json").write_text(
                json.dumps({"log": unit.log, "ended": unit.process.poll(), "relay": header.level(PINS.relay)})
            )
            wait_until(lambda: False, "the watchdog restarts the machine")
        status = unit.end(signal.SIGTERM)
        feeder.close()
        scene.close()
    (out / "ended.json").write_text(json.dumps({"status": status, "told": feeder.told}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(os.environ[IN_GUEST])))
