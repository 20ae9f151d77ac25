"""`healthgate fleet ls`, `show`, `watch`, `events` and the completion of units, on a server's folder that units have spoken to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from healthcode import topics
from healthcode.messages import (
    Alert,
    AnyEvent,
    EventBatch,
    Info,
    LaneEvent,
    Message,
    PassageEvent,
    PassEvent,
    ReleaseEvent,
    UnitEvent,
    UnitStatus,
    encode,
    stamp,
)
from healthcode.terms import ClockState, Decision, LaneMode, PassageOutcome, Reason
from healthcode.trust import KeyRing
from healthgate import fleet, keyring_files, server
from server.config import load
from server.fleet import Fleet
from server.intake import Incoming, Intake
from server.office import Office, open_office
from server.store import events

URI = "https://hb.example/s/1"
BOOT = "0" * 31 + "1"
STATUS = UnitStatus(uptime_s=60, outbox_pending=3, lists_held=1, list_age_s=4.0, sensor_ok=1, camera_ok=1, clock_trusted=1, board_c=48.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fleet") / "office"
    assert CliRunner().invoke(server.app, ["init", str(made)]).exit_code == 0
    keyring_files.init(made / "keys", "CN-HB", URI, time.time())
    return made


@pytest.fixture(scope="module")
def office(folder: Path) -> Iterator[Office]:
    """Four units: hall-1 well, hall-2 without a thermometer, hall-3 gone with an alert, yard never heard."""
    opened = open_office(load(folder / "server.toml"))
    for unit in ("hall-1", "hall-2", "hall-3", "yard"):
        Fleet(opened.store, time.time).add(unit, note="by the [red]stairs[/red]", site="station")
    opened.watch.beat(time.time() - 600)
    sensor = Alert(name="sensor", since=stamp(time.time() - 60), detail="NO_ANSWER: no answer at 0x5a\x1b[2J")
    hear(opened, *(say(unit, "status", STATUS) for unit in ("hall-1", "hall-2", "hall-3")))
    hear(opened, say("hall-2", "alert", sensor, "sensor"), say("hall-3", "alert", sensor, "sensor"), say("hall-3", "state", b"offline"))
    hear(opened, told("hall-1", EVENTS))
    yield opened
    opened.store.close()


AT = stamp(1_584_345_600)
CERTAIN = ClockState.TRUSTED
EVENTS: list[AnyEvent] = [
    PassEvent(
        seq=1,
        at=AT,
        clock=CERTAIN,
        decision=Decision.ADMIT,
        reason=Reason.GREEN,
        code="HB1:SECRET",
        list=URI,
        index=4711,
        body_c=36.6,
        ms=412,
    ),
    PassageEvent(seq=2, at=AT, clock=CERTAIN, outcome=PassageOutcome.USED, grant=1, list=URI, index=4711),
    ReleaseEvent(seq=3, at=AT, clock=CERTAIN, by="staff", note="pram"),
    LaneEvent(seq=4, at=AT, clock=CERTAIN, mode=LaneMode.FREE, until=stamp(1_584_349_200), note="li: market day"),
    UnitEvent(seq=5, at=AT, clock=ClockState.HOLDOVER, what="sensor_lost", detail="gone\x1b[2J"),
]


def say(unit: str, channel: str, message: Message | bytes, name: str = "") -> Incoming:
    return Incoming(topics.up(unit, channel, name), message if isinstance(message, bytes) else encode(message))


def told(unit: str, events: list[AnyEvent]) -> Incoming:
    return say(unit, "events", EventBatch(unit=unit, boot_id=BOOT, events=events))


def hear(office: Office, *messages: Incoming) -> None:
    assert Intake(office.store, office.registry, lambda: KeyRing(0, []), time.time, 10).take(messages).refused == 0


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(fleet.app, [*args, "--config", str(folder / "server.toml")], env={"COLUMNS": "160"})


def test_the_worst_is_first_and_who_is_gone_looks_gone(folder: Path, office: Office) -> None:
    lines = run(folder, "ls").output.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["hall-3", "hall-2", "yard", "hall-1"]
    assert "○ offline" in lines[1]
    assert "✖ sensor" in lines[2]
    assert "? never heard" in lines[3]
    assert "● online" in lines[4]
    assert lines[5] == "4 units: 1 gone, 1 stopped, 1 unknown, 1 well"
    for unit, software in (("hall-1", "0.2.0"), ("hall-2", "0.1.0"), ("hall-3", "0.1.0")):
        hear(office, say(unit, "info", Info(unit=unit, boot_id=BOOT, software=software, hardware="pi", started_at=stamp(0))))
    assert run(folder, "ls").output.splitlines()[5].endswith("1 well; 0.1.0 on 2, 0.2.0 on 1")


def test_programs_get_a_line_for_each_unit(folder: Path, office: Office) -> None:
    found = [json.loads(line) for line in run(folder, "ls", "hall-*", "--json").output.splitlines()]
    assert [(one["unit"], one["state"], one["need"]) for one in found] == [
        ("hall-3", "offline", "gone"),
        ("hall-2", "online", "stopped"),
        ("hall-1", "online", "well"),
    ]
    assert found[1]["status"]["board_c"] == 48.3
    assert found[1]["alerts"][0]["name"] == "sensor"
    assert found[0]["as_of"] <= found[0]["since"]


def test_a_pattern_that_means_nothing_is_one_line(folder: Path, office: Office) -> None:
    for args in (("ls", "nowhere-*"), ("show", "nowhere"), ("show", "hall-*"), ("events", "nowhere")):
        found = run(folder, *args)
        assert found.exit_code == 2, args
        assert len(found.output.splitlines()) == 1
        assert args[1] in found.output


def test_one_unit_with_its_alerts_and_events_and_nobody_in_them(folder: Path, office: Office) -> None:
    found = run(folder, "show", "hall-1").output
    for words in ("● online", "by the [red]stairs[/red]", "processor 48 °C", "✓ admit GREEN  36.6 °C  412 ms", "opened by staff: pram"):
        assert words in found
    gone = run(folder, "show", "hall-3").output
    assert "it was last heard" in gone
    assert "\\x1b[2J" in gone
    assert "\x1b[2J" not in gone
    for output in (found, gone, run(folder, "events", "hall-1", "--json").output, run(folder, "show", "hall-1", "--json").output):
        assert not [word for word in ("SECRET", "4711", "hb.example") if word in output]


def test_what_the_server_says_of_a_unit_is_shown_until_somebody_has_seen_to_it(folder: Path, office: Office) -> None:
    with office.store.write() as tx:
        events.raise_alert(tx, "sync_budget", "hall-1", "asked for 64 MB", 1_584_345_600_000)
    assert "sync_budget" in run(folder, "show", "hall-1").output
    assert [each["detail"] for each in json.loads(run(folder, "show", "hall-1", "--json").output)["server_alerts"]] == ["asked for 64 MB"]
    config = ("--config", str(folder / "server.toml"))
    over = CliRunner().invoke(server.app, ["alerts", "--over", "sync_budget", "--unit", "hall-1", *config])
    assert (over.exit_code, over.output.splitlines()[0]) == (0, "sync_budget of hall-1: over")
    assert "sync_budget" not in run(folder, "show", "hall-1").output
    again = CliRunner().invoke(server.app, ["alerts", "--over", "sync_budget", "--unit", "hall-1", *config])
    assert (again.exit_code, "no such alert stands" in again.output) == (2, True)


def test_events_in_their_order(folder: Path, office: Office) -> None:
    lines = run(folder, "events", "hall-1", "--most", "4").output.splitlines()
    assert [line.split("Z  ")[1].strip() for line in lines] == [
        "passage used",
        "opened by staff: pram",
        "lane free until 2020-03-16T09:00:00Z: li: market day",
        "sensor_lost: gone\\x1b[2J  (clock holdover)",
    ]


def test_events_are_followed_as_they_come(folder: Path, office: Office) -> None:
    more: list[AnyEvent] = [UnitEvent(seq=seq, at=AT, clock=CERTAIN, what=f"word_{seq}") for seq in range(1, 4)]

    def speak() -> None:
        for event in more:
            hear(office, told("hall-2", [event]))

    speaker = threading.Thread(target=speak)
    speaker.start()
    found: list[str] = []
    until = time.monotonic() + 60
    while len(found) < 3 and time.monotonic() < until:
        found = run(
            folder, "events", "hall-2", "--most", "100", "--follow", "--every", "0.1", "--seconds", "0.3", "--json"
        ).output.splitlines()
    speaker.join()
    assert [json.loads(line)["what"] for line in found] == ["word_1", "word_2", "word_3"]


def test_the_fleet_is_watched_in_lines_by_programs_and_in_a_table_by_people(folder: Path, office: Office) -> None:
    first = run(folder, "watch", "--json", "--seconds", "0").output.splitlines()
    assert len(first) == 4
    table = run(folder, "watch", "hall-*", "--seconds", "0").output
    assert "hall-1" in table
    assert "3 units" in table
    assert "yard" not in table


def test_without_units_it_says_what_to_do(tmp_path: Path) -> None:
    assert CliRunner().invoke(server.app, ["init", str(tmp_path / "office")]).exit_code == 0
    found = run(tmp_path / "office", "ls")
    assert "0 units: none is known yet" in found.output
    assert "fleet enrol" in run(tmp_path / "office", "ls", "x").output


@pytest.mark.slow
def test_the_shell_completes_commands_and_units(folder: Path, office: Office) -> None:
    def complete(*words: str, where: Path = folder) -> set[str]:
        line = {"COMP_WORDS": " ".join(("healthgate", *words)), "COMP_CWORD": str(len(words)), "_HEALTHGATE_COMPLETE": "complete_bash"}
        command = [sys.executable, "-m", "healthgate"]
        done = subprocess.run(command, env={**os.environ, **line}, cwd=where, capture_output=True, text=True, timeout=120, check=False)
        assert done.stderr == ""
        return set(done.stdout.split())

    assert {"fleet", "server"} <= complete("")
    assert complete("fle") == {"fleet"}
    assert {"ls", "show", "watch", "events"} <= complete("fleet", "")
    assert complete("fleet", "retire", "hal") == {"hall-1", "hall-2", "hall-3"}
    assert complete("fleet", "run", "y") == {"yard"}
    assert complete("fleet", "show", "y", where=folder.parent) == set()
    assert not (folder.parent / "data").exists(), "completing makes no database"
    script = subprocess.run(
        [sys.executable, "-m", "healthgate", "completion", "bash"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "_HEALTHGATE_COMPLETE=complete_bash" in script.stdout
