"""`healthgate server`: make a server's folder, run it, know its units, take over another province's list, look after its database."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from healthcode.messages import MAX_HEAD, MAX_SIGNED, MAX_SNAPSHOT
from healthgate import broker_folder
from healthgate.cells import cell
from healthgate.errors import one_line_errors
from healthgate.keyring_files import KeysError, read_file
from server import mosquitto
from server.actors import Agent, Part
from server.config import ConfigError, load, parse
from server.fleet import Fleet
from server.fleet_watch import Unit
from server.keys import load_roots, read_trust
from server.lists import ListError, import_foreign
from server.office import STARTING_ERRORS, Office, open_office
from server.sealing import create_seal
from server.store import events

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Run the server and look after it.")
units = typer.Typer(no_args_is_help=True, help="The units that the server knows.")
app.add_typer(units, name="unit")

CONFIG_FILE = "server.toml"
ConfigPath = Annotated[Path, typer.Option("--config", help="The server's configuration file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")]
DEFAULT_CONFIG = Path(CONFIG_FILE)

in_one_line = one_line_errors("healthgate", *STARTING_ERRORS, KeysError, ListError, SQLAlchemyError)
"""For commands on the server's folder: an error of configuration, keys, database or lists is one line and exit status 2."""


@contextmanager
def opened(config: Path) -> Iterator[Office]:
    """The store and registry of a configuration, closed at the end. What is made meanwhile is for this account alone."""
    mask = os.umask(0o077)
    try:
        office = open_office(load(config))
        try:
            yield office
        finally:
            office.store.close()
    finally:
        os.umask(mask)


def console() -> Agent:
    """Who runs the command, for the audit log: the account on this machine, by its number."""
    return Agent(Part.CONSOLE, f"uid {os.getuid()}")


MACHINE = re.compile(r"[A-Za-z0-9:]([A-Za-z0-9.:-]{0,198}[A-Za-z0-9:])?")
"""A name or an address."""


def own_name() -> str:
    """This machine's name, where others could reach it by that; else what it is to itself."""
    found = socket.gethostname()
    return found if MACHINE.fullmatch(found) else "localhost"


def checked_names(names: list[str]) -> list[str]:
    """`names` themselves; ConfigError where one is no name or address of a machine."""
    wrong = [each for each in names if not MACHINE.fullmatch(each)]
    if wrong:
        raise ConfigError(f"--name {wrong[0][:100]!r}: expected the name or address of this machine, such as hub.example or 10.0.0.7")
    if names and ":" in names[0]:
        raise ConfigError(f"--name {names[0]}: expected a name or an IPv4 address first, for the pages' address; IPv6 addresses may follow")
    return names


@app.command("init")
@in_one_line
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make.", show_default=False)],
    issuer: Annotated[str, typer.Option(help="The issuer's name, ISO 3166-2.")] = "CN-HB",
    list_uri: Annotated[str, typer.Option("--list-uri", help="The status list's uri.")] = "https://hb.example/s/1",
    name: Annotated[
        list[str] | None, typer.Option(help="Name or address under which units and people reach this machine; its own name by default.")
    ] = None,
    port: Annotated[int, typer.Option(help="The broker's port.")] = mosquitto.PORT,
    web_port: Annotated[int, typer.Option(help="The pages' port.")] = broker_folder.WEB_PORT,
) -> None:
    """Make FOLDER with a configuration, the key that seals names and numbers, an empty database, and a broker that speaks TLS.

    Of a folder that exists nothing is overwritten: what is missing is made. The signing keys come from `healthgate keys init FOLDER/keys`;
    the seal key must be kept as long as the database.
    """
    names = checked_names(name) if name else [own_name()]
    sections = broker_folder.sections(names[0], port, web_port)
    head = f"# Every key and its default: server/config.py\nissuer = {json.dumps(issuer)}\nuri = {json.dumps(list_uri)}\n"
    path = folder / CONFIG_FILE
    config = load(path) if path.exists() else parse(head + sections, str(path), folder.resolve())
    mask = os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = Path(config.broker.files) if config.broker.files else folder / "broker"
        made = broker_folder.prepare(Path(config.keys), files, names, port, time.time())
        if not config.seal_file.exists():
            create_seal(config.seal_file)
            config.seal_file.parent.chmod(0o700)
            made.append(config.seal_file)
        if not path.exists():
            path.write_text(head + sections, encoding="utf-8")
            made.append(path)
    except OSError as wrong:
        raise ConfigError(f"{folder}: cannot be made: {wrong.strerror}") from None
    finally:
        os.umask(mask)
    with opened(path):
        for each in made:
            typer.echo(f"{each}: made")
    typer.echo(f"{path}: ready")
    if not config.broker.ca:
        typer.echo(f"{path} is as it was: units and broker know each other by passwords there. For certificates it is to say:\n{sections}")
    if not (Path(config.keys) / "root.pub.pem").exists():
        typer.echo(f"next, the signing keys: healthgate keys init {folder / 'keys'} --issuer {issuer} --list-uri {list_uri}")


