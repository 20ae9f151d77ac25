"""What the unit keeps of its thermometer on its own disk: the calibration, since when it has had power, and who is using it."""

from __future__ import annotations

import fcntl
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.calibration import Calibration, Kept, Unreadable
from edge.config import Config
from edge.files import write_atomically

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LARGEST_FILE = 64 * 1024


def calibration_path(config: Config) -> Path:
    """Where this unit keeps its calibration."""
    return Path(config.sensor.calibration) if config.sensor.calibration else Path(config.data) / "calibration.json"


def read_calibration(path: Path) -> Kept:
    """The calibration in `path`; None where there is no such file, Unreadable where it cannot be used."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE)
    except FileNotFoundError:
        return None
    except OSError as wrong:
        return Unreadable(f"{path}: {wrong.strerror}: expected a calibration, or no file")
    try:
        return msgspec.json.decode(raw, type=Calibration)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        return Unreadable(f"{path}: {wrong}: expected what healthgate edge calibrate writes")


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Puts `calibration` into `path`, whole or not at all. OSError where the disk does not take it."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(calibration), indent=2) + b"\n")


class _Power(msgspec.Struct, frozen=True):
    """`since` in seconds of CLOCK_MONOTONIC, None while the sensor does not answer; it means nothing in another `boot`."""

    boot: str
    since: float | None


@dataclass(frozen=True, slots=True)
class Power:
    """Since when the sensor has had power, monotonic seconds; None: when last heard of it was not there."""

    since: float | None


class PowerFile:
    """Since when the sensor has had power, where that is not since boot: pulled and put back, it warms up anew, also over a restart."""

    def __init__(self, path: Path, boot: str) -> None:
        """`boot` is the kernel's identity of this boot: monotonic time begins with it."""
        self._path = path
        self._boot = boot

    def load(self) -> Power | None:
        """What was noted in this boot; None for nothing. A file that cannot be read says that the sensor was not there."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_Power)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as wrong:
            log.warning("%s: %s: the thermometer counts as just plugged in", self._path, wrong)
            return Power(None)
        return Power(found.since) if found.boot == self._boot else None

    def save(self, power: Power) -> None:
        """Notes `power`; a disk that does not take it is logged, and costs no more than a warm-up that a restart would forget."""
        try:
            write_atomically(self._path, msgspec.json.encode(_Power(self._boot, power.since)))
        except OSError as wrong:
            log.warning("%s: %s: since when the thermometer has power is not kept", self._path, wrong)


def open_power_file(data: Path) -> PowerFile:
    """The file in the unit's folder, for this boot."""
    return PowerFile(data / "sensor_power.json", BOOT_ID.read_text(encoding="ascii").strip())


class SensorHeld(Exception):
    """Another process uses the thermometer. The text is one line that says which and what to do."""


class SensorLock:
    """One process at a time uses the thermometer: a second one's traffic would disturb the readings of the first.

    A record lock of the kernel: it ends with the process, however that ends, and the processes that it forked do not hold it.
    """

    def __init__(self, data: Path, user: str) -> None:
        """Takes the lock for `user`, one or two words; SensorHeld where somebody has it, OSError where the folder cannot be written."""
        data.mkdir(parents=True, exist_ok=True)
        path = data / "sensor.lock"
        self._handle: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who, _, number = os.read(self._handle, 200).decode("utf-8", "replace").strip().rpartition(" ")
            os.close(self._handle)
            stop = f"systemctl stop healthgate-edge, or kill {number} where it is no service" if number.isdecimal() else "or end it"
            raise SensorHeld(f"{who or 'another process'} is running and uses the thermometer: stop it first ({stop})") from None
        os.truncate(self._handle, 0)
        os.pwrite(self._handle, f"{user} {os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the thermometer back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
