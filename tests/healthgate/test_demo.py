"""`healthgate demo`: folders that it cannot use."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from healthgate import demo
from healthgate.__main__ import COMMANDS


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
