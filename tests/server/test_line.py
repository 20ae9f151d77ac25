"""Writers of one process: in their order, and brief ones committed together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import DatabaseError, OperationalError

from server.store import Store
from server.store.line import Line
from server.store.sql import text

LIMIT_S = 60.0


class House:
    """A database, and threads that write in it while another holds the line."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(f"sqlite:///{folder / 'x.sqlite'}")
        self.commits = 0
        event.listen(self.store.engine, "commit", self._count)
        with self.store.write() as tx:
            tx.execute(text("CREATE TABLE notes (note BIGINT CHECK (note < 100))"))
        self.commits = 0
        self.threads = ThreadPoolExecutor(20)

    def notes(self) -> list[int]:
        """What is committed, in the order in which it was written."""
        with self.store.read() as tx:
            return list(tx.execute(text("SELECT note FROM notes ORDER BY rowid")).scalars())

    def note(self, *notes: int, spoil: bool = False) -> list[int]:
        """Writes briefly; what could be read in doing so."""
        with self.store.write_together() as tx:
            _write(tx, notes)
            if spoil:
                raise Spoilt
            return list(tx.execute(text("SELECT note FROM notes ORDER BY rowid")).scalars())

    def send(self, *notes: int, spoil: bool = False) -> Future[list[int]]:
        """The same from a thread, which stands in the line when this returns."""
        waiting = self.store._line._waiting
        before = len(waiting)
        sent = self.threads.submit(self.note, *notes, spoil=spoil)
        limit = threading.Event()
        while len(waiting) == before:
            assert not limit.wait(0.001) and not sent.done()
        return sent

    def _count(self, _: Connection) -> None:
        self.commits += 1


class Spoilt(Exception):
    """What a writer raises of its own."""


def _write(tx: Connection, notes: tuple[int, ...]) -> None:
    for note in notes:
        tx.execute(text("INSERT INTO notes (note) VALUES (:note)"), {"note": note})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.threads.shutdown()
    made.store.close()


def test_who_writes_alone_is_committed_alone(house: House) -> None:
    assert house.note(1) == [1]
    assert house.note(2) == [1, 2]
    assert (house.notes(), house.commits) == ([1, 2], 3)  # a reader's end counts as one


def test_brief_writers_who_wait_are_committed_together_in_their_order(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.line.SHARED_S", LIMIT_S)
    with house.store.write() as tx:
        _write(tx, (1,))
        sent = [house.send(note) for note in range(2, 12)]
        assert not any(each.done() for each in sent)
    assert [each.result(LIMIT_S) for each in sent] == [list(range(1, last + 1)) for last in range(2, 12)]
    assert house.commits == 2
    assert house.notes() == list(range(1, 12))


def test_nobody_goes_on_before_what_they_wrote_is_committed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.line.SHARED_S", LIMIT_S)
    told = []

    def look(_: Connection) -> None:
        told.append([each.done() for each in sent])

    event.listen(house.store.engine, "commit", look)
    with house.store.write():
        sent = [house.send(note) for note in range(3)]
    for each in sent:
        each.result(LIMIT_S)
    assert told == [[False] * 3] * 2


def test_a_shared_transaction_takes_nobody_in_for_ever(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.line.SHARED_S", 0.0)
    with house.store.write():
        sent = [house.send(note) for note in range(5)]
    for each in sent:
        each.result(LIMIT_S)
    assert house.commits == 6


@pytest.mark.parametrize("place", [0, 2, 4])
def test_who_raises_leaves_nothing_behind_and_the_others_stay(house: House, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    monkeypatch.setattr("server.store.line.SHARED_S", LIMIT_S)
    with house.store.write():
        sent = [house.send(note, note + 10, spoil=note == place) for note in range(5)]
    with pytest.raises(Spoilt):
        sent.pop(place).result(LIMIT_S)
    for each in sent:
        each.result(LIMIT_S)
    assert house.commits == 2
    assert house.notes() == [note for first in range(5) if first != place for note in (first, first + 10)]


def test_what_the_database_refuses_one_of_them_it_does_not_refuse_the_others(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.line.SHARED_S", LIMIT_S)
    with house.store.write():
        sent = [house.send(1), house.send(2, 100), house.send(3)]
    assert sent[0].result(LIMIT_S) and sent[2].result(LIMIT_S)
    with pytest.raises(DatabaseError):
        sent[1].result(LIMIT_S)
    assert house.notes() == [1, 3]


def test_where_the_commit_fails_everybody_is_told_and_nothing_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.line.SHARED_S", LIMIT_S)

    def fail(_: Connection) -> None:
        if house.commits == 2:  # the first is that of who wrote alone
            raise Spoilt

    event.listen(house.store.engine, "commit", fail)
    with house.store.write():
        sent = [house.send(note) for note in range(3)]
    for each in sent:
        with pytest.raises(Spoilt):
            each.result(LIMIT_S)
    event.remove(house.store.engine, "commit", fail)
    assert house.notes() == []
    assert house.note(7) == [7]


def test_where_the_database_undoes_all_of_it_everybody_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SQLite does when the disk is full: the savepoint is gone, and so is what others wrote."""
    monkeypatch.setattr("server.store.line.SHARED_S", LIMIT_S)

    def lose() -> None:
        with house.store.write_together() as tx:
            tx.exec_driver_sql("ROLLBACK")
            raise Spoilt

    with house.store.write():
        before = house.send(1)
        lost = house.threads.submit(lose)
        limit = threading.Event()
        while len(house.store._line._waiting) < 2:
            assert not limit.wait(0.001)
    with pytest.raises(Spoilt):
        lost.result(LIMIT_S)
    with pytest.raises(DatabaseError):
        before.result(LIMIT_S)
    assert house.note(2) == [2]
    assert house.notes() == [2]


def test_a_writer_who_is_not_brief_shares_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.store.line.SHARED_S", LIMIT_S)

    def alone() -> list[int]:
        with house.store.write() as tx:
            with house.store.read() as other:
                committed = list(other.execute(text("SELECT note FROM notes ORDER BY rowid")).scalars())
            _write(tx, (9,))
            return committed

    with house.store.write():
        first = house.send(1)
        second = house.threads.submit(alone)
        limit = threading.Event()
        while len(house.store._line._waiting) < 2:
            assert not limit.wait(0.001)
    assert first.result(LIMIT_S) == [1]
    assert second.result(LIMIT_S) == [1]


def test_who_waits_too_long_is_told_and_the_next_has_the_turn() -> None:
    line = Line(0.01)
    with line.turn(), pytest.raises(OperationalError, match=r"0\.01 s"):
        line.begin(shares=True)
    with line.turn():
        pass
