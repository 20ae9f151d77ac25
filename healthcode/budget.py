"""How much of a list a unit may be sent within an hour: the server keeps to it, and an honest unit asks for no more. Pure.

Twice the snapshot: once for a unit that begins with an empty disk, once more for what goes wrong. All that was asked for counts, ranges
of deltas too; what everybody gets (live deltas, heads) does not.

A unit that begins needs the newest snapshot and the deltas after it. The server sees to it that this is within the budget: an epoch begins
with a snapshot of all that is known, and one whose deltas have grown heavy is made anew before its time (`server.lists.is_heavy`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

HOUR_S = 3600.0
SLOT_S = 300.0
"""What was spent is remembered by the five minutes, and let go five minutes late, so that the bound holds for every hour there is."""
TIMES = 2
LEAST = 1024 * 1024
"""Bytes an hour in any case: a list of which twice the snapshot is less has deltas that may be longer than itself."""
MOST_ACCOUNTS = 50_000
"""Accounts that are remembered at once, some 1 KB each: 50,000 gates with one list, or fewer with more."""


def most(snapshot: int) -> int:
    """Bytes that a unit may be sent of a list within an hour, its newest snapshot being `snapshot` bytes long."""
    return max(LEAST, TIMES * snapshot)


@dataclass
class Spent:
    """What was spent within the last `span_s` seconds. A clock that goes back forgets nothing: all of it then counts as spent now."""

    span_s: float = HOUR_S
    _slots: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, amount: int, at: float) -> None:
        """Spends `amount` at the time `at` (seconds)."""
        before = self._slots.pop()[1] if self.total(at) and self._slots[-1][0] == int(at // SLOT_S) else 0
        self._slots.append((int(at // SLOT_S), before + amount))

    def total(self, at: float) -> int:
        """What still counts at `at`."""
        now = int(at // SLOT_S)
        if self._slots and self._slots[-1][0] > now:
            self._slots = deque([(now, sum(amount for _, amount in self._slots))])
        while self._slots and (self._slots[0][0] + 1) * SLOT_S + self.span_s <= at:
            self._slots.popleft()
        return sum(amount for _, amount in self._slots)


@dataclass
class _Account:
    spent: Spent = field(default_factory=Spent)
    refused: int = 0
    told_at: float | None = None

    def refuse(self, at: float) -> int:
        self.refused += 1
        if self.told_at is not None and self.told_at <= at < self.told_at + HOUR_S:
            return 0
        self.told_at = at
        return self.refused


class Accounts:
    """What every unit was sent of every list."""

    def __init__(self, most_accounts: int = MOST_ACCOUNTS) -> None:
        self._most_accounts = most_accounts
        self._accounts: OrderedDict[tuple[str, str], _Account] = OrderedDict()
        self._crowd = _Account()

    def __len__(self) -> int:
        return len(self._accounts)

    def left(self, unit: str, uri: str, snapshot: int, at: float) -> int:
        """Bytes that `unit` may still be sent of `uri`, whose newest snapshot has `snapshot`; none for one more than can be remembered."""
        account = self._accounts.get((unit, uri))
        if account is None:
            return most(snapshot) if self._has_room(at) else 0
        return max(0, most(snapshot) - account.spent.total(at))

    def spend(self, unit: str, uri: str, amount: int, at: float) -> None:
        """Notes that `amount` bytes were sent."""
        self._accounts.setdefault((unit, uri), _Account()).spent.add(amount, at)
        self._accounts.move_to_end((unit, uri))

    def refuse(self, unit: str, uri: str, at: float) -> int:
        """Notes that something was not sent. How often so far, where people should hear of it; 0 where they did within the hour."""
        return self._accounts.get((unit, uri), self._crowd).refuse(at)

    def _has_room(self, at: float) -> bool:
        """Whether one more can be remembered; lets go of those of which nothing counts any more, which lie in front."""
        while len(self._accounts) >= self._most_accounts:
            oldest = next(iter(self._accounts))
            if self._accounts[oldest].spent.total(at):
                return False
            del self._accounts[oldest]
        return True
