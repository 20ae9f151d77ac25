"""Who passes: the order of reasons as a table, and the rules that no order of events may break."""

from __future__ import annotations

import itertools

import pytest

from edge.config import Statements
from edge.verdict import Crowd, Health, Judged, Lane, Source, Standing, Verdict, decide, standing
from healthcode.status import StatusList
from healthcode.terms import ClockState, Colour, Decision, Fault, Form, LaneMode, Reason, Screening, Status
from healthcode.token import HealthCode, TokenFault

NOW = 1_600_000_000
URI = "https://hb.example/s/1"
DAY = 86_400
DEFAULT, WEEK = Statements(), Statements(warn_s=DAY, limit_s=7 * DAY)


def a_code(colour: Colour = Colour.GREEN, ruled_at: int = NOW - 60, index: int = 7) -> HealthCode:
    return HealthCode("CN-HB", URI, index, colour, Form.LIVE, ruled_at, NOW - 60, NOW + 60, b"12345678")


def a_list(entry: Status = Status.GREEN, as_of: int = NOW - 10) -> dict[str, StatusList]:
    held = StatusList.empty(URI, 1, capacity=64, as_of=0)
    if entry is not Status.GREEN:
        assert held.apply(held.make_delta({7: entry}, as_of)) is None
    held.as_of = as_of
    return {URI: held}


@pytest.mark.parametrize(
    ("printed", "ruled_at", "listed", "as_of", "status", "source"),
    [
        (Colour.GREEN, NOW - 100, Status.GREEN, NOW - 10, Status.GREEN, Source.LIST),
        (Colour.GREEN, NOW - 100, Status.RED, NOW - 10, Status.RED, Source.LIST),
        (Colour.RED, NOW - 100, Status.GREEN, NOW - 10, Status.GREEN, Source.LIST),
        (Colour.GREEN, NOW - 5, Status.RED, NOW - 10, Status.GREEN, Source.CODE),
        (Colour.RED, NOW - 5, Status.GREEN, NOW - 10, Status.RED, Source.CODE),
        (Colour.GREEN, NOW - 10, Status.YELLOW, NOW - 10, Status.YELLOW, Source.LIST),
        (Colour.RED, NOW - 10, Status.GREEN, NOW - 10, Status.RED, Source.CODE),
        (Colour.GREEN, NOW - 10, Status.RED, NOW - 10, Status.RED, Source.LIST),
        (Colour.GREEN, NOW - 5, Status.REVOKED, NOW - 10, Status.REVOKED, Source.LIST),
    ],
)
def test_the_newest_statement_wins_and_revoked_is_final(
    printed: Colour, ruled_at: int, listed: Status, as_of: int, status: Status, source: Source
) -> None:
    found = standing(a_code(printed, ruled_at), a_list(listed, as_of))
    assert (found.status, found.source) == (status, source)


def test_a_list_that_is_not_held_or_too_short_leaves_the_status_unknown() -> None:
    assert standing(a_code(), {}).status is None
    assert standing(a_code(index=64), a_list()).status is None


def judge(
    seen: Standing | Judged | TokenFault | Crowd | None = None,
    screening: Screening = Screening.NORMAL,
    lane: Lane | None = None,
    used_s_ago: float | None = None,
    health: Health | None = None,
    at: float = NOW,
    statements: Statements = DEFAULT,
) -> Verdict:
    return decide(
        seen or standing(a_code(), a_list()),
        screening,
        lane or Lane(),
        used_s_ago,
        health or Health(ClockState.TRUSTED),
        at=at,
        statements=statements,
        replay_s=300,
    )


GREEN, RED, YELLOW, REVOKED = (standing(a_code(), a_list(s)) for s in (Status.GREEN, Status.RED, Status.YELLOW, Status.REVOKED))
STALE_GREEN = standing(a_code(ruled_at=NOW - 4 * DAY), a_list(as_of=NOW - 4 * DAY))
STALE_RED = standing(a_code(ruled_at=NOW - 4 * DAY), a_list(Status.RED, as_of=NOW - 4 * DAY))
STALE_REVOKED = standing(a_code(), a_list(Status.REVOKED, as_of=NOW - 4 * DAY))
MISSING = standing(a_code(), {})
FORGED = TokenFault(Fault.SIGNATURE, "")
OLD = TokenFault(Fault.EXPIRED, "")
UNTRUSTED = Health(ClockState.UNTRUSTED)
GUEST, UNRULED = Judged(Reason.GREEN), Judged(Reason.POLICY_MISSING)
REFUSED_GUESTS = [Judged(r) for r in (Reason.TEST_POSITIVE, Reason.NOT_ACCEPTED, Reason.DOSES_MISSING, Reason.TOO_RECENT, Reason.TOO_OLD)]


