"""What the server does for the units, in its order and without a thread: `server.mqtt_bridge` carries it, and so may one thread alone.

    take        what units report goes into the database, is acknowledged, and is answered by watermarks
    settle      watermarks that had to wait, because their unit was told much (`server.receipts`)
    ask         a unit asks: some of it is answered at once, the rest has its turn, by `answer`
    due         that the bridge listens, and who has fallen silent; another trust list, what is retained, deltas and heads of each list,
                other issuers' heads, resets of clocks, configurations, the audit log's head, units' certificates
    rule_due    colours that time alone changes, and what else becomes due in the registry, in slices
    to_compact  a snapshot that has become due, to be made elsewhere; `compacted` takes it in

A message is acknowledged only after the database has committed it, and a watermark says only what it holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from healthcode import topics
from healthcode.cose import Signer
from healthcode.messages import Watermark
from healthcode.signed import write
from healthcode.status import StatusList
from server.answers import Answers
from server.audit_heads import AuditHeads
from server.desired import DesiredTopics
from server.fleet_watch import BEAT_EVERY_S, FleetWatch
from server.foreign import ForeignHeads
from server.intake import Incoming, Intake, Taken
from server.keys import Trusted, TrustFiles
from server.lists import Compacted, ListError, Publication, Publisher
from server.receipts import Receipts
from server.renewals import Renewals
from server.resets import ClockResets
from server.seen_units import SeenUnits
from server.store import Store, publication, to_ms

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""After so long a list that could not be published is tried again, in seconds."""
RULE_SLICE = 200
"""Residents who are ruled on in one transaction because their ruling is due: some 50 ms for those who wait to write."""
WARN_EVERY_S = 86_400.0
"""How often it is said again that a key or the trust list ends soon."""


@dataclass(frozen=True)
class Parts:
    """What the server is made of."""

    store: Store
    intake: Intake
    answers: Answers
    publishers: Sequence[Publisher]
    trust: TrustFiles
    resets: ClockResets
    desired: DesiredTopics
    audit: AuditHeads
    watch: FleetWatch
    rule_due: Callable[[int], int]
    chores: Callable[[], bool]
    ack_key: Callable[[], Signer]
    warnings: Callable[[], list[str]]
    now: Callable[[], float]
    renewals: Renewals | None = None
    seen: SeenUnits | None = None


