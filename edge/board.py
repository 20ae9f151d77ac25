"""The board under the gate: how hot, whether its supply is too low, room on its disk, when its certificate ends. Read from files.

A Raspberry Pi's kernel tells its processor's temperature in thousandths of a degree, and its supply as a sensor of hwmon that is named
rpi_volt: its in0_lcrit_alarm is 1 where the firmware has seen the supply too low since it was asked last, which is every two seconds (the
kernel's drivers/hwmon/raspberrypi-hwmon.c). What a board does not tell is None. Not tried on a Pi.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from edge.config import Board as BoardConfig
from edge.config import Config

log = logging.getLogger(__name__)

VOLTAGE_SENSOR = "rpi_volt"
MB = 1_000_000


@dataclass(frozen=True)
class BoardState:
    """What the files said; `certificate_ends` in seconds since 1970. `unread`: what is wrong with the certificate's file, if anything."""

    board_c: float | None = None
    under_voltage: bool | None = None
    disk_free_mb: float | None = None
    certificate_ends: float | None = None
    unread: str = ""


class Board:
    """Reads the files of one unit. `certificate` is its client certificate, PEM; None where it has none."""

    def __init__(self, config: BoardConfig, data: Path, certificate: Path | None = None) -> None:
        self._config = config
        self._data = data
        self._certificate = certificate

    def read(self) -> BoardState:
        """How the board is now."""
        ends, unread = self._read_certificate()
        return BoardState(self._read_temperature(), self._read_voltage(), self._read_disk(), ends, unread)

    def _read_temperature(self) -> float | None:
        number = _read_number(Path(self._config.temperature))
        return None if number is None else number / 1000

    def _read_voltage(self) -> bool | None:
        """The number of a sensor's folder is another on each board: its file `name` says which it is."""
        try:
            folders = sorted(Path(self._config.hwmon).iterdir())
        except OSError:
            return None
        for folder in folders:
            if _read_word(folder / "name") == VOLTAGE_SENSOR:
                alarm = _read_number(folder / "in0_lcrit_alarm")
                return None if alarm is None else alarm != 0
        return None

    def _read_disk(self) -> float | None:
        try:
            return shutil.disk_usage(self._data).free / MB
        except OSError:
            return None

    def _read_certificate(self) -> tuple[float | None, str]:
        if self._certificate is None:
            return None, ""
        try:
            return x509.load_pem_x509_certificate(self._certificate.read_bytes()).not_valid_after_utc.timestamp(), ""
        except OSError as wrong:
            return None, f"{self._certificate}: {wrong.strerror}"
        except ValueError:
            return None, f"{self._certificate}: expected a certificate, PEM"


def open_board(config: Config) -> Board:
    """The board of a unit, with the certificate that its configuration names, where it names one."""
    file = config.link.certificate
    return Board(config.board, Path(config.data), Path(file) if file else None)


def _read_word(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _read_number(path: Path) -> int | None:
    word = _read_word(path)
    return int(word) if word.removeprefix("-").isdecimal() else None
