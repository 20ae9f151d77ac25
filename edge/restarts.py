"""When a unit may end to be started anew, as another release or with another configuration. Pure.

A start takes seconds in which the relay is off, and the mode `free` does not outlast it. Whoever wants one asks here, and goes on asking.
"""

from __future__ import annotations

from edge import passage
from healthcode.terms import LaneMode

PATIENCE_S = 600.0
"""How long a start waits for a lane without anybody in front of it; after that it waits only until nobody is in it."""


def may_end(state: passage.State, waited_s: float, *, is_shown: bool) -> bool:
    """Whether nobody loses by a new start, for which it was waited for `waited_s` seconds; in this order:

    - never while the lane is free, by a fire or by its mode: the mode would end, and the fire's signals would be dark for seconds
    - never while somebody is let through, stands in the lane, or an alarm is on
    - not while somebody is in front of it (`is_shown`), who would have to show the code again; there is an end to that in a queue
    """
    if state.fire or state.mode is LaneMode.FREE:
        return False
    if passage.busy(state) or state.crossed:
        return False
    return not is_shown or waited_s >= PATIENCE_S
