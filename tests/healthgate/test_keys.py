"""`healthgate keys` and the folder that it keeps."""

from __future__ import annotations

import hashlib
import json
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from healthcode import signed
from healthcode.cose import PublicKey, SoftwareKey
from healthcode.messages import TrustHead, TrustList
from healthcode.terms import Form, Use
from healthcode.trust import KeyRing
from healthgate import keyring_files
from healthgate.keyring_files import DAY_S, KeysError, Lifetimes
from healthgate.keys import app
from healthgate.root_rotation import rotate_root
from healthgate.rotation import rotate
from server.keys import CLOCK_MARGIN_S, load_signer, read_trust

NOW = 1_584_345_600
URI, OTHER_URI = "https://hb.example/s/1", "https://hn.example/s/1"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "hb", "CN-HB", URI, NOW)
    return tmp_path / "hb"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "hn", "CN-HN", OTHER_URI, NOW, algorithm="Ed25519")
    return tmp_path / "hn"


def roots_of(folder: Path) -> tuple[PublicKey, ...]:
    return (PublicKey.from_pem((folder / "root.pub.pem").read_bytes()),)


def held(folder: Path) -> TrustList:
    """The trust list in the folder, its own and its head's signature checked as the server checks them."""
    roots = roots_of(folder)
    read_trust(folder, roots)
    data = (folder / "trust.cbor").read_bytes()
    head = signed.read_rooted((folder / "trust-head.cbor").read_bytes(), TrustHead, roots)
    found = signed.read_rooted(data, TrustList, roots)
    assert isinstance(head, TrustHead)
    assert isinstance(found, TrustList)
    assert (head.version, head.size, head.sha256) == (found.version, len(data), hashlib.sha256(data).digest())
    return found


def test_a_new_folder_is_what_a_server_and_units_take(folder: Path) -> None:
    trust_list = held(folder)
    assert (trust_list.version, trust_list.signed_at, trust_list.expires_at) == (1, NOW, NOW + 400 * DAY_S)
    ring = KeyRing.of(trust_list)
    for use in (Use.TOKEN, Use.LIST, Use.TIME, Use.ACK):
        signer = load_signer(folder, use, ring, NOW)
        (candidate,) = ring.find(signer.kid, use)
        assert candidate.entry.key == signer.public
        assert candidate.entry.sign_from == NOW - CLOCK_MARGIN_S
    token = next(entry for entry in trust_list.entries if entry.use is Use.TOKEN)
    assert (token.uris, token.forms, token.max_lifetime_s) == ([URI], [Form.LIVE, Form.PAPER], 28 * DAY_S)
    assert ring.list_entries()[URI].epoch == 1


def test_private_keys_are_their_owners_alone(folder: Path) -> None:
    for name in ("root", "token", "list", "time", "ack"):
        assert stat.S_IMODE((folder / f"{name}.pem").stat().st_mode) == 0o600
        assert b"PRIVATE" in (folder / f"{name}.pem").read_bytes()
    assert b"PRIVATE" not in (folder / "root.pub.pem").read_bytes()


def test_a_folder_that_holds_keys_is_left_alone(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KeysError, match="exists already"):
        keyring_files.init(folder, "CN-HB", URI, NOW)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("issuer", "uri"), [("", URI), ("CN HB", URI), ("CN-HB\n", URI), ("CN-HB", ""), ("CN-HB", "u" * 121)])
def test_names_that_are_none(tmp_path: Path, issuer: str, uri: str) -> None:
    with pytest.raises(KeysError, match=r"[Ee]xpected"):
        keyring_files.init(tmp_path, issuer, uri, NOW)
    assert not list(tmp_path.iterdir())