class Rounds:
    """The server's work. `take` with `settle`, `ask` with `answer`, `rule_due`, and the rest may each have a thread of their own."""

    def __init__(self, parts: Parts, head_period_s: float, say: Callable[[Sequence[Publication]], None]) -> None:
        """`say` publishes, or drops what it is given where there is no connection: the rest of the protocol makes up for it."""
        self.unfit: dict[str, str] = {}
        """Lists that could not be published at the last try, and why."""
        self._parts = parts
        self._say = say
        self._foreign = ForeignHeads(parts.store, head_period_s)
        self._receipts = Receipts()
        self._unfit_until: dict[str, float] = {}
        self._warn_due = float("-inf")
        self._listening: float | None = None
        self._beat_due = float("-inf")

    def take(self, messages: Sequence[Incoming], acknowledge: Callable[[], None], at: float) -> Taken:
        """Takes what units report, at the monotonic time `at`. OperationalError where the database cannot be written now: it may be tried
        again.
        """
        taken = self._parts.intake.take(messages)
        acknowledge()
        fresh = {watermark.unit: watermark for watermark in taken.watermarks}
        self._receipts.owe(fresh)
        self._give_receipts([fresh[unit] for unit in self._receipts.due(at) if unit in fresh], at)
        return taken

    def settle(self, at: float) -> None:
        """Sends the watermarks whose time has come."""
        due = self._receipts.due(at)
        if due:
            made = self._parts.intake.watermarks(due)
            self._give_receipts(made, at)
            self._receipts.forget(set(due) - {watermark.unit for watermark in made})

    def ask(self, unit: str, payload: bytes) -> None:
        """A unit asks. BadPayload where it asks for no such thing."""
        self._say(self._parts.answers.ask(unit, payload))

    def answer(self, at: float) -> float | None:
        """Gives the answer whose turn it is at the monotonic time `at`; how long until the next has its turn, None where nobody waits."""
        self._say(self._parts.answers.due(at))
        return self._parts.answers.wait_s(at)

    @property
    def dropped(self) -> int:
        """Requests that were dropped because their unit asks for too much at once."""
        return self._parts.answers.dropped

    def due(self, at: float, *, is_connected: bool, announces: bool) -> None:
        """Publishes what is due at the monotonic time `at`; `announces`: the connection is new, and all that is retained goes again."""
        parts = self._parts
        self._listen(at, is_connected=is_connected, is_new=announces)
        if parts.trust.refresh():
            self._take_over_trust(at)
        if at >= self._warn_due:
            self._warn_due = at + WARN_EVERY_S
            for line in parts.warnings():
                log.warning("%s", line)
        if announces:
            self._announce()
        for publisher in parts.publishers:
            self._publish_list(publisher, at)
        if is_connected:
            self._say(self._foreign.due(at))
            self._say(parts.resets.due(at))
            self._say(parts.desired.due(at))
            self._say(parts.audit.due(at))
        if parts.renewals is not None and is_connected:
            self._say(parts.renewals.due(at))
        if parts.seen is not None and is_connected:
            self._say(parts.seen.due(at))

    def tell_devices(self) -> None:
        """Home Assistant is there, and is to be told every unit."""
        if self._parts.seen is not None:
            self._parts.seen.tell_devices()

    def leave(self) -> None:
        """The bridge ends: from now on nobody knows who is there."""
        self._parts.watch.beat(None)

    def rule_due(self) -> bool:
        """Makes a slice of the changes of colour that time alone brings, and of what else time brings; whether more of it waits."""
        has_more = self._parts.rule_due(RULE_SLICE) == RULE_SLICE
        return self._parts.chores() or has_more

    def to_compact(self) -> tuple[Publisher, StatusList] | None:
        """The publisher whose list is to be made a snapshot of, and a copy for `Publisher.compact`; None where there is none."""
        for publisher in filter(Publisher.is_loaded, self._parts.publishers):
            copy = publisher.copy_for_snapshot()
            if copy is not None:
                return publisher, copy
        return None

    def compacted(self, publisher: Publisher, made: Compacted) -> None:
        """A snapshot is made."""
        publisher.take_snapshot(made)
        log.info("snapshot of %s, version %d: %d bytes", publisher.uri, made.version, len(made.body))

    def _listen(self, at: float, *, is_connected: bool, is_new: bool) -> None:
        """Says every few seconds, and at once where that changes, since when units are listened to; looks who has fallen silent."""
        since = None if not is_connected else self._parts.now() if is_new or self._listening is None else self._listening
        if since != self._listening or at >= self._beat_due:
            self._parts.watch.beat(since)
            self._listening, self._beat_due = since, at + BEAT_EVERY_S

    def _publish_list(self, publisher: Publisher, at: float) -> None:
        """What is due of one list. One that cannot be published is tried again later, and holds up no other."""
        if at < self._unfit_until.get(publisher.uri, float("-inf")):
            return
        self.unfit.pop(publisher.uri, None)
        try:
            self._say(publisher.step())
        except ListError as wrong:
            self.unfit[publisher.uri] = str(wrong).splitlines()[0]
            log.error("lists: %s; going on in %.0f s", self.unfit[publisher.uri], RETRY_S)
            self._unfit_until[publisher.uri] = at + RETRY_S

    def _take_over_trust(self, at: float) -> None:
        trusted = self._parts.trust.current
        log.info("trust list %d is in force", trusted.head.version)
        self._warn_due = at
        with self._parts.store.write() as tx:
            publication.insert_trust_list(tx, trusted.head.version, trusted.list_bytes, to_ms(self._parts.now()))
        self._say(_trust(trusted))
        for publisher in self._parts.publishers:
            publisher.reload()
        self._parts.desired.again()

    def _announce(self) -> None:
        """Everything retained anew: a broker that was killed may have forgotten it."""
        self._say(_trust(self._parts.trust.current))
        self._foreign.again()
        self._parts.resets.again()
        self._parts.desired.again()
        self._parts.audit.again()
        if self._parts.renewals is not None:
            self._parts.renewals.again()
        if self._parts.seen is not None:
            self._parts.seen.again()
        with self._parts.store.read() as tx:
            heads = publication.list_heads(tx)
        self._say([Publication(topics.list_topic(head.issuer, head.uri, "head"), head.body, retain=True) for head in heads if head.is_ours])
        for watermark in self._parts.intake.watermarks():
            self._send_watermark(watermark)

    def _give_receipts(self, watermarks: Sequence[Watermark], at: float) -> None:
        for watermark in watermarks:
            self._receipts.sent(watermark.unit, self._send_watermark(watermark), at)

    def _send_watermark(self, watermark: Watermark) -> int:
        payload = write(watermark, self._parts.ack_key())
        self._say([Publication(topics.down(watermark.unit, "ack"), payload, retain=True)])
        return len(payload)


def _trust(trusted: Trusted) -> list[Publication]:
    """The head of the trust list, and before it the rotations by which a unit knows the root that signed it."""
    roots = [Publication(topics.TRUST_ROOTS, trusted.roots_bytes, retain=True)] if trusted.roots_bytes else []
    return [*roots, Publication(topics.TRUST_HEAD, trusted.head_bytes, retain=True)]
