"""Facts are recorded and rulings follow from them: the one way in for facts, for one person and for a hundred thousand.

Facts, the rulings that follow, when those are due again and the status list's waiting changes are written in the caller's transaction.
Whole seconds rule: a ruling's `ruled_at` is the second in which it was made, and is what codes carry as iat; never more than
MOST_AHEAD_S later than that, for gates refuse codes from the future.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import Connection

from healthcode.terms import STATUS_OF_COLOUR, Colour
from server import audit
from server.actors import BY_RULES, Who
from server.audit import Action, Entry
from server.colours import PENDING, Ruling, colour_of
from server.explanations import Sentence
from server.facts import FACTS, WORD_OF, Case, CaseClosed, Fact, SetByHand, TestResult
from server.folding import KEEP_S, LEAST, Run, basis, find_foldable, join
from server.policy import Policy
from server.rulebook import Book, adopt, read_book
from server.store import Store, folds, publication, to_ms
from server.store import rulings as rows
from server.store.folds import FoldRow
from server.store.publication import Waiting
from server.store.rulings import PAUSED_MS, FactRow, RulingRow, StandRow

FOLD_FROM = 128
"""Somebody about whom so many facts are read has the old ones folded."""
SLICE = 500
"""Residents who are ruled on with one question to the database."""
MOST_AHEAD_S = 2
"""Several rulings on one person within a second are dated so far ahead at most; a gate takes a code that is 5 s ahead of it."""
_DECODERS = {word: msgspec.json.Decoder(kind) for word, kind in FACTS.items()}
_ENCODER = msgspec.json.Encoder()
_RUNS = msgspec.json.Decoder(list[Run])
_WHY = msgspec.json.Decoder(Sentence)
_HEARD = frozenset(kind for kind in FACTS.values() if "heard" in kind.__slots__)


@dataclass(frozen=True)
class Judged:
    """What follows for a resident who stands at `stand`, from these facts, by this policy."""

    stand: StandRow
    facts: tuple[Fact, ...]
    ruling: Ruling
    policy: Policy


@dataclass(frozen=True)
class Known:
    """What a ruling is made of: the facts that are not folded, the runs of those that are, and the moment at which it is made."""

    facts: list[Fact]
    folded: list[Run]
    at: float

    def rule(self, book: Book, *also: Fact) -> Ruling:
        """The ruling, with these facts too."""
        return colour_of([*self.facts, *also] if also else self.facts, self.at, book.policy, book.outages, self.folded)


class Rulings:
    """Rules on residents by the policy that is in force. `now` gives seconds since 1970."""

    def __init__(self, store: Store, policy: Policy, now: Callable[[], float]) -> None:
        """Puts `policy` in force where it is newer than the one that is. PolicyError where it is older, or contradicts it."""
        self._store = store
        self._now = now
        with store.write() as tx:
            adopt(tx, policy, now())
            self._book = read_book(tx)

    def record_many(self, tx: Connection, facts: Sequence[tuple[str, Fact]], at: float, who: Who) -> int:
        """Stores a fact about each resident named, and the rulings that follow at `at`; how many are new. The residents must exist.

        `who` says so; of what a gate found the audit log does not say which gate: it would tell for ever where people were.
        """
        recorded = to_ms(at)
        for begin in range(0, len(facts), SLICE):
            part = facts[begin : begin + SLICE]
            rows.insert_facts(tx, [_row(resident, fact, at, recorded) for resident, fact in part])
            audit.append_many(tx, [_told(resident, fact, who) for resident, fact in part], at)
        residents = list(dict.fromkeys(resident for resident, _ in facts))
        return self.rule(tx, residents, at)

    def rule(self, tx: Connection, residents: Sequence[str], at: float) -> int:
        """Rules anew at `at` on these residents; how many rulings are new."""
        slices = (residents[begin : begin + SLICE] for begin in range(0, len(residents), SLICE))
        return sum(self.enact(tx, self.judge(tx, part, at), at) for part in slices)

    def rule_due(self, limit: int) -> int:
        """Makes the changes that time alone has brought, the longest overdue first, of at most `limit` residents; how many were due."""
        with self._store.read() as tx:
            if not rows.find_due(tx, math.floor(self._now() * 1000), 1):
                return 0
        with self._store.write() as tx:
            at = self._now()
            due = rows.find_due(tx, math.floor(at * 1000), limit)
            self.rule(tx, due, at)
            return len(due)

    def explain(self, tx: Connection, resident: str, at: float) -> Ruling:
        """The ruling as it follows at `at` from all that is known of the resident, with what would change it."""
        book = self._book_of(tx, rows.find_revision(tx))
        return self._known(tx, [resident], at, book)[resident].rule(book)

    def suppose(self, tx: Connection, residents: Sequence[str], also: Sequence[Fact], at: float) -> list[tuple[Ruling, Ruling]]:
        """Of each of these residents the ruling at `at`, and what it would be with these facts `also`."""
        book = self._book_of(tx, rows.find_revision(tx))
        known = self._known(tx, residents, at, book)
        return [(known[resident].rule(book), known[resident].rule(book, *also)) for resident in residents]

    def facts(self, tx: Connection, resident: str) -> list[Fact]:
        """All that is known of the resident, in the order in which it happened."""
        return read_facts(rows.list_facts(tx, [resident])[resident], 0.0)[0]

    def recent(self, tx: Connection, resident: str) -> list[Fact]:
        """What is known of the resident without old records that say nothing (server.folding), in the order in which it happened."""
        book = self._book_of(tx, rows.find_revision(tx))
        return self._known(tx, [resident], 0.0, book)[resident].facts

    def policy(self, tx: Connection) -> Policy:
        """The policy in force."""
        return self._book_of(tx, rows.find_revision(tx)).policy

    def judge(self, tx: Connection, residents: Sequence[str], at: float, also: int | None = None) -> list[Judged]:
        """What follows at `at` for each of at most SLICE residents, without writing it. `also`: an import taken as if it were in force."""
        stands = rows.find_stands(tx, residents)
        if not stands:
            return []
        book = self._book_of(tx, stands[0].revision)
        found = self._known(tx, [stand.resident for stand in stands], at, book, None if also is None else (also, to_ms(at)))
        judged = []
        for stand in stands:
            known = found[stand.resident]
            judged.append(Judged(stand, tuple(known.facts), known.rule(book), book.policy))
        return judged

    def enact(self, tx: Connection, judged: Sequence[Judged], at: float, told_by: int | None = None) -> int:
        """Puts in force what was judged at `at` in the same transaction, where it is not in force already; how many rulings are new.

        `told_by` is the import because of which it was judged: the log says so of everybody whom it turns.
        """
        fresh: list[RulingRow] = []
        due: list[tuple[str, int | None]] = []
        waiting: list[Waiting] = []
        turned: list[Entry] = []
        for each in judged:
            stand, ruling = each.stand, each.ruling
            due_ms = _due_ms(ruling)
            if due_ms != stand.due_ms:
                due.append((stand.resident, due_ms))
            made = _compare(stand, ruling, at, each.policy.version)
            if made is not None:
                fresh.append(made)
                if stand.colour not in (None, made.colour):
                    turned.append(_turned(stand, made, told_by))
                change = _change(stand, ruling, made.ruled_at)
                if change is not None:
                    waiting.append(change)
        rows.insert_rulings(tx, fresh)
        rows.set_due(tx, due)
        publication.insert_changes(tx, waiting)
        audit.append_many(tx, turned, at)
        for each in judged:
            if len(each.facts) >= FOLD_FROM:
                _fold(tx, each, at)
        return len(fresh)

    def _known(
        self, tx: Connection, residents: Sequence[str], at: float, book: Book, also: tuple[int, int] | None = None
    ) -> dict[str, Known]:
        stored, folded = folds.list_counting(tx, residents, basis(book.policy), also)
        found = {}
        for resident in residents:
            facts, moment = read_facts(stored[resident], at)
            fold = folded.get(resident)
            runs = [] if fold is None else _RUNS.decode(fold.runs)
            found[resident] = Known(facts, runs, moment if fold is None else max(moment, fold.heard_ms / 1000))
        return found

    def _book_of(self, tx: Connection, revision: int) -> Book:
        if self._book.revision != revision:
            self._book = read_book(tx)
        return self._book


def read_why(why: str) -> Sentence:
    """The stored reason of a ruling."""
    return _WHY.decode(why)


def _fold(tx: Connection, each: Judged, at: float) -> None:
    """Folds old records of a resident, where there are enough of them; it is done from all of their own facts anew."""
    until, policy = at - KEEP_S, each.policy
    if len(find_foldable(each.facts, until, policy)) < LEAST:
        return
    own = folds.list_own(tx, each.stand.resident)
    facts = [_fact(row) for _, row in own]
    places = set(find_foldable(facts, until, policy))
    chosen = [own[place] for place in sorted(places)]
    until_ms = max(row.at_ms for _, row in chosen)
    kept = sum(row.at_ms <= until_ms for place, (_, row) in enumerate(own) if place not in places)
    heard_ms = max(row.recorded_ms for _, row in chosen)
    runs = _ENCODER.encode(join((facts[place] for place in places), policy)).decode()
    folds.put(tx, FoldRow(each.stand.resident, basis(policy), until_ms, kept, heard_ms, runs), [number for number, _ in chosen])


def _row(resident: str, fact: Fact, at: float, recorded_ms: int) -> FactRow:
    if type(fact) in _HEARD:
        fact = _hear(fact, at)
    return FactRow(resident, WORD_OF[type(fact)], to_ms(fact.at), recorded_ms, _ENCODER.encode(fact).decode())


def _told(resident: str, fact: Fact, who: Who) -> Entry:
    """What the audit log says of a fact: its kind, and of what is weighty the category."""
    detail: dict[str, str | int] = {"kind": WORD_OF[type(fact)]}
    match fact:
        case SetByHand():
            detail.update(colour=fact.colour.value, reason=fact.reason.value)
        case Case():
            detail.update(reason=fact.category.value)
        case CaseClosed():
            detail.update(reason=fact.end.value)
        case TestResult():
            detail.update(reason=fact.outcome.value)
        case _:
            pass
    return Entry(who, Action.FACT, audit.about("resident", resident), detail)


def _turned(stand: StandRow, made: RulingRow, told_by: int | None) -> Entry:
    detail: dict[str, str | int] = {"from": stand.colour or PENDING, "to": made.colour, "reason": made.rule, "policy": made.policy}
    if told_by is not None:
        detail["import"] = told_by
    return Entry(BY_RULES, Action.COLOUR, audit.about("resident", stand.resident), detail)


def read_facts(stored: Sequence[FactRow], at: float) -> tuple[list[Fact], float]:
    """The facts, and `at`, or when the newest of them was recorded where the clock went back since: what is known stays known."""
    facts = [_fact(row) for row in stored]
    return facts, max([at, *(row.recorded_ms / 1000 for row in stored)])


def _fact(row: FactRow) -> Fact:
    """The stored fact. What an import says was heard when it was put in force."""
    fact: Fact = _DECODERS[row.kind].decode(row.body)
    return _hear(fact, row.recorded_ms / 1000) if getattr(fact, "heard", None) == 0.0 else fact


def _hear(fact: Fact, at: float) -> Fact:
    return replace(fact, heard=at)  # type: ignore[arg-type]


def _due_ms(ruling: Ruling) -> int | None:
    if ruling.is_paused:
        return PAUSED_MS
    return None if ruling.due is None else math.ceil(ruling.due * 1000)


def _compare(stand: StandRow, ruling: Ruling, at: float, policy: int) -> RulingRow | None:
    """The ruling as it is to be stored; None where it says what the one in force says.

    A fresh index that is not green gets a time one second ahead (docs/decisions/0041), and of two rulings in one second the later one, as
    far as MOST_AHEAD_S goes: beyond that they share a time, and gates take the stricter (0060).
    """
    is_fresh = (stand.ruled_uri, stand.ruled_idx) != (stand.uri, stand.idx)
    why, since_ms = _ENCODER.encode(ruling.why).decode(), to_ms(ruling.since)
    if not is_fresh and (stand.colour, stand.rule, stand.since_ms, stand.why) == (ruling.word, ruling.rule.value, since_ms, why):
        return None
    had_none = stand.colour in (None, PENDING)
    ahead = 1 if (is_fresh or had_none) and ruling.colour not in (Colour.GREEN, None) else 0
    before = stand.ruled_at or 0
    ruled_at = max(int(at) + ahead, before, min(before + (0 if had_none else 1), int(at) + MOST_AHEAD_S))
    return RulingRow(stand.resident, stand.uri, stand.idx, ruling.word, ruling.rule.value, since_ms, why, ruled_at, to_ms(at), policy)


def _change(stand: StandRow, ruling: Ruling, ruled_at: int) -> Waiting | None:
    """What the status list has to say. Nobody holds a code of an index without a colour: the list says green of it, as of any other."""
    is_fresh = (stand.ruled_uri, stand.ruled_idx) != (stand.uri, stand.idx)
    before = Colour.GREEN if is_fresh or stand.colour in (None, PENDING) else Colour(stand.colour or "")
    after = ruling.colour or Colour.GREEN
    return None if after is before else Waiting(stand.uri, stand.idx, STATUS_OF_COLOUR[after], ruled_at)
