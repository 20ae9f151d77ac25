"""What the dialogue with the server gives out: what the link is to publish, and the news that the deciding thread should hear. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edge.timekeeping import AnswerOutcome
from healthcode.messages import Command


@dataclass(frozen=True)
class Publish:
    """A message to send."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True)
class Resubscribe:
    """Subscribe anew, so that the broker sends again what is retained: there are new keys to read it with."""


@dataclass(frozen=True)
class Reconnect:
    """End the connection and begin another: there is a new certificate to show."""


Saying = Publish | Resubscribe | Reconnect


@dataclass(frozen=True)
class Disk:
    """What writing and flushing one small file took, and how much room is left; `error` is one line where it failed."""

    fsync_ms: float
    free_mb: float
    error: str = ""


@dataclass(frozen=True)
class ListChanged:
    """A list came to another version, or is no longer held (`version` None). `at`: monotonic seconds, as in all news."""

    uri: str
    version: int | None
    at: float


@dataclass(frozen=True)
class TrustChanged:
    """Another trust list is in force."""

    version: int
    at: float


@dataclass(frozen=True)
class RootsChanged:
    """Another root key counts, or one has an end; `detail` is one line for people."""

    detail: str
    at: float


@dataclass(frozen=True)
class ClockAnswered:
    """A time key answered this unit's question; `doubt` is one line for people where the answer raises one."""

    outcome: AnswerOutcome
    at: float
    doubt: str = ""


@dataclass(frozen=True)
class ClockWasReset:
    """A reset that the root signed for this unit has lowered the floor; `detail` is one line for people."""

    detail: str
    at: float


@dataclass(frozen=True)
class Requested:
    """Somebody asks for a command that needs no signature; answer with `Link.respond`. `disk` is what a selftest found of it."""

    command: str
    transaction: str
    at: float
    disk: Disk | None = None


@dataclass(frozen=True)
class Ordered:
    """A command of the operator `by`, verified and remembered: carry it out once, and answer with `Link.respond`."""

    command: Command
    by: str
    at: float


@dataclass(frozen=True)
class CommandRefused:
    """Somebody asked for what does not count; the answer has gone out. `detail` is one line for people."""

    detail: str
    at: float


@dataclass(frozen=True)
class EventsDone:
    """A watermark came: `done` events are in the server's database, `again` were and are no longer."""

    done: int
    again: int
    at: float


News = EventsDone | ListChanged | TrustChanged | RootsChanged | ClockAnswered | ClockWasReset | Requested | Ordered | CommandRefused
