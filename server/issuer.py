"""Signs codes: packs of live codes for a phone, one code for paper.

Colour and iat are read in one transaction, and every code of a pack carries the same iat: the time of the ruling, not of the signing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from healthcode import token
from healthcode.cose import Signer
from healthcode.terms import Colour, Form
from server import audit
from server.actors import AT_CONSOLE, Who
from server.audit import Action
from server.colours import PENDING
from server.config import Codes
from server.registry import Refused, RegistryFault
from server.store import Store, people, to_ms

DAY_S = 86_400


@dataclass(frozen=True)
class Issued:
    """One signed code; times in seconds since 1970."""

    text: str
    not_before: int
    expires: int


@dataclass(frozen=True)
class Pack:
    """Codes of one resident under one ruling, in the order in which they are to be shown."""

    resident: str
    uri: str
    index: int
    colour: Colour
    form: Form
    ruled_at: int
    codes: tuple[Issued, ...]


class Issuer:
    """The issuer `issuer` with the key of its codes. `now` gives seconds since 1970."""

    def __init__(self, store: Store, signer: Signer, issuer: str, codes: Codes, now: Callable[[], float]) -> None:
        self._store = store
        self._signer = signer
        self._issuer = issuer
        self._codes = codes
        self._now = now

    def live_pack(self, resident: str, *, lasting_s: int | None = None, start: int | None = None, who: Who = AT_CONSOLE) -> Pack | Refused:
        """Live codes for `lasting_s` seconds (at most the configured pack) from `start` (now), one a slot.

        Neighbouring slots overlap, so that a phone whose clock is a little off always has one that is good.
        """
        lasting = min(self._codes.pack_s, self._codes.pack_s if lasting_s is None else lasting_s)
        slots = max(1, -(-lasting // self._codes.slot_s))
        begin = int(self._now()) if start is None else start
        overlap = self._codes.overlap_s
        times = []
        for number in range(slots):
            from_s = begin + number * self._codes.slot_s
            times.append((from_s - (overlap if number else 0), from_s + self._codes.slot_s + overlap))
        return self._issue(resident, Form.LIVE, times, who)

    def paper(
        self, resident: str, *, days: int | None = None, start: int | None = None, who: Who = AT_CONSOLE, layout: str = ""
    ) -> Pack | Refused:
        """One code for paper, good for `days` (as configured) from `start` (now). `layout` tells the log how it is printed."""
        begin = int(self._now()) if start is None else start
        return self._issue(resident, Form.PAPER, [(begin, begin + (days or self._codes.paper_days) * DAY_S)], who, layout)

    def _issue(self, resident: str, form: Form, times: list[tuple[int, int]], who: Who, layout: str = "") -> Pack | Refused:
        with self._store.write() as tx:
            row = people.find(tx, resident)
            if row is None:
                return Refused(RegistryFault.NO_SUCH_RESIDENT, f"no resident {resident[:40]!r}: expected an id that `resident list` shows")
            if row.colour == PENDING:
                return Refused(RegistryFault.PENDING, f"resident {resident} waits for a review: there is no code before it")
            at = self._now()
            people.insert_issue(tx, row, form.value, len(times), times[0][0], times[-1][1], to_ms(at))
            detail = {"form": form.value, "codes": len(times), **({"layout": layout} if layout else {})}
            audit.append(tx, who, Action.CODES_ISSUED, audit.about("resident", resident), detail, at)
        codes = tuple(
            Issued(
                token.write(
                    token.Claims(self._issuer, row.uri, row.idx, Colour(row.colour), form, row.ruled_at, not_before, expires),
                    self._signer,
                ),
                not_before,
                expires,
            )
            for not_before, expires in times
        )
        return Pack(row.resident, row.uri, row.idx, Colour(row.colour), form, row.ruled_at, codes)