def test_recognised_and_withdrawn(folder: Path, other: Path) -> None:
    entries = keyring_files.export(other, NOW).entries
    assert {entry.use for entry in entries} == {Use.TOKEN, Use.LIST}
    added = keyring_files.recognise(folder, entries, NOW + 1)
    assert held(folder) == added
    assert (added.version, added.signed_at, added.expires_at) == (2, NOW + 1, NOW + 1 + 400 * DAY_S)
    assert len(added.entries) == 7
    assert keyring_files.recognise(folder, entries, NOW + 2).version == 2
    kid = load_signer(other, Use.TOKEN, KeyRing.of(held(other)), NOW).kid
    left = keyring_files.withdraw(folder, kid, NOW + 3)
    assert held(folder) == left
    assert left.version == 3
    assert [entry for entry in left.entries if entry.kid == kid] == []
    assert len(left.entries) == 6
    with pytest.raises(KeysError, match=kid.hex()):
        keyring_files.withdraw(folder, kid, NOW + 4)
    assert held(folder).version == 3


def test_a_later_epoch_replaces_an_entry_and_an_earlier_does_not(folder: Path, other: Path) -> None:
    entries = keyring_files.export(other, NOW).entries
    keyring_files.recognise(folder, entries, NOW)
    later = [msgspec.structs.replace(entry, epoch=2) for entry in entries if entry.use is Use.LIST]
    assert len(keyring_files.recognise(folder, later, NOW).entries) == 7
    assert KeyRing.of(held(folder)).list_entries()[OTHER_URI].epoch == 2
    with pytest.raises(KeysError, match="epoch 2 is held"):
        keyring_files.recognise(folder, entries, NOW)


def test_nobody_is_recognised_for_what_is_not_theirs(folder: Path, other: Path, tmp_path: Path) -> None:
    entries = keyring_files.export(other, NOW).entries
    token, listing = entries
    thief = keyring_files.init(tmp_path / "thief", "CN-XX", URI, NOW).entries
    keyring_files.recognise(folder, entries, NOW)
    for wrong, said in (
        (msgspec.structs.replace(token, issuer="CN-HB"), "this province itself"),
        (msgspec.structs.replace(token, use=Use.ACK), "expected token or list"),
        (msgspec.structs.replace(token, use=Use.COMMAND), "expected token or list"),
        (msgspec.structs.replace(token, kid=listing.kid), "has the kid"),
        (msgspec.structs.replace(token, key=bytes(31) + b"\xff\xff"), "32 bytes|point|public"),
        (msgspec.structs.replace(token, issuer="CN-XX", uris=["u"]), "the key is held for CN-HN"),
        (thief[0], "its list is held for CN-HB"),
        (thief[1], "its list is held for CN-HB"),
        (msgspec.structs.replace(thief[1], uris=[OTHER_URI], epoch=9), "its list is held for CN-HN"),
    ):
        with pytest.raises(KeysError, match=said):
            keyring_files.recognise(folder, [wrong], NOW)
    assert held(folder).version == 2


def test_renewed_before_it_ends(folder: Path) -> None:
    before = held(folder)
    renewed = keyring_files.renew(folder, NOW + 300 * DAY_S, lifetimes=Lifetimes(trust_days=30))
    assert held(folder) == renewed
    assert renewed.entries == before.entries
    assert (renewed.version, renewed.expires_at) == (2, NOW + 330 * DAY_S)


@contextmanager
def a_full_disk(most_bytes: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: the write that would fails in its middle, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("most_bytes", [100, 200, 500], ids=["the first key", "the first longer file", "the trust list"])
def test_a_full_disk_leaves_a_folder_in_which_keys_can_be_made(tmp_path: Path, most_bytes: int) -> None:
    with a_full_disk(most_bytes), pytest.raises(KeysError, match="cannot be written"):
        keyring_files.init(tmp_path, "CN-HB", URI, NOW)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".new")] == []
    assert keyring_files.init(tmp_path, "CN-HB", URI, NOW).version == 1


@pytest.mark.parametrize("most_bytes", [100, 500], ids=["the key", "the trust list"])
def test_a_full_disk_leaves_no_half_key_behind(folder: Path, most_bytes: int) -> None:
    before = sorted(folder.glob("*.pem"))
    with a_full_disk(most_bytes), pytest.raises(KeysError, match="cannot be written"):
        rotate(folder, Use.TOKEN, NOW + DAY_S)
    assert sorted(folder.glob("*.pem")) == before
    assert load_signer(folder, Use.TOKEN, KeyRing.of(held(folder)), NOW + DAY_S).public
    with a_full_disk(100), pytest.raises(KeysError, match="cannot be written"):
        rotate_root(folder, NOW + DAY_S)
    assert rotate(folder, Use.TOKEN, NOW + DAY_S).trust_list.version == 2
    assert rotate_root(folder, NOW + DAY_S).trust_list.version == 3


