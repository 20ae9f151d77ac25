"""Each rule by itself: whether it holds, since when, until when, and what would end it. Pure; `server.colours` joins them.

A rule knows nothing of the others, but that a symptom or an uncleared fever begins a running period anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, cast

from healthcode.terms import ClockState, Colour
from server.explanations import Sentence
from server.facts import (
    Case,
    CaseCategory,
    CaseClosed,
    Cleared,
    CloseContact,
    ContactCleared,
    Declared,
    Fact,
    FeverAtGate,
    HandReason,
    Isolating,
    Isolation,
    IsolationStep,
    NormalAtGate,
    Reviewed,
    SetByHand,
    Symptom,
    TestOutcome,
    TestResult,
)
from server.policy import DAY_S, Policy

F = TypeVar("F")
NEVER = float("inf")
ALWAYS = float("-inf")


class Rule(StrEnum):
    """Which rule gave a colour. Stable words: they are stored, and the sentence that explains one has the key `rule.` and its word."""

    NOTHING_KNOWN = "nothing_known"
    PENDING = "pending"
    HEALTHY = "healthy"
    RECORD_LAPSED = "record_lapsed"
    SET_BY_HAND = "set_by_hand"
    CONFIRMED_CASE = "confirmed_case"
    CLINICAL_CASE = "clinical_case"
    SUSPECTED_CASE = "suspected_case"
    FEVER_CASE = "fever_case"
    POSITIVE_TEST = "positive_test"
    CASE_ENDED_RED = "case_ended_red"
    CASE_ENDED_YELLOW = "case_ended_yellow"
    CLOSE_CONTACT = "close_contact"
    DECLARED_CONTACT = "declared_contact"
    CENTRAL_ISOLATION = "central_isolation"
    HOME_ISOLATION = "home_isolation"
    DECLARED_ISOLATION = "declared_isolation"
    DECLARED_SYMPTOMS = "declared_symptoms"
    FEVER_AT_GATE = "fever_at_gate"


_GRAVEST = (Rule.SET_BY_HAND, Rule.CONFIRMED_CASE, Rule.CLINICAL_CASE, Rule.SUSPECTED_CASE, Rule.POSITIVE_TEST, Rule.FEVER_CASE)
"""Which name an illness has that was reported in several ways."""
_RULE_OF_CASE = {
    CaseCategory.CONFIRMED: Rule.CONFIRMED_CASE,
    CaseCategory.CLINICAL: Rule.CLINICAL_CASE,
    CaseCategory.SUSPECTED: Rule.SUSPECTED_CASE,
    CaseCategory.FEVER: Rule.FEVER_CASE,
}
ORDER = {rule: place for place, rule in enumerate(Rule)}
_KEY = {rule: f"rule.{rule.value}" for rule in Rule}
WORST = {Colour.RED: 0, Colour.YELLOW: 1, Colour.GREEN: 2}
ASK = Sentence("change.ask")


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that holds: its colour, since when, until when (None: time alone does not end it), why, and what would end it."""

    colour: Colour
    rule: Rule
    since: float
    until: float | None
    why: Sentence
    changes: tuple[Sentence, ...]


class Docket:
    """The facts about one person that count at one time, by kind, and the reasons found so far."""

    def __init__(self, facts: Iterable[Fact], at: float, policy: Policy, folded: Sequence[tuple[float, float]] = ()) -> None:
        """`folded`: first and last of further health records without a gap (server.folding)."""
        self.at = at
        self.policy = policy
        self.folded = folded
        self.coming = NEVER
        self.green_since = ALWAYS
        self.reasons: list[Reason] = []
        self._by_kind: dict[type, list[Fact]] = {}
        for fact in facts:
            if fact.at > at:
                self.coming = min(self.coming, fact.at)
            elif (told := self._by_kind.get(type(fact))) is None:
                self._by_kind[type(fact)] = [fact]
            else:
                told.append(fact)
        self.hand = min(self.all(SetByHand), key=_newest_and_strictest, default=None)
        self.base = ALWAYS if self.hand is None else self.hand.at

    def all(self, kind: type[F]) -> list[F]:
        """Every fact of a kind that has happened."""
        return cast("list[F]", self._by_kind.get(kind, []))

    def reported(self, kind: type[F]) -> list[F]:
        """Those that happened after the newest colour set by hand, or that were not known then."""
        facts = self._by_kind.get(kind)
        if not facts:
            return []
        base = self.base
        return cast("list[F]", [fact for fact in facts if fact.at > base or fact.heard > base])  # type: ignore[union-attr]

    def hold(self, colour: Colour, rule: Rule, since: float, until: float | None, why: Sentence, *changes: Sentence) -> None:
        """Notes a rule that holds, or held until `until` and is over."""
        if until is not None and until <= self.at:
            self.green_since = max(self.green_since, until)
        elif since <= self.at:
            self.reasons.append(Reason(colour, rule, since, until, why, changes))

    def end(self, at: float) -> None:
        """Notes that something which was not green ended at `at`."""
        self.green_since = max(self.green_since, at)


