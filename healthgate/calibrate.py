"""`healthgate edge calibrate`: guides an operator through a black body at 35, 37 and 39 °C and keeps the sensor's offset."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from edge.calibration import POINTS_C, Calibration, Cold, Refused
from edge.config import Config
from edge.sensor_files import calibration_path, open_power_file, read_calibration, write_calibration
from edge.thermal import Reading, Thermometer
from healthgate.black_body import Asked, Bench, Plan, Step, Taken, Time, Watched
from healthgate.thermometer import describe_part, distance, hold_hardware, load_config

USER = "healthgate edge calibrate"


def as_json(step: Step) -> dict[str, object]:
    """A step as `--json` prints it."""
    match step:
        case Cold(left_s=left_s, detail=detail):
            return {"event": "cold", "left_s": round(left_s), "detail": detail}
        case Asked(black_body_c=black_body_c):
            return {"event": "set", "black_body_c": black_body_c}
        case Watched(black_body_c=black_body_c, found=found, waiting=waiting):
            read_c = round(found.skin_c, 2) if isinstance(found, Reading) else None
            return {"event": "read", "black_body_c": black_body_c, "read_c": read_c, "done": waiting.done, "detail": waiting.detail}
        case Taken(point=point):
            return {"event": "point", **msgspec.structs.asdict(point)}


class Guide:
    """Tells an operator at a terminal, or a file, what to do and what is read."""

    def __init__(self, console: Console, config: Config, plan: Plan, ask: bool) -> None:
        """With `ask` the operator says with Enter that the black body is ready."""
        self._console = console
        self._config = config
        self._plan = plan
        self._ask = ask
        self._progress: Progress | None = None

    def tell(self, step: Step) -> None:
        """Shows one step."""
        match step:
            case Cold(left_s=left_s, detail=detail):
                self._show("○ waiting", f"{detail}, {left_s / 60:.0f} min to go" if left_s else detail, 0)
            case Asked(black_body_c=black_body_c):
                self.close()
                self._console.print(
                    f"[bold]Black body at {black_body_c:g} °C[/], {distance(self._config)} before the sensor, filling its view."
                )
                if self._ask:
                    self._console.input("  Enter when it has come to rest there: ")
            case Watched(black_body_c=black_body_c, found=found, waiting=waiting):
                reads = f"reads {found.skin_c:.2f} °C" if isinstance(found, Reading) else "✕"
                says_it = waiting.detail.startswith("reads")
                self._show(f"○ {black_body_c:g} °C", waiting.detail if says_it else f"{reads}  {waiting.detail}", waiting.done)
            case Taken(point=point):
                self.close()
                off = point.read_c - point.black_body_c
                self._console.print(f"  [green]●[/] read {point.read_c:.2f} °C, {off:+.2f}, spread {point.spread_c:.2f}")

    def close(self) -> None:
        """Ends what is being drawn."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _show(self, what: str, detail: str, done: int) -> None:
        if self._progress is None:
            columns = (TextColumn("  {task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[detail]}"))
            self._progress = Progress(*columns, console=self._console, transient=True, auto_refresh=self._console.is_terminal)
            self._progress.add_task(what, total=self._plan.samples, detail=detail)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], description=what, completed=done, detail=detail)


def show_result(console: Console, found: Calibration, path: Path) -> None:
    """What was found and where it is kept."""
    table = Table()
    for name in ("black body °C", "read °C", "deviation", "after correction"):
        table.add_column(name, justify="right")
    for point in found.points:
        off = point.read_c - point.black_body_c
        table.add_row(f"{point.black_body_c:.1f}", f"{point.read_c:.2f}", f"{off:+.2f}", f"{off + found.offset_c:+.2f}")
    console.print(table)
    console.print(f"[green]●[/] offset [bold]{found.offset_c:+.2f} °C[/] for sensor {found.sensor}, by {escape(found.operator)}")
    console.print(f"  kept in {path}, counts from the unit's next start", markup=False)


