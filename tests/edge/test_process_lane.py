"""What a lane remembers over the end of its process: who has just passed, and whether somebody closed it. Real processes, real SIGKILL."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Broker
from tests.edge.test_process import LIMIT_S, Site

pytestmark = pytest.mark.slow

VERDICT = re.compile(r" edge\.unit: (admit|refuse|call_guard) [A-Z_]+$")


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    site = Site(tmp_path, broker)
    yield site
    site.close()


def set_mode(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """What an operator types at the unit."""
    command = [sys.executable, "-m", "healthgate", "edge", "mode", *words, "--config", str(site.config), "--reason", "market day"]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def kill(site: Site) -> None:
    """The power goes."""
    assert site.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert site.world.wait_gone("north", LIMIT_S)
    site.world.set("north", shown=(), skin_c=None, beam=False)


def relay(site: Site, value: int, since: int) -> bool:
    return site.world.wait_for("north", lambda entry: entry.get("pin") == "relay" and entry["value"] == value, LIMIT_S, since) is not None


def walk_through(site: Site) -> None:
    """Somebody breaks the beam and leaves it; when the light is white again the passage is on disk."""
    since = site.world.mark("north")
    site.world.set("north", beam=True)
    assert relay(site, 0, since)
    since = site.world.mark("north")
    site.world.set("north", beam=False)
    assert site.world.wait_for("north", lambda entry: entry.get("pin") == "led_red" and entry["value"] == 1, LIMIT_S, since)


def verdict_on(site: Site, index: int) -> str:
    """The line of the unit's log that says what became of a code."""
    site.world.set("north", skin_c=34.0)
    site.world.show("north", site.code(index))
    assert site.process is not None and site.process.stderr is not None
    return next(line for line in site.process.stderr if VERDICT.search(line))


def test_who_has_just_passed_is_remembered_over_a_kill_and_who_had_only_a_grant_is_not(site: Site) -> None:
    site.start()
    site.pass_code(7)
    walk_through(site)
    kill(site)
    site.start()
    assert "refuse REPLAY" in verdict_on(site, 7)
    site.pass_code(8)
    kill(site)
    site.start()
    assert "admit GREEN" in verdict_on(site, 8)


def test_a_lane_that_was_locked_at_the_unit_is_locked_after_a_kill(site: Site) -> None:
    site.start()
    done = set_mode(site, "locked")
    assert (done.returncode, done.stdout) == (0, "the lane of north is locked\n")
    kill(site)
    site.start()
    assert "refuse LANE_LOCKED" in verdict_on(site, 7)
    assert set_mode(site, "controlled").returncode == 0
    site.world.set("north", shown=(), skin_c=None)
    site.pass_code(8)


def test_free_opens_the_relay_until_the_process_ends_and_not_after(site: Site) -> None:
    site.start()
    since = site.world.mark("north")
    done = set_mode(site, "free", "--minutes", "60")
    assert done.stdout == "the lane of north is free for 60 minutes, then controlled\n"
    assert relay(site, 1, since)
    kill(site)
    since = site.world.mark("north")
    site.start()
    white = site.world.wait_for("north", lambda entry: entry.get("pin") == "led_blue" and entry["value"] == 1, LIMIT_S, since)
    assert white, "ready, and not the green of a lane that is free"
    assert site.world.level("north", "relay") == 0


def test_a_unit_that_does_not_run_is_not_asked_in_vain(site: Site) -> None:
    done = set_mode(site, "free", "--minutes", "60")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "healthgate edge mode: the unit north does not answer: does it run? nothing was changed, and nothing will be\n"
    assert not list((site.folder / "data").glob("mode*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["free"], "free: expected --minutes, more than 0 and at most 1440"),
        (["free", "--minutes", "9999"], "free: expected --minutes, more than 0 and at most 1440"),
        (["locked", "--minutes", "5"], "--minutes: expected only with free, locked lasts until somebody sets another mode"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(site: Site, words: list[str], said: str) -> None:
    done = set_mode(site, *words)
    assert (done.returncode, done.stderr) == (2, f"healthgate edge mode: {said}\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another account")
def test_another_account_is_told_whose_word_counts(site: Site) -> None:
    os.chown(site.folder / "data", 65534, 65534)
    done = set_mode(site, "locked")
    assert done.returncode == 2
    assert "belongs to nobody: type it again with sudo -u nobody before it" in done.stderr
