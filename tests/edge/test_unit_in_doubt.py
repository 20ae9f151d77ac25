"""Stories at one gate when the disk is slow, a key is withdrawn at the wrong moment, or somebody tries something."""

from __future__ import annotations

import pytest

from edge import lane
from edge.allowance import BURST, PER_S, Allowance
from edge.presentation import UNSEEN_S
from healthcode.cose import SoftwareKey
from healthcode.messages import UnitEvent
from healthcode.terms import Decision, Reason
from tests.edge.province import list_entry, trust_list
from tests.edge.unit_bench import NORMAL_C, Bench

PASSED = (Decision.ADMIT, Reason.GREEN)
FIRST, SECOND = 7, 8


@pytest.mark.parametrize("delay_s", [0.0, 0.3, 0.8, 4.0])
def test_a_slow_disk_delays_a_grant_and_takes_nothing_from_its_pulse(bench: Bench, delay_s: float) -> None:
    bench.outbox.delay_s = delay_s
    bench.show(bench.code(FIRST))
    assert bench.relay() == 1
    bench.outbox.delay_s = 0.0
    bench.wait(bench.config.lane.pulse_s - 0.1)
    assert bench.relay() == 1
    bench.wait(0.2)
    assert bench.relay() == 0
    bench.wait(bench.config.lane.window_s - 1.0)
    bench.walk()
    assert [passage.outcome for passage in bench.passages()] == ["used"]


@pytest.mark.parametrize("delay_s", [0.3, 0.8, 4.0])
def test_a_slow_disk_delays_a_release_and_takes_nothing_from_its_pulse(bench: Bench, delay_s: float) -> None:
    bench.outbox.delay_s = delay_s
    bench.unit.handle(lane.StaffButton(bench.at, True))
    bench.outbox.delay_s = 0.0
    assert bench.relay() == 1
    bench.wait(bench.config.lane.pulse_s - 0.1)
    assert bench.relay() == 1
    bench.wait(0.2)
    assert bench.relay() == 0
    assert len(bench.releases()) == 1


def test_on_fire_the_relay_falls_before_the_disk_is_asked(bench: Bench) -> None:
    bench.show(bench.code(FIRST))
    bench.relay_at_append.clear()
    bench.give(lane.Fire(bench.at, True))
    assert bench.relay_at_append == [False]


def test_a_key_withdrawn_while_the_temperature_is_taken_no_longer_counts(bench: Bench) -> None:
    bench.see(bench.code(FIRST))
    bench.measure(samples=2)
    bench.province.retrust(trust_list(2, list_entry(), expires_at=bench.province.trust.expires_at))
    bench.cache.accept_trust(bench.province.trust_bytes, bench.wall)
    bench.measure(samples=1)
    assert bench.verdicts() == [(Decision.REFUSE, Reason.UNKNOWN_KEY)]
    assert bench.pulses() == 0


@pytest.mark.parametrize(("in_view_at_its_end", "verdict"), [(False, PASSED), (True, (Decision.REFUSE, Reason.EXPIRED))])
def test_a_code_is_judged_at_the_time_when_it_was_last_in_view(
    bench: Bench, in_view_at_its_end: bool, verdict: tuple[Decision, Reason]
) -> None:
    code = bench.code(FIRST)
    bench.wait(114.0)
    bench.see(code)
    bench.wait(2.0)
    if in_view_at_its_end:
        bench.see(code)
    bench.measure()
    assert bench.verdicts() == [verdict]


def test_whoever_stands_there_after_the_code_has_gone_is_not_let_in_on_it(bench: Bench) -> None:
    bench.see(bench.code(FIRST))
    bench.wait(UNSEEN_S + 0.2)
    bench.measure()
    assert bench.verdicts() == []
    assert bench.pulses() == 0
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [PASSED]


def test_two_printed_codes_cannot_fill_the_disk(bench: Bench) -> None:
    forged = [bench.code(index, key=SoftwareKey.generate()) for index in (FIRST, SECOND)]
    for number in range(300):
        bench.see(forged[number % 2])
    recorded = len(bench.disk.events())
    assert recorded <= BURST + 2 * 300 * 0.01 * PER_S + 3
    assert bench.unit.counts[Decision.REFUSE] == 300
    bench.wait(10.0)
    bench.see(forged[0])
    notes = [event.detail for event in bench.disk.events() if isinstance(event, UnitEvent) and event.what == "refusals_not_recorded"]
    assert sum(int(note.split()[0]) for note in notes) + len(bench.passes()) == 301
    bench.leave()
    bench.show(bench.code(FIRST))
    assert bench.verdicts()[-1] == PASSED


def test_the_allowance_fills_again_and_never_beyond_its_burst() -> None:
    allowance = Allowance()
    for _ in range(BURST):
        allowance, may = allowance.take(0.0)
        assert may
    allowance, may = allowance.take(0.0)
    assert not may
    assert allowance.missed == 1
    allowance, may = allowance.take(1 / PER_S)
    assert may
    allowance, may = allowance.take(1e9)
    assert may
    assert allowance.left == BURST - 1


def test_a_passage_that_a_wrong_clock_dated_ahead_says_nothing(bench: Bench) -> None:
    bench.outbox.append([], {(bench.province.list.uri, FIRST): bench.wall + 10 * 86_400})
    bench.show(bench.code(FIRST))
    assert bench.verdicts() == [PASSED]
    bench.walk()
    bench.leave()
    bench.show(bench.code(FIRST), NORMAL_C)
    assert bench.verdicts() == [PASSED, (Decision.REFUSE, Reason.REPLAY)]
