"""The files of deploy/ against systemd's own checker, and against the code that they start."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from edge.orders import REBOOT
from edge.watchdog import END_S, INTERPRETER_S, TURN_S

DEPLOY = Path(__file__).parent.parent / "deploy"
SERVICES = ("healthgate-edge", "healthgate-updates", "healthgate-server", "healthgate-web", "healthgate-broker")
PYTHON = "/opt/healthgate/.venv/bin/python"


def settings(name: str) -> dict[str, list[str]]:
    """All values of each key of a unit file, whatever the section."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in (DEPLOY / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith(("#", "[")):
            found[key].append(value)
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_finds_no_fault(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here")
    text = (DEPLOY / f"{name}.service").read_text().replace(PYTHON, "/bin/true").replace("file:/opt/", "file:/")
    text = text.replace("/usr/sbin/mosquitto", "/bin/true")
    (tmp_path / f"{name}.service").write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / f"{name}.service"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "room"), [("server", "server"), ("web", "server")])
def test_what_is_started_is_a_command_of_ours(name: str, room: str, tmp_path: Path) -> None:
    (command,) = settings(f"healthgate-{name}.service")["ExecStart"]
    python, *options, module, side = command.split()[:5]
    assert (python, options, module, side) == (PYTHON, ["-P", "-m"], "healthgate", room)
    arguments = command.split()[5:]
    arguments[-1] = str(tmp_path / "absent.toml")
    done = subprocess.run([sys.executable, "-m", module, side, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert str(tmp_path / "absent.toml") in done.stderr, "it is the file that is missing, and not the command that is wrong"
    assert "Usage" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("name", "link", "starts"), [("edge", "current", b"x"), ("updates", "good", b"")])
def test_a_unit_is_started_from_the_release_that_its_link_points_at(name: str, link: str, starts: bytes, tmp_path: Path) -> None:
    (command,) = settings(f"healthgate-{name}.service")["ExecStart"]
    for place, there in (("/opt/healthgate", "opt"), ("/run/healthgate", "run"), ("/etc/healthgate/gate.toml", "absent.toml")):
        command = command.replace(place, str(tmp_path / there))
    binaries = tmp_path / "opt" / "releases" / "0.1.0" / "bin"
    binaries.mkdir(parents=True)
    (tmp_path / "run").mkdir()
    (binaries / "python").write_text(f'#!/bin/sh\necho "$0" >&2\nexec {sys.executable} "$@"\n')
    (binaries / "python").chmod(0o755)
    (tmp_path / "opt" / link).symlink_to("releases/0.1.0")
    words = [word.replace("$$", "$") for word in shlex.split(command)]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(DEPLOY.parent)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == str(binaries / "python"), "the release, and not the link, which may point elsewhere soon"
    assert str(tmp_path / "absent.toml") in done.stderr
    assert b"".join(path.read_bytes() for path in (tmp_path / "run").iterdir()) == starts, "the gate's starts are counted"


def test_the_gate_may_not_write_its_own_release_and_the_updater_may() -> None:
    gate, updater = settings("healthgate-edge.service"), settings("healthgate-updates.service")
    assert gate["ProtectSystem"] == updater["ProtectSystem"] == ["strict"]
    assert ("ReadWritePaths" in gate, updater["ReadWritePaths"]) == (False, ["/opt/healthgate"])
    for each in (gate, updater):
        assert (each["RuntimeDirectory"], each["RuntimeDirectoryPreserve"]) == (["healthgate"], ["yes"])
    assert (updater["PrivateDevices"], "SupplementaryGroups" in updater) == (["yes"], False)


def test_the_walls_stand_in_their_order() -> None:
    service = settings("healthgate-edge.service")
    (watchdog_s,) = map(float, service["WatchdogSec"])
    (stop_s,) = map(float, service["TimeoutStopSec"])
    assert TURN_S * 3 < INTERPRETER_S < watchdog_s
    assert stop_s > END_S
    assert (service["LimitCORE"], service["MemorySwapMax"]) == (["0"], ["0"])
    assert (service["Type"], service["NotifyAccess"], service["Restart"]) == (["notify"], ["main"], ["always"])
    assert service["StartLimitAction"] == ["reboot-force"], "it never gives up"
    (burst,), (pause_s,) = map(int, service["StartLimitBurst"]), map(float, service["RestartSec"])
    assert 600 <= burst * pause_s < 3600, "an operator has ten minutes to mend it; and it is reached within the hour that is counted"
    assert settings("healthgate-watchdog.conf")["RuntimeWatchdogSec"] == ["14"]
    assert "dtparam=watchdog=on" in (DEPLOY / "config.txt").read_text().splitlines()


def test_the_status_of_a_reboot_reboots_and_no_other_does() -> None:
    service = settings("healthgate-edge.service")
    assert service["SuccessExitStatus"] == [str(REBOOT)]
    assert (service["Restart"], "RestartPreventExitStatus" in service) == (["always"], False), "a reboot that fails leaves no gate down"
    (after,) = [line for line in service["ExecStopPost"] if "reboot" in line]
    script = after.removeprefix("+/bin/sh -c ").strip("'").replace("$$", "$").replace("systemctl reboot", "echo rebooted")
    for status in ("0", "1", "2", str(REBOOT), "KILL", ""):
        done = subprocess.run(["/bin/sh", "-c", script], env={"EXIT_STATUS": status}, capture_output=True, text=True, check=True)
        assert done.stdout == ("rebooted\n" if status == str(REBOOT) else "")


def test_the_unit_may_ask_whether_the_clock_follows_a_time_server_and_may_lock_its_reader_in() -> None:
    service = settings("healthgate-edge.service")
    (allowed,) = service["SystemCallFilter"]
    assert {"adjtimex", "clock_adjtime", "clock_adjtime64", "seccomp"} <= set(allowed.split())
    assert "ProtectClock" not in service
    assert service["CapabilityBoundingSet"] == [""], "and may not set it"
