"""A province's status list at a gate: size on the wire, load, look-up, change and memory, against SQLite, a dict and a sorted array.

One per cent of the residents is not green, 70 % of them yellow, drawn from a seed. The entropy is what no lossless format can beat for
such a list. All figures are of one run.

Loading and memory are of a process of its own: the gate's cache (`edge.cache` and all that it imports) loads a trust list and the signed
snapshot from a folder, as at a unit's start. `rss_mb` is what the kernel counts as resident then, less what it counts for the same
interpreter that waits after `-I -c`; `rss_of_libraries_mb` is the part of it that is there before the list. Pages of libraries count whole,
though other processes may share them: `pss_mb` counts their share only, `private_mb` none of them. `rss_of_unit_mb` is with all else that
a unit imports: numpy for its pictures, MQTT, pins. A MB of memory is 2^20 bytes. `load_long_log_ms` is loading once more, with as many
deltas behind the snapshot as there ever are before a newer one is fetched (`edge.sync.LONG_LOG`), each of ten changes.
"""

from __future__ import annotations

import json
import math
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.procfs import Memory, memory_mb
from edge.cache import Cache
from edge.sync import LONG_LOG
from healthcode.cose import SoftwareKey
from healthcode.messages import Delta, TrustEntry, TrustList
from healthcode.signed import Signed, read, write
from healthcode.status import CAPACITY, StatusList
from healthcode.terms import Status, Use
from healthcode.trust import KeyRing, entry_for
from server.lists import smallest

NOW = 1_584_345_600
"""16 March 2020, 08:00 UTC."""
URI = "https://hb.example/s/1"
SHARES = {Status.YELLOW: 0.007, Status.RED: 0.0025, Status.REVOKED: 0.0005}
"""Shares of the residents that are not green."""
CHANGES = 10_000
SMALL = 10
"""Changes of each delta in the long log."""
LOOKUPS = 200_000
ROUNDS = 5
"""Of each timing the best of so many counts."""

Step = Callable[[str], None]
"""Told what is being done."""


def measure(entries: int, seed: int, step: Step, log: int = LONG_LOG) -> dict[str, Any]:
    """The figures for a list of `entries` residents; times in the unit that the name says. `log`: deltas in the long log."""
    chance = np.random.default_rng(seed)
    key = SoftwareKey.generate()
    year = 365 * 86_400
    until = NOW + year
    entry = entry_for(key, issuer="CN-HB", use=Use.LIST, sign_from=NOW - year, sign_until=until, verify_until=until, uris=[URI], epoch=1)
    step("drawing the residents")
    indices, values = draw(entries, chance)
    held = StatusList.empty(URI, 1, as_of=NOW)
    place(held, indices, values)
    step("deflating the snapshot")
    snapshot = held.snapshot(key, NOW, smallest)
    step("changing entries")
    body, applied_ms = _apply(held, key, entry, entries, chance)
    step("looking up")
    asked = chance.integers(0, entries, LOOKUPS).tolist()
    lookup_us = _each_us(held.get, asked)
    step("loading in a process of its own")
    loaded = _load(snapshot, entry, [])
    step(f"loading with {log:,} deltas")
    deltas = _small_deltas(held, key, entries, log, chance)
    with_log = _load(snapshot, entry, deltas)
    step("the peers")
    return {
        "entries": entries,
        "entropy_bytes": round(entropy_bits(1 - sum(SHARES.values()), *SHARES.values()) * entries / 8),
        "snapshot_bytes": len(snapshot),
        "delta_bytes_10k": len(body),
        "delta_entropy_bytes_10k": round(delta_entropy_bits(entries) / 8),
        "load_ms": loaded["load_ms"],
        "load_long_log_ms": with_log["load_ms"],
        "long_log_deltas": log,
        "long_log_bytes": sum(map(len, deltas)),
        "lookup_us": round(lookup_us, 3),
        "apply_ms_10k": round(applied_ms, 2),
        **{name: value for name, value in loaded.items() if name.endswith("_mb")},
        "peers": _peers(indices, values, asked),
    }


