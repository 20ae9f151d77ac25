"""Completion of commands, options and names of units in bash, zsh and fish: `healthgate completion SHELL` prints what the shell is to load.

The shell then runs `healthgate` with the variable VARIABLE set, and is answered here; the module of a command is imported only when its
name is complete.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.completion import shell_complete
from typer.core import TyperCommand, TyperGroup

PROGRAM = "healthgate"
VARIABLE = "_HEALTHGATE_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


def answer(commands: Mapping[str, tuple[str, str]], instruction: str) -> int:
    """Answers the shell, on the standard output; `commands` gives each command's (module, summary). The exit status."""
    from typer._completion_classes import completion_init

    completion_init()
    return shell_complete(_group(commands), {}, PROGRAM, VARIABLE, instruction)


def _group(commands: Mapping[str, tuple[str, str]]) -> TyperGroup:
    class Commands(TyperGroup):
        """All commands by name; each real one is loaded when the line goes beyond its name."""

        def list_commands(self, ctx: Any) -> list[str]:
            return list(commands)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return TyperCommand(cmd_name, short_help=commands[cmd_name][1]) if cmd_name in commands else None

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            name, rest = args[0], args[1:]
            return (name, _load(commands[name][0]), rest) if name in commands else (None, None, args)

    return Commands(name=PROGRAM)


def _load(module: str) -> Any:
    """The command's own; what needs packages that are not installed completes nothing."""
    try:
        return typer.main.get_command(importlib.import_module(module).app)
    except ModuleNotFoundError:
        return TyperCommand(module)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Print what a shell needs to complete commands and units.")


def shells(incomplete: str) -> list[str]:
    """The shells that begin so."""
    return [shell for shell in SHELLS if shell.startswith(incomplete)]


@app.command("completion")
def completion(shell: str = typer.Argument(help="bash, zsh or fish.", show_default=False, autocompletion=shells)) -> None:
    """Print what SHELL is to load, such as by: eval "$(healthgate completion bash)"."""
    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell[:20]!r}: expected one of {', '.join(SHELLS)}")
    raise typer.Exit(answer({}, f"source_{shell}"))
