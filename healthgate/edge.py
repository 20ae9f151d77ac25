"""`healthgate edge`: run a gate unit, or check its configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from edge import config as configuration
from edge.__main__ import check_password, load_roots, main

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Run a gate unit.")
ConfigFile = Annotated[Path, typer.Option("--config", help="The unit's configuration, a TOML file.")]


@app.command()
def run(config: ConfigFile) -> None:
    """Run the unit until SIGTERM or Ctrl-C. Exit status 2 where its configuration or hardware cannot be used."""
    raise typer.Exit(main(config))


@app.command()
def check(config: ConfigFile, as_json: Annotated[bool, typer.Option("--json", help="Print every key with its value.")] = False) -> None:
    """Read a configuration and the files that it names, roots and password, and say whether they can be used; nothing is started."""
    try:
        found = configuration.load(config)
        load_roots(found)
        check_password(found)
    except configuration.ConfigError as wrong:
        typer.echo(str(wrong), err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        typer.echo(f"{config}: unit {found.unit}, hardware {found.hardware}: good")
