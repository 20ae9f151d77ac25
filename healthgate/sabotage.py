"""Runs a command with one part of the product broken on purpose, so that the story can show that it would notice.

Only `healthgate demo --story --break` comes here; no product module knows of it.

    deltas      a gate takes the changes of a list for applied and forgets them
    signature   a gate takes every signature for genuine
    outbox      a gate loses every third event before it is on disk
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from edge.outbox import Outbox, Person
from healthcode import status
from healthcode.cose import PublicKey
from healthcode.messages import AnyEvent
from healthgate.__main__ import main


def break_deltas() -> None:
    """Deltas count as applied and change nothing."""

    def forget(held: status.StatusList, indices: object, values: object) -> None:
        del held, indices, values

    setattr(status.StatusList, "_set", forget)  # noqa: B010


def break_signature() -> None:
    """Every signature is genuine."""

    def believe(key: PublicKey, signature: bytes, data: bytes, *, low_s: bool = True) -> bool:
        del key, signature, data, low_s
        return True

    setattr(PublicKey, "verify", believe)  # noqa: B010


def break_outbox() -> None:
    """Every third event of a gate is never written, though it gets its number."""
    really_append = Outbox.append

    def lose(outbox: Outbox, events: Sequence[AnyEvent], used: Mapping[Person, float] | None = None) -> list[int]:
        with outbox._lock:
            numbers = really_append(outbox, events, used)
            with outbox._transaction() as connection:
                connection.executemany("DELETE FROM events WHERE boot = ? AND seq = ?", [(outbox._boot, n) for n in numbers if n % 3 == 0])
        return numbers

    setattr(Outbox, "append", lose)  # noqa: B010


PARTS: dict[str, Callable[[], None]] = {"deltas": break_deltas, "signature": break_signature, "outbox": break_outbox}


if __name__ == "__main__":
    part, room = sys.argv[1:3]
    if room == "edge":
        PARTS[part]()
    sys.argv[1:3] = [room]
    main()
