"""What new pass events say about people: fevers and normal temperatures as facts, and codes that were at two gates at once.

A reading is a fact about a person only if the event carries the code itself and the server finds it valid at the event's time. Too many
fevers of one unit in an hour, and those of a unit that does not know the time, go before people first. Who is seen twice is stopped
nowhere: somebody is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from healthcode import token
from healthcode.messages import PassEvent
from healthcode.terms import ClockState, Screening
from healthcode.token import HealthCode
from healthcode.trust import KeyRing
from server.actors import BY_GATE
from server.facts import WORD_OF, Fact, FeverAtGate, NormalAtGate
from server.policy import CopiedRules, Policy
from server.registry import Registry
from server.store import events, passes, reviews, to_ms
from server.store.events import EventRow
from server.store.passes import PassRow

AHEAD_S = 60.0
"""How far ahead of the server's clock an event's time may be before nobody believes it, in seconds."""
COPIED = "copied"
"""The alert that one code was at two gates within a time in which nobody can be at both."""
_EVENT = msgspec.json.Decoder(PassEvent)


@dataclass(frozen=True)
class Pass:
    """A pass event that is new, and the row that it was stored as."""

    row: EventRow
    event: PassEvent

    @property
    def at(self) -> float:
        """When it happened by the unit's clock, in seconds since 1970."""
        return self.event.at.timestamp()

    @property
    def person(self) -> tuple[str, int] | None:
        """(list, index) that the unit read, where it read one."""
        return None if self.event.list is None or self.event.index is None else (self.event.list, self.event.index)


