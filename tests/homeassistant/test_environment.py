"""Which Python Home Assistant gets, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.homeassistant.environment import FITS, NAMED, Unfit, interpreter


def python(path: Path, status: int) -> str:
    """Something that answers as an interpreter which fits, or does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n[ "$*" = "-I -c {FITS}" ] && exit {status}\nexit 9\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def _ours_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", python(tmp_path / "ours", 1))


def test_the_newest_is_taken_of_pyenvs_and_uvs_where_path_has_none_that_works(tmp_path: Path) -> None:
    path = {"PATH": str(tmp_path / "shims")}
    python(tmp_path / "shims" / "python3.13", 127)
    uvs = python(tmp_path / ".local" / "share" / "uv" / "python" / "cpython-3.13.18-linux" / "bin" / "python3.13", 0)
    assert interpreter(path, tmp_path) == uvs
    python(tmp_path / ".pyenv" / "versions" / "3.13.9" / "bin" / "python3.13", 0)
    newest = python(tmp_path / ".pyenv" / "versions" / "3.13.10" / "bin" / "python3.13", 0)
    assert interpreter(path, tmp_path) == newest
    on_path = python(tmp_path / "shims" / "python3.13", 0)
    assert interpreter(path, tmp_path) == on_path
    named = python(tmp_path / "mine", 0)
    assert interpreter({**path, NAMED: named}, tmp_path) == named


def test_where_there_is_none_one_line_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match=rf"^Home Assistant wants a Python 3\.13 with venv.*install one .*{NAMED}=.*\Z"):
        interpreter({}, tmp_path)


@pytest.mark.parametrize("status", [1, None])
def test_one_that_is_named_and_does_not_fit_is_not_passed_over(tmp_path: Path, status: int | None) -> None:
    named = str(tmp_path / "mine") if status is None else python(tmp_path / "mine", status)
    other = {"PATH": str(Path(python(tmp_path / "bin" / "python3.13", 0)).parent)}
    with pytest.raises(Unfit, match=rf"^{NAMED}={named}: expected a Python 3\.13"):
        interpreter({**other, NAMED: named}, tmp_path)
