"""`healthgate code`: writing, reading and showing codes on the command line, on the golden files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from typer.testing import CliRunner, Result

from healthcode.cose import SoftwareKey
from healthcode.status import StatusList
from healthcode.terms import Status, Use
from healthcode.trust import GRACE_S
from healthgate import keyring_files
from healthgate.code import app
from server.sealing import write_private

VECTORS = Path(__file__).parents[1] / "vectors"
CODES: list[dict[str, Any]] = json.loads((VECTORS / "codes.json").read_text())
GREEN = CODES[0]["text"]
ROOT = VECTORS / "root.pub.pem"
AT = "2020-03-16T08:00:00Z"
NOW = 1_584_345_600
URI = "https://hb.example/s/1"


def run(*arguments: str | Path, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)


def read(text: str, *arguments: str | Path) -> dict[str, Any]:
    """What `code read --json` says; its exit status must agree."""
    result = run("read", "--trust", VECTORS / "trust.cbor", "--root", ROOT, "--at", AT, "--json", *arguments, "--", text)
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if found["ok"] else 1)
    assert result.stderr == ""
    return found


def test_a_valid_code() -> None:
    found = read(GREEN)
    assert found == {
        "ok": True,
        "fault": None,
        "detail": "",
        "issuer": "CN-HB",
        "colour": "green",
        "code_colour": "green",
        "source": "code",
        "said_at": "2020-03-16T07:00:00Z",
        "list": URI,
        "index": 1_234_567,
        "form": "live",
        "ruled_at": "2020-03-16T07:00:00Z",
        "not_before": "2020-03-16T07:59:50Z",
        "expires": "2020-03-16T08:02:10Z",
        "kid": CODES[0]["kid"],
        "trust_checked": True,
    }


@pytest.mark.parametrize("vector", CODES, ids=[vector["name"] for vector in CODES])
def test_the_fault_and_the_exit_status_are_the_vectors(vector: dict[str, Any]) -> None:
    at = datetime.fromtimestamp(vector["at"], UTC).isoformat()
    trust = VECTORS / vector["trust"]
    result = run("read", "--trust", trust, "--root", ROOT, "--at", at, "--json", "--", vector["text"])
    assert result.exit_code == (0 if vector["fault"] is None else 1)
    is_certificate = vector["text"].startswith("HC1:")  # read as one, and not packed as one
    assert json.loads(result.stdout)["fault"] == ("COMPRESSION" if is_certificate else vector["fault"])


def test_standard_input_without_the_lines_end() -> None:
    for ending in ("", "\n", "\r\n"):
        result = run("read", "-", "--trust", VECTORS / "trust.cbor", "--at", AT, "--json", text=GREEN + ending)
        assert result.exit_code == 0
        assert json.loads(result.stdout)["trust_checked"] is False
        assert "was not checked" in result.stderr


def test_a_trust_list_that_has_ended_trusts_nobody() -> None:
    end = NOW + 365 * 86_400 + GRACE_S
    assert read(GREEN, "--at", datetime.fromtimestamp(end, UTC).isoformat())["fault"] == "EXPIRED", "as at a gate"
    found = read(GREEN, "--at", datetime.fromtimestamp(end + 1, UTC).isoformat())
    assert found["fault"] == "TRUST_MISSING"
    assert found["detail"] == "the trust list ended 30.0 days before the time of judging: it counts for 30"


def snapshot(path: Path, entries: dict[int, Status], at: int, uri: str = URI) -> Path:
    """A signed snapshot by the test key for lists, made as the golden files' keys are."""
    from tests.vectors.make import LIST

    held = StatusList.empty(uri, 1, 2**21)
    if entries:
        assert held.apply(held.make_delta(entries, at)) is None
    path.write_bytes(held.snapshot(LIST, at))
    return path


@pytest.mark.parametrize(
    ("entry", "said", "colour", "source", "fault"),
    [
        (Status.GREEN, NOW, "green", "list", None),
        (Status.RED, NOW, "red", "list", None),
        (Status.YELLOW, NOW, "yellow", "list", None),
        (Status.RED, NOW - 3601, "green", "code", None),
        (Status.RED, NOW - 3600, "red", "list", None),
        (Status.REVOKED, NOW, None, "list", "REVOKED"),
        (Status.REVOKED, NOW - 7200, None, "list", "REVOKED"),
    ],
)
def test_the_newest_statement_counts_and_revoked_is_final(
    tmp_path: Path, entry: Status, said: int, colour: str | None, source: str, fault: str | None
) -> None:
    path = snapshot(tmp_path / "snapshot.cbor", {1_234_567: entry}, said)
    found = read(GREEN, "--status", path)
    assert (found["colour"], found["source"], found["fault"]) == (colour, source, fault)
    assert found["code_colour"] == "green"


