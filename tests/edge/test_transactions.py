"""Each command is carried out once: over repetitions, restarts, a full memory, a lost one, and a clock that is put back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.files import Calls
from edge.oncefile import OnceFile
from edge.transactions import MOST, Transactions
from healthcode.commands import AHEAD_S, LONGEST_LIFE_S
from healthcode.terms import CommandFault

NOW = 1_584_345_600


def name(number: int) -> str:
    return f"{number:032x}"


def test_the_same_transaction_is_refused_for_as_long_as_it_is_remembered() -> None:
    after, first = Transactions().take(name(1), NOW, NOW + 30, NOW)
    again, second = after.take(name(1), NOW, NOW + 30, NOW + 1)
    assert first is None
    assert second is not None
    assert second[0] is CommandFault.REPEATED
    assert again == after
    assert after.take(name(2), NOW, NOW + 30, NOW + 1)[1] is None


def test_what_has_expired_makes_room_and_what_has_not_never_does() -> None:
    held = Transactions()
    for number in range(MOST):
        held, fault = held.take(name(number), NOW, NOW + 30, NOW)
        assert fault is None
    full, fault = held.take(name(MOST), NOW, NOW + 30, NOW + 29)
    assert fault is not None
    assert (full, fault[0]) == (held, CommandFault.TOO_MANY)
    after, fault = held.take(name(MOST), NOW + 20, NOW + 50, NOW + 30)
    assert fault is None
    assert len(after.done) == MOST
    put_back = after.take(name(MOST - 1), NOW, NOW + 30, NOW + 5)[1]
    assert put_back is not None, "a clock that is put back does not make it good again"
    assert put_back[0] is CommandFault.REPEATED


def test_a_file_keeps_it_over_a_restart(tmp_path: Path) -> None:
    file = OnceFile(tmp_path / "commands")
    after, _ = file.held.take(name(1), NOW, NOW + 30, NOW)
    file.store(after)
    fault = OnceFile(tmp_path / "commands").held.take(name(1), NOW, NOW + 30, NOW + 2)[1]
    assert fault is not None
    assert fault[0] is CommandFault.REPEATED


@pytest.mark.parametrize("left", [b"", b"{", b"\x00" * 100, b'{"done": [["x", 1]]}', b'{"done": 1}', b"\xff\xfe"])
def test_a_damaged_file_refuses_what_was_signed_before_the_next_command_and_that_one_too(left: bytes, tmp_path: Path) -> None:
    (tmp_path / "commands").write_bytes(left)
    file = OnceFile(tmp_path / "commands")
    after, fault = file.held.take(name(1), NOW, NOW + 30, NOW + 1)
    assert fault is not None
    assert fault[0] is CommandFault.REPEATED
    file.store(after)
    again = OnceFile(tmp_path / "commands")
    assert again.held.take(name(2), NOW, NOW + 60, NOW + 5)[1] is not None, "signed before the loss was noticed"
    assert again.held.take(name(3), NOW + 5, NOW + 60, NOW + 5)[1] is None


def test_a_disk_that_does_not_take_it_remembers_nothing(tmp_path: Path) -> None:
    def refuse(_: int) -> None:
        raise OSError(5, "Input/output error")

    file = OnceFile(tmp_path / "commands", Calls(fsync=refuse))
    after, _ = file.held.take(name(1), NOW, NOW + 30, NOW)
    with pytest.raises(OSError, match="Input/output"):
        file.store(after)
    assert file.held == Transactions()


class Once(RuleBasedStateMachine):
    """A unit, an operator who signs commands, and somebody who records them and sends them again whenever he likes."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOW
        self.signed: list[tuple[str, int, int]] = []
        self.carried_out: list[str] = []
        self.held = Transactions()

    @initialize(lost=st.booleans())
    def begin(self, lost: bool) -> None:
        self.held = Transactions(is_lost=lost)

    @rule(life_s=st.integers(1, LONGEST_LIFE_S))
    def sign(self, life_s: int) -> None:
        self.signed.append((name(len(self.signed)), self.at, self.at + life_s))

    @rule(which=st.integers(0, 10**6))
    def send(self, which: int) -> None:
        """Signed now, or long ago: what `judge` looks at comes before."""
        if not self.signed:
            return
        transaction, signed_at, expires_at = self.signed[which % len(self.signed)]
        if signed_at > self.at + AHEAD_S or expires_at <= self.at:
            return
        self.held, fault = self.held.take(transaction, signed_at, expires_at, self.at)
        if fault is None:
            self.carried_out.append(transaction)

    @rule(seconds=st.integers(0, 90))
    def wait(self, seconds: int) -> None:
        self.at += seconds

    @rule(seconds=st.integers(1, 90))
    def put_back(self, seconds: int) -> None:
        self.at -= seconds

    @invariant()
    def nothing_is_done_twice(self) -> None:
        assert len(self.carried_out) == len(set(self.carried_out))
        assert len(self.held.done) <= MOST


TestOnce = Once.TestCase


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), max_size=600))
def test_in_a_flood_of_good_commands_only_a_memory_full_of_living_ones_refuses_a_new_one(asked: list[tuple[int, int]]) -> None:
    held, at = Transactions(), NOW
    for number, step_s in asked:
        at += step_s
        known = {each.transaction for each in held.done}
        after, fault = held.take(name(number), at - 1, at + 59, at)
        if name(number) in known:
            assert fault is not None
            assert fault[0] is CommandFault.REPEATED
        elif fault is not None:
            assert fault[0] is CommandFault.TOO_MANY
            assert [each.expires_at > at for each in held.done] == [True] * MOST
        held = after
        assert len(held.done) <= MOST
