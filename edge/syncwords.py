"""What the sync protocol's unit end is told and what it answers: values that `edge.sync` and its shell share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from healthcode.messages import ChunkRequest, Delta, Head, RangeRequest, SnapshotRef
from healthcode.signed import Signed

TRUST = ""
"""The uri that stands for the trust list in chunk requests."""


@dataclass(frozen=True)
class Timing:
    """Seconds. `jitter_s` spreads what all units would ask at once; an answer is waited for `answer_s` and a back-off of up to `most_s`.

    A range is waited for `range_s`, and for as long as a slow line takes for it: the server sends it before all chunks, and whoever
    misses it goes by old colours.
    """

    jitter_s: float = 0.5
    answer_s: float = 2.0
    range_s: float = 0.5
    most_s: float = 60.0


@dataclass(frozen=True)
class Position:
    """What is held of a list; behind its snapshot on disk lie `records` deltas, `log_bytes` in all."""

    epoch: int
    version: int
    digest: bytes
    records: int = 0
    log_bytes: int = 0


class Why(StrEnum):
    """Why an input changed nothing."""

    NOT_WANTED = "NOT_WANTED"
    EPOCH = "EPOCH"
    OLD = "OLD"
    EARLY_FULL = "EARLY_FULL"
    KEPT = "KEPT"
    NOT_ASKED = "NOT_ASKED"
    CHUNK = "CHUNK"
    DIGEST = "DIGEST"
    SPENT = "SPENT"
    BEHIND = "BEHIND"
    AHEAD = "AHEAD"


@dataclass(frozen=True)
class Apply:
    """Apply this delta; it starts at the version held. Where it does not continue the held chain of digests, carry out a Drop instead."""

    delta: Signed[Delta]
    raw: bytes


@dataclass(frozen=True)
class Adopt:
    """This head states exactly what is held: take over its as_of."""

    head: Signed[Head]
    raw: bytes


@dataclass(frozen=True)
class Ask:
    """Send this request on up/sync."""

    request: RangeRequest | ChunkRequest


@dataclass(frozen=True)
class Part:
    """The first bytes of the snapshot `ref`, unverified: what an earlier run has kept of it."""

    epoch: int
    ref: SnapshotRef
    data: bytes


@dataclass(frozen=True)
class Keep:
    """Keep this piece of the snapshot `ref` of `uri`, for a restart to go on from. The first one, at offset 0, replaces what was kept."""

    uri: str
    epoch: int
    ref: SnapshotRef
    offset: int
    piece: bytes


@dataclass(frozen=True)
class Forget:
    """What was kept of a snapshot of `uri` is false or of no use any more."""

    uri: str


@dataclass(frozen=True)
class Swap:
    """A whole snapshot of `uri`, or, with the uri TRUST, a whole trust list, as its head announced it."""

    uri: str
    data: bytes


@dataclass(frozen=True)
class Drop:
    """What is held of `uri` is not what the issuer signed: forget it."""

    uri: str


@dataclass(frozen=True)
class Ignored:
    """The input changed nothing."""

    uri: str
    why: Why


Output = Apply | Adopt | Ask | Keep | Forget | Swap | Drop | Ignored
