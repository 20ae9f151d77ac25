"""`healthgate bench`: what the reader reads and costs, measured against its peers in the same run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from bench.scan import Outcome

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Measure this machine; figures are ratios to peers in the same run.",
)


@app.callback()
def _several() -> None:
    """Keeps the name of the measurement in the command line while there is one alone."""


@app.command("scan")
def scan(
    photos: Annotated[
        Path | None, typer.Option(help="A folder of photographs with index.json: what each says.", exists=True, file_okay=False)
    ] = None,
    presentations: Annotated[int, typer.Option(min=0, help="Synthetic presentations of 12 frames each.")] = 300,
    empty: Annotated[int, typer.Option(min=0, help="Empty frames searched for false reads.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="What the synthetic frames are drawn from.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Also write a picture of the rates by condition, SVG, to this file.")] = None,
) -> None:
    """Photographs, presentations and empty frames: our reader, pyzbar, zxing-cpp and OpenCV on the same frames.

    Counts are of pictures and presentations, times are milliseconds a picture. Trust the ratios, not the milliseconds.
    """
    try:
        from bench import peers
        from bench import picture as pictures
        from bench import scan as measure
    except ModuleNotFoundError as missing:
        typer.echo(f"healthgate bench scan needs the package {missing.name}: type pip install 'healthgate[bench]'", err=True)
        raise typer.Exit(1) from None
    console = Console(stderr=True)
    console.print(f"{machine()}; {peers.versions()}", highlight=False)
    columns = (TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=None)
        try:
            outcome = measure.run(
                photos,
                presentations,
                empty,
                seed,
                lambda what, done, total: progress.update(task, description=what, completed=done, total=total),
            )
        except measure.NoIndex as wrong:
            raise typer.BadParameter(str(wrong), param_hint="--photos") from None
    if picture is not None:
        picture.write_text(pictures.draw(outcome), encoding="utf-8")
    if as_json:
        typer.echo(outcome.as_json())
    else:
        _show(outcome, measure.WITHIN)


@app.command("idle")
def idle(
    seconds: Annotated[float, typer.Option(min=1.0, help="How long to measure.")] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help="What the empty lane is drawn from.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """A gate with nobody there: processor and memory of the camera's feed and the reader's process, at 15 frames of 640x480 a second.

    `cpu_percent` is of one core, all processes together; `together_mb` counts pages that processes share once.
    """
    typer.echo(machine(), err=True)
    command = [sys.executable, "-P", "-m", "bench.idle", str(seconds), str(seed)]
    root = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        typer.echo(f"the measurement failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(done.stdout.strip())
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in json.loads(done.stdout).items():
        table.add_row(name, str(value))
    Console().print(table)


def machine() -> str:
    """This machine in a few words."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    except (OSError, StopIteration):
        model = platform.processor() or "unknown processor"
    return f"{model}, {platform.machine()}, Python {platform.python_version()}"


def _show(outcome: Outcome, within: tuple[int, ...]) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("ours", "zxing", "pyzbar", "pyzbar_qr", "opencv"):
        table.add_column(name, justify="right")

    def row(name: str, cells: dict[str, str]) -> None:
        table.add_row(name, *(cells.get(reader, "") for reader in ("ours", "zxing", "pyzbar", "pyzbar_qr", "opencv")))

    if outcome.photos:
        row(f"photographs read, of {outcome.photo_total}", {name: str(one.read) for name, one in outcome.photos.items()})
        row("wrong texts", {name: str(one.wrong) for name, one in outcome.photos.items()})
        base = outcome.photos["pyzbar"].ms
        row("time, pyzbar = 1", {name: f"{one.ms / base:.2f}" for name, one in outcome.photos.items()})
    if outcome.total():
        row("single frames, %", {name: f"{100 * outcome.single(name):.1f}" for name in ("ours", "zxing", "pyzbar", "opencv")})
        for frames in within:
            rates = {name: 100 * outcome.within(name, frames) / outcome.total() for name in ("ours", "zxing", "pyzbar", "opencv")}
            row(f"read within {frames}, %", {name: f"{rate:.1f}" for name, rate in rates.items()})
    if outcome.empty_ms:
        base = outcome.empty_ms["pyzbar"]
        row("empty frame, pyzbar = 1", {name: f"{ms / base:.2f}" for name, ms in outcome.empty_ms.items()})
    console.print(table)
    console.print(f"{outcome.total()} presentations; false reads of ours: {outcome.false_reads} in {outcome.empty_total} empty frames")
