"""A configuration and a release for one unit at once: gate and updater on one disk, in every order, with the power going at every write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.apart import alone, is_configuration_on_trial
from edge.governor import Governor
from edge.overrides import FILE, read, start
from edge.releasedoor import ASK_FILE, ReleaseDoor, Wish, read_updater
from edge.releasefolder import FolderCalls, ReleaseFolder
from edge.trial import Held
from edge.updater import Updater
from edge.updates import Failed, Fate, Fetch, Install, Job, Learn, Phase, Test
from healthcode.messages import Desired, Release, Reported
from healthcode.terms import SettingsState
from tests.edge.test_updater import CALLS, NEW, OLD, PlainJobs, PowerCut, cut_after
from tests.gate_toml import GATE

STEP_S = 20.0
STORY_S = 1200.0
"""Two trials one after the other, a release's and then a configuration's or the other way about, and starts in between."""


@dataclass
class Lane:
    """A unit as far as it is governed: nobody comes, and a device breaks while what breaks it is in force."""

    broken: Callable[[], str]
    is_free: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def working(self) -> dict[str, bool]:
        return {device: device != self.broken() for device in ("camera", "sensor")}

    def may_end(self, waited_s: float) -> bool:
        return not self.is_free

    def note(self, what: str, detail: str) -> None:
        self.notes.append(f"{what}: {detail}")


class Jobs(PlainJobs):
    """Fetching and installing as a few files; the gate goes on meanwhile, and what is in `during` happens in a job of that kind."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.folder, machine.calls)
        self.machine = machine

    def do(self, job: Job) -> Release | Failed | None:
        outcome = super().do(job)
        if action := self.machine.during.pop(type(job), None):
            action()
        self.machine.gate_turn()
        return self.machine.outcomes.pop(type(job), outcome)


class Machine:
    """A unit with its two processes, each of which a service starts again whenever it ends."""

    def __init__(self, path: Path, *, bad: str = "") -> None:
        """`bad` is what breaks the camera: the new "release", the "configuration", or nothing."""
        self.data, self.opt, self.run = path / "data", path / "opt", path / "run"
        for each in (self.data, self.opt, self.run):
            each.mkdir(parents=True)
        self.file = path / "north.toml"
        self.file.write_text(GATE.format(folder=path) + f'\n[updates]\nfolder = "{self.opt}"\nrun = "{self.run}"\n')
        self.at, self.step_s = 1000.0, STEP_S
        self.bad = bad
        self.calls = CALLS
        self.retained: Desired | None = None
        self.during: dict[type[Job], Callable[[], None]] = {}
        self.outcomes: dict[type[Job], Failed] = {}
        self.said: list[Reported] = []
        self.lane = Lane(self.broken)
        folder = self.folder
        (folder.begin(OLD) / "python").write_bytes(b"data")
        folder.finish(OLD, bytes(32))
        for name in ("good", "current"):
            folder.point(name, OLD)
        self.boot()

    @property
    def folder(self) -> ReleaseFolder:
        return ReleaseFolder(self.opt, self.calls)

    def broken(self) -> str:
        by = {"release": self.running == NEW, "configuration": self.started.config.sound.volume == 0.5}
        return "camera" if by.get(self.bad) else ""

    def boot(self) -> None:
        self.gate_boot()
        self.updater_boot()

    def gate_boot(self) -> None:
        self.running = self.folder.version_at("current")
        with (self.run / "starts").open("ab") as file:
            file.write(b"x")
        self.started = start(self.file, self.calls)
        self.governor = Governor(self.started, self.at)
        self.door = ReleaseDoor(self.data, str(self.opt), str(self.run), self.at, self.folder.path(self.running))
        if self.retained is not None:
            self.governor.hear(self.retained)

    def updater_boot(self) -> None:
        self.updater = Updater(self.folder, self.data, self.run, Jobs(self), monotonic=lambda: self.at, boot="boot")

    def reported(self, said: Reported) -> None:
        self.said.append(said)

    def publish(self, text: str = "[sound]\nvolume = 0.5\n", version: int = 1) -> None:
        self.retained = Desired(unit="north", version=version, at_ms=0, settings=text)
        self.governor.hear(self.retained)

    def wish(self, version: str = NEW, name: str = "w1") -> None:
        (self.data / ASK_FILE).write_bytes(msgspec.json.encode(Wish(version, name, "li")))

    def gate_turn(self) -> None:
        works = self.lane.working
        self.lane.notes += [": ".join(news) for news in self.door.attend(self.at, camera=works["camera"], sensor=works["sensor"])]
        is_to_end = self.governor.attend(self.at, self.lane, self, self.door)
        self.look()
        if is_to_end or self.door.is_to_end(self.at, self.lane.may_end):
            self.gate_boot()
            self.look()

    def updater_turn(self) -> None:
        if self.updater.turn():
            self.updater_boot()
        self.look()

    def look(self) -> None:
        """What is promised: of the two notes at most one says that a trial is under way."""
        assert not (self.release_on_trial and is_configuration_on_trial(self.data))

    @property
    def release_on_trial(self) -> bool:
        return self.folder.read().trial is not None

    def held(self) -> Held:
        held = read(self.data / FILE)
        assert isinstance(held, Held)
        return held

    def go_on(self, seconds: float) -> None:
        until = self.at + seconds
        while self.at < until:
            self.gate_turn()
            self.updater_turn()
            self.at += self.step_s

    def now(self) -> tuple[str, SettingsState]:
        """The release that is good, and what was last said of the configuration."""
        assert self.folder.version_at("current") == self.folder.version_at("good") == self.running
        return self.running, self.said[-1].state


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    yield Machine(tmp_path)


