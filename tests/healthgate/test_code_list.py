"""`healthgate code list`: what files of status lists hold, on the golden files, the standard's examples and a unit's cache."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import cbor2
import pytest
from typer.testing import CliRunner, Result

from edge.cache import Cache
from healthcode import cose, signed, status
from healthcode.messages import Delta, TrustList
from healthcode.status import StatusList
from healthcode.terms import Status, Use
from healthgate.code import app
from tests.healthcode.keys import RING, SIGNERS, URI, entry
from tests.healthcode.keys import ROOT as OUR_ROOT

VECTORS = Path(__file__).parents[1] / "vectors"
LIST: dict[str, Any] = json.loads((VECTORS / "list.json").read_text())
STANDARD: list[dict[str, Any]] = json.loads((VECTORS / "token_status_list.json").read_text())["vectors"]
HEAD = next(each["data"] for each in json.loads((VECTORS / "signed.json").read_text()) if each["name"] == "Head")
ROOT, TRUST = VECTORS / "root.pub.pem", VECTORS / "trust.cbor"
NOW, AT = 1_584_345_600, "2020-03-16T08:00:00Z"
WALLS = ("--trust", TRUST, "--root", ROOT, "--at", AT)
STEPS = ({0: Status.REVOKED}, {4: Status.RED}, {1023: Status.YELLOW})
COUNTS = {"green": 1021, "revoked": 1, "red": 1, "yellow": 1}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["list", *(str(argument) for argument in arguments)])


def say(*arguments: str | Path) -> dict[str, Any]:
    """What is said of the one list; the exit status must agree with it."""
    done = run(*arguments, "--json")
    (line,) = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert done.exit_code == (1 if found["wrong"] else 0)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def office(tmp_path: Path) -> tuple[str | Path, ...]:
    """What to check against where the list's key is at hand."""
    trust, root = tmp_path / "trust.cbor", tmp_path / "root.pub.pem"
    entries = [entry(SIGNERS[Use.LIST], Use.LIST)]
    trust.write_bytes(signed.write(TrustList(version=1, signed_at=NOW, expires_at=NOW + 86_400, entries=entries), OUR_ROOT))
    root.write_bytes(OUR_ROOT.public_key.to_pem())
    return ("--trust", trust, "--root", root, "--at", AT)


@pytest.fixture
def cache(office: tuple[str | Path, ...], tmp_path: Path) -> Path:
    """The folder of a unit that holds a list of green entries and a delta for each of STEPS."""
    unit = Cache(tmp_path / "cache", [OUR_ROOT.public_key])
    unit.accept_trust(Path(office[1]).read_bytes(), NOW)
    made = StatusList.empty(URI, 1, 1024, as_of=NOW)
    assert unit.accept_snapshot(URI, made.snapshot(SIGNERS[Use.LIST], NOW), NOW) is None
    for step in STEPS:
        raw = signed.write(made.make_delta(step, NOW), SIGNERS[Use.LIST])
        delta = signed.read(raw, Delta, RING, NOW)
        assert isinstance(delta, signed.Signed)
        assert made.apply(delta.message) is None
        assert unit.accept_delta(delta, raw) is None
    unit.close()
    return tmp_path / "cache"


def the_log(cache: Path) -> Path:
    """Where the deltas of the one list are."""
    (log,) = cache.glob("*/*.log")
    return log


def test_a_snapshot(file: Path) -> None:
    file.write_bytes(bytes.fromhex(LIST["snapshot"]))
    found = say(file, *WALLS, "--index", "4")
    assert (found["what"], found["signature"], found["issuer"]) == ("snapshot of a status list", "good", "CN-HB")
    assert (found["uri"], found["epoch"], found["version"]) == (LIST["uri"], 1, 3)
    assert (found["bits"], found["entries"], found["counts"]) == (2, 1024, COUNTS)
    assert (found["status"], found["as_of"]) == ("red", "2020-03-16T08:00:10Z")
    assert (say(file)["signature"], say(file)["issuer"]) == ("not checked", None)


def test_what_a_snapshot_says_is_shown_and_that_it_does_not_count(file: Path) -> None:
    file.write_bytes(bytes.fromhex(LIST["snapshot_by_a_stranger"]))
    found = say(file, *WALLS)
    assert (found["signature"], found["counts"], found["issuer"]) == ("UNKNOWN_KEY", COUNTS, None)
    assert found["wrong"] == "signature UNKNOWN_KEY: no key for lists in the trust list has this kid"
    whole = bytes.fromhex(LIST["snapshot"])
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "WRONG: signature SIGNATURE: the key did not sign this" in run(file, *WALLS).stdout


def test_a_delta_says_what_it_changes(file: Path) -> None:
    file.write_bytes(bytes.fromhex(LIST["steps"][1]["delta"]))
    found = say(file, *WALLS, "--index", "0")
    assert (found["what"], found["version"], found["more"]) == ("delta of a status list", 2, {"from": 1})
    assert (found["changes"], found["counts"], found["status"]) == (1, {"revoked": 1}, "revoked")
    assert "index 4: not changed" in run(file, *WALLS, "--index", "4").stdout


def test_a_head_holds_no_entries(file: Path) -> None:
    file.write_bytes(bytes.fromhex(HEAD))
    found = say(file, *WALLS, "--index", "0")
    assert (found["what"], found["signature"], found["counts"], found["status"]) == ("head of a status list", "good", None, None)
    assert found["more"]["snapshot_version"] == 2


