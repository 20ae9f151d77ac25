"""A unit under configuration from afar: it ends in order when nobody loses by it, watches its trial, and says how it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import lane
from edge.feeds import Device, DeviceBack, DeviceLost
from edge.governor import Governor
from edge.overrides import Started, start
from edge.releasedoor import ReleaseDoor
from edge.restarts import PATIENCE_S
from healthcode.desired import digest_settings
from healthcode.messages import Desired, Reported, UnitEvent
from healthcode.terms import LaneMode, SettingsState
from tests.edge.unit_bench import Bench
from tests.gate_toml import GATE

QUIETER = "[sound]\nvolume = 0.5\n"


class Site:
    """A unit on a bench, its file and folder, and what it reports; each `boot` is a new process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "gate").mkdir()
        self.path = folder / "north.toml"
        self.path.write_text(GATE.format(folder=folder))
        self.bench = Bench(folder / "gate")
        self.releases = ReleaseDoor(folder / "data", "", "", self.bench.at)
        self.said: list[Reported] = []
        self.boot()

    def boot(self) -> None:
        self.started: Started = start(self.path)
        self.governor = Governor(self.started, self.bench.at)
        for device in Device:
            self.bench.give(DeviceBack(device, self.bench.at))
        self.said.clear()
        self.attend()

    def reported(self, said: Reported) -> None:
        self.said.append(said)

    def attend(self) -> bool:
        return self.governor.attend(self.bench.at, self.bench.unit, self, self.releases)

    def give(self, version: int, text: str = QUIETER) -> bool:
        """The server's word comes; whether the process is to end."""
        self.governor.hear(Desired(unit="north", version=version, at_ms=0, settings=text))
        return self.attend()

    def wait(self, seconds: float) -> bool:
        """Time goes by; whether the process is to end before it is over."""
        until = self.bench.at + seconds
        while self.bench.at < until:
            self.bench.wait(min(1.0, until - self.bench.at))
            if self.attend():
                return True
        return False

    def now(self) -> tuple[int, SettingsState, int]:
        """What was reported last: the newest version, what became of it, and which is in force."""
        return (self.said[-1].version, self.said[-1].state, self.said[-1].in_force)

    def told(self) -> list[str]:
        return [event.detail for event in self.bench.disk.events() if isinstance(event, UnitEvent) and event.what == "configuration"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.bench.close()


def test_from_what_the_server_says_to_what_is_in_force(site: Site) -> None:
    assert site.now() == (0, SettingsState.APPLIED, 0)
    assert site.give(1), "nobody is there: at once"
    assert site.now() == (1, SettingsState.WAITING, 0)
    site.boot()
    assert site.started.config.sound.volume == 0.5
    assert site.now() == (1, SettingsState.TRIAL, 1)
    assert not site.wait(299.0)
    assert site.now() == (1, SettingsState.TRIAL, 1)
    assert not site.wait(2.0)
    assert site.now() == (1, SettingsState.APPLIED, 1)
    assert site.said[-1].settings["sound.volume"] == 0.5
    assert site.said[-1].digest == digest_settings(site.said[-1].settings)
    assert site.told() == ["version 1: waiting", "version 1: applied"]
    site.boot()
    assert site.now() == (1, SettingsState.APPLIED, 1), "and after every start"


def test_the_same_version_again_and_an_older_one_say_nothing_new(site: Site) -> None:
    site.give(4)
    site.boot()
    site.said.clear()
    assert not site.give(4)
    assert not site.give(3, "[sound]\nvolume = 0.1\n")
    assert site.said == []


def test_faults_are_reported_and_change_nothing(site: Site) -> None:
    assert not site.give(1, "[sound]\nvolume = 3.0\nvolum = 1\n")
    assert site.now() == (1, SettingsState.REJECTED, 0)
    assert [fault.split(": expected")[0] for fault in site.said[-1].faults] == [
        "desired 1:2: sound.volume = 3.0",
        "desired 1:3: unknown key sound.volum (did you mean sound.volume?)",
    ]
    assert site.told() == [f"version 1: rejected: {site.said[-1].faults[0]}"]


def test_what_came_to_nothing_is_an_alert_until_a_later_one_is_in_force(site: Site) -> None:
    assert site.governor.trouble == ""
    site.give(1, "[sound]\nvolume = 3.0\n")
    rejected = f"version 1 was rejected: {site.said[-1].faults[0]}"
    assert site.governor.trouble == rejected
    site.boot()
    assert site.governor.trouble == rejected, "over a start, too"
    site.bench.see(site.bench.code(7))
    site.give(2)
    assert (site.now(), site.governor.trouble) == ((2, SettingsState.WAITING, 0), rejected), "not in force yet: somebody shows a code"
    site.boot()
    assert (site.now(), site.governor.trouble) == ((2, SettingsState.TRIAL, 2), "")
    site.bench.give(DeviceLost(Device.CAMERA, "gone", site.bench.at))
    site.wait(40.0)
    assert site.governor.trouble == "version 2 was taken back: the camera worked before, and has not for 30 s"
    site.boot()
    assert site.governor.trouble.startswith("version 2 was taken back")
    site.give(3, "[sound]\nvolume = 0.6\n")
    site.boot()
    site.wait(400.0)
    assert (site.now(), site.governor.trouble) == ((3, SettingsState.APPLIED, 3), "")


@pytest.mark.parametrize("device", list(Device))
def test_a_device_that_is_lost_in_a_trial_takes_it_back(site: Site, device: Device) -> None:
    site.give(1)
    site.boot()
    site.wait(60.0)
    site.bench.give(DeviceLost(device, "gone", site.bench.at))
    assert site.wait(40.0)
    assert site.now() == (1, SettingsState.FELL_BACK, 1), "in force until the process ends"
    assert site.said[-1].faults == [f"version 1 was taken back: the {device.value} worked before, and has not for 30 s"]
    site.boot()
    assert site.now() == (1, SettingsState.FELL_BACK, 0)
    assert site.started.config.sound.volume == 1.0
    assert not site.give(1), "and it stays used up"


def test_a_device_that_blinks_takes_nothing_back_and_neither_does_one_that_was_gone_before(site: Site) -> None:
    site.bench.give(DeviceLost(Device.SENSOR, "gone", site.bench.at))
    site.wait(31.0)
    site.give(1)
    site.boot()
    site.bench.give(DeviceLost(Device.SENSOR, "gone", site.bench.at))
    site.bench.give(DeviceLost(Device.CAMERA, "gone", site.bench.at))
    site.wait(20.0)
    site.bench.give(DeviceBack(Device.CAMERA, site.bench.at))
    assert not site.wait(300.0)
    assert site.now() == (1, SettingsState.APPLIED, 1)


def test_a_process_that_does_not_know_its_devices_yet_waits_until_it_does(site: Site) -> None:
    site.bench.give(DeviceLost(Device.CAMERA, "starting", site.bench.at))
    assert not site.give(1)
    assert site.now() == (0, SettingsState.APPLIED, 0)
    site.bench.give(DeviceBack(Device.CAMERA, site.bench.at))
    assert site.attend()
    held = site.started.overrides.held
    assert held.trial is not None
    assert held.trial.worked == ("camera", "sensor")


def test_it_never_ends_while_somebody_is_in_the_lane_or_shows_a_code(site: Site) -> None:
    site.bench.show(site.bench.code(7))
    assert not site.give(1)
    site.bench.walk()
    assert not site.attend(), "somebody may still be in front of it"
    assert site.wait(20.0)


def test_patience_with_a_queue_ends_but_not_with_a_person_in_the_lane(site: Site) -> None:
    site.bench.see(site.bench.code(7))
    assert not site.give(1)
    site.bench.at += PATIENCE_S + 1
    site.bench.see(site.bench.code(8))
    site.bench.give(lane.Beam(site.bench.at, True))
    assert not site.attend()
    site.bench.give(lane.Beam(site.bench.at, False))
    assert site.wait(10.0)


@pytest.mark.parametrize("what", ["fire", "free"])
def test_a_fire_and_the_mode_free_are_not_cut_short(site: Site, what: str) -> None:
    at = site.bench.at
    site.bench.give(lane.Fire(at, True) if what == "fire" else lane.SetMode(at, LaneMode.FREE, at + 7200.0, "market day"))
    site.give(1)
    assert not site.wait(700.0)
    site.bench.give(lane.Fire(site.bench.at, False) if what == "fire" else lane.SetMode(site.bench.at, LaneMode.CONTROLLED))
    assert site.wait(60.0)


def test_a_disk_that_does_not_take_it_is_asked_again(site: Site) -> None:
    data = site.folder / "data"
    data.write_text("a file where the folder should be")
    assert not site.give(1)
    assert site.now() == (0, SettingsState.APPLIED, 0)
    data.unlink()
    assert site.wait(6.0)
    assert site.now() == (1, SettingsState.WAITING, 0)


def test_a_newer_one_in_a_trial_takes_its_place_and_the_good_one_stays_good(site: Site) -> None:
    site.give(1)
    site.boot()
    site.wait(400.0)
    site.give(2, "[sound]\nvolume = 0.6\n")
    site.boot()
    assert site.give(3, "[sound]\nvolume = 0.7\n")
    site.boot()
    assert site.now() == (3, SettingsState.TRIAL, 3)
    site.bench.give(DeviceLost(Device.CAMERA, "gone", site.bench.at))
    site.wait(40.0)
    site.boot()
    assert site.now() == (3, SettingsState.FELL_BACK, 1)
