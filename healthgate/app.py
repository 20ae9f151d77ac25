"""`healthgate app`: apps of others that act for people by the API: add, list, rotate a secret, disable; and the API's description."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from healthgate.cells import cell
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from healthgate.times import rfc3339
from server.apps import KEEP_OLD_S, App, Credentials, Refused, Scope

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Apps that act for people by the API: add, list, rotate a secret, let one do nothing any more. docs/api.md",
)

Id = Annotated[str, typer.Argument(help="The app's id, as `app list` shows it.", show_default=False)]


@app.command("add")
@in_one_line
def add(
    name: Annotated[str, typer.Argument(help="The name that residents read when they are asked.", show_default=False)],
    scope: Annotated[list[Scope] | None, typer.Option(help="What it may do; again for each. Without: everything.")] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Make an app known. Its secret is shown this once: the database holds no more than its hash."""
    with opened(config) as office:
        _show_secret(office.apps.add(name, scope or list(Scope)), as_json)


@app.command("list")
@in_one_line
def list_apps(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show the apps."""
    with opened(config) as office:
        found = office.apps.list_apps()
    if as_json:
        for each in found:
            typer.echo(json.dumps(_as_dict(each), ensure_ascii=False))
        return
    table = Table("id", "name", "scopes", "added", "secret of", "state", box=None)
    for each in found:
        state = "in use" if each.disabled is None else f"disabled {rfc3339(each.disabled)}"
        table.add_row(each.app, cell(each.name), " ".join(each.scopes), rfc3339(each.added), rfc3339(each.rotated), state)
    Console(highlight=False).print(table)


@app.command("rotate")
@in_one_line
def rotate(
    app_id: Id,
    hours: Annotated[float, typer.Option(min=0, max=720, help="How long the old secret is good; 0: it was lost.")] = KEEP_OLD_S / 3600,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Give an app another secret. With --hours 0 the old one and every token that is out end at once."""
    with opened(config) as office:
        _show_secret(office.apps.rotate(app_id, hours * 3600), as_json)


@app.command("disable")
@in_one_line
def disable(
    app_id: Id,
    undo: Annotated[bool, typer.Option("--undo", help="Let it again.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Let an app do nothing any more: its tokens end at once."""
    with opened(config) as office:
        outcome = office.apps.set_enabled(app_id, undo)
    if isinstance(outcome, Refused):
        _fail(outcome)
        return
    state = "in use" if outcome.disabled is None else "disabled"
    typer.echo(json.dumps(_as_dict(outcome), ensure_ascii=False) if as_json else f"{outcome.name}: {state}")


@app.command("openapi")
def openapi(
    out: Annotated[Path | None, typer.Option(help="Write it to this file.", show_default=False)] = None,
) -> None:
    """Write the API's description (OpenAPI 3.1, JSON): what a running server serves at /api/v1/openapi.json."""
    from server.web.api.application import describe_api

    text = describe_api()
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as wrong:
        typer.echo(f"healthgate app: {out}: cannot be written: {wrong.strerror}", err=True)
        raise typer.Exit(2) from None


def _show_secret(outcome: Credentials | Refused, as_json: bool) -> None:
    if isinstance(outcome, Refused):
        _fail(outcome)
        return
    if as_json:
        typer.echo(json.dumps({**_as_dict(outcome.app), "secret": outcome.secret}, ensure_ascii=False))
        return
    typer.echo(f"id      {outcome.app.app}\nsecret  {outcome.secret}\nscopes  {' '.join(outcome.app.scopes)}")
    typer.echo("The secret is not shown again.", err=True)


def _fail(refused: Refused) -> None:
    typer.echo(f"healthgate app: {refused.detail}", err=True)
    raise typer.Exit(1)


def _as_dict(known: App) -> dict[str, object]:
    return {
        "id": known.app,
        "name": known.name,
        "scopes": list(known.scopes),
        "added": rfc3339(known.added),
        "rotated": rfc3339(known.rotated),
        "disabled": None if known.disabled is None else rfc3339(known.disabled),
    }
