"""A fleet as operators have it, with everything real but pins and registers: mosquitto with TLS and access rules, the server's process,
its pages, three gates' processes that were enrolled by the commands, an operator with an account and a key of her own, and thieves.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.commandtalk import transaction_of
from healthcode import signed, topics
from healthcode.cose import SoftwareKey
from healthcode.messages import Desired, Request, Response, UnitSeen, decode, encode
from healthgate import fleet, keys
from healthgate.broker import free_port
from healthgate.town import Process
from healthgate.witness import relay_pulses
from healthgate.world import World, default_socket
from server.authority import Authority, key_pem, make_key, pem
from tests.fleet_house import LIMIT_S, FleetHouse, Peer, come, unit_context

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

UNITS = ("north", "south", "west")


class Fleet:
    """All of it, running. Gates are started again whenever they end, as their services do."""

    def __init__(self, folder: Path, undo: ExitStack) -> None:
        self.folder = folder
        self.house = house = FleetHouse(folder / "office")
        self.metrics = free_port()
        toml = house.folder / "server.toml"
        toml.write_text(toml.read_text() + f"\n[metrics]\nport = {self.metrics}\n\n[home_assistant]\nenabled = true\n")
        undo.enter_context(house.open())
        self.world = undo.enter_context(World(default_socket(folder), folder / "journals"))
        assert house.fleet("operator", "chen", "--folder", str(folder)).exit_code == 0
        assert CliRunner().invoke(keys.app, ["operator", "make", str(folder / "chen.pem")]).exit_code == 0
        added = ("operator", "add", str(house.folder / "keys"), "chen", str(folder / "chen.pem.pub"), "--role", "attendant")
        assert CliRunner().invoke(keys.app, added).exit_code == 0
        self.who = {
            "HEALTHGATE_BROKER": f"localhost:{house.port}",
            "HEALTHGATE_ACCOUNT": str(folder / "op.chen.pem"),
            "HEALTHGATE_OPERATOR_KEY": str(folder / "chen.pem"),
        }
        self.server = self._process("server", "server", "run", "--config", str(toml))
        self.gates = {unit: self._gate(unit) for unit in UNITS}
        self._tended = set(UNITS)
        self._ending = threading.Event()
        tending = threading.Thread(target=self._tend)
        for process in (self.server, *self.gates.values()):
            undo.callback(process.stop)
            process.start()
        undo.callback(tending.join)
        undo.callback(self._ending.set)
        tending.start()

    def _process(self, name: str, *command: str) -> Process:
        return Process(name, [sys.executable, "-P", "-m", "healthgate", *command], self.folder)

    def _gate(self, unit: str) -> Process:
        done = come(self.folder / unit, self.house.server, self.house.secret(unit), "--simulated", str(default_socket(self.folder)))
        assert done.exit_code == 0, done.output
        toml = self.folder / unit / "etc" / "gate.toml"
        toml.write_text(toml.read_text().replace("[link]\n", "[trial]\nlength_s = 5.0\nlost_s = 2.0\n\n[link]\nbackoff_max_s = 1.0\n"))
        return self._process(unit, "edge", "run", "--config", str(toml))

    def _tend(self) -> None:
        while not self._ending.wait(0.05):
            for unit in tuple(self._tended):
                if not self.gates[unit].alive():
                    self.gates[unit].start()

    def cut_the_power(self, unit: str) -> None:
        self._tended.discard(unit)
        self.gates[unit].kill()

    def wait(self, what: Callable[[], Any]) -> Any:
        until = time.monotonic() + LIMIT_S
        while not (found := what()):
            assert time.monotonic() < until, f"see {self.folder}/*.log: {self.ls()}"
            time.sleep(0.25)
        return found

    def ls(self, *options: str) -> dict[str, dict[str, Any]]:
        """The rows of `fleet ls`, by unit in their order."""
        done = self.house.fleet("ls", "--json", *options)
        assert done.exit_code == 0, done.output
        return {row["unit"]: row for row in map(json.loads, done.stdout.splitlines())}

    def run(self, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """`fleet run` as the operator types it: exit status, and what came of it at each unit."""
        done = CliRunner().invoke(fleet.app, ["run", *arguments, "--yes", "--json"], env=self.who)
        found = {each["unit"]: each for each in map(json.loads, done.stdout.splitlines())}
        assert found, done.stderr
        return done.exit_code, found

    def pulses(self) -> list[int]:
        """How often each gate's relay has risen."""
        return [relay_pulses(self.world.entries(unit)) for unit in UNITS]

    def operator(self) -> Peer:
        """The operator's account, in whoever's hands it is."""
        account = self.folder / "op.chen.pem"
        return Peer(self.house, self.house.context_of(account.read_text() + account.with_suffix(".crt").read_text()))

    def console(self) -> Peer:
        """Somebody who hears and says anything of gates."""
        return Peer(self.house, self.house.context("console"))

    def unit(self, unit: str) -> Peer:
        """Whoever has a unit's key; the unit itself loses its connection for as long."""
        return Peer(self.house, unit_context(self.house, self.folder / unit))


