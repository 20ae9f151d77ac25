"""Every state that a lane can reach, and every input in each: the real `step`, breadth first to the fixed point, on small numbers.

Time is a grid on which every deadline lies, and each input comes at once and one notch later: before, at and after every deadline, those
included that fall together. A state is kept with its times counted from now and without what no step can read any more, so that equal
lanes are one. What must hold is said here from outside, by who asked for what, and nowhere by the table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from edge.config import Lane, Statements
from edge.lane import (
    NEVER,
    Arm,
    Beam,
    CommandRelease,
    Decided,
    Event,
    ExitRequest,
    Fire,
    Forced,
    HeldOpen,
    Input,
    LaneChanged,
    Notice,
    NotUsed,
    Relay,
    Released,
    SetMode,
    StaffButton,
    Tailgated,
    Tamper,
    Tick,
    Trouble,
    Used,
)
from edge.passage import FOREVER, State, Step, busy, initial, light_of, postponed, relay_end, step
from edge.signals import Signal
from edge.transitions import TABLE, Happening, Stage
from edge.verdict import Health, Source, Standing, decide
from edge.verdict import Lane as LaneNow
from healthcode.terms import ClockState, Colour, Decision, Form, LaneMode, Reason, Screening, Status
from healthcode.token import HealthCode

WANG = ("https://hb.example/s/1", 7)
FREE_FOR = 3
LATER = 1
"""One notch of the grid."""
SAMPLE = 7
"""Every so manieth state goes through the dearer checks; a prime, so that no pattern of the walk is followed."""
USUAL = Lane(pulse_s=1, window_s=2, accessible_window_s=3, held_open_s=4, alarm_s=2)
IMPATIENT = Lane(pulse_s=2, window_s=4, accessible_window_s=4, held_open_s=2, alarm_s=1)
LONG_PULSE = Lane(pulse_s=3, window_s=1, accessible_window_s=2, held_open_s=2, alarm_s=3)


def inputs(at: float) -> Iterator[Input]:
    """Whatever can happen at `at`."""
    yield Decided(at, Decision.ADMIT, Reason.GREEN, WANG, 1)
    yield Decided(at, Decision.REFUSE, Reason.RED, WANG, None)
    yield Notice(at, Signal.MEASURING)
    for level in (True, False):
        yield Beam(at, level)
        yield Arm(at, level)
        yield Fire(at, level)
        yield Tamper(at, level)
        yield StaffButton(at, level)
    yield CommandRelease(at, "why")
    yield ExitRequest(at)
    yield from (SetMode(at, mode) for mode in LaneMode if mode is not LaneMode.FREE)
    yield SetMode(at, LaneMode.FREE, at + FREE_FOR)
    yield SetMode(at, LaneMode.FREE, at)
    yield Trouble(at, True)
    yield Tick(at)


def from_now(state: State, policy: Lane) -> State:
    """`state` with its times counted from now, and without what no step can read any more, so that equal lanes are equal values."""
    at, longest = state.at, max(policy.held_open_s, policy.alarm_s)

    def ahead(time: float) -> float:
        return time - at if time > at else NEVER

    since = 0.0  # when the lane became crossed, or the alarm began: every other stage is left by an entry that counts anew
    if state.stage in (Stage.FORCED, Stage.TAILGATE):
        since = state.entered_at - at
    elif state.crossed and state.stage in (Stage.LOCKED, Stage.PASSING, Stage.RELEASED):
        since = max(state.crossed_at, state.entered_at) - at
    has_window = state.stage is not Stage.FREE or state.grant is not None  # a free lane without a grant waits for nothing
    window = ahead(state.window_until) if has_window else NEVER
    counts_lines = state.stage is Stage.PASSING or (window > NEVER and state.stage not in (Stage.RELEASED, Stage.FREE))
    return replace(
        state,
        at=0.0,
        entered_at=max(since, -longest),
        crossed_at=max(since, -longest),
        window_until=window,
        beam_seen=state.beam_seen and counts_lines,
        arm_seen=state.arm_seen and counts_lines,
        free_until=ahead(state.free_until),
        relay_until=ahead(state.relay_until),
        relay_told=ahead(state.relay_told),
        released_by=state.released_by if state.stage is Stage.RELEASED and state.released_by == "exit" else "staff",
        notice=Signal.READY,
        notice_until=NEVER,
        last_grant=None,
        trouble=False,
        light=None,
    )


def asks_for_the_relay(given: Input) -> bool:
    return (isinstance(given, Decided) and given.decision is Decision.ADMIT) or (
        isinstance(given, CommandRelease) or (isinstance(given, StaffButton) and given.pressed)
    )


GREEN = Standing(HealthCode("CN-HB", *WANG, Colour.GREEN, Form.LIVE, 0, 0, 100, b"k" * 8), Status.GREEN, 0.0, Source.CODE)


def would_admit(state: State) -> bool:
    """Whether the real `decide` admits a green person without fever at this lane."""
    verdict = decide(
        GREEN,
        Screening.NORMAL,
        LaneNow(state.mode, busy(state), state.fire),
        None,
        Health(ClockState.TRUSTED),
        at=0.0,
        statements=Statements(),
        replay_s=300.0,
    )
    return verdict.decision is Decision.ADMIT


def check_state(state: State) -> None:
    """What holds in every state, judged without the table."""
    on = state.relay
    assert on == (relay_end(state) > NEVER), state
    assert not (on and state.fire), ("on fire the relay is off", state)
    assert (state.stage is Stage.FIRE) == state.fire, state
    assert (state.stage is Stage.FREE) == (state.mode is LaneMode.FREE and not state.fire), state
    assert (state.relay_told == FOREVER) == (state.stage is Stage.FREE), state
    assert on or state.mode is not LaneMode.FREE or state.fire, ("a lane that is free is open", state)
    assert state.mode is not LaneMode.FREE or 0 < state.free_until - state.at <= FREE_FOR, ("free has an end ahead", state)
    assert state.grant is None or busy(state) or state.mode is LaneMode.FREE, ("a grant that is open is the only one", state)


def check_edge(state: State, idle: Step, given: Input, taken: Step, policy: Lane) -> None:
    """What holds on every edge; `idle` is the step of time alone."""
    after = taken.state
    where = (state, given, taken.events)
    assert after.at == max(state.at, given.at), where
    if after.relay and after.mode is not LaneMode.FREE:
        left = after.relay_told - after.at
        assert 0 < left <= policy.pulse_s, where
        asked = asks_for_the_relay(given)
        assert asked or after.relay_told == state.relay_told, ("only who may open makes the pulse longer", where)
    if not after.relay and not state.relay:
        assert after.relay_told == state.relay_told == NEVER, where
    told = [effect for effect in taken.effects if isinstance(effect, Relay)]
    assert len(told) == (after.relay_told != state.relay_told), where
    assert all(effect.on == after.relay for effect in told), where
    assert after.light is light_of(after), where
    grants = int(state.grant is not None) + (isinstance(given, Decided) and given.decision is Decision.ADMIT)
    ended = sum(isinstance(event, Used | NotUsed) for event in taken.events)
    assert grants == ended + (after.grant is not None), ("every grant ends in exactly one used or not used", where)
    if isinstance(given, Notice | Trouble | Tamper) or (isinstance(given, Decided) and given.decision is not Decision.ADMIT):
        unmoved = replace(idle.state, tamper=after.tamper)
        assert from_now(after, policy) == from_now(unmoved, policy), ("shown, and nothing else", where)
    if any(isinstance(event, NotUsed) for event in taken.events) and not (asks_for_the_relay(given) or isinstance(given, ExitRequest)):
        assert after.window_until <= after.at, ("what was given back makes no crossing lawful", where)
    changed = (after.mode, after.fire, after.tamper, after.free_until) != (state.mode, state.fire, state.tamper, state.free_until)
    assert any(isinstance(event, LaneChanged) for event in taken.events) == changed, where


def check_mode(idle: Step, given: Input, taken: Step) -> None:
    """A mode that is set, or a fire, takes hold at once."""
    was, after = idle.state, taken.state
    if isinstance(given, SetMode) and given.mode is not was.mode and not was.fire:
        if given.mode is LaneMode.OUT_OF_SERVICE:
            assert after.stage is Stage.OUT_OF_SERVICE, (was, given)
        if given.mode is LaneMode.LOCKED:
            assert after.stage is not Stage.GRANTED, (was, given)
    if isinstance(given, Fire) and given.active:
        assert after.stage is Stage.FIRE, (was, given)
    if after.stage is not was.stage and after.stage in (Stage.FIRE, Stage.OUT_OF_SERVICE) and was.mode is not LaneMode.OUT_OF_SERVICE:
        assert (after.grant, after.window_until > after.at) == (None, False), ("nobody has a right to cross any more", was, given)


def check_admission(state: State, given: Input, taken: Step, policy: Lane) -> None:
    """`step` never refuses what `decide` admitted, at once or a notch after."""
    if isinstance(given, Decided) and given.decision is Decision.ADMIT and would_admit(state):
        assert taken.state.relay, (state, given)
        assert taken.state.grant is not None, (state, given)
    if isinstance(given, Decided) and given.decision is Decision.ADMIT and taken.state.stage is Stage.GRANTED:
        after = taken.state
        assert (after.relay_until - after.at, after.window_until - after.at) == (policy.pulse_s, policy.window_s), (state, given)


def check_release(state: State, idle: Step, given: Input, taken: Step, policy: Lane) -> None:
    """The staff always opens, except on fire, when the loop does; whoever announced an exit may go."""
    was, after = idle.state, taken.state
    if isinstance(given, CommandRelease) or (isinstance(given, StaffButton) and given.pressed):
        told = sum(isinstance(event, Released) for event in taken.events)
        if was.fire or was.mode is LaneMode.FREE:
            assert (told, after.relay) == (0, not was.fire), (state, given)
        else:
            assert (told, after.relay_until - after.at) == (1, policy.pulse_s), (state, given)
            assert after.window_until - after.at == policy.accessible_window_s, (state, given)
    if isinstance(given, ExitRequest):
        assert any(isinstance(event, Released) for event in taken.events)
        assert was.relay >= after.relay, ("an exit opens nothing", state)
        if was.stage in (Stage.LOCKED, Stage.RELEASED):
            assert after.window_until - after.at == policy.window_s, (state, given)


def check_crossing(state: State, idle: Step, given: Input, taken: Step, policy: Lane) -> None:
    """Nobody crosses unseen: somebody's right, or an alarm. Every alarm is told once, when it begins."""
    was, after = idle.state, taken.state
    told = [type(event) for event in taken.events if isinstance(event, Forced | Tailgated | HeldOpen)]
    alarms = {Stage.FORCED: Forced, Stage.TAILGATE: Tailgated, Stage.HELD_OPEN: HeldOpen}
    before = [alarms[was.stage]] if was.stage in alarms and was.stage is not state.stage else []
    begun = alarms[after.stage] if after.stage in alarms and after.stage is not was.stage else None
    assert told == before + ([begun] if begun else []), (state, given)
    if not isinstance(given, Beam | Arm):
        return
    is_beam = isinstance(given, Beam)
    begins = (after.beam and not was.beam) if is_beam else (after.arm and not was.arm)
    if not begins:
        return
    seen = was.beam_seen if is_beam else was.arm_seen
    lawful = was.at < was.window_until
    match was.stage:
        case Stage.LOCKED:
            expected = Stage.FORCED if not lawful else Stage.TAILGATE if seen else Stage.PASSING
        case Stage.GRANTED | Stage.PASSING:
            expected = Stage.TAILGATE if seen and was.stage is Stage.PASSING else Stage.PASSING
        case _:
            expected = was.stage
    assert after.stage is expected, (state, given)
    used = any(isinstance(event, Used) for event in taken.events)
    assert used == (was.grant is not None and was.stage in (Stage.GRANTED, Stage.RELEASED, Stage.FREE)), (state, given)


