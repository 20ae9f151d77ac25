"""`healthgate audit` as an auditor uses it: verify, show, a head kept elsewhere, and what each says when something is wrong."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from healthcode.terms import Use
from healthgate import audit, epidemic, keyring_files, resident, server
from server.audit_heads import AuditHeads
from server.config import load
from server.keys import load_roots, load_signer, read_trust
from server.office import open_office

URI = "https://hb.example/s/1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A server's folder with its keys, one resident and a signed head."""
    made = tmp_path / "server"
    assert CliRunner().invoke(server.app, ["init", str(made)]).exit_code == 0
    keyring_files.init(made / "keys", "CN-HB", URI, time.time())
    assert CliRunner().invoke(resident.app, ["add", "居民甲", "--config", str(made / "server.toml")]).exit_code == 0
    sign_head(made)
    return made


def sign_head(folder: Path) -> None:
    """What a running server does when a day begins."""
    office = open_office(load(folder / "server.toml"))
    keys = Path(office.config.keys)
    signer = load_signer(keys, Use.ACK, read_trust(keys, load_roots(office.config.roots)).ring, time.time())
    AuditHeads(office.store, lambda: signer, "CN-HB", time.time).due(0.0)
    office.store.close()


def run(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(audit.app, [*args, "--config", str(folder / "server.toml")])


def tamper(folder: Path, *statements: str) -> None:
    """What somebody does who may do anything in the database."""
    with sqlite3.connect(folder / "data" / "registry.sqlite") as database:
        triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            database.execute(statement)
        for _, sql in triggers:
            database.execute(sql)
    database.close()


def test_a_log_that_holds_and_a_head_kept_elsewhere(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.cbor"
    assert run(folder, "head", str(kept)).exit_code == 0
    found = run(folder, "verify", "--head", str(kept), "--json")
    assert found.exit_code == 0
    told = json.loads(found.stdout)
    assert (told["holds"], told["heads"], told["kept_heads"], told["heads_of_unknown_keys"]) == (True, 2, 1, 0)
    assert run(folder, "verify").stdout.startswith(f"the log holds: {told['entries']} entries")


def test_the_log_names_who_did_what_and_that_somebody_read_it(folder: Path) -> None:
    shown = [json.loads(line) for line in run(folder, "show", "--json").stdout.splitlines()]
    assert [each["action"] for each in reversed(shown)] == ["policy", "resident.added", "fact", "colour"]
    who = shown[0]["subject"].removeprefix("resident/")
    assert "居民" not in json.dumps(shown, ensure_ascii=False)
    assert len(run(folder, "show", "--resident", who, "--json").stdout.splitlines()) == 3
    (newest,) = [json.loads(line) for line in run(folder, "show", "--most", "1", "--json").stdout.splitlines()]
    assert (newest["action"], newest["role"], newest["subject"]) == ("audit.shown", "console", f"resident/{who}")
    assert "resident.added" in run(folder, "show").stdout


def test_a_rewritten_entry_is_named(folder: Path) -> None:
    tamper(folder, "UPDATE audit SET account = 'somebody' WHERE entry = 2")
    found = run(folder, "verify")
    assert found.exit_code == 1
    assert found.stderr.strip().endswith("entry 2 is not what was written, or not in its place: its digest does not hold")
    told = json.loads(run(folder, "verify", "--json").stdout)
    assert (told["holds"], told["entry"]) == (False, 2)


def test_another_log_does_not_agree_with_the_head_that_was_kept(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.cbor"
    run(folder, "head", str(kept))
    nothing = "0" * 64
    tamper(folder, "DELETE FROM audit", "DELETE FROM audit_heads", f"UPDATE audit_tip SET entry = 0, digest = '{nothing}'")
    assert run(folder, "verify").exit_code == 0, "nothing in the database contradicts it"
    found = run(folder, "verify", "--head", str(kept))
    assert found.exit_code == 1
    assert "entries 1 to 4 are missing: a signed head names the last of them" in found.stderr


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "CBOR"), (b"\xd2\x84", "CBOR"), (b"x" * 2000, "SIZE")], ids=["empty", "cut short", "too long"]
)
def test_what_is_no_head_is_said_in_one_line(folder: Path, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "head.cbor").write_bytes(content)
    found = run(folder, "verify", "--head", str(tmp_path / "head.cbor"))
    assert found.exit_code == 2
    assert words in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_a_telephone_number_is_no_subject(folder: Path) -> None:
    assert run(folder, "show", "--resident", "13800000000").exit_code == 2


def test_which_import_turned_a_resident_is_told_with_its_file(folder: Path, tmp_path: Path) -> None:
    config = ("--config", str(folder / "server.toml"))
    path = tmp_path / "contacts.csv"
    path.write_text(CliRunner().invoke(epidemic.app, ["example", "--kind", "close_contact"]).stdout)
    number = path.read_text().splitlines()[1].split(",")[0]
    who = json.loads(CliRunner().invoke(resident.app, ["add", "居民乙", "--number", number, "--json", *config]).stdout)["id"]
    made = json.loads(CliRunner().invoke(epidemic.app, ["import", str(path), "--kind", "close_contact", "--json", *config]).stdout)
    rows = [json.loads(line) for line in run(folder, "show", "--resident", who, "--json").stdout.splitlines()]
    turned = next(row for row in rows if row.get("action") == "colour" and row["detail"]["to"] == "yellow")
    (told,) = (row for row in rows if "import" in row)
    assert turned["detail"]["import"] == told["import"] == made["import"]
    assert (told["file"], told["rows"], told["facts_about_them"], told["withdrawn"]) == ("contacts.csv", 2, 1, None)
    shown = run(folder, "show", "--resident", who).stdout
    assert "imports that say something of this resident" in shown
    assert "imports that say" not in run(folder, "show").stdout
