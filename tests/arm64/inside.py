"""Loaded by the pytest that runs in the arm64 root (-p tests.arm64.inside): few examples, and what cannot run under emulation, and why.

QEMU's user mode runs one program's arm64 instructions and hands its system calls to this machine's kernel. What it does not hand over, a
Pi's own kernel offers; such tests run on this machine's own processor, in ./run test.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("arm64", max_examples=10, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("arm64")

NOT_HERE: dict[str, str] = {}
"""What a test's name begins with, from tests/ on, and why it is left out."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what NOT_HERE names. A name that is there no longer is a mistake of that table."""
    used = set()
    for item in items:
        for start, reason in NOT_HERE.items():
            if item.nodeid.startswith(start):
                used.add(start)
                item.add_marker(pytest.mark.skip(reason=reason))
    collected = {item.nodeid.partition("::")[0] for item in items}
    stale = [start for start in NOT_HERE if start not in used and start.partition("::")[0] in collected]
    if stale:
        raise pytest.UsageError(f"tests/arm64/inside.py names tests that do not exist: {', '.join(stale)}")
