"""`healthgate fleet run`: what is asked for is checked before anything is sent, and two real gates do what an operator signs, once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from healthcode import topics
from healthcode.cose import SoftwareKey
from healthcode.messages import CalibrateOrder, LogsOrder, ModeOrder, OpenOrder, Request, Response, decode, encode
from healthcode.terms import CommandFault, CommandName, LaneMode
from healthgate.fleet import app
from healthgate.fleet_answers import Outcome
from healthgate.fleet_asked import Asked, NotSent, writer
from healthgate.fleet_plan import PlanError
from healthgate.fleet_run import broker_of, plan_for
from healthgate.keys import app as keys
from healthgate.signers import open_signer
from healthgate.town import GATES, Town
from healthgate.witness import relay_pulses
from tests.broker import Client

NORTH, SOUTH = GATES
LIMIT_S = 60.0


def asked(command: str, reason: str = "a pram", **given: Any) -> Asked:
    plain: dict[str, Any] = {"to": None, "minutes": None, "black_body": None, "emissivity": None, "lines": None, "release": ""}
    return Asked(CommandName(command), reason, **(plain | given))


@pytest.mark.parametrize(
    ("what", "order"),
    [
        (asked("identify", ""), None),
        (asked("open"), OpenOrder()),
        (asked("mode", to=LaneMode.FREE, minutes=90.0), ModeOrder(mode=LaneMode.FREE, for_s=5400)),
        (asked("mode", to=LaneMode.LOCKED), ModeOrder(mode=LaneMode.LOCKED)),
        (asked("calibrate", black_body=37.0), CalibrateOrder(black_body_c=37.0, emissivity=0.99)),
        (asked("logs"), LogsOrder(lines=50)),
    ],
)
def test_what_is_asked_becomes_an_order(what: Asked, order: object) -> None:
    assert what.order() == order


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (asked("open", ""), "--reason"),
        (asked("open", " \n"), "--reason"),
        (asked("open", lines=5), "--lines: belongs to logs"),
        (asked("identify", to=LaneMode.FREE), "--to: belongs to mode"),
        (asked("mode"), "expected --to"),
        (asked("mode", to=LaneMode.FREE), "expected --minutes"),
        (asked("mode", to=LaneMode.LOCKED, minutes=5.0), "expected --minutes"),
        (asked("calibrate"), "--black-body"),
        (asked("update"), "--release"),
    ],
)
def test_what_is_missing_or_too_much_is_named(what: Asked, said: str) -> None:
    with pytest.raises(NotSent, match=said):
        what.order()


def test_the_plan_says_who_is_off_line_and_leaves_somebody_for_the_canary() -> None:
    plan = plan_for(["a", "b", "c"], {"a": True, "c": False}, asked("mode", to=LaneMode.FREE, minutes=5.0), 1)
    assert (plan.what, plan.first, plan.rest) == ("mode free for 5 minutes", ("a",), ("b", "c"))
    assert [step.change for step in plan.steps] == ["mode free for 5 minutes", *["off line: will not be asked"] * 2]
    with pytest.raises(PlanError, match="--canary 3"):
        plan_for(["a", "b", "c"], {}, asked("open"), 3)


@pytest.mark.parametrize("broker", ["", ":8883", "host:x", "host:0", "host:99999"])
def test_a_broker_that_is_none_is_named(broker: str, tmp_path: Path) -> None:
    with pytest.raises(NotSent, match="--broker"):
        broker_of(broker, tmp_path / "op.chen.pem")


def test_an_account_is_three_files(tmp_path: Path) -> None:
    with pytest.raises(NotSent, match="--account"):
        broker_of("host", None)
    for name in ("ca.crt", "op.chen.crt"):
        with pytest.raises(NotSent, match=name):
            broker_of("host", tmp_path / "op.chen.pem")
        (tmp_path / name).touch()
    with pytest.raises(NotSent, match=r"op\.chen\.pem"):
        broker_of("host", tmp_path / "op.chen.pem")
    (tmp_path / "op.chen.pem").touch()
    found = broker_of("host", tmp_path / "op.chen.pem")
    assert (found.host, found.port, found.certificate) == ("host", 8883, str(tmp_path / "op.chen.crt"))


def test_an_outcome_says_what_came_of_it() -> None:
    done = Outcome("north", Response(status="ok", transaction="1", data={"mode": "free", "on": True, "x": None}), took_ms=3.25)
    refused = Outcome("north", Response(status="error", transaction="1", data={"fault": "ROLE"}, error="ROLE: no"))
    silent = Outcome("north", None, "it is off line, and was not asked")
    assert (done.words, refused.words, silent.words) == ("mode free, on yes, x -", "ROLE: no", "it is off line, and was not asked")
    assert [each.as_dict()["status"] for each in (done, refused, silent)] == ["ok", "error", "silent"]
    assert json.dumps(done.as_dict())


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def test_a_command_that_cannot_be_signed_reaches_no_broker(tmp_path: Path) -> None:
    there = ("--broker", "127.0.0.1:1", "--account", tmp_path / "op.x.pem")
    for wrong, said in (
        (("north", "open", "--reason", "x"), "--key: expected your own key"),
        (("north", "open", "--reason", "x", "--key", tmp_path / "absent.pem"), "absent.pem"),
        (("north", "update", "--reason", "x", "--release", "newest"), "update: "),
        (("north", "open"), "--reason"),
    ):
        done = run(*wrong, *there)
        assert (done.exit_code, said in done.stderr) == (2, True), done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text('issuer = "CN-HB"\nuri = "https://hb.example/s/1"\n[broker]\nport = 1\n')
    done = run("north", "identify", "--config", tmp_path / "server.toml")
    assert (done.exit_code, "the broker at 127.0.0.1:1 cannot be reached" in done.stderr) == (2, True)


class Operator:
    """Somebody at a terminal who commands the gates of a real town, and somebody else who listens in."""

    def __init__(self, folder: Path) -> None:
        self.town = Town(folder)
        conf = self.town.broker.folder / "mosquitto.conf"
        conf.write_text(conf.read_text().replace("use_username_as_clientid true", "use_username_as_clientid false"))
        self.town.__enter__()
        self.key = self.town.operator_key
        self.spy = Client(self.town.broker, "bridge", (folder / "bridge.password").read_text())
        self.thief = Client(self.town.broker, "operator", (folder / "operator.password").read_text())
        self.thief.subscribe(f"{topics.ROOT}/gates/+/up/response/open")

    def run(self, *arguments: str, key: Path | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
        """Exit status, and what came of it at each unit."""
        where = ("--config", self.town.folder / "operator.toml", "--key", key or self.key, "--yes", "--json")
        done = run(*arguments, *where)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return done.exit_code, {each["unit"]: each for each in found}

    def pulses(self, unit: str) -> int:
        return relay_pulses(self.town.world.entries(unit))

    def wait_for_pulses(self, unit: str, count: int) -> None:
        assert self.town.poll(lambda: self.pulses(unit) >= count, LIMIT_S)

    def send(self, unit: str, payload: bytes, transaction: str) -> Response:
        """The thief publishes it as the command open; what the unit answers."""
        while not self.thief.heard.empty():
            self.thief.heard.get()
        self.thief.publish(topics.down(unit, "request", "open"), payload)
        while (answer := decode(self.thief.next(LIMIT_S)[1], Response)).transaction != transaction:
            pass
        return answer

    def restart(self, unit: str) -> None:
        """The gate's process is started again, until it obeys."""
        self.town.gates[unit].start()
        assert self.town.poll(lambda: self.run(unit, "sync", "--reason", "is it there", "--wait", "5")[0] == 0, LIMIT_S)

    def close(self) -> None:
        self.spy.close()
        self.thief.close()
        self.town.close()


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    operator = Operator(tmp_path_factory.mktemp("t"))
    yield operator
    operator.close()


