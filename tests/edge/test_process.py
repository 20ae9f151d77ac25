"""The unit's process as the service starts it, on a simulated world and a real broker: how it begins, ends, and is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge.cache import Cache
from edge.outbox import Outbox
from healthcode import token, topics
from healthcode.messages import PassEvent, UnitEvent
from healthcode.terms import ClockState, Colour, Decision, Form, Status
from healthgate.world import Entry, World
from tests.broker import Broker, listening
from tests.edge.province import ROOT, ROOTS, URI, Province, list_entry, trust_list
from tests.edge.unit_bench import TOKEN_ENTRY, TOKEN_KEY
from tests.gate_toml import GATE

pytestmark = pytest.mark.slow

LIMIT_S = 30.0
CONFIG = (
    GATE
    + """
[camera]
source = "simulated"

[lane]
pulse_s = 5.0

[link]
host = "{host}"
port = {port}
"""
)


class Site:
    """One gate's folder, world and process; `python` is what runs it."""

    def __init__(self, folder: Path, broker: Broker, python: Sequence[str] = (sys.executable,)) -> None:
        self.folder = folder
        self.python = python
        self.now = int(time.time())
        self.config = folder / "north.toml"
        self.config.write_text(CONFIG.format(folder=folder, host=broker.host, port=broker.port))
        (folder / "root.pub.pem").write_bytes(ROOT.public_key.to_pem())
        self._enrol()
        self.world = World(folder / "w")
        self.process: subprocess.Popen[str] | None = None

    def _enrol(self) -> None:
        """Puts on the disk what a unit holds that was online a minute ago."""
        province = Province(trust=trust_list(1, list_entry(), TOKEN_ENTRY, expires_at=self.now + 86_400 * 30))
        province.at = self.now - 60
        province.change({1: Status.RED})
        province.compact()
        cache = Cache(self.folder / "data" / "cache", ROOTS)
        province.fill(cache)
        cache.close()
        (self.folder / "data" / "floor").write_text(f"{self.now - 60}\n")

    def start(self) -> None:
        """Starts the process and waits until it says that it is up."""
        self.process = subprocess.Popen([*self.python, "-m", "edge", str(self.config)], stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "gate north is up" in line:
                return
        raise AssertionError("it did not start")

    def code(self, index: int) -> str:
        """A green code."""
        claims = token.Claims("CN-HB", URI, index, Colour.GREEN, Form.LIVE, self.now - 3600, self.now - 5, self.now + 115)
        return token.write(claims, TOKEN_KEY)

    def pass_code(self, index: int) -> Entry:
        """Somebody holds up a code and is let in; the journal's entry of the relay's rise."""
        since = self.world.mark("north")
        self.world.set("north", skin_c=34.0)
        self.world.show("north", self.code(index))
        rise = self.world.wait_for("north", lambda entry: entry.get("pin") == "relay" and bool(entry["value"]), LIMIT_S, since)
        assert rise is not None
        return rise

    def end(self, how: signal.Signals) -> tuple[int, str]:
        """Sends a signal and waits; exit status and what was said last."""
        assert self.process is not None
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, said

    def relay_entries(self) -> list[Entry]:
        return [entry for entry in self.world.entries("north") if entry.get("pin") == "relay"]

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.communicate(timeout=LIMIT_S)
        self.world.close()


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    site = Site(tmp_path, broker)
    yield site
    site.close()


def test_a_unit_that_is_told_to_end_lets_the_relay_go_says_offline_and_ends_well(site: Site, broker: Broker) -> None:
    with listening(broker, topics.up("north", "state")) as said:
        site.start()
        assert said.next(LIMIT_S)[1] == b"online"
        rise = site.pass_code(7)
        status, log = site.end(signal.SIGTERM)
        assert status == 0
        assert log.rstrip().endswith("gate north is down, relay off")
        assert said.next(LIMIT_S)[1] == b"offline"
    fall = site.relay_entries()[-1]
    assert (fall["value"], fall["n"] > rise["n"]) == (0, True)
    site.world.wait_gone("north", LIMIT_S)
    assert fall["n"] < next(entry["n"] for entry in site.world.entries("north") if "gone" in entry), "let go, not torn off"


def test_a_broker_that_hangs_does_not_hold_up_the_relay_of_a_unit_that_ends(site: Site, broker: Broker) -> None:
    site.start()
    site.pass_code(7)
    with broker.frozen():
        asked_at = time.monotonic()
        status, _ = site.end(signal.SIGTERM)
    assert status == 0
    fall = site.relay_entries()[-1]
    assert fall["value"] == 0
    assert fall["at"] - asked_at < 0.5, "the pulse of 5 s is cut short, and the link's goodbye waits"


def test_killed_while_a_grant_is_open_the_relay_falls_and_the_events_are_whole(site: Site) -> None:
    site.start()
    site.pass_code(7)
    status, _ = site.end(signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert site.world.wait_gone("north", LIMIT_S)
    assert site.world.level("north", "relay") == 0
    site.world.set("north", shown=(), skin_c=None)
    site.start()
    site.pass_code(8)
    status, _ = site.end(signal.SIGTERM)
    assert status == 0
    outbox = Outbox(site.folder / "data" / "outbox.sqlite", "f" * 32)
    stored = outbox.pending(1000)
    outbox.close()
    assert outbox.damaged is None
    assert {file.stat().st_mode & 0o777 for file in (site.folder / "data").glob("outbox*")} == {0o600}
    boots = list(dict.fromkeys(each.boot_id for each in stored))
    assert len(boots) == 2
    for boot in boots:
        events = [each.event for each in stored if each.boot_id == boot]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert isinstance(events[0], UnitEvent)
        admitted = [event for event in events if isinstance(event, PassEvent) and event.decision is Decision.ADMIT]
        assert [event.index for event in admitted] == [7 if boot == boots[0] else 8]
        assert admitted[0].clock is ClockState.HOLDOVER


@pytest.mark.parametrize(
    ("was", "becomes", "named"),
    [
        ('unit = "north"', 'unit = "north"\ncolor = "red"', "color: expected one of"),
        ("pulse_s = 5.0", "pulse_s = 5.0\nlong = 1", "lane.long: expected one of pulse_s"),
        ("pulse_s = 5.0", "pulse_s = 50.0", "lane.pulse_s = 50.0: expected a number from 0.1 to 5 s"),
        ("[lane]", "[pins]\nrelay = 17\n\n[lane]", "pins.relay = 17"),
        ('unit = "north"', 'unit = "no rth"', 'unit = "no rth": expected 1 to 32 of A-Z'),
        ("/w", "/other", "/other"),
        ("/root.pub.pem", "/north.toml", "/north.toml"),
        ("/root.pub.pem", "/absent.pem", "/absent.pem"),
        ("/data", "/north.toml", "/north.toml"),
        ('unit = "north"', "unit = ", "north.toml"),
        ("[link]", '[link]\npassword_file = "/absent/password"', "/absent/password"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line_and_ends_the_start(site: Site, was: str, becomes: str, named: str) -> None:
    text = site.config.read_text()
    assert was in text
    site.config.write_text(text.replace(was, becomes))
    done = subprocess.run([sys.executable, "-m", "edge", str(site.config)], capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert named in line
    assert all(not entry["value"] for entry in site.relay_entries())


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_the_wrong_number_of_arguments_is_a_matter_of_usage(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "edge", *arguments], capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert (done.returncode, done.stderr) == (2, "usage: python -m edge CONFIG\n")


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge", str(tmp_path / "no.toml")], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert str(tmp_path / "no.toml") in line
