"""What is wrong and foreseen, said in one line on the standard error: the same for every command."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

P = ParamSpec("P")


def one_line_errors(name: str, *errors: type[Exception]) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A decorator for commands: each of `errors` becomes `name`, a colon and its first line on stderr, and exit status 2."""

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                command(*args, **kwargs)
            except errors as wrong:
                typer.echo(f"{name}: {(str(wrong).splitlines() or [type(wrong).__name__])[0]}", err=True)
                raise typer.Exit(2) from None

        return run

    return decorate
