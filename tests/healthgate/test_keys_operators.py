"""`healthgate keys operator`: keys of people who command units."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from healthcode.cose import PublicKey, SoftwareKey
from healthcode.messages import TrustList
from healthcode.terms import OperatorRole, Use
from healthgate import keyring_files
from healthgate.keyring_files import DAY_S, KeysError
from healthgate.keys import app
from healthgate.keys_operators import add_operator
from healthgate.rotation import find_warnings

NOW = 1_584_345_600
URI = "https://hb.example/s/1"
KEY = SoftwareKey.generate("Ed25519")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["operator", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "hb", "CN-HB", URI, NOW)
    return tmp_path / "hb"


def operators(trust_list: TrustList) -> list[tuple[str, OperatorRole | None, Use, bytes]]:
    return [(entry.name, entry.role, entry.use, entry.key) for entry in trust_list.entries if entry.name]


def test_an_operator_makes_a_key_and_the_keeper_of_the_root_adds_it(folder: Path, tmp_path: Path) -> None:
    made = json.loads(run("make", tmp_path / "chen.pem", "--json").stdout)
    assert stat.S_IMODE((tmp_path / "chen.pem").stat().st_mode) == 0o600
    public = PublicKey.from_pem((tmp_path / "chen.pem.pub").read_bytes())
    assert public.kid.hex() == made["kid"]
    shown = json.loads(run("add", folder, "chen", tmp_path / "chen.pem.pub", "--role", "attendant", "--json").stdout)
    entries = [entry for entry in shown["entries"] if entry["name"] == "chen"]
    assert [(entry["use"], entry["role"], entry["kid"]) for entry in entries] == [("command", "attendant", made["kid"])]
    told = CliRunner().invoke(app, ["show", str(folder)]).stdout
    assert "chen attendant" in told


def test_a_key_that_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    assert run("make", tmp_path / "chen.pem").exit_code == 0
    before = (tmp_path / "chen.pem").read_bytes()
    again = run("make", tmp_path / "chen.pem")
    assert (again.exit_code, "chen.pem" in again.stderr) == (2, True)
    assert (tmp_path / "chen.pem").read_bytes() == before


def test_the_same_key_again_has_another_role_and_another_end(folder: Path) -> None:
    add_operator(folder, "chen", KEY.public_key, OperatorRole.ATTENDANT, NOW, days=10)
    after = add_operator(folder, "chen", KEY.public_key, OperatorRole.MANAGER, NOW, days=20)
    assert operators(after) == [("chen", OperatorRole.MANAGER, Use.COMMAND, KEY.public)]
    assert {entry.sign_until for entry in after.entries if entry.name} == {NOW + 20 * DAY_S}


def test_names_and_keys_are_not_mixed_up(folder: Path) -> None:
    add_operator(folder, "chen", KEY.public_key, OperatorRole.ATTENDANT, NOW)
    with pytest.raises(KeysError, match=r"chen has the key .*: withdraw it first"):
        add_operator(folder, "chen", SoftwareKey.generate("Ed25519").public_key, OperatorRole.ATTENDANT, NOW)
    with pytest.raises(KeysError, match="that of chen"):
        add_operator(folder, "wang", KEY.public_key, OperatorRole.ATTENDANT, NOW)
    with pytest.raises(KeysError, match="expected a key of the operator's own"):
        add_operator(folder, "wang", keyring_files.own_signers(folder, Use.TIME)[0].public_key, OperatorRole.MANAGER, NOW)
    with pytest.raises(KeysError, match="operator 'wang li'"):
        add_operator(folder, "wang li", SoftwareKey.generate("Ed25519").public_key, OperatorRole.MANAGER, NOW)


def test_the_last_operator_can_be_withdrawn(folder: Path) -> None:
    add_operator(folder, "chen", KEY.public_key, OperatorRole.ATTENDANT, NOW)
    assert operators(keyring_files.withdraw(folder, KEY.kid, NOW)) == []


def test_an_operator_s_key_that_ends_is_warned_of_once_by_name(folder: Path) -> None:
    held = add_operator(folder, "chen", KEY.public_key, OperatorRole.ATTENDANT, NOW, days=20)
    assert find_warnings(held, NOW) == ["the key of the operator chen signs for 20 days more: `keys operator add`, or `keys withdraw`"]
    (later,) = [line for line in find_warnings(held, NOW + 25 * DAY_S) if "chen" in line]
    assert "ended 5 days ago" in later
