"""Requests for conversion: who is not green asks for another colour, with papers; an officer answers within 48 hours, with a reason.

The officer is another than those who set the colour by hand. An answer that agrees is a fact (the case ended, the contact was none, the
isolation is over, a test is negative), from which the colour follows by rule, or a proposal to set it by hand, which a second officer
approves. Words and papers are sealed at rest; whoever opens them is in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection

from healthcode.terms import Colour
from server import audit
from server.actors import OFFICERS, Actor
from server.audit import Action
from server.charges import Refused as NotYours
from server.charges import charge_of
from server.colours import PENDING
from server.deadlines import DEADLINE_S
from server.facts import CaseClosed, CaseEnd, ContactCleared, Fact, HandReason, Isolating, Isolation, IsolationStep, TestOutcome, TestResult
from server.four_eyes import Refused as NotProposed
from server.proposals import Proposals
from server.registry import Registry
from server.sealing import Seal
from server.store import Store, appeals, people, proposals, to_ms
from server.store.appeals import AppealRow, PaperRow

MOST_LETTERS = 1000
MOST_PAPERS = 5
MOST_PAPER_BYTES = 4 * 1024 * 1024
"""Longest paper: a page as a phone photographs it."""
A_WEEK = 7
"""Requests about one person within seven days."""
SOURCE = "appeal"
_KINDS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG\r\n\x1a\n": "png", b"%PDF-": "pdf"}
"""What papers may be, by their first bytes (ITU-T T.81 B.2; PNG 5.2; ISO 32000-1, 7.5.2)."""
MEDIA_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "pdf": "application/pdf"}


class Answer(StrEnum):
    """What an officer answers. Stable words: stored, and told as appeal.answer.{word}. The first group agrees."""

    DISCHARGED = "discharged"
    RULED_OUT = "ruled_out"
    CONTACT_CLEARED = "contact_cleared"
    ISOLATION_ENDED = "isolation_ended"
    TEST_NEGATIVE = "test_negative"
    CORRECTION = "correction"
    PAPERS_UNREADABLE = "papers_unreadable"
    PAPERS_MISSING = "papers_missing"
    PAPERS_OF_ANOTHER = "papers_of_another"
    PERIOD_RUNS = "period_runs"
    DATA_STAND = "data_stand"

    @property
    def agrees(self) -> bool:
        """Whether something follows from it."""
        return self in _FACTS or self is Answer.CORRECTION


_FACTS: dict[Answer, Callable[[float, str], tuple[Fact, ...]]] = {
    Answer.DISCHARGED: lambda at, source: (CaseClosed(at, CaseEnd.DISCHARGED, source),),
    Answer.RULED_OUT: lambda at, source: (CaseClosed(at, CaseEnd.RULED_OUT, source),),
    Answer.CONTACT_CLEARED: lambda at, source: (ContactCleared(at, source),),
    Answer.ISOLATION_ENDED: lambda at, source: tuple(
        Isolation(at, IsolationStep.ENDED, place, source) for place in (Isolating.HOME, Isolating.CENTRAL)
    ),
    Answer.TEST_NEGATIVE: lambda at, source: (TestResult(at, TestOutcome.NEGATIVE, source),),
}


class AppealFault(StrEnum):
    """Why something about a request was not done. Sentences: appeal.{word}."""

    NOT_ALLOWED = "not_allowed"
    NOTHING_TO_CONVERT = "nothing_to_convert"
    ONE_WAITS = "one_waits"
    TOO_OFTEN = "too_often"
    NO_WORDS = "no_words"
    TOO_LONG = "too_long"
    TOO_MANY_PAPERS = "too_many_papers"
    PAPER_TOO_LARGE = "paper_too_large"
    PAPER_OF_WHAT = "paper_of_what"
    NO_SUCH_APPEAL = "no_such_appeal"
    SET_IT_THEMSELVES = "set_it_themselves"
    NOT_IN_THE_PAST = "not_in_the_past"


@dataclass(frozen=True)
class Refused:
    """What was not done, as a sentence: the key is appeal.{fault}."""

    fault: AppealFault
    params: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the sentence that says so."""
        return f"appeal.{self.fault.value}"


