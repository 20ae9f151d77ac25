"""A unit's process in which one loop hangs for real: the relay falls, the log names the loop, the process ends, the next one works.

And what is no hang: a network that is down, a camera that never gave a frame, a reader that stands still.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.outbox import Outbox
from healthcode.messages import ReleaseEvent
from healthgate.world import Entry
from tests.broker import Broker
from tests.edge.test_process import LIMIT_S, Site
from tests.edge.test_watchdog import Systemd

pytestmark = pytest.mark.slow

LIMITS = """
[watchdog]
decision_s = 2
camera_s = 5
sensor_s = 2
link_s = 2
relay_s = 2
"""


class HangingSite(Site):
    """A gate with short limits, whose service manager the test is."""

    def limit(self, limits: str = LIMITS) -> None:
        """Adds a [watchdog] section."""
        self.config.write_text(self.config.read_text() + limits)

    def wait_end(self) -> tuple[int, str]:
        """The exit status of a process that ends by itself, and what it said last."""
        assert self.process is not None
        _, said = self.process.communicate(timeout=LIMIT_S)
        assert self.world.wait_gone("north", LIMIT_S)
        return self.process.returncode, said

    def fall(self) -> Entry:
        """The relay's last entry, which must be a fall."""
        entry = self.relay_entries()[-1]
        assert entry["value"] == 0
        return entry


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[HangingSite]:
    site = HangingSite(tmp_path, broker)
    yield site
    site.close()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(systemd.path))
    monkeypatch.setenv("WATCHDOG_USEC", "900000")
    yield systemd
    systemd.close()


def hears_progress_for(systemd: Systemd, seconds: float) -> None:
    """Listens for so long; every second of it brings WATCHDOG=1."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        begun = time.monotonic()
        systemd.wait_for("WATCHDOG=1")
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize(("loop", "where"), [("sensor", "read_word_data simulated_sensor.py"), ("camera", "frames simulated_camera.py")])
def test_a_driver_that_hangs_takes_the_unit_down_locked_and_the_next_one_works(
    site: HangingSite, systemd: Systemd, loop: str, where: str
) -> None:
    site.limit()
    site.start()
    assert systemd.wait_for("READY") == "READY=1"
    rise = site.pass_code(7)
    site.world.set("north", shown=(), skin_c=None, **{loop: "hang"})
    status, said = site.wait_end()
    assert status == 1
    line = said.rstrip().splitlines()[-1]
    assert f"no progress in {loop} for " in line
    assert where in line
    assert line.endswith("the unit ends, the service is to start it again")
    assert systemd.waiting()[-1].startswith(f"STATUS=no progress in {loop} for ")
    fall = site.fall()
    assert "cause" not in fall, "let fall, not torn off"
    assert fall["at"] - rise["at"] < 8
    site.world.set("north", **{loop: "ok"})
    site.start()
    assert systemd.wait_for("READY") == "READY=1"
    site.pass_code(8)
    assert site.end(signal.SIGTERM)[0] == 0
    assert systemd.wait_for("STOPPING") == "STOPPING=1"


def test_a_log_that_takes_no_more_lines_hangs_the_deciding_loop_and_the_relay_falls(site: HangingSite, systemd: Systemd) -> None:
    site.limit()
    site.start()
    site.pass_code(7)
    assert site.process is not None
    assert site.process.stderr is not None
    stop_up(site.process)
    systemd.waiting()
    site.world.set("north", shown=(), skin_c=None, sensor="unplugged")  # the log's next line
    lost = systemd.wait_for("STATUS=no progress")
    assert "no progress in decision for " in lost
    assert " logging" in lost or "__init__.py" in lost, "in the log, and nowhere else"
    assert site.process.wait(LIMIT_S) == 1
    assert site.world.wait_gone("north", LIMIT_S)
    site.fall()


def stop_up(process: subprocess.Popen[str]) -> None:
    """Fills the pipe to which the process writes its log, as a log does whose reader hangs."""
    writer = os.open(f"/proc/{process.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x")
    except BlockingIOError:
        pass
    finally:
        os.close(writer)


def test_a_file_that_never_opens_hangs_the_link_and_the_unit_is_started_anew(site: HangingSite, broker: Broker) -> None:
    password = site.folder / "password"
    password.write_text("secret")
    site.limit()
    site.config.write_text(site.config.read_text().replace("[link]", f'[link]\nusername = "north"\npassword_file = "{password}"'))
    site.start()
    site.pass_code(7)
    password.unlink()
    os.mkfifo(password)
    broker.restart()
    status, said = site.wait_end()
    assert status == 1
    assert "no progress in link for " in said
    assert "_password link.py:" in said
    site.fall()


def test_a_relay_line_that_hangs_ends_the_process_and_with_it_the_pulse(site: HangingSite, systemd: Systemd) -> None:
    site.limit(LIMITS.replace("decision_s = 2", "decision_s = 60"))
    site.start()
    site.pass_code(7)
    site.world.set("north", shown=(), skin_c=None, relay="hang")
    status, said = site.wait_end()
    assert status == 1
    assert "no progress in relay for " in said
    assert site.fall()["cause"] == "released"


def test_a_network_that_is_down_is_no_hang(site: HangingSite, systemd: Systemd, broker: Broker) -> None:
    site.limit()
    site.start()
    assert systemd.wait_for("STATUS=on line")
    with broker.frozen():
        hears_progress_for(systemd, 6.0)
        site.pass_code(7)
    broker.kill()
    assert systemd.wait_for("STATUS=off line")
    hears_progress_for(systemd, 4.0)
    site.pass_code(8)
    assert site.end(signal.SIGTERM)[0] == 0


def test_a_camera_that_hangs_from_the_start_is_reported_and_the_guard_s_button_works(site: HangingSite, systemd: Systemd) -> None:
    site.limit()
    site.world.set("north", camera="hang")
    site.start()
    hears_progress_for(systemd, 7.0)
    since = site.world.mark("north")
    site.world.set("north", staff=True)
    assert site.world.wait_for("north", lambda entry: entry.get("pin") == "relay" and bool(entry["value"]), LIMIT_S, since)
    assert site.end(signal.SIGKILL)[0] == -signal.SIGKILL
    outbox = Outbox(site.folder / "data" / "outbox.sqlite", "f" * 32)
    assert [each.event.by for each in outbox.pending(1000) if isinstance(each.event, ReleaseEvent)] == ["staff"]
    outbox.close()


def test_a_reader_that_stands_still_costs_a_frame_and_not_the_unit(site: HangingSite, systemd: Systemd) -> None:
    site.limit()
    site.start()
    site.pass_code(7)
    assert site.process is not None
    readers = [child for nursery in children(site.process.pid) for child in children(nursery)]
    assert readers
    for reader in readers:
        os.kill(reader, signal.SIGSTOP)
    site.world.set("north", shown=(), skin_c=None)
    hears_progress_for(systemd, 6.0)
    site.pass_code(8)
    assert site.end(signal.SIGTERM)[0] == 0


def children(pid: int) -> list[int]:
    """The processes that `pid` has begun."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found
