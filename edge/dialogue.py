"""What the unit says to the server and what it does with what comes back: no thread, no socket, no clock of its own.

`edge.link` carries the publications over MQTT and hands in what arrives; a test or a simulation may do the same in one thread.
Nothing is believed that does not verify: watermarks and time answers must name this unit, lists and heads come from their issuer's keys,
the trust list and its head from a root. Nothing is believed either that speaks of a time still to come: such a list would never be stale.
What is wrong is counted under a stable name and logged at its 1st, 2nd, 4th, 8th... time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import cast

from edge.cache import Cache, CacheFault, TrustTaken
from edge.clock import Clock, ResetLetter
from edge.clocktalk import ClockTalk
from edge.commandtalk import CommandTalk
from edge.dispatch import Dispatch
from edge.identity import CertificateFault, Identity
from edge.linkwords import (
    Disk,
    EventsDone,
    ListChanged,
    News,
    Publish,
    Reconnect,
    Requested,
    Resubscribe,
    RootsChanged,
    Saying,
    TrustChanged,
)
from edge.oncefile import OnceFile
from edge.outbox import Outbox, OutboxFault, StaleWatermark
from edge.sync import Sync
from edge.syncwords import TRUST, Adopt, Apply, Ask, Drop, Forget, Ignored, Keep, Output, Position, Swap, Timing
from edge.timekeeping import AnswerOutcome
from healthcode import signed, topics
from healthcode.commands import UNSIGNED
from healthcode.messages import (
    MAX_CHAIN,
    MAX_HEAD,
    MAX_SIGNED,
    BadPayload,
    ChunkAnswer,
    ClockReset,
    Delta,
    DeltaAnswer,
    Desired,
    Head,
    Info,
    Request,
    Response,
    RootChain,
    SyncAnswer,
    TimeAnswerEnvelope,
    TrustHead,
    Watermark,
    decode,
    encode,
    stamp,
)
from healthcode.roots import RotationFault, describe_root
from healthcode.signed import SignedFault
from healthcode.status import DeltaFault
from healthcode.terms import ClockState, CommandFault, CommandName
from healthcode.topics import DownTopic, ListTopic

LOG = logging.getLogger(__name__)

FLUSH_EVERY_S = 5.0
"""How long a delta may be in the kernel's hands only: each flush wears the card, and the server sends again what a power cut took."""
PURGE_EVERY_S = 3600.0
FUTURE_S = 60.0
"""How far ahead of this unit's time `as_of` may lie, where the unit knows the time: as far as two clocks may differ (DESIGN, Time)."""
MAX_ANSWER = MAX_SIGNED + MAX_HEAD
TEST_EVERY_S = 5.0
"""How often a selftest is made at most: it writes to the card, and anybody who reaches the broker may ask for it."""
TESTED_BEFORE = f"BUSY: a selftest was made less than {TEST_EVERY_S:.0f} s ago"


