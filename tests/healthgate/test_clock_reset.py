"""A gate whose clock was pushed ahead: the office signs a reset, and the gate takes it, with a link and without."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge.clock import FloorFile, Kept
from healthcode import signed, topics
from healthcode.cose import PublicKey
from healthcode.messages import Alert, AnyEvent, ClockReset, PassEvent, UnitEvent, decode
from healthcode.terms import ClockState, Decision, Reason
from healthgate import edge, keyring_files, keys
from tests.broker import Broker, listening
from tests.edge.province import ROOT, STRANGER
from tests.edge.test_process import LIMIT_S, Site
from tests.edge.unit_bench import Disk

NOON = 1_583_323_200
YEAR_2099 = 4_070_908_800


def run_keys(*arguments: str | Path) -> Result:
    return CliRunner().invoke(keys.app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "hb", "CN-HB", "https://hb.example/s/1", NOON)
    return tmp_path / "hb"


def test_the_office_s_command_signs_one_reset_after_another(folder: Path) -> None:
    roots = (PublicKey.from_pem((folder / "root.pub.pem").read_bytes()),)
    done = run_keys("reset-clock", folder, "north", "--to", "2020-03-16T08:00:00Z")
    path = folder / "clock-resets" / "north.cbor"
    assert (done.exit_code, done.stdout) == (0, f"{path}: reset 1 of unit north, to 2020-03-16T08:00:00Z\n")
    assert signed.read_rooted(path.read_bytes(), ClockReset, roots) == ClockReset(unit="north", serial=1, floor=1_584_345_600)
    before = int(time.time())
    again = json.loads(run_keys("reset-clock", folder, "north", "--json").stdout)
    assert (again["unit"], again["serial"], again["path"]) == ("north", 2, str(path))
    reset = signed.read_rooted(path.read_bytes(), ClockReset, roots)
    assert isinstance(reset, ClockReset)
    assert before <= reset.floor <= time.time(), "now, where no time is named"
    assert json.loads(run_keys("reset-clock", folder, "south", "--json").stdout)["serial"] == 1


def test_a_reset_to_a_time_still_to_come_is_signed_and_remarked_on(folder: Path) -> None:
    done = run_keys("reset-clock", folder, "north", "--to", "2099-01-01")
    assert done.exit_code == 0
    assert "still to come" in done.stderr


@pytest.mark.parametrize(
    ("unit", "to", "words"),
    [
        ("no rth", "", "unit 'no rth': expected 1 to 32"),
        ("../x", "", "expected"),
        ("north", "soon", "--to 'soon'"),
        ("north", "1969-01-01", "--to"),
    ],
)
def test_what_cannot_be_signed_is_one_line(folder: Path, unit: str, to: str, words: str) -> None:
    done = run_keys("reset-clock", folder, unit, "--to", to)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert words in line
    assert not (folder / "clock-resets").exists()


def test_a_reset_that_this_root_did_not_sign_is_not_followed_by_another(folder: Path) -> None:
    (folder / "clock-resets").mkdir()
    (folder / "clock-resets" / "north.cbor").write_bytes(signed.write(ClockReset(unit="north", serial=8, floor=NOON), STRANGER))
    done = run_keys("reset-clock", folder, "north")
    assert (done.exit_code, "UNKNOWN_KEY" in done.stderr) == (2, True)


@pytest.fixture
def site(tmp_path: Path, broker: Broker) -> Iterator[Site]:
    """A gate whose floor lies in 2099: by it, today's clock stands at 1970."""
    site = Site(tmp_path, broker)
    FloorFile(tmp_path / "data" / "floor").store(Kept(YEAR_2099))
    yield site
    site.close()


def letter(site: Site, to: float, serial: int = 1, unit: str = "north", by: str = "root") -> Path:
    path = site.folder / "reset.cbor"
    path.write_bytes(signed.write(ClockReset(unit=unit, serial=serial, floor=int(to)), ROOT if by == "root" else STRANGER))
    return path


def hand_over(site: Site, file: Path) -> Result:
    return CliRunner().invoke(edge.app, ["reset-clock", "--config", str(site.config), str(file)])


