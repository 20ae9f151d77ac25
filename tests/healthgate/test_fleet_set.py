"""`healthgate fleet set` and `fleet diff`: the plan first, values checked, canaries before the rest."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from edge.afar import settable
from edge.config import Config
from healthcode.desired import digest_settings, read_settings
from healthcode.messages import Reported, Setting, encode
from healthcode.terms import SettingsState
from healthgate.fleet import app
from healthgate.fleet_plan import PlanError
from healthgate.fleet_set import Unset, read_changes
from server.fleet import Fleet
from server.office import Office
from server.store import desired
from server.store.desired import ReportedRow
from tests.server.office import Clock, Town

LIMIT_S = 60.0
OWN = settable(Config(unit="x", hardware="pi", data="x", roots=("x",)))


class Desk:
    """An operator's desk on a town's folder, with three units that report what a test lets them."""

    def __init__(self, folder: Path) -> None:
        self.town = Town(folder / "town")
        self.config = self.town.configure()
        self.office: Office = self.town.open(Clock(time.time()))
        for unit in ("hall-1", "hall-2", "north"):
            Fleet(self.office.store, time.time).add(unit)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(self.config)])

    def set(self, *words: str) -> Result:
        return self.run("set", *words, "--reason", "neighbours", "--yes")

    def reports(self, unit: str, state: SettingsState = SettingsState.APPLIED, *faults: str) -> None:
        """The unit says that this became of what it is to have."""
        wanted = self.office.desires.see()[unit]
        row, is_good = wanted.desired, state in (SettingsState.APPLIED, SettingsState.TRIAL)
        said_by_server = read_settings(row.settings) if row is not None and is_good else {}
        settings = msgspec.convert({**OWN, **said_by_server}, dict[str, Setting])
        said = Reported(
            unit=unit,
            version=wanted.version,
            state=state,
            in_force=wanted.version if is_good else 0,
            digest=digest_settings(settings),
            settings=settings,
            faults=list(faults),
        )
        with self.office.store.write() as tx:
            desired.put_reported(tx, [ReportedRow(unit, int(time.time() * 1000), encode(said).decode())])

    def text(self, unit: str) -> str | None:
        row = self.office.desires.see()[unit].desired
        return None if row is None else row.settings


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.office.store.close()


@pytest.fixture(scope="module")
def quiet_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk at which nothing is ever set."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.reports("north")
    yield desk
    desk.office.store.close()


def test_the_plan_is_shown_before_anything_is_set(desk: Desk) -> None:
    desk.reports("hall-1")
    result = desk.run("set", "hall-*", "sound.volume=0.5", "--reason", "neighbours")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "set sound.volume: 2 units" in result.stderr
    assert "version 1: sound.volume 1.0 → 0.5" in result.stderr
    assert "nothing was done: nobody can be asked here: expected --yes" in result.stderr
    assert desk.text("hall-1") is None


def test_set_change_and_give_back(desk: Desk) -> None:
    first = desk.set("hall-*", "sound.volume=0.5", "sound.night_from=21:30", "camera.roi=[0, 0, 1, 0.8]")
    assert (first.exit_code, "it goes out when there is a key for it: healthgate keys rotate" in first.stderr) == (0, True)
    assert desk.text("hall-2") == '[camera]\nroi = [0, 0, 1, 0.8]\n\n[sound]\nnight_from = "21:30"\nvolume = 0.5\n'
    assert desk.text("north") is None
    assert desk.set("hall-2", "sound.night_from=", "camera.roi=").exit_code == 0
    assert desk.text("hall-2") == "[sound]\nvolume = 0.5\n"
    (row,) = desk.office.desires.history("hall-2", 1)
    assert (row.version, row.reason, row.set_by.startswith("uid ")) == (2, "neighbours", True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["north", "sound.volume=3"], "north: sound.volume = 3: expected a number from 0 to 1"),
        (["north", "sound.volum=0.5"], "north: unknown key sound.volum (did you mean sound.volume?): expected one of volume"),
        (["north", "pins.relay=23"], "north: pins.relay = 23: this key is set at the unit alone: expected one that docs/configuration.md"),
        (["north", "camera.source=/srv/pictures"], 'north: camera.source = "/srv/pictures": expected from afar picamera2, simulated or'),
        (["north", "lane.window_s=20"], "north: lane.accessible_window_s = 15.0"),
        (["west", "sound.volume=0.5"], "'west' means no unit: expected a name or a pattern of one such as hall-1, hall-2, north"),
        (["north"], "expected a unit, or a pattern of some, and KEY=VALUE"),
        (["sound.volume=0.5"], "expected a unit, or a pattern of some, and KEY=VALUE"),
        (["north", "volume=0.5"], "'volume=0.5': expected KEY=VALUE with a key such as sound.volume"),
        (["north", "sound.volume=0.5", "sound.volume=0.6"], "sound.volume: expected once, found twice"),
    ],
)
def test_what_no_unit_could_take_is_one_line_and_sets_nothing(quiet_desk: Desk, words: list[str], said: str) -> None:
    result = quiet_desk.set(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"healthgate fleet: {said}")
    assert quiet_desk.text("north") is None


def test_of_a_unit_that_never_reported_only_what_is_certain_is_refused(desk: Desk) -> None:
    assert desk.set("north", "lane.window_s=20").exit_code == 0, "its own file may have a longer window for releases"
    assert desk.set("hall-1", "lane.window_s=20", "lane.accessible_window_s=10").exit_code == 2


@pytest.mark.parametrize("state", [SettingsState.APPLIED, SettingsState.FELL_BACK])
def test_the_rest_follows_when_the_canary_came_through_and_only_then(desk: Desk, state: SettingsState) -> None:
    found: list[Result] = []
    asked = threading.Thread(target=lambda: found.append(desk.set("*", "sound.volume=0.5", "--canary", "1")))
    asked.start()
    until = time.monotonic() + LIMIT_S
    while desk.text("hall-1") is None and time.monotonic() < until:
        time.sleep(0.01)
    assert desk.text("hall-1") is not None
    assert (desk.text("hall-2"), desk.text("north")) == (None, None)
    desk.reports("hall-1", SettingsState.TRIAL)
    desk.reports("hall-1", state, *(["the camera worked before"] if state is SettingsState.FELL_BACK else []))
    asked.join(LIMIT_S)
    (result,) = found
    is_well = state is SettingsState.APPLIED
    assert result.exit_code == (0 if is_well else 1)
    assert (desk.text("hall-2") is not None, desk.text("north") is not None) == (is_well, is_well)
    assert ("2 others keep what they have" in result.stderr) is not is_well


def test_diff_shows_what_differs_the_worst_first(desk: Desk) -> None:
    assert "3 units have what they are to have" in desk.run("diff").stdout
    desk.set("*", "sound.volume=0.5")
    desk.reports("hall-1", SettingsState.FELL_BACK, "version 1 was taken back: the camera worked before, and has not for 30 s")
    desk.reports("hall-2")
    shown = desk.run("diff").stdout
    assert shown.splitlines() == [
        "hall-1  ✘ fell back: version 1 wanted, its own file in force",
        "          sound.volume = 1.0, is to be 0.5",
        "          version 1 was taken back: the camera worked before, and has not for 30 s",
        "north   … has not taken it yet: version 1 wanted, nothing was heard",
    ]
    rows = [json.loads(line) for line in desk.run("diff", "--all", "--json").stdout.splitlines()]
    assert [(row["unit"], row["state"], row["in_force"]) for row in rows] == [
        ("hall-1", "fell_back", 0),
        ("north", "unheard", None),
        ("hall-2", "applied", 1),
    ]
    assert rows[0]["differences"] == {"sound.volume": {"wanted": 0.5, "in_force": 1.0}}
    assert rows[0]["reason"] == "neighbours"


def test_json_for_programs(desk: Desk) -> None:
    result = desk.set("hall-*", "sound.volume=0.5", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["unit"], row["version"], row["state"], row["settings"]) for row in rows] == [
        (unit, 1, "unheard", "[sound]\nvolume = 0.5\n") for unit in ("hall-1", "hall-2")
    ]


def test_values_are_toml_or_texts_as_they_are_typed() -> None:
    typed = ["a.int=20", "a.float=0.5", "a.yes=true", "a.list=[1, 2]", "a.time=21:30", "a.path=/dev/video0", 'a.quoted="x"', "a.gone="]
    assert read_changes(typed) == {
        "a.int": 20,
        "a.float": 0.5,
        "a.yes": True,
        "a.list": [1, 2],
        "a.time": "21:30",
        "a.path": "/dev/video0",
        "a.quoted": "x",
        "a.gone": Unset,
    }
    assert read_changes(["a.odd=1\nb = 2"]) == {"a.odd": "1\nb = 2"}, "one value, not a second key"
    with pytest.raises(PlanError):
        read_changes(["=x"])
