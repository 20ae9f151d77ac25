"""`healthgate edge signals`: a gate's light and sound, played one after another on its pins, or drawn."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from edge import config as configuration
from edge.drivers.world import WorldClient, WorldLost
from edge.gate import Gate, GateFault, open_pins
from edge.lane import Light, Sound
from edge.loudness import volume_by
from edge.signals import TABLE, WORDS, Signal, light_in_words, sound_in_words
from healthgate.errors import one_line_errors
from healthgate.signals_picture import picture

SHORTEST_S = 3.0
"""Each signal plays for so long at least, and for two turns of its light and all of its sound."""


class NothingToDo(Exception):
    """Neither a gate to play on nor a file to draw to."""


@one_line_errors("healthgate edge signals", configuration.ConfigError, GateFault, WorldLost, NothingToDo)
def signals(
    config: Annotated[Path | None, typer.Option("--config", help="The unit's configuration: play on the pins that it names.")] = None,
    only: Annotated[list[Signal] | None, typer.Option(help="Only this signal; may be given several times.")] = None,
    night: Annotated[bool, typer.Option("--night", help="As loud as at night.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw all signals to this file.")] = None,
) -> None:
    """Play every signal of light and sound, and say what it means; or draw them. The unit must not run: it holds the pins.

    The barrier stays locked.
    """
    if config is None and svg is None:
        raise NothingToDo("expected --config with the unit's configuration to play on its pins, or --svg with a file to draw to")
    if svg is not None:
        try:
            svg.write_text(picture(), encoding="utf-8")
        except OSError as wrong:
            raise NothingToDo(f"{svg}: {wrong.strerror}: expected a file that can be written") from None
        typer.echo(f"{svg}: {len(Signal)} signals drawn")
    if config is not None:
        play(configuration.load(config), only or list(Signal), night)


def play(config: configuration.Config, chosen: list[Signal], night: bool) -> None:
    """Plays signals on the gate's pins, real or simulated as the configuration says. GateFault where another process holds them."""
    with ExitStack() as undo:
        gate = open_gate(config, night, undo)
        for signal in chosen:
            typer.echo(in_words(signal))
            at = time.monotonic()
            gate.apply((Light(signal), Sound(signal)), at)
            while time.monotonic() < at + seconds_of(signal):
                time.sleep(gate.tick(time.monotonic()))


def open_gate(config: configuration.Config, night: bool, undo: ExitStack) -> Gate:
    """The gate with its pins claimed, given back by `undo`; GateFault says who may hold them where they cannot be had."""
    try:
        world = WorldClient(config.world, config.unit) if config.hardware == "simulated" else None
        if world is not None:
            undo.callback(world.close)
        pins = open_pins(config, world)
        loudness = partial(volume_by, sound=config.sound, at_night=night)
        gate = Gate(config.pins, pins, lambda given: None, config.lane.debounce_s, loudness=loudness)
    except (GateFault, WorldLost) as wrong:
        raise GateFault(f"{wrong}; a unit that runs holds its pins: stop it first") from None
    undo.callback(gate.close)
    return gate


def in_words(signal: Signal) -> str:
    """The signal in a few lines: name, meaning in English and Chinese, light and sound."""
    english, chinese = WORDS[signal]
    row = TABLE[signal]
    return (
        f"{signal.value:<10} {chinese}  {english}\n{'':10} light: {light_in_words(row.light)}\n{'':10} sound: {sound_in_words(row.sound)}"
    )


def seconds_of(signal: Signal) -> float:
    """How long a signal plays: two turns of its light, and its sound once."""
    row = TABLE[signal]
    light, sound = (sum(s for _, s in steps) if len(steps) > 1 else 0.0 for steps in (row.light.steps, row.sound.steps))
    return max(SHORTEST_S, 2 * light, sound)
