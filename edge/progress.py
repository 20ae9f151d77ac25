"""Which of the unit's loops no longer come round. Pure: signs of progress and the time in, those that are late out.

A loop's sign is the time of its last completed turn. Being alive is no progress, and neither is being idle a lack of it: every loop comes
round when nothing happens, too. One that may have to wait for longer, for a name server say, gives a sign that lies ahead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sign:
    """A loop, its last completed turn (monotonic seconds; None while none is expected of it), and how long one may take, in seconds."""

    loop: str
    turned_at: float | None
    limit_s: float


@dataclass(frozen=True)
class Late:
    """A loop that has not come round for `for_s` seconds, which is more than its `limit_s`."""

    loop: str
    for_s: float
    limit_s: float


def find_late(signs: Iterable[Sign], at: float) -> tuple[Late, ...]:
    """The loops that are late at `at` (monotonic seconds), the one that has been so for longest first."""
    late = [
        Late(sign.loop, at - sign.turned_at, sign.limit_s)
        for sign in signs
        if sign.turned_at is not None and at - sign.turned_at > sign.limit_s
    ]
    return tuple(sorted(late, key=lambda each: each.limit_s - each.for_s))
