from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.outbox import BUSY_S, FOLD_ROWS, SLICE, UNNUMBERED, Acknowledged, Outbox, OutboxFault, Place, StaleWatermark, Stored
from healthcode.messages import BootMark, UnitEvent, Watermark, stamp
from healthcode.terms import ClockState

BOOT = "0" * 31 + "1"
NEXT_BOOT = "0" * 31 + "2"
NOON = 1_583_323_200.0
DAY = 86_400.0
ANNA = ("https://hb.example/s/1", 7)

CHILD = """
import sys
from pathlib import Path
from edge.outbox import Outbox
from healthcode.messages import UnitEvent, stamp
from healthcode.terms import ClockState

outbox = Outbox(Path(sys.argv[1]), sys.argv[2])
batch = 0
while True:
    batch += 1
    three = [UnitEvent(seq=1, at=stamp(0), clock=ClockState.TRUSTED, what=f"{batch}.{part}") for part in range(3)]
    print(outbox.append(three)[-1], flush=True)
"""


def event(what: str = "started") -> UnitEvent:
    return UnitEvent(seq=UNNUMBERED, at=stamp(NOON), clock=ClockState.TRUSTED, what=what)


def watermark(at_ms: int, *boots: BootMark, is_complete: bool = False) -> Watermark:
    return Watermark(unit="north", at_ms=at_ms, boots=list(boots), is_complete=is_complete)


def mark(up_to: int, *missing: int, boot_id: str = BOOT) -> BootMark:
    return BootMark(boot_id=boot_id, up_to=up_to, missing=list(missing))


def places(stored: list[Stored]) -> list[tuple[str, int]]:
    return [(each.boot_id, each.event.seq) for each in stored]


_open: list[Outbox] = []


def open_outbox(path: Path, boot_id: str, **options: Any) -> Outbox:
    """An outbox that is closed when its test ends."""
    _open.append(Outbox(path, boot_id, **options))
    return _open[-1]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def test_seqs_begin_at_one_in_every_boot_and_boots_come_in_order(path: Path) -> None:
    first = open_outbox(path, BOOT)
    assert first.append([event("a"), event("b")]) == [1, 2]
    assert first.append([event("c")]) == [3]
    first.close()
    second = open_outbox(path, NEXT_BOOT)
    assert second.append([event("d")]) == [1]
    assert places(second.pending(10)) == [(BOOT, 1), (BOOT, 2), (BOOT, 3), (NEXT_BOOT, 1)]
    assert second.waiting == 4


def test_a_boot_id_is_never_used_twice(path: Path) -> None:
    open_outbox(path, BOOT).close()
    with pytest.raises(ValueError, match="used before"):
        open_outbox(path, BOOT)


def test_outstanding_events_are_left_out(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event() for _ in range(5)])
    outstanding = {Place(1, 1), Place(1, 3)}
    assert [each.place.seq for each in outbox.pending(2, outstanding)] == [2, 4]


def test_a_watermark_takes_what_the_database_holds_and_nothing_else(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event() for _ in range(5)])
    assert outbox.acknowledge(watermark(1, mark(4, 2), mark(9, boot_id="f" * 32)), NOON) == Acknowledged(done=3, again=0)
    assert places(outbox.pending(10)) == [(BOOT, 2), (BOOT, 5)]


def test_a_lower_watermark_makes_events_wait_again(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event() for _ in range(5)])
    outbox.acknowledge(watermark(1, mark(5)), NOON)
    assert outbox.waiting == 0
    assert outbox.acknowledge(watermark(2, mark(3, 1)), NOON) == Acknowledged(done=0, again=3)
    assert places(outbox.pending(10)) == [(BOOT, 1), (BOOT, 4), (BOOT, 5)]


@pytest.mark.parametrize("boots", [(mark(1, boot_id=NEXT_BOOT),), ()])
def test_a_boot_that_a_complete_watermark_does_not_name_waits_again(path: Path, boots: tuple[BootMark, ...]) -> None:
    first = open_outbox(path, BOOT)
    first.append([event() for _ in range(3)])
    first.close()
    outbox = open_outbox(path, NEXT_BOOT)
    outbox.append([event()])
    outbox.acknowledge(watermark(1, mark(3), mark(1, boot_id=NEXT_BOOT)), NOON)
    assert outbox.acknowledge(watermark(2, *boots), NOON) == Acknowledged(done=0, again=0)
    lost = [(BOOT, 1), (BOOT, 2), (BOOT, 3)] + ([] if boots else [(NEXT_BOOT, 1)])
    assert outbox.acknowledge(watermark(3, *boots, is_complete=True), NOON) == Acknowledged(done=0, again=len(lost))
    assert places(outbox.pending(10)) == lost
    assert outbox.waiting == len(lost)