@dataclass(frozen=True)
class Appeal:
    """A request as its person sees it: by role who decided, never by name. Times in seconds since 1970."""

    number: int
    resident: str
    words: str
    colour: str
    papers: tuple[PaperRow, ...]
    asked: float
    due: float
    answer: Answer | None
    decided_by: str
    decided: float | None
    is_overdue: bool


class Appeals:
    """The requests for conversion. `now` gives seconds since 1970."""

    def __init__(self, store: Store, registry: Registry, made: Proposals, seal: Seal, now: Callable[[], float]) -> None:
        self._store = store
        self._registry = registry
        self._proposals = made
        self._seal = seal
        self._now = now

    def ask(self, actor: Actor, resident: str, words: str, papers: Sequence[bytes]) -> Appeal | Refused | NotYours:
        """Asks for another colour for oneself or a member of the family."""
        fault = _find_fault(words, papers)
        if fault is not None:
            return fault
        with self._store.write() as tx:
            relation = charge_of(tx, actor, resident)
            if isinstance(relation, NotYours):
                return relation
            row = people.find(tx, resident)
            at = self._now()
            if row is None or row.colour in (PENDING, Colour.GREEN.value):
                return Refused(AppealFault.NOTHING_TO_CONVERT)
            if appeals.find_open(tx, resident) is not None:
                return Refused(AppealFault.ONE_WAITS)
            if appeals.count_since(tx, resident, to_ms(at - 7 * 86_400)) >= A_WEEK:
                return Refused(AppealFault.TOO_OFTEN, {"most": A_WEEK})
            sealed = self._seal.close(words.strip().encode(), f"appeals.sealed {resident}")
            number = appeals.insert_appeal(tx, resident, actor.account, row.colour, to_ms(at), to_ms(at + DEADLINE_S), sealed)
            rows = [(PaperRow(place, _kind_of(paper) or "", len(paper)), paper) for place, paper in enumerate(papers, start=1)]
            appeals.insert_papers(tx, number, [(each, self._seal.close(paper, _context(number, each.paper))) for each, paper in rows])
            audit.append(tx, actor, Action.APPEAL_MADE, audit.about("resident", resident), {"appeal": number, "papers": len(papers)}, at)
            return self._found(tx, number)

    def own(self, actor: Actor, resident: str) -> list[Appeal] | NotYours:
        """The requests for oneself or a member of the family, newest first."""
        with self._store.read() as tx:
            relation = charge_of(tx, actor, resident)
            return relation if isinstance(relation, NotYours) else [self._open(tx, row) for row in appeals.list_of(tx, resident)]

    def queue(self, actor: Actor, limit: int = 100, after: tuple[float, int] | None = None) -> list[Appeal] | Refused:
        """What waits for an officer, the one that is due first first, after (due, number) of the one before. The list is in the log."""
        if actor.role not in OFFICERS:
            return Refused(AppealFault.NOT_ALLOWED)
        place = (0, 0) if after is None else (to_ms(after[0]), after[1])
        with self._store.write() as tx:
            found = [self._open(tx, row) for row in appeals.list_open(tx, limit, place)]
            audit.append(tx, actor, Action.RESIDENTS_LISTED, "appeals", {"residents": len(found)}, self._now())
            return found

    def look(self, actor: Actor, number: int) -> Appeal | Refused:
        """A request for an officer's eyes; the log says who looked."""
        if actor.role not in OFFICERS:
            return Refused(AppealFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = appeals.find(tx, number)
            if row is None:
                return Refused(AppealFault.NO_SUCH_APPEAL)
            audit.append(tx, actor, Action.RESIDENT_VIEWED, audit.about("resident", row.resident), {"appeal": number}, self._now())
            return self._open(tx, row)

    def paper(self, actor: Actor, number: int, paper: int) -> tuple[str, bytes] | Refused:
        """(media type, content) of a paper, for an officer; the log says who looked. Not to be shown in a page of ours, but handed out."""
        if actor.role not in OFFICERS:
            return Refused(AppealFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row, found = appeals.find(tx, number), appeals.find_paper(tx, number, paper)
            if row is None or found is None:
                return Refused(AppealFault.NO_SUCH_APPEAL)
            detail: audit.Detail = {"appeal": number, "paper": paper}
            audit.append(tx, actor, Action.APPEAL_PAPER_READ, audit.about("resident", row.resident), detail, self._now())
            return MEDIA_TYPES[found[0]], self._seal.open(found[1], _context(number, paper))

    def decide(
        self, actor: Actor, number: int, answer: Answer, *, happened: float | None = None, colour: Colour = Colour.GREEN
    ) -> Appeal | Refused | NotProposed:
        """An officer answers. `happened` is when that was of which the papers speak (now); `colour` is what a correction proposes."""
        if actor.role not in OFFICERS:
            return Refused(AppealFault.NOT_ALLOWED)
        with self._store.write() as tx:
            row = appeals.find(tx, number)
            if row is None or row.state != "open":
                return Refused(AppealFault.NO_SUCH_APPEAL)
            if actor.account in _setters(tx, row.resident):
                return Refused(AppealFault.SET_IT_THEMSELVES)
            at = self._registry.moment_after(tx, [row.resident])
            when = at if happened is None else happened
            if when > at:
                return Refused(AppealFault.NOT_IN_THE_PAST)
            proposal = None
            if answer is Answer.CORRECTION:
                made = self._proposals.propose_in(tx, actor, [row.resident], colour, HandReason.CORRECTION, number)
                if isinstance(made, NotProposed):
                    return made
                proposal = made.number
            appeals.answer(tx, number, answer.value, actor.account, actor.role.value, to_ms(at), proposal)
            detail: audit.Detail = {"appeal": number, "reason": answer.value}
            audit.append(tx, actor, Action.APPEAL_ANSWERED, audit.about("resident", row.resident), detail, at)
            facts = facts_of(answer, when)
            self._registry.record_many(tx, [(row.resident, fact) for fact in facts], at, actor)
            return self._found(tx, number)

    def _found(self, tx: Connection, number: int) -> Appeal:
        row = appeals.find(tx, number)
        if row is None:
            raise LookupError(f"appeal {number} is gone within one transaction")
        return self._open(tx, row)

    def _open(self, tx: Connection, row: AppealRow) -> Appeal:
        return Appeal(
            row.appeal,
            row.resident,
            self._seal.open(row.sealed, f"appeals.sealed {row.resident}").decode(),
            row.colour,
            tuple(appeals.list_papers(tx, row.appeal)),
            row.asked_ms / 1000,
            row.due_ms / 1000,
            Answer(row.answer) if row.answer else None,
            row.decided_role,
            None if row.decided_ms is None else row.decided_ms / 1000,
            row.state == "open" and row.due_ms <= to_ms(self._now()),
        )


def facts_of(answer: Answer, at: float) -> tuple[Fact, ...]:
    """The facts that an answer makes of what happened at `at`; none where it agrees to nothing, or proposes a colour."""
    return _FACTS[answer](at, SOURCE) if answer in _FACTS else ()


def _find_fault(words: str, papers: Sequence[bytes]) -> Refused | None:
    if not words.strip():
        return Refused(AppealFault.NO_WORDS)
    if len(words) > MOST_LETTERS:
        return Refused(AppealFault.TOO_LONG, {"most": MOST_LETTERS})
    if len(papers) > MOST_PAPERS:
        return Refused(AppealFault.TOO_MANY_PAPERS, {"most": MOST_PAPERS})
    for place, paper in enumerate(papers, start=1):
        if len(paper) > MOST_PAPER_BYTES:
            return Refused(AppealFault.PAPER_TOO_LARGE, {"paper": place, "most": MOST_PAPER_BYTES // (1024 * 1024)})
        if _kind_of(paper) is None:
            return Refused(AppealFault.PAPER_OF_WHAT, {"paper": place})
    return None


def _kind_of(paper: bytes) -> str | None:
    return next((kind for first, kind in _KINDS.items() if paper.startswith(first)), None)


def _setters(tx: Connection, resident: str) -> set[str]:
    """The accounts that set the resident's colour by hand last: who proposed it and who approved it."""
    row = proposals.newest_in_force(tx, resident)
    return set() if row is None else {row.account, row.decided_account}


def _context(appeal: int, paper: int) -> str:
    return f"appeal_papers.sealed {appeal} {paper}"
