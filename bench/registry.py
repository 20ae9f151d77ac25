"""The registry with a province's people in it: rulings, an import, packs of codes, what a standing takes, and what a resident costs.

On SQLite or PostgreSQL, by the product's own code on the real disk; one process. What each figure is: docs/benchmarks.md.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from bench import registry_town as made
from healthcode.cose import SoftwareKey
from server.actors import BY_RULES
from server.colours import colour_of
from server.config import Codes
from server.epidemic import Epidemic, Plan, Staged
from server.epidemic_lines import Encoding, Form, Layout
from server.epidemic_rows import EpidemicKind
from server.issuer import Issuer, Pack
from server.rounds import RULE_SLICE
from server.rulings import SLICE

CHECK_INS = 20_000
PACKS = 300
STANDINGS = 5_000
OUTBREAK = 100_000
PURE_S = 1.0

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Plans:
    """How large: residents, rows of the import (every other one about somebody registered), people in the outbreak."""

    residents: int = 1_000_000
    import_rows: int = 1_000_000
    outbreak: int = OUTBREAK
    seed: int = 1


def measure(url: str, folder: Path, plan: Plans, progress: Progress) -> dict[str, object]:
    """The figures, in an empty database at `url`; files go to `folder`."""
    town = made.open_town(url, time.time)
    try:
        before = _size(town)
        begun = time.perf_counter()
        made.fill(town, plan.residents, time.time, lambda done: progress("residents", done, plan.residents))
        filled_s = time.perf_counter() - begun
        per_resident = (_size(town) - before) / plan.residents
        draw = random.Random(plan.seed)
        rulings, pure_us = _rulings(town, draw, progress)
        packs = _packs(town, draw, progress)
        standings = _standings(town, draw, progress)
        return {
            "database": town.store.engine.dialect.name,
            "residents": plan.residents,
            "rulings_per_s": rulings,
            "ruling_pure_us": pure_us,
            "code_packs_per_s": packs,
            "standing_p50_ms": _percentile(standings, 50),
            "standing_p99_ms": _percentile(standings, 99),
            "db_bytes_per_resident": round(per_resident),
            "residents_filled_per_s": round(plan.residents / filled_s),
            **_import(town, folder, plan, progress),
            "outbreak": _outbreak(town, folder, plan, progress),
            "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    finally:
        town.store.close()


def _rulings(town: made.Town, draw: random.Random, progress: Progress) -> tuple[int, float]:
    """Check-ins recorded and ruled on a second, in slices; and a ruling alone in microseconds, in Python, of people who were drawn."""
    count = min(CHECK_INS, town.residents)
    people = [made.resident_of(place) for place in draw.sample(range(town.residents), count)]
    begun = time.perf_counter()
    for start in range(0, count, SLICE):
        with town.store.write() as tx:
            at = time.time()
            town.registry.record_many(tx, [(who, made.check_in(at)) for who in people[start : start + SLICE]], at, BY_RULES)
        progress("rulings", start, count)
    rate = count / (time.perf_counter() - begun)
    with town.store.read() as tx:
        judged = town.registry.rulings.judge(tx, people[:SLICE], time.time())
    rulings, begun = 0, time.thread_time()
    while time.thread_time() < begun + PURE_S:
        for each in judged:
            colour_of(each.facts, time.time(), each.policy, ())
        rulings += len(judged)
    return round(rate), round((time.thread_time() - begun) / rulings * 1e6, 1)


def _packs(town: made.Town, draw: random.Random, progress: Progress) -> float:
    """Packs of live codes for four hours (121 signatures each) a second."""
    issuer = Issuer(town.store, SoftwareKey.generate(), "CN-HB", Codes(), time.time)
    begun = time.perf_counter()
    for done in range(PACKS):
        pack = issuer.live_pack(made.resident_of(draw.randrange(town.residents)))
        assert isinstance(pack, Pack), pack
        progress("packs", done, PACKS)
    return round(PACKS / (time.perf_counter() - begun), 1)


def _standings(town: made.Town, draw: random.Random, progress: Progress) -> list[float]:
    """What it takes to open a resident and explain their colour, in milliseconds, one after the other."""
    times = []
    for done in range(STANDINGS):
        resident = made.resident_of(draw.randrange(town.residents))
        begun = time.perf_counter()
        with town.store.read() as tx:
            town.registry.rulings.explain(tx, resident, time.time())
        assert town.registry.find(resident) is not None
        times.append((time.perf_counter() - begun) * 1000)
        if done % 100 == 0:
            progress("standings", done, STANDINGS)
    return times


def _import(town: made.Town, folder: Path, plan: Plans, progress: Progress) -> dict[str, object]:
    """A file about people of whom nobody is registered: reading, checking, hashing and storing, which is what grows with the rows."""
    path = folder / "contacts.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("number,at\n")
        file.writelines(f"{made.number_of(town.residents + place)},{_day()}\n" for place in range(plan.import_rows))
    imports = Epidemic(town.store, town.registry, town.seal, time.time, time.sleep)
    size = path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    staged = imports.stage(path, _plan(path), lambda done: progress("import", done, size))
    assert isinstance(staged, Staged), staged
    assert imports.put_in_force(staged.number, BY_RULES) is None
    _settle(imports, staged.number, plan.import_rows, progress)
    took = time.perf_counter() - begun
    grew = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    return {"import_rows": plan.import_rows, "import_rows_per_s": round(plan.import_rows / took), "import_memory_mb": grew // 1024}


def _outbreak(town: made.Town, folder: Path, plan: Plans, progress: Progress) -> dict[str, object]:
    """Close contacts who are all registered, each ruled on: from the file to the last change that waits for a delta."""
    count = min(plan.outbreak, town.residents)
    path = folder / "outbreak.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("number,at\n")
        file.writelines(f"{made.number_of(place)},{_day()}\n" for place in range(count))
    imports = Epidemic(town.store, town.registry, town.seal, time.time, time.sleep)
    begun = time.perf_counter()
    staged = imports.stage(path, _plan(path), lambda done: progress("outbreak", done, path.stat().st_size))
    assert isinstance(staged, Staged), staged
    staged_s = time.perf_counter() - begun
    assert imports.put_in_force(staged.number, BY_RULES) is None
    longest = _settle(imports, staged.number, count, progress)
    with town.store.read() as tx:
        changes = int(tx.execute(text("SELECT count(*) FROM list_changes")).scalar_one())
    assert changes >= count, (changes, count)
    return {
        "people": count,
        "staged_s": round(staged_s, 1),
        "all_s": round(time.perf_counter() - begun, 1),
        "longest_write_ms": round(longest * 1000),
    }


def _settle(imports: Epidemic, number: int, total: int, progress: Progress) -> float:
    """Has the rulings follow as the command does; the longest slice in seconds."""
    longest = 0.0
    while True:
        begun = time.perf_counter()
        if not imports.rule_waiting(RULE_SLICE):
            return longest
        longest = max(longest, time.perf_counter() - begun)
        time.sleep(0.005)
        row = imports.find(number)
        progress("ruling", 0 if row is None else row.ruled_count, total)


def _plan(path: Path) -> Plan:
    return Plan(Layout(EpidemicKind.CLOSE_CONTACT, Form.CSV, Encoding.UTF_8, "CDC", time.time()), path.name, BY_RULES)


def _day() -> str:
    return time.strftime("%Y-%m-%d", time.localtime(time.time() - made.DAY_S))


def _size(town: made.Town) -> int:
    """Bytes that the database takes, indices and all, without a write-ahead log."""
    if town.store.engine.dialect.name == "postgresql":
        with town.store.read() as tx:
            return int(tx.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    with town.store.read() as tx:
        return _pragma(tx, "page_count") * _pragma(tx, "page_size")


def _pragma(tx: Connection, name: str) -> int:
    return int(tx.execute(text(f"PRAGMA {name}")).scalar_one())


def _percentile(times: list[float], percent: int) -> float:
    ordered = sorted(times)
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 2)
