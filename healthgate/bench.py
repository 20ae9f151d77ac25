"""`healthgate bench`: what the reader reads and costs against its peers in the same run, and how fast people get through a lane."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from healthgate.bench_fleet import fleet

if TYPE_CHECKING:
    from bench.scan import Outcome

LANE_CONDITIONS = {"reachable": "server there", "unreachable": "unreachable", "close": "close together"}
LANE_ROWS = (
    ("people", "presentations", ""),
    ("people an hour", "people_per_hour", ""),
    ("lost", "lost", ""),
    ("admitted twice", "twice", ""),
    ("beyond the sensor's settling, ms", "read_to_relay_ms", "p50"),
    ("  99th percentile", "read_to_relay_ms", "p99"),
    ("with it, ms", "with_settling_ms", "p50"),
    ("  99th percentile", "with_settling_ms", "p99"),
    ("after the deciding sample, ms", "beyond_sample_ms", "p50"),
    ("  99th percentile", "beyond_sample_ms", "p99"),
)
"""What the table of `healthgate bench lane` shows: its words, the figure, and which part of it."""
SYNC_PARTS = {"storm": "3 % lost", "quiet": "quiet", "snapshot_in_turns": "in turns", "snapshot_at_once": "at once"}
SYNC_ROWS = (
    ("changes", "changes", ""),
    ("ruling to all units, ms", "to_all_ms", "p50"),
    ("  99th percentile", "to_all_ms", "p99"),
    ("  over the quiet time's", "ratio_to_quiet", ""),
    ("published to all, ms", "on_the_way_ms", "p50"),
    ("  99th percentile", "on_the_way_ms", "p99"),
    ("ruling to each unit, ms", "to_each_ms", "p50"),
    ("  99th percentile", "to_each_ms", "p99"),
    ("  share within a second", "within_a_second", ""),
    ("all fetch a snapshot in, s", "took_s", ""),
)
"""What the table of `healthgate bench sync` shows, for each of the parts."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Measure this machine; figures are ratios to peers in the same run.",
)
app.command("fleet")(fleet)


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
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the reader's process; numpy is not loaded yet
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


