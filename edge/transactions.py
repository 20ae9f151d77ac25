"""Which commands were carried out, so that none is a second time, over a restart too. Pure.

A command lives a minute at most, so a short memory is enough. What has expired is kept all the same while there is room: a clock that is
put back must not make it good again. What has not is never forgotten; where there is no room for more, a new command is refused.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from healthcode.messages import Seconds, Transaction
from healthcode.terms import CommandFault

MOST = 256
"""Transactions that are remembered. Only operators' good commands get here, and each lives for a minute at most."""


class Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command that was carried out, and when it expires; seconds since 1970."""

    transaction: Transaction
    expires_at: Seconds


class Transactions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`done` in the order in which it was done. Of what was signed up to `since` it is not known whether it was done: none of it counts.

    `is_lost`: what was remembered cannot be read. The next command is refused, and says from when on it is known again.
    """

    done: Annotated[tuple[Done, ...], Meta(max_length=MOST)] = ()
    since: Seconds = 0
    is_lost: bool = False

    def take(self, transaction: str, signed_at: int, expires_at: int, at: float) -> tuple[Transactions, tuple[CommandFault, str] | None]:
        """What is remembered after a command at `at` (seconds since 1970), and why it is not carried out, with one line; None: it is."""
        known = Transactions(self.done, int(at)) if self.is_lost else self
        if signed_at <= known.since:
            return known, (
                CommandFault.REPEATED,
                "this unit has lost what it remembered, and may have done it before: send a new one",
            )
        if any(each.transaction == transaction for each in known.done):
            return known, (CommandFault.REPEATED, "this transaction was here before: send a new one")
        left = known.done
        if len(left) >= MOST:
            oldest = next((number for number, each in enumerate(left) if each.expires_at <= at), None)
            if oldest is None:
                return known, (CommandFault.TOO_MANY, f"{MOST} commands within a minute, expected fewer")
            left = (*left[:oldest], *left[oldest + 1 :])
        return Transactions((*left, Done(transaction, expires_at)), known.since), None