def answer(spy: Peer, transaction: str) -> Response:
    """What comes to be answered to a transaction."""
    while True:
        topic, payload = spy.heard.get(timeout=LIMIT_S)
        if "/up/response/" in topic and (found := decode(payload, Response)).transaction == transaction:
            return found


def heard(listener: Peer, topic: str) -> bytes:
    """The next payload on a topic."""
    while True:
        found, payload = listener.heard.get(timeout=LIMIT_S)
        if found == topic:
            return payload


def test_a_morning(tmp_path: Path) -> None:
    """In its order, and in one: what is set early is looked at late."""
    with ExitStack() as undo:
        yard = Fleet(tmp_path, undo)
        three_gates_come_on_line_know_the_time_hold_the_list_and_pass_their_selftest(yard)
        a_command_opens_once_and_nothing_else_does(yard)
        a_role_is_held_to_by_the_canary_and_the_bridge_keeps_its_session(yard)
        an_account_of_another_authority_is_one_line(yard, tmp_path / "strangers")
        a_configuration_is_taken_by_the_server_s_signature_alone(yard)
        an_alert_comes_and_goes_and_third_parties_hear_of_it(yard)
        a_configuration_came_through_its_trial_and_the_forged_one_was_none(yard)
        a_gate_whose_power_is_cut_is_gone_within_seconds(yard)
        a_retired_gate_runs_on_and_is_heard_no_more(yard)


def three_gates_come_on_line_know_the_time_hold_the_list_and_pass_their_selftest(yard: Fleet) -> None:
    def is_well(row: dict[str, Any]) -> bool:
        status = row["status"] or {}
        return row["state"] == "online" and all(status.get(name) for name in ("clock_trusted", "sensor_ok", "camera_ok", "lists_held"))

    yard.wait(lambda: all(is_well(row) for row in yard.ls().values()))
    status, found = yard.run("*", "selftest", "--wait", "60")
    assert (status, set(found)) == (0, set(UNITS))
    assert {each["data"]["failed"] for each in found.values()} == {""}, found
    assert yard.pulses() == [0, 0, 0]


def a_command_opens_once_and_nothing_else_does(yard: Fleet) -> None:
    with yard.console() as spy:
        spy.subscribe(topics.down("north", "request", "open"), "healthgate/v1/gates/+/up/response/open")
        assert yard.run("north", "open", "--reason", "a pram")[0] == 0
        _, recorded = spy.heard.get(timeout=LIMIT_S)
        said = transaction_of(recorded)
        assert answer(spy, said).status == "ok"
        yard.wait(lambda: yard.pulses() == [1, 0, 0])
        with yard.operator() as thief:
            for unit, payload, transaction, fault in (
                ("north", recorded, said, "REPEATED"),
                ("south", recorded, said, "UNIT"),
                ("north", encode(Request(transaction="plain")), "plain", "CBOR"),
            ):
                assert thief.publish(topics.down(unit, "request", "open"), payload)
                assert answer(spy, transaction).data == {"fault": fault}
    with yard.unit("west") as west:
        assert not west.publish(topics.down("north", "request", "open"), recorded), "the broker takes no commands from units"
    assert yard.pulses() == [1, 0, 0]


def a_role_is_held_to_by_the_canary_and_the_bridge_keeps_its_session(yard: Fleet) -> None:
    status, found = yard.run("*", "restart", "--reason", "x", "--canary", "1")
    assert status == 1
    assert found["north"]["error"] == "ROLE: the role of chen is attendant, expected technician or manager"
    assert found["south"]["error"] == found["west"]["error"] == "not asked: the first did not do it"
    there = ("--config", str(yard.house.folder / "server.toml"))
    assert yard.run("north", "south", "sync", "--reason", "from the server", *there)[0] == 0
    assert yard.server.log.read_text().count("connected to the broker") == 1
    assert "connection to the broker lost" not in yard.server.log.read_text()