@dataclass
class Explored:
    """Every state with where each input leads."""

    edges: dict[State, set[State]]
    count: int
    ways: set[tuple[Stage, Stage]]
    events: set[type[Event]]


def explore(policy: Lane) -> Explored:
    """Breadth first from every start, every check on every state and every edge."""
    starts = [from_now(step(initial(0, mode), Tick(0), policy).state, policy) for mode in LaneMode]
    found = Explored({}, 0, set(), set())
    queue = deque(starts)
    known = set(starts)
    while queue:
        state = queue.popleft()
        check_state(state)
        onward: set[State] = set()
        unasked = {at: step(state, Tick(at), policy) for at in (0, LATER)}  # what time alone does
        for given in (*inputs(0), *inputs(LATER)):
            idle, taken = unasked[int(given.at)], step(state, given, policy)
            check_edge(state, idle, given, taken, policy)
            check_admission(state, given, taken, policy)
            check_mode(idle, given, taken)
            check_release(state, idle, given, taken, policy)
            check_crossing(state, idle, given, taken, policy)
            ends = [taken.state]
            if taken.state.relay and any(isinstance(effect, Relay) for effect in taken.effects):
                slow = postponed(taken.state, LATER)  # a slow disk: pulse and window begin when the relay does
                ends.append(step(slow, Tick(slow.at), policy).state)
            found.count += len(ends)
            found.ways.add((state.stage, taken.state.stage))
            found.events |= {type(event) for event in taken.events}
            onward |= {from_now(end, policy) for end in ends}
        found.edges[state] = onward
        for new in onward - known:
            known.add(new)
            queue.append(new)
    return found


