"""Who passes. Two pure functions: what the issuer last said about a person, and what the gate therefore does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from edge import config
from healthcode.status import StatusList
from healthcode.terms import (
    REASON_OF_FAULT,
    STATUS_OF_COLOUR,
    ClockState,
    Colour,
    Decision,
    Fault,
    LaneMode,
    Reason,
    Screening,
    Status,
)
from healthcode.token import HealthCode, TokenFault


class Source(StrEnum):
    """Which of the issuer's statements counted."""

    LIST = "list"
    CODE = "code"
    NONE = "none"


class Standing(msgspec.Struct, frozen=True):
    """What the issuer last said about the bearer of a valid code. `status` is None where the list that the code names is not held.

    `said_at` is the time of that statement in seconds since 1970.
    """

    code: HealthCode
    status: Status | None
    said_at: float
    source: Source

    @property
    def colour(self) -> Colour | None:
        """The colour that counts; None where the code is revoked or its list is not held."""
        return _COLOURS.get(self.status) if self.status is not None else None


_COLOURS = {status: colour for colour, status in STATUS_OF_COLOUR.items()}
STRICTNESS = {Status.GREEN: 0, Status.YELLOW: 1, Status.RED: 2, Status.REVOKED: 3}
_REASON_OF_MODE = {LaneMode.OUT_OF_SERVICE: Reason.OUT_OF_SERVICE, LaneMode.LOCKED: Reason.LANE_LOCKED}
_REASON_OF_STATUS = {Status.RED: Reason.RED, Status.YELLOW: Reason.YELLOW}

_WHENEVER = frozenset({Reason.NOT_ACCEPTED, Reason.TEST_POSITIVE, Reason.DOSES_MISSING})
"""What the policy says of a certificate whatever the time."""
_TIMELESS_FAULTS = frozenset(Fault) - {Fault.NOT_YET_VALID, Fault.EXPIRED, Fault.ISSUER_SCOPE}


@dataclass(frozen=True)
class Judged:
    """What the policy makes of a valid foreign certificate: GREEN, or why it does not count (`healthcode.dcc_policy.judge`)."""

    reason: Reason


@dataclass(frozen=True)
class Crowd:
    """More than one person's code in one frame."""


@dataclass(frozen=True)
class Lane:
    """What of the lane matters to a verdict: its mode, whether a grant is open, whether the fire loop is broken."""

    mode: LaneMode = LaneMode.CONTROLLED
    busy: bool = False
    fire: bool = False


@dataclass(frozen=True)
class Health:
    """What of the unit itself matters to a verdict."""

    clock: ClockState
    trust_held: bool = True
    outbox_ok: bool = True


class Verdict(msgspec.Struct, frozen=True):
    """What the gate does with a person, and why."""

    decision: Decision
    reason: Reason

    @property
    def final(self) -> bool:
        """False while the temperature is still being taken, a first time or again."""
        return self.reason not in (Reason.MEASURING, Reason.FEVER_SUSPECTED)


def standing(code: HealthCode, lists: Mapping[str, StatusList]) -> Standing:
    """The issuer's newest statement about the bearer of `code`: the code's own (iat) or that of the list held (as_of).

    Revoked in a held list is final. Otherwise the list counts unless the code is newer, so that a stale gate neither keeps a recovered
    person red nor honours an old green. Times are whole seconds: where both are of the same second the stricter one counts, because
    either may be the later (docs/decisions/0060-same-second.md). A list that is named but not held, or too short for the index, leaves
    the status unknown.
    """
    held = lists.get(code.uri)
    if held is None or code.index >= held.capacity:
        return Standing(code, None, float(code.ruled_at), Source.NONE)
    entry = held.get(code.index)
    if code.ruled_at >= held.as_of and entry is not Status.REVOKED:
        printed = STATUS_OF_COLOUR[code.colour]
        if code.ruled_at > held.as_of or STRICTNESS[printed] > STRICTNESS[entry]:
            return Standing(code, printed, float(code.ruled_at), Source.CODE)
    return Standing(code, entry, float(held.as_of), Source.LIST)


