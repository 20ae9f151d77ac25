"""The updater on a disk: every power cut between two of its writes, full disks, and what it says."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import lane, releasedoor
from edge.config import Updates
from edge.releasedoor import ReleaseDoor, UpdaterSays, wish
from edge.releasefolder import FOLDER_CALLS, WHOLE, FolderCalls, ReleaseFolder, ReleaseFolderError
from edge.restarts import PATIENCE_S
from edge.updater import Updater
from edge.updates import DEVICE_S, TRIAL_S, Failed, Fate, Fetch, Install, Job, Learn, Phase, Test
from edge.venvs import own_platform
from healthcode.messages import Release
from healthcode.terms import LaneMode
from tests.edge.unit_bench import Bench

OLD, NEW, NEWER = "0.1.0", "0.2.0", "0.3.0"
HASH = bytes(range(32))


CALLS = FolderCalls(**{**vars(FOLDER_CALLS), "fsync": lambda _: None, "sync": lambda: None})
"""Without waiting for the disk: a busy machine's takes seconds, and what an unsynced write loses is not looked at here."""


class PowerCut(BaseException):
    """Everything ends here."""


def cut_after(number: int, how: str) -> FolderCalls:
    """Calls of which the one with this number is not made and nothing after it: the power goes before it, or right after it."""
    count = itertools.count()

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any) -> Any:
            if next(count) == number:
                if how == "after":
                    with suppress(FileNotFoundError):  # as the code itself expects it
                        call(*arguments)
                raise PowerCut
            return call(*arguments)

        return made

    return FolderCalls(**{each.name: wrap(getattr(CALLS, each.name)) for each in fields(CALLS)})


class PlainJobs:
    """Fetching and installing as a few files, by the same calls as the rest; `faults` are outcomes that come first."""

    def __init__(self, folder: ReleaseFolder, calls: FolderCalls = CALLS, faults: dict[type[Job], list[Failed]] | None = None) -> None:
        self.folder, self.calls, self.faults, self.done = folder, calls, faults or {}, list[type[Job]]()

    def do(self, job: Job) -> Release | Failed | None:
        if self.faults.get(type(job)):
            return self.faults[type(job)].pop(0)
        match job:
            case Learn(version=version):
                return Release(version=version, after=OLD, size=9, sha256=HASH, platforms=[own_platform()], signed_at=0)
            case Fetch():
                self.folder.incoming.mkdir(exist_ok=True)
                self._write(self.folder.incoming / "bundle.zip")
            case Install(release=release):
                if not self.folder.is_whole(release.version, release.sha256):
                    path = self.folder.begin(release.version)
                    for name in ("python", "code"):
                        self._write(path / name)
                    self.folder.finish(release.version, release.sha256)
            case Test(release=release):
                assert all((self.folder.path(release.version) / name).read_bytes() == b"data" for name in ("python", "code"))
        return None

    def _write(self, path: Path) -> None:
        file = self.calls.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self.calls.write(file, b"data")
        os.close(file)


