"""`healthgate keys`: makes, shows, recognises and withdraws the keys that units trust."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from healthcode.cose import ALG_IDS, Algorithm
from healthcode.terms import CertificateKind
from healthgate import keyring_files, keys_dcc
from healthgate.errors import one_line_errors
from healthgate.keyring_files import KeysError, Lifetimes
from healthgate.keys_inspect import inspect
from healthgate.keys_lists import new_epoch, open_list
from healthgate.keys_operators import operators
from healthgate.keys_release import release_key
from healthgate.keys_rotation import as_kid, rotate, rotate_root, sign
from healthgate.keys_shown import Shown, changed, show_trust
from healthgate.times import LATEST, BadTime, moment, rfc3339
from server.keys import TRUST_FILE

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Make, show, recognise and withdraw keys."
)
in_one_line = one_line_errors("healthgate keys", KeysError, BadTime)

Folder = Annotated[Path, typer.Argument(help="The keys folder.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]


@app.command("init")
@in_one_line
def init(
    folder: Folder,
    issuer: Annotated[str, typer.Option(help="The issuer's name, ISO 3166-2, such as CN-HB.", show_default=False)],
    list_uri: Annotated[str, typer.Option("--list-uri", help="The status list's uri, such as https://hb.example/s/1.", show_default=False)],
    algorithm: Annotated[str, typer.Option(help="ES256 or Ed25519.")] = "ES256",
    keys_days: Annotated[int, typer.Option(min=1, max=7300, help="How long the keys may sign.")] = Lifetimes.keys_days,
    paper_days: Annotated[int, typer.Option(min=1, max=90, help="The longest life of a code.")] = Lifetimes.paper_days,
    trust_days: Annotated[
        int, typer.Option(min=1, max=7300, help="How long the trust list counts unless signed anew.")
    ] = Lifetimes.trust_days,
    as_json: AsJson = False,
) -> None:
    """Make a province's keys and its first trust list in FOLDER.

    Private keys get mode 0600. root.pub.pem is what every unit and server needs; move root.pem to a safe place afterwards.
    """
    lifetimes = Lifetimes(keys_days, paper_days, trust_days)
    made = keyring_files.init(folder, issuer, list_uri, time.time(), algorithm=_algorithm(algorithm), lifetimes=lifetimes)
    show_trust(changed(folder, made), as_json)


@app.command("show")
@in_one_line
def show(
    path: Annotated[Path, typer.Argument(help="A keys folder or a signed trust list.", show_default=False)],
    root: Annotated[Path | None, typer.Option(help="The root's public key; without it a folder's own root.pub.pem.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a trust list says."""
    file = path / TRUST_FILE if path.is_dir() else path
    public = root if root is not None else path / keyring_files.ROOT_PUBLIC_FILE if path.is_dir() else None
    roots = None if public is None else (keyring_files.read_root(public),)
    shown = Shown(file, keyring_files.read_trust(file, roots), roots is not None)
    if roots is None:
        typer.echo("healthgate keys: signature not checked: name the root's public key with --root", err=True)
    show_trust(shown, as_json)


@app.command("export")
@in_one_line
def export(
    folder: Folder,
    file: Annotated[Path, typer.Argument(help="The file to write.", show_default=False)],
) -> None:
    """Write the public token and list entries of FOLDER for another province to recognise."""
    entries = keyring_files.export(folder, time.time())
    try:
        file.write_bytes(keyring_files.write_public(entries))
    except OSError as wrong:
        raise KeysError(f"{file}: cannot be written: {wrong.strerror}") from None
    for entry in entries.entries:
        typer.echo(f"{entry.issuer} {entry.use.value} {entry.kid.hex()}")


