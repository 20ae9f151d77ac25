"""Run as a program: a gate's memory of a province, loaded from its disk in a process that does nothing else; `bench.lists` watches it.

Arguments: where the packages are, and a folder with `root.pem`, `cache` and the time in `at`. After each stage it prints a line of JSON
and waits for one: "libraries" (all that `edge.cache` imports is there), "list" (loaded), "unit" (all that a unit imports is there too).
"""

from __future__ import annotations

import sys

sys.path.insert(0, sys.argv[1])

from pathlib import Path

import msgspec

from edge.cache import Cache
from healthcode.cose import PublicKey


def reached(**said: object) -> None:
    """Says what there is, and waits until it has been seen."""
    print(msgspec.json.encode(said).decode(), flush=True)  # noqa: T201
    sys.stdin.readline()


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    cache = Cache(folder / "cache", [PublicKey.from_pem((folder / "root.pem").read_bytes())])
    at = float((folder / "at").read_text(encoding="ascii"))
    reached(stage="libraries")

    import time

    begun = time.perf_counter()
    cache.load(at)
    load_ms = (time.perf_counter() - begun) * 1000
    (held,) = cache.lists.values()
    reached(stage="list", load_ms=round(load_ms, 1), capacity=held.capacity, version=held.version)

    import edge.__main__  # noqa: F401  for what it takes

    reached(stage="unit")
