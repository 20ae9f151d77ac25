"""Facts about a person -> colour and why. Pure: the same facts at the same time always give the same ruling.

Facts are ordered by when they happened (`at`), not by when the server heard of them, so that a gate that was offline for two days
cannot undo a clearance made since. docs/rules.md has the rules as a table. In short:

1.  Nobody is anything but pending before a review, or an officer, has let them in.
2.  The newest colour set by hand is the base: what happened before it, and was known then, no longer counts.
3.  Every rule looks for itself whether it holds: an illness, a colour set by hand, a contact, an isolation, symptoms, a gate's fever.
    The worst colour wins; of several reasons for it the one that lasts longest is named first.
4.  Where none holds, green, while the newest health record is not too old; outages, when nobody could check in, do not count.

A ruling stays what it is, word for word, from `at` until `due`: only then need anybody look again, if no fact comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from healthcode.terms import Colour
from server.explanations import Sentence
from server.facts import (
    CaseClosed,
    CaseEnd,
    Cleared,
    Declared,
    Fact,
    Reviewed,
)
from server.grounds import (
    ALWAYS,
    ASK,
    NEVER,
    ORDER,
    WORST,
    Docket,
    Reason,
    Rule,
    by_hand,
    contacts,
    declared,
    gate_fevers,
    illness,
    isolations,
    records,
    set_yellow,
)
from server.policy import DAY_S, Policy

__all__ = ["PENDING", "Outage", "Reason", "Rule", "Ruling", "colour_of", "lapse_at"]
PENDING = "pending"
"""The word for a person without a colour, where a colour is stored or shown."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which people could not check in, in seconds since 1970; `ended` is None while it lasts."""

    began: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The colour (None: pending) and the rule that gave it.

    `until` is when time alone ends the rule; `due` the first moment (seconds since 1970) at which anything said here may change without a
    new fact. `is_paused`: the lapse waits for the end of an outage. `others` are further reasons that hold, in their order.
    """

    colour: Colour | None
    rule: Rule
    since: float
    until: float | None
    due: float | None
    why: Sentence
    changes: tuple[Sentence, ...]
    others: tuple[Reason, ...] = ()
    is_paused: bool = False

    @property
    def word(self) -> str:
        """The colour's word, or `pending`."""
        return PENDING if self.colour is None else self.colour.value


def colour_of(
    facts: Iterable[Fact], at: float, policy: Policy, outages: Sequence[Outage] = (), folded: Sequence[tuple[float, float]] = ()
) -> Ruling:
    """The ruling at `at` (seconds since 1970). Facts later than `at` are not there yet; the order in which they are given is nothing.

    `folded` stands for old health records that are not among the facts (server.folding): the ruling is the same as with them.
    """
    docket = Docket(facts, at, policy, folded)
    reviewed = docket.all(Reviewed)
    if not reviewed and docket.hand is None:
        return _pending(docket)
    closed = max((fact.at for fact in docket.reported(CaseClosed) if fact.end is CaseEnd.RULED_OUT), default=ALWAYS)
    cleared = max((fact.at for fact in docket.all(Cleared)), default=ALWAYS)
    signs = gate_fevers(docket, max(cleared, closed)) + declared(docket, cleared, closed)
    signs = sorted(signs) if policy.symptoms.restart else []
    illness(docket, signs)
    set_yellow(docket, signs)
    contacts(docket, signs)
    isolations(docket)
    if docket.reasons:
        return _worst(docket)
    docket.end(min(fact.at for fact in reviewed) if docket.hand is None else docket.base)
    return _green(docket, outages)


def lapse_at(record: float, lapse_s: float, outages: Sequence[Outage]) -> float:
    """When a record of `record` is `lapse_s` seconds old, not counting outages; infinite while one lasts."""
    at, left = record, lapse_s
    for outage in sorted(outages, key=lambda outage: outage.began):
        if outage.began >= at + left:
            break
        if outage.ended is None:
            return NEVER
        if outage.ended > at:
            left -= max(0.0, outage.began - at)
            at = outage.ended
    return at + left


def _pending(docket: Docket) -> Ruling:
    first = min((fact.at for fact in docket.all(Declared)), default=None)
    due = None if docket.coming == NEVER else docket.coming
    if first is None:
        return Ruling(None, Rule.NOTHING_KNOWN, 0.0, None, due, Sentence("rule.nothing_known"), (Sentence("change.declare"),))
    why = Sentence("rule.pending", {"since": first})
    return Ruling(None, Rule.PENDING, first, None, due, why, (Sentence("change.review"),))


def _worst(docket: Docket) -> Ruling:
    docket.reasons.sort(key=_severity)
    first, *others = docket.reasons
    due = min(docket.coming, *(NEVER if reason.until is None else reason.until for reason in docket.reasons))
    return Ruling(
        first.colour, first.rule, first.since, first.until, None if due == NEVER else due, first.why, first.changes, tuple(others)
    )


def _green(docket: Docket, outages: Sequence[Outage]) -> Ruling:
    """Green, or yellow since the newest health record became too old."""
    kept = records(docket)
    lapse_s = docket.policy.record.lapse_days * DAY_S
    lapses = lapse_at(kept[-1], lapse_s, outages)
    coming = None if docket.coming == NEVER else docket.coming
    if lapses <= docket.at:
        why = Sentence("rule.record_lapsed", {"days": docket.policy.record.lapse_days, "last": kept[-1]})
        since = max(lapses, docket.green_since)
        return Ruling(Colour.YELLOW, Rule.RECORD_LAPSED, since, None, coming, why, (Sentence("change.check_in"), ASK))
    if docket.folded:
        docket.green_since = _resumed(docket, kept, lapse_s, outages)
    else:
        for place in range(len(kept) - 1, 0, -1):
            if kept[place] <= docket.green_since:
                break
            if lapse_at(kept[place - 1], lapse_s, outages) < kept[place]:
                docket.green_since = kept[place]
    is_paused = lapses == NEVER
    changes = (Sentence("change.paused") if is_paused else Sentence("change.keep", {"until": lapses}),)
    due = min(docket.coming, lapses)
    since, until = docket.green_since, None if is_paused else lapses
    rule, why = Rule.HEALTHY, Sentence("rule.healthy")
    if docket.hand is not None and docket.hand.colour is Colour.GREEN and since <= docket.hand.at:
        rule, why = Rule.SET_BY_HAND, by_hand(docket.hand)
    return Ruling(Colour.GREEN, rule, since, until, None if due == NEVER else due, why, changes, is_paused=is_paused)


def _resumed(docket: Docket, kept: Sequence[float], lapse_s: float, outages: Sequence[Outage]) -> float:
    """Since when records are without a gap, at the earliest since when nothing else was against green; some of them are folded."""
    since, end = docket.green_since, NEVER
    for began, until in sorted([*((one, one) for one in kept), *docket.folded]):
        if docket.green_since < began and end < began and lapse_at(end, lapse_s, outages) < began:
            since = began
        end = until if end == NEVER else max(end, until)
    return since


def _severity(reason: Reason) -> tuple[int, float, int]:
    return (WORST[reason.colour], ALWAYS if reason.until is None else -reason.until, ORDER[reason.rule])
