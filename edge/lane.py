"""What goes into `edge.passage` and what comes out of it: inputs, events and effects, each a value. Pure.

`at` is in monotonic seconds throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.signals import Signal
from healthcode.terms import Decision, LaneMode, Reason

NEVER = float("-inf")

Person = tuple[str, int]
"""(list, index)."""

ReleasedBy = Literal["staff", "command", "exit"]


@dataclass(frozen=True, slots=True)
class Decided:
    """A final verdict. `grant` is the seq of the event that is already on disk; needed where the decision is to admit."""

    at: float
    decision: Decision
    reason: Reason
    person: Person | None = None
    grant: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to show without a verdict: being measured, come closer, measured again. Send it once for each beep."""

    at: float
    signal: Signal


@dataclass(frozen=True, slots=True)
class Beam:
    """The pass beam was broken, or is whole again."""

    at: float
    broken: bool


@dataclass(frozen=True, slots=True)
class Arm:
    """The arm or door left its rest, or is back."""

    at: float
    open: bool


@dataclass(frozen=True, slots=True)
class StaffButton:
    """The staff's release button."""

    at: float
    pressed: bool


@dataclass(frozen=True, slots=True)
class ExitRequest:
    """Somebody leaves by the way out's own button."""

    at: float
    pressed: bool = True


@dataclass(frozen=True, slots=True)
class CommandRelease:
    """A signed command of an operator opens once."""

    at: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fire:
    """The fire loop opened, or is closed again."""

    at: float
    active: bool


@dataclass(frozen=True, slots=True)
class Tamper:
    """The housing was opened, or is closed again."""

    at: float
    open: bool


@dataclass(frozen=True, slots=True)
class SetMode:
    """How the lane is to be run from now on; `note` says on whose word.

    The mode free lasts until `until` and then becomes controlled; without an end that lies ahead it is not entered. Of other modes `until`
    says nothing.
    """

    at: float
    mode: LaneMode
    until: float = NEVER
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The unit itself cannot do its work (no camera, no trust list), or can again: shown while the lane rests."""

    at: float
    active: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went by."""

    at: float


Input = Decided | Notice | Beam | Arm | StaffButton | ExitRequest | CommandRelease | Fire | Tamper | SetMode | Trouble | Tick


@dataclass(frozen=True, slots=True)
class Used:
    """The person with the grant went through."""

    at: float
    grant: int | None
    person: Person | None


@dataclass(frozen=True, slots=True)
class NotUsed:
    """A grant is given back: that code may be used again."""

    at: float
    grant: int | None
    person: Person | None


@dataclass(frozen=True, slots=True)
class Forced:
    """A line was crossed without a grant."""

    at: float


@dataclass(frozen=True, slots=True)
class Tailgated:
    """A second crossing behind the person with `grant`."""

    at: float
    grant: int | None


@dataclass(frozen=True, slots=True)
class HeldOpen:
    """A line has been crossed for longer than `held_open_s`."""

    at: float
    grant: int | None


@dataclass(frozen=True, slots=True)
class Released:
    """Opened without a code by a person in charge, or an exit was announced."""

    at: float
    by: ReleasedBy
    note: str = ""


@dataclass(frozen=True, slots=True)
class LaneChanged:
    """The mode, the fire loop or the tamper contact changed; this is how they stand. `until` is the end of the mode free."""

    at: float
    mode: LaneMode
    fire: bool
    tamper: bool
    until: float | None = None
    note: str = ""


Event = Used | NotUsed | Forced | Tailgated | HeldOpen | Released | LaneChanged


@dataclass(frozen=True, slots=True)
class Relay:
    """Energise the barrier relay, for `limit_s` seconds at most (None: until told otherwise), or let it fall.

    A limit that was forgotten is none at all: the relay is not energised for any time.
    """

    on: bool
    limit_s: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Light:
    """Show the signal's light from its start."""

    signal: Signal


@dataclass(frozen=True, slots=True)
class Sound:
    """Play the signal's sound from its start."""

    signal: Signal


Effect = Relay | Light | Sound
