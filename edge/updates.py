"""How a unit comes to another release and, where that one is worse, back again. Pure: no disk, network or clock.

Two names point at releases in the unit's folder. `current` is what the gate is started from, `good` is the last one that has proved itself;
the updater, which does all of this, is always started from `good`. They differ during a trial alone:

    wanted -> learn (signed? newer?) -> fetch -> install beside -> test in a process of its own -> trial -> good, or back

While a configuration from afar is on trial nothing is tested or tried: whatever broke would be blamed on either. It waits, and is tested
with the configuration that came out of it.

Every step is one change on disk, in an order from which a start after a power cut goes on (`recover`). During the trial the gate must be up
for five minutes in one piece, with each device that worked before. A network or a server that is lost is no fault of a release.
A release that came to grief in its test or its trial is refused here for good: only a newer one is taken.

Times are seconds of the machine's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

from healthcode.messages import Release, ReleaseVersion, Short
from healthcode.releases import find_unfit, order

TRIAL_S = 300.0
"""How long a release must run in one piece to prove itself."""
LONGEST_TRIAL_S = 900.0
"""After so long without that it is given up. It begins when the gate before it has ended, which waits until nobody loses by that."""
STARTS = 3
"""How often the gate may be started in a trial; at the next start it has crashed so often, or the power has gone so often."""
DEVICE_S = 120.0
"""How long a device that worked before may not work. A camera that is looked for anew takes seconds, a thermometer's settling one."""
FRESH_S = 15.0
"""How old what the gate says of itself may be."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 6 * 3600.0
"""After a failure that another try may mend; doubled each time."""
MOST_REFUSED = 20
"""Refused versions that are kept in mind; those that are not newer than what runs are forgotten first."""


class Phase(StrEnum):
    """What the updater is about."""

    RESTING = "resting"
    LEARNING = "learning"
    FETCHING = "fetching"
    INSTALLING = "installing"
    WAITING = "waiting"
    TESTING = "testing"
    TRIAL = "trial"


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trial under way: which devices worked before, and how often the gate was started; `boot` and `counted`: up to where starts are."""

    version: ReleaseVersion
    camera: bool
    sensor: bool
    starts: int = 0
    boot: Short = ""
    counted: int = 0


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the updater keeps on disk. `wish` names the wish that `wanted` is from, `before` is what is kept beside the good release."""

    wanted: ReleaseVersion | None = None
    wish: Short = ""
    refused: dict[ReleaseVersion, Short] = {}
    trial: Trial | None = None
    before: ReleaseVersion | None = None


@dataclass(frozen=True)
class Seen:
    """What the gate last said of itself: the release that runs, since when and at what time it said so, and whether its devices work."""

    version: str
    since: float
    at: float
    camera: bool
    sensor: bool


@dataclass(frozen=True)
class Look:
    """What the updater sees at `at`: the wish (its name and the version), the gate, the machine's boot and the gate's starts in it.

    `is_configuring`: a configuration from afar is on trial, or about to be.
    """

    at: float
    wish: tuple[str, str] | None = None
    seen: Seen | None = None
    boot: str = ""
    starts: int = 0
    is_configuring: bool = False


class Fate(StrEnum):
    """What a job's failure means."""

    AGAIN = "again"  # network, disk, half a file: another try may mend it
    HALT = "halt"  # not signed, not for this unit: nothing is tried until somebody wishes anew
    REFUSED = "refused"  # it does not work here: this version is not taken any more


@dataclass(frozen=True)
class Failed:
    """A job that did not succeed; `why` is one line that names what was wrong."""

    fate: Fate
    why: str


@dataclass(frozen=True)
class Learn:
    """Job: get the signed message of this version and check it. Gives a Release."""

    version: str


@dataclass(frozen=True)
class Fetch:
    """Job: get the bundle, as far as it is not there, and check it."""

    release: Release


@dataclass(frozen=True)
class Install:
    """Job: put the bundle's content into a folder of its own; one that is there whole is left as it is."""

    release: Release


@dataclass(frozen=True)
class Test:
    """Job: let the new release look at this unit's configuration and files, in a process of its own."""

    __test__ = False  # for pytest
    release: Release


Job = Learn | Fetch | Install | Test


@dataclass(frozen=True)
class Keep:
    """Effect: this is to be on disk before the next effect."""

    kept: Kept


