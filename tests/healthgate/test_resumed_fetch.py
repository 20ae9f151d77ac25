"""A gate that loses its power in the middle of its first snapshot: real unit, server and broker as processes, the server's pace set low."""

from __future__ import annotations

import hashlib
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import cast

import pytest

from edge.cache import Cache
from edge.listfolder import PART
from edge.partfile import PartFile
from healthcode import topics
from healthcode.budget import most
from healthcode.messages import MAX_CHUNK, ChunkAnswer, ChunkRequest, SyncAnswer, decode_sync_request
from healthcode.signed import unpack
from healthcode.status import StatusList
from healthcode.terms import Status, Use
from healthgate.gate_files import GateFiles
from healthgate.world import World
from server.fleet import Fleet
from server.office import Office, open_office
from server.store import publication
from tests.broker import Broker, Client
from tests.edge.test_process import CONFIG
from tests.server.office import URI, Town

pytestmark = pytest.mark.slow

LIMIT_S = 30.0
MEANWHILE = 7
"""The entry that turns red while the gate is dead."""


@dataclass
class Scene:
    """The gate `north`, its server, and a witness at the broker who hears all that is asked and answered."""

    folder: Path
    town: Town
    office: Office
    witness: Client
    truth: StatusList
    snapshot: bytes
    asked: list[int] = field(default_factory=list)
    sent: list[tuple[int, int]] = field(default_factory=list)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", *command], stderr=subprocess.DEVNULL)
        self.running.append(process)
        return process

    def listen(self, until: Callable[[], bool]) -> None:
        """Notes the offsets asked for, and the pieces sent (offset, length), until something holds."""
        limit = time.monotonic() + LIMIT_S
        while not until():
            assert time.monotonic() < limit, f"asked {self.asked}, sent {self.sent}"
            try:
                topic, payload = self.witness.heard.get(timeout=0.1)
            except queue.Empty:
                continue
            if topic == topics.up("north", "sync"):
                request = decode_sync_request(payload)
                if isinstance(request, ChunkRequest) and request.uri == URI:
                    self.asked.append(request.offset)
            else:
                answer = unpack(payload, cast("type[SyncAnswer]", SyncAnswer), 10**6)
                if isinstance(answer, ChunkAnswer) and answer.uri == URI:
                    self.sent.append((answer.offset, len(answer.body)))

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait(LIMIT_S)
        self.witness.close()
        self.office.store.close()


@pytest.fixture
def scene(tmp_path: Path, broker: Broker) -> Iterator[Scene]:
    """A list that is half a megabyte of noise, at two megabits a second: nine pieces, a quarter of a second each."""
    town = Town(tmp_path / "town")
    pace = "[lists]\nfetch_mbit = 2.0"
    office = open_office(town.config(pace, broker.port))
    Fleet(office.store, time.time).add("north")
    now = int(time.time())
    truth = StatusList.empty(URI, 1, as_of=now - 60)
    truth.packed[: 9 * MAX_CHUNK - 1000] = Random(1).randbytes(9 * MAX_CHUNK - 1000)
    truth.packed[MEANWHILE // 4] = 0
    snapshot = truth.snapshot(town.keys[Use.LIST], now - 60)
    with office.store.write() as tx:
        row = publication.SnapshotRow(1, 0, hashlib.sha256(snapshot).digest(), len(snapshot), now * 1000)
        publication.insert_snapshot(tx, URI, row, snapshot)
    (tmp_path / "root.pub.pem").write_bytes(town.root.public_key.to_pem())
    (tmp_path / "north.toml").write_text(CONFIG.format(folder=tmp_path, host=broker.host, port=broker.port))
    witness = Client(broker, "", "")
    witness.subscribe("healthgate/v1/gates/north/up/sync", "healthgate/v1/gates/north/down/sync")
    world = World(tmp_path / "w")
    made = Scene(tmp_path, town, office, witness, truth, snapshot)
    made.start("server", str(town.folder / "server.toml"))
    yield made
    made.close()
    world.close()


def test_killed_in_the_middle_of_a_snapshot_a_gate_goes_on_with_the_pieces_that_it_had(scene: Scene) -> None:
    gate = scene.start("edge", str(scene.folder / "north.toml"))
    scene.listen(lambda: 3 * MAX_CHUNK in scene.asked)
    gate.send_signal(signal.SIGKILL)
    gate.wait(LIMIT_S)
    folder = scene.folder / "data" / "cache" / hashlib.sha256(URI.encode()).hexdigest()[:32]
    file = PartFile(folder / PART)
    kept = file.read()
    file.close()
    assert kept is not None
    assert kept.data == scene.snapshot[: len(kept.data)]
    assert 3 * MAX_CHUNK <= len(kept.data) < len(scene.snapshot)
    with scene.office.store.write() as tx:
        publication.insert_changes(tx, [publication.Waiting(URI, MEANWHILE, Status.RED, int(time.time()))])
    before = len(scene.asked)
    gate = scene.start("edge", str(scene.folder / "north.toml"))
    files = GateFiles(scene.folder / "data", [scene.town.root.public_key])
    scene.listen(lambda: (held := files.held_list(URI)) is not None and held.version == 1)
    gate.send_signal(signal.SIGKILL)
    gate.wait(LIMIT_S)
    again = scene.asked[before:]
    assert again[0] == len(kept.data), "it goes on where it was"
    assert min(again) == len(kept.data)
    offsets = [offset for offset, _ in scene.sent]
    assert sorted(set(offsets)) == list(range(0, len(scene.snapshot), MAX_CHUNK))
    assert len(offsets) <= len(set(offsets)) + 1, "at most the piece that was under way came twice"
    assert sum(length for _, length in scene.sent) <= len(scene.snapshot) + MAX_CHUNK < most(len(scene.snapshot))
    scene.truth.apply(scene.truth.make_delta({MEANWHILE: Status.RED}, int(time.time())))
    cache = Cache(scene.folder / "data" / "cache", [scene.town.root.public_key])
    cache.load(time.time())
    held = cache.lists[URI]
    cache.close()
    assert (held.version, held.digest) == (scene.truth.version, scene.truth.digest)
    assert bytes(held.packed) == bytes(scene.truth.packed)
    assert held.get(MEANWHILE) is Status.RED
    assert not (folder / PART).exists()