def test_only_a_newer_watermark_counts_even_after_a_restart(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event()])
    outbox.acknowledge(watermark(20, mark(1)), NOON)
    assert outbox.acknowledge(watermark(19, mark(0)), NOON) == StaleWatermark(19, 20)
    outbox.close()
    again = open_outbox(path, NEXT_BOOT)
    assert again.acknowledge(watermark(20, mark(0)), NOON) == StaleWatermark(20, 20)
    assert again.waiting == 0


def test_acknowledged_events_go_after_seven_days_and_waiting_ones_never(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event(), event()])
    outbox.acknowledge(watermark(1, mark(1)), NOON)
    assert outbox.purge(NOON + 7 * DAY) == 0
    assert outbox.purge(NOON + 7 * DAY + 1) == 1
    assert outbox.purge(NOON + 100 * DAY) == 0
    assert places(outbox.pending(10)) == [(BOOT, 2)]
    assert outbox.append([event()]) == [3]


def test_a_passage_is_remembered_with_its_event_and_over_a_restart(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event()], used={ANNA: NOON})
    assert outbox.recent == {ANNA: NOON}
    outbox.close()
    again = open_outbox(path, NEXT_BOOT)
    assert again.recent == {ANNA: NOON}
    again.purge(NOON + DAY + 1)
    assert again.recent == {}


def test_a_full_outbox_lets_the_oldest_acknowledged_go_but_no_waiting_event(path: Path) -> None:
    outbox = open_outbox(path, BOOT, most_rows=4)
    outbox.append([event() for _ in range(4)])
    outbox.acknowledge(watermark(1, mark(2)), NOON)
    assert outbox.append([event(), event()]) == [5, 6]
    with pytest.raises(OutboxFault, match="4 events wait"):
        outbox.append([event()])
    assert [seq for _, seq in places(outbox.pending(10))] == [3, 4, 5, 6]


def test_a_disk_that_fails_is_one_fault_and_leaves_no_gap(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event("before")])
    thief = sqlite3.connect(path, isolation_level=None)
    thief.execute("CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT raise(FAIL, 'disk full'); END")
    with pytest.raises(OutboxFault, match="disk full"):
        outbox.append([event("lost")], used={ANNA: NOON})
    thief.execute("DROP TRIGGER full")
    thief.close()
    assert outbox.recent == {}
    assert outbox.append([event("after")]) == [2]


class Doubtful(sqlite3.Connection):
    """Says of a commit that it failed, though it is on disk."""

    lies = 0

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        cursor = super().execute(sql, parameters)
        if sql == "COMMIT" and Doubtful.lies:
            Doubtful.lies -= 1
            wrong = sqlite3.OperationalError("database or disk is full")
            wrong.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise wrong
        return cursor


def test_what_a_disk_has_taken_and_said_it_had_not_is_counted_and_has_its_seq(path: Path) -> None:
    Doubtful.lies = 1
    outbox = open_outbox(path, BOOT, connect=partial(sqlite3.connect, factory=Doubtful))
    assert outbox.append([event("z")]) == [1]
    for _ in range(2):
        Doubtful.lies = 1
        with pytest.raises(OutboxFault):
            outbox.append([event("a"), event("b")])
    assert outbox.append([event("a"), event("b"), event("c")]) == [2, 3, 4], "those that are there are not written again"
    Doubtful.lies = 1
    with pytest.raises(OutboxFault):
        outbox.append([event("d")])
    assert outbox.append([event("e")]) == [6], "others come after them"
    assert outbox.waiting == 6
    Doubtful.lies = 1
    with pytest.raises(OutboxFault):
        outbox.acknowledge(watermark(1, mark(3)), NOON)
    outbox.acknowledge(watermark(2, mark(5)), NOON)
    assert outbox.waiting == len(outbox.pending(10)) == 1


def narrow(pages: list[int]) -> Callable[..., sqlite3.Connection]:
    """Connections to databases of at most `pages[0]` pages, as on a disk that is full."""

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = sqlite3.connect(*args, **options)
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")
        return connection

    return connect


