"""Reports: the declaration with which a code is asked for, the daily check-in, and the correction of a wrong one.

A report has an id that its sender draws, so that one whose answer was lost can be sent again and counts once. Report, fact, ruling,
review and details are written in one transaction. Where the data name none of the four categories and nothing contradicts them, the
review is made by rule; otherwise an officer looks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec
from sqlalchemy import Connection

from server.actors import BY_RULES, Actor
from server.charges import Refused, charge_of
from server.contradictions import Flag, contradictions, is_well, left_to_people, reasons_for_review
from server.declarations import Answers, Declaration, validate
from server.enrolment import Details, Relation
from server.facts import Declared, Fact, Reviewed, SetByHand
from server.faults import Faults
from server.households import change_details
from server.identity import day_of, start_of
from server.persons import read_person
from server.registry import Registry
from server.sealing import Seal
from server.store import Store, reports, reviews, to_ms

REPORTS_A_DAY = 20
"""More reports about one person in a day are a mistake of an app, or worse."""
CORRECTABLE_S = 86_400
"""How old the newest report may be that is corrected."""
BY_RULE = "rule"
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class ReportKind(StrEnum):
    """What is reported. Stable words: stored."""

    DECLARATION = "declaration"
    CHECK_IN = "check_in"


class ReportFault(StrEnum):
    """Why a report was not taken. Sentences: report.{word}."""

    BAD_ID = "bad_id"
    ID_USED = "id_used"
    NOT_DECLARED = "not_declared"
    TOO_OFTEN = "too_often"
    CORRECTED_TODAY = "corrected_today"
    NOTHING_TO_CORRECT = "nothing_to_correct"


@dataclass(frozen=True)
class NotTaken:
    """A report that was not taken, as a sentence: the key is report.{fault}."""

    fault: ReportFault
    params: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the sentence that says so."""
        return f"report.{self.fault.value}"


class Taken(msgspec.Struct, frozen=True):
    """A report that was taken at `at` (seconds since 1970). `flags`: why an officer looks at it; sentences review.{word}.

    `is_again`: this report had come before, and this is the answer that was given then.
    """

    at: float
    flags: tuple[Flag, ...] = ()
    is_again: bool = False