@dataclass(frozen=True)
class Point:
    """Effect: `name`, current or good, points at this version from now on, at once or not at all."""

    name: str
    version: str


@dataclass(frozen=True)
class End:
    """Effect: the updater ends, to be started from what is good now."""


Effect = Keep | Point | End | Job


@dataclass(frozen=True)
class State:
    """Where it stands. `trouble` is one line for people, empty while all is well; `due`: when the next try may be.

    `installed` is what waits to be tested.
    """

    current: str
    good: str
    platform: str
    kept: Kept = field(default_factory=Kept)
    phase: Phase = Phase.RESTING
    installed: Release | None = None
    trouble: str = ""
    halted: bool = False
    tries: int = 0
    due: float = float("-inf")
    begun: float | None = None
    lost: Mapping[str, float] = field(default_factory=dict)


Step = tuple[State, tuple[Effect, ...]]


def recover(current: str, good: str, platform: str, kept: Kept) -> Step:
    """What is to be made good at a start, wherever the one before ended."""
    state = State(current, good, platform, kept)
    trial = kept.trial
    if trial is None:
        return (replace(state, current=good), (Point("current", good),)) if current != good else (state, ())
    if good == trial.version:
        done = msgspec.structs.replace(kept, trial=None)
        return replace(state, kept=done), (Keep(done),)
    on = replace(state, phase=Phase.TRIAL, current=trial.version)
    return on, (Point("current", trial.version),) if current != trial.version else ()


def look(state: State, seen: Look) -> Step:
    """Time goes by, somebody wishes, the gate says how it is."""
    if state.phase is Phase.TRIAL and state.kept.trial is not None:
        return _watch(state, state.kept.trial, seen)
    if state.phase not in (Phase.RESTING, Phase.WAITING):
        return state, ()
    if seen.wish is not None and seen.wish[0] != state.kept.wish:
        kept = msgspec.structs.replace(state.kept, wish=seen.wish[0], wanted=seen.wish[1])
        trouble = _find_trouble(state, seen.wish[1])
        anew = replace(state, phase=Phase.RESTING, installed=None, kept=kept, trouble=trouble, halted=False, tries=0, due=seen.at)
        return anew, (Keep(kept),)
    if state.installed is not None:
        return _test(state, state.installed, seen)
    wanted = state.kept.wanted
    if wanted is None or state.halted or seen.at < state.due or order(wanted) <= order(state.good) or wanted in state.kept.refused:
        return state, ()
    return replace(state, phase=Phase.LEARNING), (Learn(wanted),)


def done(state: State, job: Job, outcome: Release | Failed | None, seen: Look) -> Step:
    """A job has ended: Learn with a Release, the others with None, each of them perhaps with Failed. `seen`: how it is now.

    A test says nothing where a configuration has come meanwhile: it may have been made with that one.
    """
    if isinstance(job, Test) and seen.is_configuring:
        return _test(state, job.release, seen)
    if isinstance(outcome, Failed):
        return _fail(state, job, outcome, seen.at)
    match job:
        case Learn(version=version):
            assert isinstance(outcome, Release)
            if outcome.version != version:
                return _fail(state, job, Failed(Fate.HALT, f"release {version}: what was sent for it is {outcome.version}"), seen.at)
            unfit = find_unfit(outcome, state.good, state.platform)
            if unfit is not None:
                return _fail(state, job, Failed(Fate.HALT, unfit[1]), seen.at)
            return replace(state, phase=Phase.FETCHING, trouble=""), (Fetch(outcome),)
        case Fetch(release=release):
            return replace(state, phase=Phase.INSTALLING), (Install(release),)
        case Install(release=release):
            return _test(state, release, seen)
        case Test(release=release):
            return _begin_trial(state, release.version, seen)


def _test(state: State, release: Release, seen: Look) -> Step:
    """Tests what is installed, once no configuration is on trial."""
    if seen.is_configuring:
        why = f"release {release.version} waits: a configuration from afar is on trial"
        return replace(state, phase=Phase.WAITING, installed=release, trouble=why), ()
    return replace(state, phase=Phase.TESTING, installed=None, trouble=""), (Test(release),)


def _find_trouble(state: State, version: str) -> str:
    """Why a wish will not be granted, as far as its version says that."""
    if order(version) < order(state.good):
        return f"release {version}: {state.good} runs, expected a newer one"
    return f"release {version} is refused here: {state.kept.refused[version]}" if version in state.kept.refused else ""