def test_a_key_that_others_may_read_is_not_used(folder: Path) -> None:
    (folder / "root.pem").chmod(0o644)
    with pytest.raises(KeysError, match="0600"):
        keyring_files.renew(folder, NOW)


def test_a_trust_list_of_another_root_is_not_built_upon(folder: Path, other: Path) -> None:
    (folder / "trust.cbor").write_bytes((other / "trust.cbor").read_bytes())
    with pytest.raises(KeysError, match="UNKNOWN_KEY"):
        keyring_files.renew(folder, NOW)


def test_the_commands(tmp_path: Path) -> None:
    hb, hn, entries = tmp_path / "hb", tmp_path / "hn", tmp_path / "hn.json"
    made = run("init", hb, "--issuer", "CN-HB", "--list-uri", URI, "--json")
    assert made.exit_code == 0
    assert json.loads(made.stdout)["version"] == 1
    assert run("init", hn, "--issuer", "CN-HN", "--list-uri", OTHER_URI, "--algorithm", "ed25519").exit_code == 0
    exported = run("export", hn, entries)
    assert exported.exit_code == 0
    kid = exported.stdout.split()[2]
    assert b"PRIVATE" not in entries.read_bytes()
    added = json.loads(run("add", hb, "--from", entries, "--json").stdout)
    assert (added["version"], [entry["issuer"] for entry in added["entries"]].count("CN-HN")) == (2, 2)
    assert json.loads(run("withdraw", hb, kid, "--json").stdout)["version"] == 3
    assert json.loads(run("renew", hb, "--json").stdout)["version"] == 4
    shown = run("show", hb)
    assert "trust list 4" in shown.stdout
    assert "signature good" in shown.stdout
    unchecked = run("show", hb / "trust.cbor", "--json")
    assert json.loads(unchecked.stdout)["checked"] is False
    assert "not checked" in unchecked.stderr
    assert json.loads(run("show", hb / "trust.cbor", "--root", hb / "root.pub.pem", "--json").stdout)["checked"] is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "absent"], "absent: cannot be read: No such file or directory"),
        (["show", "hb/token.pem"], "hb/token.pem: .*expected a signed trust list"),
        (["show", "hb/trust-head.cbor"], "expected"),
        (["show", "hb/trust.cbor", "--root", "hb/root.pem"], "hb/root.pem: not a public key"),
        (["show", "hb/trust.cbor", "--root", "hn/root.pub.pem"], "hb/trust.cbor: UNKNOWN_KEY"),
        (["init", "new", "--issuer", "CN HB", "--list-uri", URI], "issuer 'CN HB'"),
        (["init", "new", "--issuer", "CN-HB", "--list-uri", URI, "--algorithm", "RSA"], "algorithm 'RSA': expected ES256 or Ed25519"),
        (["add", "hb", "--from", "absent"], "absent: cannot be read"),
        (["add", "hb", "--from", "hb/root.pem"], "expected a file that `keys export` made"),
        (["add", "hb", "--from", "hb"], "this province itself"),
        (["add", "absent", "--from", "hn"], "absent/root.pem: cannot be read"),
        (["withdraw", "hb", "xyz"], "kid 'xyz': expected 16 hexadecimal digits"),
        (["withdraw", "hb", "00" * 8], "no entry with the kid"),
        (["export", "hb", "absent/x"], "absent/x: cannot be written"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, other: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    assert folder.parent == other.parent
    monkeypatch.chdir(folder.parent)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    with pytest.raises(KeysError, match=said):
        raise KeysError(line)


def test_the_root_signs_no_codes(folder: Path) -> None:
    root = SoftwareKey.from_pem((folder / "root.pem").read_bytes())
    assert all(entry.key != root.public for entry in held(folder).entries)
