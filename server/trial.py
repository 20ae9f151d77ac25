"""What a policy would change, before it is in force: everybody ruled on by both, in slices, and nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from server.colours import colour_of
from server.policy import Policy
from server.rulebook import read_book
from server.rulings import SLICE, read_facts
from server.store import Store, rulings


@dataclass
class Trial:
    """How many people were looked at; of how many the colour, or `pending`, goes from which to which; and by which rules."""

    people: int = 0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: Trial) -> None:
        """Takes in another part of the people."""
        self.people += other.people
        self.changes += other.changes
        self.rules += other.rules


def count_people(store: Store) -> int:
    """How many people a trial has to look at."""
    with store.read() as tx:
        return rulings.count_residents(tx)


def try_policy(store: Store, policy: Policy, at: float) -> Iterator[Trial]:
    """Rules on everybody at `at` by the policy in force and by `policy`; slice by slice what would change."""
    last = ""
    while True:
        with store.read() as tx:
            book = read_book(tx)
            residents = rulings.list_after(tx, last, SLICE)
            stored = rulings.list_facts(tx, residents)
        if not residents:
            return
        last = residents[-1]
        part = Trial(people=len(residents))
        for resident in residents:
            facts, moment = read_facts(stored[resident], at)
            before = colour_of(facts, moment, book.policy, book.outages)
            after = colour_of(facts, moment, policy, book.outages)
            if before.word != after.word:
                part.changes[(before.word, after.word)] += 1
                part.rules[(before.rule.value, after.rule.value)] += 1
        yield part
