"""The commands `policy`, `outage` and `resident why` on a server's folder."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from healthgate import outage, policy, resident, server
from server import policy as policies
from server import rulebook
from server.actors import AT_CONSOLE, BY_RULES
from server.config import load
from server.facts import CloseContact, Declared, Fact, Reviewed
from server.office import open_office
from server.persons import Person
from server.policy import DEFAULT, parse

DAY = 86_400.0


def all_rows(folder: Path) -> list[str]:
    """All that the server's database holds; its file may move what waits in its journal without a change."""
    with closing(sqlite3.connect(folder / "data" / "registry.sqlite")) as database:
        return list(database.iterdump())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A server's folder with twelve hundred residents: half are contacts of ten days ago, the others checked in yesterday."""
    made = tmp_path / "server"
    assert CliRunner().invoke(server.app, ["init", str(made)]).exit_code == 0
    office = open_office(load(made / "server.toml"))
    at = time.time() - DAY
    with office.store.write() as tx:
        for number in range(1200):
            person = office.registry.register(tx, Person(f"resident {number}"), at, BY_RULES)
            assert isinstance(person, str)
            facts: list[Fact] = [Declared(at), Reviewed(at, "rule"), *([CloseContact(at - 9 * DAY, "import")] if number % 2 else [])]
            office.registry.record_many(tx, [(person, fact) for fact in facts], at, BY_RULES)
    office.store.close()
    return made


def run(app: object, folder: Path, *args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--config", str(folder / "server.toml")])  # type: ignore[arg-type]


def test_the_readable_file_says_what_the_defaults_are() -> None:
    text = Path(policies.__file__).with_suffix(".toml").read_text(encoding="utf-8")
    assert parse(text) == DEFAULT
    keys = [line for line in text.splitlines() if "=" in line and not line.startswith("#") and not line.startswith(("version", "name"))]
    assert len(keys) == 26
    assert all(line.partition("# ")[2].startswith(("notice:", "press:", "ours:")) for line in keys), "every default has its source"


def test_a_policy_is_checked_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('version = 2\n[gate]\nfever = "purple"\n[record]\nlapse_day = 2\n')
    wrong = CliRunner().invoke(policy.app, ["check", str(file)])
    assert wrong.exit_code == 2
    assert wrong.stderr.splitlines() == [
        f'healthgate: {file}:3: gate.fever = "purple": expected one of red, review, yellow',
        f"healthgate: {file}:5: unknown key record.lapse_day (did you mean record.lapse_days?): expected one of lapse_days, gate_counts, "
        "gate_hours",
    ]
    file.write_text('version = 2\n[gate]\nfever = "red"\n')
    good = CliRunner().invoke(policy.app, ["check", str(file)])
    assert good.exit_code == 0
    (changed,) = [line.split() for line in good.stdout.splitlines() if "gate.fever " in line]
    assert changed == ["gate.fever", '"red"', '"yellow"']
    missing = CliRunner().invoke(policy.app, ["check", str(tmp_path / "none.toml")])
    assert missing.stderr == f"healthgate: {tmp_path / 'none.toml'}: cannot be read: No such file or directory\n"


def test_what_a_policy_would_change_is_said_before_it_is_in_force(folder: Path, tmp_path: Path) -> None:
    before = all_rows(folder)
    file = tmp_path / "own.toml"
    file.write_text("version = 2\n[contact]\ndays = 7\n")
    shown = run(policy.app, folder, "simulate", str(file), "--json")
    assert json.loads(shown.stdout) == {
        "in_force": 1,
        "policy": 2,
        "people": 1200,
        "changed": 600,
        "changes": [{"from": "yellow", "to": "green", "people": 600}],
        "rules": [{"from": "close_contact", "to": "healthy", "people": 600}],
    }
    table = run(policy.app, folder, "simulate", str(file)).stdout
    assert "policy 2 in place of 1: 600 of 1200 people would change colour" in table
    assert "▲ yellow" in table
    assert all_rows(folder) == before
    assert json.loads(run(policy.app, folder, "show", "--json").stdout)["version"] == 1
    file.write_text("version = 1\n[contact]\ndays = 7\n")
    same = run(policy.app, folder, "simulate", str(file))
    assert (same.exit_code, same.stderr) == (2, "healthgate: policy 1 is in force with other rules: expected version 2 for these\n")


def test_a_server_that_names_an_own_policy_rules_by_it(folder: Path) -> None:
    (folder / "own.toml").write_text("version = 5\n[contact]\ndays = 7\n")
    config = (folder / "server.toml").read_text()
    (folder / "server.toml").write_text(f'policy = "own.toml"\n{config}')
    assert json.loads(run(policy.app, folder, "show", "--json").stdout)["contact"]["days"] == 7
    office = open_office(load(folder / "server.toml"))
    assert sum(iter(lambda: office.registry.rule_due(500), 0)) == 1200
    colours = [one.word for one in office.registry.list_residents()]
    assert (colours.count("green"), len(colours)) == (1200, 1200)
    office.store.close()
    (folder / "server.toml").write_text(config)
    older = run(policy.app, folder, "show")
    assert older.stderr == "healthgate: policy 1 is older than 5, which is in force: expected version 5 or higher\n"


def test_an_outage_from_its_begin_to_its_end(folder: Path) -> None:
    assert run(outage.app, folder, "end").exit_code == 1
    began = run(outage.app, folder, "begin", "--note", "停电")
    assert began.exit_code == 0
    assert "no green code lapses from" in began.stdout
    again = run(outage.app, folder, "begin")
    assert "an outage has begun already: end it first" in again.stderr
    assert "lies in the future" in run(outage.app, folder, "end", "--at", "2999-01-01T00:00:00Z").stderr
    assert "lies before the outage's begin" in run(outage.app, folder, "end", "--at", "2020-01-01").stderr
    wrong = run(outage.app, folder, "end", "--at", "yesterday")
    assert (wrong.exit_code, wrong.stderr) == (
        2,
        "healthgate outage: --at 'yesterday': expected a time such as 2020-03-16T08:00:00Z\n",
    )
    (listed,) = [json.loads(line) for line in run(outage.app, folder, "list", "--json").stdout.splitlines()]
    assert (listed["note"], listed["ended"]) == ("停电", None)
    assert run(outage.app, folder, "end").exit_code == 0
    assert "still on" not in run(outage.app, folder, "list").stdout


def test_why_is_said_in_both_languages(folder: Path) -> None:
    office = open_office(load(folder / "server.toml"))
    person = next(one.resident for one in office.registry.list_residents() if one.word == "yellow")
    with office.store.write() as tx:
        assert rulebook.begin_outage(tx, time.time(), "", AT_CONSOLE, time.time()) is None
    office.store.close()
    english = run(resident.app, folder, "why", person)
    assert english.stdout.startswith("yellow by the rule close_contact, since ")
    assert "Close contact of a case, since " in english.stdout
    chinese = json.loads(run(resident.app, folder, "why", person, "--language", "zh-CN", "--json").stdout)
    assert "密切接触者" in chinese["reasons"][0]
    assert len(chinese["changes"]) == 3
    assert "no resident 'nobody'" in run(resident.app, folder, "why", "nobody").stderr