def draw(entries: int, chance: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Who is not green, in order, and what they are instead."""
    total = sum(SHARES.values())
    indices = np.sort(chance.choice(entries, round(entries * total), replace=False)).astype(np.int64)
    values = chance.choice(
        np.array([int(status) for status in SHARES], np.uint8), len(indices), p=[share / total for share in SHARES.values()]
    )
    return indices, values


def place(held: StatusList, indices: NDArray[np.int64], values: NDArray[np.uint8]) -> None:
    """Writes the entries, each of which was green, into the list's memory."""
    np.bitwise_or.at(np.frombuffer(held.packed, np.uint8), indices >> 2, (values << ((indices & 3) * 2).astype(np.uint8)).astype(np.uint8))


def entropy_bits(*shares: float) -> float:
    """Bits of information in one draw from `shares`."""
    return -sum(share * math.log2(share) for share in shares)


def delta_entropy_bits(entries: int) -> float:
    """Bits of which CHANGES of `entries` changed (any as likely as any other), and to which of four values."""
    ways = math.lgamma(entries + 1) - math.lgamma(CHANGES + 1) - math.lgamma(entries - CHANGES + 1)
    return ways / math.log(2) + 2 * CHANGES


def _apply(held: StatusList, key: SoftwareKey, entry: TrustEntry, entries: int, chance: np.random.Generator) -> tuple[bytes, float]:
    """A signed delta of CHANGES, and how many milliseconds it takes to verify and apply it."""
    keys = KeyRing(1, [entry])
    where = chance.choice(entries, CHANGES, replace=False).tolist()
    body = write(
        held.make_delta({index: Status(int(value)) for index, value in zip(where, chance.integers(0, 4, CHANGES), strict=True)}, NOW), key
    )
    best = math.inf
    for _ in range(ROUNDS):
        copy = held.copy()
        begun = time.perf_counter()
        delta = read(body, Delta, keys, NOW)
        fault = copy.apply(delta.message) if isinstance(delta, Signed) else delta
        best = min(best, time.perf_counter() - begun)
        assert fault is None
    return body, best * 1000


def _each_us(look_up: Callable[[int], object], asked: list[int]) -> float:
    """Microseconds a call."""
    best = math.inf
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for index in asked:
            look_up(index)
        best = min(best, time.perf_counter() - begun)
    return best / len(asked) * 1e6


def _small_deltas(held: StatusList, key: SoftwareKey, entries: int, count: int, chance: np.random.Generator) -> list[bytes]:
    """`count` signed deltas after `held`, each of SMALL changes."""
    copy, deltas = held.copy(), list[bytes]()
    for _ in range(count):
        where, values = chance.integers(0, entries, SMALL).tolist(), chance.integers(0, 4, SMALL).tolist()
        delta = copy.make_delta({index: Status(value) for index, value in zip(where, values, strict=True)}, NOW)
        assert copy.apply(delta) is None
        deltas.append(write(delta, key))
    return deltas


def _load(snapshot: bytes, entry: TrustEntry, deltas: Sequence[bytes]) -> dict[str, float]:
    """What loading a snapshot with these deltas behind it costs a process that has nothing else."""
    root, packages = SoftwareKey.generate(), Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder, _python("-c", "import sys; sys.stdin.readline()") as idle:
        path = Path(folder)
        cache = Cache(path / "cache", [root.public_key])
        cache.accept_trust(write(TrustList(version=1, signed_at=NOW, expires_at=NOW + 86_400, entries=[entry]), root), NOW)
        assert cache.accept_snapshot(URI, snapshot, NOW) is None
        keys = KeyRing(1, [entry])
        for raw in deltas:
            delta = read(raw, Delta, keys, NOW)
            assert isinstance(delta, Signed)
            assert cache.accept_delta(delta, raw) is None
        cache.close()
        (path / "root.pem").write_bytes(root.public_key.to_pem())
        (path / "at").write_text(str(NOW), encoding="ascii")
        with _python(str(packages / "bench" / "list_load.py"), str(packages), folder) as program:
            bare = memory_mb(idle.pid)
            libraries, _ = _stage(program, "libraries", bare)
            held, said = _stage(program, "list", bare)
            unit, _ = _stage(program, "unit", bare)
    assert (said["capacity"], said["version"]) == (CAPACITY, len(deltas))
    sizes = {
        "rss_mb": held.resident,
        "rss_of_libraries_mb": libraries.resident,
        "pss_mb": held.share,
        "private_mb": held.private,
        "rss_of_unit_mb": unit.resident,
    }
    return {"load_ms": said["load_ms"]} | {name: round(size, 1) for name, size in sizes.items()}


@contextmanager
def _python(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """This interpreter with `arguments`, isolated; it ends when its standard input does."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        yield program


def _stage(program: subprocess.Popen[str], stage: str, bare: Memory) -> tuple[Memory, dict[str, Any]]:
    """The memory over `bare` once the program says that it has come to `stage`, and what it says; then lets it go on."""
    assert program.stdin is not None
    assert program.stdout is not None
    said: dict[str, Any] = json.loads(program.stdout.readline())
    assert said["stage"] == stage
    found = memory_mb(program.pid) - bare
    program.stdin.write("\n")
    program.stdin.flush()
    return found, said


def _peers(indices: NDArray[np.int64], values: NDArray[np.uint8], asked: list[int]) -> dict[str, dict[str, float]]:
    """The same entries in what else might hold them: bytes and microseconds a look-up."""
    sparse = dict(zip(indices.tolist(), values.tolist(), strict=True))

    def sorted_array(index: int) -> int:
        at = int(np.searchsorted(indices, index))
        return int(values[at]) if at < len(indices) and indices[at] == index else 0

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "list.sqlite"
        database = sqlite3.connect(file)
        database.execute("CREATE TABLE entries (idx INTEGER PRIMARY KEY, status INTEGER NOT NULL) WITHOUT ROWID")
        database.executemany("INSERT INTO entries VALUES (?, ?)", sparse.items())
        database.commit()
        few = random.Random(1).sample(asked, min(len(asked), 20_000))
        sqlite_us = _each_us(lambda index: database.execute("SELECT status FROM entries WHERE idx = ?", (index,)).fetchone(), few)
        sqlite_bytes = file.stat().st_size
        database.close()
    boxes = sum(sys.getsizeof(index) for index in sparse)
    return {
        "sqlite": {"bytes": sqlite_bytes, "lookup_us": round(sqlite_us, 3)},
        "dict": {"bytes": sys.getsizeof(sparse) + boxes, "lookup_us": round(_each_us(lambda index: sparse.get(index, 0), asked), 3)},
        "sorted_array": {"bytes": indices.nbytes + values.nbytes, "lookup_us": round(_each_us(sorted_array, few), 3)},
    }
