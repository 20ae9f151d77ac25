"""`healthgate fleet enrol`, `retire`, `operator` and `access`: who is let in at the broker. They work on the server's folder."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from healthgate.broker_session import NoBroker
from healthgate.fleet_access import clear_retained, open_console, prove_shut_out
from healthgate.fleet_names import complete_unit
from healthgate.server import DEFAULT_CONFIG, ConfigPath, console, in_one_line, opened
from server import mosquitto
from server.admissions import Admissions, Refused
from server.authority import Authority, key_pem, make_key, pem, read_certificate
from server.config import Config, ConfigError
from server.keys import load_roots
from server.office import Office
from server.sealing import write_private

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
UnitName = Annotated[str, typer.Argument(metavar="UNIT", help="The unit's name.", autocompletion=complete_unit, show_default=False)]


@in_one_line
def enrol(
    unit: UnitName,
    note: Annotated[str, typer.Option(help="Where it stands.")] = "",
    site: Annotated[str, typer.Option(help="The place in a word: units of one site are a few steps apart.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Give the name of an enrolled or retired unit to a new device.")] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="The certificate that units meet, PEM, where a proxy stands before the pages.", show_default=False)
    ] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Give out the one-time secret by which UNIT is enrolled: good once, for 24 hours, and for this server alone.

    It carries the fingerprints of the root keys and of the server's certificate. Carry it to the unit by a way that others do not read.
    """
    with opened(config) as office:
        Authority.load(Path(office.config.keys))
        shown = certificate or Path(office.config.web.certificate)
        if not certificate and not office.config.web.certificate:
            raise ConfigError(f"{config}: web.certificate: expected one, or --certificate FILE with that of the proxy before the pages")
        book = Admissions(office.store, time.time)
        outcome = book.expect(unit, load_roots(office.config.roots), read_certificate(shown), note=note, site=site, again=again)
        if isinstance(outcome, Refused):
            raise ConfigError(outcome.detail)
        server = told_server(office.config)
    if as_json:
        typer.echo(json.dumps({"unit": unit, "secret": str(outcome.secret), "server": server, "ends": round(outcome.ends)}))
        return
    typer.echo(
        f"{unit} may come once until {told(outcome.ends)}. On the unit, as root:\n\n  healthgate edge enrol {server} {outcome.secret}\n"
    )


@in_one_line
def retire(unit: UnitName, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Shut UNIT out, at once and for good: its live session, too, and what the broker keeps of it. Its events stay.

    It can be done again, when the broker could not be reached. Exit status 1 where it is not proved that the broker refuses the unit.
    """
    with opened(config) as office:
        outcome = Admissions(office.store, time.time).retire(unit, console())
        if isinstance(outcome, Refused):
            raise ConfigError(outcome.detail)
        lines = shut_out(office, unit, outcome.account)
    if as_json:
        typer.echo(json.dumps({"unit": unit, "retired": True, **lines}))
    else:
        typer.echo(f"{unit}: retired")
        for line in lines.values():
            typer.echo(str(line))
    if "trouble" in lines:
        raise typer.Exit(1)


def shut_out(office: Office, unit: str, account: str) -> dict[str, str]:
    """Has the broker hold to it, and proves that it does; what was done by a word, and `trouble` with what is still to do."""
    config = office.config
    lines = tell_broker(office)
    if not config.broker.ca:
        return {**lines, "trouble": f"the broker knows {unit} by a password: take it out of its password file, and reload it"}
    authority = Authority.load(Path(config.keys))
    try:
        if account:
            prove_shut_out(config.broker, authority, account, unit)
            lines["broker"] = f"the broker refuses {account}: it took nothing from it, and ended its session"
        with open_console(config.broker, authority) as client:
            lines["cleared"] = f"{clear_retained(client, unit)} retained messages cleared"
    except NoBroker as wrong:
        return {**lines, "trouble": f"not proved: {wrong}; when it is mended type healthgate fleet retire {unit} again"}
    return lines


def tell_broker(office: Office) -> dict[str, str]:
    """Writes the access rules and has the broker read them; what is to be done by hand, if anything."""
    if not office.config.broker.files:
        return {"rules": "the broker's access rules are written elsewhere: give it those that healthgate fleet access prints"}
    files = Path(office.config.broker.files)
    try:
        mosquitto.write_rules(files, rules_of(office))
    except OSError as wrong:
        raise ConfigError(f"{wrong.filename}: cannot be written: {wrong.strerror}") from None
    told_it = mosquitto.reload(files)
    return {"rules": "access rules written, the broker was told" if told_it is None else f"access rules written; {told_it.why}"}


@in_one_line
def operator(
    name: Annotated[str, typer.Argument(help="The operator's name, or that of a program such as home-assistant.", show_default=False)],
    folder: Annotated[Path, typer.Option(help="Where to put key and certificates; it is made.")] = Path(),
    end: Annotated[bool, typer.Option("--end", help="Take the account away instead.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Make an account at the broker for an operator, for a year: a key, a certificate, and the fleet's certificate.

    It may send requests to units and read what they say. Another one for the same name ends the one before.
    """
    with opened(config) as office:
        book = Admissions(office.store, time.time)
        if end:
            if not book.end_operator(name):
                raise ConfigError(f"{name}: no such operator has an account")
            typer.echo(f"{name}: has no account any more")
        else:
            authority = Authority.load(Path(office.config.keys))
            key = make_key()
            target = folder / f"op.{name}.pem"
            if target.exists():
                raise ConfigError(f"{target}: exists already, expected another --folder")
            outcome = book.add_operator(name)
            if isinstance(outcome, Refused):
                raise ConfigError(outcome.detail)
            account, ends = outcome
            days = (ends - time.time()) / 86_400
            write_private(target, key_pem(key))
            (folder / f"op.{name}.crt").write_text(pem(authority.client(key.public_key(), account, time.time(), days)), encoding="ascii")
            (folder / "ca.crt").write_text(authority.pem, encoding="ascii")
            where = f"{office.config.broker.told}:{office.config.broker.port}"
            typer.echo(f"{target}, op.{name}.crt, ca.crt: account {account} at {where} until {told(ends)}")
        for line in tell_broker(office).values():
            typer.echo(line)


@in_one_line
def access(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Print the broker's access rules as the database says, for a broker whose files this server does not write."""
    with opened(config) as office:
        typer.echo(rules_of(office), nl=False)


def rules_of(office: Office) -> str:
    """The access rules as database and configuration say."""
    return mosquitto.rules(*Admissions(office.store, time.time).members(), office.config.home_assistant.prefix)


def told_server(config: Config) -> str:
    """The pages' address as a unit is told: that by which people reach them, with its port, which for units is another by default."""
    told_people = config.web.origin.removeprefix("https://")
    if not told_people:
        return f"{config.broker.told}:{config.web.port}"
    return told_people if ":" in told_people else f"{told_people}:443"


def told(at: float) -> str:
    """A time for people, UTC to the minute."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
