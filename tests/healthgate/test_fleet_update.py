"""`healthgate fleet update` on a server's folder and a real broker; the units are played at the wire."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import MQTTMessage
from typer.testing import CliRunner, Result

from healthcode import cose, signed, topics
from healthcode.cose import SoftwareKey
from healthcode.messages import AnyEvent, Command, EventBatch, Info, Message, Release, Response, UnitEvent, UpdateOrder, encode, stamp
from healthcode.terms import ClockState
from healthcode.trust import KeyRing
from healthgate import fleet, keyring_files, keys_release, rollout, server
from healthgate.fleet_update import Conductor, Told, find_trials, make_plan
from healthgate.release import published
from healthgate.rollout import Mark
from server.config import load
from server.fleet import Fleet
from server.intake import Incoming, Intake
from server.office import open_office
from tests.broker import Broker, Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NEW = "0.2.0"
UNITS = ("hall-1", "hall-2", "hall-3", "hall-4", "hall-5", "yard")
DONE = [("update_trial", f"release {NEW}"), ("update_done", f"release {NEW} has proved itself")]
BACK = [("update_trial", f"release {NEW}"), ("update_refused", f"release {NEW} is refused here: the camera worked before and has not")]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(fleet.app, ["update", *map(str, arguments)], env={"COLUMNS": "160"})


class House:
    """A server's folder with a published release, and units that answer; `stories` are the events of each once it is told."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.office_folder = folder / "office"
        assert CliRunner().invoke(server.app, ["init", str(self.office_folder)]).exit_code == 0
        keys, now = self.office_folder / "keys", time.time()
        keyring_files.init(keys, "CN-HB", "https://hb.example/s/1", now)
        keys_release.make(keys, folder / "release.pem", now)
        self.config = self.office_folder / "server.toml"
        text = self.config.read_text().partition("[broker]")[0]
        self.config.write_text(f'{text}\n[broker]\nhost = "{broker.host}"\nport = {broker.port}\n')
        release = Release(version=NEW, after="0.1.0", size=9, sha256=bytes(32), platforms=["cp311-aarch64"], signed_at=int(now))
        published = self.office_folder / "releases" / NEW / "release.cbor"
        published.parent.mkdir(parents=True)
        published.write_bytes(signed.write(release, SoftwareKey.from_pem((folder / "release.pem").read_bytes())))
        self.key = folder / "operator.pem"
        keyring_files.write_key(self.key, SoftwareKey.generate())
        self.office = open_office(load(self.config))
        for unit in UNITS:
            Fleet(self.office.store, time.time).add(unit)
        self.stories: dict[str, list[tuple[str, str]]] = dict.fromkeys(UNITS, DONE)
        self.answers: dict[str, str] = {}
        self.asked: list[str] = []
        self.seqs = itertools.count(1)
        self.client = Client(broker, "", "")
        self.client.client.on_message = self.answer
        self.client.subscribe(f"{topics.ROOT}/gates/+/down/request/update")
        for unit in UNITS:
            info = Info(unit=unit, boot_id="1" * 32, software="0.1.0", hardware="pi", started_at=stamp(now))
            self.hear(unit, "info", info)
            self.client.publish(topics.up(unit, "state"), b"offline" if unit == "yard" else b"online", retain=True)

    def hear(self, unit: str, channel: str, message: Message) -> None:
        one = Incoming(topics.up(unit, channel), encode(message))
        assert Intake(self.office.store, self.office.registry, lambda: KeyRing(0, []), time.time, 10).take([one]).refused == 0

    def answer(self, _client: object, _data: object, message: MQTTMessage) -> None:
        """As a unit does: an answer first, and events as time goes by."""
        command = signed.unpack(cose.parse(bytes(message.payload)).payload, Command, 64 * 1024)
        assert command.order == UpdateOrder(release=NEW)
        self.asked.append(command.unit)
        error = self.answers.get(command.unit, "")
        response = Response(status="error" if error else "ok", transaction=command.transaction, error=error)
        self.client.client.publish(topics.up(command.unit, "response", "update"), encode(response), qos=1)
        if not error:
            news: list[AnyEvent] = [
                UnitEvent(seq=next(self.seqs), at=stamp(time.time()), clock=ClockState.TRUSTED, what=what, detail=detail)
                for what, detail in self.stories[command.unit]
            ]
            self.hear(command.unit, "events", EventBatch(unit=command.unit, boot_id="1" * 32, events=news))

    def update(self, *arguments: str) -> tuple[int, list[tuple[str, str]], str]:
        done = run(*arguments, "--key", self.key, "--config", self.config, "--yes", "--json", "--reason", "a test")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done.exit_code, [(line["unit"], line["mark"]) for line in lines], done.stderr

    def close(self) -> None:
        self.client.close()
        self.office.store.close()


