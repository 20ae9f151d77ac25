"""Run as a program: what loading a signed snapshot costs a process that holds nothing else. Prints one JSON object.

Arguments: where the packages are, and a folder with the files `snapshot` and `key`, the raw public key. Resident memory is read before
anything is imported, so that the libraries' share shows.
"""

# ruff: noqa: E402  memory is read before the imports
from __future__ import annotations

import sys


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    with open("/proc/self/status", encoding="ascii") as lines:  # noqa: PTH123  pathlib would be counted as ours
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    BARE_MB = resident_mb()
    sys.path.insert(0, sys.argv[1])

import json
import time
from pathlib import Path

from healthcode.cose import PublicKey, SoftwareKey
from healthcode.messages import TrustEntry
from healthcode.status import CAPACITY, StatusList, read_snapshot
from healthcode.terms import Use
from healthcode.trust import KeyRing, entry_for

NOW = 1_584_345_600
"""16 March 2020, 08:00 UTC."""
URI = "https://hb.example/s/1"


def trust_entry(key: SoftwareKey | PublicKey) -> TrustEntry:
    """Lets `key` sign the list."""
    year = 365 * 86_400
    until = NOW + year
    return entry_for(key, issuer="CN-HB", use=Use.LIST, sign_from=NOW - year, sign_until=until, verify_until=until, uris=[URI], epoch=1)


def load(folder: Path, bare_mb: float) -> dict[str, float]:
    """Milliseconds from the file to the list, and resident megabytes over the bare interpreter's `bare_mb`."""
    keys = KeyRing(1, [trust_entry(PublicKey.from_raw("ES256", (folder / "key").read_bytes()))])
    libraries = resident_mb()
    begun = time.perf_counter()
    held = read_snapshot((folder / "snapshot").read_bytes(), URI, keys, NOW)
    taken = time.perf_counter() - begun
    assert isinstance(held, StatusList)
    assert held.capacity == CAPACITY
    return {
        "load_ms": round(taken * 1000, 1),
        "rss_mb": round(resident_mb() - bare_mb, 1),
        "rss_of_libraries_mb": round(libraries - bare_mb, 1),
    }


if __name__ == "__main__":
    print(json.dumps(load(Path(sys.argv[2]), BARE_MB)))  # noqa: T201
