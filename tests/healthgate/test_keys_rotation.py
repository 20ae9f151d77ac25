"""A key after another: both count for a while, the server changes over, what the old one signed counts to its end."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from healthcode import token
from healthcode.cose import SoftwareKey
from healthcode.messages import TrustEntry, TrustList
from healthcode.terms import Colour, Fault, Form, Use
from healthcode.token import Claims, HealthCode, TokenFault
from healthcode.trust import KeyRing
from healthgate import keyring_files, rotation
from healthgate.keyring_files import DAY_S, KeysError, Lifetimes
from healthgate.keys import app
from healthgate.rotation import KEPT_S, OVERLAPS, Overlap, find_warnings, rotate
from server.keys import CLOCK_MARGIN_S, KeyFileError, Signers, TrustFiles, choose, load_signer, read_signers

NOW = 1_584_345_600
URI, OTHER_URI = "https://hb.example/s/1", "https://hn.example/s/1"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "hb", "CN-HB", URI, NOW)
    return tmp_path / "hb"


def held(folder: Path) -> TrustList:
    return keyring_files.read_trust(folder / "trust.cbor", (keyring_files.read_root(folder / "root.pub.pem"),))


def entries(folder: Path, use: Use) -> list[TrustEntry]:
    return [entry for entry in held(folder).entries if entry.use is use]


def signs(folder: Path, use: Use, at: float) -> bytes:
    """The identifier of the key that a server would sign with."""
    return load_signer(folder, use, KeyRing.of(held(folder)), at).kid


def paper(folder: Path, at: int, days: int = 28) -> str:
    """A code for paper, signed by whichever key signs at `at`."""
    claims = Claims("CN-HB", URI, 7, Colour.GREEN, Form.PAPER, at, at, at + days * DAY_S)
    return token.write(claims, load_signer(folder, Use.TOKEN, KeyRing.of(held(folder)), at))


@pytest.mark.parametrize("use", OVERLAPS)
def test_the_new_key_signs_when_gates_have_had_time_to_learn_of_it(folder: Path, use: Use) -> None:
    first = signs(folder, use, NOW)
    done = rotate(folder, use, NOW)
    assert done.begins == NOW + OVERLAPS[use].lead_s
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    assert [signs(folder, use, at) for at in (NOW, done.begins - 1)] == [first, first]
    assert [signs(folder, use, at) for at in (done.begins, done.begins + 700 * DAY_S)] == [done.new.kid, done.new.kid]
    old, new = entries(folder, use)
    assert (old.kid, new.kid) == (first, done.new.kid)
    assert (old.sign_until, old.verify_until) == (done.begins + DAY_S, done.begins + DAY_S + KEPT_S)
    assert new.sign_from == done.begins - CLOCK_MARGIN_S, "what is stated a moment before it is signed is within"
    assert (new.uris, new.forms, new.max_lifetime_s, new.epoch) == (old.uris, old.forms, old.max_lifetime_s, old.epoch)
    assert held(folder).version == 2


def test_a_paper_code_of_the_old_key_s_last_second_counts_to_its_own_end(folder: Path) -> None:
    old = SoftwareKey.from_pem((folder / "token.pem").read_bytes())
    done = rotate(folder, Use.TOKEN, NOW, overlap=Overlap(0, DAY_S))
    ring, last = KeyRing.of(held(folder)), NOW + DAY_S
    claims = Claims("CN-HB", URI, 7, Colour.GREEN, Form.PAPER, last, last, last + 28 * DAY_S)
    text = token.write(claims, old)
    assert isinstance(token.read(text, ring, claims.expires - 1), HealthCode)
    late = token.write(Claims("CN-HB", URI, 7, Colour.GREEN, Form.PAPER, last + 1, last + 1, last + 99), old)
    refused = token.read(late, ring, last + 1)
    assert isinstance(refused, TokenFault)
    assert refused.fault is Fault.ISSUER_SCOPE
    read = token.read(paper(folder, NOW), ring, NOW + 1)
    assert isinstance(read, HealthCode)
    assert read.kid == done.new.kid


def test_a_gate_that_was_off_line_since_the_rotation_meets_no_unknown_key_within_the_lead(folder: Path) -> None:
    stale = KeyRing.of(held(folder))
    done = rotate(folder, Use.TOKEN, NOW)
    assert isinstance(token.read(paper(folder, done.begins - 1), stale, done.begins), HealthCode)
    assert isinstance(token.read(paper(folder, done.begins), stale, done.begins), TokenFault)


def test_a_rotation_on_its_way_is_not_overtaken_but_by_an_emergency(folder: Path) -> None:
    first = rotate(folder, Use.TOKEN, NOW)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(KeysError, match=r"begins to sign at 2020-03-17T08:00:00Z"):
        rotate(folder, Use.TOKEN, NOW + 60)
    assert sorted(path.name for path in folder.iterdir()) == before
    urgent = rotate(folder, Use.TOKEN, NOW + 60, overlap=Overlap(0, 3600))
    assert signs(folder, Use.TOKEN, NOW + 61) == urgent.new.kid
    assert urgent.new.kid != first.new.kid


def test_keys_whose_signatures_count_no_more_leave_the_trust_list(folder: Path) -> None:
    first = signs(folder, Use.TIME, NOW)
    rotate(folder, Use.TIME, NOW)
    assert [entry.kid for entry in rotate(folder, Use.TIME, NOW + 40 * DAY_S).old] == [signs(folder, Use.TIME, NOW + 2 * DAY_S)]
    assert first not in [entry.kid for entry in held(folder).entries]
    assert (folder / "time.pem").exists(), "deleting private keys is for people"


def test_another_province_s_keys_stay_as_they_are(folder: Path, tmp_path: Path) -> None:
    keyring_files.init(tmp_path / "hn", "CN-HN", OTHER_URI, NOW)
    theirs = keyring_files.export(tmp_path / "hn", NOW).entries
    keyring_files.recognise(folder, theirs, NOW)
    rotate(folder, Use.TOKEN, NOW)
    assert [entry for entry in held(folder).entries if entry.issuer == "CN-HN"] == theirs
    rotate(tmp_path / "hn", Use.TOKEN, NOW)
    later = keyring_files.export(tmp_path / "hn", NOW).entries
    assert len(later) == 3
    keyring_files.recognise(folder, later, NOW)
    assert sorted(entry.kid for entry in held(folder).entries if entry.issuer == "CN-HN") == sorted(entry.kid for entry in later)


def test_a_list_whose_key_is_withdrawn_begins_anew_under_the_next(folder: Path) -> None:
    stolen = signs(folder, Use.LIST, NOW)
    done = rotate(folder, Use.LIST, NOW, overlap=Overlap(0))
    left = keyring_files.withdraw(folder, stolen, NOW + 60)
    (entry,) = (entry for entry in left.entries if entry.use is Use.LIST)
    assert (entry.kid, entry.epoch) == (done.new.kid, 2)
    assert signs(folder, Use.LIST, NOW + 60) == done.new.kid
    token_key = signs(folder, Use.TOKEN, NOW)
    rotate(folder, Use.TOKEN, NOW + 60, overlap=Overlap(0))
    keyring_files.withdraw(folder, token_key, NOW + 70)
    assert KeyRing.of(held(folder)).list_entries()[URI].epoch == 2, "another use's key is none of the list's business"


def test_the_last_key_of_a_use_is_followed_before_it_is_withdrawn(folder: Path) -> None:
    done = run("withdraw", folder, signs(folder, Use.LIST, NOW).hex())
    assert (done.exit_code, "make the next one first, `keys rotate" in done.stderr) == (2, True)
    assert held(folder).version == 1


def test_a_withdrawn_key_signs_no_more_though_its_file_is_there(folder: Path) -> None:
    done = rotate(folder, Use.ACK, NOW, overlap=Overlap(0))
    keyring_files.withdraw(folder, done.new.kid, NOW + 1)
    assert signs(folder, Use.ACK, NOW + 2) != done.new.kid


def test_a_running_server_takes_the_new_key_up_by_itself(folder: Path) -> None:
    at = [float(NOW)]
    ring = [KeyRing.of(held(folder))]
    signers = Signers(folder, lambda: ring[0], lambda: at[0])
    first = signers.signer(Use.LIST).kid
    done = rotate(folder, Use.LIST, NOW)
    ring[0] = KeyRing.of(held(folder))
    assert signers.signer(Use.LIST).kid == first
    at[0] = done.begins
    assert signers.signer(Use.LIST).kid == done.new.kid
    assert signers.warnings([URI]) == []
    done.path.chmod(0o644)
    ring[0] = KeyRing(9, ring[0].entries)
    assert signers.signer(Use.LIST).kid == done.new.kid, "what cannot be read again leaves the keys that are held"


def test_a_key_that_ends_soon_is_warned_of_for_thirty_days(folder: Path) -> None:
    at = [float(NOW + 730 * DAY_S - 31 * DAY_S)]
    ring = [KeyRing.of(held(folder))]
    signers = Signers(folder, lambda: ring[0], lambda: at[0])
    assert signers.warnings([URI]) == []
    at[0] += 2 * DAY_S
    assert [line.split(" key ")[0] for line in signers.warnings([URI])] == ["the token", "the list", "the time", "the ack", "the config"]
    assert signers.warnings([URI])[0].endswith("may sign for 29 days more: `healthgate keys rotate`")
    for use in OVERLAPS:
        rotate(folder, use, at[0])
    ring[0] = KeyRing.of(held(folder))
    assert signers.warnings([URI]) == []


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, []),
        (369, []),
        (371, ["the trust list ends in 29 days: `keys renew`"]),
        (402, ["the trust list ended 2 days ago: gates go on for 30 days after its end: `keys renew`"]),
    ],
)
def test_the_end_of_the_trust_list_is_told_thirty_days_before_it(folder: Path, days: int, words: list[str]) -> None:
    assert find_warnings(held(folder), NOW + days * DAY_S) == words


def test_after_the_grace_it_says_what_gates_do_now(folder: Path) -> None:
    assert "call the guard for every code" in find_warnings(held(folder), NOW + 431 * DAY_S)[0]
    assert "go on for 30 days" in find_warnings(held(folder), NOW + 429 * DAY_S)[0]


def test_of_another_province_s_keys_that_end_it_is_told_who_has_to_send_the_next(folder: Path, tmp_path: Path) -> None:
    keyring_files.init(tmp_path / "hn", "CN-HN", OTHER_URI, NOW, lifetimes=Lifetimes(keys_days=40))
    keyring_files.recognise(folder, keyring_files.export(tmp_path / "hn", NOW).entries, NOW)
    token_line, list_line = find_warnings(held(folder), NOW + 20 * DAY_S)
    assert token_line.startswith("the token key ")
    assert list_line.endswith(" of CN-HN signs for 20 days more: `keys add` when they send the next")
    assert find_warnings(held(folder), NOW + 41 * DAY_S)[0] == "no token key of CN-HN may sign now"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (369, []),
        (371, ["trust list 1 counts for 29 days more: `healthgate keys renew`"]),
        (402, ["trust list 1 ended 2 days ago: `healthgate keys renew`"]),
    ],
)
def test_the_server_says_so_too(folder: Path, days: int, words: list[str]) -> None:
    trust = TrustFiles(folder, [keyring_files.read_root(folder / "root.pub.pem")])
    assert trust.warnings(NOW + days * DAY_S) == words


def test_a_use_whose_keys_all_lie_in_past_or_future_is_told(folder: Path) -> None:
    first = signs(folder, Use.TIME, NOW)
    rotate(folder, Use.TIME, NOW, overlap=Overlap(2 * DAY_S))
    left = keyring_files.withdraw(folder, first, NOW)
    assert find_warnings(left, NOW) == ["no time key of CN-HB may sign now: `keys rotate --now`"]


def test_without_the_root_changes_gather_in_a_request_and_the_root_signs_them_elsewhere(folder: Path, tmp_path: Path) -> None:
    """The root is in a vault: prepare, carry, sign, bring back."""
    vault = tmp_path / "vault"
    vault.mkdir()
    (folder / "root.pem").rename(vault / "root.pem")
    before = held(folder)
    rotated = rotate(folder, Use.TOKEN, NOW + 1)
    rotate(folder, Use.TIME, NOW + 1, overlap=Overlap(0))
    keyring_files.withdraw(folder, signs(folder, Use.TIME, NOW), NOW + 2)
    assert held(folder) == before, "nothing counts before it is signed"
    assert signs(folder, Use.TOKEN, rotated.begins) == before.entries[0].kid
    (folder / "trust.request").rename(vault / "trust.request")
    done = run("sign", vault / "trust.request", "--root-key", vault / "root.pem", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["version"] == 4
    assert not (vault / "trust.request").exists()
    for name in ("trust.cbor", "trust-head.cbor"):
        (vault / name).replace(folder / name)
    assert held(folder).version == 4
    assert before.entries[2].kid not in [entry.kid for entry in held(folder).entries]
    assert signs(folder, Use.TOKEN, rotated.begins) == rotated.new.kid


def test_a_request_that_was_overtaken_is_not_signed(folder: Path, tmp_path: Path) -> None:
    (folder / "root.pem").rename(tmp_path / "root.pem")
    rotate(folder, Use.TOKEN, NOW)
    request = (folder / "trust.request").read_bytes()
    root = ("--root-key", tmp_path / "root.pem")
    assert run("sign", folder / "trust.request", *root).exit_code == 0
    (folder / "trust.request").write_bytes(request)
    again = run("sign", folder / "trust.request", *root)
    assert (again.exit_code, "has version 2, expected a later one" in again.stderr) == (2, True)
    assert rotate(folder, Use.LIST, NOW).trust_list.version == 3, "an old request is no ground to build on"


def test_rotate_shows_what_holds_when(folder: Path) -> None:
    keyring_files.init(folder.parent / "today", "CN-HB", URI, time.time())
    folder = folder.parent / "today"
    done = run("rotate", folder, "token")
    assert done.exit_code == 0, done.stderr
    old, new = done.stdout.splitlines()[-2:]
    first, second = entries(folder, Use.TOKEN)
    assert old.split()[:2] == ["old", first.kid.hex()]
    assert new.split()[:2] == ["new", second.kid.hex()]
    assert f"token-{second.kid.hex()}.pem" in new
    told = json.loads(run("rotate", folder, "list", "--json").stdout)
    assert told["rotated"]["old"] == [entries(folder, Use.LIST)[0].kid.hex()]
    assert told["version"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rotate", "hb", "command"], "use 'command': expected token, list, time, ack"),
        (["rotate", "absent", "list"], "absent/root.pem: cannot be read"),
        (["rotate", "empty", "list"], "empty/root.pem: cannot be read"),
        (["sign", "absent", "--root-key", "hb/root.pem"], "absent: cannot be read"),
        (["sign", "hb/trust.cbor", "--root-key", "hb/root.pem"], "expected a request that a change without the root left"),
        (["sign", "hb/request", "--root-key", "card:1"], "card:1: no such file, and no such kind of key: expected a path, or file before"),
        (["sign", "hb/request", "--root-key", "file:hb/root.pub.pem"], "hb/root.pub.pem: mode"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str) -> None:
    monkeypatch.chdir(folder.parent)
    root = (folder / "root.pem").rename(folder / "away")
    rotate(folder, Use.TOKEN, NOW)
    (folder / "trust.request").rename(folder / "request")
    root.rename(folder / "root.pem")
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert said in line


def test_a_folder_with_a_key_that_others_may_read_has_no_signer(folder: Path) -> None:
    done = rotate(folder, Use.LIST, NOW)
    done.path.chmod(0o640)
    with pytest.raises(KeyFileError, match="mode 0640"):
        read_signers(folder, Use.LIST)
    with pytest.raises(KeysError, match="mode 0640"):
        rotation.rotate(folder, Use.LIST, NOW + 2 * DAY_S)


def test_of_two_keys_that_may_sign_the_later_signs_and_a_higher_epoch_goes_before(folder: Path) -> None:
    done = rotate(folder, Use.LIST, NOW, overlap=Overlap(0), keys_days=Lifetimes.keys_days)
    signers = read_signers(folder, Use.LIST)
    old, new = (next(signer for signer in signers if signer.kid == entry.kid) for entry in entries(folder, Use.LIST))
    ring = KeyRing.of(held(folder))
    assert choose([old, new], Use.LIST, ring, NOW) is new
    assert choose([new, old], Use.LIST, ring, NOW) is new
    raised = [*(entry for entry in ring.entries if entry.kid != old.kid), _raised(ring, old.kid)]
    assert choose([old, new], Use.LIST, KeyRing(3, raised), NOW) is old
    assert choose([old, new], Use.LIST, KeyRing(4, []), NOW) is new, "nobody believes it, and `find_missing` says so"
    assert done.new.kid == new.kid


def _raised(ring: KeyRing, kid: bytes) -> TrustEntry:
    (candidate,) = ring.find(kid, Use.LIST)
    return msgspec.structs.replace(candidate.entry, epoch=2)


def test_a_folder_from_before_configurations_gets_their_key(folder: Path) -> None:
    root = keyring_files.open_root(folder / "root.pem")
    (folder / "config.pem").unlink()
    before = held(folder)
    older = [entry for entry in before.entries if entry.use is not Use.CONFIG]
    keyring_files.sign_trust(folder, msgspec.structs.replace(before, entries=older), root)
    ring = [KeyRing.of(held(folder))]
    signers = Signers(folder, lambda: ring[0], lambda: float(NOW))
    assert (signers.find_config(), signers.warnings([URI])) == (None, [])
    done = rotation.rotate(folder, Use.CONFIG, NOW)
    assert (done.path.name, done.begins, done.old, done.new.use) == ("config.pem", NOW, (), Use.CONFIG)
    ring[0] = KeyRing.of(held(folder))
    key = signers.find_config()
    assert key is not None
    assert key.kid == done.new.kid, "a running server takes it up by itself"
    later = rotation.rotate(folder, Use.CONFIG, NOW + 2 * DAY_S)
    assert (later.path.name.startswith("config-"), later.old[0].kid) == (True, key.kid)
