"""Times in RFC 3339."""

from __future__ import annotations

import pytest

from healthgate.times import LATEST, rfc3339


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (1_584_345_600, "2020-03-16T08:00:00Z"),
        (1_584_345_600.0, "2020-03-16T08:00:00Z"),
        (1_584_345_600.1234, "2020-03-16T08:00:00.123Z"),
        (1_584_345_599.9999, "2020-03-16T08:00:00Z"),
        (LATEST, "9999-12-31T23:59:59Z"),
        (2.0**40, "9999-12-31T23:59:59Z"),
    ],
)
def test_written(seconds: float, written: str) -> None:
    assert rfc3339(seconds) == written
