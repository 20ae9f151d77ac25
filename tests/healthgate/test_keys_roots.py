"""The root that follows: in the keys folder, at the server, at a gate that was off line for all of it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from healthcode import cose, signed
from healthcode.cose import PublicKey
from healthcode.messages import TrustHead, TrustList
from healthcode.roots import Roots
from healthcode.terms import Colour, Use
from healthgate import edge, keyring_files
from healthgate.keyring_files import KeysError
from healthgate.keys import app
from healthgate.root_rotation import end_root, rotate_root
from healthgate.rotation import Overlap, rotate
from healthgate.town import URI, Town
from server.facts import HandReason
from server.keys import KeyFileError, TrustFiles, read_chain, read_trust
from server.persons import Person

NOW = 1_584_345_600


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyring_files.init(tmp_path / "hb", "CN-HB", "https://hb.example/s/1", NOW)
    return tmp_path / "hb"


def root_of(folder: Path) -> PublicKey:
    return keyring_files.read_root(folder / "root.pub.pem")


def enrolled(folder: Path, root: PublicKey) -> Roots:
    """What a unit that was given `root` knows once it has heard the server."""
    return Roots((root,)).offer(read_chain(folder)[1].rotations)[0]


def names(keys: Sequence[PublicKey]) -> list[bytes]:
    return [key.kid for key in keys]


def test_a_unit_of_the_first_day_follows_every_root_since(folder: Path) -> None:
    first = root_of(folder)
    for count in (1, 2, 3):
        done = rotate_root(folder, NOW + count)
        assert (done.new, done.is_over, done.trust_list.version) == (root_of(folder), True, 1 + count)
        assert (folder / "root.pem").stat().st_mode & 0o777 == 0o600
    roots = enrolled(folder, first)
    data = (folder / "trust.cbor").read_bytes()
    assert isinstance(roots.read(data, TrustList, 1), TrustList)
    assert isinstance(roots.read((folder / "trust-head.cbor").read_bytes(), TrustHead, 1), TrustHead)
    assert names(roots.signing(4)) == [root_of(folder).kid]
    assert len((folder / "trust-head.cbor").read_bytes()) <= 1024
    assert keyring_files.renew(folder, NOW + 9).version == 5
    assert read_trust(folder, [root_of(folder)]).head.version == 5, "a server that is given the new root"
    assert read_trust(folder, [first]).head.version == 5, "and one that was given the old one"


def test_an_old_root_that_was_kept_is_ended_later(folder: Path) -> None:
    first = root_of(folder)
    kept = rotate_root(folder, NOW, keep_old=True)
    assert not kept.is_over
    assert names(enrolled(folder, first).signing(9)) == [first.kid, kept.new.kid]
    done = end_root(folder, first.kid, NOW + 1)
    assert (done.is_over, done.trust_list.version) == (True, 3)
    assert names(enrolled(folder, first).signing(2)) == [first.kid, kept.new.kid]
    assert names(enrolled(folder, first).signing(3)) == [kept.new.kid]
    with pytest.raises(KeysError, match="expected one that still counts"):
        end_root(folder, first.kid, NOW + 2)


@pytest.mark.parametrize("done", [(), ("trust.cbor", "trust-head.cbor"), ("trust.cbor", "trust-head.cbor", "root.pub.pem")])
def test_a_rotation_that_was_cut_off_is_finished_by_the_next_call(folder: Path, tmp_path: Path, done: tuple[str, ...]) -> None:
    """The power goes when the chain is written and, of the rest, what `done` names: another successor would never be believed."""
    first = root_of(folder)
    shutil.copytree(folder, tmp_path / "before")
    second = rotate_root(folder, NOW).new
    (folder / "root.pem").rename(folder / f"root-{second.kid.hex()}.pem")
    (folder / f"root-{first.kid.hex()}.pem").rename(folder / "root.pem")
    for name in {"trust.cbor", "trust-head.cbor", "root.pub.pem"} - set(done):
        (tmp_path / "before" / name).replace(folder / name)
    finished = rotate_root(folder, NOW + 1)
    assert len(read_chain(folder)[1].rotations) == 1
    assert (finished.old, finished.new, root_of(folder)) == (first, second, second)
    assert isinstance(enrolled(folder, first).read((folder / "trust.cbor").read_bytes(), TrustList, 1), TrustList)
    assert rotate_root(folder, NOW + 2).old == second


def test_a_lost_root_is_stood_in_for_by_the_reserve(folder: Path, tmp_path: Path) -> None:
    """Units were given two roots at enrolment. root.pem is gone; the reserve takes its place, the old public key stays beside it."""
    keyring_files.init(tmp_path / "reserve", "CN-HB", "https://hb.example/s/1", NOW)
    lost, reserve = root_of(folder), root_of(tmp_path / "reserve")
    (folder / "root.pem").unlink()
    (folder / "root.pub.pem").rename(folder / f"root-{lost.kid.hex()}.pub.pem")
    for name in ("root.pem", "root.pub.pem"):
        (tmp_path / "reserve" / name).rename(folder / name)
    renewed = keyring_files.renew(folder, NOW)
    assert Roots((lost, reserve)).read((folder / "trust.cbor").read_bytes(), TrustList, 1) == renewed


def test_a_running_server_takes_over_what_the_new_root_signed(folder: Path) -> None:
    trust = TrustFiles(folder, [root_of(folder)])
    assert trust.current.roots_bytes == b""
    done = rotate_root(folder, NOW)
    assert trust.refresh()
    assert (trust.current.head.version, trust.current.roots_bytes) == (2, (folder / "roots.cbor").read_bytes())
    assert names(trust.current.roots) == [done.old.kid, done.new.kid]
    (folder / "roots.cbor").write_bytes(b"\x00")
    assert not trust.refresh()
    with pytest.raises(KeyFileError, match="expected what `keys rotate-root` wrote"):
        read_trust(folder, [done.old])


def test_clock_resets_go_on_counting_over_a_rotation(folder: Path) -> None:
    keyring_files.reset_clock(folder, "north", NOW)
    rotate_root(folder, NOW)
    reset, _ = keyring_files.reset_clock(folder, "north", NOW)
    assert reset.serial == 2


def test_the_commands(folder: Path) -> None:
    first = root_of(folder)
    done = run("rotate-root", folder, "--keep-old", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["roots"] == {"old": first.kid.hex(), "new": root_of(folder).kid.hex(), "old_counts": True}
    ended = run("rotate-root", folder, "--end", first.kid.hex())
    assert f"root {root_of(folder).kid.hex()} follows root {first.kid.hex()}, which counts no more" in ended.stdout
    shown = run("inspect", folder / "roots.cbor", "--root", folder / f"root-{first.kid.hex()}.pub.pem", "--json")
    said = json.loads(shown.stdout)
    assert (said["what"], said["signature"]) == ("chain of 1 rotations of roots", "good")
    assert said["says"]["rotations"][0]["until"] == 3
    (folder / "one").write_bytes(read_chain(folder)[1].rotations[0])
    assert "rotation of a root" in run("inspect", folder / "one", "--root", folder / f"root-{first.kid.hex()}.pub.pem").stdout
    assert run("inspect", folder / "one", "--root", folder / "root.pub.pem").exit_code == 1
    for arguments, words in (
        (("--keep-old", "--end", "00"), "expected one of them"),
        (("--end", "x"), "expected 16 hexadecimal digits"),
        (("--end", "00"), "expected one that still counts"),
    ):
        wrong = run("rotate-root", folder, *arguments)
        (line,) = wrong.stderr.splitlines()
        assert (wrong.exit_code, words in line) == (2, True)
    (folder / "root.pem").unlink()
    assert "expected it for a rotation, which both roots sign" in run("rotate-root", folder).stderr


@pytest.mark.slow
def test_a_gate_that_was_off_line_for_two_rotations_of_the_root_and_one_of_the_list_s_key_is_back_in_step(tmp_path: Path) -> None:
    with Town(tmp_path / "town", gates=("north",)) as town:
        gate, held = town.gates["north"], town.files["north"]
        gate.stop()
        now = int(time.time())
        first, second = rotate_root(town.keys, now), rotate_root(town.keys, now)
        done = rotate(town.keys, Use.LIST, now, overlap=Overlap(0))
        gate.start()
        town.wait_until(lambda: held.trust_version() == done.trust_list.version, 60.0, "the gate to hold the newest trust list")
        assert names(held.roots().signing(done.trust_list.version)) == [second.new.kid]
        before = held.held_list(URI)
        town.registry.add(Person("Resident One"), colour=Colour.RED, reason=HandReason.CONFIRMED)
        town.wait_until(lambda: (found := held.held_list(URI)) is not None and found != before, 60.0, "the gate to know of a change")
        with town.store.read() as tx:
            body = tx.execute(text("SELECT body FROM deltas WHERE uri = :uri ORDER BY to_version DESC LIMIT 1"), {"uri": URI}).scalar_one()
        assert cose.parse(bytes(body)).kid == done.new.kid, "a running server took the new key up by itself"
        checked = CliRunner().invoke(edge.app, ["check", "--config", str(tmp_path / "town" / "north.toml")])
        assert [line.split(" (")[0] for line in checked.stdout.splitlines() if line.startswith("root")] == [
            f"root {key.kid.hex()}" for key in (first.old, first.new, second.new)
        ]
        gate.kill()
        thief = signed.write(TrustHead(version=99, size=9, sha256=bytes(32), signed_at=now), _private(town.keys, first.old))
        assert not isinstance(held.roots().read(thief, TrustHead, 1), TrustHead)
        gate.start()
        town.wait_until(lambda: town.is_ready("north"), 60.0, "the gate to be up again")
        assert held.trust_version() == done.trust_list.version


def _private(folder: Path, key: PublicKey) -> cose.SoftwareKey:
    return cose.SoftwareKey.from_pem((folder / f"root-{key.kid.hex()}.pem").read_bytes())
