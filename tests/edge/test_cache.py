from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.cache import HEAD_EVERY_S, Cache, CacheFault, TrustTaken
from edge.files import CALLS, Calls
from edge.listfolder import Base, ListFolder
from healthcode import signed
from healthcode.messages import TrustList
from healthcode.signed import SignedFault
from healthcode.status import DeltaFault, StatusList
from healthcode.terms import Status
from healthcode.trust import GRACE_S
from tests.edge.province import NOON, OTHER_LIST_KEY, ROOT, ROOTS, STRANGER, URI, Province, list_entry, same, trust_list

CHILD = """
import sys
from pathlib import Path
from edge.cache import Cache
from healthcode import signed
from healthcode.cose import PublicKey
from healthcode.messages import Delta

folder, root, deltas = Path(sys.argv[1]), PublicKey.from_pem(Path(sys.argv[2]).read_bytes()), Path(sys.argv[3])
cache = Cache(folder, (root,))
cache.load(1583323200.0)
ring = cache.keys(1583323200.0)
for file in sorted(deltas.iterdir()):
    raw = file.read_bytes()
    assert cache.accept_delta(signed.read(raw, Delta, ring, 1583323200.0), raw) is None
    print(file.name, flush=True)
"""


@pytest.fixture
def province() -> Province:
    return Province()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(folder: Path, at: float = NOON) -> Cache:
    cache = Cache(folder, ROOTS)
    cache.load(at)
    return cache


def take(cache: Cache, province: Province, raw: bytes) -> DeltaFault | CacheFault | None:
    return cache.accept_delta(province.read_delta(raw), raw)


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def log_of(folder: Path) -> Path:
    [log] = folder.rglob("*.log")
    return log


def test_an_empty_cache_knows_nobody(folder: Path) -> None:
    cache = opened(folder)
    assert cache.keys(NOON) is None
    assert cache.lists == {}
    assert cache.accept_snapshot(URI, b"", NOON) is CacheFault.NO_TRUST


