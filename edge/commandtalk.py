"""What is asked of a unit from afar: a signed command is verified, remembered on disk and only then handed to the deciding thread.

It counts by the trust list held now and while the clock is trusted: a clock that nobody has confirmed since the start may be that of an
hour ago, when a command that somebody recorded was still good. What does not count is answered with the reason and becomes an event, within
an allowance, for anybody who reaches the broker can send it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge.allowance import Allowance
from edge.clock import Clock
from edge.linkwords import CommandRefused, Ordered, Publish
from edge.oncefile import OnceFile
from healthcode import cbor, commands, cose, signed, topics
from healthcode.messages import MAX_HEAD, BadPayload, Command, Request, Response, decode, encode
from healthcode.signed import SignedFault
from healthcode.terms import ClockState, CommandFault, CommandName
from healthcode.trust import KeyRing

log = logging.getLogger(__name__)

_SAID = {
    SignedFault.UNKNOWN_KEY: "no operator's key of this unit's trust list signed it",
    SignedFault.SCOPE: "its key may not sign commands, or not now",
}
Heard = tuple[Ordered | CommandRefused | None, Publish | None]
"""What the deciding thread should hear of, and the answer that goes out at once."""


class CommandTalk:
    """One unit's. `keys` gives what counts at a time in seconds since 1970."""

    def __init__(self, unit: str, clock: Clock, keys: Callable[[float], KeyRing | None], once: OnceFile) -> None:
        self._unit = unit
        self._clock = clock
        self._keys = keys
        self._once = once
        self._allowance = Allowance()

    def hear(self, name: str, payload: bytes, at: float) -> Heard:
        """A request for the command `name` arrived at `at`, monotonic seconds."""
        found = self._judge(name, payload, at)
        if isinstance(found, Ordered):
            return found, None
        fault, detail, by = found
        log.warning("command %s%s is refused: %s: %s", name, f" by {by}" if by else "", fault.value, detail)
        self._allowance, may = self._allowance.take(at)
        if not may:
            return None, None
        missed = f"; {self._allowance.missed} more before it" if self._allowance.missed else ""
        self._allowance = self._allowance.reported()
        answer = Response(
            status="error",
            transaction=transaction_of(payload),
            data={"fault": fault.value},
            error=f"{fault.value}: {detail}"[:200],
        )
        who = f" by operator {by}" if by else ""
        refused = CommandRefused(f"{name}{who}: {fault.value}: {detail}{missed}"[:200], at)
        return refused, Publish(topics.up(self._unit, "response", name), encode(answer))

    def _judge(self, name: str, payload: bytes, at: float) -> Ordered | tuple[CommandFault, str, str]:
        """The command that is to be carried out, and is remembered as such; or why not, in one line, and whose it was if that is known."""
        if name not in CommandName.__members__.values():
            return CommandFault.COMMAND, f"there is no such command, expected {', '.join(CommandName)}", ""
        if self._clock.state() is not ClockState.TRUSTED:
            return CommandFault.CLOCK_UNTRUSTED, self._clock.doubt() or "no time server has answered since the start, or for a day", ""
        now = self._clock.now()
        keys = self._keys(now)
        found = SignedFault.UNKNOWN_KEY if keys is None else signed.read(payload, Command, keys, now)
        if isinstance(found, SignedFault):
            return CommandFault(found.value), _SAID.get(found, "expected a command that an operator signed"), ""
        command, by = found.message, found.entry.name
        fault = commands.judge(command, found.entry, self._unit, name, now)
        if fault is not None:
            return *fault, by
        after, repeated = self._once.held.take(command.transaction, command.signed_at, command.expires_at, now)
        try:
            if after != self._once.held:
                self._once.store(after)
        except OSError as wrong:
            return CommandFault.DISK, f"it cannot be remembered, and might be carried out twice: {wrong.strerror}", by
        return Ordered(command, by, at) if repeated is None else (*repeated, by)


def transaction_of(payload: bytes) -> str:
    """What to name in the answer to a request that is refused: the transaction that it says, whoever signed it; empty for none."""
    try:
        return signed.unpack(cose.parse(payload).payload, Command, MAX_HEAD).transaction
    except (BadPayload, cbor.NotCbor, cose.NotSign1):
        pass
    try:
        return decode(payload, Request, MAX_HEAD).transaction
    except BadPayload:
        return ""
