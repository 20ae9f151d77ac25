"""Properties of the permutation of indices and of the marks in the watermark."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcode.status import CAPACITY
from server.indices import permute
from server.marks import Mark, advance

KEY = bytes(range(32))


@given(st.integers(1, 600), st.binary(min_size=32, max_size=32))
def test_every_index_comes_once(capacity: int, key: bytes) -> None:
    assert sorted(permute(key, position, capacity) for position in range(capacity)) == list(range(capacity))


@given(st.lists(st.integers(0, CAPACITY - 1), unique=True, max_size=50))
def test_no_two_positions_share_an_index_at_full_capacity(positions: list[int]) -> None:
    indices = [permute(KEY, position, CAPACITY) for position in positions]
    assert len(set(indices)) == len(indices)
    assert all(0 <= index < CAPACITY for index in indices)


def test_the_order_of_registration_does_not_show() -> None:
    indices = [permute(KEY, position, CAPACITY) for position in range(2000)]
    rising = sum(one < two for one, two in itertools.pairwise(indices))
    assert 900 < rising < 1100
    assert {index * 16 // CAPACITY for index in indices} == set(range(16))


def test_a_golden_index_never_changes() -> None:
    assert [permute(KEY, position, CAPACITY) for position in range(3)] == [41475370, 65730436, 66691164]


def test_a_position_outside_the_list_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected 0 to 15"):
        permute(KEY, 16, 16)


def _holds(mark: Mark) -> set[int]:
    return set(range(1, mark.up_to + 1)) - set(mark.missing)


@given(st.lists(st.sets(st.integers(1, 60), max_size=12), max_size=8))
def test_the_mark_says_what_is_held(batches: list[set[int]]) -> None:
    held: set[int] = set()
    mark = Mark()
    for batch in batches:
        held |= batch
        mark = advance(mark, batch, sorted(seq for seq in held if seq > mark.up_to))
        assert _holds(mark) == held
        assert list(mark.missing) == sorted(mark.missing)


@given(st.lists(st.sets(st.integers(1, 400), min_size=1, max_size=20), max_size=12), st.integers(0, 40))
def test_a_bounded_mark_never_says_more_than_is_held_and_catches_up(batches: list[set[int]], most: int) -> None:
    held: set[int] = set()
    mark = Mark()
    for batch in [*batches, *({seq} for seq in range(1, 401))]:
        held |= batch
        before = mark
        mark = advance(mark, batch, sorted(seq for seq in held if seq > mark.up_to), most)
        assert _holds(mark) <= held
        assert len(mark.missing) <= most
        assert mark.up_to >= before.up_to
    assert mark == Mark(400)


def test_an_invented_seq_does_not_make_it_grow() -> None:
    assert advance(Mark(3), {2**53}, [2**53]) == Mark(3)
