"""`healthgate audit`: does the log of changes and views hold together, what is in it, and its newest signed head for keeping elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from healthcode.messages import MAX_HEAD, AuditHead
from healthcode.signed import Signed, read
from healthcode.trust import KeyRing
from healthgate.cells import cell
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, console, in_one_line, opened
from healthgate.times import rfc3339
from server import audit
from server.audit import Action, Broken, Sound
from server.audit_heads import read_stored
from server.keys import KeyFileError, load_roots, read_trust
from server.office import Office
from server.store import audit as rows
from server.store import epidemic
from server.store.epidemic import ImportRow

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="The log of every change, view and export: check it, read it, keep its signed head.",
)
HeadFiles = Annotated[list[Path] | None, typer.Option("--head", help="A signed head that was kept elsewhere. May be given again.")]


@app.command("verify")
@in_one_line
def verify(head: HeadFiles = None, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Compute every entry's digest anew and hold the log against its signed heads. Exit status 1 where it does not hold."""
    with opened(config) as office:
        ring = read_trust(Path(office.config.keys), load_roots(office.config.roots)).ring
        kept = [_read_head(_bytes_of(path), str(path), ring, office.config.issuer) for path in head or []]
        with office.store.read() as tx:
            stored = read_stored(rows.list_heads(tx), ring)
            if stored.forged is not None:
                raise KeyFileError(f"the stored head of {rfc3339(stored.forged)}: it is not signed by us: somebody else put it there")
            with Progress(console=Console(stderr=True), disable=as_json, transient=True) as bar:
                task = bar.add_task("entries", total=None)
                found = audit.verify(tx, [*stored.heads, *kept], lambda done, whole: bar.update(task, completed=done, total=whole))
    _tell(found, len(kept), stored.of_unknown_keys, as_json)


