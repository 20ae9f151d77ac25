"""The load of check-ins over HTTP: a small run, in which every report is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import checkins


@pytest.mark.slow
def test_every_check_in_is_taken(tmp_path: Path) -> None:
    found = checkins.measure(tmp_path / "server", checkins.Plan(1000, 20, 20.0, 2.0), lambda *_: None)
    for way in checkins.WAYS:
        figures = found[way]
        assert isinstance(figures, dict)
        assert figures["failed"] == 0 and figures["requests"] > 20 and figures["p50_ms"] > 0
