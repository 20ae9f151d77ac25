"""`healthgate demo`: folders that it cannot use."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from healthgate import demo
from healthgate.__main__ import COMMANDS
from healthgate.town import Town


@pytest.mark.parametrize(
    ("place", "words"), [("file", "File exists"), ("file/below", "Not a directory"), ("/proc/nope", "No such file"), ("", "not empty")]
)
def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path, place: str, words: str) -> None:
    (tmp_path / "file").write_text("in the way")
    result = CliRunner().invoke(demo.app, ["--folder", str(tmp_path / place)], env={"COLUMNS": "500"})
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_a_traceback_shows_no_local_values(name: str) -> None:
    assert importlib.import_module(COMMANDS[name].module).app.pretty_exceptions_enable is False


def test_what_a_town_writes_is_for_the_account_alone(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        Town(tmp_path / "town").close()
        assert os.umask(mask) == 0o022
    finally:
        os.umask(mask)
    files = [path for path in (tmp_path / "town").rglob("*") if path.is_file()]
    assert "registry.sqlite" in {path.name for path in files}
    assert [path for path in files if path.stat().st_mode & 0o077] == []
