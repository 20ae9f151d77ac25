"""The thermometer on the simulated bus: what its registers hold, and what is wrong with it, by the parameters of modules/mlx90614_bus.c."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

BUS = 1
_PARAMETERS = Path("/sys/module/mlx90614_bus/parameters")


class Fault(IntEnum):
    """What goes wrong, as in the module."""

    NONE = 0
    UNPLUGGED = 1
    WRONG_PEC = 2
    TIMEOUT = 3
    ERROR_FLAG = 4
    HANG = 5


def word(celsius: float) -> int:
    """The register's word for a temperature: fiftieths of a kelvin."""
    return round((celsius + 273.15) / 0.02)


def show(ambient: int, looked_at: int) -> None:
    """The words of the registers 0x06 and 0x07."""
    (_PARAMETERS / "ambient").write_text(f"{ambient}\n")
    (_PARAMETERS / "object").write_text(f"{looked_at}\n")


def break_with(fault: Fault) -> None:
    """From now on every transfer goes wrong in this way; NONE mends it."""
    (_PARAMETERS / "fault").write_text(f"{int(fault)}\n")


def set_noise(on: bool) -> None:
    """Whether the last bit of register 0x07 moves."""
    (_PARAMETERS / "noise").write_text("Y\n" if on else "N\n")


def transfers() -> int:
    """How often the bus was asked since the machine's start."""
    return int((_PARAMETERS / "transfers").read_text())
