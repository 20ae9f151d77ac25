"""What becomes of configurations from afar: stories, and a machine that offers, starts, cuts the power and loses devices at will."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge import overrides, trial
from edge.overrides import FILE, Overrides, Started, start
from edge.trial import MOST_STARTS, Given, Held, Lost, Passed, Watch
from healthcode.terms import SettingsState
from healthgate.simulation.disk import Disk
from healthgate.simulation.schedule import Crash

WORKED = ("camera", "sensor")
BOTH = {"camera": True, "sensor": True}
GOOD, NEXT = Given(3, "[sound]\nvolume = 0.5\n"), Given(4, "[sound]\nvolume = 0.6\n")


def on_trial() -> Held:
    return trial.begun(trial.offered(Held(3, GOOD), NEXT, [], WORKED))


def test_a_trial_that_goes_well_becomes_the_good_one() -> None:
    held = trial.offered(Held(3, GOOD), NEXT, [], WORKED)
    assert held.state(GOOD) is SettingsState.WAITING
    held = trial.begun(held)
    assert (held.current, held.state(NEXT)) == (NEXT, SettingsState.TRIAL)
    held = trial.passed(held)
    assert (held.good, held.trial, held.state(NEXT)) == (NEXT, None, SettingsState.APPLIED)


def test_what_falls_back_stays_used_up_and_says_why() -> None:
    held = trial.fallen(on_trial(), "the camera worked before")
    assert (held.current, held.newest, held.state(NEXT)) == (GOOD, 4, SettingsState.FELL_BACK)
    assert held.faults == ("version 4 was taken back: the camera worked before",)
    assert trial.offered(held, NEXT, [], WORKED) is held, "the retained message comes again with every connection"


def test_a_version_that_is_rejected_changes_nothing_but_is_used_up() -> None:
    held = trial.offered(on_trial(), Given(9, "x"), ["desired 9:1: x"], WORKED)
    assert (held.newest, held.current, held.state(NEXT)) == (9, NEXT, SettingsState.REJECTED)
    assert trial.offered(held, Given(8, "y"), [], WORKED) is held
    held = trial.fallen(held, "the camera worked before")
    assert held.faults == ("desired 9:1: x", "version 4 was taken back: the camera worked before")
    assert (held.state(GOOD), held.current) == (SettingsState.REJECTED, GOOD)


@pytest.mark.parametrize(
    ("held", "running", "line"),
    [
        (Held(), Given(), ""),
        (Held(3, GOOD), GOOD, ""),
        (
            trial.offered(Held(3, GOOD), Given(4, "x"), ["desired 4:1: x", "desired 4:2: y"], WORKED),
            GOOD,
            "version 4 was rejected: desired 4:1: x",
        ),
        (trial.offered(on_trial(), Given(9, "x"), ["desired 9:1: x"], WORKED), NEXT, "version 9 was rejected: desired 9:1: x"),
        (trial.fallen(on_trial(), "the camera"), NEXT, "version 4 was taken back: the camera"),  # and the process has not ended yet
        (trial.fallen(on_trial(), "the camera"), GOOD, "version 4 was taken back: the camera"),
        (trial.offered(Held(3, GOOD), NEXT, [], WORKED), GOOD, "as before"),  # it waits: what stood stands
        (on_trial(), NEXT, ""),
        (Held(4, refused=SettingsState.REJECTED), Given(), "version 4 was rejected"),  # a file that somebody wrote by hand
        (Held(4, refused=SettingsState.FELL_BACK), Given(), "version 4 was taken back"),
    ],
)
def test_what_came_to_nothing_is_told_in_one_line_until_a_later_one_is_in_force(held: Held, running: Given, line: str) -> None:
    assert trial.trouble(held, running, "as before") == line


@pytest.mark.parametrize(
    ("held", "version", "release", "line"),
    [
        (Held(), 1, "", ""),
        (Held(3, GOOD), 4, "release 0.2.0 is on trial", "version 4 waits: release 0.2.0 is on trial"),
        (on_trial(), 5, "", ""),  # another configuration is no reason to wait: it takes the place of this one
        (Held(3, GOOD), 3, "release 0.2.0 is on trial", ""),  # it has been taken, and comes with every connection
        (Held(3, GOOD), 2, "release 0.2.0 is on trial", ""),
    ],
)
def test_a_newer_one_waits_while_a_release_is_on_trial(held: Held, version: int, release: str, line: str) -> None:
    assert trial.waits(held, Given(version, "[sound]\nvolume = 0.1\n"), release) == line


def test_three_starts_and_no_more() -> None:
    held = on_trial()
    for _ in range(MOST_STARTS - 1):
        held = trial.begun(trial.failed(held, "camera: no such device"))
        assert held.current == NEXT
    held = trial.begun(held)
    assert held.current == GOOD
    assert held.faults[0].endswith("was started 3 times and never came to the end of the trial: camera: no such device")


def test_what_is_in_force_already_needs_no_trial() -> None:
    same = replace_version(GOOD, 7)
    held = trial.offered(Held(3, GOOD), same, [], WORKED)
    assert (held.current, held.trial, held.state(GOOD)) == (same, None, SettingsState.APPLIED)
    held = trial.offered(on_trial(), same, [], WORKED)
    assert (held.current, held.trial, held.state(NEXT)) == (same, None, SettingsState.WAITING), "called off: back at the next start"
    held = trial.offered(on_trial(), replace_version(NEXT, 7), [], WORKED)
    assert held.trial is not None
    assert (held.trial.given.version, held.trial.starts, held.state(NEXT)) == (7, 1, SettingsState.TRIAL)


def test_a_trial_after_a_trial_watches_over_what_worked_before_both() -> None:
    held = trial.offered(on_trial(), Given(5, "[sound]\nvolume = 0.7\n"), [], ["sensor"])
    assert held.trial is not None
    assert held.trial.worked == WORKED, "the one before may be why the camera does not work now"


@pytest.mark.parametrize(
    ("looks", "end"),
    [
        ([(0, BOTH), (150, BOTH), (300, BOTH)], Passed()),
        ([(0, {}), (290, {}), (299, BOTH), (300, BOTH)], Passed()),  # devices take a while to start
        ([(0, {}), (100, {"sensor": True}), (300, {"sensor": True})], Lost("camera", 0)),  # but not for ever
        ([(0, BOTH), (100, {"camera": False, "sensor": True}), (129, BOTH), (300, BOTH)], Passed()),
        ([(0, BOTH), (100, {"camera": True, "sensor": False}), (130, {"camera": True, "sensor": False})], Lost("sensor", 30)),
        ([(0, BOTH), (299, {"camera": False, "sensor": True}), (300, {"camera": False, "sensor": True})], Lost("camera", 1)),
    ],
)
def test_devices_may_blink_but_must_be_there_at_the_end(looks: list[tuple[float, dict[str, bool]]], end: Passed | Lost) -> None:
    watch: Watch | Passed | Lost = Watch(300.0)
    for at, works in looks:
        assert isinstance(watch, Watch)
        watch = trial.look(watch, WORKED, works, at, 30.0)
    assert watch == end


def test_a_device_that_did_not_work_before_is_not_waited_for() -> None:
    watch = trial.look(Watch(300.0), ["sensor"], {"camera": False, "sensor": True}, 100.0, 30.0)
    assert watch == Watch(300.0, {})
    assert trial.look(Watch(300.0), [], {}, 300.0, 30.0) == Passed()


def test_long_lists_of_faults_are_cut_and_counted() -> None:
    held = trial.offered(Held(), Given(1, "x"), ["y" * 1000] * 60, WORKED)
    assert (len(held.faults), len(held.faults[0]), held.faults[-1]) == (50, 600, "and 11 more")


def replace_version(given: Given, version: int) -> Given:
    return Given(version, given.text)


# ---- on a disk

OWN = """\
unit = "north"
hardware = "simulated"
data = "{data}"
roots = ["/etc/root.pub.pem"]
world = "/run/world"
"""


def own_file(folder: Path, data: Path, more: str = "") -> Path:
    path = folder / "gate.toml"
    path.write_text(OWN.format(data=data) + more)
    return path


def give(started: Started, given: Given, working: tuple[str, ...] = WORKED) -> None:
    started.overrides.keep(trial.offered(started.overrides.held, given, started.find_faults(given), working))


def test_it_stands_above_the_file_from_the_next_start_on(tmp_path: Path) -> None:
    path = own_file(tmp_path, tmp_path / "data")
    first = start(path)
    assert (first.config.sound.volume, first.running) == (1.0, Given())
    give(first, NEXT)
    second = start(path)
    assert (second.config.sound.volume, second.running) == (0.6, NEXT)
    assert json.loads((tmp_path / "data" / FILE).read_text())["trial"]["starts"] == 1


def test_a_file_below_that_no_longer_fits_counts_alone(tmp_path: Path) -> None:
    path = own_file(tmp_path, tmp_path / "data")
    started = start(path)
    give(started, Given(4, "[screening]\nrecheck_c = 37.2\n"))
    started.overrides.keep(trial.passed(started.overrides.held))
    own_file(tmp_path, tmp_path / "data", "[screening]\nfever_c = 37.1\nrecheck_c = 37.0\n")
    again = start(path)
    assert (again.config.screening.recheck_c, again.running) == (37.0, Given())
    held = again.overrides.held
    assert (held.newest, held.refused) == (4, SettingsState.FELL_BACK)
    assert held.faults[0].startswith(
        "version 4 was taken back: desired 4:2: screening.recheck_c = 37.2: expected at most screening.fever_c"
    )
    assert start(path).overrides.held == held


def test_a_file_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    path = own_file(tmp_path, tmp_path / "data")
    give(start(path), NEXT)
    (tmp_path / "data" / FILE).write_text('{"newest": -1}')
    assert start(path).running == Given()
    assert (tmp_path / "data" / "desired.bad").exists()


def test_a_start_that_cannot_be_counted_takes_the_trial_back(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk", Random(1))
    path = own_file(tmp_path, disk.files)
    started = start(path, disk.calls)
    give(started, NEXT)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    again = start(path, replace(disk.calls, write=full))
    assert (again.running, again.config.sound.volume) == (Given(), 1.0)
    assert again.overrides.held.faults == ("version 4 was taken back: its start could not be written down: No space left on device",)
    disk.close()


class Trials(RuleBasedStateMachine):
    """A unit under configurations from afar. What is promised:

    the highest version offered only goes up; what runs is the good one or the newest on trial; a trial of which the power is cut, or which
    crashes, starts at most three times; and a device that worked before is never gone for longer than a trial allows.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        folder = Path(self._folder.name)
        self.disk = Disk(folder / "disk", Random(7))
        self.path = own_file(folder, self.disk.files)
        self.newest = 0
        self.good = ""
        self.starts: dict[int, int] = {}
        self.used_up: set[int] = set()

    @initialize()
    def boot(self) -> None:
        self.up = start(self.path, self.disk.calls)

    def begin(self) -> None:
        """A new process, which finds what is on the disk."""
        self.up = start(self.path, self.disk.calls)
        held = self.up.overrides.held
        if held.trial is not None:
            version = held.trial.given.version
            self.starts[version] = self.starts.get(version, 0) + 1

    @rule(up=st.integers(0, 3), volume=st.sampled_from([0.2, 0.4, 0.6, 7.0]), working=st.sets(st.sampled_from(WORKED)))
    def offer(self, up: int, volume: float, working: set[str]) -> None:
        given = Given(self.newest + up, f"[sound]\nvolume = {volume}\n")
        before = self.up.overrides.held
        give(self.up, given, tuple(working))
        held = self.up.overrides.held
        if up == 0:
            assert held == before
            return
        self.newest = given.version
        assert held.newest == given.version
        if volume > 1:
            assert (held.current, held.refused) == (before.current, SettingsState.REJECTED)
            assert held.faults == (f"desired {given.version}:2: sound.volume = {volume}: expected a number from 0 to 1",)
        else:
            assert (held.current, held.refused) == (given, None)

    @rule(step=st.integers(1, 8), volume=st.sampled_from([0.3, 0.5]))
    def power_is_cut_while_one_is_taken(self, step: int, volume: float) -> None:
        before = self.up.overrides.held
        given = Given(self.newest + 1, f"[sound]\nvolume = {volume}\n")
        wanted = trial.offered(before, given, [], WORKED)
        self.disk.arm(step, cuts_power=True)
        try:
            self.up.overrides.keep(wanted)
        except Crash:
            self.disk.power_cut()()
        else:
            self.disk.disarm()
        found = Overrides(self.disk.files, self.disk.calls).held
        assert found in (before, wanted), "all of the old or all of the new"
        self.newest = found.newest
        self.begin()

    @rule()
    def power_is_cut(self) -> None:
        self.begin()

    @rule()
    def crash_while_starting(self) -> None:
        self.up.overrides.fail("the camera is not there")
        self.begin()

    @precondition(lambda self: self.watched())
    @rule()
    def the_trial_passes(self) -> None:
        given = self.up.running
        self.up.overrides.keep(trial.passed(self.up.overrides.held))
        assert self.up.overrides.held.good.text == given.text
        self.good = given.text

    @precondition(lambda self: self.watched())
    @rule()
    def a_device_is_lost(self) -> None:
        held = self.up.overrides.held
        assert held.trial is not None
        good = held.good
        self.used_up.add(held.trial.given.version)
        self.up.overrides.keep(trial.fallen(held, "the camera worked before"))
        self.begin()
        assert self.up.running.text == good.text

    def watched(self) -> bool:
        """Whether this process runs what is on trial."""
        held = self.up.overrides.held
        return held.trial is not None and held.trial.given.text == self.up.running.text

    @invariant()
    def versions_only_go_up(self) -> None:
        if hasattr(self, "up"):
            assert self.up.overrides.held.newest == self.newest

    @invariant()
    def a_trial_has_three_starts(self) -> None:
        assert all(count <= MOST_STARTS for count in self.starts.values())

    @invariant()
    def what_was_taken_back_never_comes_again(self) -> None:
        if hasattr(self, "up"):
            assert self.up.overrides.held.current.version not in self.used_up

    @invariant()
    def what_runs_is_what_a_file_would_say(self) -> None:
        if hasattr(self, "up"):
            text = self.up.running.text
            said = float(text.split("= ")[1]) if text else 1.0
            assert self.up.config.sound.volume == said

    @invariant()
    def what_is_on_the_disk_is_what_is_held(self) -> None:
        if hasattr(self, "up"):
            assert overrides.read(self.disk.files / FILE) == self.up.overrides.held

    def teardown(self) -> None:
        self.disk.close()
        self._folder.cleanup()


TestTrials = Trials.TestCase
TestTrials.settings = settings(max_examples=10, stateful_step_count=15)
