"""What the unit keeps of its thermometer: files that survive a restart and a bad disk, and a lock that ends with its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.calibration import Calibration, Point, Unreadable
from edge.sensor_files import Power, PowerFile, SensorHeld, SensorLock, read_calibration, write_calibration

MADE = Calibration("5d2191c444031a3f", 0.21, 24.0, 3.3, datetime(2020, 9, 13, 12, tzinfo=UTC), "王卫士", (Point(35.0, 34.8, 0.1),))


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "data" / "calibration.json"
    assert read_calibration(path) is None
    write_calibration(path, MADE)
    assert read_calibration(path) == MADE
    assert "2020-09-13" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b'{"sensor":"5D21","offset_c":0,"ambient_c":24,"supply_v":3.3,"at":"2020-09-13T12:00:00Z","operator":"x"}',
        b'{"sensor":"5d2191c444031a3f","offset_c":"0","ambient_c":24,"supply_v":3.3,"at":"2020-09-13T12:00:00Z","operator":"x"}',
        b'{"sensor":"5d2191c444031a3f","offset_c":0,"ambient_c":24,"supply_v":3.3,"at":"2020-09-13T12:00:00","operator":"x"}',
        b'{"sensor":"5d2191c444031a3f","offset_c":0,"ambient_c":24,"supply_v":3.3,"at":"2020-09-13T12:00:00Z","operator":""}',
        b'{"sensor":"5d2191c444031a3f","offset_c":0,"ambient_c":24,"supply_v":3.3,"at":"2020-09-13T12:00:00Z","operator":"x","by":1}',
    ],
)
def test_a_file_that_is_no_calibration_is_named_in_one_line_and_is_not_the_same_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calibration.json"
    path.write_bytes(content)
    found = read_calibration(path)
    assert isinstance(found, Unreadable)
    assert str(path) in found.detail
    assert "\n" not in found.detail


def test_a_folder_in_its_place_is_no_calibration(tmp_path: Path) -> None:
    assert isinstance(read_calibration(tmp_path), Unreadable)


def test_power_is_remembered_within_one_boot(tmp_path: Path) -> None:
    file = PowerFile(tmp_path / "power", "a")
    assert file.load() is None
    file.save(Power(1234.5))
    assert file.load() == Power(1234.5)
    file.save(Power(None))
    assert file.load() == Power(None)
    assert PowerFile(tmp_path / "power", "b").load() is None


@pytest.mark.parametrize("content", [b"{", b'{"boot":"\xff"}', b"\xff", bytes(40)])
def test_a_power_file_that_cannot_be_read_costs_a_warm_up(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "power").write_bytes(content)
    assert PowerFile(tmp_path / "power", "a").load() == Power(None)


def test_a_disk_that_takes_nothing_does_not_stop_the_thermometer(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    PowerFile(tmp_path / "file" / "power", "a").save(Power(1.0))


HOLD = """
import os, sys, time
from pathlib import Path
from edge.sensor_files import SensorLock
lock = SensorLock(Path(sys.argv[1]), "gate north")
child = os.fork()
if child == 0:
    time.sleep(600)
print("held", child, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_the_lock_names_its_holder_and_ends_with_it_though_its_children_live(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    held, child = process.stdout.readline().split()
    try:
        assert held == "held"
        with pytest.raises(SensorHeld, match=rf"gate north is running .* \(systemctl stop healthgate-edge, or kill {process.pid} "):
            SensorLock(tmp_path, "healthgate edge probe")
        process.kill()
        process.wait(10)
        lock = SensorLock(tmp_path, "healthgate edge probe")
        lock.release()
        lock.release()
    finally:
        os.kill(int(child), signal.SIGKILL)
        process.kill()
        process.communicate(timeout=10)
