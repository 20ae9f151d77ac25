"""Turns: nobody is sent twice what they asked once, nobody waits for ever, and the line is never fuller than it may be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthcode.messages import ChunkRequest, RangeRequest
from server.turns import CATCH_UP_S, MOST_EACH, RANGES_IN_A_ROW, Fetch, Turns

CHUNK = 64 * 1024
MBIT = 8.0
"""A megabyte a second."""


def chunk(offset: int = 0, uri: str = "https://hb.example/s/1") -> ChunkRequest:
    return ChunkRequest(uri=uri, epoch=1, version=5, offset=offset)


def some_range(start: int = 0) -> RangeRequest:
    return RangeRequest(uri="https://hb.example/s/1", epoch=1, from_version=start, to_version=start + 3)


def take_all(turns: Turns, amount: int = 0, at: float = 0.0) -> list[tuple[str, Fetch]]:
    found = []
    while (taken := turns.take(at)) is not None:
        found.append(taken)
        turns.sent(amount, at)
    return found


def test_units_take_turns_and_ranges_go_first() -> None:
    turns = Turns(MBIT)
    lists = [f"https://hb.example/s/{number}" for number in range(3)]
    for uri in lists:
        assert turns.put("greedy", chunk(uri=uri))
    assert turns.put("modest", chunk())
    assert turns.put("behind", some_range())
    order = take_all(turns)
    assert [unit for unit, _ in order] == ["behind", "greedy", "modest", "greedy", "greedy"]
    assert [request.uri for unit, request in order if unit == "greedy"] == lists
    assert turns.wait_s(0.0) is None


def test_ranges_without_end_keep_nobody_from_a_snapshot() -> None:
    turns = Turns(MBIT)
    turns.put("greedy", some_range())
    turns.take(0.0)
    turns.put("new", chunk())
    order = []
    for number in range(3 * RANGES_IN_A_ROW):
        turns.put("greedy", some_range(number))
        taken = turns.take(0.0)
        assert taken is not None
        order.append(taken[0])
        turns.sent(0, 0.0)
    assert order.index("new") <= RANGES_IN_A_ROW


def test_what_is_asked_again_is_answered_once_as_it_was_asked_last() -> None:
    turns = Turns(MBIT)
    turns.put("north", chunk())
    turns.put("south", chunk())
    turns.put("north", chunk(CHUNK))
    assert take_all(turns) == [("north", chunk(CHUNK)), ("south", chunk())]


def test_a_unit_has_so_many_requests_waiting_and_no_more() -> None:
    turns = Turns(MBIT)
    told = [turns.put("north", chunk(uri=f"https://hb.example/s/{number}")) for number in range(MOST_EACH + 1)]
    assert told == [True] * MOST_EACH + [False]
    assert turns.put("north", chunk(5, uri="https://hb.example/s/0")), "what is asked again takes no more room"
    assert turns.put("south", chunk())


def test_the_next_one_waits_until_the_line_is_through_with_the_one_before() -> None:
    turns = Turns(MBIT)
    for number in range(3):
        turns.put(f"unit{number}", chunk())
    assert turns.take(100.0) == ("unit0", chunk())
    turns.sent(1_000_000, 100.0)
    assert turns.take(100.0) is None
    wait_s = turns.wait_s(100.0)
    assert wait_s is not None
    assert abs(wait_s - (1.0 - CATCH_UP_S)) < 1e-9
    assert turns.take(100.0 + wait_s) == ("unit1", chunk())


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.integers(1, CHUNK)), min_size=1, max_size=60))
def test_no_stretch_of_time_carries_more_than_the_rate(asked: list[tuple[float, int]]) -> None:
    turns, at = Turns(MBIT), 0.0
    sent: list[tuple[float, int]] = []
    for number, (later, amount) in enumerate(asked):
        at += later
        turns.put(f"unit{number}", chunk())
        if turns.take(at) is not None:
            turns.sent(amount, at)
            sent.append((at, amount))
    for begin, (since, _) in enumerate(sent):
        for end in range(begin, len(sent)):
            carried = sum(amount for _, amount in sent[begin:end])
            assert carried <= (sent[end][0] - since + CATCH_UP_S) * 1e6 * MBIT / 8 + 1e-3
