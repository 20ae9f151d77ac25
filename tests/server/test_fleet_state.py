"""Whether a unit is there: what counts as a sign of life, and what never does. Times in milliseconds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.messages import Alert, Info, Lane, UnitStatus, stamp
from healthcode.terms import LaneMode
from server.fleet_state import (
    BEATING_MS,
    MOST_ALERTS,
    SILENT_MS,
    AlertNews,
    EventsNews,
    Heard,
    Presence,
    Saying,
    StateWord,
    UnitState,
    hear,
    is_news,
    judge,
    listening_since,
)

T0 = 1_584_345_600_000
STATUS = UnitStatus(uptime_s=60, outbox_pending=0, lists_held=1, list_age_s=4.0)
LANE = Lane(since=stamp(T0 / 1000), mode=LaneMode.CONTROLLED, stage="locked", signal="ready")
INFO = Info(unit="north", boot_id="0" * 32, software="0.1.0", hardware="pi", started_at=stamp(T0 / 1000))
SENSOR = Alert(name="sensor", since=stamp(T0 / 1000), detail="no answer at 0x5a")
ONLINE, OFFLINE = StateWord(True), StateWord(False)
LISTENING = T0 - 3_600_000


def after(*told: tuple[int, Saying, bool], listening_ms: int | None = LISTENING, at_ms: int) -> UnitState:
    """A unit that said these things (seconds after T0, what, whether the broker remembered it), looked at at `at_ms`."""
    state = UnitState("north")
    for seconds, said, is_retained in told:
        moment = T0 + seconds * 1000
        state = hear(state, Heard("north", said, is_retained), listening_ms, moment)
    return judge(state, listening_ms, at_ms)


LIVE, KEPT = False, True


@pytest.mark.parametrize(
    ("told", "at_s", "presence", "since_s"),
    [
        ((), 1, Presence.UNKNOWN, 1),
        (((0, ONLINE, LIVE), (0, STATUS, LIVE)), 60, Presence.ONLINE, 0),
        (((0, ONLINE, LIVE), (0, STATUS, LIVE), (60, STATUS, LIVE)), 120, Presence.ONLINE, 0),
        (((0, STATUS, LIVE), (10, OFFLINE, LIVE)), 11, Presence.OFFLINE, 10),
        (((0, STATUS, LIVE), (10, OFFLINE, LIVE), (40, OFFLINE, KEPT)), 41, Presence.OFFLINE, 10),
        (((0, STATUS, LIVE),), 80, Presence.SILENT, 0),
        (((0, STATUS, LIVE), (50, LANE, LIVE)), 100, Presence.ONLINE, 0),
        (((0, ONLINE, KEPT),), 1, Presence.UNKNOWN, 0),
        (
            ((0, ONLINE, KEPT), (0, STATUS, KEPT), (0, LANE, KEPT), (0, INFO, KEPT), (0, AlertNews("sensor", SENSOR), KEPT)),
            1,
            Presence.UNKNOWN,
            0,
        ),
        (((0, STATUS, LIVE), (90, ONLINE, KEPT), (90, STATUS, KEPT)), 91, Presence.SILENT, 0),
        (((0, STATUS, LIVE), (90, ONLINE, LIVE)), 91, Presence.SILENT, 0),
        (((0, STATUS, LIVE), (100, EventsNews(T0 + 5_000), LIVE)), 101, Presence.SILENT, 0),
        (((0, STATUS, LIVE), (70, EventsNews(T0 + 69_000), LIVE)), 101, Presence.ONLINE, 0),
        (((0, STATUS, LIVE), (70, EventsNews(T0 + 3_600_000), LIVE)), 90, Presence.SILENT, 0),
        (((0, STATUS, LIVE), (70, EventsNews(0), LIVE)), 90, Presence.SILENT, 0),
        (((0, STATUS, LIVE), (200, STATUS, LIVE)), 210, Presence.ONLINE, 200),
        (((0, STATUS, LIVE), (1, OFFLINE, LIVE), (3, STATUS, LIVE), (3, ONLINE, LIVE)), 5, Presence.ONLINE, 3),
        (((0, STATUS, LIVE), (3, STATUS, LIVE), (3, OFFLINE, LIVE), (4, ONLINE, LIVE)), 5, Presence.ONLINE, 3),
    ],
    ids=[
        "never heard",
        "says its numbers",
        "says them every minute",
        "its last will has come",
        "the broker remembers the will: since when stays",
        "silent without a will",
        "a moving lane is a sign of life",
        "a broker that was restarted remembers it online",
        "nothing that a broker remembers is a sign of life",
        "remembered online after silence",
        "its word alone, which may have waited for the bridge",
        "old events that waited for the bridge",
        "events that have just happened",
        "events of a clock that is ahead",
        "events of a clock that nobody believes",
        "back after silence",
        "back after its will",
        "numbers of the new connection overtake the old one's will",
    ],
)
def test_presence(told: tuple[tuple[int, Saying, bool], ...], at_s: int, presence: Presence, since_s: int) -> None:
    state = after(*told, at_ms=T0 + at_s * 1000)
    assert (state.presence, state.since_ms) == (presence, T0 + since_s * 1000)


def test_nobody_is_called_silent_while_nobody_listens() -> None:
    heard = ((0, STATUS, LIVE),)
    late = T0 + 10 * SILENT_MS
    assert after(*heard, listening_ms=None, at_ms=late).presence is Presence.UNKNOWN
    assert after(*heard, listening_ms=late - SILENT_MS + 1, at_ms=late).presence is Presence.UNKNOWN
    assert after(*heard, listening_ms=late - SILENT_MS, at_ms=late).presence is Presence.SILENT


def test_a_silent_unit_stays_silent_over_a_restart_of_the_server() -> None:
    silent = after((0, STATUS, LIVE), at_ms=T0 + SILENT_MS)
    assert judge(silent, None, T0 + 2 * SILENT_MS) == silent
    assert judge(silent, T0 + 2 * SILENT_MS, T0 + 2 * SILENT_MS) == silent


def test_the_last_will_holds_while_nobody_listens() -> None:
    gone = after((0, STATUS, LIVE), (5, OFFLINE, LIVE), at_ms=T0 + 6_000)
    assert judge(gone, None, T0 + SILENT_MS).presence is Presence.OFFLINE


def test_the_numbers_that_a_broker_remembers_do_not_replace_those_that_were_heard() -> None:
    old = UnitStatus(uptime_s=1, outbox_pending=9, lists_held=0)
    assert after((0, STATUS, LIVE), (1, old, KEPT), at_ms=T0 + 2_000).status == STATUS
    only = after((1, old, KEPT), at_ms=T0 + 2_000)
    assert (only.status, only.status_ms) == (old, None)


def test_alerts_stand_until_the_unit_clears_them_and_stay_when_it_is_gone() -> None:
    raised = after((0, STATUS, LIVE), (1, AlertNews("sensor", SENSOR), LIVE), (2, OFFLINE, LIVE), at_ms=T0 + 3_000)
    assert raised.alerts == {"sensor": SENSOR}
    assert hear(raised, Heard("north", AlertNews("sensor", None)), LISTENING, T0 + 4_000).alerts == {}
    assert hear(raised, Heard("north", AlertNews("clock", None)), LISTENING, T0 + 4_000).alerts == {"sensor": SENSOR}


def test_a_unit_cannot_raise_alerts_without_end() -> None:
    state = UnitState("north")
    for number in range(MOST_ALERTS + 10):
        state = hear(state, Heard("north", AlertNews(f"a{number}", SENSOR)), LISTENING, T0)
    assert len(state.alerts) == MOST_ALERTS
    again = Alert(name="sensor", since=SENSOR.since, detail="still")
    assert hear(state, Heard("north", AlertNews("a0", again)), LISTENING, T0).alerts["a0"].detail == "still"


def test_being_heard_again_at_once_is_no_news() -> None:
    state = after((0, STATUS, LIVE), at_ms=T0)
    assert not is_news(state, replace(state, heard_ms=T0 + 4_999))
    assert is_news(state, replace(state, heard_ms=T0 + 5_000))
    assert is_news(state, replace(state, lane=LANE))


@pytest.mark.parametrize(("ago_ms", "listens"), [(0, True), (BEATING_MS, True), (BEATING_MS + 1, False)])
def test_the_bridge_listens_while_it_says_so(ago_ms: int, listens: bool) -> None:
    assert (listening_since(T0, T0 + 1_000, T0 + 1_000 + ago_ms) == T0) is listens
    assert listening_since(None, T0, T0) is None
    assert listening_since(T0, None, T0) is None


SAYINGS = st.sampled_from([ONLINE, OFFLINE, STATUS, LANE, INFO, AlertNews("sensor", SENSOR), AlertNews("sensor", None), EventsNews(T0)])


@given(st.lists(st.tuples(st.integers(0, 100_000), SAYINGS, st.booleans()), max_size=30), st.booleans())
def test_a_dead_unit_never_looks_alive(steps: list[tuple[int, Saying, bool]], listens: bool) -> None:
    """Whatever is remembered, late or out of order: online means a sign of life within the last 80 s."""
    state, at_ms, alive_ms = UnitState("north"), T0, None
    for wait_ms, said, is_retained in steps:
        at_ms += wait_ms
        state = hear(state, Heard("north", said, is_retained), LISTENING if listens else None, at_ms)
        if not is_retained and (isinstance(said, UnitStatus | Lane) or (isinstance(said, EventsNews) and at_ms - T0 <= 30_000)):
            alive_ms = at_ms
        for later in (0, SILENT_MS - 1, SILENT_MS, 10 * SILENT_MS):
            found = judge(state, LISTENING if listens else None, at_ms + later)
            if found.presence is Presence.ONLINE:
                assert alive_ms is not None
                assert at_ms + later - alive_ms < SILENT_MS
        if said is OFFLINE:
            assert state.presence is Presence.OFFLINE
