"""The signed daily head of the audit log: where the log ends, published retained, so that whoever kept it can tell a rewritten log.

It is signed by the key of the use `ack`: like a watermark it is the server's word for what its database holds (docs/decisions/0161).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from healthcode import topics
from healthcode.cose import Signer
from healthcode.messages import AuditHead
from healthcode.signed import Signed, SignedFault, read, write
from healthcode.trust import KeyRing
from server.identity import day_of
from server.lists import Publication
from server.store import Store, audit, to_ms
from server.store.audit import HeadRow

LOOK_S = 60.0
"""How often it is asked whether a day has begun, in seconds."""


@dataclass(frozen=True)
class StoredHeads:
    """The heads that the database holds, those of keys that the trust list names no longer counted, and when the first forged one is of."""

    heads: tuple[AuditHead, ...]
    of_unknown_keys: int
    forged: float | None = None


def read_stored(rows: Sequence[HeadRow], ring: KeyRing) -> StoredHeads:
    """Reads stored heads, each at its own time."""
    heads = []
    unknown = 0
    for row in rows:
        found = read(row.body, AuditHead, ring, row.at_ms / 1000)
        if isinstance(found, Signed):
            heads.append(found.message)
        elif found is SignedFault.UNKNOWN_KEY:
            unknown += 1
        else:
            return StoredHeads(tuple(heads), unknown, row.at_ms / 1000)
    return StoredHeads(tuple(heads), unknown)


class AuditHeads:
    """Makes a head when a day begins, at the first look after it, and publishes the newest. `now` gives seconds since 1970."""

    def __init__(self, store: Store, signer: Callable[[], Signer], issuer: str, now: Callable[[], float]) -> None:
        self._store = store
        self._signer = signer
        self._issuer = issuer
        self._now = now
        self._looked = float("-inf")
        self._sent = b""

    def due(self, at: float) -> list[Publication]:
        """What to publish at the monotonic time `at`: the newest head, where it is new or has to be said again."""
        if at - self._looked < LOOK_S:
            return []
        self._looked = at
        head = self._newest()
        if head.body == self._sent:
            return []
        self._sent = head.body
        return [Publication(topics.audit_topic(self._issuer), head.body, retain=True)]

    def again(self) -> None:
        """The newest head at the next asking: the broker may have forgotten it."""
        self._sent = b""
        self._looked = float("-inf")

    def _newest(self) -> HeadRow:
        now = self._now()
        with self._store.read() as tx:
            newest = audit.newest_head(tx)
        if newest is not None and day_of(newest.at_ms / 1000) >= day_of(now):
            return newest
        with self._store.write() as tx:
            tip = audit.find_tip(tx)
            at_ms = to_ms(now)
            body = write(AuditHead(issuer=self._issuer, entry=tip.entry, digest=tip.digest, at_ms=at_ms), self._signer())
            head = HeadRow(tip.entry, at_ms, body)
            audit.insert_head(tx, head)
        return head