def test_a_disk_that_is_full_at_the_start_is_tried_again_and_nothing_of_before_is_forgotten(path: Path) -> None:
    before = open_outbox(path, BOOT)
    before.append([event(), event()], used={ANNA: NOON})
    before.close()
    filler = sqlite3.connect(path, isolation_level=None)
    filler.execute("INSERT INTO boots VALUES (100, hex(zeroblob(2005)))")  # leaves no room for another boot on its page of 4096 bytes
    pages = list(filler.execute("PRAGMA page_count").fetchone())
    outbox = open_outbox(path, NEXT_BOOT, connect=narrow(pages))
    with pytest.raises(OutboxFault, match="full"):
        outbox.append([event("started")])
    with pytest.raises(OutboxFault, match="full"):
        outbox.pending(10)
    filler.execute("DELETE FROM boots WHERE number = 100")
    filler.close()
    pages[0] = 1000
    assert outbox.append([event("started")]) == [1]
    assert outbox.recent == {ANNA: NOON}
    assert places(outbox.pending(10)) == [(BOOT, 1), (BOOT, 2), (NEXT_BOOT, 1)]
    assert outbox.waiting == 3


def test_the_newest_events_come_in_their_order_whether_acknowledged_or_not(path: Path) -> None:
    first = open_outbox(path, BOOT)
    first.append([event("a"), event("b")])
    first.acknowledge(watermark(1, mark(2)), NOON)
    first.close()
    second = open_outbox(path, NEXT_BOOT)
    second.append([event("c")])
    assert [each.what for each in second.newest(2) if isinstance(each, UnitEvent)] == ["b", "c"]
    thief = sqlite3.connect(path, isolation_level=None)
    thief.execute("UPDATE events SET body = 'x' WHERE boot = 1 AND seq = 2")
    thief.close()
    assert [each.what for each in second.newest(9) if isinstance(each, UnitEvent)] == ["a", "c"]


MANY = 12 * SLICE


@pytest.mark.parametrize("work", ["acknowledge", "wait again", "boots that nobody names", "purge"])
def test_an_append_does_not_wait_for_what_concerns_many_rows(path: Path, work: str) -> None:
    first = open_outbox(path, BOOT)
    first.append([event() for _ in range(MANY)])
    if work != "acknowledge":
        first.acknowledge(watermark(1, mark(MANY)), NOON)
    first.close()
    outbox = open_outbox(path, NEXT_BOOT)
    steps: dict[str, Callable[[], object]] = {
        "acknowledge": lambda: outbox.acknowledge(watermark(2, mark(MANY)), NOON),
        "wait again": lambda: outbox.acknowledge(watermark(2, mark(0)), NOON),
        "boots that nobody names": lambda: outbox.acknowledge(watermark(2, is_complete=True), NOON),
        "purge": lambda: outbox.purge(NOON + 8 * DAY),
    }
    outcome: list[object] = []
    worker = threading.Thread(target=lambda: outcome.append(steps[work]()))
    worker.start()
    between = 0
    while worker.is_alive():
        outbox.append([event()])
        between += worker.is_alive()
    worker.join()
    expected = {"acknowledge": Acknowledged(MANY, 0), "purge": MANY}
    assert outcome == [expected.get(work, Acknowledged(0, MANY))]
    assert between > 2, "as many as there are slices, but for a slow machine"
    assert outbox.waiting == len(outbox.pending(2 * MANY + between))