class House:
    """A unit's disk, with a gate beside the updater that is always started as what `current` names."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.run = path / "opt", path / "data", path / "run"
        for each in (self.path, self.data, self.run):
            each.mkdir()
        self.at = 1000.0
        self.devices = {OLD: (True, True)}
        self.running, self.since = "", 0.0
        folder = self.folder
        (folder.begin(OLD) / "python").write_bytes(b"data")
        folder.finish(OLD, bytes(32))
        for name in ("good", "current"):
            folder.point(name, OLD)

    @property
    def settings(self) -> Updates:
        return Updates(folder=str(self.path), run=str(self.run))

    @property
    def folder(self) -> ReleaseFolder:
        return ReleaseFolder(self.path, CALLS)

    def updater(self, calls: FolderCalls = CALLS, faults: dict[type[Job], list[Failed]] | None = None) -> Updater:
        folder = ReleaseFolder(self.path, calls)
        return Updater(folder, self.data, self.run, PlainJobs(folder, calls, faults or {}), monotonic=lambda: self.at, boot="boot")

    def gate_turn(self) -> None:
        """The gate goes on as what `current` names, and says how it is."""
        current = self.folder.version_at("current")
        if current != self.running:
            self.running, self.since = current, self.at
            with (self.run / "starts").open("ab") as file:
                file.write(b"x")
        camera, sensor = self.devices.get(current, (True, True))
        ReleaseDoor(self.data, str(self.path), str(self.run), self.since, self.folder.path(current)).attend(
            self.at, camera=camera, sensor=sensor
        )

    def run_on(self, updater: Updater, seconds: float, step_s: float = 20.0) -> None:
        """Time goes by; an updater that ends is started anew, from what is good."""
        until = self.at + seconds
        while self.at < until:
            self.gate_turn()
            if updater.turn():
                updater = self.updater()
            self.at += step_s

    def look(self) -> tuple[str, str]:
        """(current, good), both whole: ReleaseFolderError, and the test fails, where one cannot be started from."""
        return self.folder.version_at("current"), self.folder.version_at("good")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def ask(house: House, version: str = NEW, name: str = "w1") -> None:
    house.updater().turn()  # it has said that it is there
    assert wish(house.data, house.settings, version, name, "li") is None


def releases(house: House) -> set[str]:
    return {path.name for path in (house.path / "releases").iterdir()}


def test_a_release_comes_proves_itself_and_the_one_before_is_kept(house: House) -> None:
    ask(house)
    house.run_on(house.updater(), TRIAL_S + 60)
    assert house.look() == (NEW, NEW)
    assert releases(house) == {OLD, NEW}
    ask(house, NEWER, "w2")
    house.run_on(house.updater(), TRIAL_S + 60)
    assert house.look() == (NEWER, NEWER)
    assert releases(house) == {NEW, NEWER}, "the one before, and no more"
    assert not house.folder.incoming.exists()


def count_calls(house: House, seconds: float) -> int:
    """How many calls a whole story makes."""
    count = itertools.count()

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: (next(count), call(*arguments))[1]

    calls = FolderCalls(**{each.name: wrap(getattr(CALLS, each.name)) for each in fields(CALLS)})
    updater = house.updater(calls)
    until = house.at + seconds
    while house.at < until:
        house.gate_turn()
        if updater.turn():
            updater = house.updater(calls)
        house.at += 20.0
    return next(count)


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize(("works", "end"), [(True, NEW), (False, OLD)], ids=["it proves itself", "it goes back"])
def test_the_power_may_go_at_every_write(tmp_path: Path, how: str, works: bool, end: str) -> None:
    def make(name: str) -> House:
        (tmp_path / name).mkdir()
        house = House(tmp_path / name)
        house.devices[NEW] = (works, True)
        house.gate_turn()
        ask(house)
        return house

    story_s = TRIAL_S + DEVICE_S + 30
    total = count_calls(make("counted"), story_s)
    assert total > 25
    for number in range(total):
        house = make(str(number))
        calls = cut_after(number, how)
        with pytest.raises(PowerCut):
            updater = house.updater(calls)
            for _ in range(50):
                house.gate_turn()
                if updater.turn():
                    updater = house.updater(calls)
                house.at += 20.0
        current, good = house.look()
        assert {current, good} <= {OLD, NEW}
        house.running = ""  # the gate, too, is started anew
        house.run_on(house.updater(), story_s)
        assert house.look() == (end, end), f"cut {how} call {number}"
        assert releases(house) <= {OLD, NEW}
        assert (NEW in house.folder.read().refused) is not works


@pytest.mark.parametrize("kind", [Learn, Fetch, Install])
def test_a_fault_is_named_and_what_runs_goes_on_until_another_try_mends_it(house: House, kind: type[Job]) -> None:
    ask(house)
    updater = house.updater(faults={kind: [Failed(Fate.AGAIN, "release 0.2.0: the disk is full")]})
    house.gate_turn()
    updater.turn()
    updater.turn()
    assert house.look() == (OLD, OLD)
    said = releasedoor.read_updater(house.run)
    assert said == UpdaterSays(Phase.RESTING, OLD, OLD, NEW, "w1", "release 0.2.0: the disk is full")
    house.run_on(updater, TRIAL_S + 120)
    assert house.look() == (NEW, NEW)


def test_a_disk_that_takes_no_note_ends_the_updater_and_not_the_gate(house: House) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    ask(house)
    updater = house.updater(FolderCalls(**{**vars(CALLS), "write": full}))
    house.gate_turn()
    with pytest.raises(OSError, match="No space"):
        updater.turn()
    assert house.look() == (OLD, OLD)
    house.run_on(house.updater(), TRIAL_S + 60)
    assert house.look() == (NEW, NEW), "once there is room, the wish that stands is granted"


def test_a_wish_that_cannot_be_granted_is_answered_at_once(house: House) -> None:
    house.devices[NEW] = (False, True)
    ask(house)
    house.run_on(house.updater(), DEVICE_S + 120)
    assert house.look() == (OLD, OLD)
    assert releases(house) == {OLD}, "what was refused takes no room"
    again = wish(house.data, house.settings, NEW, "w2", "li")
    assert again is not None
    assert again.startswith("release 0.2.0 is refused here: the camera worked before and has not for 120 s")
    older = wish(house.data, house.settings, "0.0.9", "w3", "li")
    assert older == "release 0.0.9: 0.1.0 runs, expected a newer one"
    assert wish(house.data, Updates(), NEWER, "w4", "li") == "updates.folder is not set: this unit is not updated from afar"


def test_a_wish_without_an_updater_is_answered_so(house: House) -> None:
    assert "is the service healthgate-updates enabled" in (wish(house.data, house.settings, NEW, "w1", "li") or "")
    assert not (house.data / "update.ask").exists()


def test_the_gate_tells_each_piece_of_news_once_also_over_a_restart(house: House) -> None:
    told: list[tuple[str, str]] = []
    ask(house)
    updater = house.updater(faults={Fetch: [Failed(Fate.AGAIN, "cut off")]})
    for _ in range(90):
        current = house.folder.version_at("current")
        if current != house.running:
            house.running, house.since = current, house.at
        prefix = house.folder.path(current)
        door = ReleaseDoor(house.data, str(house.path), str(house.run), house.since, prefix)
        told += door.attend(house.at, camera=True, sensor=True)
        if updater.turn():
            updater = house.updater()
        house.at += 5.0
    assert told == [
        ("update_waits", "cut off"),
        ("update_trial", "release 0.2.0"),
        ("update_done", "release 0.2.0 has proved itself"),
    ]


def test_the_gate_ends_for_another_release_when_nobody_loses_by_it(house: House, tmp_path: Path) -> None:
    (tmp_path / "gate").mkdir()
    bench = Bench(tmp_path / "gate")
    door = ReleaseDoor(house.data, str(house.path), str(house.run), 0.0, house.folder.path(OLD))
    door.attend(1.0, camera=True, sensor=True)
    assert not door.is_to_end(1.0, bench.unit.may_end), "it is the one that is to run"
    (house.folder.begin(NEW) / "python").write_bytes(b"data")
    house.folder.finish(NEW, HASH)
    house.folder.point("current", NEW)
    door.attend(5.0, camera=True, sensor=True)
    assert door.is_to_end(5.0, bench.unit.may_end)
    bench.give(lane.SetMode(bench.at, LaneMode.FREE, bench.at + 7200.0, "market day"))
    assert not door.is_to_end(5.0 + 7000.0, bench.unit.may_end)
    bench.give(lane.SetMode(bench.at, LaneMode.CONTROLLED))
    bench.give(lane.Fire(bench.at, True))
    assert not door.is_to_end(5.0 + 7000.0, bench.unit.may_end)
    bench.give(lane.Fire(bench.at, False))
    bench.see(bench.code(7))
    assert not door.is_to_end(5.0 + PATIENCE_S - 1, bench.unit.may_end), "somebody shows a code"
    assert door.is_to_end(5.0 + PATIENCE_S, bench.unit.may_end)
    bench.give(lane.Beam(bench.at, True))
    assert not door.is_to_end(5.0 + PATIENCE_S, bench.unit.may_end), "somebody stands in the lane"
    bench.close()


def test_a_gate_from_a_checkout_has_nothing_to_do_with_releases(house: House, tmp_path: Path) -> None:
    door = ReleaseDoor(house.data, str(house.path), str(house.run), 0.0, tmp_path / ".venv")
    assert door.attend(1.0, camera=True, sensor=True) == []
    assert not (house.run / "gate.json").exists()
    assert not door.is_to_end(100.0, lambda _: True)


def test_a_half_made_release_is_never_started_and_is_cleared_away(house: House) -> None:
    (house.folder.begin(NEW) / "python").write_bytes(b"da")
    with pytest.raises(ReleaseFolderError, match="not whole"):
        house.folder.point("current", NEW)
        house.folder.version_at("current")
    house.updater()
    assert house.look() == (OLD, OLD)
    assert releases(house) == {OLD}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "kept": {"wanted": "x"}}', b"\xff"])
def test_notes_that_cannot_be_read_are_begun_anew(house: House, content: bytes) -> None:
    (house.path / "updates.json").write_bytes(content)
    house.updater()
    assert house.look() == (OLD, OLD)


def test_notes_of_a_newer_format_are_left_alone(house: House) -> None:
    (house.path / "updates.json").write_bytes(b'{"format": 2, "kept": {}}')
    with pytest.raises(ReleaseFolderError, match="format 2: expected 1 or less"):
        house.updater()


def test_a_folder_without_a_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseFolderError, match="expected a link to a release"):
        ReleaseFolder(tmp_path).version_at("good")
    (tmp_path / "good").symlink_to("releases/x")
    with pytest.raises(ReleaseFolderError, match="points at no release"):
        ReleaseFolder(tmp_path).version_at("good")
    assert not (tmp_path / "releases" / WHOLE).exists()
    assert msgspec.json.encode(ReleaseFolder(tmp_path).read()) == b'{"wanted":null,"wish":"","refused":{},"trial":null,"before":null}'
