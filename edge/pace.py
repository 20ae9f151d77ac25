"""When the unit asks the server for what it misses, and how much of it in an hour: jitter, back-off, patience, budget. Pure.

Jitter spreads what all units would ask at once; what is not answered is asked again ever more slowly; and no more is asked for within an
hour than `healthcode.budget` allows, whatever goes wrong, so the server never has to refuse us.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from edge.syncwords import Timing
from healthcode.budget import HOUR_S, SLOT_S, Spent, most

REMEMBERED_S = HOUR_S + 2 * SLOT_S
"""How long what we asked for counts: longer than at the server, so that it does not refuse what we believe to be within the budget."""
SLOW_LINE = 10_000.0
"""Bytes a second of a line on which a range is not to come twice. The pieces of a snapshot are longer, and their time is learnt."""
PATIENCE = 1.5
"""How many times as long as the last piece took the next one is waited for: on a slow line none is to come twice."""


@dataclass
class Wait:
    """A request to be sent at `due` (None: none), or under way until then; `tries` without progress so far."""

    due: float | None = None
    tries: int = 0
    is_sent: bool = False

    def clear(self) -> None:
        """Nothing is to be sent."""
        self.due, self.tries, self.is_sent = None, 0, False


class Pace:
    """One unit's. Times are monotonic seconds."""

    def __init__(self, random: Random, timing: Timing) -> None:
        self.timing = timing
        self._random = random
        self._spent: dict[str, Spent] = {}

    def soon(self, at: float) -> float:
        """When to ask for something new."""
        return at + self._random.uniform(0, self.timing.jitter_s)

    def range_s(self, amount: int) -> float:
        """How long `amount` bytes of deltas are waited for."""
        return self.timing.range_s + amount / SLOW_LINE

    def put_off(self, wait: Wait, at: float, answer_s: float, patience_s: float = 0.0) -> None:
        """The request goes out now; it is sent again after the answer's time and a random part of a back-off that doubles."""
        answer_s = max(answer_s, min(patience_s, self.timing.most_s))
        longest = min(self.timing.most_s, answer_s * 2.0 ** min(wait.tries, 16))
        wait.due = at + answer_s + self._random.uniform(0, longest)
        wait.tries += 1
        wait.is_sent = True

    def later(self, tries: int, at: float) -> Wait:
        """A request to be sent after `tries` that came to nothing."""
        wait = Wait(tries=tries)
        self.put_off(wait, at, self.timing.answer_s)
        wait.is_sent = False
        return wait

    def may(self, uri: str, amount: int, snapshot: int, wait: Wait, at: float) -> bool:
        """Whether `amount` bytes of a list with such a snapshot may be asked for now; they then count. Otherwise `wait` is put off."""
        if self._account(uri).total(at) + amount > most(snapshot):
            wait.due = at + self.timing.most_s
            return False
        self.spend(uri, amount, at)
        return True

    def spend(self, uri: str, amount: int, at: float) -> None:
        """More came than was asked for."""
        self._account(uri).add(amount, at)

    def forget_others(self, uris: Collection[str]) -> None:
        """Only these lists are held from now on."""
        self._spent = {uri: spent for uri, spent in self._spent.items() if uri in uris}

    def _account(self, uri: str) -> Spent:
        return self._spent.setdefault(uri, Spent(REMEMBERED_S))