@pytest.mark.parametrize(
    ("verdict", "decision", "reason"),
    [
        (judge(), Decision.ADMIT, Reason.GREEN),
        (judge(health=Health(ClockState.HOLDOVER)), Decision.ADMIT, Reason.GREEN),
        (judge(lane=Lane(fire=True)), Decision.REFUSE, Reason.FIRE),
        (judge(lane=Lane(mode=LaneMode.LOCKED)), Decision.REFUSE, Reason.LANE_LOCKED),
        (judge(lane=Lane(mode=LaneMode.OUT_OF_SERVICE)), Decision.REFUSE, Reason.OUT_OF_SERVICE),
        (judge(Crowd()), Decision.REFUSE, Reason.ONE_AT_A_TIME),
        (judge(health=Health(ClockState.TRUSTED, trust_held=False)), Decision.CALL_GUARD, Reason.TRUST_MISSING),
        (judge(FORGED), Decision.REFUSE, Reason.SIGNATURE),
        (judge(FORGED, health=UNTRUSTED), Decision.REFUSE, Reason.SIGNATURE),
        (judge(OLD), Decision.REFUSE, Reason.EXPIRED),
        (judge(OLD, health=UNTRUSTED), Decision.CALL_GUARD, Reason.CLOCK_UNTRUSTED),
        (judge(MISSING), Decision.CALL_GUARD, Reason.LIST_MISSING),
        (judge(REVOKED), Decision.REFUSE, Reason.REVOKED),
        (judge(STALE_REVOKED), Decision.REFUSE, Reason.REVOKED),
        (judge(STALE_GREEN), Decision.CALL_GUARD, Reason.STATEMENT_STALE),
        (judge(STALE_RED), Decision.CALL_GUARD, Reason.STATEMENT_STALE),
        (judge(RED), Decision.REFUSE, Reason.RED),
        (judge(RED, health=UNTRUSTED), Decision.REFUSE, Reason.RED),
        (judge(YELLOW), Decision.REFUSE, Reason.YELLOW),
        (judge(health=UNTRUSTED), Decision.CALL_GUARD, Reason.CLOCK_UNTRUSTED),
        (judge(used_s_ago=299), Decision.REFUSE, Reason.REPLAY),
        (judge(used_s_ago=301), Decision.ADMIT, Reason.GREEN),
        (judge(RED, used_s_ago=1), Decision.REFUSE, Reason.RED),
        (judge(lane=Lane(busy=True)), Decision.REFUSE, Reason.LANE_BUSY),
        (judge(health=Health(ClockState.TRUSTED, outbox_ok=False)), Decision.CALL_GUARD, Reason.OUTBOX_FAULT),
        (judge(screening=Screening.FEBRILE), Decision.REFUSE, Reason.FEBRILE),
        (judge(screening=Screening.FEVER_SUSPECTED), Decision.REFUSE, Reason.FEVER_SUSPECTED),
        (judge(screening=Screening.NOT_CLEARED), Decision.CALL_GUARD, Reason.NOT_CLEARED),
        (judge(screening=Screening.SENSOR_FAULT), Decision.CALL_GUARD, Reason.SENSOR_FAULT),
        (judge(screening=Screening.PENDING), Decision.REFUSE, Reason.MEASURING),
        (judge(screening=Screening.RECHECK), Decision.REFUSE, Reason.MEASURING),
        (judge(RED, screening=Screening.FEBRILE), Decision.REFUSE, Reason.RED),
        (judge(GUEST), Decision.ADMIT, Reason.GREEN),
        (judge(GUEST, health=UNTRUSTED), Decision.CALL_GUARD, Reason.CLOCK_UNTRUSTED),
        (judge(GUEST, used_s_ago=299), Decision.REFUSE, Reason.REPLAY),
        (judge(GUEST, screening=Screening.FEBRILE), Decision.REFUSE, Reason.FEBRILE),
        (judge(UNRULED), Decision.CALL_GUARD, Reason.POLICY_MISSING),
        (judge(UNRULED, health=UNTRUSTED), Decision.CALL_GUARD, Reason.POLICY_MISSING),
        (judge(UNRULED, health=Health(ClockState.TRUSTED, trust_held=False)), Decision.CALL_GUARD, Reason.TRUST_MISSING),
        (judge(Judged(Reason.TEST_POSITIVE), health=UNTRUSTED), Decision.REFUSE, Reason.TEST_POSITIVE),
        (judge(Judged(Reason.TEST_POSITIVE), screening=Screening.FEBRILE), Decision.REFUSE, Reason.TEST_POSITIVE),
        (judge(Judged(Reason.TOO_OLD), health=UNTRUSTED), Decision.CALL_GUARD, Reason.CLOCK_UNTRUSTED),
        *[(judge(refused), Decision.REFUSE, refused.reason) for refused in REFUSED_GUESTS],
    ],
)
def test_the_order_of_reasons(verdict: Verdict, decision: Decision, reason: Reason) -> None:
    assert verdict == Verdict(decision, reason)


