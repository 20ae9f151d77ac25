"""`healthgate edge reset-clock`: hands a signed reset to the unit of this machine, which may have no link."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from edge import config as configuration
from edge.cache import held_roots
from edge.clock import FloorFile, ResetLetter
from edge.rootfiles import load_roots
from edge.timekeeping import Anchor, ResetOutcome, Timekeeper, told
from healthcode.messages import MAX_HEAD, ClockReset
from healthcode.roots import Roots
from healthcode.signed import SignedFault
from healthgate.errors import one_line_errors

WAIT_S = 5.0
"""How long the running unit may take; it looks once a second."""


class ResetError(ValueError):
    """A reset that cannot be used here; the text is one line."""


@one_line_errors("healthgate edge", configuration.ConfigError, ResetError)
def reset_clock(
    config: Annotated[Path, typer.Option("--config", help="The unit's configuration, a TOML file.")],
    file: Annotated[Path, typer.Argument(help="The reset: clock-resets/UNIT.cbor of the keys folder.", show_default=False)],
) -> None:
    """Lower the floor of this unit's clock, by a reset that `healthgate keys reset-clock` made. Run it in the unit's account.

    A running unit takes it within seconds, one that is down when it starts. Each reset counts once.
    """
    found = configuration.load(config)
    folder = Path(found.data)
    data, reset = read_reset(file, found.unit, *held_roots(folder / "cache", load_roots(found)))
    kept = FloorFile(folder / "floor")
    check(reset, kept)
    letter = ResetLetter(folder)
    try:
        letter.leave(data)
    except OSError as wrong:
        raise ResetError(f"{folder}: {wrong.strerror}: expected the unit's folder, and an account that may write there") from None
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until and kept.load().serial < reset.serial:
        time.sleep(0.05)
    if kept.load().serial >= reset.serial:
        typer.echo(f"unit {found.unit}: taken, the clock's floor is {told(reset.floor)}")
    elif letter.waits:
        typer.echo(f"unit {found.unit} is not running: it takes the reset when it starts")
    else:
        raise ResetError(f"unit {found.unit} has read the reset and not taken it: its log says why")


def read_reset(file: Path, unit: str, roots: Roots, held: int) -> tuple[bytes, ClockReset]:
    """The reset in `file` as bytes and as what they say; ResetError where it is another unit's, or no root signed it that counts."""
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_HEAD + 1)
    except OSError as wrong:
        raise ResetError(f"{file}: cannot be read: {wrong.strerror}") from None
    reset = roots.read(data, ClockReset, held)
    if isinstance(reset, SignedFault):
        raise ResetError(f"{file}: {reset.value}: expected a clock reset signed by a root of this unit")
    if reset.unit != unit:
        raise ResetError(f"{file}: a reset for unit {reset.unit}: expected one for {unit}")
    return data, reset


def check(reset: ClockReset, file: FloorFile) -> None:
    """ResetError where the unit would not take `reset`, by what it keeps on disk."""
    kept, mono = file.load(), time.monotonic()
    _, outcome = Timekeeper(kept.floor, Anchor(time.time(), mono), serial=kept.serial).reset(reset, mono)
    if outcome is ResetOutcome.OLD:
        raise ResetError(f"reset {reset.serial}: unit {reset.unit} has taken reset {kept.serial}, expected a later one")
    if outcome is ResetOutcome.NOT_LOWER:
        raise ResetError(f"reset {reset.serial} to {told(reset.floor)}: the floor is {told(kept.floor or 0.0)}, expected a time before it")
