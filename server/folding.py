"""Old health records that say nothing but that they were made, folded into the times between which there was no gap. Pure.

Who checks in every day has a thousand facts in three years, and a ruling asks of nearly all of them one thing: since when there was no
gap too long. `find_foldable` says which need not be read one by one any more, `join` what is kept of them: runs of records, each no more
than the days of the lapse after the one before. `server.colours.colour_of` gives the same ruling, word for word, from what is left and
the runs: whatever comes later, and whatever outages are noted, for an outage only makes a gap shorter.

Left are all facts that say more; of the declarations of nothing those beside one of something, by which that begins and ends; the first
declaration, the newest record of each kind, and the first after each colour set by hand. What comes later but happened before the end of
the runs would stand among what was folded: then all is read again (`server.rulings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from server.contradictions import is_well
from server.facts import Declared, Fact, NormalAtGate, Reviewed, SetByHand
from server.policy import DAY_S, Policy

KEEP_S = 7 * DAY_S
"""Facts so new are never folded: corrections and gates that were offline still come to stand beside them."""
LEAST = 64
"""So many at least are folded at once."""
Run = tuple[float, float]
"""The first and the last of records without a gap, in seconds since 1970."""


def basis(policy: Policy) -> str:
    """What of a policy the folding rests on: by another basis all is read again."""
    return f"{policy.record.lapse_days} {int(policy.record.gate_counts)} {policy.declared.fever_c}"


def find_foldable(facts: Sequence[Fact], until: float, policy: Policy) -> list[int]:
    """The places in `facts` of those that may be folded, up to `until`; none for somebody who was never let in."""
    if not any(isinstance(fact, Reviewed | SetByHand) and fact.at <= until for fact in facts):
        return []
    declared = sorted(((fact, place) for place, fact in enumerate(facts) if isinstance(fact, Declared)), key=lambda pair: pair[0].at)
    corrected = {fact.corrects for fact, _ in declared}
    plain = [fact.corrects is None and fact.at not in corrected and is_well(fact, policy) for fact, _ in declared]
    asked = next((place for fact, place in declared if not fact.is_check_in), None)
    found = [
        (fact.at, place)
        for (fact, place), *beside in zip(declared[1:-1], plain, plain[1:], plain[2:], strict=False)
        if all(beside) and place != asked and fact.at <= until
    ]
    gates = sorted((fact.at, place) for place, fact in enumerate(facts) if isinstance(fact, NormalAtGate))
    found += [(at, place) for at, place in gates[:-1] if at <= until]
    for hand in (fact.at for fact in facts if isinstance(fact, SetByHand)):
        for times in (sorted((fact.at, place) for fact, place in declared), gates):
            first = next((pair for pair in times if pair[0] > hand), None)
            found = [pair for pair in found if pair != first]
    return [place for _, place in found]


def join(folded: Iterable[Fact], policy: Policy) -> list[Run]:
    """The runs of these facts, in order: a gap within the days of the lapse is none."""
    counts = policy.record.gate_counts
    joined: list[Run] = []
    for at in sorted(fact.at for fact in folded if counts or not isinstance(fact, NormalAtGate)):
        if joined and at <= joined[-1][1] + policy.record.lapse_days * DAY_S:
            joined[-1] = (joined[-1][0], at)
        else:
            joined.append((at, at))
    return joined
