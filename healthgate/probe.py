"""`healthgate edge probe`: what a unit's thermometer reads, word by word, and what screening would say of it."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.__main__ import open_thermometer
from edge.config import Config
from edge.screening import Screened, estimate_body, screen
from edge.thermal import Reading, SensorFault, SensorState, Thermometer
from healthcode.terms import Screening
from healthgate.thermometer import describe_part, hold_hardware, load_config

USER = "healthgate edge probe"
ROWS_AROUND = 8
"""Lines of the screen that are no readings."""
SHAPES = {
    Screening.NORMAL: ("●", "green"),
    Screening.RECHECK: ("▲", "yellow"),
    Screening.FEVER_SUSPECTED: ("■", "red"),
    Screening.SENSOR_FAULT: ("✕", "red"),
}
OTHER_SHAPE = ("○", "cyan")


@dataclass(frozen=True)
class Line:
    """One cycle of the thermometer at `at` (seconds since 1970), and what its newest readings say together."""

    at: float
    words: tuple[int | None, int | None]
    found: Reading | SensorFault
    state: SensorState
    screened: Screened

    @property
    def screening(self) -> Screening:
        """What the gate would show: the hint while there is no result."""
        return self.screened.hint or self.screened.screening

    def as_json(self) -> str:
        """One line of JSON, as `--json` prints it."""
        said: dict[str, object] = {
            "at": round(self.at, 3),
            "ambient_word": self.words[0],
            "object_word": self.words[1],
            "ambient_c": None,
            "skin_c": None,
            "body_c": None,
            "screening": self.screening.value,
            "powered_s": round(self.state.powered_s, 1),
            "ambient_drift_c_per_min": round(self.state.ambient_drift_c_per_min, 3),
            "fault": None,
            "detail": "",
        }
        match self.found:
            case Reading(skin_c=skin_c, ambient_c=ambient_c):
                body_c = estimate_body(skin_c, ambient_c)
                said |= {"ambient_c": round(ambient_c, 2), "skin_c": round(skin_c, 2), "body_c": round(body_c, 2)}
            case SensorFault(kind=kind, detail=detail):
                said |= {"fault": kind.value, "detail": detail}
        return json.dumps(said)

    def as_text(self) -> str:
        """One line of text, for what is no terminal."""
        shape, _ = SHAPES.get(self.screening, OTHER_SHAPE)
        return "  ".join([*self.cells(), f"{shape} {self.screening.value}"])

    def cells(self) -> list[str]:
        """Time, words, temperatures; a fault in place of the temperatures."""
        words = ["  --  " if word is None else f"0x{word:04X}" for word in self.words]
        when = time.strftime("%H:%M:%S", time.localtime(self.at))
        if isinstance(self.found, SensorFault):
            return [when, *words, f"{self.found.kind.value}: {self.found.detail}"]
        body = estimate_body(self.found.skin_c, self.found.ambient_c)
        return [when, *words, f"{self.found.ambient_c:6.2f}", f"{self.found.skin_c:6.2f}", f"{body:6.2f}"]


def watch(thermometer: Thermometer, config: Config) -> Iterator[Line]:
    """The lines, one a cycle, without end."""
    policy = config.screening
    newest: deque[Reading | SensorFault] = deque(maxlen=max(policy.samples, policy.failed_cycles))
    while True:
        time.sleep(config.sensor.quiet_s)
        found = thermometer.read(time.monotonic())
        newest.append(found)
        state = thermometer.state(found.at)
        screened = screen(tuple(newest), policy, state, None, found.at, newest[0].at)
        yield Line(time.time(), thermometer.words, found, state, screened)


def head(thermometer: Thermometer, config: Config, line: Line | None) -> Text:
    """What stands above the readings: part, identity, power, drift, calibration."""
    text = Text(f"unit {config.unit}: {describe_part(config)}\n", style="bold")
    if line is not None:
        warm_s = config.screening.warm_up_s
        power = f"{line.state.powered_s / 60:.0f} min" + ("" if line.state.powered_s >= warm_s else f" of {warm_s / 60:.0f}: ○ WARMING")
        drift = f"{line.state.ambient_drift_c_per_min:.2f} °C a minute"
        text.append(f"sensor {thermometer.identity or 'unknown'}   powered for {power}   ambient drift {drift}\n")
    if thermometer.warning:
        text.append(f"▲ {thermometer.warning}\n", style="yellow")
    return text


def draw(thermometer: Thermometer, config: Config, lines: deque[Line]) -> Group:
    """The screen: newest reading at the bottom."""
    table = Table()
    for name in ("time", "ambient 0x06", "object 0x07", "ambient °C", "skin °C", "estimate °C", "screening"):
        table.add_column(name, justify="left" if name in ("time", "screening") else "right", no_wrap=True)
    for line in lines:
        shape, style = SHAPES.get(line.screening, OTHER_SHAPE)
        words = line.cells()
        verdict = Text(f"{shape} {line.screening.value}", style=style)
        if isinstance(line.found, SensorFault):
            verdict.append(f"  {line.found.kind.value}")
            words[3:] = ["--", "--", "--"]
        table.add_row(*words, verdict)
    last = lines[-1] if lines else None
    fault = (
        Text(f"✕ {last.found.detail}", style="red") if last and isinstance(last.found, SensorFault) else Text("Ctrl-C ends", style="dim")
    )
    return Group(head(thermometer, config, last), table, fault)


def probe(
    config: Annotated[Path, typer.Option("--config", help="The unit's configuration, a TOML file.")],
    count: Annotated[int, typer.Option(min=0, help="End after so many readings; 0: with Ctrl-C.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line and reading, failed ones too.")] = False,
) -> None:
    """Show what the thermometer reads: raw words, skin, ambient, estimate, and what screening says of the newest readings.

    The unit must not be running: the traffic of two readers on one bus disturbs the readings of both. Nothing is written to the sensor.
    Exit status 1 where not one reading came.
    """
    loaded = load_config(config)
    console = Console(highlight=False)
    lines: deque[Line] = deque(maxlen=max(4, console.height - ROWS_AROUND))
    seen = good = 0
    with hold_hardware(loaded, USER) as hardware:
        thermometer = open_thermometer(loaded, hardware, time.time)
        screen_of = (
            None if as_json or not console.is_terminal else Live(draw(thermometer, loaded, lines), console=console, auto_refresh=False)
        )
        try:
            if screen_of is not None:
                screen_of.start()
            for line in watch(thermometer, loaded):
                seen, good = seen + 1, good + isinstance(line.found, Reading)
                if screen_of is not None:
                    lines.append(line)
                    screen_of.update(draw(thermometer, loaded, lines), refresh=True)
                else:
                    if seen == 1 and not as_json:
                        typer.echo(head(thermometer, loaded, line).plain, nl=False)
                    typer.echo(line.as_json() if as_json else line.as_text())
                if seen == count:
                    break
        except KeyboardInterrupt:
            pass
        finally:
            if screen_of is not None:
                screen_of.stop()
    if seen and not good:
        raise typer.Exit(1)
