"""`healthgate edge ready`, `update` and `release`: what a release says of a unit, and what somebody at the unit may ask."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge.formats import OUTBOX, READS, WRITES, find_lost
from edge.outbox import Outbox, OutboxFault
from edge.releasedoor import UpdaterSays, read_wish, say
from edge.releasefolder import ReleaseFolder
from edge.updates import Kept, Phase
from healthgate.edge import app
from tests.edge.province import ROOT
from tests.gate_toml import GATE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "root.pub.pem").write_bytes(ROOT.public_key.to_pem())
    (tmp_path / "data").mkdir()
    Outbox(tmp_path / "data" / "outbox.sqlite", "0" * 32).close()
    releases = ReleaseFolder(tmp_path / "opt")
    releases.begin("0.1.0")
    releases.finish("0.1.0", bytes(32))
    for name in ("good", "current"):
        releases.point(name, "0.1.0")
    (tmp_path / "gate.toml").write_text(GATE.format(folder=tmp_path) + f'[updates]\nfolder = "{tmp_path}/opt"\nrun = "{tmp_path}/run"\n')
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--config", str(folder / "gate.toml")])


def set_format(folder: Path, number: int) -> None:
    with closing(sqlite3.connect(folder / "data" / "outbox.sqlite", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {number}")


def test_a_release_that_could_run_this_unit_says_its_version_and_formats(folder: Path) -> None:
    done = run(folder, "ready")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"version": "source checkout", "writes": dict(WRITES)}


def test_what_it_could_not_work_with_is_one_line(folder: Path) -> None:
    set_format(folder, READS[OUTBOX] + 1)
    done = run(folder, "ready")
    assert (done.exit_code, f"format 2: this release reads up to {READS[OUTBOX]}" in done.stderr) == (2, True)
    (folder / "data" / "outbox.sqlite").write_bytes(b"no database" * 1000)
    done = run(folder, "ready")
    assert (done.exit_code, "outbox.sqlite: file is not a database" in done.stderr) == (2, True)
    (folder / "gate.toml").write_text("unit = 1\n")
    assert run(folder, "ready").exit_code == 2


def test_an_outbox_of_a_newer_format_is_not_opened_and_not_set_aside(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "data" / "outbox.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (WRITES[OUTBOX],)
    set_format(folder, 7)
    with pytest.raises(OutboxFault, match="has format 7: expected 1 or less"):
        Outbox(folder / "data" / "outbox.sqlite", "1" * 32)
    assert [path.name for path in (folder / "data").glob("outbox*") if "damaged" in path.name] == []


@pytest.mark.parametrize(
    ("writes", "reads", "said"),
    [
        ({"outbox": 1}, {"outbox": 1}, None),
        ({"outbox": 1}, {"outbox": 2}, None),
        ({"outbox": 2}, {"outbox": 1}, "it writes format 2 of outbox, and the release before it reads up to 1: expected a release between"),
        ({"outbox": 1, "new": 1}, {"outbox": 1}, None),
    ],
)
def test_a_release_may_not_write_what_the_one_before_cannot_read(writes: dict[str, int], reads: dict[str, int], said: str | None) -> None:
    assert find_lost(writes, reads) == said


def test_this_release_reads_what_it_writes() -> None:
    assert find_lost(WRITES) is None
    assert WRITES.keys() == READS.keys()


def test_a_wish_at_the_unit(folder: Path) -> None:
    done = run(folder, "update", "0.2.0", "--reason", "a trial")
    assert (done.exit_code, "the updater is not there" in done.stderr) == (2, True)
    (folder / "run").mkdir()
    say(folder / "run", UpdaterSays(Phase.RESTING, "0.1.0", "0.1.0"))
    done = run(folder, "update", "0.2.0", "--reason", "a trial")
    assert done.exit_code == 0, done.output
    wish = read_wish(folder / "data")
    assert wish is not None
    assert wish[1] == "0.2.0"
    for version, said in (("0.0.9", "0.1.0 runs, expected a newer one"), ("newest", "expected three numbers")):
        refused = run(folder, "update", version)
        assert (refused.exit_code, said in refused.stderr) == (2, True)


def test_what_runs_and_what_is_refused(folder: Path) -> None:
    ReleaseFolder(folder / "opt").keep(Kept(wanted="0.2.0", wish="w", refused={"0.2.0": "it was started 4 times"}))
    said = run(folder, "release").stdout.splitlines()
    assert said == [
        "release 0.1.0 runs",
        "release 0.2.0 is wished for: unknown",
        "the updater is not there",
        "refused: 0.2.0: it was started 4 times",
    ]
    found = json.loads(run(folder, "release", "--json").stdout)
    assert (found["good"], found["refused"]) == ("0.1.0", {"0.2.0": "it was started 4 times"})