@app.command("lane")
def lane(
    people: Annotated[int, typer.Option(min=2, help="People with the server there, and as many without it.")] = 60,
    close: Annotated[int, typer.Option(min=0, help="People who hold up their code while the one before is still in the beam.")] = 40,
    pace: Annotated[float, typer.Option(min=0.0, help="Seconds from one person to the next; 0: as soon as the lane is free.")] = 2.9,
    beam: Annotated[float, typer.Option(min=0.1, max=4.0, help="Seconds for which each person breaks the beam.")] = 1.0,
    no_server: Annotated[bool, typer.Option("--no-server", help="Only without a server.")] = False,
    face_with_code: Annotated[
        bool, typer.Option("--face-with-code", help="The face comes with the first readable frame, not with the telephone before it.")
    ] = False,
    part: Annotated[str, typer.Option(help="The thermometer's part, as sensor.part names it; empty for the configuration's own.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="What poses and pauses are drawn from.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Keep keys, databases, journals and logs in this new folder; its disk is the outbox's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """People through one simulated lane: the real unit, server and broker as processes, its outbox on this disk.

    From the first readable frame to the relay's line, with the server there and unreachable; about 3 s for each person.
    """
    try:
        from bench import lane as measure
        from edge.mlx90614 import PARTS
        from healthgate.demo import make_folder
    except ModuleNotFoundError as missing:
        typer.echo(f"healthgate bench lane needs the package {missing.name}: type pip install 'healthgate[edge,server]'", err=True)
        raise typer.Exit(1) from None
    console = Console(stderr=True)
    if part and part not in PARTS:
        raise typer.BadParameter(f"{part!r}: expected one of {', '.join(PARTS)}", param_hint="--part")
    if folder is not None and (fault := make_folder(folder)):
        raise typer.BadParameter(fault, param_hint="--folder")
    console.print(f"{machine()}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", highlight=False)
    plan = measure.Plan(people, close, pace, beam, not no_server, face_with_code, part, seed)
    place = folder or Path(tempfile.mkdtemp(prefix="healthgate-"))
    columns = (TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
            task = progress.add_task("", total=None)
            outcome = measure.run(
                plan, place, lambda what, done, total: progress.update(task, description=what, completed=done, total=total)
            )
    except measure.LANE_FAULTS as wrong:
        console.print(str(wrong), style="red", markup=False)
        console.print(f"keys, databases, journals and logs are in {place}", markup=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        if folder is None:
            shutil.rmtree(place)
        raise
    if folder is None:
        shutil.rmtree(place)
    figures = outcome.figures()
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        _show_lane(figures)


@app.command("lists")
def lists(
    entries: Annotated[int, typer.Option(min=100_000, max=2**26, help="Residents on the list.")] = 58_000_000,
    deltas: Annotated[int, typer.Option(min=1, max=20_000, help="Deltas of the long log.")] = 5000,
    seed: Annotated[int, typer.Option(min=0, help="What the residents' colours are drawn from.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """A province's status list at a gate: its size on the wire, loading, looking up, changing, memory; and what else might hold it.

    Memory is over a bare interpreter's, in MB of 2^20 bytes. `rss_mb`: the gate's cache with the list, resident; `rss_of_libraries_mb`: the
    part of it that is there before the list; `pss_mb`: with its share alone of what processes share; `private_mb`: without that;
    `rss_of_unit_mb`: resident, with all else that a unit imports.
    """
    try:
        from bench import lists as measure
    except ModuleNotFoundError as missing:
        typer.echo(f"healthgate bench lists needs the package {missing.name}: type pip install 'healthgate[server]'", err=True)
        raise typer.Exit(1) from None
    console = Console(stderr=True)
    console.print(machine(), highlight=False)
    with console.status("") as status:
        found = measure.measure(entries, seed, status.update, deltas)
    if as_json:
        typer.echo(json.dumps(found))
        return
    peers = found.pop("peers")
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in found.items():
        table.add_row(name, f"{value:,}")
    for peer, figures in peers.items():
        for name, value in figures.items():
            table.add_row(f"{peer}: {name}", f"{value:,}")
    Console().print(table)


@app.command("sync")
def sync(
    units: Annotated[
        int, typer.Option(min=2, max=1000, help="Units that are kept in step; each takes some 3 MB of memory and of disk.")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="What is lost, who is off line and what changes are drawn from.")] = 1,
    server_mbit: Annotated[float, typer.Option(min=1.0, help="The server's line, megabits a second.")] = 100.0,
    storm: Annotated[float, typer.Option(min=1.0, help="Virtual seconds for which messages are lost and units off line.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Units in step with the server, in virtual time: 3 % of messages lost, each off line at random; how soon a change is everywhere.

    Also while all of them fetch a snapshot. The real server and units on modelled lines; a minute for 200 units.
    """
    try:
        from bench import sync as measure
        from bench.sync_town import Plan
    except ModuleNotFoundError as missing:
        typer.echo(f"healthgate bench sync needs the package {missing.name}: type pip install 'healthgate[edge,server]'", err=True)
        raise typer.Exit(1) from None
    console = Console(stderr=True)
    console.print(machine(), highlight=False)
    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn())
    plan = Plan(units, seed, storm, server_mbit=server_mbit)
    with (
        Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress,
        tempfile.TemporaryDirectory(prefix="healthgate-") as folder,
    ):
        task = progress.add_task("", total=None)
        found = measure.measure(
            plan, Path(folder), lambda what, done, total: progress.update(task, description=what, completed=done, total=total)
        )
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _show_sync(found)


@app.command("registry")
def registry(
    residents: Annotated[int, typer.Option(min=1000, help="Residents, made up before anything is measured.")] = 1_000_000,
    import_rows: Annotated[int, typer.Option(min=1000, help="Rows of the import, about people who are not registered.")] = 1_000_000,
    outbreak: Annotated[int, typer.Option(min=1, help="Close contacts who are all registered.")] = 100_000,
    database: Annotated[str, typer.Option(help="URL of an empty database of your own; by default SQLite in a new folder.")] = "",
    postgres: Annotated[bool, typer.Option("--postgres", help="A PostgreSQL 15 of its own, gone at the end (Debian's binaries).")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where the database's new folder is made: the disk counts.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """The registry with a province's people in it: rulings, imports, packs of codes, standings; on this disk, by the real code."""
    try:
        from bench import postgres as cluster
        from bench import registry as measure
    except ModuleNotFoundError as missing:
        typer.echo(f"healthgate bench registry needs the package {missing.name}: type pip install 'healthgate[server]'", err=True)
        raise typer.Exit(1) from None
    if postgres and database:
        raise typer.BadParameter("expected either --database or --postgres", param_hint="--postgres")
    console = Console(stderr=True)
    console.print(machine(), highlight=False)
    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with tempfile.TemporaryDirectory(prefix="healthgate-", dir=folder) as made, ExitStack() as closing:
        try:
            own = closing.enter_context(cluster.running()).url() if postgres else database or f"sqlite:///{made}/registry.sqlite"
        except cluster.NoPostgres as wrong:
            typer.echo(f"healthgate bench registry: {wrong}", err=True)
            raise typer.Exit(1) from None
        progress = closing.enter_context(Progress(*columns, console=console, transient=True, redirect_stdout=False))
        task = progress.add_task("", total=None)
        found = measure.measure(
            own,
            Path(made),
            measure.Plans(residents, import_rows, outbreak),
            lambda what, done, total: progress.update(task, description=what, completed=done, total=total),
        )
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("", "", box=None, pad_edge=False)
    for name, value in found.items():
        for part, figure in value.items() if isinstance(value, dict) else [("", value)]:
            table.add_row(f"{name} {part}".strip(), f"{figure:,}" if isinstance(figure, int | float) else str(figure))
    Console().print(table)


@app.command("checkins")
def checkins(
    residents: Annotated[int, typer.Option(min=1000, help="Residents, made up before anything is measured.")] = 10_000,
    people: Annotated[int, typer.Option(min=1, max=1000, help="People who are signed in and check in.")] = 200,
    rate: Annotated[float, typer.Option(min=1.0, max=10_000.0, help="Requests a second, due whatever the server does.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=1.0, max=300.0, help="For how long, for each way: at most 20 reports a person.")] = 15.0,
    seed: Annotated[int, typer.Option(min=0, help="What the times are drawn from.")] = 1,
    folder: Annotated[Path | None, typer.Option(help="Where the server's new folder is made: the disk counts.", exists=True)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Check-ins over HTTP in an open loop: the pages' form, then the API for apps, with the web's process and SQLite on this disk."""
    try:
        from bench import checkins as measure
    except ModuleNotFoundError as missing:
        typer.echo(f"healthgate bench checkins needs the package {missing.name}: type pip install 'healthgate[server]'", err=True)
        raise typer.Exit(1) from None
    if 2 * (rate * seconds / people + 1) > 18:  # both ways report about the same people
        raise typer.BadParameter("expected fewer than 18 reports a person, both ways together", param_hint="--seconds")
    console = Console(stderr=True)
    console.print(machine(), highlight=False)
    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True, redirect_stdout=False)
    with tempfile.TemporaryDirectory(prefix="healthgate-", dir=folder) as made, progress:
        task = progress.add_task("", total=None)
        try:
            found = measure.measure(
                Path(made) / "server",
                measure.Plan(residents, people, rate, seconds, seed),
                lambda what, done, total: progress.update(task, description=what, completed=done, total=total),
            )
        except measure.ServerFailed as wrong:
            typer.echo(f"healthgate bench checkins: {wrong}", err=True)
            raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("", *measure.WAYS, box=None, pad_edge=False)
    parts = {way: part for way in measure.WAYS if isinstance(part := found[way], dict)}
    for name in next(iter(parts.values())):
        table.add_row(name, *(f"{part[name]:,}" for part in parts.values()))
    Console().print(table)


@app.command("check")
def check(
    turns: Annotated[int, typer.Option(min=1, help="Turns of 20 ms, for each of the two and each algorithm.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """A code's way from its text to the verdict, against the bare check of its signature in the same run. The ratio is what counts."""
    from bench import check as measure

    console = Console(stderr=True)
    console.print(machine(), highlight=False)
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=None)
        found = measure.measure(turns, lambda what, done, total: progress.update(task, description=what, completed=done, total=total))
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("", "checks a second", "bare verifications a second", "ratio", box=None, pad_edge=False)
    for name, figures in found.items():
        table.add_row(name, *(f"{figures[key]:,}" for key in ("checks_per_s", "bare_verifies_per_s", "ratio")))
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


def _show_lane(figures: dict[str, Any]) -> None:
    console = Console()
    conditions = {figures["server"]: figures, **{name: figures[name] for name in ("unreachable", "close") if name in figures}}
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in conditions:
        table.add_column(LANE_CONDITIONS[name], justify="right")
    for words, figure, part in LANE_ROWS:
        found = [one[figure][part] if part else one[figure] for one in conditions.values()]
        table.add_row(words, *("-" if one is None else str(one) for one in found))
    console.print(table)
    environment = figures["environment"]
    console.print(
        f"the sensor's settling: {figures['settling_ms']:.0f} ms; {figures['events']['at_gate']} events at the gate, "
        f"{figures['events']['at_server']} at the server; disk {environment['fsync_ms']['p50']} ms; load {environment['load_at_start'][0]}",
        highlight=False,
    )


def _show_sync(figures: dict[str, Any]) -> None:
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for words in SYNC_PARTS.values():
        table.add_column(words, justify="right")
    for words, figure, part in SYNC_ROWS:
        found = [figures[name].get(figure) for name in SYNC_PARTS]
        table.add_row(words, *("" if one is None else f"{one[part] if part else one:,}" for one in found))
    console.print(table)
    console.print(
        f"{figures['converged']} of {figures['links']} units agree; sent over needed: {figures['bytes_per_unit_over_needed']}; "
        f"the server's line: {figures['server_mbit']:g} Mbit/s, {figures['fetch_mbit']:g} of it for what units fetch",
        highlight=False,
    )
