"""The commands `server` and `resident` on a folder of their own."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from healthcode import token
from healthcode.cose import SoftwareKey
from healthcode.status import StatusList
from healthcode.terms import Colour, Form, Use
from healthcode.token import HealthCode
from healthcode.trust import KeyRing
from healthgate import account, keyring_files, proposal, resident, server
from server import store
from server.authority import names_of, read_certificate, spki_of
from server.config import load
from server.lists import make_pair
from server.office import open_office
from server.store import StoreError

URI, OTHER_URI = "https://hb.example/s/1", "https://hn.example/s/1"


NUMBER = "420101196001010022"
"""Made up: the region is of no district, the check character is right."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A server's folder with its keys."""
    made = tmp_path / "server"
    assert run_server("init", str(made)).exit_code == 0
    keyring_files.init(made / "keys", "CN-HB", URI, time.time())
    return made


def run_server(*args: str) -> Result:
    return CliRunner().invoke(server.app, args)


def run_resident(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(resident.app, [*args, "--config", str(folder / "server.toml")])


def run_proposal(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(proposal.app, [*args, "--config", str(folder / "server.toml")])


def signed(folder: Path, name: str) -> list[str]:
    """The options by which an officer of this name signs in; the account is made where there is none."""
    secret = folder / "password"
    secret.write_text("three blue herons\n")
    role = "approver" if name.startswith("approver") else "officer"
    CliRunner().invoke(account.app, ["add", name, "--role", role, "--password-file", str(secret), "--config", str(folder / "server.toml")])
    return ["--by", name, "--password-file", str(secret)]


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file that `server init` and `keys init` have made, but the database."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "data" not in path.parts}


def test_init_overwrites_nothing_and_makes_what_is_missing(folder: Path) -> None:
    before = contents(folder)
    secrets = {path for path in before if path.suffix in (".key", ".pem") and not path.name.endswith(".pub.pem")}
    assert {path.name for path in secrets} >= {"seal.key", "fleet-ca.pem", "bridge.pem", "server.key", "root.pem"}
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    again = run_server("init", str(folder), "--name", "another.example")
    assert (again.exit_code, contents(folder)) == (0, before)
    (folder / "broker" / "server.crt").unlink()
    (folder / "broker" / "acl").unlink()
    assert run_server("init", str(folder)).exit_code == 0
    assert contents(folder).keys() == before.keys()
    same = {path for path in before if path.name != "server.crt"}
    assert {path: contents(folder)[path] for path in same} == {path: before[path] for path in same}


@pytest.mark.parametrize("name", ["", "关", "hub example", "https://hub.example", "-x", "hub.example:8443/"])
def test_a_name_that_no_machine_has_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    told = run_server("init", str(tmp_path / "new"), "--name", "10.0.0.7", "--name", name)
    assert told.exit_code == 2
    assert "--name" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_an_address_of_ipv6_stands_in_certificates_and_in_no_other_place(tmp_path: Path) -> None:
    told = run_server("init", str(tmp_path / "new"), "--name", "2001:db8::1")
    assert (told.exit_code, "expected a name or an IPv4 address first" in told.stderr) == (2, True)
    assert not (tmp_path / "new").exists()
    assert run_server("init", str(tmp_path / "new"), "--name", "hub.example", "--name", "2001:db8::1").exit_code == 0
    assert "2001:db8::1" in names_of(read_certificate(tmp_path / "new" / "broker" / "server.crt"))
    assert run_server("certificate", "--config", str(tmp_path / "new" / "server.toml")).exit_code == 0


def test_init_of_a_folder_with_passwords_makes_what_certificates_need_and_says_what_to_change(folder: Path) -> None:
    """A server from before."""
    for path in [*(folder / "broker").glob("*.*"), folder / "broker" / "acl", *(folder / "keys").glob("fleet-ca.*")]:
        path.unlink()
    text = 'issuer = "CN-HB"\nuri = "https://hb.example/s/1"\n[broker]\nusername = "bridge"\n'
    (folder / "server.toml").write_text(text)
    told = run_server("init", str(folder), "--name", "hub.example")
    assert told.exit_code == 0
    assert (folder / "server.toml").read_text() == text
    assert 'name = "hub.example"\nca = "broker/ca.crt"' in told.stdout
    assert (folder / "broker" / "server.crt").exists()


def test_the_server_s_certificates_are_made_anew_for_the_same_keys(folder: Path) -> None:
    before = contents(folder)
    done = run_server("certificate", "--config", str(folder / "server.toml"), "--name", "hub.example", "--name", "10.0.0.7")
    assert done.exit_code == 0, done.output
    assert "names no process" in done.stdout, "no broker runs"
    assert {path.name for path in before if contents(folder)[path] != before[path]} == {"server.crt", "bridge.crt"}
    made = read_certificate(folder / "broker" / "server.crt")
    assert names_of(made) == ["hub.example", "10.0.0.7", "localhost", "127.0.0.1"]
    assert spki_of(made) == spki_of(x509.load_pem_x509_certificate(before[folder / "broker" / "server.crt"]))


def test_a_resident_from_registration_to_revocation(folder: Path) -> None:
    added = json.loads(run_resident(folder, "add", "居民甲", "--number", NUMBER, "--json").stdout)
    assert (added["name"], added["colour"]) == ("居民甲", "green")
    proposed = run_resident(folder, "colour", added["id"], "yellow", "--reason", "close_contact", *signed(folder, "officer.li"), "--json")
    waiting = json.loads(proposed.stdout)
    assert (waiting["state"], waiting["would_change"]) == ("open", 1)
    alone = run_proposal(folder, "approve", str(waiting["number"]), *signed(folder, "officer.li"))
    assert (alone.exit_code, alone.stderr.strip()) == (1, "healthgate proposal: This account cannot do that.")
    agreed = run_proposal(folder, "approve", str(waiting["number"]), *signed(folder, "approver.wang"), "--json")
    assert json.loads(agreed.stdout)["state"] == "in_force"
    assert "yellow for 1, reason close_contact: in force" in run_proposal(folder, "show", "1", *signed(folder, "approver.wang")).stdout
    moved = json.loads(run_resident(folder, "revoke", added["id"], "--json").stdout)
    assert moved["index"] != added["index"]
    (listed,) = [json.loads(line) for line in run_resident(folder, "list", "--json").stdout.splitlines()]
    assert listed == moved
    assert added["id"] in run_resident(folder, "list").stdout


def test_a_number_is_put_right_from_the_command_line(folder: Path) -> None:
    right = "420106199003074519"
    someone = json.loads(run_resident(folder, "add", "居民甲", "--number", NUMBER, "--json").stdout)["id"]
    asked = ("number", someone, right, "--reason", "mistyped", *signed(folder, "officer.li"))
    wrong = run_resident(folder, "number", someone, right[:17] + "0", *asked[3:])
    assert (wrong.exit_code, wrong.stderr.split(":")[:2]) == (1, ["healthgate", " number"])
    tried = run_resident(folder, *asked, "--dry-run")
    assert tried.exit_code == 0 and f"{NUMBER} to {right} (citizen)" in tried.stdout, tried.output
    made = json.loads(run_resident(folder, *asked, "--json").stdout)
    assert (made["what"], made["colour"], made["state"], made["turns"]) == (
        "number",
        None,
        "open",
        [{"from": "green", "to": "green", "people": 1}],
    )
    approver = signed(folder, "approver.wang")
    assert right not in run_proposal(folder, "show", str(made["number"]), *approver).stdout
    agreed = run_proposal(folder, "approve", str(made["number"]), *approver)
    assert agreed.stdout == f"proposal {made['number']}: number put right for 1, reason mistyped: in force\n", agreed.output
    assert "number  mistyped" in run_proposal(folder, "list", *approver).stdout
    again = run_resident(folder, "add", "居民乙", "--number", right)
    assert (again.exit_code, someone in again.stderr) == (1, True)


def test_personal_data_is_for_the_account_alone(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        assert run_server("init", str(tmp_path / "server")).exit_code == 0
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "server" / "data").iterdir()}
    assert modes["registry.sqlite"] == 0o600
    assert set(modes.values()) == {0o600}


def is_one_line(result: Result, words: str) -> None:
    """The command ended with status 2 and said so in one line."""
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.stderr
    assert words in result.stderr


def test_a_file_that_is_no_database_is_one_line(folder: Path) -> None:
    (folder / "data" / "registry.sqlite").write_bytes(b"no database " * 1000)
    is_one_line(run_resident(folder, "list"), "not a database")
    is_one_line(run_server("unit", "list", "--config", str(folder / "server.toml")), "not a database")


def test_a_locked_database_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BUSY_MS", 20)
    with closing(sqlite3.connect(folder / "data" / "registry.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        is_one_line(run_resident(folder, "list"), "database is locked")
        is_one_line(run_resident(folder, "add", "Resident"), "database is locked")
        with pytest.raises(StoreError, match="database is locked"):
            open_office(load(folder / "server.toml"))


def test_a_server_on_a_file_that_is_no_database_ends_with_one_line(folder: Path) -> None:
    (folder / "data" / "registry.sqlite").write_bytes(b"no database " * 1000)
    command = [sys.executable, "-m", "server", str(folder / "server.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "not a database" in done.stderr


def test_a_table_that_is_gone_is_one_line(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "data" / "registry.sqlite", isolation_level=None)) as other:
        other.execute("DROP TABLE alerts")
    is_one_line(run_server("alerts", "--config", str(folder / "server.toml")), "no such table")


def test_what_cannot_be_done_is_one_line(folder: Path) -> None:
    person = json.loads(run_resident(folder, "add", "Resident", "--number", NUMBER, "--json").stdout)["id"]
    officer = signed(folder, "officer.li")
    for args, words in (
        (("add", "Other", "--number", f" {NUMBER[:6]}-{NUMBER[6:]}"), "one person has one code"),
        (("colour", person, "red", "--reason", "close_contact", *officer), "The reason close_contact cannot make a code red"),
        (("colour", "nobody", "red", "--reason", "confirmed", *officer), "There is no resident nobody"),
        (("add", ""), "the name is empty"),
        (("add", " \u3000"), "the name is empty"),
        (("add", "X" * 201), "expected at most 200"),
        (("add", "\x1b[31mRed\nLine"), r"'\x1b[31mRed\nLine' has control characters"),
        (("add", "a\udcff"), "half characters"),
        (("add", "Resident", "--number", "4\x9b2"), "the number"),
        (("add", "Resident", "--number", NUMBER[:17] + "3"), "the number: The length is right, but the last character"),
        (("add", "Resident", "--number", "P1234567", "--paper", "passport"), "the number: Enter the passport’s country code"),
        (("add", "Resident", "--born", "someday"), "the date of birth: Enter the date like"),
        (("add", "Resident", "--phone", "1\u20282"), "the phone"),
        (("revoke", "nobody"), "no resident"),
        (("code", "nobody"), "no resident"),
    ):
        result = run_resident(folder, *args)
        assert result.exit_code == 1
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert run_resident(folder, "colour", person, "red").exit_code == 2
    assert run_resident(folder, "add", "Other", "--colour", "red").exit_code == 2  # nobody makes a person red alone
    assert run_resident(folder, "colour", person, "blue", "--reason", "confirmed", *officer).exit_code == 2
    missing = run_server("unit", "list", "--config", str(folder / "none.toml"))
    assert missing.exit_code == 2
    assert len(missing.stderr.splitlines()) == 1


def test_codes_are_issued_and_drawn(folder: Path, tmp_path: Path) -> None:
    person = json.loads(run_resident(folder, "add", "Resident", "--json").stdout)["id"]
    ring = KeyRing.of(keyring_files.read_trust(folder / "keys" / "trust.cbor", None))
    (text,) = run_resident(folder, "code", person).stdout.splitlines()
    code = token.read(text, ring, time.time())
    assert isinstance(code, HealthCode)
    assert (code.colour, code.form) == (Colour.GREEN, Form.PAPER)
    assert len(run_resident(folder, "code", person, "--form", "live").stdout.splitlines()) == 120
    assert run_resident(folder, "code", person, "--png", str(tmp_path / "x.png"), "--show").exit_code == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert run_resident(folder, "code", person, "--png", str(tmp_path / "none" / "x.png")).exit_code == 2


@pytest.mark.slow  # draws documents
def test_a_paper_code_is_written_as_a_document(folder: Path, tmp_path: Path) -> None:
    person = json.loads(run_resident(folder, "add", "Resident", "--json").stdout)["id"]
    for options in ((), ("--layout", "a4"), ("--layout", "large", "--language", "en")):
        target = tmp_path / "code.pdf"
        assert run_resident(folder, "code", person, "--pdf", str(target), *options).exit_code == 0
        assert target.read_bytes().startswith(b"%PDF-")
    is_one_line(run_resident(folder, "code", person, "--pdf", str(tmp_path / "none" / "x.pdf")), "cannot be written")
    is_one_line(run_resident(folder, "code", person, "--pdf", str(target), "--form", "live"), "leave out --form live")


def test_units_are_known_by_name(folder: Path) -> None:
    config = ("--config", str(folder / "server.toml"))
    assert "added" in run_server("unit", "add", "north", "--note", "main gate", *config).stdout
    assert "known already" in run_server("unit", "add", "north", *config).stdout
    wrong = run_server("unit", "add", "a b", *config)
    assert wrong.exit_code == 2
    assert "expected 1 to 32 letters" in wrong.stderr
    (row,) = [json.loads(line) for line in run_server("unit", "list", "--json", *config).stdout.splitlines()]
    assert (row["unit"], row["note"], row["state"]) == ("north", "main gate", "unknown")
    assert "north" in run_server("unit", "list", *config).stdout
    assert run_server("alerts", "--json", *config).stdout == ""


def test_another_provinces_list_is_imported(folder: Path, tmp_path: Path) -> None:
    now = int(time.time())
    keyring_files.init(tmp_path / "other", "CN-HN", OTHER_URI, now)
    keyring_files.recognise(folder / "keys", keyring_files.export(tmp_path / "other", now).entries, now)
    signer = SoftwareKey.from_pem((tmp_path / "other" / f"{Use.LIST.value}.pem").read_bytes())
    head, snapshot = make_pair(StatusList.empty(OTHER_URI, 1, 1024), signer, now)
    (tmp_path / "head").write_bytes(head)
    (tmp_path / "snapshot").write_bytes(snapshot)
    config = ("--config", str(folder / "server.toml"))
    files = ("--head", str(tmp_path / "head"), "--snapshot", str(tmp_path / "snapshot"))
    assert "version 0" in run_server("import-list", OTHER_URI, *files, *config).stdout
    for uri, other in ((URI, files), (OTHER_URI, ("--head", str(tmp_path / "snapshot"), "--snapshot", str(tmp_path / "head")))):
        wrong = run_server("import-list", uri, *other, *config)
        assert wrong.exit_code == 2
        assert len(wrong.stderr.splitlines()) == 1
    for endless in ("--head", "--snapshot", "--delta"):
        wrong = run_server("import-list", OTHER_URI, *files, endless, "/dev/zero", *config)
        assert (wrong.exit_code, "/dev/zero: too long" in wrong.stderr) == (2, True)
