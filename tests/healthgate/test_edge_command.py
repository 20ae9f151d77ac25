"""`healthgate edge check`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from healthcode.cose import SoftwareKey
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