def test_all_that_was_taken_is_there_after_a_restart(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    assert take(cache, province, province.change({7: Status.RED})) is None
    assert take(cache, province, province.change({7: Status.YELLOW, 9: Status.REVOKED})) is None
    province.at += 1000
    head = province.head
    assert cache.adopt(province.read_head(head), head) is None
    again = opened(folder)
    assert same(again.lists[URI], province.list)
    assert again.lists[URI].as_of == province.at
    assert again.lists[URI].get(7) is Status.YELLOW
    assert again.log_length(URI) == (2, sum(map(len, province.deltas)))
    assert again.disk_faults == 0


def test_as_of_comes_only_from_a_head_that_states_what_is_held(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    province.change({7: Status.RED})
    head = province.head
    assert cache.adopt(province.read_head(head), head) is CacheFault.DIFFERENT
    assert cache.lists[URI].as_of == NOON


def test_heads_are_written_seldom(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    for later in (0, HEAD_EVERY_S - 1):
        province.at = NOON + later
        head = province.head
        cache.adopt(province.read_head(head), head)
    assert cache.lists[URI].as_of == NOON + HEAD_EVERY_S - 1
    assert opened(folder).lists[URI].as_of == NOON


@pytest.mark.parametrize("damage", [lambda log: log[:-1], lambda log: log[:-40] + b"\xff" + log[-39:], lambda log: log + b"\0\0\1"])
def test_a_torn_tail_is_cut(folder: Path, province: Province, damage: Callable[[bytes], bytes]) -> None:
    cache = opened(folder)
    province.fill(cache)
    deltas = [province.change({index: Status.RED}) for index in range(3)]
    for raw in deltas:
        take(cache, province, raw)
    cache.close()
    whole = log_of(folder).read_bytes()
    log_of(folder).write_bytes(damage(whole))
    again = opened(folder)
    version = again.lists[URI].version
    assert version in (2, 3)
    for raw in deltas[version:]:
        assert take(again, province, raw) is None
    again.close()
    assert log_of(folder).read_bytes() == whole
    assert same(opened(folder).lists[URI], province.list)


def test_a_snapshot_that_was_tampered_with_on_the_card_is_not_held(folder: Path, province: Province) -> None:
    province.fill(opened(folder))
    [file] = folder.rglob("*.snapshot")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert opened(folder).lists == {}


def test_a_log_with_a_strangers_delta_ends_before_it(folder: Path, province: Province) -> None:
    province.fill(opened(folder))
    forged = signed.write(StatusList.empty(URI, 0, 4096).make_delta({1: Status.RED}, NOON), STRANGER)
    disk = ListFolder(log_of(folder).parent)
    disk.open(Base(0, 0), [])
    disk.append(forged)
    disk.close()
    assert opened(folder).lists[URI].version == 0


def test_a_newer_snapshot_keeps_the_deltas_that_follow_it(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    for index in range(6):
        take(cache, province, province.change({index: Status.RED}))
        if index == 3:
            province.compact()
    assert cache.accept_snapshot(URI, province.snapshot, NOON) is None
    assert same(cache.lists[URI], province.list)
    assert cache.log_length(URI)[0] == 2
    assert take(cache, province, province.change({40: Status.YELLOW})) is None
    assert same(opened(folder).lists[URI], province.list)
    assert files(folder) == ["list-0-4.log", "list-0-4.snapshot", "trust"]


def test_a_version_never_goes_back(folder: Path, province: Province) -> None:
    old = province.snapshot
    for index in range(3):
        province.change({index: Status.RED})
    province.compact()
    cache = opened(folder)
    province.fill(cache)
    assert cache.accept_snapshot(URI, old, NOON) is CacheFault.OLDER
    assert take(cache, province, province.deltas[0]) is DeltaFault.OLD
    assert cache.lists[URI].version == 3


def test_a_crash_before_the_rename_leaves_the_old_snapshot(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    take(cache, province, province.change({7: Status.RED}))
    place = log_of(folder).parent
    (place / "list-0-5.log").write_bytes(b"")
    (place / "list-0-5.snapshot.new").write_bytes(province.snapshot[:50])
    again = opened(folder)
    assert same(again.lists[URI], province.list)
    assert files(folder) == ["list-0-0.log", "list-0-0.snapshot", "trust"]


def test_a_snapshot_signed_by_a_stranger_changes_nothing(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    assert cache.accept_snapshot(URI, province.list.snapshot(STRANGER, NOON), NOON) is SignedFault.UNKNOWN_KEY
    assert cache.accept_snapshot("https://hb.example/s/2", province.snapshot, NOON) is CacheFault.NOT_WANTED


def test_a_snapshot_from_the_future_is_refused_where_the_time_is_known(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    province.change({7: Status.RED})
    province.at = NOON + 86_400
    province.compact()
    assert cache.accept_snapshot(URI, province.snapshot, NOON, NOON + 60) is CacheFault.FUTURE
    assert cache.lists[URI].version == 0
    assert cache.accept_snapshot(URI, province.snapshot, NOON) is None
    assert cache.lists[URI].as_of == NOON + 86_400


def test_trust_goes_up_only(folder: Path, province: Province) -> None:
    cache = opened(folder)
    second = signed.write(trust_list(2), ROOT)
    assert cache.accept_trust(second, NOON) == TrustTaken(2, ())
    assert cache.accept_trust(province.trust_bytes, NOON) is CacheFault.OLDER
    assert cache.accept_trust(second, NOON) is CacheFault.OLDER
    assert cache.accept_trust(signed.write(trust_list(2, list_entry(4)), ROOT), NOON) is CacheFault.OTHER_CONTENT
    assert cache.accept_trust(signed.write(trust_list(3), STRANGER), NOON) is SignedFault.UNKNOWN_KEY
    again = opened(folder)
    assert again.trust == trust_list(2)
    assert again.accept_trust(province.trust_bytes, NOON) is CacheFault.OLDER


def test_an_expired_trust_list_counts_for_a_long_grace(folder: Path, province: Province) -> None:
    cache = opened(folder)
    cache.accept_trust(province.trust_bytes, NOON)
    end = province.trust.expires_at + GRACE_S
    assert cache.keys(end) is not None
    assert cache.keys(end + 1) is None


@pytest.mark.parametrize(
    "trust",
    [trust_list(2, list_entry(epoch=1)), trust_list(2, list_entry(key=OTHER_LIST_KEY)), trust_list(2, list_entry(uri="https://x/1"))],
    ids=["epoch raised", "key withdrawn", "list withdrawn"],
)
def test_a_list_that_trust_no_longer_vouches_for_is_dropped(folder: Path, province: Province, trust: TrustList) -> None:
    cache = opened(folder)
    province.fill(cache)
    assert cache.accept_trust(signed.write(trust, ROOT), NOON) == TrustTaken(2, (URI,))
    assert cache.lists == {}
    assert files(folder) == ["trust"]


def test_a_new_key_beside_the_old_one_drops_nothing(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    both = signed.write(trust_list(2, list_entry(), list_entry(key=OTHER_LIST_KEY)), ROOT)
    assert cache.accept_trust(both, NOON) == TrustTaken(2, ())
    assert same(cache.lists[URI], province.list)


def test_only_so_many_lists_are_held_but_ours_always_and_the_rest_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs = [f"https://a/{number}" for number in range(9)]
    entries = [list_entry(uri=uri, issuer="CN-HN") for uri in theirs]
    cache = Cache(folder, ROOTS)
    cache.accept_trust(signed.write(trust_list(1, *entries, list_entry()), ROOT), NOON)
    assert list(cache.wanted()) == [URI, *theirs[:7]], "ours, although its name comes last"
    assert cache.left_out() == theirs[7:]
    assert [record.getMessage() for record in caplog.records] == ["link.most_lists = 8: not held: https://a/7, https://a/8"]
    one = Cache(folder, ROOTS, most_lists=1)
    one.load(NOON)
    assert list(one.wanted()) == [URI]
    ten = Cache(folder, ROOTS, most_lists=10)
    ten.load(NOON)
    assert ten.left_out() == []


def test_all_lists_of_the_issuers_that_are_named_are_held_and_no_others(folder: Path) -> None:
    theirs = [f"https://a/{number}" for number in range(9)]
    entries = [list_entry(uri=uri, issuer="CN-HN") for uri in theirs]
    cache = Cache(folder, ROOTS, ["CN-HN"], most_lists=2)
    cache.accept_trust(signed.write(trust_list(1, *entries, list_entry()), ROOT), NOON)
    assert (list(cache.wanted()), cache.left_out()) == (theirs, [])
    both = Cache(folder, ROOTS, ["CN-HB", "CN-HN"], most_lists=2)
    both.load(NOON)
    assert set(both.wanted()) == {URI, *theirs}
    ours_alone = Cache(folder, ROOTS, ["CN-HB"])
    ours_alone.load(NOON)
    assert list(ours_alone.wanted()) == [URI]


def test_a_wrong_time_at_the_start_destroys_nothing(folder: Path, province: Province) -> None:
    province.fill(opened(folder))
    cache = opened(folder, at=2.0**41)
    assert cache.lists == {}
    cache.load(NOON)
    assert same(cache.lists[URI], province.list)


def test_a_disk_that_takes_nothing_does_not_stop_a_changed_colour(folder: Path, province: Province) -> None:
    cache = opened(folder)
    province.fill(cache)
    cache._folders[URI].close()
    assert take(cache, province, province.change({7: Status.RED})) is None
    assert cache.lists[URI].get(7) is Status.RED
    assert cache.disk_faults == 1
    assert opened(folder).lists[URI].version == 0


class Spell:
    """A disk on which the calls named in `fails` give errors."""

    def __init__(self) -> None:
        self.fails: set[str] = set()
        self.calls = Calls(*(partial(self._call, name, getattr(CALLS, name)) for name in NAMES))

    def _call(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        if name in self.fails:
            raise OSError(errno.EIO, "input/output error")
        return call(*arguments)


NAMES = ("open", "write", "fsync", "replace", "unlink", "mkdir")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("when", ["from the start", "once a list is held"])
def test_what_a_disk_did_not_take_for_a_while_is_on_it_after_a_flush(folder: Path, province: Province, name: str, when: str) -> None:
    spell = Spell()
    cache = Cache(folder, ROOTS, calls=spell.calls)
    if when == "from the start":
        spell.fails = {name}
    province.fill(cache)
    spell.fails = {name}
    for idx in (7, 8):
        assert take(cache, province, province.change({idx: Status.RED})) is None
    cache.flush()
    assert cache.lists[URI].get(8) is Status.RED
    needed = {"write", "fsync"} if when == "once a list is held" else {*NAMES} - {"unlink"}
    assert (cache.disk_error != "") == (name in needed)
    spell.fails = set()
    cache.flush()
    assert cache.disk_error == ""
    again = opened(folder)
    assert same(again.lists[URI], cache.lists[URI])
    assert again.disk_faults == 0


def test_a_path_that_cannot_be_is_a_counted_fault(tmp_path: Path, province: Province) -> None:
    (tmp_path / "file").write_text("")
    cache = opened(tmp_path / "file" / "cache")
    province.fill(cache)
    assert same(cache.lists[URI], province.list)
    assert cache.disk_faults > 0
    assert cache.disk_error


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 20, 90])
def test_kill_9_loses_no_delta_that_was_taken(tmp_path: Path, folder: Path, province: Province, after: int) -> None:
    province.fill(opened(folder))
    deltas = tmp_path / "deltas"
    deltas.mkdir()
    versions: dict[int, bytes] = {0: province.list.digest}
    for number in range(1, 151):
        (deltas / f"{number:04}").write_bytes(province.change({number: Status.RED}))
        versions[number] = province.list.digest
    root = tmp_path / "root.pem"
    root.write_bytes(ROOTS[0].to_pem())
    arguments = [sys.executable, "-c", CHILD, str(folder), str(root), str(deltas)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env={**os.environ}) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(after)]
        child.kill()
        told += [int(line) for line in child.stdout if line.endswith("\n")]
    held = opened(folder).lists[URI]
    assert held.version >= told[-1]
    assert held.digest == versions[held.version]
