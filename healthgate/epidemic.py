"""`healthgate epidemic`: take over what clinics and health authorities report, show what was taken over, withdraw what was wrong."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from healthgate.cells import cell
from healthgate.server import DEFAULT_CONFIG, AsJson, ConfigPath, console, in_one_line, opened
from healthgate.times import rfc3339
from server.epidemic import Epidemic, KnownFile, NotDone, Plan, Preview, Staged, Unfit, changed_of
from server.epidemic_lines import Encoding, Faulty, Form, Layout
from server.epidemic_rows import COLUMNS, EpidemicKind, example
from server.identity import day_of
from server.rounds import RULE_SLICE
from server.sentences import Language, say
from server.store.epidemic import ImportRow

SHOWN_FAULTS = 20
app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="What clinics and health authorities report: import, list, withdraw.",
)

Kind = Annotated[EpidemicKind, typer.Option("--kind", help="What every row says.", show_default=False)]
Number = Annotated[int, typer.Argument(help="The import's number, as `epidemic list` shows it.", show_default=False)]
Said = Annotated[Language, typer.Option("--language", help="The language of what is said of faulty rows and columns.")]


@app.command("import")
@in_one_line
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV with a header row, or JSON Lines.", show_default=False)],
    kind: Kind,
    form: Annotated[Form | None, typer.Option("--format", help="By default as the file's name ends.")] = None,
    encoding: Annotated[Encoding, typer.Option(help="How the text is written; nothing is guessed.")] = Encoding.UTF_8,
    source: Annotated[str, typer.Option(help="Who reports, for rows that do not say it. Residents see it.")] = "health authority",
    leave_out_faulty: Annotated[bool, typer.Option("--leave-out-faulty", help="Import the other rows all the same.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would change, and change nothing.")] = False,
    language: Said = Language.ENGLISH,
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Import FILE, whole or not at all; a row that is known already is not added again. Status 1: nothing was imported."""
    form = form or (Form.JSON_LINES if file.suffix.lower() in (".jsonl", ".ndjson", ".json") else Form.CSV)
    with opened(config) as office, _progress() as (bar, task):
        imports = office.epidemic
        try:
            size = max(1, file.stat().st_size)
            plan = Plan(Layout(kind, form, encoding, source, office.now()), file.name, console(), leave_out_faulty)
            bar.update(task, description="reading", total=size)
            staged = imports.stage(file, plan, lambda done: bar.update(task, completed=done))
        except OSError as wrong:
            bar.stop()
            typer.echo(f"healthgate epidemic: {file}: cannot be read: {wrong.strerror}", err=True)
            raise typer.Exit(2) from None
        found: Preview | ImportRow | NotDone | None = None
        if isinstance(staged, Staged):
            bar.update(task, description="trying" if dry_run else "ruling", total=max(1, staged.new + staged.known), completed=0)
            found = _try(imports, staged, bar, task) if dry_run else _apply(imports, staged, bar, task)
    _tell(staged, found, file, language, as_json=as_json)