def describe_before(path: Path, due_days: float) -> str:
    """What is kept now, in one line."""
    match read_calibration(path):
        case None:
            return "never calibrated"
        case Calibration() as kept:
            return f"last calibrated {kept.at:%Y-%m-%d} by {kept.operator}, offset {kept.offset_c:+.2f} °C, good for {due_days:g} days"
        case broken:
            return broken.detail


def calibrate(
    config: Annotated[Path, typer.Option("--config", help="The unit's configuration, a TOML file.")],
    operator: Annotated[str, typer.Option(help="Who calibrates; asked for where it is left out.")] = "",
    emissivity: Annotated[float, typer.Option(min=0.8, max=1.0, help="Emissivity of the black body, from its certificate.")] = 0.99,
    samples: Annotated[int, typer.Option(min=10, max=200, help="Readings a point.")] = 20,
    limit_s: Annotated[float, typer.Option(min=5, max=3600, help="Seconds until a point that does not settle ends it all.")] = 300.0,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing: each point begins as soon as it is read. A cold sensor ends it.")
    ] = False,
    in_json: Annotated[bool, typer.Option("--json", help="One JSON object a line; asks nothing, as with --yes.")] = False,
) -> None:
    """Find the offset of this unit's thermometer with a black body at 35, 37 and 39 °C, and keep it in the unit's folder.

    The unit must not be running, and its sensor must have had power for half an hour. An offset of over 0.5 °C is refused: such a sensor is
    replaced. Exit status 1 where it came to nothing; then what was kept before stays as it is.
    """
    unattended = yes or in_json
    if not unattended and not sys.stdin.isatty():
        typer.echo(f"{USER}: nobody can answer: expected a terminal, or --yes with --operator NAME", err=True)
        raise typer.Exit(2)
    loaded = load_config(config)
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    with hold_hardware(loaded, USER) as hardware:
        path = calibration_path(loaded)
        if not in_json:
            console.print(
                f"[bold]unit {loaded.unit}[/]: {describe_part(loaded)}\n{describe_before(path, loaded.sensor.calibration_due_days)}"
            )
            if abs(loaded.sensor.supply_v - 3.3) < 1e-9:
                console.print("sensor.supply_v has its default of 3.3 V: has it been measured at the can?", style="dim")
        operator = (operator or ("" if unattended else console.input("Your name: "))).strip()
        if not 1 <= len(operator) <= 80:
            typer.echo(f"{USER}: --operator: expected a name of 1 to 80 characters", err=True)
            raise typer.Exit(2)
        plan = Plan(operator, POINTS_C, samples, limit_s, patient=not unattended)
        black_body = msgspec.structs.replace(loaded.sensor, emissivity=emissivity)
        power = open_power_file(Path(loaded.data))
        thermometer = Thermometer(hardware.bus, black_body, time.monotonic(), hardware.powered_s, power=power)
        guide = Guide(console, loaded, plan, ask=not unattended)
        tell: Callable[[Step], None] = (lambda step: typer.echo(json.dumps(as_json(step)))) if in_json else guide.tell
        try:
            found = Bench(thermometer, loaded, plan, Time(time.monotonic, time.time, time.sleep), tell).run()
        except (KeyboardInterrupt, EOFError):
            found = Refused("interrupted: nothing was kept")
        finally:
            guide.close()
        if isinstance(found, Calibration):
            found = keep(found, path)
        finish(found, path, console, in_json)


def keep(found: Calibration, path: Path) -> Calibration | Refused:
    """Puts `found` into `path`; Refused where the disk does not take it."""
    try:
        write_calibration(path, found)
    except OSError as wrong:
        return Refused(f"{path}: {wrong.strerror}: expected a file that can be written")
    return found


def finish(found: Calibration | Refused, path: Path, console: Console, in_json: bool) -> None:
    """Says how it ended; exit status 1 where it came to nothing."""
    if isinstance(found, Refused):
        typer.echo(
            json.dumps({"event": "refused", "detail": found.detail}) if in_json else f"✕ not calibrated: {found.detail}", err=not in_json
        )
        raise typer.Exit(1)
    if in_json:
        typer.echo(json.dumps({"event": "calibrated", "path": str(path), **msgspec.to_builtins(found)}))
    else:
        show_result(console, found, path)
