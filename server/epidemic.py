"""Epidemic data: files are staged, put in force by one switch, and withdrawn by another; the rulings follow in slices.

    stage          reads a file in slices into an import that counts for nothing yet; the same fact is held once however often it is told
    preview        how many would change to which colour, ruled as if the import were in force
    put_in_force   one row says so: from then on every ruling on anybody counts all of it, and before none of it
    rule_waiting   rules on those whom an import names, a slice at a time; any process may go on where another stopped
    withdraw       one row says so, and the same people are ruled on again

What an import says of somebody is found by the keyed hash of their number, so it waits for people who are not registered yet.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from server import audit
from server.actors import Who
from server.audit import Action
from server.colours import PENDING
from server.contradictions import Flag, newly_contradicted
from server.epidemic_lines import MOST_BYTES, Faulty, Ignored, Layout, read_rows
from server.epidemic_rows import Entry
from server.facts import WORD_OF, Fact
from server.persons import fingerprint
from server.registry import Registry
from server.rulings import SLICE, Judged
from server.sealing import Seal
from server.store import Store, reviews, to_ms
from server.store import epidemic as rows
from server.store.epidemic import ImportRow, StagedFact

STAGE_SLICE = 1000
"""Rows that are staged in one transaction: some 30 ms for those who wait to write."""
LOOK_SLICE = 1000
"""Facts of an import that are looked through at most in one step; most of them may be about people who are not registered."""
ABANDONED_MS = 600_000
"""A staged import with which nobody has gone on for so long is forgotten: its process died."""
_MISTAKEN = "data_mistaken"
"""Why what an import had put before officers is closed when it is withdrawn (server.reviews.ReviewReason)."""
MOST_FAULTS = 1000
"""Faulty cells that are told; the rest are counted."""
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class Plan:
    """What to read: the file's name for people, who imports it, and whether faulty rows are left out instead of stopping the import."""

    layout: Layout
    file: str
    who: Who
    leaves_out: bool = False