class Readings:
    """Makes facts and alerts of pass events. `keys` is the trust list in force; `fevers_an_hour` of one unit are believed."""

    def __init__(self, registry: Registry, keys: Callable[[], KeyRing], fevers_an_hour: int) -> None:
        self._registry = registry
        self._keys = keys
        self._fevers_an_hour = fevers_an_hour

    def take(self, tx: Connection, found: Sequence[Pass], at: float) -> list[str]:
        """Takes in pass events that are new at the server's time `at`; lines for the log."""
        if not found:
            return []
        policy = self._registry.rulings.policy(tx)
        lines: list[str] = []
        facts: list[tuple[str, Fact]] = []
        for one in found:
            if one.event.screening is Screening.FEBRILE:
                facts += self._take_fever(tx, one, policy, at, lines)
        facts += self._take_normal(tx, found, policy, at)
        if facts:
            self._registry.record_many(tx, facts, at, BY_GATE)
        lines += self._find_copied(tx, found, policy.copied, at)
        return lines

    def _take_fever(self, tx: Connection, one: Pass, policy: Policy, at: float, lines: list[str]) -> list[tuple[str, Fact]]:
        row, event = one.row, one.event
        code = self._read(one)
        if not isinstance(code, HealthCode):
            detail = "without a code" if code is None else f"its code is {code.fault.value}"
            lines.append(f"fever of {event_name(row)} is no fact: {detail}")
            return []
        resident = self._registry.resident_at(tx, code.uri, code.index)
        if resident is None:
            lines.append(f"fever of {event_name(row)} is no fact: its code is of no resident here")
            return []
        count = events.note_fever(tx, row.unit, row.boot_id, row.seq, resident, row.received_ms)
        held = self._why_review(one, policy, count, at)
        if held is not None:
            word, why = held
            events.insert_review(tx, word, row.unit, row.boot_id, row.seq, resident, row.at_ms, row.received_ms)
            events.raise_alert(tx, "fevers_for_review", row.unit, why, row.received_ms)
            lines.append(f"fever of {event_name(row)} goes to review: {why}")
            return []
        return [(resident, FeverAtGate(min(one.at, at), row.unit, event.body_c, event.clock))]

    def _why_review(self, one: Pass, policy: Policy, count: int, at: float) -> tuple[str, str] | None:
        """Why people look first: a word (sentences review.{word}) and a line for who runs the server."""
        if one.event.clock is ClockState.UNTRUSTED:
            return "clock_untrusted", "the unit does not know the time for certain"
        if one.at > at + AHEAD_S:
            return "time_ahead", f"its time is {one.at - at:.0f} s ahead of the server's"
        if count > self._fevers_an_hour:
            return "fevers_over_limit", f"{count} fevers within an hour: the limit is {self._fevers_an_hour}"
        if policy.gate.fever == "review":
            return "policy_asks", "the policy has people look at every fever"
        return None

    def _take_normal(self, tx: Connection, found: Sequence[Pass], policy: Policy, at: float) -> list[tuple[str, Fact]]:
        """Normal temperatures as health records, of each person one in `gate_hours`: only those are read whose record is that old."""
        told = [
            (one, one.person)
            for one in found
            if one.event.screening is Screening.NORMAL and one.event.clock is not ClockState.UNTRUSTED and one.at <= at + AHEAD_S
        ]
        holders = passes.find_holders(tx, {person for _, person in told if person is not None}) if told else {}
        known = [(one, holders[person]) for one, person in told if person in holders]
        if not known:
            return []
        apart_ms = policy.record.gate_hours * 3_600_000
        first, last = min(one.row.at_ms for one, _ in known), max(one.row.at_ms for one, _ in known)
        held: dict[str, list[int]] = defaultdict(list)
        residents = {resident for _, resident in known}
        for resident, at_ms in passes.find_fact_times(tx, residents, WORD_OF[NormalAtGate], first - apart_ms, last + apart_ms):
            held[resident].append(at_ms)
        facts: list[tuple[str, Fact]] = []
        for one, resident in sorted(known, key=lambda pair: pair[0].row.at_ms):
            is_close = any(abs(one.row.at_ms - at_ms) < apart_ms for at_ms in held[resident])
            if not is_close and self._holds(one):
                fact = NormalAtGate(min(one.at, at), "", one.event.body_c, one.event.clock)  # where it was is kept with the passes
                held[resident].append(to_ms(fact.at))
                facts.append((resident, fact))
        return facts

    def _find_copied(self, tx: Connection, found: Sequence[Pass], rules: CopiedRules, at: float) -> list[str]:
        """Notes where codes were read, and raises an alert for one that was at another gate a moment before or after."""
        rows = [_pass_row(one, one.person) for one in found if one.person is not None]
        passes.insert_passes(tx, rows)
        reach_ms = 1000 * max(rules.same_site_s, rules.other_site_s)
        timed = {row: one for row, one in zip(rows, (one for one in found if one.person is not None), strict=True) if _knows_time(one)}
        if not timed or not reach_ms:
            return []
        since, until = min(row.at_ms for row in timed) - reach_ms, max(row.at_ms for row in timed) + reach_ms
        near: dict[tuple[str, int], list[PassRow]] = defaultdict(list)
        for row in passes.find_passes(tx, {row.person for row in timed}, since, until):
            near[row.person].append(row)
        suspects = {person: seen for person, seen in near.items() if len({row.unit for row in seen}) > 1}
        sites = passes.unit_sites(tx) if suspects else {}
        lines = []
        told: set[tuple[str, tuple[str, int]]] = set()
        for row, one in timed.items():
            for other in suspects.get(row.person, ()) if (row.unit, row.person) not in told else ():
                apart_ms = abs(row.at_ms - other.at_ms)
                if other.unit == row.unit or apart_ms > 1000 * _reach_s(rules, sites.get(row.unit, ""), sites.get(other.unit, "")):
                    continue
                if not self._holds(one) or not self._held(tx, other):
                    continue
                detail = f"entry {row.idx} at {other.unit} and {row.unit} within {apart_ms / 1000:.1f} s"
                events.raise_alert(tx, COPIED, row.unit, detail, to_ms(at))
                holder = self._registry.resident_at(tx, *row.person)
                if holder is not None:
                    reviews.open_review(tx, COPIED, "seen_twice", holder, row.at_ms, unit=row.unit)
                lines.append(f"one code at two gates: {detail}")
                told.add((row.unit, row.person))
                break
        return lines

    def _held(self, tx: Connection, row: PassRow) -> bool:
        """Whether the stored event behind a row holds."""
        stored = events.find_event(tx, row.unit, row.boot_id, row.seq)
        if stored is None:
            return False
        one = Pass(stored, _EVENT.decode(stored.body))
        return _knows_time(one) and self._holds(one)

    def _holds(self, one: Pass) -> bool:
        """Whether the event carries a code of the person that it names, valid then."""
        return _is_genuine(one.event, self._keys())

    def _read(self, one: Pass) -> HealthCode | token.TokenFault | None:
        return _read(one.event, self._keys())


def is_genuine(body: str, ring: KeyRing) -> bool:
    """Whether a stored pass event carries a code of the person that it names, valid then: what a unit says alone proves nothing."""
    return _is_genuine(_EVENT.decode(body), ring)


def event_name(row: EventRow) -> str:
    """A short name of an event for people."""
    return f"{row.unit}/{row.boot_id[:8]}/{row.seq}"


def _is_genuine(event: PassEvent, ring: KeyRing) -> bool:
    code = _read(event, ring)
    return isinstance(code, HealthCode) and (code.uri, code.index) == (event.list, event.index)


def _read(event: PassEvent, ring: KeyRing) -> HealthCode | token.TokenFault | None:
    return None if event.code is None else token.read(event.code, ring, event.at.timestamp())


def _pass_row(one: Pass, person: tuple[str, int]) -> PassRow:
    return PassRow(one.row.unit, one.row.boot_id, one.row.seq, *person, one.row.at_ms)


def _knows_time(one: Pass) -> bool:
    return one.event.clock is not ClockState.UNTRUSTED


def _reach_s(rules: CopiedRules, site: str, other: str) -> int:
    """Within how many seconds nobody can be at both; where a site is not known, two units may be side by side."""
    return rules.other_site_s if site and other and site != other else rules.same_site_s