@app.command("list")
@in_one_line
def list_imports(config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show every import, the newest first."""
    with opened(config) as office:
        found = office.epidemic.list_imports()
    if as_json:
        for row in found:
            typer.echo(json.dumps(_import_dict(row), ensure_ascii=False))
        return
    table = Table(box=None)
    for name in ("import", "kind", "facts", "new", "state", "since", "file"):
        table.add_column(name, no_wrap=name != "file")
    for row in found:
        since = rfc3339(int((row.withdrawn_ms or row.in_force_ms or 0) / 1000))
        table.add_row(str(row.number), row.kind, str(row.fact_count), str(row.new_count), _state(row), since, cell(row.file))
    Console(highlight=False).print(table)


@app.command("show")
@in_one_line
def show(number: Number, config: ConfigPath = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show one import and what it changed."""
    with opened(config) as office:
        row = office.epidemic.find(number)
    if row is None:
        _fail(NotDone(f"no import {number}: expected a number that `epidemic list` shows"))
    elif as_json:
        typer.echo(json.dumps(_import_dict(row), ensure_ascii=False))
    else:
        _show(row)


@app.command("withdraw")
@in_one_line
def withdraw(
    number: Number,
    reason: Annotated[str, typer.Option(help="Why it was wrong: for the record.", show_default=False)],
    config: ConfigPath = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Withdraw an import that was wrong: what it alone says no longer counts, and everybody whom it names is ruled on again."""
    if not reason.strip():
        _fail(NotDone("--reason is empty: expected why the import was wrong"))
    with opened(config) as office, _progress() as (bar, task):
        refused = office.epidemic.withdraw(number, console(), reason.strip()[:500])
        row = None if refused else _rule(office.epidemic, number, bar, task)
    if refused is not None or row is None:
        _fail(refused or NotDone(f"no import {number}"))
    elif as_json:
        typer.echo(json.dumps(_import_dict(row), ensure_ascii=False))
    else:
        _show(row)


@app.command("example")
def write_example(
    kind: Kind, form: Annotated[Form, typer.Option("--format", help="CSV or JSON Lines.")] = Form.CSV, chinese: bool = False
) -> None:
    """Write a file that can be imported, about people who do not exist, to the standard output; --chinese: with Chinese headings."""
    rows = example(kind, day_of(time.time()))
    heading = {column.name: column.headings[0] if chinese else column.name for column in COLUMNS[kind]}
    if form is Form.JSON_LINES:
        for row in rows:
            typer.echo(json.dumps({heading[name]: value for name, value in row.items() if value}, ensure_ascii=False))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading.values())
    writer.writerows(row.values() for row in rows)
    typer.echo(text.getvalue(), nl=False)


@app.command("columns")
def show_columns(kind: Kind, language: Said = Language.ENGLISH) -> None:
    """Show the columns of a kind, the headings under which they are known, and their words."""
    for column in COLUMNS[kind]:
        must = "" if column.is_required else " *"
        typer.echo(f"{column.name}{must}: {say(language, f'epidemic.column.{column.name}', {})}")
        typer.echo(f"    {', '.join(column.headings)}")
        if column.words is not None:
            typer.echo(f"    = {', '.join(column.words)}")
    typer.echo(f"* {say(language, 'epidemic.columns_optional', {})}")


def _try(imports: Epidemic, staged: Staged, bar: Progress, task: TaskID) -> Preview:
    try:
        return imports.preview(staged.number, lambda seen: bar.update(task, completed=seen))
    finally:
        imports.discard(staged.number)


def _apply(imports: Epidemic, staged: Staged, bar: Progress, task: TaskID) -> ImportRow | NotDone:
    refused = imports.put_in_force(staged.number, console())
    return refused or _rule(imports, staged.number, bar, task) or NotDone(f"import {staged.number} is gone")


def _rule(imports: Epidemic, number: int, bar: Progress, task: TaskID) -> ImportRow | None:
    """Has the rulings follow; a server that runs beside does its share, and goes on where this process is ended."""
    while imports.rule_waiting(RULE_SLICE):
        row = imports.find(number)
        if row is not None:
            bar.update(task, description="ruling", total=max(1, row.fact_count), completed=row.ruled_count)
        time.sleep(0.005)  # for those who wait to write
    return imports.find(number)


@contextmanager
def _progress() -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("{task.description:8}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, redirect_stdout=False, disable=not screen.is_terminal) as bar:
        yield bar, bar.add_task("", total=None)


def _tell(
    staged: Staged | Unfit | KnownFile, found: Preview | ImportRow | NotDone | None, file: Path, language: Language, *, as_json: bool
) -> None:
    if isinstance(found, NotDone):
        _fail(found)
    if isinstance(staged, KnownFile):
        if as_json:
            typer.echo(json.dumps({"imported": False, "known_as": staged.number}))
        else:
            typer.echo(f"{file.name}: in force already as import {staged.number}; nothing to do")
        return
    if as_json:
        typer.echo(json.dumps({**_staged_dict(staged, language), **_found_dict(found)}, ensure_ascii=False))
    else:
        _print_staged(staged, file, language)
        if isinstance(found, Preview):
            _print_changes("would change", found.changed, found.flagged)
            typer.echo("dry run: nothing was changed")
        elif isinstance(found, ImportRow):
            _print_changes("changed", changed_of(found), found.flagged)
            typer.echo(f"import {found.number} is in force")
    if isinstance(staged, Unfit):
        raise typer.Exit(1)


def _print_staged(staged: Staged | Unfit, file: Path, language: Language) -> None:
    for faulty in staged.faults[:SHOWN_FAULTS]:
        typer.echo(f"{file.name}:{_fault_line(faulty, language)}", err=True)
    if isinstance(staged, Unfit):
        left = staged.fault_count - min(SHOWN_FAULTS, len(staged.faults))
        more = f", {left} of them not shown" if left else ""
        typer.echo(
            f"healthgate epidemic: {file.name}: {staged.fault_count} faults in {staged.faulty_rows} of {staged.row_count} rows{more};"
            " nothing was imported: mend them, or --leave-out-faulty",
            err=True,
        )
    if staged.ignored:
        typer.echo(f"columns not used: {', '.join(repr(name) for name in staged.ignored)}", err=True)
    if isinstance(staged, Staged):
        left_out = f", {staged.left_out} faulty and left out" if staged.left_out else ""
        typer.echo(
            f"{staged.row_count} rows: {staged.new} new, {staged.known} known, {staged.repeated} repeated{left_out};"
            f" about {staged.people} people, {staged.people - staged.registered} of them not registered yet"
        )


def _print_changes(words: str, changed: dict[tuple[str, str], int], flagged: int) -> None:
    typer.echo(f"{words}: {sum(changed.values())} people")
    for (before, after), count in sorted(changed.items()):
        typer.echo(f"  {before} -> {after}: {count}")
    if flagged:
        typer.echo(f"  declarations that do not agree, for an officer's eyes: {flagged}")


def _fault_line(faulty: Faulty, language: Language) -> str:
    column = f" {faulty.column}:" if faulty.column else ""
    return f"{faulty.line}:{column} {say(language, faulty.fault.key, faulty.fault.params)}"


def _staged_dict(staged: Staged | Unfit, language: Language) -> dict[str, object]:
    faults = []
    for faulty in staged.faults:
        says = say(language, faulty.fault.key, faulty.fault.params)
        faults.append({"line": faulty.line, "column": faulty.column, "fault": faulty.fault.key, "says": says})
    told: dict[str, object] = {"rows": staged.row_count, "faults": faults, "columns_not_used": list(staged.ignored)}
    if isinstance(staged, Unfit):
        return {"imported": False, **told, "faulty": staged.faulty_rows, "fault_count": staged.fault_count}
    counts = {"new": staged.new, "known": staged.known, "repeated": staged.repeated, "faulty": staged.left_out}
    return {**told, **counts, "people": staged.people, "unregistered": staged.people - staged.registered}


def _found_dict(found: Preview | ImportRow | NotDone | None) -> dict[str, object]:
    if isinstance(found, Preview):
        return {"imported": False, "would_change": _nested(found.changed), "would_flag": found.flagged}
    if isinstance(found, ImportRow):
        return {"imported": True, "import": found.number, "changed": _nested(changed_of(found)), "flagged": found.flagged}
    return {}


def _import_dict(row: ImportRow) -> dict[str, object]:
    return {
        "import": row.number,
        "kind": row.kind,
        "file": row.file,
        "source": row.source,
        "state": row.state,
        "by": row.made_by,
        "rows": row.row_count,
        "left_out": row.left_out,
        "facts": row.fact_count,
        "new": row.new_count,
        "in_force": None if row.in_force_ms is None else rfc3339(row.in_force_ms / 1000),
        "withdrawn": None if row.withdrawn_ms is None else rfc3339(row.withdrawn_ms / 1000),
        "withdrawn_by": row.withdrawn_by,
        "reason": row.withdrawn_why,
        "rulings_followed": bool(row.is_ruled),
        "changed": _nested(changed_of(row)),
        "flagged": row.flagged,
    }


def _nested(changed: dict[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (before, after), count in sorted(changed.items()):
        nested.setdefault(before, {})[after] = count
    return nested


def _show(row: ImportRow) -> None:
    typer.echo(f"import {row.number}: {row.kind}, {_state(row)}; {row.file} of {row.source}, by {row.made_by}")
    typer.echo(f"  {row.row_count} rows, {row.left_out} left out; {row.fact_count} facts, {row.new_count} of them new")
    if row.withdrawn_ms is not None:
        typer.echo(f"  withdrawn {rfc3339(row.withdrawn_ms / 1000)} by {row.withdrawn_by}: {row.withdrawn_why}")
    _print_changes("changed by the withdrawal" if row.state == "withdrawn" else "changed", changed_of(row), row.flagged)


def _state(row: ImportRow) -> str:
    word = row.state.replace("_", " ")
    return word if row.is_ruled else f"{word}, rulings follow"


def _fail(refused: NotDone) -> None:
    typer.echo(f"healthgate epidemic: {refused.detail}", err=True)
    raise typer.Exit(1)