def test_one_begins_a_trial_and_the_other_sees_it(tmp_path: Path) -> None:
    with alone(tmp_path) as first, alone(tmp_path) as second:
        assert (first, second) == (True, False)
    with alone(tmp_path) as again:
        assert again
    with alone(tmp_path / "gone") as nobody_knows:
        assert not nobody_knows
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_waits_for_a_release_on_trial_and_says_so(machine: Machine) -> None:
    machine.wish()
    machine.go_on(2 * STEP_S)
    assert machine.release_on_trial
    machine.publish()
    machine.go_on(200.0)
    said = machine.said[-1]
    why = "version 1 waits: release 0.2.0 is on trial"
    assert (said.version, said.state, said.in_force, said.faults) == (1, SettingsState.WAITING, 0, [why])
    assert machine.held().newest == 0, "not taken: it is not used up, and comes again"
    assert machine.lane.notes.count(f"configuration: {why}") == 2, "once by the gate before, once by the one on trial"
    machine.go_on(180.0)
    assert not machine.release_on_trial
    assert (machine.said[-1].state, machine.said[-1].faults) == (SettingsState.TRIAL, [])
    machine.go_on(340.0)
    assert machine.now() == (NEW, SettingsState.APPLIED)


def test_those_that_wait_are_taken_in_order_and_one_with_faults_uses_up_its_own_version_alone(machine: Machine) -> None:
    machine.wish()
    machine.go_on(4 * STEP_S)
    machine.publish()
    machine.publish("[sound]\nvolume = 7.0\n", 2)
    machine.publish("[sound]\nvolume = 7.0\n", 2)
    machine.go_on(60.0)
    assert (machine.said[-1].version, machine.said[-1].state) == (2, SettingsState.WAITING)
    machine.go_on(700.0)
    assert machine.now() == (NEW, SettingsState.REJECTED)
    assert machine.started.config.sound.volume == 0.5
    assert (machine.held().newest, machine.held().good.version) == (2, 1)


def test_a_release_waits_for_a_configuration_on_trial_and_says_so(machine: Machine) -> None:
    machine.publish()
    machine.go_on(2 * STEP_S)
    machine.wish()
    machine.go_on(200.0)
    said = read_updater(machine.run)
    assert said is not None
    why = "release 0.2.0 waits: a configuration from afar is on trial"
    assert (said.phase, said.trouble, said.is_final) == (Phase.WAITING, why, False)
    assert f"update_waits: {why}" in machine.lane.notes
    assert machine.folder.version_at("current") == OLD
    machine.go_on(200.0)
    assert (machine.release_on_trial, machine.said[-1].state) == (True, SettingsState.APPLIED)
    said = read_updater(machine.run)
    assert said is not None
    assert said.trouble == ""
    machine.go_on(340.0)
    assert machine.now() == (NEW, SettingsState.APPLIED)


def test_a_configuration_that_waits_for_its_lane_comes_first_too(machine: Machine) -> None:
    machine.lane.is_free = True
    machine.publish()
    machine.wish()
    machine.go_on(1000.0)
    assert (machine.said[-1].state, machine.updater.state.phase) == (SettingsState.WAITING, Phase.WAITING)
    machine.lane.is_free = False
    machine.go_on(900.0)
    assert machine.now() == (NEW, SettingsState.APPLIED)


@pytest.mark.parametrize("kind", [Learn, Fetch, Install, Test])
def test_a_configuration_may_come_at_any_step_before_the_switch(machine: Machine, kind: type[Job]) -> None:
    machine.during[kind] = machine.publish
    machine.wish()
    machine.go_on(2 * STEP_S)
    assert (machine.updater.state.phase, machine.held().newest) == (Phase.WAITING, 1)
    machine.go_on(700.0)
    assert machine.now() == (NEW, SettingsState.APPLIED)


