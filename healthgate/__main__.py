"""The command line. Each command's module is imported only when it is called, so that a unit needs none of the server's packages."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """Where a command lives, what it does in one line, and the extra of the distribution that it needs."""

    module: str
    summary: str
    extra: str


COMMANDS = {
    "demo": Command(
        "healthgate.demo", "A broker, the server and two simulated gates on this machine; --story plays and checks a day.", "server"
    ),
    "edge": Command("healthgate.edge", "Run a gate unit, or check its configuration.", "edge"),
    "server": Command("healthgate.server", "Run the server: bridge, lists, issuer.", "server"),
    "fleet": Command("healthgate.fleet", "The units as operators handle them: enrol, govern, watch.", "server"),
    "release": Command("healthgate.release", "Build, sign and publish what gates run.", "release"),
    "keys": Command("healthgate.keys", "Make, show, recognise and withdraw keys.", "edge"),
    "audit": Command("healthgate.audit", "The log of changes and views: does it hold, what is in it.", "server"),
    "resident": Command("healthgate.resident", "Residents and their colours: add, list, set with a reason.", "server"),
    "epidemic": Command("healthgate.epidemic", "What clinics report: import, list, withdraw.", "server"),
    "proposal": Command("healthgate.proposal", "Colours by hand and numbers put right: one proposes, another approves.", "server"),
    "account": Command("healthgate.account", "Who may sign in to the pages, and as what.", "server"),
    "app": Command("healthgate.app", "Apps that act for people by the API: add, list, rotate, disable.", "server"),
    "policy": Command("healthgate.policy", "The rules by which a colour follows: show, check, try out before they are in force.", "server"),
    "outage": Command("healthgate.outage", "Times in which nobody could check in: nothing lapses in them.", "server"),
    "code": Command("healthgate.code", "Write, read and show health codes.", "edge"),
    "scan": Command("healthgate.scan", "Read the QR codes in image files and folders.", "edge"),
    "simulate": Command("healthgate.simulate", "A town under virtual time, with faults drawn from a seed; finds what breaks it.", "server"),
    "completion": Command("healthgate.completion", "What bash, zsh or fish loads to complete commands and names of units.", "edge"),
    "bench": Command("healthgate.bench", "Measure the reader against its peers, and an idle gate.", "bench"),
}


OURS = ("healthgate", "edge", "server", "healthcode")


def main() -> None:
    """Entry point of the `healthgate` command: hands the rest of the line to the command's own typer app."""
    if "_HEALTHGATE_COMPLETE" in os.environ:
        from healthgate.completion import VARIABLE, answer

        sys.exit(answer({name: (command.module, command.summary) for name, command in COMMANDS.items()}, os.environ[VARIABLE]))
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("", "-h", "--help", "help"):
        print_help()
        sys.exit(0 if name else 2)
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f", did you mean {near[0]!r}?" if near else ": expected one of " + ", ".join(COMMANDS)
        print(f"healthgate: no command {name!r}{hint}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    command = COMMANDS[name]
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as missing:
        package = (missing.name or "").split(".")[0]
        if package in OURS:
            raise
        print(f"healthgate {name} needs the package {package}: type pip install 'healthgate[{command.extra}]'", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    module.app(args=sys.argv[2:], prog_name=f"healthgate {name}")


def print_help() -> None:
    """The commands and what each is for, one line each."""
    lines = ["Usage: healthgate COMMAND [ARGS]...", "", "The health-code checkpoint that keeps working when the network does not.", ""]
    lines += [f"  {name:<10} {command.summary}" for name, command in COMMANDS.items()]
    lines += ["", "healthgate COMMAND --help says more about one."]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
