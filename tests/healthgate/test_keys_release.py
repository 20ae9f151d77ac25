from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from healthcode.terms import Use
from healthgate import keyring_files
from healthgate.keys import app

AT = 1_800_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "keys", "CN-HB", "https://hb.example/s/1", AT)
    return tmp_path / "keys"


def trusted(folder: Path) -> list[str]:
    held = keyring_files.read_trust(folder / "trust.cbor", keyring_files.known_roots(folder))
    return [entry.kid.hex() for entry in held.entries if entry.use is Use.RELEASE]


def test_a_release_key_is_made_trusted_and_withdrawn_even_if_it_is_the_last(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "builder" / "release.pem"
    elsewhere.parent.mkdir()
    made = CliRunner().invoke(app, ["release-key", str(folder), "--key", str(elsewhere), "--json"])
    assert made.exit_code == 0, made.output
    said = json.loads(made.stdout)["made"]
    assert said == {"kid": trusted(folder)[0], "path": str(elsewhere)}
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    assert not (folder / "release.pem").exists(), "the server's folder does not hold it"
    second = CliRunner().invoke(app, ["release-key", str(folder)])
    assert second.exit_code == 0, second.output
    assert len(trusted(folder)) == 2
    for kid in trusted(folder):
        assert CliRunner().invoke(app, ["withdraw", str(folder), kid]).exit_code == 0
    assert trusted(folder) == []


def test_a_key_file_that_is_there_is_not_written_over(folder: Path) -> None:
    assert CliRunner().invoke(app, ["release-key", str(folder)]).exit_code == 0
    before = (folder / "release.pem").read_bytes()
    again = CliRunner().invoke(app, ["release-key", str(folder)])
    assert (again.exit_code, "release.pem" in again.output) == (2, True)
    assert (folder / "release.pem").read_bytes() == before
    assert len(trusted(folder)) == 1
