"""`healthgate epidemic` on a folder of its own: what people type, and what they read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from healthgate import epidemic, resident, server

KINDS = ("case", "case_closed", "close_contact", "contact_cleared", "isolation", "test_result")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "server"
    assert CliRunner().invoke(server.app, ["init", str(made)]).exit_code == 0
    return made


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(epidemic.app, [*args, "--config", str(folder / "server.toml")])


def example(folder: Path, kind: str, *args: str) -> Path:
    path = folder / f"{kind}{'.jsonl' if 'jsonl' in args else '.csv'}"
    path.write_text(CliRunner().invoke(epidemic.app, ["example", "--kind", kind, *args]).stdout, encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_each_kind_can_be_imported(folder: Path, kind: str) -> None:
    for args in ((), ("--chinese",), ("--format", "jsonl")):
        found = run(folder, "import", str(example(folder, kind, *args)), "--kind", kind, "--dry-run", "--json")
        assert found.exit_code == 0, found.stderr
        assert json.loads(found.stdout)["new"] == len(example(folder, kind).read_text("utf-8").splitlines()) - 1


def test_a_dry_run_tells_and_an_import_does(folder: Path) -> None:
    path = example(folder, "close_contact")
    who = path.read_text("utf-8").splitlines()[1].split(",")[0]
    config = str(folder / "server.toml")
    assert CliRunner().invoke(resident.app, ["add", "Somebody", "--number", who, "--config", config]).exit_code == 0
    dry = run(folder, "import", str(path), "--kind", "close_contact", "--dry-run")
    assert "2 rows: 2 new, 0 known, 0 repeated; about 2 people, 1 of them not registered yet" in dry.stdout
    assert "would change: 1 people\n  green -> yellow: 1\n" in dry.stdout and "nothing was changed" in dry.stdout
    assert run(folder, "list", "--json").stdout == ""
    told = json.loads(run(folder, "import", str(path), "--kind", "close_contact", "--json").stdout)
    assert (told["imported"], told["changed"]) == (True, {"green": {"yellow": 1}})
    again = json.loads(run(folder, "import", str(path), "--kind", "close_contact", "--json").stdout)
    assert again == {"imported": False, "known_as": told["import"]}
    number = str(told["import"])
    withdrawn = json.loads(run(folder, "withdraw", number, "--reason", "wrong town", "--json").stdout)
    assert (withdrawn["state"], withdrawn["reason"], withdrawn["changed"]) == ("withdrawn", "wrong town", {"yellow": {"green": 1}})
    assert json.loads(run(folder, "show", number, "--json").stdout) == withdrawn
    assert "withdrawn" in run(folder, "list").stdout and "wrong town" in run(folder, "show", number).stdout
    late = run(folder, "withdraw", number, "--reason", "again")
    assert late.exit_code == 1 and "was withdrawn already" in late.stderr


def test_faulty_rows_are_named_in_either_language_and_nothing_is_imported(folder: Path) -> None:
    path = folder / "bad.csv"
    path.write_text("number,at,remark\n4.20106E+17,yesterday,x\n")
    english = run(folder, "import", str(path), "--kind", "case_closed")
    assert english.exit_code == 1 and "bad.csv:1: no column end" in english.stderr
    english = run(folder, "import", str(path), "--kind", "close_contact")
    assert english.exit_code == 1
    assert "bad.csv:2: number: “4.20106E+17” was rounded" in english.stderr and "bad.csv:2: at: “yesterday”" in english.stderr
    assert "2 faults in 1 of 1 rows; nothing was imported" in english.stderr and "columns not used: 'remark'" in english.stderr
    chinese = run(folder, "import", str(path), "--kind", "close_contact", "--language", "zh-CN", "--json")
    assert [(fault["line"], fault["column"]) for fault in json.loads(chinese.stdout)["faults"]] == [(2, "number"), (2, "at")]
    assert "已被表格软件取整" in chinese.stdout
    missing = run(folder, "import", str(folder / "none.csv"), "--kind", "case")
    assert missing.exit_code == 2 and "none.csv: cannot be read: No such file" in missing.stderr


def test_columns_are_shown(folder: Path) -> None:
    shown = CliRunner().invoke(epidemic.app, ["columns", "--kind", "case"]).stdout
    assert "category: what the clinic reports" in shown and "确诊病例" in shown and "source *" in shown
