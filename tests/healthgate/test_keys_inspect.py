"""`healthgate keys inspect`: what a file of ours is, and whether it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from healthcode.messages import Message
from healthcode.signed import KINDS
from healthcode.terms import Use
from healthgate import keyring_files, keys_inspect
from healthgate.keys import app
from healthgate.rotation import rotate

VECTORS = Path(__file__).parent.parent / "vectors"
ROOT, TRUST = VECTORS / "root.pub.pem", VECTORS / "trust.cbor"
AT = "2020-03-16T08:00:00Z"
OBJECTS = json.loads((VECTORS / "signed.json").read_text())
LIST = json.loads((VECTORS / "list.json").read_text())
WALLS = ("--root", ROOT, "--trust", TRUST, "--at", AT)


def walls(vector: dict[str, str]) -> tuple[str | Path, ...]:
    """What an object is judged against, its own trust list among it."""
    return ("--root", ROOT, "--trust", VECTORS / vector["trust"], "--at", AT)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["inspect", *(str(argument) for argument in arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("vector", [each for each in OBJECTS if each["fault"] is None], ids=lambda each: each["name"])
def test_every_kind_is_known_and_its_signature_checked_where_it_can_be(vector: dict[str, str], file: Path) -> None:
    file.write_bytes(bytes.fromhex(vector["data"]))
    found = json.loads(run(file, *walls(vector), "--json").stdout)
    assert (found["what"], found["signature"]) == (keys_inspect.NAMES[vector["kind"]], "good")
    assert json.loads(run(file, "--json").stdout)["signature"] == "not checked"
    told = run(file, *walls(vector))
    assert told.exit_code == 0
    assert told.stdout.startswith(f"{file}: {found['what']}, by {found['kid']} ({found['algorithm']}), signature good\n")
    assert "NOT CHECKED" in run(file).stdout


@pytest.mark.parametrize("vector", [each for each in OBJECTS if each["name"].endswith("by a stranger")], ids=lambda each: each["name"])
def test_what_does_not_count_is_named_and_ends_with_status_1(vector: dict[str, str], file: Path) -> None:
    file.write_bytes(bytes.fromhex(vector["data"]))
    done = run(file, *walls(vector))
    assert (done.exit_code, "signature UNKNOWN_KEY" in done.stdout) == (1, True)


def test_every_kind_of_signed_message_has_a_name() -> None:
    kinds: set[type[Message]] = set(KINDS)
    assert {kind.__name__ for kind in kinds} == keys_inspect.NAMES.keys()


def test_a_snapshot_names_its_list_and_is_judged_as_that(file: Path) -> None:
    file.write_bytes(bytes.fromhex(LIST["snapshot"]))
    found = json.loads(run(file, *WALLS, "--json").stdout)
    assert (found["what"], found["signature"]) == ("snapshot of a status list", "good")
    assert (found["says"]["uri"], found["says"]["version"], found["says"]["entries"]) == (LIST["uri"], 3, LIST["capacity"])
    file.write_bytes(bytes.fromhex(LIST["snapshot_by_a_stranger"]))
    assert run(file, *WALLS).exit_code == 1


def test_times_read_as_times(file: Path) -> None:
    (vector,) = (each for each in OBJECTS if each["name"] == "ClockReset")
    file.write_bytes(bytes.fromhex(vector["data"]))
    assert "  floor: 2020-03-16T08:00:00Z\n" in run(file).stdout


def test_keys_and_requests_are_named_and_no_private_key_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "hb"
    keyring_files.init(folder, "CN-HB", "https://hb.example/s/1", 1_584_345_600)
    private = (folder / "token.pem").read_text()
    for name, what in (("token.pem", "private key"), ("root.pub.pem", "public key")):
        done = run(folder / name)
        assert done.stdout.startswith(f"{folder / name}: {what} ")
        assert private.splitlines()[1] not in done.stdout
    (folder / "root.pem").unlink()
    rotate(folder, Use.LIST, 1_584_345_600)
    done = run(folder / "trust.request")
    assert "request for trust list 2, not signed" in done.stdout
    assert "NOT SIGNED YET" in done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "expected a signed object, a request or a key in PEM"),
        (b"hello", "expected a signed object, a request or a key in PEM"),
        (b"\xa0", "expected a signed object, a request or a key in PEM"),
        (b"HB1:NCFOXN", "`healthgate code read` reads those"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "mode 0644"),
    ],
)
def test_what_is_nothing_of_ours_is_one_line(file: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        file.write_bytes(content)
        file.chmod(0o644)
    done = run(file)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert said in line
