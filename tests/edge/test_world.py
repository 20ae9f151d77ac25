"""The simulated world as a stage: scenes go in, what the hardware did comes out, and a dead process lets go of its lines."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.drivers.world import MAX_LINE, Scene, Shown, WorldClient, WorldLost
from healthgate.world import World, default_socket


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "w", tmp_path / "journals") as world:
        yield world


@pytest.fixture
def north(world: World, tmp_path: Path) -> Iterator[WorldClient]:
    client = WorldClient(str(tmp_path / "w"), "north")
    yield client
    client.close()


def test_the_first_scene_is_there_when_the_client_is(north: WorldClient) -> None:
    assert north.scene == Scene()


def test_a_change_reaches_its_unit_and_no_other(world: World, north: WorldClient, tmp_path: Path) -> None:
    south = WorldClient(str(tmp_path / "w"), "south")
    seen = threading.Event()
    north.on_change(lambda scene: seen.set() if scene.beam else None)
    world.set("north", beam=True, skin_c=34.5)
    assert seen.wait(5)
    assert north.scene == Scene(beam=True, skin_c=34.5)
    assert south.scene == Scene()
    south.close()


def test_codes_are_held_up_with_ids_of_their_own(world: World, north: WorldClient) -> None:
    seen = threading.Event()
    north.on_change(lambda scene: seen.set() if scene.shown else None)
    first, second = world.show("north", "HB1:A", "HB1:B")
    assert seen.wait(5)
    assert north.scene.shown == (Shown(first, "HB1:A"), Shown(second, "HB1:B"))
    assert first != second


@pytest.mark.parametrize("changes", [{"sensr": "ok"}, {"sensor": "melted"}, {"beam": "yes"}, {"shown": [{"id": "a"}]}])
def test_a_scene_that_cannot_be_is_refused(world: World, changes: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        world.set("north", **changes)
    assert world.scene("north") == Scene()


def test_the_journal_holds_what_the_hardware_did(world: World, north: WorldClient, tmp_path: Path) -> None:
    north.journal({"pin": "relay", "bcm": 23, "value": 1, "at": 5.0})
    mark = world.mark("north")
    entry = world.wait_for("north", lambda e: e.get("pin") == "relay" and e["value"] == 1, 5)
    assert entry is not None
    assert entry["at"] == 5.0
    assert world.level("north", "relay") == 1
    assert world.level("north", "buzzer") is None
    assert mark <= entry["n"]
    lines = (tmp_path / "journals" / "north.jsonl").read_bytes().splitlines()
    assert msgspec.json.decode(lines[-1])["pin"] == "relay"


def test_waiting_ends_at_its_limit(world: World, north: WorldClient) -> None:
    assert world.wait_for("north", lambda e: "frame" in e, 0.01) is None


def test_an_entry_before_the_mark_is_not_found(world: World, north: WorldClient) -> None:
    north.journal({"frame": 1})
    assert world.wait_for("north", lambda e: e.get("frame") == 1, 5)
    assert world.wait_for("north", lambda e: e.get("frame") == 1, 0.01, since=world.mark("north")) is None


def test_a_killed_process_lets_its_relay_fall(world: World, tmp_path: Path) -> None:
    script = (
        "import sys, time; from edge.drivers.world import WorldClient; w = WorldClient(sys.argv[1], 'north');"
        "w.journal({'pin': 'relay', 'bcm': 23, 'value': 1, 'at': 0}); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "w")], stdin=subprocess.PIPE) as process:
        assert world.wait_for("north", lambda e: e.get("pin") == "relay", 30)
        assert world.level("north", "relay") == 1
        os.kill(process.pid, signal.SIGKILL)
        assert world.wait_gone("north", 10)
    assert world.level("north", "relay") == 0
    fall, gone = world.entries("north")[-2:]
    assert (fall["pin"], fall["value"], fall["cause"]) == ("relay", 0, "released")
    assert gone["pid"] == process.pid


def test_a_world_that_ends_is_a_fault_and_no_value(world: World, north: WorldClient) -> None:
    lost = threading.Event()
    north.on_lost(lost.set)
    world.close()
    assert lost.wait(5)
    assert north.lost
    with pytest.raises(WorldLost, match="world is gone"):
        _ = north.scene
    with pytest.raises(WorldLost):
        north.journal({"pin": "relay", "value": 1})


def test_no_world_at_all_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(WorldLost, match="nothing"):
        WorldClient(str(tmp_path / "nothing"), "north")


@pytest.mark.parametrize("line", [b"hello\n", b'{"hello": "../x", "pid": 1}\n', b'{"hello": 7}\n', b"x" * (MAX_LINE + 9)])
def test_a_stranger_is_hung_up_on(world: World, tmp_path: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(5)
        stranger.connect(str(tmp_path / "w"))
        try:
            stranger.sendall(line)
            answer = stranger.recv(10)
        except OSError:
            answer = b""
    assert answer == b""


def test_a_second_process_of_the_same_name_is_hung_up_on(world: World, north: WorldClient, tmp_path: Path) -> None:
    with pytest.raises(WorldLost):
        WorldClient(str(tmp_path / "w"), "north")
    assert world.connected("north")
    assert north.scene == Scene()


def test_a_unit_comes_back_under_its_name(world: World, tmp_path: Path) -> None:
    for _ in range(3):
        client = WorldClient(str(tmp_path / "w"), "north")
        assert world.wait_connected("north", 5)
        client.close()
        assert world.wait_gone("north", 5)


def test_the_journal_file_is_put_aside_before_it_fills_the_card(
    world: World, north: WorldClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("healthgate.world.FILE_LIMIT", 500)
    for number in range(20):
        north.journal({"frame": number})
    assert world.wait_for("north", lambda e: e.get("frame") == 19, 5)
    assert (tmp_path / "journals" / "north.jsonl.1").stat().st_size < 1000


def test_a_folder_too_deep_for_a_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too long for a socket"):
        default_socket(tmp_path / ("x" * 120))