@pytest.mark.parametrize("vector", STANDARD, ids=[vector["name"] for vector in STANDARD])
def test_the_standards_claim_unsigned(vector: dict[str, Any], file: Path) -> None:
    claim = {"bits": vector["bits"], "lst": vector["lst"]}
    for said in (claim, {"sub": "https://x.example/1", "iat": NOW, "status_list": claim}):
        file.write_text(json.dumps(said))
        found = say(file, "--index", "0")
        assert (found["bits"], found["entries"], found["signature"]) == (vector["bits"], vector["count"], "")
        assert sum(found["counts"].values()) == vector["count"]
        assert found["status"] == f"status {vector['entries'].get('0', 0)}"
    assert found["as_of"] == AT


def test_claims_of_our_own_unsigned_keep_their_place(file: Path) -> None:
    file.write_bytes(cose.parse(bytes.fromhex(LIST["snapshot"])).payload)
    found = say(file)
    assert (found["what"], found["version"], found["counts"]) == ("claim of a status list, not signed", 3, COUNTS)


def test_a_list_by_somebody_else_is_judged_by_key_and_uri(office: tuple[str | Path, ...], file: Path) -> None:
    claim = {"bits": 2, "lst": zlib.compress(bytes(256))}
    claims = {1: "CN-HB", 2: URI, 4: NOW + 9, 6: NOW, 65533: claim}
    file.write_bytes(cose.sign1(cbor2.dumps(claims), status.SNAPSHOT_TYP, SIGNERS[Use.LIST]))
    found = say(file, *office)
    assert (found["signature"], found["epoch"], found["counts"]) == ("good", None, {"status 0": 1024})
    assert "expired" in say(file, "--at", "2020-03-16T08:00:10Z")["wrong"]
    file.write_bytes(cose.sign1(cbor2.dumps(claims | {2: "https://x.example/1"}), status.SNAPSHOT_TYP, SIGNERS[Use.LIST]))
    assert say(file, *office)["signature"] == "SCOPE"


def test_a_units_cache_is_what_the_unit_would_load_and_stays_as_it_is(office: tuple[str | Path, ...], cache: Path) -> None:
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    found = say(cache, *office[2:], "--index", "1023")
    assert (found["what"], found["signature"], found["version"]) == ("list of a unit's cache", "good", 3)
    assert (found["counts"], found["status"], found["more"]["log_applied"]) == (COUNTS, "yellow", 3)
    assert before == {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    assert say(folder, *office) == say(cache, *office)


def test_a_log_that_is_cut_off_is_said(office: tuple[str | Path, ...], cache: Path) -> None:
    log = the_log(cache)
    log.write_bytes(log.read_bytes()[:-1])
    found = say(cache, *office[2:])
    assert found["version"] == 2
    assert found["wrong"].startswith("the log is damaged after 2 deltas: ")


def test_a_delta_that_does_not_follow_is_said(office: tuple[str | Path, ...], cache: Path) -> None:
    log = the_log(cache)
    data = log.read_bytes()
    log.write_bytes(data[8 + int.from_bytes(data[:4], "big") :])
    found = say(cache, *office[2:])
    assert (found["version"], found["more"]["log_records"]) == (0, 2)
    assert found["wrong"] == "the log's delta after version 0: GAP: the unit goes on from there"


def test_a_cache_whose_trust_list_no_root_signed_is_one_line(office: tuple[str | Path, ...], cache: Path) -> None:
    (cache / "trust").write_bytes((cache / "trust").read_bytes()[:-1] + b"\0")
    done = run(cache, *office[2:])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "trust: SIGNATURE: expected a trust list signed by the root" in done.stderr


def test_a_trust_list_that_nobody_vouches_for_is_pointed_out(cache: Path) -> None:
    assert "signature was not checked: name the root's public key" in run(cache, "--at", AT).stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not CBOR"),
        (b"\xd2\x84", "not CBOR"),
        (b"eyJhbGciOiJFUzI1NiJ9.e30.", "a JWT"),
        (b"{", "not JSON"),
        (b'{"status_list": {"bits": 2, "lst": "*"}}', "expected base64url"),
        (b'{"sub": "x"}', "no claim status_list"),
        (b"\x01", "no claim status_list"),
        (TRUST.read_bytes(), "typ 'healthgate-trust+cbor'"),
        (cose.sign1(b"\xff", status.SNAPSHOT_TYP, SIGNERS[Use.LIST]), "the claims: not CBOR"),
        (cose.sign1(b"\xa0", signed.KINDS[Delta].typ, SIGNERS[Use.LIST]), "uri"),
    ],
)
def test_what_is_no_list_is_one_line_and_the_others_are_read(content: bytes, said: str, file: Path) -> None:
    good = file.with_name("good")
    good.write_bytes(bytes.fromhex(LIST["snapshot"]))
    file.write_bytes(content)
    done = run(file, good, "--json")
    assert (done.exit_code, len(done.stdout.splitlines()), done.stderr.count("\n")) == (2, 1, 1)
    assert done.stderr.startswith(f"healthgate code: {file}: ")
    assert said in done.stderr


def test_a_claim_that_is_not_as_the_standard_says(file: Path) -> None:
    file.write_text(json.dumps({"status_list": {"bits": 3, "lst": "eJw"}}))
    assert "expected bits of (1, 2, 4, 8)" in say(file)["wrong"]


def test_an_index_outside_and_a_missing_file_are_one_line(file: Path) -> None:
    file.write_bytes(bytes.fromhex(LIST["snapshot"]))
    assert f"{file}: index 1024: expected 0 to 1023" in run(file, "--index", "1024").stderr
    assert "missing: cannot be read: No such file" in run(file.with_name("missing")).stderr
    (file.parent / "empty").mkdir()
    assert "empty: holds no list: expected" in run(file.parent / "empty").stderr
