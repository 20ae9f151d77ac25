"""Loaded by the pytest that runs in the arm64 root (-p tests.arm64.inside): few examples, and what cannot run under emulation, and why.

QEMU's user mode runs one program's arm64 instructions and hands its system calls to this machine's kernel. What it does not hand over, a
Pi's own kernel offers; such tests run on this machine's own processor, in ./run test.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("arm64", max_examples=10, database=None)
settings.load_profile("arm64")

NO_SECCOMP = "QEMU's user mode takes no filter of system calls: it says that this kernel has none"
NO_LIMIT = "QEMU's user mode passes no limit on memory on to the kernel"
ITS_OWN = "/proc shows QEMU's process here: a thread more, and its limits"
TOO_SLOW = "minutes of film, in a few seconds on a processor, and in far more under emulation"
PACE = "measures pace to some milliseconds, and emulation has its own"

NOT_HERE = {
    "tests/edge/test_scan_child.py::test_inside_the_jail_nothing_can_be_reached": NO_SECCOMP,
    "tests/edge/test_scan_child.py::test_memory_beyond_the_limit_costs_the_frame_only": NO_LIMIT,
    "tests/edge/test_scan_child.py::test_the_child_has_one_descriptor_no_environment_of_ours_and_no_way_to_more": ITS_OWN,
    "tests/edge/test_scan_child.py::test_a_child_that_hangs_is_killed_and_the_next_is_there_at_once": PACE,
    "tests/edge/test_camera_feed.py::test_a_poster_is_in_the_way_after_a_minute_until_it_is_taken_down": TOO_SLOW,
    "tests/edge/test_camera_feed.py::test_an_empty_lane_is_decoded_five_times_a_second_and_a_code_at_once": TOO_SLOW,
    "tests/edge/test_presence.py::test_a_telephone_held_still_for_minutes_is_still_decoded_at_the_low_rate": TOO_SLOW,
    "tests/edge/test_video_camera.py::test_it_goes_at_its_own_pace_and_leaves_out_what_is_too_much": PACE,
}
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