def records(docket: Docket) -> list[float]:
    """When there were health records, ascending, but for folded ones; a review or an officer's setting begins the count.

    The newest is never folded, nor the first after a colour set by hand.
    """
    kinds: tuple[type[Fact], ...] = (Declared, Cleared, Reviewed, SetByHand)
    found = [fact.at for kind in kinds for fact in docket.all(kind)]
    found += [fact.at for fact in docket.all(TestResult) if fact.outcome is TestOutcome.NEGATIVE]
    if docket.policy.record.gate_counts:
        found += [fact.at for fact in docket.all(NormalAtGate)]
    found.sort()
    return found


def illness(docket: Docket, signs: Sequence[float]) -> None:
    """Red while a case is open and `red_days` after it ended, then yellow for `yellow_days`; a symptom begins such a period anew."""
    moments = [(fact.at, 0, _RULE_OF_CASE[fact.category]) for fact in docket.reported(Case)]
    if docket.policy.case.positive_test == "red":
        moments += [(fact.at, 0, Rule.POSITIVE_TEST) for fact in docket.reported(TestResult) if fact.outcome is TestOutcome.POSITIVE]
    hand = docket.hand
    if hand is not None and hand.colour is Colour.RED:
        moments.append((hand.at, 0, Rule.SET_BY_HAND))
    if not moments:
        return
    moments += [(fact.at, 1, Rule.CASE_ENDED_RED) for fact in docket.reported(CaseClosed)]
    rules = docket.policy.case
    since, rule, closed = 0.0, None, 0.0
    for moment, is_end, told in sorted(moments, key=lambda moment: moment[:2]):
        if is_end:
            if rule not in (None, Rule.CASE_ENDED_RED):
                rule, closed = told, moment
        elif rule is None or rule is Rule.CASE_ENDED_RED:
            since, rule = moment, told
        else:
            rule = min(rule, told, key=_GRAVEST.index)
    if rule is not Rule.CASE_ENDED_RED:
        if rule is not None:
            why = by_hand(hand) if rule is Rule.SET_BY_HAND and hand is not None else Sentence(_KEY[rule], {"since": since})
            docket.hold(Colour.RED, rule, since, None, why, Sentence("change.case_end"), ASK)
        return
    _, red_until = _stretch([closed], signs, rules.red_days)
    if docket.at < red_until:
        why = Sentence(_KEY[Rule.CASE_ENDED_RED], {"closed": closed, "days": rules.red_days})
        docket.hold(Colour.RED, Rule.CASE_ENDED_RED, closed, red_until, why, Sentence("change.red_to_yellow", {"until": red_until}), ASK)
        return
    _, until = _stretch([red_until], signs, rules.yellow_days)
    why = Sentence(_KEY[Rule.CASE_ENDED_YELLOW], {"closed": closed, "days": rules.yellow_days})
    docket.hold(Colour.YELLOW, Rule.CASE_ENDED_YELLOW, red_until, until, why, Sentence("change.time", {"until": until}), ASK)


def set_yellow(docket: Docket, signs: Sequence[float]) -> None:
    """Yellow set by hand ends with what it was set for, or with time."""
    hand = docket.hand
    if hand is None or hand.colour is not Colour.YELLOW:
        return
    if hand.reason is HandReason.RECORD_LAPSED:
        after = next((record for record in records(docket) if record > hand.at), None)
        docket.hold(Colour.YELLOW, Rule.SET_BY_HAND, hand.at, after, by_hand(hand), Sentence("change.check_in"), ASK)
        return
    _, until = _stretch([hand.at], signs, docket.policy.hand.yellow_days)
    enders: list[float] = []
    if hand.reason is HandReason.CLOSE_CONTACT:
        enders = [fact.at for fact in docket.all(ContactCleared) if fact.at > hand.at]
    elif hand.reason in (HandReason.HOME_ISOLATION, HandReason.CENTRAL_ISOLATION):
        enders = [fact.at for fact in docket.all(Isolation) if fact.step is IsolationStep.ENDED and fact.at > hand.at]
    until = min([until, *enders])
    docket.hold(Colour.YELLOW, Rule.SET_BY_HAND, hand.at, until, by_hand(hand), Sentence("change.time", {"until": until}), ASK)