def decide(
    seen: Standing | Judged | TokenFault | Crowd,
    screening: Screening,
    lane: Lane,
    used_s_ago: float | None,
    health: Health,
    *,
    at: float,
    statements: config.Statements,
    replay_s: float,
) -> Verdict:
    """What to do with the person whose code was seen. The first of these that holds is the reason; unknown means not admitted.

    1.  FIRE (refuse): the fire loop is broken; the way out is free, nobody is let in.
    2.  OUT_OF_SERVICE, LANE_LOCKED (refuse): the lane's mode.
    3.  ONE_AT_A_TIME (refuse): two distinct codes in one frame.
    4.  TRUST_MISSING (guard): no valid list of issuers is held.
    5.  TOO_LONG to CLAIMS (refuse): the code is not a code of an issuer known here, whatever the time.
    6.  CLOCK_UNTRUSTED (guard): the code's time cannot be judged; before any fault that hangs on the time.
    7.  NOT_YET_VALID, EXPIRED, ISSUER_SCOPE (refuse).
    8.  LIST_MISSING (guard): the list that the code names is not held. POLICY_MISSING (guard): no rules for certificates are.
    9.  REVOKED (refuse): final, however old the list.
    10. STATEMENT_STALE (guard): the newest statement is `statements.limit_s` old, or older.
    11. RED, YELLOW (refuse), whatever the temperature; TEST_POSITIVE, NOT_ACCEPTED, DOSES_MISSING (refuse) of a certificate.
    12. CLOCK_UNTRUSTED (guard): a green code needs its time, and a certificate's days need it.
    13. TOO_RECENT, TOO_OLD (refuse): a certificate that does not count yet, or no more.
    14. REPLAY (refuse): the same (list, index), or certificate, passed less than `replay_s` ago.
    15. LANE_BUSY (refuse): a grant is open; the person is taken up after it.
    16. OUTBOX_FAULT (guard): the event could not be kept.
    17. SENSOR_FAULT, WARMING, OUT_OF_RANGE, UNSTEADY, TOO_FAR, IMPLAUSIBLE, NOT_CLEARED (guard).
    18. FEBRILE (refuse); FEVER_SUSPECTED and MEASURING (refuse, not final): measured again, or still being measured.
    19. GREEN (admit).

    `used_s_ago` is how long ago this person's last used passage here was (None: not known), `at` seconds since 1970.
    """
    if lane.fire:
        return _refuse(Reason.FIRE)
    if lane.mode in _REASON_OF_MODE:
        return _refuse(_REASON_OF_MODE[lane.mode])
    if isinstance(seen, Crowd):
        return _refuse(Reason.ONE_AT_A_TIME)
    if not health.trust_held:
        return _call_guard(Reason.TRUST_MISSING)
    if isinstance(seen, TokenFault):
        if seen.fault not in _TIMELESS_FAULTS and health.clock is ClockState.UNTRUSTED:
            return _call_guard(Reason.CLOCK_UNTRUSTED)
        return _refuse(REASON_OF_FAULT[seen.fault])
    found = _decide_certificate(seen, health) if isinstance(seen, Judged) else _decide_colour(seen, health, at, statements)
    return found or _decide_lane(lane, used_s_ago, health, replay_s) or _VERDICT_OF_SCREENING[screening]


def _decide_colour(seen: Standing, health: Health, at: float, statements: config.Statements) -> Verdict | None:
    status = seen.status
    if status is None:
        return _call_guard(Reason.LIST_MISSING)
    if status is Status.REVOKED:
        return _refuse(Reason.REVOKED)
    if at - seen.said_at >= statements.limit_s:
        return _call_guard(Reason.STATEMENT_STALE)
    if status in _REASON_OF_STATUS:
        return _refuse(_REASON_OF_STATUS[status])
    if health.clock is ClockState.UNTRUSTED:
        return _call_guard(Reason.CLOCK_UNTRUSTED)
    return None


def _decide_certificate(seen: Judged, health: Health) -> Verdict | None:
    if seen.reason is Reason.POLICY_MISSING:
        return _call_guard(seen.reason)
    if seen.reason in _WHENEVER:
        return _refuse(seen.reason)
    if health.clock is ClockState.UNTRUSTED:
        return _call_guard(Reason.CLOCK_UNTRUSTED)
    return None if seen.reason is Reason.GREEN else _refuse(seen.reason)


def _decide_lane(lane: Lane, used_s_ago: float | None, health: Health, replay_s: float) -> Verdict | None:
    if used_s_ago is not None and used_s_ago < replay_s:
        return _refuse(Reason.REPLAY)
    if lane.busy:
        return _refuse(Reason.LANE_BUSY)
    if not health.outbox_ok:
        return _call_guard(Reason.OUTBOX_FAULT)
    return None


def _refuse(reason: Reason) -> Verdict:
    return Verdict(Decision.REFUSE, reason)


def _call_guard(reason: Reason) -> Verdict:
    return Verdict(Decision.CALL_GUARD, reason)


_VERDICT_OF_SCREENING = {
    Screening.SENSOR_FAULT: _call_guard(Reason.SENSOR_FAULT),
    Screening.WARMING: _call_guard(Reason.WARMING),
    Screening.OUT_OF_RANGE: _call_guard(Reason.OUT_OF_RANGE),
    Screening.UNSTEADY: _call_guard(Reason.UNSTEADY),
    Screening.TOO_FAR: _call_guard(Reason.TOO_FAR),
    Screening.IMPLAUSIBLE: _call_guard(Reason.IMPLAUSIBLE),
    Screening.NOT_CLEARED: _call_guard(Reason.NOT_CLEARED),
    Screening.FEBRILE: _refuse(Reason.FEBRILE),
    Screening.FEVER_SUSPECTED: _refuse(Reason.FEVER_SUSPECTED),
    Screening.PENDING: _refuse(Reason.MEASURING),
    Screening.RECHECK: _refuse(Reason.MEASURING),
    Screening.NORMAL: Verdict(Decision.ADMIT, Reason.GREEN),
}
"""What the temperature decides where nothing before it did. Every screening is named; one that were not would admit nobody."""