@pytest.fixture(
    scope="module",
    params=[USUAL, pytest.param(IMPATIENT, marks=pytest.mark.slow), pytest.param(LONG_PULSE, marks=pytest.mark.slow)],
    ids=["usual", "held before the window is over", "pulse longer than the window"],
)
def explored(request: pytest.FixtureRequest) -> tuple[Explored, Lane]:
    """The walk, with all its checks; printed with `-s` or where a test fails."""
    policy: Lane = request.param
    found = explore(policy)
    by_stage = ", ".join(f"{stage.value} {sum(state.stage is stage for state in found.edges)}" for stage in Stage)
    print(f"{len(found.edges)} states, {found.count} edges: {by_stage}")
    return found, policy


Walk = tuple[Explored, Lane]


def is_at_rest(state: State) -> bool:
    """LOCKED in the mode controlled, nobody there, nothing open."""
    return (
        state.stage is Stage.LOCKED
        and state.mode is LaneMode.CONTROLLED
        and not (state.relay or state.crossed or state.fire or state.grant or state.window_until > state.at)
    )


def test_every_stage_every_way_and_every_event_is_reached(explored: Walk) -> None:
    found, _ = explored
    assert {state.stage for state in found.edges} == set(Stage)
    assert found.events == {Used, NotUsed, Forced, Tailgated, HeldOpen, Released, LaneChanged}
    rests = {Stage.LOCKED, Stage.FREE, Stage.OUT_OF_SERVICE}
    for stage, row in TABLE.items():
        for happening, (goal, _acts) in row.items():
            goals = {goal} if goal else rests
            assert any((stage, one) in found.ways for one in goals), (stage, happening)


