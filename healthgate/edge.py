"""`healthgate edge`: run a gate unit, or check its configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from edge import config as configuration
from edge.__main__ import check_password, check_thresholds, main
from edge.cache import held_roots
from edge.identity import check_identity
from edge.rootfiles import load_roots
from healthcode.roots import describe_root
from healthcode.setting_keys import example_toml
from healthgate.calibrate import calibrate
from healthgate.edge_clock import reset_clock
from healthgate.edge_enrol import enrol
from healthgate.edge_updates import ready, release, update
from healthgate.lane_mode import mode
from healthgate.probe import probe
from healthgate.signals import signals

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="Run a gate unit.")
ConfigFile = Annotated[Path, typer.Option("--config", help="The unit's configuration, a TOML file.")]

app.command()(enrol)
app.command()(mode)
app.command()(signals)
app.command()(reset_clock)
app.command()(update)
app.command()(release)
app.command()(ready)


@app.command()
def run(config: ConfigFile) -> None:
    """Run the unit until SIGTERM or Ctrl-C. Exit status 2 where its configuration or hardware cannot be used."""
    raise typer.Exit(main(config))


def refuse(faults: str) -> NoReturn:
    """Says all that is wrong, a line each, and ends with status 2."""
    typer.echo(faults, err=True)
    raise typer.Exit(2)


def fault_of(look: Callable[[configuration.Config], object], config: configuration.Config) -> str | None:
    """What `look` finds wrong with the files that `config` names; None for nothing."""
    try:
        look(config)
    except configuration.ConfigError as wrong:
        return str(wrong)
    return None


def roots_of(config: configuration.Config) -> list[str]:
    """The root keys that the unit goes by, a line each: those of its configuration, and those that it has learnt of since."""
    try:
        roots, version = held_roots(Path(config.data) / "cache", load_roots(config))
    except OSError as wrong:
        return [f"roots: those that the unit has learnt of cannot be read from {config.data}: {wrong.strerror}"]
    signing = roots.signing(version)
    return [f"{describe_root(root)}{'' if root.key in signing else ': does not count'}" for root in roots.known()]


@app.command()
def check(config: ConfigFile, as_json: Annotated[bool, typer.Option("--json", help="Print every key with its value.")] = False) -> None:
    """Read a configuration and the files that it names, roots, password, certificates, and say all that is wrong; nothing is started."""
    try:
        found = configuration.load(config)
    except configuration.ConfigError as wrong:
        refuse(str(wrong))
    faults = [
        f"{config}: {fault}" for look in (load_roots, check_password, check_identity, check_thresholds) if (fault := fault_of(look, found))
    ]
    if faults:
        refuse("\n".join(faults))
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        typer.echo(f"{config}: unit {found.unit}, hardware {found.hardware}: good")
        for line in roots_of(found):
            typer.echo(line)


@app.command()
def example() -> None:
    """Print a configuration with every key, its meaning, bounds and default; what must be given has an example."""
    typer.echo("# The configuration of a gate unit. Each key that is commented out has the value that it has without the line.\n")
    typer.echo(example_toml(configuration.Config), nl=False)


app.command()(probe)
app.command()(calibrate)
