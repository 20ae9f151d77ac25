"""What `healthgate fleet run` is asked for on the line, and what of it goes to each unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from healthcode import signed
from healthcode.commands import UNSIGNED
from healthcode.cose import Signer
from healthcode.messages import (
    CalibrateOrder,
    Command,
    LogsOrder,
    ModeOrder,
    OpenOrder,
    Order,
    RebootOrder,
    Request,
    RestartOrder,
    SyncOrder,
    UpdateOrder,
    encode,
)
from healthcode.terms import CommandName, LaneMode

LIFE_S = 30
"""How long a command counts unless somebody says otherwise: a clock may differ a little, and a network take its time."""
Write = Callable[[Signer | None, str, str, float], bytes]
"""Gives what is sent to a unit: whose key, which unit, which transaction, at what time (seconds since 1970)."""


class NotSent(Exception):
    """A command that cannot be sent as it was asked for; one line that says what to type."""


@dataclass(frozen=True)
class Asked:
    """What was asked on the line: the command, and what goes with it; None where it was not given."""

    command: CommandName
    reason: str
    to: LaneMode | None
    minutes: float | None
    black_body: float | None
    emissivity: float | None
    lines: int | None
    release: str

    def order(self) -> Order | None:
        """The order that the units get, None for a command that needs no signature. NotSent where something is missing or too much."""
        self._check_options()
        match self.command:
            case CommandName.IDENTIFY | CommandName.SELFTEST:
                return None
            case CommandName.OPEN:
                return OpenOrder()
            case CommandName.MODE:
                return self._mode()
            case CommandName.SYNC:
                return SyncOrder()
            case CommandName.CALIBRATE:
                if self.black_body is None:
                    raise NotSent("calibrate: expected --black-body, its temperature, such as 37.0")
                return CalibrateOrder(black_body_c=self.black_body, emissivity=0.99 if self.emissivity is None else self.emissivity)
            case CommandName.RESTART:
                return RestartOrder()
            case CommandName.REBOOT:
                return RebootOrder()
            case CommandName.LOGS:
                return LogsOrder(lines=self.lines or 50)
            case CommandName.UPDATE:
                if not self.release:
                    raise NotSent("update: expected --release, a version such as 0.2.0")
                return UpdateOrder(release=self.release)

    def _check_options(self) -> None:
        """NotSent for an option that belongs to another command."""
        given = {
            "--to": (CommandName.MODE, self.to),
            "--minutes": (CommandName.MODE, self.minutes),
            "--black-body": (CommandName.CALIBRATE, self.black_body),
            "--emissivity": (CommandName.CALIBRATE, self.emissivity),
            "--lines": (CommandName.LOGS, self.lines),
            "--release": (CommandName.UPDATE, self.release or None),
        }
        for option, (belongs_to, value) in given.items():
            if value is not None and belongs_to is not self.command:
                raise NotSent(f"{option}: belongs to {belongs_to.value}, not to {self.command.value}")
        if self.command not in UNSIGNED and not self.reason.strip():
            raise NotSent('--reason: expected why, in a few words, such as --reason "a pram"')

    def _mode(self) -> ModeOrder:
        if self.to is None:
            raise NotSent(f"mode: expected --to, one of {', '.join(LaneMode)}")
        if (self.to is LaneMode.FREE) != (self.minutes is not None):
            raise NotSent("mode: expected --minutes with --to free, at most 1440, and with no other mode")
        return ModeOrder(mode=self.to, for_s=round((self.minutes or 0.0) * 60))

    def words(self) -> str:
        """What is going to be done, for the plan."""
        extra = {
            CommandName.MODE: f" {self.to.value if self.to else ''}{f' for {self.minutes:g} minutes' if self.minutes else ''}",
            CommandName.CALIBRATE: f" at {self.black_body} °C",
            CommandName.UPDATE: f" to {self.release}",
        }
        return f"{self.command.value}{extra.get(self.command, '')}"


def writer(command: CommandName, order: Order | None, reason: str, life_s: int = LIFE_S) -> Write:
    """What makes the payload for each unit: a command of its own, signed, or a plain request."""

    def write(signer: Signer | None, unit: str, transaction: str, at: float) -> bytes:
        if order is None or signer is None:
            return encode(Request(transaction=transaction))
        why = " ".join(reason.split())[:120]
        now = int(at)
        return signed.write(
            Command(unit=unit, transaction=transaction, signed_at=now, expires_at=now + life_s, why=why, order=order), signer
        )

    return write