@app.command("show")
@in_one_line
def show(
    resident: Annotated[str, typer.Option(help="Only what is about this resident.")] = "",
    subject: Annotated[str, typer.Option(help="Only what is about this: resident/ID, account/ID, proposal/NUMBER.")] = "",
    account: Annotated[str, typer.Option(help="Only what this account did, by its id.")] = "",
    action: Annotated[Action | None, typer.Option(help="Only this.", show_default=False)] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Only entries before this number.", show_default=False)] = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 50,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show entries, the newest first: who by account and role, what, about whom, why, when. Reading the log is in the log.

    Of a resident also the imports of epidemic data that say something of them: what an import turned names its number.
    """
    about = audit.about("resident", resident) if resident else subject
    if not audit.is_word(about):
        raise typer.BadParameter(f"{about[:40]!r}: expected resident/ID, account/ID or proposal/NUMBER")
    with opened(config) as office:
        with office.store.read() as tx:
            found = rows.list_newest(tx, most, before=before, subject=about, account=account, action=action.value if action else "")
            telling = epidemic.list_telling(tx, resident) if resident else []
        _note(office, about, len(found))
    if as_json:
        for row in found:
            typer.echo(json.dumps(_as_dict(row)))
        for imported, facts in telling:
            typer.echo(json.dumps(_import_as_dict(imported, facts)))
        return
    table = Table(box=None)
    for name in ("entry", "when", "who", "role", "action", "about"):
        table.add_column(name, no_wrap=True)
    table.add_column("detail", overflow="fold")
    for row in found:
        detail = " ".join(f"{name}={value}" for name, value in json.loads(row.detail).items())
        table.add_row(str(row.entry), rfc3339(row.at_ms / 1000), cell(row.account), row.role, row.action, cell(row.subject), cell(detail))
    Console(highlight=False).print(table)
    if telling:
        _print_imports(telling)


@app.command("head")
@in_one_line
def head(
    file: Annotated[Path, typer.Argument(help="Where to write the newest signed head.", show_default=False)],
    config: ConfigPath = DEFAULT_CONFIG,
) -> None:
    """Write the newest signed head to FILE, to be kept where nobody who looks after the server can change it."""
    with opened(config) as office, office.store.read() as tx:
        newest = rows.newest_head(tx)
    if newest is None:
        typer.echo("healthgate audit: there is no signed head yet: `server run` makes one every day", err=True)
        raise typer.Exit(1)
    try:
        file.write_bytes(newest.body)
    except OSError as wrong:
        raise KeyFileError(f"{file}: cannot be written: {wrong.strerror}") from None
    typer.echo(f"{file}: entry {newest.entry}, {rfc3339(newest.at_ms / 1000)}")


def _tell(found: Sound | Broken, kept: int, unread: int, as_json: bool) -> None:
    match found:
        case Sound(entries, digest, heads):
            told = {"entries": entries, "digest": digest.hex(), "heads": heads, "kept_heads": kept, "heads_of_unknown_keys": unread}
            if as_json:
                typer.echo(json.dumps({"holds": True, **told}))
                return
            typer.echo(f"the log holds: {entries} entries, {heads} signed heads agree ({kept} of them kept elsewhere)")
            if unread:
                typer.echo(f"{unread} stored heads are by keys that the trust list no longer names: they say nothing")
        case Broken(entry, why):
            if as_json:
                typer.echo(json.dumps({"holds": False, "entry": entry, "why": why}))
            else:
                typer.echo(f"healthgate audit: the log does not hold: {why}", err=True)
            raise typer.Exit(1)


def _print_imports(telling: Sequence[tuple[ImportRow, int]]) -> None:
    typer.echo("\nimports that say something of this resident:")
    table = Table(box=None)
    for name in ("import", "in force", "by", "kind", "rows", "of them"):
        table.add_column(name, no_wrap=True)
    table.add_column("file, SHA-256 of what was read", overflow="fold")
    for row, facts in telling:
        since = rfc3339((row.in_force_ms or 0) / 1000)
        until = "" if row.withdrawn_ms is None else f" to {rfc3339(row.withdrawn_ms / 1000)}, withdrawn by {row.withdrawn_by}"
        told = f"{row.file} {audit.in_groups(row.digest)}"
        table.add_row(str(row.number), since + until, cell(row.made_by), row.kind, str(row.row_count), str(facts), cell(told))
    Console(highlight=False).print(table)


def _import_as_dict(row: ImportRow, facts: int) -> dict[str, object]:
    return {
        "import": row.number,
        "kind": row.kind,
        "file": row.file,
        "digest": audit.in_groups(row.digest),
        "made_by": row.made_by,
        "rows": row.row_count,
        "facts_about_them": facts,
        "in_force": rfc3339((row.in_force_ms or 0) / 1000),
        "withdrawn": None if row.withdrawn_ms is None else rfc3339(row.withdrawn_ms / 1000),
        "withdrawn_by": row.withdrawn_by,
    }


def _note(office: Office, about: str, count: int) -> None:
    with office.store.write() as tx:
        audit.append(tx, console(), Action.AUDIT_SHOWN, about, {"entries": count}, office.now())


def _read_head(data: bytes, name: str, ring: KeyRing, issuer: str) -> AuditHead:
    found = read(data, AuditHead, ring, time.time())
    if not isinstance(found, Signed):
        raise KeyFileError(f"{name}: {found.value}: expected a head of the audit log, signed by {issuer}")
    if found.message.issuer != issuer:
        raise KeyFileError(f"{name}: it is of {found.message.issuer}: expected one of {issuer}")
    return found.message


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_HEAD + 1)
    except OSError as wrong:
        raise KeyFileError(f"{path}: cannot be read: {wrong.strerror}") from None


def _as_dict(row: rows.EntryRow) -> dict[str, object]:
    return {
        "entry": row.entry,
        "at": rfc3339(row.at_ms / 1000),
        "account": row.account,
        "role": row.role,
        "action": row.action,
        "subject": row.subject,
        "detail": json.loads(row.detail),
        "digest": row.digest.hex(),
    }
