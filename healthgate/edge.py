"""`healthgate edge`: run a gate unit, or check its configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer

from edge import config as configuration
from edge import overrides
from edge.__main__ import check_password, check_thresholds, main
from edge.afar import settable
from edge.cache import held_roots
from edge.identity import check_identity
from edge.rootfiles import load_roots
from edge.trial import Held
from healthcode.desired import read_settings
from healthcode.roots import describe_root
from healthcode.setting_keys import example_toml, show
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
    """Read a configuration and the files that it names, roots, password, certificates, and say all that is wrong; nothing is started.

    It also says which configuration from afar stands above the file, and which keys it sets.
    """
    try:
        own = overrides.own_layer(config)
        found = configuration.parse(own.text, own.name)
    except configuration.ConfigError as wrong:
        refuse(str(wrong))
    faults = [
        f"{config}: {fault}" for look in (load_roots, check_password, check_identity, check_thresholds) if (fault := fault_of(look, found))
    ]
    if faults:
        refuse("\n".join(faults))
    path = Path(found.data) / overrides.FILE
    held = overrides.read(path)
    if isinstance(held, str):
        refuse(f"{path}: {held}: expected what the unit wrote there; at its next start it puts the file aside")
    kept, in_force = overrides.fit(held, own, found)
    if as_json:
        said = msgspec.to_builtins(in_force) | {"desired": msgspec.to_builtins(kept) | {"in_force": kept.current.version}}
        typer.echo(json.dumps(said, indent=2))
        return
    typer.echo(f"{config}: unit {found.unit}, hardware {found.hardware}: good")
    for line in [*roots_of(found), *afar_of(kept, found, in_force)]:
        typer.echo(line)


def afar_of(held: Held, own: configuration.Config, in_force: configuration.Config) -> list[str]:
    """What the unit was told from afar: which version is in force, what it changes, and why a newer one is not."""
    if not held.newest:
        return ["from afar: nothing; the file alone counts"]
    current = held.current
    told = "on trial" if held.trial is not None else "in force" if current.version else "none in force"
    lines = [f"from afar: {f'version {current.version} ' if current.version else ''}{told}, the newest is {held.newest}"]
    if held.refused is not None:
        lines += [f"  version {held.newest}, {held.refused.value.replace('_', ' ')}: {fault}" for fault in held.faults]
    before, now = settable(own), settable(in_force)
    lines += [f"  {key} = {show(now[key])}; {own_says(before[key], now[key])}" for key in read_settings(current.text)]
    return lines


def own_says(before: object, now: object) -> str:
    """What the unit's own file says of a key that is set from afar."""
    return "as the file has it" if before == now else f"the file has {show(before)}"


@app.command()
def example() -> None:
    """Print a configuration with every key, its meaning, bounds and default; what must be given has an example."""
    typer.echo("# The configuration of a gate unit. Each key that is commented out has the value that it has without the line.\n")
    typer.echo(example_toml(configuration.Config), nl=False)


app.command()(probe)
app.command()(calibrate)
