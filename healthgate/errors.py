"""What is wrong and foreseen, said in one line on the standard error: the same for every command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from healthcode.settings import SettingsError

P = ParamSpec("P")


def one_line_errors(name: str, *errors: type[Exception]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A decorator for commands: each of `errors` becomes `name`, a colon and its first line on stderr, and exit status 2.

    A configuration with several faults has a line for each.
    """

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                command(*args, **kwargs)
            except errors as wrong:
                lines = str(wrong).splitlines() or [type(wrong).__name__]
                for line in lines if isinstance(wrong, SettingsError) else lines[:1]:
                    typer.echo(f"{name}: {line}", err=True)
                raise typer.Exit(2) from None

        return run

    return decorate
