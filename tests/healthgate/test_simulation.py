from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from healthgate.simulate import SHORT_HOURS, SHORT_UNITS, app
from healthgate.simulation.disk import KINDS
from healthgate.simulation.gate import Gate
from healthgate.simulation.schedule import Crash
from healthgate.simulation.town import Town, run
from tests.healthgate.planted import PLANTS

SHORT = 0.03


def test_the_same_seed_makes_the_same_steps_in_any_process() -> None:
    here = run(7, hours=SHORT, units=2)
    command = [sys.executable, "-P", "-m", "healthgate", "simulate", "--seed", "7", "--hours", str(SHORT), "--units", "2", "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(Path(__file__).parents[2])}
    there = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert (there["digest"], there["steps"]) == (here.digest, here.steps)
    assert run(8, hours=SHORT, units=2).digest != here.digest


def test_what_the_command_says_of_several_seeds() -> None:
    told = CliRunner().invoke(app, ["--seeds", "0-2", "--hours", str(SHORT), "--units", "2", "--jobs", "1"])
    assert told.exit_code == 0
    assert told.stdout.startswith("3 seeds, 0.03 virtual hours, 2 units: all held")
    for wrong in (["--seeds", "2-1"], ["--seeds", "0-2", "--seed", "1"], []):
        assert CliRunner().invoke(app, wrong).exit_code == 2


def test_who_looks_at_the_server_does_not_end_it(tmp_path: Path) -> None:
    town = Town(7, tmp_path, hours=SHORT, units=1, make_gate=Gate)
    office = town.office
    try:
        office.arm(1)
        with office.looked_at() as tx:
            assert tx.execute(text("SELECT count(*) FROM events")).scalar_one() == 0
        office.backup()
        with pytest.raises(Crash), office.store.write():
            pass
    finally:
        town.close()


def test_a_start_that_fails_writes_nothing_that_could_be_asked_for_later(tmp_path: Path) -> None:
    town = Town(7, tmp_path, hours=SHORT, units=1, make_gate=Gate)
    (gate,) = town.gates
    try:
        gate.start()
        while town.schedule.now < 60.0:
            town.schedule.step()
        gate.crash(cuts_power=True)
        safe, boot_id = gate.off_since, gate.boot_id
        assert safe is not None
        town.schedule.after(0.4, lambda: gate.spoil(KINDS, 1.0, 3600.0))
        while gate.boot_id == boot_id:
            town.schedule.step()
        assert not gate.is_up
        assert gate.off_since == safe, "the power went before the disk began to fail"
    finally:
        town.close()


SEEDS = 500


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.simulation] * plant.rare) for name, plant in PLANTS.items()])
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant = PLANTS[name]
    plant.patch(monkeypatch)
    for seed in range(SEEDS):
        outcome = run(seed, hours=SHORT_HOURS, units=SHORT_UNITS, make_gate=plant.make_gate)
        if outcome.failure:
            print(f"seed {seed}: {outcome.failure}")
            return
    pytest.fail(f"{name}: not found in {SEEDS} seeds")
