"""A unit whose root is followed by another: what it takes, what it keeps over a restart, and what the old root can do then."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from edge.cache import ROOTS_FILE, Cache, CacheFault, TrustTaken, held_roots
from edge.linkwords import Resubscribe, RootsChanged
from healthcode import signed, topics
from healthcode.cose import SoftwareKey
from healthcode.messages import ChunkRequest, ClockReset, RootChain, TrustHead
from healthcode.roots import RotationFault, write_rotation
from healthcode.signed import SignedFault, pack
from tests.edge.province import NOON, ROOT, ROOTS, STRANGER, URI, Province, trust_list
from tests.edge.test_dialogue import CLOCK, Unit, requests

SECOND, THIRD = SoftwareKey.generate(), SoftwareKey.generate("Ed25519")
FIRST_STEP, SECOND_STEP = write_rotation(ROOT, SECOND, 5, 5), write_rotation(SECOND, THIRD, 9, 9)


def chain(*rotations: bytes) -> RootChain:
    return RootChain(rotations=list(rotations))


def trust(version: int, by: SoftwareKey) -> bytes:
    return signed.write(trust_list(version), by)


def head(version: int, by: SoftwareKey) -> bytes:
    data = trust(version, by)
    return signed.write(TrustHead(version=version, size=len(data), sha256=hashlib.sha256(data).digest(), signed_at=NOON), by)


def opened(folder: Path) -> Cache:
    cache = Cache(folder, ROOTS)
    cache.load(NOON)
    return cache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    with closing(Unit(tmp_path)) as unit:
        yield unit


def test_the_new_root_s_trust_list_is_taken_kept_and_not_rolled_back_by_the_old_one(folder: Path) -> None:
    province, cache = Province(), opened(folder)
    province.fill(cache)
    assert cache.accept_trust(trust(5, SECOND), NOON) is SignedFault.UNKNOWN_KEY
    learnt = cache.accept_roots(chain(FIRST_STEP))
    assert isinstance(learnt, tuple)
    assert [root.key.kid for root in learnt] == [ROOT.kid, SECOND.kid]
    assert cache.accept_trust(trust(5, SECOND), NOON) == TrustTaken(5, ())
    for held in (cache, opened(folder)):
        assert held.trust == trust_list(5), "over a restart too"
        assert set(held.lists) == {URI}, "and the lists with it"
        for version in (4, 5, 6, 2**53):
            assert held.accept_trust(trust(version, ROOT), NOON) is (CacheFault.OLDER if version == 4 else SignedFault.SCOPE)
        assert held.accept_trust(trust(4, SECOND), NOON) is SignedFault.SCOPE


def test_between_rotation_and_next_list_a_restart_keeps_the_old_root_s_list(folder: Path) -> None:
    cache = opened(folder)
    cache.accept_trust(trust(4, ROOT), NOON)
    cache.accept_roots(chain(FIRST_STEP))
    again = opened(folder)
    assert again.trust == trust_list(4)
    assert held_roots(folder, ROOTS)[1] == 4
    assert again.accept_trust(trust(5, SECOND), NOON) == TrustTaken(5, ())


def test_a_unit_that_was_off_line_for_two_rotations_comes_back_in_step(folder: Path) -> None:
    cache = opened(folder)
    cache.accept_trust(trust(1, ROOT), NOON)
    assert isinstance(cache.accept_roots(chain(SECOND_STEP, FIRST_STEP)), tuple)
    assert cache.accept_trust(trust(12, THIRD), NOON) == TrustTaken(12, ())
    roots, version = held_roots(folder, ROOTS)
    assert (version, [key.kid for key in roots.signing(version)]) == (12, [THIRD.kid])


def test_what_says_nothing_new_is_not_written_again(folder: Path) -> None:
    cache = opened(folder)
    cache.accept_roots(chain(FIRST_STEP))
    (folder / ROOTS_FILE).unlink()
    assert cache.accept_roots(chain(FIRST_STEP)) == ()
    assert not (folder / ROOTS_FILE).exists()


@pytest.mark.parametrize(
    ("rotation", "fault"),
    [
        (write_rotation(STRANGER, SECOND, 5, 5), SignedFault.UNKNOWN_KEY),
        (write_rotation(ROOT, STRANGER, 5, None), RotationFault.OTHER_SUCCESSOR),
        (write_rotation(SECOND, ROOT, 9, 9), RotationFault.CIRCLE),
    ],
)
def test_a_rotation_that_does_not_count_changes_nothing(folder: Path, rotation: bytes, fault: object) -> None:
    cache = opened(folder)
    cache.accept_roots(chain(FIRST_STEP))
    before, kept = cache.roots, (folder / ROOTS_FILE).read_bytes()
    assert cache.accept_roots(chain(rotation)) is fault
    assert (cache.roots, (folder / ROOTS_FILE).read_bytes()) == (before, kept)


def test_a_rotation_that_would_disown_the_trust_list_held_is_not_taken(folder: Path) -> None:
    cache = opened(folder)
    cache.accept_trust(trust(7, ROOT), NOON)
    assert cache.accept_roots(chain(FIRST_STEP)) is CacheFault.NO_ROOTS
    assert opened(folder).trust == trust_list(7)


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xff" * 99, pack(chain(b"\x00")), pack(chain(write_rotation(STRANGER, SECOND, 1, 1)))])
def test_a_damaged_file_of_roots_costs_the_roots_that_were_learnt_and_nothing_else(folder: Path, damage: bytes) -> None:
    cache = opened(folder)
    cache.accept_trust(trust(4, ROOT), NOON)
    cache.accept_roots(chain(FIRST_STEP))
    (folder / ROOTS_FILE).write_bytes(damage)
    again = opened(folder)
    assert again.trust == trust_list(4)
    assert [root.key.kid for root in again.roots.known()] == [ROOT.kid]
    assert isinstance(again.accept_roots(chain(FIRST_STEP)), tuple), "the server sends them again"


@pytest.mark.parametrize("is_first", [True, False])
def test_head_and_rotation_come_in_either_order(unit: Unit, is_first: bool) -> None:
    """Retained messages come in any order: what came too early is asked for again."""
    unit.dialogue.connected(0.0)
    roots = pack(chain(FIRST_STEP))
    if not is_first:
        assert requests(unit.tell(topics.TRUST_HEAD, head(5, SECOND))) == []
        assert unit.dialogue.counts["trust_head_UNKNOWN_KEY"] == 1
    assert Resubscribe() in unit.tell(topics.TRUST_ROOTS, roots)
    assert Resubscribe() not in unit.tell(topics.TRUST_ROOTS, roots), "once"
    (news,) = unit.dialogue.news
    assert isinstance(news, RootsChanged)
    assert news.detail.endswith(f"root {SECOND.kid.hex()} (ES256) since trust list 5, introduced by {ROOT.kid.hex()}")
    [ask] = requests(unit.tell(topics.TRUST_HEAD, head(5, SECOND)))
    assert isinstance(ask, ChunkRequest)
    unit.tell(topics.TRUST_HEAD, head(6, ROOT))
    assert unit.dialogue.counts["trust_head_SCOPE"] == 1


@pytest.mark.parametrize("payload", [b"\x00", pack(chain(*[FIRST_STEP] * 16)) + b"\x00", bytes(20_000)])
def test_what_is_no_chain_is_counted(unit: Unit, payload: bytes) -> None:
    unit.tell(topics.TRUST_ROOTS, payload)
    assert unit.dialogue.counts["bad_payload"] == 1
    assert unit.dialogue.news == []


def test_a_chain_by_strangers_is_counted(unit: Unit) -> None:
    unit.tell(topics.TRUST_ROOTS, pack(chain(write_rotation(STRANGER, SECOND, 1, 1))))
    assert unit.dialogue.counts["roots_UNKNOWN_KEY"] == 1


def test_the_old_root_resets_no_clock_once_the_new_one_has_signed(unit: Unit) -> None:
    unit.cache.accept_roots(chain(FIRST_STEP))
    unit.cache.accept_trust(trust(5, SECOND), NOON)
    reset = ClockReset(unit="north", serial=1, floor=NOON - 9)
    unit.tell(CLOCK, signed.write(reset, ROOT))
    assert unit.dialogue.counts["reset_SCOPE"] == 1
    unit.tell(CLOCK, signed.write(msgspec.structs.replace(reset, floor=NOON - 10), SECOND))
    assert unit.dialogue.counts["reset_TAKEN"] + unit.dialogue.counts["reset_NOT_LOWER"] == 1
