"""`healthgate edge check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge.overrides import FILE, Overrides
from edge.trial import Given, Held, Trial
from healthcode.cose import SoftwareKey
from healthcode.terms import SettingsState
from healthgate.edge import app
from tests.gate_toml import GATE

CONFIG = (
    GATE
    + """
[link]
username = "north"
password_file = "{folder}/password"
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A unit's configuration with the files that it names."""
    (tmp_path / "north.toml").write_text(CONFIG.format(folder=tmp_path))
    (tmp_path / "root.pub.pem").write_bytes(SoftwareKey.generate().public_key.to_pem())
    (tmp_path / "password").write_text("secret")
    return tmp_path


def check(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", "--config", str(folder / "north.toml"), *arguments])


def test_thresholds_that_open_together_are_one_line(folder: Path) -> None:
    with (folder / "north.toml").open("a") as file:
        file.write("[screening]\nfever_c = 38.0\nspread_c = 1.0\n")
    result = check(folder)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert "screening.fever_c = 38 with screening.spread_c = 1" in line
    assert "nobody of 39 C passes" in line


def test_good(folder: Path) -> None:
    result = check(folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "unit north" in result.stdout
    assert '"username": "north"' in check(folder, "--json").stdout


@pytest.mark.parametrize("file", ["root.pub.pem", "password", "north.toml"])
@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_used_is_one_line(folder: Path, file: str, content: bytes | None) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    result = check(folder)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert str(folder / file) in line


def afar(folder: Path, held: Held) -> None:
    """What the unit has on its disk of configurations from afar."""
    Overrides(folder / "data").keep(held)


def test_what_is_set_from_afar_is_said_with_what_the_file_has(folder: Path) -> None:
    assert "from afar: nothing; the file alone counts" in check(folder).stdout
    with (folder / "north.toml").open("a") as file:
        file.write("[sound]\nvolume = 0.8\n")
    good = Given(5, "[lane]\nwindow_s = 5\n\n[sound]\nvolume = 0.5\n")
    afar(folder, Held(6, good, None, SettingsState.REJECTED, ("desired 6:2: unknown key sound.volum",)))
    assert check(folder).stdout.splitlines()[2:] == [
        "from afar: version 5 in force, the newest is 6",
        "  version 6, rejected: desired 6:2: unknown key sound.volum",
        "  lane.window_s = 5.0; as the file has it",
        "  sound.volume = 0.5; the file has 0.8",
    ]
    said = json.loads(check(folder, "--json").stdout)
    assert (said["sound"]["volume"], said["desired"]["newest"], said["desired"]["in_force"]) == (0.5, 6, 5)
    afar(folder, Held(7, good, Trial(Given(7, "[sound]\nvolume = 0.4\n"), ("camera",), 1)))
    before = (folder / "data" / FILE).read_bytes()
    assert "from afar: version 7 on trial, the newest is 7" in check(folder).stdout
    assert (folder / "data" / FILE).read_bytes() == before, "a look is no start"


def test_what_the_unit_wrote_and_cannot_be_read_is_one_line(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / FILE).write_text("{")
    result = check(folder)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{folder / 'data' / FILE}: ")