def contacts(docket: Docket, signs: Sequence[float]) -> None:
    """A close contact is yellow for `days` from the last contact, or from the last symptom in that time."""
    told = docket.reported(CloseContact)
    if not told:
        return
    days = docket.policy.contact.days
    cleared = max((fact.at for fact in docket.all(ContactCleared)), default=ALWAYS)
    known = sorted(fact.at for fact in told if fact.at > cleared)
    if not known:
        docket.end(cleared)
        return
    since, until = _stretch(known, signs, days)
    why = Sentence(_KEY[Rule.CLOSE_CONTACT], {"since": since, "days": days})
    ends = (Sentence("change.time", {"until": until}), Sentence("change.contact_cleared"), ASK)
    docket.hold(Colour.YELLOW, Rule.CLOSE_CONTACT, since, until, why, *ends)


def isolations(docket: Docket) -> None:
    """Isolation that the authorities ordered: yellow until it is reported over, `days` at the longest."""
    steps = docket.reported(Isolation)
    if not steps:
        return
    rules = docket.policy.isolation
    for place, rule, days in (
        (Isolating.CENTRAL, Rule.CENTRAL_ISOLATION, rules.central_days),
        (Isolating.HOME, Rule.HOME_ISOLATION, rules.home_days),
    ):
        ended = max((fact.at for fact in steps if fact.place is place and fact.step is IsolationStep.ENDED), default=ALWAYS)
        began = sorted(fact.at for fact in steps if fact.place is place and fact.step is IsolationStep.BEGAN)
        over = [moment for moment in began if moment <= ended]
        if over:
            docket.end(min(ended, _stretch(over, (), days)[1]))
        running = began[len(over) :]
        if running:
            since, until = _stretch(running, (), days)
            why = Sentence(_KEY[rule], {"since": since, "days": days})
            ends = (Sentence("change.time", {"until": until}), Sentence("change.isolation_ended"), ASK)
            docket.hold(Colour.YELLOW, rule, since, until, why, *ends)


def gate_fevers(docket: Docket, cleared: float) -> list[float]:
    """Fevers found at gates and not cleared since; as reasons, and when they were.

    Where the unit's clock ran on its own, a fever may have been before a clearance that seems to come before it.
    """
    rules = docket.policy.gate
    fevers = docket.all(FeverAtGate)
    if fevers and rules.fever == "review":
        fevers = [fact for fact in fevers if fact.believed]
    if not fevers:
        return []
    over = max(cleared, docket.base)
    counting = []
    for fact in fevers:
        doubt = rules.holdover_doubt_s if fact.clock is ClockState.HOLDOVER else 0
        if fact.at - doubt > over:
            counting.append((fact.at, fact.unit))
    if not counting:
        if any(fact.at > docket.base for fact in fevers):
            docket.end(cleared)
        return []
    counting.sort()
    times = [moment for moment, _ in counting]
    since, until = _stretch(times, (), rules.fever_days)
    unit = next(unit for moment, unit in counting if moment == since)
    colour = Colour.RED if rules.fever == "red" else Colour.YELLOW
    why = Sentence(_KEY[Rule.FEVER_AT_GATE], {"since": since, "unit": unit})
    ends = (Sentence("change.thermometer"), Sentence("change.ruled_out"), Sentence("change.time", {"until": until}), ASK)
    docket.hold(colour, Rule.FEVER_AT_GATE, since, until, why, *ends)
    return times


