"""A unit that hangs inside a driver, on a machine whose watchdog is fed only while the unit makes progress. The machine really restarts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.machine import Machine, find_kernel

DISK_MB = 64
LIMIT_S = 180.0


@pytest.fixture(scope="module")
def kernel() -> Path:
    found = find_kernel()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def test_a_hung_unit_takes_the_machine_down_and_up_again_and_keeps_its_events(kernel: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(DISK_MB << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", disk], check=True)
    with Machine(kernel, tmp_path, [[sys.executable, "-m", "tests.kernel.supervisor"]], disk) as machine:
        assert machine.wait(LIMIT_S, resets=1) == 0, machine.told()
    assert "softdog: Initiating system reboot" in (tmp_path / "console").read_text(errors="replace")
    first, second = (told(tmp_path / f"boot{number}.json") for number in (1, 2))
    assert not (tmp_path / "boot3.json").exists()

    hung = told(tmp_path / "gave_up.json")
    assert "no progress in sensor" in hung["log"]
    assert hung["ended"] is None, "not even SIGKILL ends a process that hangs inside a driver"
    assert hung["relay"] == 0

    assert second["relay_at_start"] == 0
    assert second["unsynced"] == "", "this disk forgets what was not synced, so what it kept was"
    kept = second["found"][: len(first["events"])]
    assert kept == first["events"], "every event that was on the disk before, none changed"
    assert [event["seq"] for event in kept] == list(range(1, len(kept) + 1))
    assert second["found"][len(kept)]["seq"] == 1, "then those of a new boot"
    releases = [event for event in second["events"] if event["kind"] == "release"]
    assert len(releases) == 2, "and the staff's button opens as before"

    ended = told(tmp_path / "ended.json")
    assert ended["status"] == 0
    assert {"READY=1", "WATCHDOG=1", "STOPPING=1"} <= set(ended["told"])


def told(file: Path) -> dict[str, Any]:
    """What the supervisor noted."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found
