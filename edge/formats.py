"""The formats of what a unit keeps on its disk, by number, so that a release can be gone back from. Pure.

A release may read more than it writes. One that is to write a new format follows one that reads it already: then the release before can
always read what the one on trial has written. What is signed and can be fetched anew (lists, trust list) needs no number: whoever cannot
read it asks for it again.
"""

from __future__ import annotations

from collections.abc import Mapping

OUTBOX, UPDATES = "outbox", "updates"

READS: Mapping[str, int] = {OUTBOX: 1, UPDATES: 1}
"""The newest format of each file that this release can read."""
WRITES: Mapping[str, int] = {OUTBOX: 1, UPDATES: 1}
"""The format of each that it writes; at most what it reads."""


def find_lost(writes: Mapping[str, int], reads: Mapping[str, int] = READS) -> str | None:
    """What a release that writes these formats would leave unreadable to one that reads those, in one line; None for nothing."""
    for name, number in sorted(writes.items()):
        if name in reads and number > reads[name]:
            return f"it writes format {number} of {name}, and the release before it reads up to {reads[name]}: expected a release between"
    return None