def rows_without_the_log(path: Path) -> int:
    """Events in the database itself, as somebody sees them who is not told of its log."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def test_no_append_pays_for_the_log(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event() for _ in range(FOLD_ROWS)])
    assert outbox.fold()
    many = 20 * FOLD_ROWS
    for _ in range(0, many, 10):
        outbox.append([event() for _ in range(10)])
    assert rows_without_the_log(path) == FOLD_ROWS, "none of the commits carried it over"
    assert outbox.fold()
    assert rows_without_the_log(path) == FOLD_ROWS + many
    assert not outbox.fold(), "there is nothing new in it"
    assert len(outbox.pending(2 * many)) == FOLD_ROWS + many


def test_appends_go_on_while_the_log_is_carried_over(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    stop = threading.Event()
    folded: list[bool] = []

    def fold() -> None:
        while not stop.is_set():
            folded.append(outbox.fold())

    worker = threading.Thread(target=fold)
    worker.start()
    appended = 0
    while sum(folded) < 5:
        appended = outbox.append([event() for _ in range(50)])[-1]
    stop.set()
    worker.join()
    assert len(outbox.pending(2 * appended)) == appended
    outbox.close()
    assert rows_without_the_log(path) == appended


def test_a_log_that_cannot_be_carried_over_is_a_fault_and_loses_nothing(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event() for _ in range(FOLD_ROWS)])
    away = path.with_name("away")
    path.rename(away)
    path.mkdir()
    with pytest.raises(OutboxFault, match=str(path)):
        outbox.fold()
    path.rmdir()
    away.rename(path)
    assert len(outbox.pending(2 * FOLD_ROWS)) == FOLD_ROWS


def test_a_watermark_that_was_interrupted_is_taken_again_as_a_whole(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event() for _ in range(3 * SLICE)])
    thief = sqlite3.connect(path, isolation_level=None)
    thief.execute(f"CREATE TRIGGER full BEFORE UPDATE ON events WHEN new.seq > {SLICE + 5} BEGIN SELECT raise(FAIL, 'disk full'); END")
    with pytest.raises(OutboxFault, match="disk full"):
        outbox.acknowledge(watermark(1, mark(3 * SLICE)), NOON)
    assert outbox.waiting == len(outbox.pending(3 * SLICE)) == 2 * SLICE
    thief.execute("DROP TRIGGER full")
    thief.close()
    assert outbox.acknowledge(watermark(1, mark(3 * SLICE)), NOON) == Acknowledged(2 * SLICE, 0)
    assert outbox.waiting == 0


def test_whoever_else_holds_the_file_holds_up_an_append_for_a_quarter_of_a_second_at_most(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    thief = sqlite3.connect(path, isolation_level=None)
    for _ in range(2):
        thief.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(OutboxFault, match="locked"):
            outbox.append([event()])
        assert time.monotonic() - began < BUSY_S + 0.5
        thief.execute("ROLLBACK")
        assert outbox.append([event()])
    thief.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_a_fault(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutboxFault):
        open_outbox(tmp_path / "deeper" / "outbox.db", BOOT)


def test_a_path_that_cannot_be_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxFault):
        open_outbox(tmp_path / "file" / "outbox.db", BOOT)


def test_a_database_that_cannot_be_read_is_set_aside(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)
    outbox = open_outbox(path, BOOT)
    assert outbox.damaged is not None
    assert outbox.damaged.read_bytes().startswith(b"no database")
    assert outbox.append([event()]) == [1]


def test_a_spoiled_row_does_not_hold_up_the_others(path: Path) -> None:
    outbox = open_outbox(path, BOOT)
    outbox.append([event(), event()])
    thief = sqlite3.connect(path)
    with thief:
        thief.execute("UPDATE events SET body = x'ff00' WHERE seq = 1")
    thief.close()
    assert places(outbox.pending(10)) == [(BOOT, 2)]
    assert outbox.waiting == 1


@pytest.mark.slow
@pytest.mark.parametrize("appends", [1, 7, 40])
def test_kill_9_in_the_middle_of_appends_leaves_whole_batches_without_gaps(path: Path, appends: int) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, str(path), BOOT], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(appends)]
        child.kill()
        told += [int(line) for line in child.stdout if line.endswith("\n")]
    outbox = open_outbox(path, NEXT_BOOT)
    assert outbox.damaged is None
    stored = outbox.pending(100_000)
    assert {each.boot_id for each in stored} == {BOOT}
    assert [each.event.seq for each in stored] == list(range(1, len(stored) + 1))
    assert len(stored) % 3 == 0
    assert len(stored) >= told[-1]


@settings(max_examples=40)
@given(marks=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 14), st.sets(st.integers(1, 14), max_size=4)), max_size=6))
def test_what_waits_is_always_what_the_newest_watermark_lacks(
    tmp_path_factory: pytest.TempPathFactory, marks: list[tuple[int, int, set[int]]]
) -> None:
    outbox = open_outbox(tmp_path_factory.mktemp("outbox") / "outbox.db", BOOT)
    outbox.append([event() for _ in range(12)])
    newest, lacking = 0, set(range(1, 13))
    for at_ms, up_to, missing in marks:
        outbox.acknowledge(watermark(at_ms, mark(up_to, *sorted(missing))), NOON)
        if at_ms > newest:
            newest, lacking = at_ms, {seq for seq in range(1, 13) if seq > up_to or seq in missing}
    assert {each.event.seq for each in outbox.pending(100)} == lacking
    assert outbox.waiting == len(lacking)
    outbox.close()