class CheckIns:
    """Takes reports. `now` gives seconds since 1970."""

    def __init__(self, store: Store, registry: Registry, seal: Seal, now: Callable[[], float]) -> None:
        self._store = store
        self._registry = registry
        self._seal = seal
        self._now = now

    def submit(
        self, actor: Actor, resident: str, kind: ReportKind, submission: str, answers: Answers
    ) -> Taken | Faults | NotTaken | Refused:
        """Takes a declaration or a check-in for oneself or a member of the family, under the id `submission`."""
        return self._take(actor, resident, kind, submission, answers, is_correction=False)

    def correct(self, actor: Actor, resident: str, submission: str, answers: Answers) -> Taken | Faults | NotTaken | Refused:
        """Replaces the newest report, of the last 24 hours, once a day; it asks what that one asked."""
        return self._take(actor, resident, None, submission, answers, is_correction=True)

    def _take(
        self, actor: Actor, resident: str, kind: ReportKind | None, submission: str, answers: Answers, *, is_correction: bool
    ) -> Taken | Faults | NotTaken | Refused:
        if not _ID.fullmatch(submission):
            return NotTaken(ReportFault.BAD_ID)
        told = self._hash(resident, kind, answers)
        with self._store.write_together() as tx:
            relation = charge_of(tx, actor, resident)
            if isinstance(relation, Refused):
                return relation
            before = reports.find_submission(tx, actor.account, submission)
            if before is not None:
                return _again(before) if before.hash == told else NotTaken(ReportFault.ID_USED)
            at = self._now()
            facts = self._registry.rulings.recent(tx, resident)
            replaced = _newest(facts) if is_correction else None
            refused = self._find_refusal(tx, resident, kind, facts, replaced, at, is_correction=is_correction)
            if refused is not None:
                return refused
            is_check_in = replaced.is_check_in if replaced is not None else kind is ReportKind.CHECK_IN
            declaration = validate(answers, at, is_check_in=is_check_in)
            if isinstance(declaration, Faults):
                return declaration
            fact = declaration.fact(
                at,
                is_check_in=is_check_in,
                by="resident" if relation is Relation.SELF else "guardian",
                district=self._district(tx, resident),
                corrects=None if replaced is None else replaced.at,
            )
            self._registry.record(tx, resident, fact, at, actor)
            self._keep_details(tx, resident, declaration)
            flags = self._review(tx, resident, facts, fact, replaced)
            word = ReportKind.CHECK_IN if is_check_in else ReportKind.DECLARATION
            taken = Taken(at, flags)
            reports.insert_submission(
                tx,
                reports.SubmissionRow(
                    actor.account,
                    submission,
                    resident,
                    word.value,
                    told,
                    to_ms(at),
                    None if replaced is None else to_ms(replaced.at),
                    msgspec.json.encode(taken).decode(),
                ),
            )
            reports.delete_draft(tx, actor.account, resident, word.value)
            return taken

    def _find_refusal(
        self,
        tx: Connection,
        resident: str,
        kind: ReportKind | None,
        facts: list[Fact],
        replaced: Declared | None,
        at: float,
        *,
        is_correction: bool,
    ) -> NotTaken | None:
        taken, corrected = reports.count_since(tx, resident, to_ms(start_of(day_of(at))))
        if taken >= REPORTS_A_DAY:
            return NotTaken(ReportFault.TOO_OFTEN, {"most": REPORTS_A_DAY})
        if is_correction:
            if corrected:
                return NotTaken(ReportFault.CORRECTED_TODAY)
            if replaced is None or replaced.at < at - CORRECTABLE_S:
                return NotTaken(ReportFault.NOTHING_TO_CORRECT)
        elif kind is ReportKind.CHECK_IN and not any(isinstance(fact, Declared) and not fact.is_check_in for fact in facts):
            return NotTaken(ReportFault.NOT_DECLARED)
        return None

    def _review(self, tx: Connection, resident: str, facts: list[Fact], fact: Declared, replaced: Declared | None) -> tuple[Flag, ...]:
        """Makes the review by rule of somebody who has none, or puts before an officer what speaks against it; the reasons."""
        policy = self._registry.rulings.policy(tx)
        has_review = any(isinstance(known, Reviewed | SetByHand) for known in facts)
        if has_review:
            flags = contradictions(fact, facts, policy)
            if replaced is not None and is_well(fact, policy) and not is_well(replaced, policy):
                flags = (*flags, Flag.CORRECTED_TO_WELL)
            left = left_to_people(fact, _newest(facts), policy)
            if left:
                reviews.open_review(tx, "says", " ".join(left), resident, to_ms(fact.at))
        else:
            left, flags = (), reasons_for_review(fact, facts, policy)
        if flags:
            kind = "contradiction" if has_review else "declaration"
            reviews.open_review(tx, kind, " ".join(flags), resident, to_ms(fact.at))
        elif not has_review:
            self._registry.record(tx, resident, Reviewed(fact.at, BY_RULE), fact.at, BY_RULES)
            reviews.close_declarations(tx, resident, BY_RULE, to_ms(fact.at))
        return (*flags, *left)

    def _keep_details(self, tx: Connection, resident: str, declaration: Declaration) -> None:
        if declaration.phone or declaration.district:
            change_details(tx, self._seal, resident, Details(None, declaration.phone or None, declaration.district or None))

    def _district(self, tx: Connection, resident: str) -> str:
        person = read_person(tx, self._seal, resident)
        return "" if person is None else person.district

    def _hash(self, resident: str, kind: ReportKind | None, answers: Answers) -> bytes:
        body = msgspec.json.encode([resident, kind, {name: answers[name] for name in sorted(answers)}])
        return self._seal.fingerprint(f"report {body.decode()}")


def _again(before: reports.SubmissionRow) -> Taken:
    return msgspec.structs.replace(msgspec.json.decode(before.outcome, type=Taken), is_again=True)


def _newest(facts: list[Fact]) -> Declared | None:
    return max((fact for fact in facts if isinstance(fact, Declared)), key=lambda fact: fact.at, default=None)
