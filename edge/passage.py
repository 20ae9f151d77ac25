"""One lane's barrier as a transition table. Pure: `step` takes the state, what happened and the policy, and returns values.

Theory of operation. Inputs (a verdict, a beam, a button, a tick) are turned into happenings, and TABLE says for each stage what a happening
leads to: the next stage and what to do on the way. A happening that a stage's row does not name changes nothing. REST stands for the stage
in which the lane rests in its mode. Deadlines that lie before an input are worked off first, in their order, as if a tick had come in time.

The relay is no action: it is computed from the state. It is on in FREE, and for `pulse_s` after a grant or a release by the staff, as the
control pulse of a turnstile; in every other stage it is off. On fire it is off too: the hard-wired loop frees the mechanism. Each effect
that switches it on says for how long at most, so that the gate can end a pulse by itself.

A grant is used by the first line (beam or arm) that it crosses, and given back when its window ends without. The same line a second time
within the window is a tailgate; a line crossed without any grant is forced. Whoever needs more time (a wheelchair, a pram) is let in by
the staff, also on top of a grant: a release has the longer window, and is over sooner once somebody went through. A request to exit opens
nothing here, the way out never depends on software; it only makes the next crossing lawful. `step` never refuses what `decide` admitted:
`busy` tells `decide` beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge import config
from edge.lane import (
    NEVER,
    Arm,
    Beam,
    CommandRelease,
    Decided,
    Effect,
    Event,
    ExitRequest,
    Fire,
    Forced,
    HeldOpen,
    Input,
    LaneChanged,
    Light,
    Notice,
    NotUsed,
    Person,
    Relay,
    Released,
    ReleasedBy,
    SetMode,
    Sound,
    StaffButton,
    Tailgated,
    Tamper,
    Trouble,
    Used,
)
from edge.signals import TABLE as SIGNALS
from edge.signals import Signal, signal_of
from edge.transitions import ALARMS, OPENING, REST_OF_MODE, TABLE, Act, Happening, Stage
from healthcode.terms import Decision, LaneMode

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Grant:
    """An admission that has not been used yet."""

    seq: int | None
    person: Person | None


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the lane remembers. All times are monotonic seconds."""

    stage: Stage = Stage.LOCKED
    mode: LaneMode = LaneMode.CONTROLLED
    free_until: float = NEVER
    at: float = 0.0
    entered_at: float = 0.0
    grant: Grant | None = None
    last_grant: int | None = None
    window_until: float = NEVER
    relay_until: float = NEVER
    beam: bool = False
    arm: bool = False
    beam_seen: bool = False
    arm_seen: bool = False
    crossed_at: float = NEVER
    released_by: ReleasedBy = "staff"
    fire: bool = False
    tamper: bool = False
    trouble: bool = False
    notice: Signal = Signal.READY
    notice_until: float = NEVER
    relay_told: float = NEVER
    """The end of the relay's time as the last effect said it: NEVER while it is off, FOREVER in mode free."""
    light: Signal | None = None

    @property
    def relay(self) -> bool:
        """Whether the relay is energised, as far as the effects say."""
        return self.relay_told > NEVER

    @property
    def crossed(self) -> bool:
        """Whether a line is crossed now."""
        return self.beam or self.arm


@dataclass(frozen=True, slots=True)
class Step:
    """The state after an input, what to remember, and what to do, in this order: events on disk first, then the effects."""

    state: State
    events: tuple[Event, ...] = ()
    effects: tuple[Effect, ...] = ()


def initial(at: float, mode: LaneMode = LaneMode.CONTROLLED) -> State:
    """The state at the start: at rest, relay off. The first step brings the light in line with it. No lane starts free."""
    kept = LaneMode.CONTROLLED if mode is LaneMode.FREE else mode
    return State(stage=REST_OF_MODE[kept], mode=kept, at=at, entered_at=at)


def busy(state: State) -> bool:
    """Whether a grant now would be somebody else's: one is open, or somebody stands in the lane, or an alarm is on."""
    return state.stage in OPENING or state.stage in ALARMS or (state.stage is Stage.LOCKED and state.crossed)


def deadline(state: State, policy: config.Lane) -> float | None:
    """When the next tick is due if nothing else happens before; None where nothing is."""
    pending = [due for due, _ in _dues(state, policy)]
    pending += [until for until in (state.relay_until, state.notice_until) if until > state.at]
    return min(pending, default=None)


def step(state: State, given: Input, policy: config.Lane) -> Step:
    """What `given` does to `state`. An input that is older than the state counts as now."""
    work = _Work(state, policy)
    work.run_until(max(state.at, given.at))
    work.take(given)
    work.run_until(work.state.at)
    return work.finish()


