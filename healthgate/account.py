"""`healthgate account`: who may sign in to the pages, and as what; on the registry's database directly."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from healthgate.cells import cell
from healthgate.officers import PasswordFile, read_password
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, in_one_line, opened
from healthgate.times import rfc3339
from server.accounts import Account, Refused
from server.actors import Role

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Who may sign in: add, list, set a password, let nobody in any more.",
)

Name = Annotated[str, typer.Argument(help="Telephone number or chosen name.", show_default=False)]


@app.command("add")
@in_one_line
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What the account is for.", show_default=False)],
    password_file: PasswordFile = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Make an account; asks twice for its password."""
    if role is Role.APP:
        raise typer.BadParameter("expected another role: apps are added with healthgate app add", param_hint="--role")
    password = read_password(password_file, confirmed=True)
    with opened(config) as office:
        _show(office.accounts.add(name, password, role), as_json)


@app.command("list")
@in_one_line
def list_accounts(
    role: Annotated[Role | None, typer.Option(help="Only these.", show_default=False)] = None,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show the accounts, the first thousand of them."""
    with opened(config) as office:
        found = office.accounts.list_accounts(role)
    if as_json:
        for account in found:
            typer.echo(json.dumps(_as_dict(account), ensure_ascii=False))
        return
    table = Table("id", "name", "role", "added", "state", box=None)
    for account in found:
        state = "in use" if account.disabled is None else f"disabled {rfc3339(account.disabled)}"
        table.add_row(account.account, cell(account.name), account.role.value, rfc3339(account.added), state)
    Console(highlight=False).print(table)


@app.command("password")
@in_one_line
def password(name: Name, password_file: PasswordFile = None, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Set another password, for a person who lost theirs. Ends every session of the account."""
    fresh = read_password(password_file, confirmed=True)
    with opened(config) as office:
        _show(office.accounts.set_password(name, fresh), as_json)


@app.command("disable")
@in_one_line
def disable(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Let them sign in again.")] = False,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Let nobody sign in to the account any more, and end its sessions at once. What was done with it stays on record."""
    with opened(config) as office:
        _show(office.accounts.set_enabled(name, undo), as_json)


def _show(outcome: Account | Refused, as_json: bool) -> None:
    if isinstance(outcome, Refused):
        typer.echo(f"healthgate account: {outcome.detail}", err=True)
        raise typer.Exit(1)
    state = "in use" if outcome.disabled is None else "disabled"
    typer.echo(json.dumps(_as_dict(outcome), ensure_ascii=False) if as_json else f"{outcome.name}: {outcome.role.value}, {state}")


def _as_dict(account: Account) -> dict[str, object]:
    return {
        "id": account.account,
        "name": account.name,
        "role": account.role.value,
        "added": rfc3339(account.added),
        "disabled": None if account.disabled is None else rfc3339(account.disabled),
    }