def test_no_state_is_without_a_way_back_to_rest(explored: Walk) -> None:
    found, _ = explored
    before: dict[State, set[State]] = {state: set() for state in found.edges}
    for state, onward in found.edges.items():
        for after in onward:
            before[after].add(state)
    back = {state for state in found.edges if is_at_rest(state)}
    queue = deque(back)
    while queue:
        for earlier in before[queue.popleft()] - back:
            back.add(earlier)
            queue.append(earlier)
    assert back == set(found.edges)


def test_a_lane_that_is_left_alone_comes_to_rest_by_itself(explored: Walk) -> None:
    """Time alone ends every grant, every pulse and every alarm once the lines are whole; free ends at its end."""
    found, policy = explored
    for state in found.edges:
        alone = state
        for given in (Fire(0, False), Beam(0, False), Arm(0, False)):
            alone = step(alone, replace(given, at=alone.at), policy).state
        for _ in range(3):
            alone = step(alone, Tick(alone.at + 20), policy).state
        assert alone.grant is None, state
        assert not alone.relay, state
        assert alone.stage is (Stage.OUT_OF_SERVICE if alone.mode is LaneMode.OUT_OF_SERVICE else Stage.LOCKED), state
        assert alone.mode is (LaneMode.CONTROLLED if state.mode is LaneMode.FREE else state.mode), state


def test_an_input_that_is_older_than_the_state_counts_as_now(explored: Walk) -> None:
    found, policy = explored
    for state in list(found.edges)[::SAMPLE]:
        for given in inputs(0):
            assert step(state, replace(given, at=-5.0), policy) == step(state, given, policy)


def test_a_late_loop_changes_no_outcome(explored: Walk) -> None:
    """An input after a long sleep finds the same lane, with the same events at the same times, as one after a tick at every notch."""
    found, policy = explored
    for state in list(found.edges)[::SAMPLE]:
        events: list[Event] = []
        awake = state
        for at in range(1, 9):
            ticked = step(awake, Tick(at), policy)
            events, awake = [*events, *ticked.events], ticked.state
            for given in (Beam(at, True), StaffButton(at, True), Decided(at, Decision.ADMIT, Reason.GREEN, WANG, 1)):
                late, early = step(state, given, policy), step(awake, given, policy)
                assert [*events, *early.events] == list(late.events)
                assert early.state == late.state


def test_the_table_names_for_every_stage_what_must_not_be_missing() -> None:
    assert set(TABLE) == set(Stage)
    for stage, row in TABLE.items():
        assert Happening.GRANT in row
        assert stage is Stage.FIRE or Happening.FIRE in row


@pytest.mark.parametrize(
    ("happening", "stages"),
    [
        (Happening.WINDOW_OVER, {Stage.GRANTED, Stage.RELEASED, Stage.FREE}),
        (Happening.HELD, {Stage.LOCKED, Stage.PASSING, Stage.RELEASED}),
        (Happening.ALARM_OVER, {Stage.FORCED, Stage.TAILGATE}),
    ],
)
def test_every_deadline_leads_somewhere(happening: Happening, stages: set[Stage]) -> None:
    """A deadline that changed nothing would be due for ever."""
    assert {stage for stage, row in TABLE.items() if happening in row} == stages
