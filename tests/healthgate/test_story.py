"""The demo's story on real processes: every step of the contract holds, and a part that is broken on purpose is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

LIMIT_S = 240.0
STEPS = [
    "green-passes",
    "yellow-refused",
    "red-refused",
    "no-reading-for-red",
    "fever-refused",
    "fever-turns-yellow",
    "forged-refused",
    "foreign-scope-refused",
    "expired-refused",
    "unknown-issuer-refused",
    "replay-refused",
    "two-codes-refused",
    "recovered-passes",
    "paper-passes",
    "revoked-stays-revoked",
    "other-province-passes",
    "withdrawn-key-refused",
    "offline-green-passes",
    "offline-red-refused",
    "backlog-arrives-once",
    "sensor-unplugged-calls-guard",
    "staff-release-logged",
    "gate-killed-recovers",
]
"""What the story must show, in this order."""


@dataclass(frozen=True)
class Told:
    """One run of the story."""

    status: int
    steps: list[dict[str, Any]]
    words: str

    def failed(self) -> set[str]:
        return {step["step"] for step in self.steps if not step["ok"]}


def tell(folder: Path, *options: str) -> Told:
    command = [sys.executable, "-m", "healthgate", "demo", "--story", "--json", "--folder", str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            lines, words = running.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            running.terminate()  # it ends its broker, server and gates with it
            raise
    return Told(running.returncode, [json.loads(line) for line in lines.splitlines()], words)


@pytest.mark.timeout(LIMIT_S + 30)
def test_the_whole_story_holds(tmp_path: Path) -> None:
    told = tell(tmp_path / "town")
    assert [step["step"] for step in told.steps] == STEPS
    assert not told.failed(), [step for step in told.steps if not step["ok"]]
    assert told.status == 0, told.words
    for step in told.steps:
        assert list(step) == ["step", "gate", "expected", "got", "ok", "ms"]
        assert step["gate"] in ("north", "south", "both")
        assert step["expected"] == step["got"]
        assert step["ms"] > 0
    logs = [path.read_text() for path in (tmp_path / "town").glob("*.log")]
    assert len(logs) == 3
    assert not any("Traceback" in log for log in logs)


@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize(
    ("part", "must_fail"),
    [
        ("deltas", {"fever-turns-yellow", "revoked-stays-revoked", "offline-red-refused"}),
        ("signature", {"forged-refused"}),
        ("outbox", {"backlog-arrives-once"}),
    ],
)
def test_a_broken_part_is_noticed(tmp_path: Path, part: str, must_fail: set[str]) -> None:
    told = tell(tmp_path / "town", "--break", part)
    assert told.status == 1, told.words
    assert [step["step"] for step in told.steps] == STEPS
    assert must_fail <= told.failed()
    assert told.failed() != set(STEPS)