def test_the_list_of_another_province_says_nothing(tmp_path: Path) -> None:
    other = next(vector for vector in CODES if vector["name"] == "another province")
    found = read(other["text"], "--status", snapshot(tmp_path / "snapshot.cbor", {}, NOW))
    assert (found["fault"], found["colour"]) == ("LIST_MISSING", None)


def test_for_people() -> None:
    good = run("read", GREEN, "--trust", VECTORS / "trust.cbor", "--root", ROOT, "--at", AT)
    assert good.stdout.startswith("valid: green (by the code of 2020-03-16T07:00:00Z), CN-HB")
    bad = run("read", GREEN[:-1] + "\n", "--trust", VECTORS / "trust.cbor", "--root", ROOT, "--at", AT)
    assert bad.exit_code == 1
    assert bad.stdout.startswith("not valid: BASE45: ")


def test_written_and_read(tmp_path: Path) -> None:
    keyring_files.init(tmp_path, "CN-HB", URI, NOW)
    key = tmp_path / "token.pem"
    result = run("write", "--key", key, "--issuer", "CN-HB", "--uri", URI, "--index", "7", "--colour", "red", "--form", "paper",
                 "--ruled-at", AT, "--not-before", AT)  # fmt: skip
    assert result.exit_code == 0
    text = result.stdout.rstrip("\n")
    again = run("read", text, "--trust", tmp_path / "trust.cbor", "--root", tmp_path / "root.pub.pem", "--at", AT, "--json")
    found = json.loads(again.stdout)
    assert (found["ok"], found["colour"], found["index"], found["expires"]) == (True, "red", 7, "2020-04-13T08:00:00Z")
    assert found["kid"] == SoftwareKey.from_pem((tmp_path / f"{Use.TOKEN.value}.pem").read_bytes()).kid.hex()


def test_shown(tmp_path: Path) -> None:
    png, svg = tmp_path / "code.png", tmp_path / "code.svg"
    assert run("show", GREEN, "--png", png, "--svg", svg).exit_code == 0
    (barcode,) = zxingcpp.read_barcodes(Image.open(png))
    assert barcode.text == GREEN
    assert svg.read_bytes().startswith(b"<?xml")
    terminal = run("show", "-", text=GREEN)
    assert terminal.exit_code == 0
    assert len(terminal.stdout.splitlines()) > 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["read", "x", "--trust", "absent"], "absent: cannot be read"),
        (["read", "x", "--trust", "codes.json"], "expected a signed trust list"),
        (["read", "x", "--trust", "trust.cbor", "--root", "trust.cbor"], "trust.cbor: not a public key"),
        (["read", "x", "--trust", "trust.cbor", "--at", "noon"], "--at 'noon': expected a time such as"),
        (["read", "x", "--trust", "trust.cbor", "--at", AT, "--status", "absent"], "absent: cannot be read"),
        (["read", "x", "--trust", "trust.cbor", "--at", AT, "--status", "trust.cbor"], "trust.cbor: TYPE: expected a signed snapshot"),
        (["write", "--key", "absent", "--issuer", "CN-HB", "--uri", "u", "--index", "1"], "absent: cannot be read"),
        (["write", "--key", "root.pub.pem", "--issuer", "CN-HB", "--uri", "u", "--index", "1"], "root.pub.pem: mode"),
        (["write", "--key", "token.pem", "--issuer", "X" * 33, "--uri", "u", "--index", "1"], "issuer out of range"),
        (["write", "--key", "token.pem", "--issuer", "", "--uri", "u", "--index", "1"], "issuer out of range"),
        (["write", "--key", "token.pem", "--issuer", "X", "--uri", "u", "--index", "1", "--ruled-at", "1950-01-01"], "out of range"),
        (["show", "A" * 5000], "too large"),
        (["show", GREEN, "--png", "absent/x.png"], "absent/x.png: cannot be written"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    write_private(tmp_path / "token.pem", SoftwareKey.generate().to_pem())
    monkeypatch.chdir(VECTORS)
    result = run(*(str(tmp_path / "token.pem") if argument == "token.pem" else argument for argument in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize("data", [b"\xff\xfe", b"HB1:" + bytes(100_000)])
def test_standard_input_that_is_no_code(data: bytes) -> None:
    result = run("read", "-", "--trust", VECTORS / "trust.cbor", "--root", ROOT, "--at", AT, text=data)
    assert result.exit_code in (1, 2)
    assert len((result.stdout + result.stderr).splitlines()) == 1
