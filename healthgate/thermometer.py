"""What `edge probe` and `edge calibrate` have in common: a unit's thermometer in their hands, and in nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from edge import config as configuration
from edge.__main__ import Hardware, open_hardware
from edge.config import Config, ConfigError
from edge.drivers.world import WorldLost
from edge.mlx90614 import PARTS
from edge.sensor_files import SensorHeld


def load_config(path: Path) -> Config:
    """The configuration in `path`; ends the command with status 2 and a line for each fault where it cannot be used."""
    try:
        return configuration.load(path)
    except ConfigError as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(2) from None


@contextmanager
def hold_hardware(config: Config, user: str) -> Iterator[Hardware]:
    """The hardware for `user` alone; ends the command with status 2 and one line where it cannot be had, while the unit runs say."""
    try:
        hardware = open_hardware(config, user)
    except (ConfigError, WorldLost, SensorHeld) as wrong:
        typer.echo(f"{user}: {wrong}", err=True)
        raise typer.Exit(2) from None
    try:
        yield hardware
    finally:
        hardware.close()


def describe_part(config: Config) -> str:
    """The part as the configuration names it, and how to stand before it: one line."""
    part = PARTS[config.sensor.part]
    return (
        f"MLX90614 {part.name}, {part.grade} accuracy ±{part.accuracy_c} °C, view {part.view_deg}°, {distance(config)} away, "
        f"settles in {config.sensor.settling_s:g} s, supply {config.sensor.supply_v:g} V"
    )


def distance(config: Config) -> str:
    """How near a forehead or a black body must be to fill the part's view."""
    part = PARTS[config.sensor.part]
    return f"{part.near_cm} to {part.far_cm} cm"
