"""`edge probe` and `edge calibrate` as an operator types them, on a simulated world, beside a unit that runs."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.calibration import Calibration
from edge.sensor_files import read_calibration
from healthcode.cose import SoftwareKey
from healthgate.world import World
from tests.gate_toml import GATE

pytestmark = pytest.mark.slow

LIMIT_S = 60.0
CONFIG = (
    GATE
    + """
[camera]
source = "simulated"

[sensor]
settle_s = 0.01
retry_pause_s = 0.001
"""
)


class Site:
    """One gate's folder and world."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "gate.toml"
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / "root.pub.pem").write_bytes(SoftwareKey.generate().public_key.to_pem())
        self.world = World(folder / "w")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "healthgate", "edge", arguments[0], "--config", str(self.config), *arguments[1:]]

    def type(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S, stdin=subprocess.DEVNULL)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.world.close()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_probe_says_words_and_what_they_mean(site: Site) -> None:
    site.world.set("north", skin_c=34.2)
    done = site.type("probe", "--count", "5", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = lines(done.stdout)
    assert len(said) == 5
    for line in said:
        assert line["object_word"] * 0.02 - 273.15 == pytest.approx(34.2, abs=0.3)
        assert line["skin_c"] == pytest.approx(34.2, abs=0.2)
        assert line["ambient_c"] == pytest.approx(25.0, abs=0.2)
        assert line["body_c"] == pytest.approx(36.65, abs=0.1)
        assert line["fault"] is None
    assert said[-1]["screening"] == "NORMAL"


def test_probe_of_a_dead_sensor_has_no_number_and_status_1(site: Site) -> None:
    site.world.set("north", sensor="unplugged")
    done = site.type("probe", "--count", "6", "--json")
    assert done.returncode == 1
    said = lines(done.stdout)
    assert {line["fault"] for line in said} == {"NO_ANSWER"}
    assert {line[name] for line in said for name in ("skin_c", "body_c", "object_word")} == {None}
    assert said[-1]["screening"] == "SENSOR_FAULT"


def test_probe_reads_well_without_a_terminal(site: Site) -> None:
    site.world.set("north", skin_c=36.4)
    done = site.type("probe", "--count", "4")
    assert done.returncode == 0
    assert "MLX90614 DCC" in done.stdout
    assert "not calibrated" in done.stdout
    assert "■ FEVER_SUSPECTED" in done.stdout
    assert "\x1b" not in done.stdout


def calibrate(site: Site, *more: str) -> tuple[int, list[dict[str, Any]]]:
    """`edge calibrate --json`, with a black body that is set as it says."""
    command = site.command("calibrate", "--json", "--operator", "Guard Wang", "--samples", "10", *more)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(json.loads(line))
            if said[-1]["event"] == "set":
                site.world.set("north", skin_c=said[-1]["black_body_c"])
        return process.wait(LIMIT_S), said


def test_calibrate_keeps_what_it_finds_and_probe_uses_it(site: Site) -> None:
    site.world.set("north", error_c=-0.3, emissivity=0.99)
    status, said = calibrate(site)
    assert status == 0
    assert [line["black_body_c"] for line in said if line["event"] == "point"] == [35.0, 37.0, 39.0]
    assert said[-1]["event"] == "calibrated"
    kept = read_calibration(site.folder / "data" / "calibration.json")
    assert isinstance(kept, Calibration)
    assert kept.offset_c == pytest.approx(0.3, abs=0.05)
    assert kept.operator == "Guard Wang"
    site.world.set("north", skin_c=34.2, emissivity=0.98)
    (*_, last) = lines(site.type("probe", "--count", "5", "--json").stdout)
    assert last["skin_c"] == pytest.approx(34.2, abs=0.2)


def test_a_calibration_that_is_refused_leaves_the_last_one(site: Site) -> None:
    site.world.set("north", emissivity=0.99)
    assert calibrate(site)[0] == 0
    before = (site.folder / "data" / "calibration.json").read_bytes()
    site.world.set("north", error_c=0.8)
    status, said = calibrate(site)
    assert status == 1
    assert said[-1]["event"] == "refused"
    assert "replace it" in said[-1]["detail"]
    assert (site.folder / "data" / "calibration.json").read_bytes() == before


def test_another_sensor_is_refused_until_it_is_calibrated(site: Site) -> None:
    site.world.set("north", emissivity=0.99)
    assert calibrate(site)[0] == 0
    site.world.set("north", sensor="wrong_id", skin_c=34.2)
    done = site.type("probe", "--count", "3", "--json")
    assert done.returncode == 1
    assert {line["fault"] for line in lines(done.stdout)} == {"WRONG_SENSOR"}
    assert {line["screening"] for line in lines(done.stdout)} == {"SENSOR_FAULT"}
    assert calibrate(site)[0] == 0
    site.world.set("north", skin_c=34.2)
    assert site.type("probe", "--count", "3").returncode == 0


def test_beside_a_unit_that_runs_both_are_refused_in_one_line(site: Site) -> None:
    unit = subprocess.Popen([sys.executable, "-m", "edge", str(site.config)], stderr=subprocess.PIPE, text=True)
    try:
        assert unit.stderr is not None
        assert any("gate north is up" in line for line in unit.stderr)
        for arguments in (("probe",), ("calibrate", "--yes", "--operator", "x")):
            done = site.type(*arguments)
            assert (done.returncode, done.stdout.count("\n")) == (2, 0)
            assert done.stderr == (
                f"healthgate edge {arguments[0]}: gate north is running and uses the thermometer: "
                f"stop it first (systemctl stop healthgate-edge, or kill {unit.pid} where it is no service)\n"
            )
        unit.send_signal(signal.SIGKILL)
        unit.communicate(timeout=LIMIT_S)
        assert site.type("probe", "--count", "1").returncode == 0
    finally:
        unit.kill()
        unit.communicate(timeout=LIMIT_S)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("calibrate",), "expected a terminal, or --yes"),
        (("calibrate", "--yes"), "--operator: expected a name"),
        (("calibrate", "--yes", "--operator", "x" * 81), "--operator: expected a name"),
    ],
)
def test_what_is_missing_is_said_in_one_line(site: Site, arguments: tuple[str, ...], words: str) -> None:
    done = site.type(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line


def test_without_a_world_or_a_configuration(site: Site) -> None:
    site.world.close()
    done = site.type("probe")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    site.config.unlink()
    done = site.type("probe")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert str(site.config) in done.stderr


class Terminal:
    """A command in a terminal of 120 columns."""

    def __init__(self, command: list[str]) -> None:
        self.screen = ""
        self.pid, self._handle = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever started the tests in the background had it ignored
            os.execve(command[0], command, {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"})

    def wait_for(self, words: str) -> None:
        until = time.monotonic() + LIMIT_S
        while words not in self.screen:
            ready, _, _ = select.select([self._handle], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"{words!r} never came: {self.screen[-2000:]}"
            try:
                self.screen += os.read(self._handle, 65536).decode("utf-8", "replace")
            except OSError:
                assert words in self.screen, self.screen[-2000:]

    def write(self, text: str) -> None:
        os.write(self._handle, text.encode())

    def end(self) -> int:
        """The exit status, once it has ended by itself; one that does not is killed."""
        until = time.monotonic() + LIMIT_S
        while True:
            if not select.select([self._handle], [], [], max(0.0, until - time.monotonic()))[0]:
                os.kill(self.pid, signal.SIGKILL)
            try:
                if not os.read(self._handle, 65536):
                    break
            except OSError:
                break
        os.close(self._handle)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_at_a_terminal_calibrate_asks_for_name_and_black_body(site: Site) -> None:
    site.world.set("north", error_c=0.2, emissivity=0.99)
    terminal = Terminal(site.command("calibrate", "--samples", "10"))
    terminal.wait_for("never calibrated")
    terminal.wait_for("Your name:")
    terminal.write("Li Na\r")
    for point in (35, 37, 39):
        terminal.wait_for(f"Black body at {point} °C")
        site.world.set("north", skin_c=float(point))
        terminal.wait_for("Enter when")
        terminal.screen = ""
        terminal.write("\r")
    terminal.wait_for("by Li Na")
    assert terminal.end() == 0
    kept = read_calibration(site.folder / "data" / "calibration.json")
    assert isinstance(kept, Calibration)
    assert kept.operator == "Li Na"


def test_at_a_terminal_probe_draws_and_ends_with_ctrl_c(site: Site) -> None:
    site.world.set("north", skin_c=34.2)
    terminal = Terminal(site.command("probe"))
    terminal.wait_for("object 0x07")
    terminal.wait_for("NORMAL")
    terminal.write("\x03")
    assert terminal.end() == 0
