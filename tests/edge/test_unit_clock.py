"""What the unit makes of the clock's news, and what people with codes of another time can do to it: nothing."""

from __future__ import annotations

import pytest

from edge.linkwords import ClockAnswered, ClockWasReset
from edge.timekeeping import AnswerOutcome
from healthcode import token
from healthcode.messages import UnitEvent
from healthcode.terms import ClockState, Colour, Decision, Form, Reason
from tests.edge.province import NOON, URI
from tests.edge.unit_bench import TOKEN_KEY, Bench

YEAR_2099 = 4_070_908_800


def code(ruled_at: int, begin: int) -> str:
    return token.write(token.Claims("CN-HB", URI, 7, Colour.GREEN, Form.LIVE, ruled_at, begin, begin + 120), TOKEN_KEY)


@pytest.mark.parametrize("ruled_at", [NOON + 3600, YEAR_2099])
def test_a_code_of_the_future_is_refused_and_moves_no_clock(bench: Bench, ruled_at: int) -> None:
    floor, before = bench.clock.floor, bench.clock.now()
    for begin in (ruled_at, int(bench.wall) - 5):
        bench.show(code(ruled_at, begin))
        bench.leave()
    assert bench.verdicts() == [(Decision.REFUSE, Reason.NOT_YET_VALID)] * 2
    assert (bench.clock.floor, bench.clock.state()) == (floor, ClockState.TRUSTED)
    assert bench.clock.now() - before == pytest.approx(bench.at - 1000.0)
    assert bench.pulses() == 0


@pytest.mark.parametrize("off_s", [86_400.0, -86_400.0, -NOON, float(YEAR_2099 - NOON)])
def test_a_hostile_time_server_stops_automatic_passes_and_dates_nothing(bench: Bench, off_s: float) -> None:
    bench.clock_is_off_s = off_s
    bench.show(bench.code(7))
    assert bench.verdicts() == [(Decision.CALL_GUARD, Reason.CLOCK_UNTRUSTED)]
    (passed,) = bench.passes()
    assert abs(passed.at.timestamp() - bench.wall) < 1
    bench.leave()
    bench.clock_is_off_s = 0.0
    bench.show(bench.code(7))
    assert bench.verdicts()[-1] == (Decision.ADMIT, Reason.GREEN)


def test_doubts_and_resets_are_events_and_a_doubt_that_lasts_is_one(bench: Bench) -> None:
    doubt = "the time server says 2020-03-04 11:00:00 UTC, and has said 2020-03-04 12:00:00 UTC before"
    for outcome, words in [
        (AnswerOutcome.TAKEN, ""),
        (AnswerOutcome.BEHIND, doubt),
        (AnswerOutcome.BEHIND, doubt),
        (AnswerOutcome.TAKEN, ""),
        (AnswerOutcome.HELD, "400 days ahead"),
    ]:
        bench.give(ClockAnswered(outcome, bench.at, words))
    bench.give(ClockWasReset("the clock's floor is 2020-03-04 11:00:00 UTC by reset 1", bench.at))
    said = [(event.what, event.detail) for event in bench.disk.events() if isinstance(event, UnitEvent) and event.what.startswith("clock")]
    assert said == [
        ("clock_doubted", doubt),
        ("clock_doubted", "400 days ahead"),
        ("clock_reset", "the clock's floor is 2020-03-04 11:00:00 UTC by reset 1"),
    ]