class Dialogue:
    """One unit's side. After every call, `news` holds what the deciding thread should hear of; whoever calls takes it from there."""

    def __init__(
        self,
        info: Info,
        *,
        cache: Cache,
        outbox: Outbox,
        clock: Clock,
        random: Random,
        at: float,
        resend_s: float = 30.0,
        timing: Timing | None = None,
        letter: ResetLetter | None = None,
        identity: Identity | None = None,
        once: OnceFile | None = None,
        disk: Callable[[], Disk] | None = None,
        desired: Callable[[Desired], None] | None = None,
    ) -> None:
        """`at` is the monotonic time, as everywhere here; wall time comes from `clock`. The cache has been loaded.

        `letter` is where somebody at the unit may leave a reset of the clock; `identity` takes certificates where the broker wants one.
        `once` remembers commands; a unit without it obeys none; `disk` measures the disk for a selftest;
        `desired` hears of configurations that name this unit.
        """
        self.counts: Counter[str] = Counter()
        self.news: list[News] = []
        self._info = info
        self._unit = info.unit
        self._cache = cache
        self._outbox = outbox
        self._dispatch = Dispatch(self._unit, outbox, resend_s)
        self._clock = clock
        self._clocktalk = ClockTalk(info.unit, clock, partial(cache.read_rooted, kind=ClockReset), letter, self._complain)
        self._identity = identity
        self._commandtalk = None if once is None else CommandTalk(info.unit, clock, cache.keys, once)
        self._disk = disk
        self._desired = desired
        self._is_connected = False
        self._tested_at = float("-inf")
        self._missed = False  # something was refused as being of the future, perhaps because our time was behind
        self._flush_due = at + FLUSH_EVERY_S
        self._purge_due = at
        self._sync = Sync(self._position, self._trust_version, random, timing, cache.part)
        self._sync.want(cache.wanted(), at)

    @property
    def will(self) -> Publish:
        """What the broker is to say when this unit is gone."""
        return Publish(topics.up(self._unit, "state"), b"offline", retain=True)

    @property
    def outstanding(self) -> int:
        """Batches sent and not yet covered by a watermark."""
        return self._dispatch.outstanding

    def connected(self, at: float) -> list[Saying]:
        """The connection is up and subscribed: state, info, and all that waits, from the beginning."""
        self._is_connected = True
        self._dispatch.restart()
        self._clock.connected()
        hello: list[Saying] = [
            Publish(topics.up(self._unit, "state"), b"online", retain=True),
            Publish(topics.up(self._unit, "info"), encode(self._info), retain=True),
        ]
        return [*hello, *self._do(self._sync.connected(at), at), *self.tick(at)]

    def disconnected(self) -> None:
        """The connection is gone."""
        self._is_connected = False
        self._dispatch.restart()
        self._sync.disconnected()

    def wake(self) -> None:
        """There are new events in the outbox."""
        self._dispatch.wake()

    def tick(self, at: float) -> list[Saying]:
        """What is due: events, requests, questions, housekeeping. To be called after every input and a few times a second."""
        said = self._keep_house(at)
        if not self._is_connected:
            return []
        said += self._do(self._sync.tick(at), at)
        question = self._clock.question()
        if question is not None:
            said.append(Publish(topics.up(self._unit, "sync"), encode(question)))
        try:
            payloads = self._dispatch.due(at)
        except OutboxFault as fault:
            self._complain("outbox_fault", str(fault))
            return said
        self.counts["events_sent"], self.counts["batches_resent"] = self._dispatch.sent, self._dispatch.resent
        return [*said, *(Publish(topics.up(self._unit, "events"), payload) for payload in payloads)]

    def message(self, topic: str, payload: bytes, at: float, *, is_retained: bool = False) -> list[Saying]:
        """A message arrived. Nothing in it can raise; what is wrong with it is counted."""
        try:
            return self._message(topic, payload, at, is_retained)
        except BadPayload as wrong:
            self._complain("bad_payload", f"{topic[:120]}: {wrong}")
        except OutboxFault as fault:
            self._complain("outbox_fault", str(fault))
        except OSError as fault:
            self._complain("disk_fault", str(fault))
        return []

    def _message(self, topic: str, payload: bytes, at: float, is_retained: bool) -> list[Saying]:
        match topics.parse(topic):
            case _ if not payload:
                return []
            case ListTopic(channel="head"):
                return self._head(payload, at)
            case ListTopic(channel="delta"):
                return self._delta(payload, at)
            case topics.TRUST_HEAD:
                return self._trust_head(payload, at)
            case topics.TRUST_ROOTS:
                return self._follow_roots(payload, at)
            case DownTopic(unit=self._unit, channel="ack"):
                return self._watermark(payload, at)
            case DownTopic(unit=self._unit, channel="sync"):
                return self._answer(payload, at)
            case DownTopic(unit=self._unit, channel="clock"):
                return self._reset_clock(payload, at)
            case DownTopic(unit=self._unit, channel="certificate"):
                return self._certificate(payload)
            case DownTopic(unit=self._unit, channel="desired") if self._desired is not None:
                self._take_desired(payload, self._desired)
            case DownTopic(unit=self._unit, channel="request", name=name) if name in UNSIGNED and not is_retained:
                return self._request(name, payload, at)
            case DownTopic(unit=self._unit, channel="request", name=name) if self._commandtalk is not None and not is_retained:
                news, answer = self._commandtalk.hear(name, payload, at)
                self.news += [] if news is None else [news]
                return [] if answer is None else [answer]
            case _:
                self._complain("unexpected_topic", f"{topic[:120]!r}: expected one that this unit reads")
        return []

    def refresh(self, at: float) -> list[Saying]:
        """Somebody wants the newest now: what is retained comes again, and what is missing is asked for without further waiting."""
        return [Resubscribe(), *self._do(self._sync.connected(at), at)] if self._is_connected else []

    def _request(self, name: str, payload: bytes, at: float) -> list[Saying]:
        """A request that needs no signature. For a selftest the disk is measured here, and what is said again times the broker."""
        transaction = decode(payload, Request, MAX_HEAD).transaction
        if name != CommandName.SELFTEST:
            self.news.append(Requested(name, transaction, at))
            return []
        if at < self._tested_at + TEST_EVERY_S:
            answer = Response(status="error", transaction=transaction, data={"fault": CommandFault.BUSY.value}, error=TESTED_BEFORE)
            return [Publish(topics.up(self._unit, "response", name), encode(answer))]
        self._tested_at = at
        self.news.append(Requested(name, transaction, at, None if self._disk is None else self._disk()))
        return [Publish(topics.up(self._unit, "state"), b"online", retain=True)]

    def _head(self, payload: bytes, at: float) -> list[Saying]:
        keys = self._cache.keys(self._clock.now())
        head = SignedFault.UNKNOWN_KEY if keys is None else signed.read(payload, Head, keys, self._clock.now())
        if isinstance(head, SignedFault):
            return self._unsigned("head", head)
        if self._is_ahead("head", head.message.uri, head.message.as_of):
            return []
        return self._do(self._sync.head(head, payload, at), at)

    def _delta(self, payload: bytes, at: float) -> list[Saying]:
        keys = self._cache.keys(self._clock.now())
        delta = SignedFault.UNKNOWN_KEY if keys is None else signed.read(payload, Delta, keys, self._clock.now())
        if isinstance(delta, SignedFault):
            return self._unsigned("delta", delta)
        if self._is_ahead("delta", delta.message.uri, delta.message.as_of):
            return []
        return self._do(self._sync.delta(delta, payload, at), at)

    def _trust_head(self, payload: bytes, at: float) -> list[Saying]:
        head = self._cache.read_rooted(payload, TrustHead)
        if isinstance(head, SignedFault):
            return self._unsigned("trust_head", head)
        return self._do(self._sync.trust_head(head, at), at)

    def _follow_roots(self, payload: bytes, at: float) -> list[Saying]:
        """Whatever a new root has signed may have come before it: everything retained is asked for again."""
        found = self._cache.accept_roots(signed.unpack(payload, RootChain, MAX_CHAIN))
        if isinstance(found, SignedFault | RotationFault | CacheFault):
            self._complain(f"roots_{found.value}", f"a rotation of a root is not taken: {found.value}")
            return []
        if not found:
            return []
        self.news.append(RootsChanged("; ".join(map(describe_root, found)), at))
        return [Resubscribe()]

    def _watermark(self, payload: bytes, at: float) -> list[Saying]:
        keys = self._cache.keys(self._clock.now())
        found = SignedFault.UNKNOWN_KEY if keys is None else signed.read(payload, Watermark, keys, self._clock.now())
        if isinstance(found, SignedFault):
            return self._unsigned("watermark", found)
        watermark = found.message
        if watermark.unit != self._unit:
            self._complain("watermark_unit", f"watermark for unit {watermark.unit}: expected {self._unit}")
            return []
        outcome = self._dispatch.acknowledge(watermark, self._clock.now())
        if isinstance(outcome, StaleWatermark):
            self.counts["watermark_stale"] += 1
            return []
        self.counts["events_done"] += outcome.done
        self.counts["events_again"] += outcome.again
        self.news.append(EventsDone(outcome.done, outcome.again, at))
        return []

    def _take_desired(self, payload: bytes, hear: Callable[[Desired], None]) -> None:
        keys = self._cache.keys(self._clock.now())
        found = SignedFault.UNKNOWN_KEY if keys is None else signed.read(payload, Desired, keys, self._clock.now())
        if isinstance(found, SignedFault):
            self._unsigned("desired", found)
        elif found.message.unit != self._unit:
            self._complain("desired_unit", f"configuration for unit {found.message.unit}: expected {self._unit}")
        else:
            hear(found.message)

    def _answer(self, payload: bytes, at: float) -> list[Saying]:
        answer = signed.unpack(payload, cast("type[SyncAnswer]", SyncAnswer), MAX_ANSWER)
        match answer:
            case DeltaAnswer(body=body):
                return self._delta(body, at)
            case ChunkAnswer():
                return self._do(self._sync.chunk(answer, at), at)
            case TimeAnswerEnvelope(body=body):
                return self._time(body, at)

    def _time(self, payload: bytes, at: float) -> list[Saying]:
        answered = self._clocktalk.answer(payload, self._cache.ring, at)
        if answered is None:
            return []
        self.counts[f"time_{answered.outcome.value}"] += 1
        self.news.append(answered)
        return self._look_again(at) if answered.outcome is AnswerOutcome.TAKEN else []

    def _reset_clock(self, payload: bytes, at: float) -> list[Saying]:
        done = self._clocktalk.reset(payload, at)
        if done is None:
            return []
        self.counts["reset_TAKEN"] += 1
        self.news.append(done)
        return self._look_again(at)

    def _certificate(self, payload: bytes) -> list[Saying]:
        """A certificate came, for the next connection; the one that is held comes again with every connection, and is no fault."""
        if self._identity is None:
            return []
        outcome = self._identity.accept(payload)
        if outcome is CertificateFault.NOT_LATER:
            return []
        if isinstance(outcome, CertificateFault):
            self._complain(f"certificate_{outcome.value}", f"a certificate for this unit is not taken: {outcome.value}")
            return []
        self.counts["certificate_renewed"] += 1
        LOG.info("a new certificate, good until %s", stamp(outcome.ends).isoformat(timespec="seconds"))
        return [Reconnect()]

    def _look_again(self, at: float) -> list[Saying]:
        """Another time is known: other keys may count, and other lists."""
        self._cache.load(self._clock.now())
        return [*self._forget_ahead(at), *self._do(self._sync.want(self._cache.wanted(), at), at)]

    def _is_ahead(self, what: str, uri: str, as_of: int) -> bool:
        """Whether a statement speaks of the future. A unit that does not know the time cannot say: it looks again when it does."""
        ahead_s = as_of - self._clock.now()
        if ahead_s <= FUTURE_S or self._clock.state() is ClockState.UNTRUSTED:
            return False
        self._missed = True
        self._complain(f"{what}_FUTURE", f"{what} of {uri}: as_of {as_of} is {ahead_s:.0f} s ahead, expected at most {FUTURE_S:.0f}")
        return True

    def _forget_ahead(self, at: float) -> list[Saying]:
        """The time is known: drops what speaks of the future, and asks again for what was refused while our own time was behind."""
        for uri, held in list(self._cache.lists.items()):
            if self._is_ahead("list", uri, held.as_of):
                self._drop(uri, at)
        missed = self._sync.forget_after(self._clock.now() + FUTURE_S) or self._missed
        self._missed = False
        return [Resubscribe()] if missed else []

    def _do(self, outputs: Sequence[Output], at: float) -> list[Saying]:
        said: list[Saying] = []
        for output in outputs:
            match output:
                case Apply(delta, raw):
                    fault = self._cache.accept_delta(delta, raw)
                    uri = delta.message.uri
                    if fault is None:
                        self.news.append(ListChanged(uri, delta.message.to, at))
                        continue
                    self._complain(f"delta_{fault.value}", f"delta to version {delta.message.to} of {uri} is not applied: {fault.value}")
                    if fault is DeltaFault.DIGEST:
                        self._drop(uri, at)
                    elif fault is DeltaFault.CONTENT:
                        self._sync.refused(uri, at)
                case Adopt(head, raw):
                    self._cache.adopt(head, raw)
                case Ask(request):
                    self.counts["asked"] += 1
                    said.append(Publish(topics.up(self._unit, "sync"), encode(request)))
                case Keep(uri, epoch, ref, offset, piece):
                    self._cache.keep_part(uri, epoch, ref, offset, piece)
                case Forget(uri):
                    self._cache.forget_part(uri)
                case Swap(uri, data) if uri == TRUST:
                    said += self._swap_trust(data, at)
                case Swap(uri, data):
                    said += self._swap(uri, data, at)
                case Drop(uri):
                    self._complain("contradicted", f"what is held of {uri} is not what its issuer signed: fetched anew")
                    self._drop(uri, at)
                case Ignored(_, why):
                    self.counts[f"sync_{why.value}"] += 1
        return said

    def _swap(self, uri: str, data: bytes, at: float) -> list[Saying]:
        latest = None if self._clock.state() is ClockState.UNTRUSTED else self._clock.now() + FUTURE_S
        fault = self._cache.accept_snapshot(uri, data, self._clock.now(), latest)
        if fault is not None:
            self._missed |= fault is CacheFault.FUTURE
            self._complain(f"snapshot_{fault.value}", f"snapshot of {uri} is not taken: {fault.value}")
            self._cache.forget_part(uri)
            self._sync.refused(uri, at)
            return []
        self.news.append(ListChanged(uri, self._cache.lists[uri].version, at))
        return self._do(self._sync.swapped(uri, at), at)

    def _swap_trust(self, data: bytes, at: float) -> list[Saying]:
        taken = self._cache.accept_trust(data, self._clock.now())
        if not isinstance(taken, TrustTaken):
            self._complain(f"trust_{taken.value}", f"trust list is not taken: {taken.value}")
            self._sync.refused(TRUST, at)
            return []
        self.news.append(TrustChanged(taken.version, at))
        self.news += [ListChanged(uri, None, at) for uri in taken.dropped]
        self._clock.connected()  # an answer that came before could not be read
        outputs = [*self._sync.swapped(TRUST, at), *self._sync.want(self._cache.wanted(), at)]
        return [*self._do(outputs, at), Resubscribe()]

    def _drop(self, uri: str, at: float) -> None:
        self._cache.drop(uri)
        self.news.append(ListChanged(uri, None, at))

    def _keep_house(self, at: float) -> list[Saying]:
        if at >= self._flush_due:
            self._flush_due = at + FLUSH_EVERY_S
            self._cache.flush()
        try:
            self._outbox.fold()
            if at >= self._purge_due:
                self._purge_due = at + PURGE_EVERY_S
                if self._clock.state() is not ClockState.UNTRUSTED:
                    self._outbox.purge(self._clock.now())
        except OutboxFault as fault:
            self._complain("outbox_fault", str(fault))
        letter = self._clocktalk.letter(at)
        if letter is None:
            return []
        try:
            return self._reset_clock(letter, at)
        except OSError as fault:
            self._complain("disk_fault", str(fault))
            return []

    def _position(self, uri: str) -> Position | None:
        held = self._cache.lists.get(uri)
        return None if held is None else Position(held.epoch, held.version, held.digest, *self._cache.log_length(uri))

    def _trust_version(self) -> int:
        return -1 if self._cache.trust is None else self._cache.trust.version

    def _unsigned(self, what: str, fault: SignedFault) -> list[Saying]:
        self._complain(f"{what}_{fault.value}", f"{what}: not accepted: {fault.value}")
        return []

    def _complain(self, what: str, text: str) -> None:
        self.counts[what] += 1
        count = self.counts[what]
        if count & (count - 1) == 0:
            LOG.warning("%s (time %d)", text, count)