def declared(docket: Docket, cleared: float, closed: float) -> list[float]:
    """What people say of themselves: symptoms, contact, isolation; as reasons, and when there were symptoms.

    A declaration that was corrected says nothing more. A thermometer clears fevers, a clinic that rules the disease out every symptom.
    """
    told = docket.all(Declared)
    rules = docket.policy.declared
    if not any(fact.symptoms or fact.contact or fact.isolation is not Isolating.NONE or _is_feverish(fact, rules.fever_c) for fact in told):
        return []
    corrected = {fact.corrects for fact in told if fact.corrects is not None and fact.corrects < fact.at}
    said = [fact for fact in told if fact.at > docket.base and fact.at not in corrected]
    if not said:
        return []
    said.sort(key=_stricter_last)
    times = []
    for fact in said:
        is_ill = fact.at > closed and any(symptom is not Symptom.FEVER for symptom in fact.symptoms)
        if is_ill or (fact.at > max(cleared, closed) and _is_feverish(fact, rules.fever_c)):
            times.append(fact.at)
    if times and rules.symptoms == "yellow":
        since, until = _stretch(times, (), rules.symptom_days)
        why = Sentence(_KEY[Rule.DECLARED_SYMPTOMS], {"since": since})
        ends = (Sentence("change.ruled_out"), Sentence("change.time", {"until": until}), Sentence("change.correct"), ASK)
        docket.hold(Colour.YELLOW, Rule.DECLARED_SYMPTOMS, since, until, why, *ends)
    elif not times and any(fact.symptoms or _is_feverish(fact, rules.fever_c) for fact in said):
        docket.end(max(cleared, closed))
    if rules.contact == "yellow":
        _declared_contact(docket, said, times if docket.policy.symptoms.restart else ())
    if rules.isolation == "yellow":
        _declared_isolation(docket, said)
    return times


def _declared_contact(docket: Docket, said: Sequence[Declared], signs: Sequence[float]) -> None:
    """Contact by the person's own word: saying it again day after day is still the same contact."""
    cleared = max((fact.at for fact in docket.all(ContactCleared)), default=ALWAYS)
    first = [fact.at for before, fact in zip([None, *said], said, strict=False) if fact.contact and not (before and before.contact)]
    known = [moment for moment in first if moment > cleared]
    if known:
        days = docket.policy.contact.days
        since, until = _stretch(known, signs, days)
        why = Sentence(_KEY[Rule.DECLARED_CONTACT], {"since": since, "days": days})
        ends = (Sentence("change.time", {"until": until}), Sentence("change.contact_cleared"), Sentence("change.correct"), ASK)
        docket.hold(Colour.YELLOW, Rule.DECLARED_CONTACT, since, until, why, *ends)
    elif first:
        docket.end(cleared)


def _declared_isolation(docket: Docket, said: Sequence[Declared]) -> None:
    """Isolation by the person's own word: it lasts while they say so, for the days of such an isolation at the longest."""
    rules = docket.policy.isolation
    began = 0.0
    before = Isolating.NONE
    for fact in said:
        if fact.isolation is not before:
            if before is not Isolating.NONE:
                docket.end(fact.at)
            began = fact.at
        if fact.isolation is not Isolating.NONE and fact.isolation_since is not None:
            began = min(fact.at, fact.isolation_since)
        before = fact.isolation
    if before is Isolating.NONE:
        return
    until = began + DAY_S * (rules.central_days if before is Isolating.CENTRAL else rules.home_days)
    why = Sentence(_KEY[Rule.DECLARED_ISOLATION], {"since": began})
    ends = (Sentence("change.time", {"until": until}), Sentence("change.correct"), ASK)
    docket.hold(Colour.YELLOW, Rule.DECLARED_ISOLATION, began, until, why, *ends)


def _stretch(starts: Sequence[float], signs: Sequence[float], days: int) -> tuple[float, float]:
    """(since, until) of the newest period of `days` that `starts` began; a further start or a sign within it begins its days anew.

    Both ascend; there is at least one start.
    """
    lasting = days * DAY_S
    since = until = ALWAYS
    moments = sorted([(moment, 1) for moment in starts] + [(moment, 0) for moment in signs]) if signs else [(one, 1) for one in starts]
    for moment, begins in moments:
        if moment < until:
            until = moment + lasting
        elif begins:
            since, until = moment, moment + lasting
    return since, until


def _is_feverish(fact: Declared, fever_c: float) -> bool:
    return Symptom.FEVER in fact.symptoms or (fact.temperature_c is not None and fact.temperature_c >= fever_c)


def by_hand(hand: SetByHand) -> Sentence:
    """Why a colour that was set by hand is what it is."""
    return Sentence(f"rule.set_by_hand.{hand.reason.value}", {"by": hand.by, "since": hand.at})


def _newest_and_strictest(hand: SetByHand) -> tuple[float, int, str, str]:
    return (-hand.at, WORST[hand.colour], hand.reason.value, hand.by)


def _stricter_last(fact: Declared) -> tuple[float, bool, str, float]:
    """Order in time; of two at the same moment, whatever the order in which they are given, the stricter comes last."""
    return (fact.at, fact.contact, fact.isolation.value, -(fact.isolation_since or fact.at))
