"""`healthgate edge update`, `release` and `ready`: how a unit comes to another release."""

from __future__ import annotations

import json
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from edge import config as configuration
from edge import overrides, releasedoor
from edge.__main__ import check as check_files
from edge.__main__ import own_software
from edge.cache import held_roots
from edge.config import Config, ConfigError
from edge.formats import OUTBOX, READS, WRITES
from edge.releasefolder import ReleaseFolder, ReleaseFolderError
from edge.rootfiles import load_roots
from healthcode.messages import ReleaseVersion
from healthgate.errors import one_line_errors

ConfigFile = Annotated[Path, typer.Option("--config", help="The unit's configuration, a TOML file.")]


class NotReady(Exception):
    """Something of this unit that this release cannot work with; the text is one line."""


in_one_line = one_line_errors("healthgate edge", ConfigError, ReleaseFolderError, NotReady)


@in_one_line
def update(
    version: Annotated[str, typer.Argument(help="The release, such as 0.2.0.", show_default=False)],
    config: ConfigFile,
    reason: Annotated[str, typer.Option(help="Why, for the log.")] = "",
) -> None:
    """Wish for a release at the unit itself; its updater fetches, tries and takes it, or says why not."""
    found = configuration.load(config)
    try:
        wanted = msgspec.convert(version, ReleaseVersion)
    except msgspec.ValidationError:
        raise NotReady(f"{version[:40]!r}: expected three numbers with dots between, such as 0.2.0") from None
    try:
        refused = releasedoor.wish(Path(found.data), found.updates, wanted, secrets.token_hex(8), reason)
    except OSError as wrong:
        raise NotReady(f"{found.data}: cannot be written: {wrong.strerror}") from None
    if refused is not None:
        raise NotReady(refused)
    typer.echo(f"release {wanted} is wished for; `healthgate edge release --config {config}` says what becomes of it")


@in_one_line
def release(
    config: ConfigFile, as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines for people.")] = False
) -> None:
    """Say which release runs, which is wished for, and which are refused here and why."""
    found = configuration.load(config)
    if not found.updates.folder:
        raise ConfigError(f"{config}: updates.folder: expected the folder of the releases, for a unit that is updated from afar")
    folder = ReleaseFolder(Path(found.updates.folder))
    current, good, kept = folder.version_at("current"), folder.version_at("good"), folder.read()
    said = releasedoor.read_updater(Path(found.updates.run))
    phase, trouble = (said.phase.value, said.trouble) if said is not None else ("unknown", "the updater is not there")
    if as_json:
        about = {"current": current, "good": good, "wanted": kept.wanted, "phase": phase, "trouble": trouble, "refused": kept.refused}
        typer.echo(json.dumps(about))
        return
    typer.echo(f"release {current} runs{'' if current == good else f' on trial; {good} is the last that has proved itself'}")
    if kept.wanted not in (None, good):
        typer.echo(f"release {kept.wanted} is wished for: {phase}")
    if trouble:
        typer.echo(trouble)
    for version, why in kept.refused.items():
        typer.echo(f"refused: {version}: {why}")


@in_one_line
def ready(config: ConfigFile) -> None:
    """Say whether this release could run this unit: its configuration, files, lists and outbox. Nothing is changed or started.

    The updater asks a new release before it tries it. The last line is JSON: its version, and the formats that it writes on disk.
    """
    found = _in_force(config)
    check_files(found)
    data = Path(found.data)
    try:
        held_roots(data / "cache", load_roots(found))
    except OSError as wrong:
        raise NotReady(f"{wrong.filename}: cannot be read: {wrong.strerror}") from None
    _read_outbox(data / "outbox.sqlite")
    typer.echo(json.dumps({"version": own_software(), "writes": dict(WRITES)}))


def _in_force(file: Path) -> Config:
    """The configuration as the gate has it, with what was said from afar; NotReady where this release would not take that."""
    own = overrides.own_layer(file)
    alone = configuration.parse(own.text, own.name)
    held = overrides.read(Path(alone.data) / overrides.FILE)
    if isinstance(held, str):
        return alone  # the gate puts such a file aside, whatever it runs
    kept, found = overrides.fit(held, own, alone)
    if kept.current.version != held.current.version:
        raise NotReady(f"configuration {held.current.version} from afar: {' '.join(kept.faults) or 'this release does not take it'}")
    return found


def _read_outbox(path: Path) -> None:
    """NotReady where the outbox is there and this release could not work with it."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as connection:
            number = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if number > READS[OUTBOX]:
                raise NotReady(f"{path}: format {number}: this release reads up to {READS[OUTBOX]}")
            connection.execute("SELECT e.boot, e.seq, e.state, e.acknowledged_at, e.body FROM events e LIMIT 1").fetchall()
            connection.execute("SELECT uri, idx, at FROM passages LIMIT 1").fetchall()
    except sqlite3.Error as wrong:
        raise NotReady(f"{path}: {wrong}") from None
