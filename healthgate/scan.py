"""`healthgate scan`: reads the codes in image files with the same cascade of readers as a gate."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from edge.config import Camera as CameraConfig
from edge.drivers.luma import IMAGE_ENDINGS, ImageFault, images_in, load_luma
from edge.scan import MissingReader, Reader, Reading

BAR_AFTER_S = 2.0
"""Seconds of reading after which a progress bar appears."""
MOST_SHOWN = 700
"""Characters of one text in the table: our codes have 300, EU certificates about 650. `--json` has all of them."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Line:
    """What came of one file: a reading and the time that it took in milliseconds, or what is wrong with the file."""

    path: Path
    reading: Reading | None
    ms: float
    error: str | None

    def as_json(self) -> str:
        """One line of JSON, ASCII, as `--json` prints it."""
        if self.reading is None:
            return json.dumps({"path": str(self.path), "error": self.error})
        return json.dumps(
            {"path": str(self.path), "texts": list(self.reading.texts), "reader": self.reading.reader, "ms": round(self.ms, 2)}
        )


@app.command("scan", no_args_is_help=True)
def scan(
    paths: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.", show_default=False)],
    as_json: Annotated[
        bool, typer.Option("--json", help='One JSON object a line: {"path", "texts", "reader", "ms"}, or {"path", "error"}.')
    ] = False,
    stages: Annotated[str, typer.Option(help="The readers to use, in this order, with commas between.")] = ",".join(CameraConfig().stages),
) -> None:
    """Read the QR codes in images and print their texts.

    A folder is searched at any depth for files with an image's ending (png, jpg, webp, tiff, bmp, gif, pnm); other files are passed over.
    A file that is named itself must be an image. What is no image is reported, the others are read all the same, and the exit status is 1.

    A code printed inside another code is taken for that code's ornament and left out. `ms` is the time of reading, without loading.
    """
    try:
        reader = Reader([name.strip() for name in stages.split(",") if name.strip()])
    except MissingReader as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--stages") from None
    found = find_files(paths)
    table = _table()
    failed = False
    with _Bar(len(found), lines_shown=as_json) as bar:
        for entry in found:
            line = entry if isinstance(entry, Line) else read_file(reader, entry)
            failed |= line.error is not None
            if as_json:
                typer.echo(line.as_json())
            else:
                _add_row(table, line)
            bar.step()
    if not as_json:
        Console().print(table)
    if failed:
        raise typer.Exit(1)


def find_files(paths: Sequence[Path]) -> list[Path | Line]:
    """The files to read, in the order of `paths`, folders' contents sorted; a folder that gives none is an error of its own."""
    found: list[Path | Line] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        try:
            images = images_in(path)
        except OSError as wrong:
            found.append(Line(path, None, 0.0, f"cannot be searched: {wrong.strerror or wrong}"))
            continue
        found += images or [
            Line(path, None, 0.0, f"no images in this folder: expected files that end in {', '.join(sorted(IMAGE_ENDINGS))}")
        ]
    return found


def read_file(reader: Reader, path: Path) -> Line:
    """What the codes in the image file `path` say, or what is wrong with the file."""
    loaded = load_luma(path)
    if isinstance(loaded, ImageFault):
        return Line(path, None, 0.0, loaded.detail)
    begun = time.perf_counter()
    reading = reader.read_all(loaded)
    return Line(path, reading, (time.perf_counter() - begun) * 1000, None)


def _table() -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    table.add_column("text", overflow="fold")
    table.add_column("reader")
    table.add_column("ms", justify="right")
    return table


def _add_row(table: Table, line: Line) -> None:
    """A row for `line`; what codes and paths hold is shown, never obeyed by the terminal."""
    name = Text(_printable(str(line.path)))
    if line.reading is None:
        table.add_row(name, Text(line.error or "", style="red"), "", "")
        return
    texts = "\n".join(_shortened(text) for text in line.reading.texts)
    nothing = "a code, not readable" if line.reading.located else "no code"
    table.add_row(name, Text(texts) if texts else Text(nothing, style="dim"), line.reading.reader or "", f"{line.ms:.1f}")


def _printable(text: str) -> str:
    """`text` with what a terminal would act on written as escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)


def _shortened(text: str) -> str:
    """`text` as the table shows it: the beginning of one that is very long, and how long it is."""
    more = f"... ({len(text)} characters; --json prints all)" if len(text) > MOST_SHOWN else ""
    return _printable(text[:MOST_SHOWN]) + more


class _Bar:
    """A progress bar on standard error after BAR_AFTER_S, where a person watches and the lines themselves do not show how far it is."""

    def __init__(self, total: int, lines_shown: bool) -> None:
        self._console = Console(stderr=True)
        self._wanted = self._console.is_terminal and not (lines_shown and Console().is_terminal)
        self._begun = time.monotonic()
        columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, transient=True, redirect_stdout=False)
        self._task = self._progress.add_task("", total=total)

    def step(self) -> None:
        """One more file is read."""
        self._progress.advance(self._task)
        if self._wanted and time.monotonic() - self._begun > BAR_AFTER_S:
            self._progress.start()
            self._wanted = False

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