def refuses(site: Site, index: int) -> PassEvent:
    """Somebody holds up a green code; the verdict that goes to disk."""
    since = site.world.mark("north")
    site.world.set("north", skin_c=34.0)
    site.world.show("north", site.code(index))
    assert site.world.wait_for("north", lambda entry: entry.get("pin") == "led_red" and bool(entry["value"]), LIMIT_S, since)
    site.world.set("north", shown=(), skin_c=None)
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        found = [event for event in events(site) if isinstance(event, PassEvent)]
        if found:
            return found[-1]
    raise AssertionError("no verdict")


def events(site: Site) -> list[AnyEvent]:
    with closing(Disk(site.folder / "data" / "outbox.sqlite")) as disk:
        return disk.events()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["letter", "letter left before the start", "retained"])
def test_a_gate_that_was_pushed_to_2099_calls_the_guard_until_the_root_s_reset_comes(site: Site, broker: Broker, way: str) -> None:
    file = letter(site, site.now - 60)
    if way == "letter left before the start":
        done = hand_over(site, file)
        assert (done.exit_code, done.stdout) == (0, "unit north is not running: it takes the reset when it starts\n")
    with listening(broker, topics.up("north", "alert", "clock")) as alerts:
        site.start()
        if way != "letter left before the start":
            while not (payload := alerts.next(LIMIT_S)[1]):
                pass
            assert "before 2099-01-01 00:00:00 UTC, which the time server has said" in decode(payload, Alert).detail
            verdict = refuses(site, 7)
            assert (verdict.decision, verdict.reason, verdict.clock) == (Decision.CALL_GUARD, Reason.CLOCK_UNTRUSTED, ClockState.UNTRUSTED)
        if way == "letter":
            done = hand_over(site, file)
            assert done.exit_code == 0
            assert done.stdout.startswith("unit north: taken, the clock's floor is ")
        elif way == "retained":
            alerts.publish(topics.down("north", "clock"), file.read_bytes(), retain=True)
        while alerts.next(LIMIT_S)[1]:
            pass
        site.pass_code(8)
    assert site.process is not None
    site.process.kill()
    site.process.wait(LIMIT_S)
    (was_reset,) = [event for event in events(site) if isinstance(event, UnitEvent) and event.what == "clock_reset"]
    assert was_reset.detail.endswith("by reset 1; it was 2099-01-01 00:00:00 UTC")
    assert FloorFile(site.folder / "data" / "floor").load() == Kept(float(site.now - 60), 1)
    done = hand_over(site, file)
    assert (done.exit_code, "unit north has taken reset 1, expected a later one" in done.stderr) == (2, True)


@pytest.mark.slow
def test_what_cannot_be_handed_over_is_one_line(site: Site) -> None:
    wrong = [
        (letter, {"unit": "south", "to": NOON}, "a reset for unit south: expected one for north"),
        (letter, {"by": "stranger", "to": NOON}, "UNKNOWN_KEY"),
        (letter, {"to": YEAR_2099}, "the floor is 2099-01-01 00:00:00 UTC, expected a time before it"),
    ]
    for make, arguments, words in wrong:
        done = hand_over(site, make(site, **arguments))  # type: ignore[arg-type]
        (line,) = done.stderr.splitlines()
        assert (done.exit_code, words in line) == (2, True), line
    done = hand_over(site, site.folder / "absent.cbor")
    assert (done.exit_code, "absent.cbor: cannot be read" in done.stderr) == (2, True)
    assert FloorFile(site.folder / "data" / "floor").load() == Kept(YEAR_2099)
    assert not (site.folder / "data" / "clock.reset").exists()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_gate_whose_floor_is_lost_calls_the_guard_and_goes_on(site: Site, damage: str) -> None:
    floor = site.folder / "data" / "floor"
    floor.unlink()
    if damage == "damaged":
        floor.write_bytes(b"\xff\x00yesterday")
    site.start()
    verdict = refuses(site, 7)
    assert (verdict.decision, verdict.reason) == (Decision.CALL_GUARD, Reason.CLOCK_UNTRUSTED)
    assert hand_over(site, letter(site, site.now - 60)).exit_code == 0
    site.pass_code(8)