@pytest.mark.parametrize(("statements", "limit_s"), [(DEFAULT, 72 * 3600), (WEEK, 7 * DAY)])
@pytest.mark.parametrize("source", [Source.LIST, Source.CODE])
@pytest.mark.parametrize("status", [Status.GREEN, Status.YELLOW, Status.RED, Status.REVOKED])
@pytest.mark.parametrize("beyond_s", [-1, 0, 1])
def test_a_statement_calls_the_guard_from_the_second_on_in_which_it_is_too_old(
    statements: Statements, limit_s: int, source: Source, status: Status, beyond_s: int
) -> None:
    """The newest one counts: as_of of the list held, or iat of the code. The other is a day older still. Revoked is final at any age."""
    said_at, older = NOW - limit_s - beyond_s, NOW - limit_s - DAY
    colours = {Status.GREEN: Colour.GREEN, Status.YELLOW: Colour.YELLOW, Status.RED: Colour.RED}
    if source is Source.LIST:
        shown = standing(a_code(ruled_at=older), a_list(status, as_of=said_at))
    elif status is Status.REVOKED:
        shown = standing(a_code(ruled_at=said_at), a_list(status, as_of=older))
    else:
        shown = standing(a_code(colours[status], ruled_at=said_at), a_list(as_of=older))
        assert (shown.source, shown.said_at) == (Source.CODE, said_at)
    found = judge(shown, statements=statements)
    if status is Status.REVOKED:
        assert found == Verdict(Decision.REFUSE, Reason.REVOKED)
    elif beyond_s >= 0:
        assert found == Verdict(Decision.CALL_GUARD, Reason.STATEMENT_STALE)
    elif status is Status.GREEN:
        assert found == Verdict(Decision.ADMIT, Reason.GREEN)
    else:
        assert found == Verdict(Decision.REFUSE, Reason(status.name))


def test_only_a_green_standing_with_a_normal_temperature_is_ever_admitted() -> None:
    seens: list[Standing | Judged | TokenFault | Crowd] = [
        GREEN,
        RED,
        YELLOW,
        REVOKED,
        STALE_GREEN,
        STALE_RED,
        MISSING,
        FORGED,
        OLD,
        Crowd(),
    ]
    seens += [GUEST, UNRULED, *REFUSED_GUESTS]
    lanes = [Lane(mode=mode, busy=busy, fire=fire) for mode in LaneMode for busy in (False, True) for fire in (False, True)]
    healths = [Health(c, trust_held=t, outbox_ok=o) for c in ClockState for t in (False, True) for o in (False, True)]
    admitted = []
    for seen, screening, lane, used, health in itertools.product(seens, Screening, lanes, (None, 1.0, 1e6), healths):
        verdict = judge(seen, screening, lane, used, health)
        if verdict.decision is Decision.ADMIT:
            admitted.append((seen, screening, lane.fire, lane.busy, health.clock is ClockState.UNTRUSTED, used == 1.0))
            assert health.trust_held
            assert health.outbox_ok
            assert lane.mode in (LaneMode.CONTROLLED, LaneMode.FREE)
    assert set(admitted) == {(seen, Screening.NORMAL, False, False, False, False) for seen in (GREEN, GUEST)}


def test_every_fault_of_a_code_is_refused_by_its_own_name() -> None:
    for fault in Fault:
        assert judge(TokenFault(fault, "")) == Verdict(Decision.REFUSE, Reason(fault.value))
