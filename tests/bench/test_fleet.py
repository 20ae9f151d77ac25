"""The fleet's benchmark, with a few units: every figure is there, and all units took part."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from healthgate import bench, bench_fleet

UNITS = 12


@pytest.mark.slow
def test_units_come_back_say_their_numbers_and_are_configured() -> None:
    done = CliRunner().invoke(bench.app, ["fleet", "--units", str(UNITS), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["units"] == UNITS
    assert set(bench_fleet.ROWS) < set(found)
    assert found["attempts"] >= UNITS
    assert all(found[name] > 0 for name in bench_fleet.ROWS)
