"""How a unit comes to another release and back, step by step and from wherever a power cut left it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import updates
from edge.updates import (
    DEVICE_S,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    LONGEST_TRIAL_S,
    STARTS,
    TRIAL_S,
    End,
    Failed,
    Fate,
    Fetch,
    Install,
    Keep,
    Kept,
    Learn,
    Look,
    Phase,
    Point,
    Seen,
    State,
    Test,
    Trial,
    done,
    look,
    recover,
)
from healthcode.messages import Release
from healthcode.releases import order

OLD, NEW, NEWER = "0.1.0", "0.2.0", "0.3.0"
PLATFORM = "cp311-aarch64"
RELEASE = Release(version=NEW, after=OLD, size=9, sha256=bytes(32), platforms=[PLATFORM], signed_at=0)
REST = State(OLD, OLD, PLATFORM)


def gate(at: float, version: str = OLD, *, since: float = 0.0, camera: bool = True, sensor: bool = True) -> Seen:
    return Seen(version, since, at, camera, sensor)


def wished(version: str = NEW, name: str = "w1", at: float = 100.0) -> State:
    state, effects = look(REST, Look(at, (name, version), gate(at)))
    assert effects == (Keep(state.kept),), "a wish is on disk before anything comes of it"
    return state


def on_trial(*, camera: bool = True, sensor: bool = True, at: float = 1000.0, starts: int = 1) -> State:
    state = replace(wished(), phase=Phase.TESTING)
    trying, effects = done(state, Test(RELEASE), None, Look(at, None, gate(at, camera=camera, sensor=sensor), "boot", starts))
    assert effects == (Keep(trying.kept), Point("current", NEW)), "what is tried is on disk before it is what starts"
    return trying


def at_trial(state: State, at: float, seen: Seen | None, starts: int = 2) -> updates.Step:
    return look(state, Look(at, ("w1", NEW), seen, "boot", starts))


def test_a_wish_goes_through_every_step_to_a_trial() -> None:
    state, effects = look(wished(), Look(101))
    assert effects == (Learn(NEW),)
    state, effects = done(state, Learn(NEW), RELEASE, Look(102))
    assert effects == (Fetch(RELEASE),)
    state, effects = done(state, Fetch(RELEASE), None, Look(103))
    assert effects == (Install(RELEASE),)
    state, effects = done(state, Install(RELEASE), None, Look(104))
    assert effects == (Test(RELEASE),)
    state, effects = done(state, Test(RELEASE), None, Look(105, None, gate(104), "boot", 1))
    assert (state.phase, state.current, state.good) == (Phase.TRIAL, NEW, OLD)
    assert state.kept.trial == Trial(version=NEW, camera=True, sensor=True, boot="boot", counted=1)


WAITS = "release 0.2.0 waits: a configuration from afar is on trial"


@pytest.mark.parametrize(
    ("phase", "job", "outcome"),
    [
        (Phase.INSTALLING, Install(RELEASE), None),
        (Phase.TESTING, Test(RELEASE), None),
        (Phase.TESTING, Test(RELEASE), Failed(Fate.REFUSED, "release 0.2.0: its test: it does not take version 7")),
        (Phase.TESTING, Test(RELEASE), Failed(Fate.AGAIN, "no room")),
    ],
)
def test_while_a_configuration_is_on_trial_nothing_is_tested_tried_or_judged(
    phase: Phase, job: updates.Job, outcome: Failed | None
) -> None:
    state, effects = done(replace(wished(), phase=phase), job, outcome, Look(105, None, gate(104), "boot", 1, is_configuring=True))
    assert (effects, state.phase, state.trouble, state.kept.refused) == ((), Phase.WAITING, WAITS, {})
    assert look(state, Look(9000, ("w1", NEW), gate(9000), is_configuring=True)) == (state, ()), "for as long as it takes"
    state, effects = look(state, Look(9001, ("w1", NEW), gate(9001)))
    assert (effects, state.phase, state.trouble) == ((Test(RELEASE),), Phase.TESTING, ""), "with the configuration as it is now"
    state, _ = done(state, Test(RELEASE), None, Look(9002, None, gate(9002), "boot", 1))
    assert state.phase is Phase.TRIAL


def test_what_is_learned_and_fetched_waits_for_no_configuration() -> None:
    state, effects = done(replace(wished(), phase=Phase.LEARNING), Learn(NEW), RELEASE, Look(102, is_configuring=True))
    assert effects == (Fetch(RELEASE),)
    assert done(state, Fetch(RELEASE), None, Look(103, is_configuring=True))[1] == (Install(RELEASE),)


def test_a_power_cut_while_a_release_waits_leaves_the_wish() -> None:
    state, _ = done(replace(wished(), phase=Phase.INSTALLING), Install(RELEASE), None, Look(105, is_configuring=True))
    again, effects = recover(OLD, OLD, PLATFORM, state.kept)
    assert effects == ()
    assert look(again, Look(5, ("w1", NEW)))[1] == (Learn(NEW),)


def test_five_good_minutes_make_it_good() -> None:
    state = on_trial()
    state, effects = at_trial(state, 1010, gate(1009, NEW, since=1008))
    assert state.kept.trial is not None
    assert (state.kept.trial.starts, effects) == (1, (Keep(state.kept),)), "the start that the change itself took"
    state, effects = at_trial(state, 1008 + TRIAL_S - 0.1, gate(1008 + TRIAL_S - 0.1, NEW, since=1008))
    assert effects == ()
    state, effects = at_trial(state, 1008 + TRIAL_S, gate(1008 + TRIAL_S, NEW, since=1008))
    assert effects == (Point("good", NEW), Keep(state.kept), End())
    assert (state.phase, state.good, state.kept.trial, state.kept.before) == (Phase.RESTING, NEW, None, OLD)


def assert_back(step: updates.Step, why: str) -> State:
    state, effects = step
    assert effects == (Keep(state.kept), Point("current", OLD)), "refused before it goes back: a power cut between finds no trial"
    assert (state.phase, state.current, state.good, state.kept.trial) == (Phase.RESTING, OLD, OLD, None)
    assert why in state.kept.refused[NEW]
    assert NEW in state.trouble
    return state


@pytest.mark.parametrize(("device", "seen"), [("camera", {"camera": False}), ("sensor", {"sensor": False})])
def test_a_device_that_worked_before_and_does_not_now_brings_it_back(device: str, seen: dict[str, bool]) -> None:
    state, _ = at_trial(on_trial(), 1010, gate(1010, NEW, since=1005, **seen))
    state, effects = at_trial(state, 1010 + DEVICE_S - 0.1, gate(1010 + DEVICE_S - 0.1, NEW, since=1005, **seen))
    assert effects == ()
    assert_back(at_trial(state, 1010 + DEVICE_S, gate(1010 + DEVICE_S, NEW, since=1005, **seen)), f"the {device} worked before")


def test_a_device_that_did_not_work_before_is_not_held_against_it() -> None:
    state = on_trial(camera=False)
    _, effects = at_trial(state, 1010 + TRIAL_S, gate(1010 + TRIAL_S, NEW, since=1010, camera=False), starts=1)
    assert End() in effects


def test_a_device_that_comes_back_in_time_counts_as_working() -> None:
    state, _ = at_trial(on_trial(), 1010, gate(1010, NEW, since=1005, camera=False))
    state, _ = at_trial(state, 1100, gate(1100, NEW, since=1005))
    state, effects = at_trial(state, 1140, gate(1140, NEW, since=1005, camera=False))
    assert (effects, state.phase) == ((), Phase.TRIAL)


def test_a_crash_loop_brings_it_back_at_once() -> None:
    state = on_trial(starts=7)
    for start in range(1, STARTS + 1):
        state, effects = at_trial(state, 1000 + start, None, starts=7 + start)
        assert (state.phase, effects) == (Phase.TRIAL, (Keep(state.kept),)), "every start is on disk: the power may go next"
    assert_back(at_trial(state, 1010, None, starts=7 + STARTS + 1), "started 4 times")


def test_starts_are_counted_on_over_reboots() -> None:
    state = on_trial(starts=7)
    for boot in ("second", "third", "fourth"):
        found, _ = recover(NEW, OLD, PLATFORM, state.kept)
        state, _ = look(found, Look(5.0, ("w1", NEW), None, boot, 1))
        assert state.phase is Phase.TRIAL
    found, _ = recover(NEW, OLD, PLATFORM, state.kept)
    assert_back(look(found, Look(5.0, ("w1", NEW), None, "fifth", 1)), "started 4 times")


def test_a_gate_that_hangs_or_says_nothing_brings_it_back_in_the_end() -> None:
    state, _ = at_trial(on_trial(), 1001, None, starts=1)
    state, effects = at_trial(state, 1000 + LONGEST_TRIAL_S - 0.1, gate(1002, NEW, since=1001), starts=1)
    assert effects == ()
    assert_back(at_trial(state, 1000 + LONGEST_TRIAL_S, gate(1002, NEW, since=1001), starts=1), "within 15")


def test_the_old_gate_that_still_runs_proves_nothing() -> None:
    state, _ = at_trial(on_trial(), 1000 + TRIAL_S + 1, gate(1000 + TRIAL_S + 1, OLD, since=0.0))
    assert state.phase is Phase.TRIAL


def test_the_time_to_prove_itself_begins_when_the_gate_before_has_ended() -> None:
    state, day = on_trial(), 86_400.0
    for at in range(1010, int(1000 + day), 600):
        state, effects = at_trial(state, at, gate(at, OLD), starts=1)
        assert (state.phase, effects) == (Phase.TRIAL, ()), "its lane is free all day, and it may not end"
    state, _ = at_trial(state, 1000 + day, gate(999 + day, OLD), starts=1)
    state, effects = at_trial(state, 1000 + day + LONGEST_TRIAL_S - 0.1, gate(1001 + day, OLD), starts=1)
    assert effects == ()
    assert_back(at_trial(state, 1000 + day + LONGEST_TRIAL_S, gate(1001 + day, OLD), starts=1), "within 15")


def test_what_came_to_grief_is_refused_until_a_newer_one_comes() -> None:
    state, _ = at_trial(on_trial(starts=0), 1010, None, starts=9)
    state, effects = look(state, Look(2000, ("w2", NEW), gate(2000)))
    assert (effects, "is refused here" in state.trouble) == ((Keep(state.kept),), True)
    state, effects = look(state, Look(2001, ("w2", NEW), gate(2001)))
    assert effects == (), "wished again, and not tried again"
    state, _ = look(state, Look(3000, ("w3", NEWER), gate(3000)))
    _, effects = look(state, Look(3001, ("w3", NEWER), gate(3001)))
    assert effects == (Learn(NEWER),)


@pytest.mark.parametrize("version", ["0.0.9", OLD])
def test_what_is_not_newer_is_not_even_asked_for(version: str) -> None:
    state = wished(version)
    assert look(state, Look(200, ("w1", version), gate(200)))[1] == ()
    assert bool(state.trouble) is (version != OLD), "to wish for what runs is no trouble"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (msgspec.structs.replace(RELEASE, version=NEWER), "what was sent for it is 0.3.0"),
        (msgspec.structs.replace(RELEASE, after="0.1.1"), "expected 0.1.1 or newer first"),
        (msgspec.structs.replace(RELEASE, platforms=["cp313-aarch64"]), "has no wheels for cp311-aarch64"),
        (Failed(Fate.HALT, "release 0.2.0: SIGNATURE"), "SIGNATURE"),
    ],
)
def test_what_is_not_for_this_unit_or_not_signed_waits_for_another_wish(found: Release | Failed, said: str) -> None:
    state, effects = done(replace(wished(), phase=Phase.LEARNING), Learn(NEW), found, Look(102))
    assert (effects, state.phase, said in state.trouble) == ((), Phase.RESTING, True)
    assert look(state, Look(10**6, ("w1", NEW)))[1] == ()
    again, _ = look(state, Look(10**6, ("w2", NEW)))
    assert look(again, Look(10**6, ("w2", NEW)))[1] == (Learn(NEW),)


def test_what_another_try_may_mend_is_tried_again_ever_more_seldom() -> None:
    state, at, pauses = wished(), 200.0, []
    for _ in range(12):
        state, effects = look(state, Look(at, ("w1", NEW)))
        assert effects == (Learn(NEW),)
        state, effects = done(state, Learn(NEW), Failed(Fate.AGAIN, "no line"), Look(at))
        assert (effects, state.trouble, state.kept.refused) == ((), "no line", {})
        pauses.append(state.due - at)
        assert look(state, Look(state.due - 0.1, ("w1", NEW)))[1] == ()
        at = state.due
    assert pauses[:3] == [FIRST_PAUSE_S, FIRST_PAUSE_S * 2, FIRST_PAUSE_S * 4]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_what_fails_its_test_is_refused_and_never_ran() -> None:
    state, effects = done(replace(wished(), phase=Phase.TESTING), Test(RELEASE), Failed(Fate.REFUSED, "no module"), Look(105))
    assert (state.kept.refused, effects, state.current) == ({NEW: "no module"}, (Keep(state.kept),), OLD)


TRYING = Kept(wanted=NEW, wish="w1", trial=Trial(version=NEW, camera=True, sensor=True), before=OLD)


@pytest.mark.parametrize(
    ("current", "good", "kept", "effects", "phase"),
    [
        (OLD, OLD, Kept(), (), Phase.RESTING),
        (OLD, OLD, TRYING, (Point("current", NEW),), Phase.TRIAL),  # the power went between the trial's note and its link
        (NEW, OLD, TRYING, (), Phase.TRIAL),
        (NEW, NEW, TRYING, (Keep(msgspec.structs.replace(TRYING, trial=None)),), Phase.RESTING),  # it had proved itself
        (NEW, OLD, Kept(wanted=NEW, refused={NEW: "why"}), (Point("current", OLD),), Phase.RESTING),  # it was on its way back
        ("", OLD, Kept(), (Point("current", OLD),), Phase.RESTING),  # a link that points at nothing
    ],
)
def test_a_start_goes_on_from_wherever_the_power_went(
    current: str, good: str, kept: Kept, effects: tuple[updates.Effect, ...], phase: Phase
) -> None:
    state, found = recover(current, good, PLATFORM, kept)
    assert (found, state.phase) == (effects, phase)
    assert recover(state.current, state.good, PLATFORM, state.kept) == (replace(state), ()), "once is enough"


looks = st.builds(
    Look,
    st.floats(0, 4000),
    st.none() | st.tuples(st.sampled_from(["w1", "w2", "w3"]), st.sampled_from([OLD, NEW, NEWER])),
    st.none() | st.builds(Seen, st.sampled_from([OLD, NEW, NEWER]), st.floats(0, 4000), st.floats(0, 4000), st.booleans(), st.booleans()),
    st.sampled_from(["one", "two"]),
    st.integers(0, 9),
    st.booleans(),
)


@given(st.lists(st.tuples(looks, st.sampled_from([None, *Fate]), st.booleans()), max_size=40))
def test_whatever_comes_what_starts_is_good_or_on_trial_and_good_only_goes_up(
    story: list[tuple[Look, Fate | None, bool]],
) -> None:
    """`good` and `current` as a disk has them; where the third of each is true the power goes after the first effect of a step."""
    links, kept, state = {"good": OLD, "current": OLD}, Kept(), REST
    job: updates.Job | None = None
    for seen, fate, is_cut in story:
        power_goes = is_cut
        if job is not None:
            release = msgspec.structs.replace(RELEASE, version=job.version if isinstance(job, Learn) else job.release.version)
            outcome = Failed(fate, "why") if fate is not None else release if isinstance(job, Learn) else None
            state, effects = done(state, job, outcome, seen)
        else:
            state, effects = look(state, seen)
        job = None
        assert state.kept.trial is None or kept.trial is not None or not seen.is_configuring, (
            "none begins while a configuration is on trial"
        )
        was_good = links["good"]
        for effect in effects[:1] if power_goes else effects:
            match effect:
                case Keep(kept=found):
                    kept = found
                case Point(name=name, version=version):
                    links[name] = version
                case End():
                    power_goes = True
                case _:
                    job = effect
        if power_goes:
            job = None
            state, mended = recover(links["current"], links["good"], PLATFORM, kept)
            for effect in mended:
                if isinstance(effect, Keep):
                    kept = effect.kept
                elif isinstance(effect, Point):
                    links[effect.name] = effect.version
        assert order(was_good) <= order(links["good"])
        assert links["current"] == (kept.trial.version if kept.trial is not None else links["good"])
        assert links["good"] not in kept.refused
        assert (state.current, state.good, state.kept) == (links["current"], links["good"], kept)
