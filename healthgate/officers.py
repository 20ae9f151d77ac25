"""Who acts at the command line on others' behalf: an account that signs in with its password, as on the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.accounts import Refused
from server.actors import Actor
from server.office import Office

By = Annotated[str, typer.Option("--by", help="The sign-in name of the account that does this.", show_default=False)]
PasswordFile = Annotated[
    Path | None, typer.Option(help="Take the password from the first line of this file (- for standard input) and do not ask.")
]


def read_password(path: Path | None, *, confirmed: bool = False) -> str:
    """The password from the first line of a file, or asked for. Exits with status 2 where the file cannot be read."""
    if path is None:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=confirmed, err=True))
    try:
        text = typer.get_text_stream("stdin").readline() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        typer.echo(f"healthgate: {path}: cannot be read: {wrong}", err=True)
        raise typer.Exit(2) from None
    return text.partition("\n")[0].removesuffix("\r")


def signed_in(office: Office, name: str, password_file: Path | None) -> Actor:
    """The account of this name, once it has given its password. Exits with status 1 where it is wrong."""
    found = office.sessions.sign_in(name, read_password(password_file), "127.0.0.1")
    if isinstance(found, Refused):
        typer.echo(f"healthgate: {name[:64]}: {found.detail}", err=True)
        raise typer.Exit(1)
    office.sessions.sign_out(found.token)
    return found.session.actor
