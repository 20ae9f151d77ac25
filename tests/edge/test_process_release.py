"""The gate's process as it is started from a release: it says how it is, tells what becomes of a wish, and goes when another is to run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.outbox import Outbox
from edge.releasedoor import UpdaterSays, count_starts, read_seen, say
from edge.releasefolder import ReleaseFolder
from edge.updates import Phase
from healthcode.messages import UnitEvent
from tests.broker import Broker
from tests.edge.test_process import LIMIT_S, Site
from tests.edge.test_updater_process import CHECKOUT

pytestmark = pytest.mark.slow


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 2 * LIMIT_S
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_gate_from_a_release_says_how_it_is_and_ends_for_another(tmp_path: Path, broker: Broker) -> None:
    folder, run = ReleaseFolder(tmp_path / "opt"), tmp_path / "run"
    run.mkdir()
    release = folder.begin("0.1.0")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", release], check=True, timeout=LIMIT_S)
    packages = release / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (packages / "here.pth").write_text("\n".join([str(CHECKOUT), *(path for path in sys.path if path.endswith("site-packages"))]) + "\n")
    folder.finish("0.1.0", bytes(32))
    for name in ("good", "current"):
        folder.point(name, "0.1.0")
    site = Site(tmp_path, broker, python=(str(release / "bin" / "python"),))
    try:
        with site.config.open("a") as file:
            file.write(f'\n[updates]\nfolder = "{tmp_path / "opt"}"\nrun = "{run}"\n')
        site.start()
        seen = None

        def has_both() -> bool:
            nonlocal seen
            seen = read_seen(run)
            return seen is not None and seen.camera and seen.sensor

        wait_for(has_both)
        assert seen is not None
        assert (seen.version, seen.since <= seen.at <= time.monotonic(), count_starts(run)) == ("0.1.0", True, 0)
        say(run, UpdaterSays(Phase.TRIAL, "0.1.0", "0.2.0", "0.2.0", "w1"))
        wait_for((tmp_path / "data" / "update.told").exists)
        folder.begin("0.2.0")
        folder.finish("0.2.0", bytes(32))
        folder.point("current", "0.2.0")
        assert site.process is not None
        _, said = site.process.communicate(timeout=4 * LIMIT_S)
        assert (site.process.returncode, "gate north is down, relay off" in said) == (0, True), said
    finally:
        site.close()
    outbox = Outbox(tmp_path / "data" / "outbox.sqlite", "0" * 32)
    told = [(event.what, event.detail) for event in outbox.newest(100) if isinstance(event, UnitEvent)]
    outbox.close()
    assert ("update_trial", "release 0.2.0") in told
    assert told[-1][0] == "stopping"