@pytest.fixture
def house(tmp_path: Path, broker: Broker) -> Iterator[House]:
    made = House(tmp_path, broker)
    yield made
    made.close()


def test_a_canary_then_the_others_by_stages_and_who_is_away_is_named(house: House) -> None:
    status, marks, said = house.update("*", NEW, "--canary", "1", "--stages", "50%,100%")
    assert house.asked[0] == "hall-1"
    assert set(house.asked[1:3]) == {"hall-2", "hall-3"}
    assert set(house.asked[3:]) == {"hall-4", "hall-5"}
    last = dict(marks)
    assert last == {**dict.fromkeys(UNITS[:5], "done"), "yard": "away"}
    assert marks.index(("hall-1", "done")) < min(place for place, (unit, _) in enumerate(marks) if unit != "hall-1")
    assert (status, "5 of 6 units run release 0.2.0" in said, "not yet: yard" in said) == (1, True, True)


def test_one_that_comes_back_stops_it(house: House) -> None:
    house.stories["hall-1"] = BACK
    status, _, said = house.update("hall-*", NEW)
    assert (status, house.asked) == (1, ["hall-1"])
    assert "stopped: hall-1: release 0.2.0 is refused here: the camera worked before" in said
    assert "0 of 5 units run release 0.2.0" in said
    assert "first look what it was: healthgate fleet events hall-1" in said


def test_one_that_refuses_at_once_stops_it_too(house: House) -> None:
    house.answers["hall-1"] = "NOT_DONE: release 0.2.0 is refused here: it was started 4 times"
    status, _, said = house.update("hall-*", NEW)
    assert (status, house.asked, "stopped: hall-1: NOT_DONE" in said) == (1, ["hall-1"], True)


def test_what_cannot_be_begun_is_one_line(house: House, tmp_path: Path) -> None:
    where = ("--config", house.config, "--yes", "--reason", "x")
    signer = ("--key", house.key)
    for arguments, wanted in (
        (("*", "0.3.0", *signer), "release 0.3.0 is not published: expected 0.2.0"),
        (("*", "newest", *signer), "RELEASE 'newest': expected three numbers"),
        (("west", NEW, *signer), "'west' means no unit"),
        (("*", NEW, *signer, "--stages", "50%"), "expected percentages that go up to 100%"),
        (("*", NEW), "--key: expected your own key"),
        (("*", NEW, "--key", tmp_path / "absent.pem"), "absent.pem"),
    ):
        done = run(*arguments, *where)
        assert (done.exit_code, wanted in done.stderr, len(done.stderr.splitlines())) == (2, True, 1), done.stderr
    assert house.asked == []
    for unit in UNITS:
        house.hear(unit, "info", Info(unit=unit, boot_id="2" * 32, software=NEW, hardware="pi", started_at=stamp(time.time())))
    done = run("*", NEW, *signer, *where)
    assert "release 0.2.0 runs on every unit that is meant" in done.stderr


def test_who_is_on_trial_since_an_earlier_command_goes_first_and_is_not_told_again(house: House) -> None:
    def happen(unit: str, what: str, detail: str) -> None:
        event = UnitEvent(seq=next(house.seqs), at=stamp(time.time()), clock=ClockState.TRUSTED, what=what, detail=detail)
        house.hear(unit, "events", EventBatch(unit=unit, boot_id="1" * 32, events=[event]))

    for unit in ("hall-3", "hall-4"):
        house.hear(unit, "info", Info(unit=unit, boot_id="1" * 32, software=NEW, hardware="pi", started_at=stamp(time.time())))
        happen(unit, "update_trial", f"release {NEW}")
    happen("hall-4", "update_done", f"release {NEW} has proved itself")
    units = [unit for unit in house.office.watch.see().units if unit.unit != "yard"]
    trials = find_trials(house.office.watch, units, NEW)
    assert set(trials) == {"hall-3"}
    (release,) = published(house.office.config)
    plan = make_plan(release, units, 1, "100%", trials)
    assert (plan.steps[0].unit, plan.steps[0].change) == ("hall-3", "0.2.0 is on trial there, waited for")
    assert plan.first == ("hall-3",)
    told: list[str] = []

    def tell(units: tuple[str, ...]) -> Iterator[Told]:
        told.extend(units)
        return (Told(unit) for unit in units)

    state = rollout.make(NEW, [step.unit for step in plan.steps], plan.canary, [1.0])
    conductor = Conductor(state, tell, house.office.watch, time.time, 60.0, trials)
    conductor.turn()
    assert (told, conductor.state.mark("hall-3")) == ([], Mark.TRIAL)
    happen("hall-3", "update_done", f"release {NEW} has proved itself")
    conductor.turn()
    conductor.turn()
    assert (told, conductor.state.mark("hall-3")) == (["hall-1", "hall-2", "hall-5"], Mark.DONE)