@dataclass(frozen=True)
class Unfit:
    """A file that cannot be imported: its first faults, how many there are in all, and in how many of its rows."""

    faults: tuple[Faulty, ...]
    fault_count: int
    faulty_rows: int
    row_count: int
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Staged:
    """An import that is ready and counts for nothing yet. `repeated`: rows that say what an earlier row of the file says.

    `new` and `known`: facts that no import in force says yet, and the others; `people`: about how many, of whom `registered` are residents.
    """

    number: int
    row_count: int
    left_out: int
    repeated: int
    new: int
    known: int
    people: int
    registered: int
    faults: tuple[Faulty, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class KnownFile:
    """The very same file is in force already: there is nothing to do."""

    number: int


@dataclass(frozen=True)
class Preview:
    """How many would go from which colour to which (or `pending`), and how many declarations would be flagged."""

    changed: dict[tuple[str, str], int]
    flagged: int


@dataclass(frozen=True)
class NotDone:
    """What was asked cannot be; one line for people."""

    detail: str


class Epidemic:
    """The imports of one registry. `now` gives seconds since 1970; `pause` is called between slices with the seconds to leave to others."""

    def __init__(
        self, store: Store, registry: Registry, seal: Seal, now: Callable[[], float], pause: Callable[[float], None] = lambda _: None
    ) -> None:
        self._store = store
        self._registry = registry
        self._seal = seal
        self._now = now
        self._pause = pause

    def stage(self, path: Path, plan: Plan, progress: Callable[[int], None] = lambda _: None) -> Staged | Unfit | KnownFile:
        """Reads the file into a new import; `progress` hears how many bytes are read. OSError where the file cannot be read.

        With a faulty row the rest is read for its faults alone, unless the plan leaves such rows out.
        """
        self._forget_abandoned()
        layout = plan.layout
        with self._store.write() as tx:
            number = rows.insert_import(tx, layout.kind.value, plan.file, layout.source, name_of(plan.who), to_ms(self._now()))
        digest = hashlib.sha256(f"{layout.form.value} {layout.encoding.value} {plan.leaves_out} ".encode())
        counts: Counter[str] = Counter()
        faults: list[Faulty] = []
        ignored = Ignored()
        waiting: list[StagedFact] = []
        is_done = False
        try:
            with path.open("rb") as file:
                for read in read_rows(_lines(file.readline, digest.update, progress), layout, ignored):
                    counts["rows"] += 1
                    if isinstance(read, list):
                        counts["faulty"] += 1
                        counts["faults"] += len(read)
                        faults += read[: MOST_FAULTS - len(faults)]
                    elif plan.leaves_out or not faults:
                        waiting.append(self._staged(read))
                    if len(waiting) == STAGE_SLICE:
                        self._add(number, waiting)
                        waiting.clear()
            found = self._finish(number, plan, counts, faults, ignored, waiting, digest.digest())
            is_done = isinstance(found, Staged)
            return found
        finally:
            if not is_done:
                self.discard(number)

    def preview(self, number: int, progress: Callable[[int], None] = lambda _: None) -> Preview:
        """What a staged import would change; `progress` hears how many facts are looked at."""
        changed: Counter[tuple[str, str]] = Counter()
        flagged = 0
        after = 0
        seen = 0
        while True:
            with self._store.read() as tx:
                told = rows.next_told(tx, number, after, SLICE)
                at = self._now()
                judged = self._registry.rulings.judge(tx, [each.resident for each in told if each.resident], at, also=number)
            changed.update(_changes(judged))
            flagged += sum(bool(_flags(each, to_ms(at) / 1000)) for each in judged)
            seen += len(told)
            progress(seen)
            if len(told) < SLICE:
                return Preview(dict(changed), flagged)
            after = told[-1].fact

    def put_in_force(self, number: int, who: Who) -> NotDone | None:
        """From now on all that a staged import says counts. The rulings follow by `rule_waiting`, in this process or another."""
        with self._store.write() as tx:
            at = self._now()
            row = rows.find_import(tx, number)
            if row is None or not rows.put_in_force(tx, number, to_ms(at)):
                return NotDone(f"import {number} is not staged: expected one that was just read")
            detail: audit.Detail = {
                "kind": row.kind,
                "rows": row.row_count,
                "facts": row.fact_count,
                "new": row.new_count,
                "left_out": row.left_out,
                "digest": audit.in_groups(row.digest),
            }
            audit.append(tx, who, Action.IMPORTED, audit.about("import", number), detail, at)
            return None

    def withdraw(self, number: int, who: Who, why: str) -> NotDone | None:
        """From now on nothing that the import says counts, but what another import in force says as well. The rulings follow."""
        with self._store.write() as tx:
            at = self._now()
            row = rows.find_import(tx, number)
            if row is not None and rows.withdraw(tx, number, name_of(who), why, to_ms(at)):
                detail: audit.Detail = {"kind": row.kind, "facts": row.fact_count}
                audit.append(tx, who, Action.IMPORT_WITHDRAWN, audit.about("import", number), detail, at)
                return None
        if row is None or row.in_force_ms is None:
            return NotDone(f"no import {number}: expected a number that `epidemic list` shows")
        return NotDone(f"import {number} was withdrawn already, by {row.withdrawn_by}")

    def discard(self, number: int) -> None:
        """Forgets a staged import."""
        while True:
            with self._store.write() as tx:
                row = rows.find_import(tx, number)
                if row is None or row.state != "staging" or not rows.discard(tx, number, STAGE_SLICE):
                    return
            self._pause(0.01)

    def rule_waiting(self, limit: int) -> bool:
        """Rules on at most `limit` people whom the oldest import without its rulings names; whether more wait, of it or of others."""
        with self._store.read() as tx:
            if rows.find_unruled(tx) is None:
                return False
        with self._store.write() as tx:
            row = rows.find_unruled(tx)
            if row is None:
                return False
            residents, reached, passed, is_last = self._next_people(tx, row, limit)
            at = self._now()
            judged = self._registry.rulings.judge(tx, residents, at)
            self._registry.rulings.enact(tx, judged, at, told_by=row.number)
            changed = Counter(json.loads(row.changed or "{}"))
            changed.update(f"{before} {after}" for before, after in _changes(judged))
            flags: dict[str, str] = {}
            if row.state == "in_force":
                found = {each.stand.resident: " ".join(_flags(each, (row.in_force_ms or 0) / 1000)) for each in judged}
                flags = {resident: why for resident, why in found.items() if why}
                reviews.open_many(tx, "contradiction", flags, to_ms(at), row.number)
            else:
                reviews.close_of_import(tx, row.number, residents, "rule", _MISTAKEN, to_ms(at))
            rows.advance(tx, row.number, reached, passed, json.dumps(changed), row.flagged + len(flags), is_last=is_last)
        return True

    def _next_people(self, tx: Connection, row: ImportRow, limit: int) -> tuple[list[str], int, int, bool]:
        """At most `limit` people whom an import names next; up to which fact, how many facts that is, and whether it is the last."""
        residents: list[str] = []
        reached, passed = row.ruled_fact, 0
        while passed < LOOK_SLICE and len(residents) < limit:
            part = min(limit - len(residents), LOOK_SLICE - passed)
            told = rows.next_told(tx, row.number, reached, part)
            residents += [each.resident for each in told if each.resident is not None]
            passed += len(told)
            if told:
                reached = told[-1].fact
            if len(told) < part:
                return residents, reached, passed, True
        return residents, reached, passed, False

    def find(self, number: int) -> ImportRow | None:
        """The import that was put in force under this number."""
        with self._store.read() as tx:
            row = rows.find_import(tx, number)
        return None if row is None or row.in_force_ms is None else row

    def list_imports(self, limit: int = 100) -> list[ImportRow]:
        """The imports that were put in force, the newest first."""
        with self._store.read() as tx:
            return rows.list_imports(tx, limit)

    def _staged(self, entry: Entry) -> StagedFact:
        fact = entry.fact
        word = WORD_OF[type(fact)]
        body = _ENCODER.encode(fact)
        name = hashlib.blake2b(word.encode() + body, digest_size=16).digest()
        return StagedFact(fingerprint(self._seal, entry.identity), name, word, to_ms(fact.at), body.decode())

    def _add(self, number: int, facts: list[StagedFact]) -> None:
        """A transaction is short, and the next one leaves others the time to have theirs."""
        begun = self._now()
        with self._store.write() as tx:
            if not rows.touch(tx, number, to_ms(begun)):
                raise LookupError(f"import {number} was forgotten while it was read: nobody went on with it for ten minutes")
            rows.stage(tx, number, facts)
        self._pause(0.005)

    def _finish(
        self,
        number: int,
        plan: Plan,
        counts: Counter[str],
        faults: list[Faulty],
        ignored: Ignored,
        waiting: list[StagedFact],
        digest: bytes,
    ) -> Staged | Unfit | KnownFile:
        is_cut = any(fault.fault.key in _END_OF_READING for fault in faults)
        if faults and (is_cut or not plan.leaves_out):
            return Unfit(tuple(faults), counts["faults"], counts["faulty"], counts["rows"], tuple(ignored.names))
        with self._store.read() as tx:
            same = rows.find_same(tx, plan.layout.kind.value, plan.layout.source, digest)
        if same is not None:
            return KnownFile(same.number)
        if waiting:
            self._add(number, waiting)
        with self._store.read() as tx:
            facts, new, people, registered = rows.count_facts(tx, number)
        with self._store.write() as tx:
            rows.touch(tx, number, to_ms(self._now()))
            rows.describe(tx, number, digest, counts["rows"], counts["faulty"], facts, new)
        repeated = counts["rows"] - counts["faulty"] - facts
        return Staged(
            number, counts["rows"], counts["faulty"], repeated, new, facts - new, people, registered, tuple(faults), tuple(ignored.names)
        )

    def _forget_abandoned(self) -> None:
        with self._store.read() as tx:
            abandoned = rows.list_abandoned(tx, to_ms(self._now()) - ABANDONED_MS)
        for number in abandoned:
            self.discard(number)


_END_OF_READING = frozenset(
    f"epidemic.{word}" for word in ("utf16", "line_long", "encoding", "quotes", "header_missing", "header_twice", "header_other")
)
"""Faults after which the rest of a file is not read."""


def name_of(who: Who) -> str:
    """Who imports, as the import's row says it: role and account."""
    return f"{who.role.value} {who.account}".strip()


def changed_of(row: ImportRow) -> dict[tuple[str, str], int]:
    """How many went from which colour to which by an import that is in force, or by its withdrawal."""
    found = {}
    for words, count in json.loads(row.changed or "{}").items():
        before, after = words.split()
        found[(before, after)] = int(count)
    return found


def _lines(readline: Callable[[int], bytes], hear: Callable[[bytes], None], progress: Callable[[int], None]) -> Iterator[bytes]:
    done = 0
    while line := readline(MOST_BYTES + 1):
        hear(line)
        done += len(line)
        progress(done)
        yield line


def _changes(judged: list[Judged]) -> list[tuple[str, str]]:
    pairs = [(each.stand.colour or PENDING, each.ruling.word) for each in judged]
    return [(before, after) for before, after in pairs if before != after]


def _flags(judged: Judged, since: float) -> tuple[Flag, ...]:
    """What of that which was heard at `since` or later somebody has to look at."""
    return newly_contradicted(judged.facts, [fact for fact in judged.facts if _heard(fact) < since], judged.policy)


def _heard(fact: Fact) -> float:
    return getattr(fact, "heard", 0.0)
