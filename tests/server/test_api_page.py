"""docs/api.md does what it says: its client, run as a program of its own, against a server that is a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.office import Town
from tests.server.test_web_process import LIMIT_S, address, configure, start

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture
def site(town: Town) -> Iterator[str]:
    process = start(configure(town, "port = 0"))
    yield address(process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=LIMIT_S)
    assert "张伟" not in said and "4201061980" not in said


def add_app(town: Town, *more: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "healthgate",
        "app",
        "add",
        "City Mobile",
        "--json",
        "--config",
        str(town.folder / "server.toml"),
        *more,
    ]
    made: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return made


def test_the_pages_client_goes_through_a_day(town: Town, site: str, tmp_path: Path) -> None:
    made = add_app(town)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    program = tmp_path / "client.py"
    program.write_text("\n".join(blocks), encoding="utf-8")
    known = {"HEALTHGATE_URL": site, "HEALTHGATE_APP": made["id"], "HEALTHGATE_SECRET": made["secret"]}
    done = subprocess.run(
        [sys.executable, program], check=False, env={**os.environ, **known}, capture_output=True, text=True, timeout=LIMIT_S
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "There seems to be a point missing: is it 36.6?"
    assert said[-1].startswith("HB1:") and len(said) >= 4


def test_apps_by_the_command_line(town: Town) -> None:
    config = str(configure(town, "port = 0"))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "healthgate", "app", *words, "--config", config]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    made = add_app(town, "--scope", "link", "--scope", "standing")
    assert made["scopes"] == ["link", "standing"]
    again = run("add", "City Mobile")
    assert (again.returncode, again.stderr) == (1, "healthgate app: there is an app 'City Mobile': expected another name\n")
    fresh = run("rotate", made["id"])
    assert fresh.returncode == 0 and made["secret"] not in fresh.stdout
    assert run("disable", made["id"]).stdout == "City Mobile: disabled\n"
    shown = run("list")
    assert made["id"] in shown.stdout and "disabled" in shown.stdout and made["secret"] not in shown.stdout
    unknown = run("rotate", "nobody")
    assert (unknown.returncode, unknown.stderr) == (1, "healthgate app: no app 'nobody': expected an id that `app list` shows\n")