def postponed(state: State, by_s: float) -> State:
    """`state`, just entered, as if that had been `by_s` seconds later: pulse and window begin when the relay really is energised."""
    return replace(
        state,
        at=state.at + by_s,
        entered_at=state.entered_at + by_s,
        relay_until=state.relay_until + by_s,
        relay_told=state.relay_told + by_s,
        window_until=state.window_until + by_s,
    )


def _dues(state: State, policy: config.Lane) -> list[tuple[float, Happening]]:
    """Every deadline of `state` with what it brings."""
    dues: list[tuple[float, Happening]] = []
    if state.stage is Stage.GRANTED or (state.stage is Stage.RELEASED and not state.crossed) or (state.stage is Stage.FREE and state.grant):
        dues.append((state.window_until, Happening.WINDOW_OVER))
    if state.crossed and state.stage in (Stage.LOCKED, Stage.PASSING, Stage.RELEASED):
        dues.append((max(state.crossed_at, state.entered_at) + policy.held_open_s, Happening.HELD))
    if not state.crossed and state.stage in (Stage.FORCED, Stage.TAILGATE):
        dues.append((state.entered_at + policy.alarm_s, Happening.ALARM_OVER))
    if state.mode is LaneMode.FREE:
        dues.append((state.free_until, Happening.TO_CONTROLLED))
    return dues