def _fail(state: State, job: Job, failed: Failed, at: float) -> Step:
    resting = replace(state, phase=Phase.RESTING, trouble=failed.why)
    if failed.fate is Fate.AGAIN:
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(state.tries, 20), LONGEST_PAUSE_S)
        return replace(resting, tries=state.tries + 1, due=at + pause_s), ()
    if failed.fate is Fate.HALT:
        return replace(resting, halted=True), ()
    version = job.version if isinstance(job, Learn) else job.release.version
    kept = _refuse(state.kept, version, failed.why, state.good)
    return replace(resting, kept=kept), (Keep(kept),)


def _refuse(kept: Kept, version: str, why: str, good: str) -> Kept:
    refused = {each: said for each, said in kept.refused.items() if order(each) > order(good)} | {version: why[:200]}
    newest = sorted(refused, key=order)[-MOST_REFUSED:]
    return msgspec.structs.replace(kept, refused={each: refused[each] for each in newest}, trial=None)


def _begin_trial(state: State, version: str, seen: Look) -> Step:
    gate = seen.seen if seen.seen is not None and seen.at - seen.seen.at <= FRESH_S else None
    camera, sensor = (gate.camera, gate.sensor) if gate is not None else (False, False)
    trial = Trial(version=version, camera=camera, sensor=sensor, boot=seen.boot, counted=seen.starts)
    kept = msgspec.structs.replace(state.kept, trial=trial, before=state.good)
    trying = replace(state, phase=Phase.TRIAL, kept=kept, current=version, begun=seen.at, lost={})
    return trying, (Keep(kept), Point("current", version))


def _watch(state: State, trial: Trial, seen: Look) -> Step:
    state = state if state.begun is not None else replace(state, begun=seen.at)
    counted = _count(trial, seen)
    effects: tuple[Effect, ...] = ()
    if counted != trial:
        kept = msgspec.structs.replace(state.kept, trial=counted)
        state, effects = replace(state, kept=kept), (Keep(kept),)
    if counted.starts > STARTS:
        return _go_back(state, counted, f"it was started {counted.starts} times and never ran for {TRIAL_S / 60:.0f} minutes")
    begun = state.begun if state.begun is not None else seen.at
    gate = seen.seen if seen.seen is not None and seen.at - seen.seen.at <= FRESH_S else None
    if gate is not None and gate.version != trial.version:  # the one before waits for its lane, which may be free for a day
        return replace(state, begun=seen.at), effects
    if gate is not None:
        working = {"camera": gate.camera or not trial.camera, "sensor": gate.sensor or not trial.sensor}
        lost = {name: max(state.lost.get(name, seen.at), gate.since) for name, works in working.items() if not works}
        state = replace(state, lost=lost)
        for name, since in lost.items():
            if seen.at - since >= DEVICE_S:
                return _go_back(state, counted, f"the {name} worked before and has not for {DEVICE_S:.0f} s")
        if not lost and seen.at - gate.since >= TRIAL_S:
            kept = msgspec.structs.replace(state.kept, trial=None)
            proved = replace(state, phase=Phase.RESTING, good=trial.version, kept=kept, begun=None, trouble="")
            return proved, (Point("good", trial.version), Keep(kept), End())
    if seen.at - begun >= LONGEST_TRIAL_S:
        return _go_back(state, counted, f"it did not run for {TRIAL_S / 60:.0f} minutes within {LONGEST_TRIAL_S / 60:.0f}")
    return state, effects


def _count(trial: Trial, seen: Look) -> Trial:
    """The starts that came since they were last counted; after a reboot the machine counts from none."""
    before = trial.counted if trial.boot == seen.boot and seen.starts >= trial.counted else 0
    return msgspec.structs.replace(trial, starts=trial.starts + seen.starts - before, boot=seen.boot, counted=seen.starts)


def _go_back(state: State, trial: Trial, why: str) -> Step:
    """Refused first, back then: whatever happens in between, a start sees no trial and goes back to what is good."""
    kept = _refuse(state.kept, trial.version, why, state.good)
    back = replace(
        state, phase=Phase.RESTING, kept=kept, current=state.good, begun=None, trouble=f"release {trial.version} is refused here: {why}"
    )
    return back, (Keep(kept), Point("current", state.good))
