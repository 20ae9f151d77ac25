"""`healthgate edge mode`: somebody at the unit sets its lane's mode, with or without a network."""

from __future__ import annotations

import getpass
import os
import pwd
import time
from pathlib import Path
from typing import Annotated

import typer

from edge import config as configuration
from edge.door import LONGEST_FREE_S, Answered, Asked, Silence, ask
from healthcode.terms import LaneMode
from healthgate.errors import one_line_errors


class NotSet(Exception):
    """The mode is not what was asked for; one line that says why and what to do."""


@one_line_errors("healthgate edge mode", configuration.ConfigError, NotSet)
def mode(
    wanted: Annotated[LaneMode, typer.Argument(metavar="MODE", help="controlled, locked, out_of_service, or free for a time.")],
    config: Annotated[Path, typer.Option("--config", help="The unit's configuration, a TOML file.")],
    reason: Annotated[str, typer.Option(help="Why, for the log: it is kept with your account's name.")],
    minutes: Annotated[float | None, typer.Option(help="How long the lane is free; then it is controlled again. At most 1440.")] = None,
) -> None:
    """Set the mode of the lane of a unit that runs on this machine. It is on record with your account's name and the reason."""
    for_s = check_time(wanted, minutes)
    if not reason.strip():
        raise NotSet('--reason: expected why, in a few words, such as --reason "market day"')
    settings = configuration.load(config)
    folder = Path(settings.data)
    check_account(folder)
    who = os.environ.get("SUDO_USER") or getpass.getuser()
    try:
        answered = ask(folder, Asked(wanted, time.monotonic(), for_s, note_of(who, reason)))
    except OSError as wrong:
        raise NotSet(f"{folder}: {wrong.strerror}: the unit {settings.unit} cannot be asked, its lane is as it was") from None
    typer.echo(outcome(settings.unit, wanted, minutes, answered))


def check_time(wanted: LaneMode, minutes: float | None) -> float:
    """For how many seconds; NotSet where the mode free has no end, or another one has."""
    longest = LONGEST_FREE_S / 60
    if wanted is LaneMode.FREE and (minutes is None or not 0 < minutes <= longest):
        raise NotSet(f"free: expected --minutes, more than 0 and at most {longest:.0f}")
    if wanted is not LaneMode.FREE and minutes is not None:
        raise NotSet(f"--minutes: expected only with free, {wanted.value} lasts until somebody sets another mode")
    return 0.0 if minutes is None else minutes * 60


def check_account(folder: Path) -> None:
    """NotSet where the folder is another account's: what a stranger leaves there the unit could not read."""
    try:
        owner = folder.stat().st_uid
    except OSError as wrong:
        raise NotSet(f"{folder}: {wrong.strerror}: expected the folder that the unit keeps its data in") from None
    if owner != os.geteuid():
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise NotSet(f"{folder} belongs to {name}: type it again with sudo -u {name} before it")


def note_of(who: str, reason: str) -> str:
    """What goes on record, in one line of at most 200 characters."""
    return " ".join(f"{who}: {reason}".split())[:200]


def outcome(unit: str, wanted: LaneMode, minutes: float | None, answered: Answered | Silence) -> str:
    """What to say; NotSet where the lane is not what was asked for, or nobody knows."""
    if answered is Silence.UNTOLD:
        raise NotSet(f"the unit {unit} took the question and has not answered: is its disk slow or full? its log says how the lane is now")
    if answered is Silence.UNHEARD:
        raise NotSet(f"the unit {unit} does not answer: does it run? nothing was changed, and nothing will be")
    if answered.refused:
        raise NotSet(f"{answered.refused}; the lane of {unit} is {answered.mode.value}")
    end = f" for {minutes:g} minutes, then controlled" if wanted is LaneMode.FREE else ""
    return f"the lane of {unit} is {answered.mode.value}{end}"
