from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from edge.files import write_atomically
from healthgate.simulation.disk import Disk
from healthgate.simulation.schedule import Crash
from healthgate.simulation.sectors import torn

TRIES = 60


def disks(folder: Path) -> Iterator[Disk]:
    for seed in range(TRIES):
        disk = Disk(folder / str(seed), Random(seed))
        yield disk
        disk.close()


def cut(disk: Disk) -> None:
    disk.power_cut()()


def test_what_was_synced_is_there_after_a_power_cut_and_what_was_not_may_be_or_may_not(tmp_path: Path) -> None:
    found = set()
    for disk in disks(tmp_path):
        write_atomically(disk.files / "kept" / "file", b"synced", disk.calls)
        (disk.files / "kept" / "file").write_bytes(b"SYNCED")
        (disk.files / "loose").write_bytes(b"x" * 2000)
        cut(disk)
        loose = disk.files / "loose"
        found.add((disk.files / "kept" / "file").read_bytes())
        found.add(loose.read_bytes() if loose.exists() else b"gone")
    assert {b"synced", b"SYNCED", b"gone", b"x" * 2000} <= found
    assert len(found) > 10, "torn in many ways"


def test_a_crash_in_the_middle_of_a_replacement_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    found = []
    for number, disk in enumerate(disks(tmp_path)):
        write_atomically(disk.files / "file", b"old" * 500, disk.calls)
        disk.arm(1 + number % 5, cuts_power=True)
        with pytest.raises(Crash):
            write_atomically(disk.files / "file", b"new" * 500, disk.calls)
        cut(disk)
        found.append((disk.files / "file").read_bytes())
    assert set(found) == {b"old" * 500, b"new" * 500}


def held(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


@pytest.mark.parametrize(("synchronous", "kept"), [("FULL", {5, 6}), ("NORMAL", {1})])
def test_a_commit_survives_where_the_database_is_synced_and_one_in_the_middle_comes_whole_or_not(
    tmp_path: Path, synchronous: str, kept: set[int]
) -> None:
    found = set()
    for disk in disks(tmp_path):
        path = disk.database / "outbox.sqlite"
        connection = disk.connect(path, isolation_level=None)
        for setting in ("PRAGMA journal_mode = WAL", f"PRAGMA synchronous = {synchronous}", "CREATE TABLE events (body)"):
            connection.execute(setting)
        for number in range(6):
            if number == 1:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            if number == 5:
                disk.arm(1, cuts_power=True)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO events VALUES (?)", (b"x" * 3000,))
            try:
                connection.execute("COMMIT")
            except Crash:
                break
        settle = disk.power_cut()
        connection.close()
        settle()
        found.add(held(path))
    assert found == kept


def test_a_torn_file_has_every_sector_old_or_new() -> None:
    before, after = b"a" * 1500, b"b" * 3000
    for seed in range(TRIES):
        result = torn(before, after, Random(seed))
        assert len(before) <= len(result) <= len(after)
        for start in range(0, len(result), 512):
            assert len(set(result[start : start + 512])) <= 2 if start == 1024 else len(set(result[start : start + 512])) == 1