def test_a_test_that_failed_with_a_configuration_on_trial_is_made_again_with_what_came_of_it(machine: Machine) -> None:
    machine.bad = "configuration"
    machine.during[Test] = machine.publish
    machine.outcomes[Test] = Failed(Fate.REFUSED, "release 0.2.0: its test: this release does not take version 1")
    machine.wish()
    machine.go_on(2 * STEP_S)
    assert machine.folder.read().refused == {}
    machine.go_on(900.0)
    assert machine.now() == (NEW, SettingsState.FELL_BACK)


def test_whoever_comes_while_the_other_writes_waits_a_moment(machine: Machine) -> None:
    with alone(machine.data):
        machine.publish()
        machine.gate_turn()
        assert machine.said[-1].faults == ["version 1 waits: a release is about to be on trial"]
    machine.go_on(3 * STEP_S)
    assert machine.said[-1].state is SettingsState.TRIAL


def test_the_updater_too_waits_a_moment(machine: Machine) -> None:
    machine.wish()
    with alone(machine.data):
        machine.updater_turn()
        machine.updater_turn()
        assert (machine.updater.state.phase, machine.release_on_trial) == (Phase.WAITING, False)
    machine.updater_turn()
    assert machine.release_on_trial


def test_a_newer_wish_counts_while_one_waits(machine: Machine) -> None:
    machine.lane.is_free = True
    machine.publish()
    machine.wish()
    machine.go_on(100.0)
    machine.wish("0.3.0", "w2")
    machine.go_on(100.0)
    assert (machine.updater.state.phase, machine.updater.state.kept.wanted) == (Phase.WAITING, "0.3.0")
    machine.lane.is_free = False
    machine.go_on(900.0)
    assert machine.running == "0.3.0"


def test_a_gate_that_still_runs_what_was_gone_back_from_takes_no_configuration(machine: Machine) -> None:
    machine.bad = "release"
    machine.wish()
    machine.go_on(100.0)
    machine.lane.is_free = True
    machine.go_on(100.0)
    assert (machine.running, machine.folder.version_at("current"), machine.release_on_trial) == (NEW, OLD, False)
    machine.publish()
    machine.go_on(100.0)
    assert machine.said[-1].faults == ["version 1 waits: release 0.1.0 is to run in place of 0.2.0"]
    machine.lane.is_free = False
    machine.go_on(100.0)
    held = machine.held()
    assert held.trial is not None
    assert held.trial.worked == ("camera", "sensor"), "asked of the release that is good"


def counted(calls: list[int]) -> FolderCalls:
    """Calls that are counted."""

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any) -> Any:
            calls.append(1)
            return call(*arguments)

        return made

    return FolderCalls(**{each.name: wrap(getattr(CALLS, each.name)) for each in fields(CALLS)})


def release_first(machine: Machine) -> None:
    machine.wish()
    machine.go_on(2 * STEP_S)
    machine.publish()


def configuration_first(machine: Machine) -> None:
    machine.publish()
    machine.go_on(2 * STEP_S)
    machine.wish()


def during_the_test(machine: Machine) -> None:
    machine.during[Test] = machine.publish
    machine.wish()


@pytest.mark.parametrize(
    ("story", "bad", "end"),
    [
        (release_first, "release", (OLD, 1)),
        (configuration_first, "configuration", (NEW, 0)),
        (during_the_test, "", (NEW, 1)),
    ],
)
def test_the_power_may_go_at_every_write_of_either(
    tmp_path: Path, story: Callable[[Machine], None], bad: str, end: tuple[str, int]
) -> None:
    def tell(machine: Machine) -> None:
        machine.step_s = 50.0
        story(machine)
        machine.go_on(STORY_S)

    calls: list[int] = []
    whole = Machine(tmp_path / "whole", bad=bad)
    whole.calls = counted(calls)
    whole.boot()
    tell(whole)
    assert (whole.running, whole.held().good.version) == end
    total = len(calls)
    assert total > 40
    for number in range(total):
        machine = Machine(tmp_path / str(number), bad=bad)
        machine.calls = cut_after(number, "before")
        with pytest.raises(PowerCut):
            machine.boot()
            tell(machine)
        machine.calls = CALLS
        machine.look()
        machine.boot()
        machine.look()
        if machine.retained is None:
            machine.publish()
        if not (machine.data / ASK_FILE).exists():
            machine.wish()
        machine.go_on(STORY_S)
        assert (machine.running, machine.held().good.version) == end, f"cut before call {number}"
        assert machine.folder.version_at("current") == machine.folder.version_at("good") == end[0]