@app.command("add")
@in_one_line
def add(
    folder: Folder,
    source: Annotated[Path, typer.Option("--from", help="Another keys folder, or a file that `keys export` made.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Recognise another province: take its token and list entries into the trust list and sign it anew.

    The file is not signed: compare the identifiers shown with those that the other province reads to you.
    """
    now = time.time()
    entries = keyring_files.load_public(source, now).entries
    show_trust(changed(folder, keyring_files.recognise(folder, entries, now)), as_json)


@app.command("withdraw")
@in_one_line
def withdraw(
    folder: Folder,
    kid: Annotated[str, typer.Argument(help="The key's identifier, 16 hexadecimal digits.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Drop a key from the trust list and sign it anew: whatever the key signed counts no more.

    Of a key that was stolen, first make the next one: `keys rotate FOLDER USE --now`. A list whose key is withdrawn begins anew.
    """
    show_trust(changed(folder, keyring_files.withdraw(folder, as_kid(kid), time.time())), as_json)


@app.command("renew")
@in_one_line
def renew(
    folder: Folder,
    trust_days: Annotated[int, typer.Option(min=1, max=7300, help="How long the new trust list counts.")] = Lifetimes.trust_days,
    as_json: AsJson = False,
) -> None:
    """Sign the trust list anew before it expires."""
    renewed = keyring_files.renew(folder, time.time(), lifetimes=Lifetimes(trust_days=trust_days))
    show_trust(changed(folder, renewed), as_json)


app.command("rotate")(rotate)
app.command("release-key")(release_key)
app.command("sign")(sign)
app.command("rotate-root")(rotate_root)
app.command("inspect")(inspect)
app.command("open-list")(open_list)
app.command("new-epoch")(new_epoch)
app.add_typer(operators, name="operator")


@app.command("import-dsc")
@in_one_line
def import_dsc(
    files: Annotated[list[Path], typer.Argument(metavar="CERT...", help="Signers' certificates, PEM or DER.", show_default=False)],
    into: Annotated[
        Path | None, typer.Option(help="The keys folder whose trust list takes them; without it they are only shown.", show_default=False)
    ] = None,
    issuer: Annotated[str, typer.Option(help="Whose they are, in place of their country.", show_default=False)] = "",
    kind: Annotated[list[CertificateKind] | None, typer.Option(help="What they may sign, in place of what they say.")] = None,
    at: Annotated[str, typer.Option(help="The time to judge at, ISO 8601.", show_default="now")] = "",
    as_json: AsJson = False,
) -> None:
    """Make trust entries of the certificates of those who sign EU Digital COVID Certificates.

    Expired ones, duplicates and what is no certificate are refused, a line each, and the exit status is 1; the others are taken.
    """
    now = time.time()
    held = [] if into is None else keys_dcc.held_entries(into)
    entries, refused = keys_dcc.import_signers(files, moment(at, "--at", now), held, issuer, kind or ())
    if into is not None:
        keyring_files.trust_signers(into, entries, now)
    for each in refused:
        typer.echo(f"healthgate keys: {each.line}", err=True)
    if as_json:
        typer.echo(json.dumps({"entries": [keys_dcc.as_dict(entry) for entry in entries], "refused": [each.line for each in refused]}))
    else:
        typer.echo("\n".join(map(keys_dcc.describe, entries)), nl=bool(entries))
    if refused:
        raise typer.Exit(1)


@app.command("policy")
@in_one_line
def policy(
    folder: Folder,
    source: Annotated[Path | None, typer.Option("--from", help="A policy in TOML to put in force.", show_default=False)] = None,
    drop: Annotated[bool, typer.Option("--drop", help="No certificate counts any more.")] = False,
) -> None:
    """Show which EU Digital COVID Certificates count as green, as TOML, or say it anew and sign the trust list."""
    if source is not None and drop:
        raise KeysError("--from and --drop: expected one of them")
    if source is not None or drop:
        held = keyring_files.set_policy(folder, None if source is None else keys_dcc.read_policy(source), time.time())
    else:
        held = keyring_files.read_trust(folder / TRUST_FILE, keyring_files.known_roots(folder))
    typer.echo(keys_dcc.policy_lines(held.certificates), nl=False)


@app.command("reset-clock")
@in_one_line
def reset_clock(
    folder: Folder,
    unit: Annotated[str, typer.Argument(help="The unit's id.", show_default=False)],
    to: Annotated[str, typer.Option(help="It cannot be earlier than this, ISO 8601.", show_default="now")] = "",
    as_json: AsJson = False,
) -> None:
    """Let a unit's clock go back: sign, with the root, that its time is TO or later whatever a time key told it before.

    For a gate that was told a time still to come and now calls the guard for every code. Where a time key was stolen, withdraw it first.
    A server on this folder publishes the reset by itself; a unit without a link takes the file by `healthgate edge reset-clock`.
    """
    now = time.time()
    floor = int(moment(to, "--to", now))
    if not 0 <= floor <= LATEST:
        raise KeysError(f"--to {to[:40]!r}: expected a time from 1970 to 9999")
    reset, path = keyring_files.reset_clock(folder, unit, floor)
    if as_json:
        typer.echo(json.dumps({"unit": reset.unit, "serial": reset.serial, "floor": rfc3339(reset.floor), "path": str(path)}))
        return
    typer.echo(f"{path}: reset {reset.serial} of unit {reset.unit}, to {rfc3339(reset.floor)}")
    if floor > now + 60:
        typer.echo("healthgate keys: that is still to come by this machine's clock", err=True)


def _algorithm(name: str) -> Algorithm:
    for known in ALG_IDS:
        if name.lower() == known.lower():
            return known
    raise KeysError(f"algorithm {name[:40]!r}: expected {' or '.join(ALG_IDS)}")
