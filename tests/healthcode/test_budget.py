"""The budget of a unit, as an hour's account: whatever is asked for and whenever, no hour holds more than twice the snapshot."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthcode.budget import HOUR_S, LEAST, SLOT_S, Accounts, Spent, most

PROVINCE = 850_000
CHUNK = 64 * 1024
URI = "https://hb.example/s/1"


def test_it_is_twice_the_snapshot_and_a_megabyte_where_that_is_little() -> None:
    assert most(PROVINCE) == 2 * PROVINCE
    assert most(100) == LEAST


@given(st.lists(st.tuples(st.floats(0, 900), st.integers(1, CHUNK * 4)), max_size=200))
def test_no_hour_ever_holds_more(asked: list[tuple[float, int]]) -> None:
    accounts, at = Accounts(), 0.0
    sent: list[tuple[float, int]] = []
    for later, amount in asked:
        at += later
        if amount <= accounts.left("north", URI, PROVINCE, at):
            accounts.spend("north", URI, amount, at)
            sent.append((at, amount))
    for end, _ in sent:
        assert sum(amount for when, amount in sent if end - HOUR_S < when <= end) <= 2 * PROVINCE


@given(st.integers(1, 2**40), st.floats(0, 2 * HOUR_S))
def test_what_was_spent_counts_for_an_hour_and_five_minutes_at_most(begun: int, later: float) -> None:
    spent = Spent()
    spent.add(10, begun)
    if later < HOUR_S:
        assert spent.total(begun + later) == 10
    if later > HOUR_S + SLOT_S:
        assert spent.total(begun + later) == 0


def test_a_clock_put_back_forgets_nothing_and_holds_up_nobody_for_longer_than_an_hour() -> None:
    spent = Spent()
    spent.add(10, 100_000.0)
    assert spent.total(500.0) == 10
    assert spent.total(500.0 + HOUR_S + SLOT_S) == 0


def test_one_unit_s_or_list_s_spending_is_not_another_s() -> None:
    accounts = Accounts()
    accounts.spend("north", URI, 2 * PROVINCE, 0.0)
    assert accounts.left("north", URI, PROVINCE, 1.0) == 0
    assert accounts.left("south", URI, PROVINCE, 1.0) == accounts.left("north", "other", PROVINCE, 1.0) == 2 * PROVINCE


def test_a_snapshot_that_has_grown_shorter_leaves_less() -> None:
    accounts = Accounts()
    accounts.spend("north", URI, PROVINCE * 2, 0.0)
    assert accounts.left("north", URI, PROVINCE // 2, 1.0) == 0


def test_refusals_are_told_once_an_hour() -> None:
    accounts = Accounts()
    accounts.spend("north", URI, 1, 0.0)
    told = [accounts.refuse("north", URI, second * 10.0) for second in range(1, 800)]
    assert [times for times in told if times] == [1, 361, 721]


def test_more_accounts_than_can_be_remembered_are_sent_nothing_until_one_is_free() -> None:
    accounts = Accounts(most_accounts=3)
    for number in range(3):
        accounts.spend(f"unit{number}", URI, 5, number * SLOT_S)
    assert accounts.left("unit3", URI, PROVINCE, 900.0) == 0
    assert accounts.left("unit0", URI, PROVINCE, 900.0) > 0, "those that are remembered go on"
    assert [accounts.refuse("unit3", URI, 900.0), accounts.refuse("unit4", URI, 901.0)] == [1, 0]
    assert accounts.left("unit3", URI, PROVINCE, HOUR_S + SLOT_S) == 2 * PROVINCE
    assert len(accounts) == 2