slow = [pytest.mark.slow, pytest.mark.timeout(300)]


class TestTown:
    """A day of commands at two gates, in its order."""

    pytestmark = slow

    def test_every_unit_is_found_by_pattern_and_identifies_itself_without_a_key(self, operator: Operator) -> None:
        status, found = operator.run("*", "identify")
        assert (status, set(found)) == (0, set(GATES))
        assert all(each["took_ms"] > 0 for each in found.values())
        done = run("west", "identify", "--config", operator.town.folder / "operator.toml")
        assert (done.exit_code, "'west' means no unit" in done.stderr) == (2, True)

    def test_a_selftest_has_a_figure_of_every_part(self, operator: Operator) -> None:
        """The thermometers of a town have no calibration, and work; whatever is slow today, there are figures."""
        status, found = operator.run("north", "selftest", "--wait", "60")
        assert status == 0
        data = found[NORTH]["data"]
        assert data["failed"] == "", data
        assert data["camera_frames_per_s"] > 0
        assert 0 <= data["camera_frame_age_s"] < LIMIT_S
        assert data["sensor_ambient_c"] == pytest.approx(25.0, abs=2.0)
        assert (data["relay_ok"], data["relay_on"]) == (True, False)
        assert (data["light_ok"], data["light_seen"]) == (True, "red green blue")
        assert data["disk_fsync_ms"] > 0
        assert data["disk_free_mb"] > 0
        assert (data["clock_state"], data["lists_held"], data["lists_wanted"]) == ("trusted", 2, 2)
        assert data["broker_round_trip_ms"] > 0

    def test_open_opens_one_gate_once_and_the_server_knows_who_and_why(self, operator: Operator) -> None:
        before = {unit: operator.pulses(unit) for unit in GATES}
        status, found = operator.run("north", "open", "--reason", "a pram")
        assert (status, found[NORTH]["data"]["stage"]) == (0, "released")
        operator.wait_for_pulses(NORTH, before[NORTH] + 1)
        notes = operator.town.poll(lambda: bodies(operator.town, NORTH, "release"), LIMIT_S)
        assert [(each["by"], each["note"]) for each in notes] == [("command", "operator operator: a pram")]
        assert operator.pulses(SOUTH) == before[SOUTH]

    def test_a_mode_goes_to_a_canary_first_and_to_all_when_it_did_it(self, operator: Operator) -> None:
        status, found = operator.run("*", "mode", "--to", "locked", "--reason", "night", "--canary", "1")
        assert (status, list(found)) == (0, [NORTH, SOUTH])
        assert {each["data"]["mode"] for each in found.values()} == {"locked"}
        assert operator.run("*", "mode", "--to", "controlled", "--reason", "morning")[0] == 0

    def test_what_is_not_signed_or_by_a_strangers_key_does_nothing(self, operator: Operator, tmp_path: Path) -> None:
        before = operator.pulses(NORTH)
        (tmp_path / "thief.pem").touch(0o600)
        (tmp_path / "thief.pem").write_bytes(SoftwareKey.generate().to_pem())
        status, found = operator.run("*", "open", "--reason", "x", "--canary", "1", key=tmp_path / "thief.pem")
        assert (status, found[NORTH]["data"]["fault"], found[SOUTH]["status"]) == (1, CommandFault.UNKNOWN_KEY.value, "silent")
        assert found[SOUTH]["error"] == "not asked: the first did not do it"
        assert operator.send(NORTH, encode(Request(transaction="mine")), "mine").data == {"fault": "CBOR"}
        assert operator.pulses(NORTH) == before
        assert operator.town.poll(lambda: any("UNKNOWN_KEY" in each["detail"] for each in bodies(operator.town, NORTH, "unit")), LIMIT_S)

    def test_a_command_that_is_sent_again_over_a_restart_does_nothing(self, operator: Operator) -> None:
        before = operator.pulses(SOUTH)
        write = writer(CommandName.OPEN, OpenOrder(), "a pram", 60)
        began = time.monotonic()
        transaction = "7c" * 16
        raw = write(open_signer(str(operator.key)), SOUTH, transaction, time.time())
        assert operator.send(SOUTH, raw, transaction).status == "ok"
        operator.wait_for_pulses(SOUTH, before + 1)
        assert operator.send(SOUTH, raw, transaction).data == {"fault": "REPEATED"}
        operator.town.gates[SOUTH].kill()
        operator.restart(SOUTH)
        expected = {"REPEATED"} if time.monotonic() - began < 55 else {"REPEATED", "EXPIRED"}
        assert operator.send(SOUTH, raw, transaction).data["fault"] in expected
        assert operator.pulses(SOUTH) == before + 1

    def test_a_restart_ends_the_process_in_order_and_who_is_off_line_is_not_asked(self, operator: Operator) -> None:
        status, found = operator.run("south", "restart", "--reason", "a new camera")
        assert status == 0, found
        process = operator.town.gates[SOUTH].running
        assert process is not None
        assert process.wait(LIMIT_S) == 0
        assert operator.town.poll(lambda: operator.run("*", "sync", "--reason", "x")[1][SOUTH]["status"] == "silent", LIMIT_S)
        status, found = operator.run("*", "sync", "--reason", "x")
        assert (status, found[NORTH]["status"], found[SOUTH]["error"]) == (1, "ok", "it is off line, and was not asked")
        operator.restart(SOUTH)

    def test_the_log_says_who(self, operator: Operator) -> None:
        status, found = operator.run("south", "logs", "--reason", "looking", "--lines", "90")
        lines = list(found[SOUTH]["data"].values())
        assert status == 0
        assert any("command sync by operator operator: is it there" in line for line in lines)
        assert not any("HB1:" in line for line in lines)

    def test_a_reboot_that_is_not_allowed_says_so(self, operator: Operator) -> None:
        status, found = operator.run("south", "reboot", "--reason", "x")
        assert (status, found[SOUTH]["data"]["fault"]) == (1, "NOT_DONE")
        assert "commands.reboot" in found[SOUTH]["error"]

    def test_people_see_a_table_and_a_reason(self, operator: Operator) -> None:
        where = ("--config", operator.town.folder / "operator.toml", "--key", operator.key)
        done = run("*", "sync", "--reason", "x", *where)
        assert (done.exit_code, "nobody can be asked here: expected --yes" in done.stderr) == (2, True)
        done = run("*", "sync", "--reason", "x", "--yes", *where)
        assert done.exit_code == 0, done.stderr
        assert "sync: 2 units" in done.stderr
        assert {line.split(":")[0] for line in done.stdout.splitlines()} == {"✓ done north", "✓ done south"}


def bodies(town: Town, unit: str, kind: str) -> list[dict[str, Any]]:
    """The events of a kind that the server has of a unit."""
    from healthgate.witness import rows_of

    return [row.body for row in rows_of(town, unit) if row.kind == kind]


def test_an_operators_key_is_made_where_it_stays(tmp_path: Path) -> None:
    assert CliRunner().invoke(keys, ["operator", "make", str(tmp_path / "chen.pem")]).exit_code == 0
    assert open_signer(str(tmp_path / "chen.pem")).algorithm == "Ed25519"