class _Work:
    """One step in the making."""

    def __init__(self, state: State, policy: config.Lane) -> None:
        self.state = state
        self.policy = policy
        self.events: list[Event] = []
        self.restart = False
        self.pending = Grant(None, None)

    def run_until(self, at: float) -> None:
        """Works off the deadlines up to `at`, the earliest first."""
        while dues := [due for due in _dues(self.state, self.policy) if due[0] <= at]:
            due, happening = min(dues)
            self.state = replace(self.state, at=max(self.state.at, due))
            if happening is Happening.TO_CONTROLLED:
                self.set_mode(SetMode(self.state.at, LaneMode.CONTROLLED, note="the time of the mode free is over"))
            else:
                self.happen(happening)
        self.state = replace(self.state, at=at)

    def take(self, given: Input) -> None:
        """Turns `given` into happenings."""
        at = self.state.at
        match given:
            case Decided(decision=Decision.ADMIT):
                self.pending = Grant(given.grant, given.person)
                self.state = replace(self.state, notice_until=NEVER)
                self.restart = True
                self.happen(Happening.GRANT)
            case Decided():
                self.show(signal_of(given.decision, given.reason))
            case Notice():
                self.show(given.signal)
            case Beam() | Arm():
                self.cross(given)
            case StaffButton(pressed=True):
                self.release("staff", "")
            case CommandRelease():
                self.release("command", given.note)
            case ExitRequest(pressed=True):
                self.events.append(Released(at, "exit"))
                if self.state.stage is Stage.LOCKED:
                    self.state = replace(self.state, released_by="exit")
                self.happen(Happening.EXIT)
            case Fire() if given.active != self.state.fire:
                self.state = replace(self.state, fire=given.active)
                self.report_lane()
                self.happen(Happening.FIRE if given.active else Happening.FIRE_OVER)
            case Tamper() if given.open != self.state.tamper:
                self.state = replace(self.state, tamper=given.open)
                self.report_lane()
            case SetMode(mode=LaneMode.FREE):
                if given.until > at and given.until != self.state.free_until:
                    self.set_mode(given)
            case SetMode() if given.mode is not self.state.mode:
                self.set_mode(given)
            case Trouble():
                self.state = replace(self.state, trouble=given.active)
            case _:
                pass

    def cross(self, given: Beam | Arm) -> None:
        """A line was crossed or became whole: the beam and the arm are two lines of one passage."""
        was = self.state
        now = replace(was, beam=given.broken) if isinstance(given, Beam) else replace(was, arm=given.open)
        if now == was:
            return
        rising = given.broken if isinstance(given, Beam) else given.open
        if not rising:
            self.state = now
            if not now.crossed:
                self.happen(Happening.CLEAR)
            return
        seen = was.beam_seen if isinstance(given, Beam) else was.arm_seen
        self.state = replace(
            now,
            beam_seen=was.beam_seen or isinstance(given, Beam),
            arm_seen=was.arm_seen or isinstance(given, Arm),
            crossed_at=was.crossed_at if was.crossed else was.at,
        )
        if was.stage is Stage.LOCKED and was.at >= was.window_until:
            self.happen(Happening.INTRUDE)
        else:
            self.happen(Happening.CROSS_AGAIN if seen else Happening.CROSS)

    def release(self, by: ReleasedBy, note: str) -> None:
        """A person in charge opens. On fire the relay stays off, and a lane that is free is open: nothing happens, nothing is told."""
        if Happening.RELEASE not in TABLE[self.state.stage]:
            return
        self.events.append(Released(self.state.at, by, note))
        self.state = replace(self.state, released_by=by)
        self.restart = True
        self.happen(Happening.RELEASE)

    def show(self, signal: Signal) -> None:
        """Shows `signal` for its time, unless somebody is being let through."""
        if self.state.stage in OPENING:
            return
        self.state = replace(self.state, notice=signal, notice_until=self.state.at + SIGNALS[signal].hold_s)
        self.restart = True

    def set_mode(self, given: SetMode) -> None:
        """Changes the mode, or the end of the mode free."""
        self.state = replace(self.state, mode=given.mode, free_until=given.until if given.mode is LaneMode.FREE else NEVER)
        self.report_lane(given.note)
        self.happen(Happening(f"to_{given.mode.value}"))

    def report_lane(self, note: str = "") -> None:
        """Tells how mode, fire loop and tamper contact stand."""
        state = self.state
        until = state.free_until if state.mode is LaneMode.FREE else None
        self.events.append(LaneChanged(state.at, state.mode, state.fire, state.tamper, until, note))

    def happen(self, happening: Happening) -> None:
        """Looks `happening` up in the table and does what it says."""
        cell = TABLE[self.state.stage].get(happening)
        if cell is None:
            return
        stage = cell[0] or REST_OF_MODE[self.state.mode]
        for act in cell[1]:
            self.act(act)
        self.state = replace(self.state, stage=stage, entered_at=self.state.at)
        if stage not in OPENING:
            self.state = replace(self.state, relay_until=NEVER)

    def act(self, act: Act) -> None:
        """Does one thing on the way."""
        state, at = self.state, self.state.at
        match act:
            case Act.TAKE:
                self.state = replace(state, grant=self.pending, last_grant=self.pending.seq)
            case Act.GIVE_BACK:
                if state.grant:
                    self.events.append(NotUsed(at, state.grant.seq, state.grant.person))
                self.state = replace(state, grant=None, window_until=NEVER)
            case Act.USE if state.grant:
                self.events.append(Used(at, state.grant.seq, state.grant.person))
                self.state = replace(state, grant=None)
            case Act.PULSE:
                self.state = replace(state, relay_until=at + self.policy.pulse_s)
            case Act.WINDOW | Act.LONG_WINDOW:
                length = self.policy.window_s if act is Act.WINDOW else self.policy.accessible_window_s
                self.state = replace(state, window_until=at + length, beam_seen=False, arm_seen=False)
            case Act.SHORTEN:
                self.state = replace(state, window_until=min(state.window_until, at + self.policy.window_s))
            case Act.REPORT_FORCED:
                self.events.append(Forced(at))
            case Act.REPORT_TAILGATE:
                self.events.append(Tailgated(at, state.last_grant))
            case Act.REPORT_HELD:
                self.events.append(HeldOpen(at, state.last_grant))
            case _:
                pass

    def finish(self) -> Step:
        """The step, with relay and signal as the new state wants them."""
        end, light = relay_end(self.state), light_of(self.state)
        effects: list[Effect] = []
        if end != self.state.relay_told:
            limit_s = None if end == FOREVER else max(0.0, end - self.state.at)
            effects.append(Relay(end > NEVER, limit_s))
        if light is not self.state.light or (self.restart and light not in (Signal.ALARM, Signal.FIRE)):
            effects += [Light(light), Sound(light)]
        self.state = replace(self.state, relay_told=end, light=light)
        return Step(self.state, tuple(self.events), tuple(effects))


def relay_of(state: State) -> bool:
    """Whether the relay is energised in `state`: mode free, or the pulse of a grant or a staff release, and nothing else."""
    return relay_end(state) > NEVER


def relay_end(state: State) -> float:
    """Until when the relay is energised in `state` if nothing else happens: NEVER where it is off, FOREVER in mode free."""
    if state.stage is Stage.FREE:
        return FOREVER
    return state.relay_until if state.stage in OPENING and state.at < state.relay_until else NEVER


def light_of(state: State) -> Signal:
    """The signal that `state` shows: alarms first, then a person who is let through, then the last verdict, then the lane's rest."""
    if state.stage is Stage.FIRE:
        return Signal.FIRE
    if state.stage in ALARMS:
        return Signal.ALARM
    if state.stage in OPENING:
        return Signal.WAIT if state.stage is Stage.RELEASED and state.released_by == "exit" else Signal.PASS
    if state.tamper and state.mode is not LaneMode.OUT_OF_SERVICE:
        return Signal.ALARM
    if state.at < state.notice_until:
        return state.notice
    if state.stage is Stage.FREE:
        return Signal.PASS
    if state.trouble:
        return Signal.GUARD
    return Signal.READY if state.mode is LaneMode.CONTROLLED else Signal.CLOSED
