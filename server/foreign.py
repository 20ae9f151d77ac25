"""Heads of other issuers' lists, as they were imported, on their way to the gates."""

from __future__ import annotations

from healthcode import topics
from server.lists import Publication
from server.store import Store, publication

LOOK_S = 1.0
"""How often the store is asked whether another process has imported a list, in seconds."""


class ForeignHeads:
    """Which heads to send: one that has changed within a second, and all of them again every `period_s` seconds, as our own are.

    Each list has a retained topic of its own, so a gate that connects hears of all of them at once; a broker that was killed and has lost
    one hears of it again.
    """

    def __init__(self, store: Store, period_s: float) -> None:
        self._store = store
        self._period_s = period_s
        self._sent: dict[str, bytes] = {}
        self._looked = float("-inf")
        self._sent_all = float("-inf")

    def due(self, at: float) -> list[Publication]:
        """What to publish at the monotonic time `at`."""
        if at - self._looked < LOOK_S:
            return []
        self._looked = at
        if at - self._sent_all >= self._period_s:
            self._sent_all = at
            self._sent.clear()
        with self._store.read() as tx:
            heads = [head for head in publication.list_heads(tx) if not head.is_ours]
        fresh = [head for head in heads if self._sent.get(head.uri) != head.body]
        self._sent.update({head.uri: head.body for head in fresh})
        return [Publication(topics.list_topic(head.issuer, head.uri, "head"), head.body, retain=True) for head in fresh]

    def again(self) -> None:
        """All of them at the next asking: the broker may have forgotten them."""
        self._looked = self._sent_all = float("-inf")
