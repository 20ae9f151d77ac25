"""Configuration from afar with real processes: a broker, the server, a gate and a service that starts it again whenever it ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.overrides import FILE, read
from edge.trial import Held
from healthgate import edge, fleet
from healthgate.town import Town
from server.desired import Standing, Wanted, Wish

pytestmark = pytest.mark.slow

LIMIT_S = 120.0
TRIAL = "\n[trial]\nlength_s = 10.0\nlost_s = 3.0\n"


class Service:
    """What systemd is at a gate: the process is started again whenever it ends."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look_after, daemon=True)

    def _look_after(self) -> None:
        while not self._ending.wait(0.05):
            self._town.tend()

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ending.set()
            self._thread.join(LIMIT_S)


class Desk:
    """The operator's, and a look at the gate's own disk."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.config = str(town.folder / "server.toml")

    def set(self, *words: str) -> None:
        done = CliRunner().invoke(fleet.app, ["set", "north", *words, "--reason", "a test", "--yes", "--config", self.config])
        assert done.exit_code == 0, done.output

    def north(self) -> Wanted:
        return self.town.office.desires.see()["north"]

    def alert(self) -> str:
        """What the gate's alert says of its configuration, as the server has it; empty where it is not raised."""
        (row,) = CliRunner().invoke(fleet.app, ["ls", "--json", "--config", self.config]).stdout.splitlines()
        return "".join(alert["detail"] for alert in json.loads(row)["alerts"] if alert["name"] == "configuration")

    def wait_alert(self, words: str) -> None:
        self.town.wait_until(lambda: self.alert().startswith(words), LIMIT_S, f"an alert of the configuration, which is {self.alert()!r}")

    def wait(self, what: Callable[[Wanted], bool]) -> Wanted:
        self.town.wait_until(lambda: what(self.north()), LIMIT_S, f"north, which is {self.north()}, see {self.town.gates['north'].log}")
        return self.north()

    def on_disk(self) -> Held:
        held = read(self.town.folder / "north" / FILE)
        assert isinstance(held, Held)
        return held

    def wait_disk(self, what: Callable[[Held], bool]) -> Held:
        self.town.wait_until(lambda: what(self.on_disk()), LIMIT_S, f"{self.on_disk()}, see {self.town.gates['north'].log}")
        return self.on_disk()


def stands(standing: Standing, version: int) -> Callable[[Wanted], bool]:
    return lambda wanted: wanted.standing is standing and wanted.reported is not None and wanted.reported.version == version


def test_a_day_of_configurations(tmp_path: Path) -> None:
    town = Town(tmp_path / "town", gates=("north",))
    with (tmp_path / "town" / "north.toml").open("a") as file:
        file.write(TRIAL)
    desk, gate = Desk(town), town.gates["north"]
    with town, Service(town).running():
        desk.wait(stands(Standing.OWN, 0))

        # a trial is nobody's business but the gate's: server and broker are gone while it passes
        desk.set("sound.volume=0.5")
        desk.wait_disk(lambda held: held.trial is not None and held.trial.starts == 1)
        town.server.kill()
        town.broker.kill()
        desk.wait_disk(lambda held: held.good.version == 1 and held.trial is None)
        process = gate.running
        assert process is not None
        town.broker.start()
        town.server.start()
        said = desk.wait(stands(Standing.APPLIED, 1)).reported
        assert said is not None
        assert (said.in_force, said.settings["sound.volume"]) == (1, 0.5)
        assert (gate.running, process.poll()) == (process, None), "it has not been started again"

        # a camera that is not there
        desk.set("camera.source=/dev/video97")
        desk.wait(stands(Standing.FELL_BACK, 2))
        desk.wait_alert("version 2 was taken back: the camera worked before")
        said = desk.wait(lambda north: north.reported is not None and north.reported.in_force == 1).reported
        assert said is not None
        assert said.faults[0].startswith("version 2 was taken back: the camera worked before, and has not for")
        assert (said.settings["camera.source"], said.settings["sound.volume"]) == ("simulated", 0.5)
        desk.wait(lambda _: town.is_ready("north"))
        checked = CliRunner().invoke(edge.app, ["check", "--config", str(town.folder / "north.toml")])
        assert "from afar: version 1 in force, the newest is 2" in checked.stdout
        assert "sound.volume = 0.5; the file has 1.0" in checked.stdout
        assert "version 2, fell back: version 2 was taken back: the camera" in checked.stdout

        # the power is cut in every start of a trial
        desk.set("lane.pulse_s=0.7")
        for start in (1, 2, 3):
            desk.wait_disk(lambda held, start=start: held.trial is not None and held.trial.starts == start)  # type: ignore[misc]
            assert gate.running is not None
            gate.running.kill()
        said = desk.wait(stands(Standing.FELL_BACK, 3)).reported
        assert said is not None
        assert len(said.faults) == 1
        assert "was started 3 times and never came to the end of the trial: it ended each time without a word" in said.faults[0]
        assert said.in_force == 1

        # no unit could take it, and the server that signs it did not know: rejected, with every fault
        wanted = desk.north()
        town.office.desires.set([Wish("north", "[sound]\nvolume = 3\n\n[pins]\nrelay = 24\n", wanted.version)], "a test", "none")
        said = desk.wait(stands(Standing.REJECTED, 4)).reported
        assert said is not None
        assert [fault.split(": ")[1] for fault in said.faults] == ["sound.volume = 3", "pins.relay = 24"]
        shown = json.loads(CliRunner().invoke(fleet.app, ["diff", "--json", "--config", desk.config]).stdout)
        assert (shown["state"], shown["in_force"], shown["faults"]) == ("rejected", 1, said.faults)
        desk.wait_alert(f"version 4 was rejected: {said.faults[0]}"[:200])

        # a better one, and nobody has to clear anything
        desk.set("sound.volume=0.4")
        desk.wait(stands(Standing.TRIAL, 5))
        town.wait_until(lambda: not desk.alert(), LIMIT_S, f"no alert any more, but it says {desk.alert()!r}")