def an_account_of_another_authority_is_one_line(yard: Fleet, folder: Path) -> None:
    strangers, key = Authority.create(folder, time.time()), make_key()
    (folder / "op.chen.pem").write_bytes(key_pem(key))
    (folder / "op.chen.crt").write_text(pem(strangers.client(key.public_key(), "op.chen.1", time.time(), 30)))
    (folder / "ca.crt").write_text(yard.house.authority.pem)
    who = {**yard.who, "HEALTHGATE_ACCOUNT": str(folder / "op.chen.pem")}
    refused = CliRunner().invoke(fleet.app, ["run", "north", "identify"], env=who)
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "does not let this account in" in refused.stderr


def a_configuration_is_taken_by_the_server_s_signature_alone(yard: Fleet) -> None:
    """The trial goes on while the morning does; what came of it is seen further down."""
    forged = Desired(unit="south", version=99, at_ms=round(time.time() * 1000), settings="[screening]\nfever_c = 41.0\n")
    with yard.console() as spy:
        assert spy.publish(topics.down("south", "desired"), signed.write(forged, SoftwareKey.generate()))
    done = yard.house.fleet("set", "south", "sound.volume=0.5", "--reason", "neighbours", "--yes")
    assert done.exit_code == 0, done.output


def an_alert_comes_and_goes_and_third_parties_hear_of_it(yard: Fleet) -> None:
    device, seen = "homeassistant/device/healthgate_north/config", topics.unit_seen("north")

    def alerts() -> set[str]:
        return {alert["name"] for alert in yard.ls()["north"]["alerts"]}

    with yard.operator() as listener:
        listener.subscribe(device, seen)
        assert json.loads(heard(listener, device))["dev"]["name"] == "Gate north"
        for is_open in (True, False):
            yard.world.set("north", tamper=is_open)
            while ("tamper" in decode(heard(listener, seen), UnitSeen).alerts) is not is_open:
                pass
            yard.wait(lambda: "tamper" in alerts()) if is_open else yard.wait(lambda: "tamper" not in alerts())
    with urllib.request.urlopen(f"http://127.0.0.1:{yard.metrics}/metrics", timeout=LIMIT_S) as page:
        lines = page.read().decode().splitlines()
    assert 'healthgate_unit_online{unit="north"} 1.0' in lines
    assert "healthgate_broker_connected 1.0" in lines


def a_configuration_came_through_its_trial_and_the_forged_one_was_none(yard: Fleet) -> None:
    def south() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(yard.house.fleet("diff", "south", "--all", "--json").stdout)
        return found

    yard.wait(lambda: south()["state"] == "applied")
    assert (south()["reported"], south()["in_force"], south()["differences"]) == (1, 1, {})


def a_gate_whose_power_is_cut_is_gone_within_seconds(yard: Fleet) -> None:
    yard.cut_the_power("west")
    yard.wait(lambda: yard.ls()["west"]["state"] == "offline")
    assert next(iter(yard.ls())) == "west"
    status, found = yard.run("*", "sync", "--reason", "x")
    assert (status, found["west"]["error"]) == (1, "it is off line, and was not asked")


def a_retired_gate_runs_on_and_is_heard_no_more(yard: Fleet) -> None:
    def came() -> int:
        return yard.gates["south"].log.read_text().count("link: connected to")

    before, process = came(), yard.gates["south"].running
    done = yard.house.fleet("retire", "south")
    assert done.exit_code == 0, done.output
    yard.wait(lambda: came() > before)  # the broker lets it in, to no end
    assert (yard.gates["south"].running, yard.gates["south"].alive()) == (process, True)
    with yard.console() as spy:
        spy.subscribe("healthgate/v1/gates/south/#")
        mark = topics.down("south", "ack")
        assert spy.publish(mark, b"mark")
        assert spy.until(mark, b"mark") == set(), "nothing is kept of it, and nothing comes"
    assert set(yard.ls()) == {"north", "west"}
    assert yard.ls("--retired")["south"]["state"] == "retired"
    assert yard.run("*", "identify")[1].keys() == {"north", "west"}
