"""The server process on a real broker: nothing lost, nothing doubled, a ruling known in a second, strangers survived."""

from __future__ import annotations

import hashlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import text

from healthcode import topics
from healthcode.messages import (
    AuditHead,
    ClockReset,
    Delta,
    Head,
    Message,
    TimeAnswer,
    TimeAnswerEnvelope,
    TimeRequest,
    TrustHead,
    UnitSeen,
    UnitStatus,
    Watermark,
    decode,
    encode,
)
from healthcode.signed import Signed, read, read_rooted, unpack, write
from healthcode.terms import Colour, Status, Use
from healthgate.broker import free_port
from server import audit
from server.actors import BY_RULES
from server.facts import HandReason, Reviewed
from server.fleet import Fleet
from server.home_assistant import config_topic
from server.issuer import Issuer, Pack
from server.office import Office, open_office
from server.persons import Person
from server.registry import Resident
from tests.broker import Broker
from tests.server.office import ISSUER, URI, Town, entry, set_colour
from tests.server.reports import BOOT, batch, fever, held, note, stored
from tests.server.test_registry import add

pytestmark = pytest.mark.slow
LIMIT_S = 60.0
M = TypeVar("M", bound=Message)


class Unit:
    """A unit's side of the broker: a plain client that remembers what it was sent."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.name = name
        self.sent: queue.Queue[tuple[float, str, bytes]] = queue.Queue()
        self._ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe(
            [(topics.down_all(name), 1), (topics.ALL_DOWN, 1), ("healthgate/v1/bridge/#", 1)]
        )
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda _client, _data, message: self.sent.put((time.time(), message.topic, bytes(message.payload)))
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()
        assert self._ready.wait(LIMIT_S)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(LIMIT_S)

    def wait(self, topic: str, fits: Callable[[bytes], bool] = lambda _: True) -> tuple[float, bytes]:
        """When a message on `topic` that fits came, and its payload."""
        until = time.monotonic() + LIMIT_S
        while True:
            at, where, payload = self.sent.get(timeout=max(0.01, until - time.monotonic()))
            if where == topic and fits(payload):
                return at, payload

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Scene:
    """A town with its broker, its database open beside the server, and the processes that were started."""

    town: Town
    broker: Broker
    office: Office
    config: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", *(command or ("server", str(self.config)))], stderr=subprocess.PIPE)
        self.running.append(process)
        return process

    def unit(self, name: str = "north") -> Unit:
        unit = Unit(self.broker, name)
        self.units.append(unit)
        return unit

    def read(self, payload: bytes, kind: type[M]) -> M:
        found = read(payload, kind, self.town.ring(), time.time())
        assert isinstance(found, Signed), found
        return found.message

    def rows(self) -> set[tuple[str, str, int]]:
        with self.office.store.read() as tx:
            found = [(row.unit, row.boot_id, row.seq) for row in stored(tx)]
        assert len(found) == len(set(found))
        return set(found)

    def holds(self, seqs: Sequence[int]) -> Callable[[bytes], bool]:
        return lambda payload: held(self.read(payload, Watermark).boots) >= set(seqs)

    def close(self) -> None:
        for unit in self.units:
            unit.close()
        for process in self.running:
            process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
        self.office.store.close()


@pytest.fixture
def scene(town: Town, broker: Broker) -> Iterator[Scene]:
    """A town whose server is not running yet, knowing the units north and south."""
    config = town.configure(port=broker.port)
    office = open_office(town.config(port=broker.port))
    for unit in ("north", "south"):
        Fleet(office.store, time.time).add(unit)
    made = Scene(town, broker, office, config)
    yield made
    made.close()


def code_of(scene: Scene, resident: Resident) -> str:
    pack = Issuer(scene.office.store, scene.town.keys[Use.TOKEN], ISSUER, scene.office.config.codes, time.time).live_pack(resident.resident)
    assert isinstance(pack, Pack)
    return pack.codes[0].text


HEAD = topics.list_topic(ISSUER, URI, "head")
DELTA = topics.list_topic(ISSUER, URI, "delta")
ACK = topics.down("north", "ack")
EVENTS = topics.up("north", "events")


def test_events_are_committed_and_then_acknowledged(scene: Scene) -> None:
    scene.start()
    unit = scene.unit()
    unit.wait(HEAD)
    unit.publish(EVENTS, batch("north", [note(seq, time.time()) for seq in range(1, 101)]).payload)
    _, payload = unit.wait(ACK, scene.holds(range(1, 101)))
    assert scene.read(payload, Watermark).unit == "north"
    assert len(scene.rows()) == 100
    late = scene.unit()
    late.wait(ACK, scene.holds(range(1, 101)))


def test_a_kill_before_or_after_a_commit_loses_and_doubles_nothing(scene: Scene) -> None:
    scene.town.configure("[intake]\nbatch_messages = 40", scene.broker.port)
    first = scene.start()
    unit = scene.unit()
    unit.wait(HEAD)
    first.kill()
    first.wait()
    at = time.time()
    seqs = range(1, 601)
    for seq in seqs[::2]:
        unit.publish(EVENTS, batch("north", [note(seq, at), note(seq + 1, at)]).payload)
    for when, commits in (("after", 1), ("before", 1), ("before", 2), ("after", 2)):
        dying = scene.start("tests.server.dying_bridge", str(scene.config), when, str(commits))
        unit.publish(EVENTS, batch("north", [note(601 + len(scene.running), at)]).payload)
        if dying.wait(LIMIT_S) != -signal.SIGKILL:
            pytest.fail("the bridge did not die as it should")
    scene.start()
    unit.wait(ACK, scene.holds(seqs))
    found = scene.rows()
    assert {seq for _, _, seq in found} >= set(seqs)
    assert {boot for _, boot, _ in found} == {BOOT}


def test_strangers_end_nothing(scene: Scene) -> None:
    process = scene.start()
    unit = scene.unit()
    unit.wait(HEAD)
    good = batch("north", [note(1, time.time())]).payload
    for channel in ("events", "state", "info", "status", "sync", "reported"):
        for payload in (b"", b"\x00", b"\xff" * 200, b"[" * 50_000, b"{}", b"x" * 400_000, good.replace(b"north", b"south")):
            unit.publish(topics.up("north", channel), payload, retain=True)
    for name in ("x", "fever"):
        unit.publish(topics.up("north", "alert", name), b"\xff")
        unit.publish(topics.up("north", "response", name), b"")
    unit.publish("healthgate/v1/gates/stranger/up/events", good)
    unit.publish("healthgate/v1/gates/north/up/no/such/topic", b"x")
    unit.publish("healthgate/v1/gates/ /up/events", b"x")
    unit.publish(EVENTS, good)
    unit.wait(ACK, scene.holds([1]))
    assert process.poll() is None
    assert scene.rows() == {("north", BOOT, 1)}


def test_a_ruling_of_another_process_is_published_within_a_second(scene: Scene) -> None:
    scene.start()
    unit = scene.unit()
    unit.wait(HEAD)
    resident = add(scene.office.registry)
    took = []
    for colour in (Colour.RED, Colour.YELLOW, Colour.RED):
        ruled = time.time()
        set_colour(scene.office, resident.resident, colour, HandReason.CORRECTION)
        at, payload = unit.wait(DELTA)
        assert scene.read(payload, Delta).as_of >= int(ruled)
        took.append(at - ruled)
        unit.wait(HEAD, lambda payload: scene.read(payload, Head).as_of >= int(ruled))  # noqa: B023
    print(json.dumps({"ruling_to_delta_ms": [round(1000 * seconds) for seconds in took]}))
    assert max(took) < 1.0


def test_a_fever_at_a_gate_is_a_delta_within_about_a_second(scene: Scene) -> None:
    scene.start()
    unit = scene.unit()
    unit.wait(HEAD)
    resident = add(scene.office.registry)
    code = code_of(scene, resident)
    began = time.time()
    unit.publish(EVENTS, batch("north", [fever(1, began, code)]).payload)
    at, payload = unit.wait(DELTA)
    print(json.dumps({"fever_to_delta_ms": round(1000 * (at - began))}))
    assert at - began < 1.5
    with scene.office.store.read() as tx:
        assert tx.execute(text("SELECT colour FROM rulings ORDER BY ruling DESC LIMIT 1")).scalar_one() == "yellow"
    assert scene.read(payload, Delta).values == bytes([Status.YELLOW])


def test_a_colour_that_time_changes_is_a_delta_when_it_is_due(scene: Scene) -> None:
    scene.start()
    unit = scene.unit()
    unit.wait(HEAD)
    with scene.office.store.write() as tx:
        resident = scene.office.registry.register(tx, Person("checked in three days ago, but for two seconds"), time.time(), BY_RULES)
        assert isinstance(resident, str)
        due = time.time() + 2.0
        checked_in = due - 3 * 86_400
        scene.office.registry.record_many(tx, [(resident, Reviewed(checked_in, "rule"))], time.time(), BY_RULES)
    at, payload = unit.wait(DELTA)
    print(json.dumps({"due_to_delta_ms": round(1000 * (at - due))}))
    assert 0.0 <= at - due < 2.0
    assert scene.read(payload, Delta).values == bytes([Status.YELLOW])


def test_a_broker_that_was_killed_hears_everything_again(scene: Scene) -> None:
    scene.start()
    unit = scene.unit()
    unit.wait(HEAD)
    unit.publish(EVENTS, batch("north", [note(1, time.time())]).payload)
    unit.wait(ACK, scene.holds([1]))
    unit.close()
    scene.units.clear()
    scene.broker.kill()
    for saved in scene.broker.folder.glob("mosquitto.db*"):
        saved.unlink()
    scene.broker.start()
    again = scene.unit()
    seen: dict[str, bytes] = {}
    while not {HEAD, ACK, topics.TRUST_HEAD, topics.BRIDGE_STATE} <= set(seen):
        _, topic, payload = again.sent.get(timeout=LIMIT_S)
        seen[topic] = payload
    assert held(scene.read(seen[ACK], Watermark).boots) == {1}
    assert isinstance(read_rooted(seen[topics.TRUST_HEAD], TrustHead, (scene.town.root.public_key,)), TrustHead)
    again.publish(EVENTS, batch("north", [note(2, time.time())]).payload)
    again.wait(ACK, scene.holds([1, 2]))


def test_a_withdrawn_key_is_published_within_a_second(scene: Scene) -> None:
    scene.start()
    unit = scene.unit()
    unit.wait(topics.TRUST_HEAD)
    unit.wait(HEAD)
    scene.town.publish([entry(key, use) for use, key in scene.town.keys.items() if use is not Use.TOKEN])
    began = time.time()
    at, payload = unit.wait(topics.TRUST_HEAD)
    print(json.dumps({"withdrawn_to_head_ms": round(1000 * (at - began))}))
    assert at - began < 1.0
    head = read_rooted(payload, TrustHead, (scene.town.root.public_key,))
    assert isinstance(head, TrustHead)
    assert head.version == 2


def test_a_reset_of_a_unit_s_clock_goes_out_to_that_unit_and_waits_for_it(scene: Scene) -> None:
    scene.start()
    north, south = scene.unit(), scene.unit("south")
    north.wait(HEAD)
    data = write(ClockReset(unit="north", serial=1, floor=int(time.time())), scene.town.root)
    (scene.town.folder / "keys" / "clock-resets").mkdir()
    (scene.town.folder / "keys" / "clock-resets" / "north.cbor").write_bytes(data)
    assert north.wait(topics.down("north", "clock"))[1] == data
    assert scene.unit().wait(topics.down("north", "clock"))[1] == data, "retained"
    south.wait(HEAD)
    assert all("clock" not in where for _, where, _ in south.sent.queue)


def test_the_time_is_told_and_a_term_ends_it_in_order(scene: Scene) -> None:
    process = scene.start()
    unit = scene.unit()
    unit.wait(HEAD)
    nonce = hashlib.sha256(b"nonce").hexdigest()[:32]
    unit.publish(topics.up("north", "sync"), encode(TimeRequest(nonce=nonce)))
    _, payload = unit.wait(topics.down("north", "sync"))
    answer = scene.read(unpack(payload, TimeAnswerEnvelope, 10_000).body, TimeAnswer)
    assert (answer.unit, answer.nonce) == ("north", nonce)
    assert abs(answer.at_ms / 1000 - time.time()) < 5
    process.terminate()
    assert process.wait(LIMIT_S) == 0
    unit.wait(topics.BRIDGE_STATE, lambda payload: payload == b"offline")


@pytest.mark.sqlite
def test_its_database_is_for_its_account_alone(scene: Scene) -> None:
    scene.town.configure('data = "fresh"', scene.broker.port)
    scene.start()
    scene.unit().wait(HEAD)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (scene.town.folder / "fresh").iterdir()}
    assert modes["registry.sqlite"] == modes["registry.sqlite-wal"] == 0o600


@pytest.mark.parametrize(("file", "words"), [("token.pem", "cannot be read"), ("trust.cbor", "cannot be read"), ("seal.key", "0600")])
def test_what_is_wrong_at_the_start_is_one_line(scene: Scene, file: str, words: str) -> None:
    path = scene.town.folder / "keys" / file
    if words == "0600":
        path.chmod(0o644)
    else:
        path.unlink()
    process = scene.start()
    _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2
    (line,) = [line for line in errors.decode().splitlines() if "ERROR" in line]
    assert file in line
    assert words in line
    assert "Traceback" not in errors.decode()


def test_the_audit_logs_head_is_retained_and_the_log_agrees_with_it(scene: Scene) -> None:
    scene.start()
    topic = topics.audit_topic(ISSUER)
    head = scene.read(scene.unit().wait(topic)[1], AuditHead)
    assert head.issuer == ISSUER
    set_colour(scene.office, add(scene.office.registry).resident, Colour.RED, HandReason.CONFIRMED)
    assert scene.read(scene.unit("south").wait(topic)[1], AuditHead) == head, "retained, and one a day"
    with scene.office.store.read() as tx:
        found = audit.verify(tx, [head])
    assert isinstance(found, audit.Sound), found
    assert found.entries > head.entry


STATUS = encode(UnitStatus(uptime_s=60, outbox_pending=0, lists_held=1, board_c=48.3))


def is_seen(state: str) -> Callable[[bytes], bool]:
    return lambda payload: decode(payload, UnitSeen).state == state


def test_a_unit_is_seen_while_it_speaks_and_gone_by_its_last_will(scene: Scene) -> None:
    port = free_port()
    scene.town.configure(f"[home_assistant]\nenabled = true\n[metrics]\nport = {port}", scene.broker.port)
    watcher = scene.unit("watcher")
    watcher.client.subscribe("homeassistant/#", 1)
    scene.start()
    for unit in ("north", "south"):
        watcher.wait(config_topic("homeassistant", unit))
    north = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    north.will_set(topics.up("north", "state"), b"offline", qos=1, retain=True)
    north.connect(scene.broker.host, scene.broker.port)
    north.loop_start()
    north.publish(topics.up("north", "state"), b"online", qos=1, retain=True)
    north.publish(topics.up("north", "status"), STATUS, qos=0, retain=True)
    watcher.wait(topics.unit_seen("north"), is_seen("online"))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=LIMIT_S) as answer:
        figures = answer.read().decode()
    assert 'healthgate_unit_board_c{unit="north"} 48.3' in figures
    assert 'healthgate_unit_online{unit="south"} 0.0' in figures
    assert "healthgate_broker_connected 1.0" in figures
    watcher.publish("homeassistant/status", b"online")
    watcher.wait(config_topic("homeassistant", "north"))
    connection = north.socket()
    assert connection is not None
    north.loop_stop()
    connection.close()
    watcher.wait(topics.unit_seen("north"), is_seen("offline"))
    found = scene.office.watch.find("north")
    assert found is not None
    assert found.state.status is not None, "what it said last is known"


def test_a_ghost_that_the_broker_remembers_is_never_alive(scene: Scene) -> None:
    """A unit died with a broker that has been started again: its `online` is retained, and no last will ever comes."""
    watcher = scene.unit("watcher")
    for channel, payload in (("state", b"online"), ("status", STATUS)):
        watcher.publish(topics.up("north", channel), payload, retain=True)
    server = scene.start()
    watcher.wait(topics.unit_seen("north"), is_seen("unknown"))
    watcher.wait(topics.unit_seen("south"), is_seen("unknown"))
    watcher.publish(topics.up("south", "status"), STATUS, retain=True)
    watcher.wait(topics.unit_seen("south"), is_seen("online"))
    north = scene.office.watch.find("north")
    assert north is not None
    assert (north.state.word, north.state.presence.value, north.is_gone) == ("online", "unknown", True)
    server.terminate()
    server.wait(LIMIT_S)
    assert scene.office.watch.see().listening_ms is None