@app.command("certificate")
@in_one_line
def certificate(
    name: Annotated[list[str] | None, typer.Option(help="Name or address of this machine; without it those of the last one.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Make the certificates of broker, pages and bridge anew, for the keys that they have: every two years, or for another name."""
    found = load(config)
    names, folder = checked_names(name or []), Path(found.broker.files)
    if not found.broker.files:
        raise ConfigError(f"{config}: broker.files: expected the folder of a broker whose files this server writes")
    for path in broker_folder.renew(Path(found.keys), folder, names, time.time()):
        typer.echo(f"{path}: made anew")
    told = mosquitto.reload(folder)
    typer.echo("the broker was told" if told is None else told.why)
    typer.echo("start the server and its pages again: systemctl restart healthgate-server healthgate-web")


@app.command("run")
def run(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Run the server until SIGTERM or Ctrl-C: bridge, lists, acknowledgements, answers."""
    from server import __main__ as process  # the bridge and all that it needs: no other command does

    raise typer.Exit(process.main(config))


@app.command("web")
def web(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Serve the pages of residents and officers and the API for apps, until SIGTERM or Ctrl-C. Runs beside `server run`."""
    from server.web import process as pages

    raise typer.Exit(pages.main(config))


@app.command("import-list")
@in_one_line
def import_list(
    uri: Annotated[str, typer.Argument(help="The list's uri, as the trust list names it.", show_default=False)],
    head: Annotated[Path, typer.Option(help="The signed head.", show_default=False)],
    snapshot: Annotated[Path, typer.Option(help="The signed snapshot that the head names.", show_default=False)],
    delta: Annotated[list[Path] | None, typer.Option(help="Signed deltas after the snapshot, in order.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Take over another province's signed list, to pass on unchanged to the gates. A running server publishes it within a second."""
    files = [read_file(head, MAX_HEAD), read_file(snapshot, MAX_SNAPSHOT), *(read_file(path, MAX_SIGNED) for path in delta or [])]
    with opened(config) as office:
        ring = read_trust(Path(office.config.keys), load_roots(office.config.roots)).ring
        taken = import_foreign(office.store, uri, files[0], files[1], files[2:], ring, time.time())
    typer.echo(f"{uri}: epoch {taken.epoch}, version {taken.version}")


@app.command("alerts")
@in_one_line
def alerts(
    over: Annotated[str, typer.Option(help="End this alert: somebody has seen to it. It comes again when its cause does.")] = "",
    unit: Annotated[str, typer.Option(help="The unit of the alert that is over.")] = "",
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show what somebody should look at: fevers for review, secrets used twice, conflicting events, units that ask too much."""
    with opened(config) as office:
        if over:
            with office.store.write() as tx:
                was_there = events.end_alert(tx, over, unit)
            told = f"{over}{f' of {unit}' if unit else ''}"
            if not was_there:
                raise ConfigError(f"{told}: no such alert stands: healthgate server alerts")
            typer.echo(f"{told}: over")
            return
        with office.store.read() as tx:
            rows = events.list_alerts(tx)
    if as_json:
        for name, about, times, detail in rows:
            typer.echo(json.dumps({"name": name, "unit": about, "times": times, "detail": detail}))
        return
    table = Table("alert", "unit", "times", "detail", box=None)
    for name, about, times, detail in rows:
        table.add_row(name, about, str(times), cell(detail))
    Console(highlight=False).print(table)


@units.command("add")
@in_one_line
def add_unit(
    unit: Annotated[str, typer.Argument(help="The unit's id.", show_default=False)],
    note: Annotated[str, typer.Option(help="Where it stands.")] = "",
    site: Annotated[str, typer.Option(help="The place in a word: units of one site are a few steps apart.")] = "",
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Make a unit known; what unknown units send is refused."""
    with opened(config) as office:
        try:
            is_new = Fleet(office.store, time.time).add(unit, note, site)
        except ValueError as wrong:
            raise ConfigError(str(wrong)) from None
    typer.echo(f"{unit}: {'added' if is_new else 'known already'}")


@units.command("list")
@in_one_line
def list_units(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show the known units and when each was last heard."""
    with opened(config) as office:
        found = office.watch.see().units
    if as_json:
        for one in found:
            typer.echo(msgspec.json.encode(_as_row(one)).decode())
        return
    table = Table("unit", "site", "state", "last heard", "software", "note", box=None)
    for one in found:
        row = _as_row(one)
        ago = "never" if one.state.heard_ms is None else f"{max(0.0, time.time() - one.state.heard_ms / 1000):.0f} s ago"
        table.add_row(one.unit, cell(one.site), str(row["state"]), ago, cell(str(row["software"])), cell(one.note))
    Console(highlight=False).print(table)


def _as_row(one: Unit) -> dict[str, str | int | None]:
    state = one.state
    return {
        "unit": one.unit,
        "site": one.site,
        "note": one.note,
        "added_ms": one.added_ms,
        "state": state.presence.value,
        "heard_ms": state.heard_ms,
        "software": state.info.software if state.info is not None else "",
    }
