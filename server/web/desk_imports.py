"""Epidemic data: a file is tried out in the background, then put in force or dropped; what was wrong is withdrawn.

An uploaded file is kept without a name until it is read: it goes with the process, whatever happens.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from server.actors import Role
from server.epidemic import KnownFile, NotDone, Plan, Preview, Staged, Unfit, changed_of
from server.epidemic_lines import Encoding, Layout
from server.epidemic_lines import Form as FileForm
from server.epidemic_rows import COLUMNS, EpidemicKind
from server.store.epidemic import ImportRow
from server.web import desk_jobs
from server.web.desk_pages import show_desk
from server.web.desk_rules import StaffSession, add, may
from server.web.faulty import Shown
from server.web.forms import Form
from server.web.jobs import Job
from server.web.language import Words
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
PATH = "/desk/imports"
MOST_BYTES = 512 * 1024 * 1024
"""A million rows with every column have some 120 MB."""
KIND = "import"
MOST_FAULTS = 200
"""Faulty cells on a page."""
MOST_IMPORTS = 200
MOST_WHY = 500
_ENDINGS = (".jsonl", ".ndjson", ".json")


@dataclass
class Tried:
    """A file that was read: what came of it, what it would change, and whether it was decided what becomes of it."""

    staged: Staged | Unfit | KnownFile
    preview: Preview | None
    outcome: str = ""


def add_routes(router: APIRouter) -> None:
    """Imports: the list, a new one, its trial, one that was put in force."""
    add(router, "GET", PATH, imports_page)
    add(router, "POST", PATH, try_out)
    add(router, "GET", PATH + "/jobs/{job}", trial_page)
    add(router, "POST", PATH + "/jobs/{job}", decide)
    add(router, "GET", PATH + "/{number}", import_page)
    add(router, "POST", PATH + "/{number}", withdraw)


def imports_page(request: Request, services: House, session: StaffSession) -> Response:
    """The imports, the newest first, and a form for a new one."""
    return _show(request, services, session, {}, [])


def try_out(request: Request, services: House, session: StaffSession, form: Form) -> Response:
    """Begins to read a file and to count what it would change. Nothing is in force by that."""
    files = [file for file in form.files.get("file", ()) if file.filename]
    typed = {name: form.text(name) for name in ("kind", "encoding", "source", "leaves_out")}
    faults = []
    if not files:
        faults.append(Shown("file", "imports.file_missing"))
    if typed["kind"] not in tuple(EpidemicKind):
        faults.append(Shown("kind", "imports.kind_missing"))
    if not 0 < len(typed["source"]) <= 60 or not typed["source"].isprintable():
        faults.append(Shown("source", "imports.source_missing"))
    if faults:
        return _show(request, services, session, typed, faults)
    name = Path(files[0].filename or "").name[:100]
    office = services.office
    layout = Layout(
        EpidemicKind(typed["kind"]),
        FileForm.JSON_LINES if name.lower().endswith(_ENDINGS) else FileForm.CSV,
        Encoding(typed["encoding"]) if typed["encoding"] in tuple(Encoding) else Encoding.UTF_8,
        typed["source"],
        office.now(),
    )
    plan = Plan(layout, name, session.actor, leaves_out=typed["leaves_out"] == "yes")
    kept = _keep(files[0].file)

    def work(job: Job) -> Tried:
        with kept:
            size = os.fstat(kept.fileno()).st_size
            job.enter("reading_file", max(1, size))
            staged = office.epidemic.stage(Path(f"/proc/self/fd/{kept.fileno()}"), plan, job.tell)
        if not isinstance(staged, Staged):
            return Tried(staged, None)
        job.enter("trying", max(1, staged.new + staged.known))
        return Tried(staged, office.epidemic.preview(staged.number, job.tell))

    job = Job(KIND, session.actor.account, office.now(), name)
    try:
        desk_jobs.begin(services, job, work)
    except HTTPException:
        kept.close()
        raise
    return RedirectResponse(f"{PATH}/jobs/{job.name}", 303)


def trial_page(request: Request, services: House, visitor: Seen, session: StaffSession, job: str) -> Response:
    """How far a trial is, and what came of it."""
    found = desk_jobs.find(services, job, KIND)
    waiting = desk_jobs.answer(request, visitor.words, session, found, "imports", f"{PATH}/jobs/{job}")
    return waiting if waiting is not None else _show_trial(request, visitor.words, session, found, [])


def decide(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, job: str) -> Response:
    """Puts what was tried in force, or drops it."""
    found = desk_jobs.find(services, job, KIND)
    tried = found.result
    if not isinstance(tried, Tried) or not isinstance(tried.staged, Staged) or tried.outcome:
        return RedirectResponse(f"{PATH}/jobs/{job}", 303)
    number = tried.staged.number
    if form.text("do") == "force":
        refused = services.office.epidemic.put_in_force(number, session.actor)
        if refused is not None:
            tried.outcome = "gone"
            return _show_trial(request, visitor.words, session, found, [Shown("", "imports.gone")])
        tried.outcome = "forced"
        return RedirectResponse(f"{PATH}/{number}", 303)
    services.office.epidemic.discard(number)
    tried.outcome = "dropped"
    return RedirectResponse(f"{PATH}/jobs/{job}", 303)


def import_page(request: Request, services: House, visitor: Seen, session: StaffSession, number: str) -> Response:
    """One import that was put in force: how far its rulings are, and what it changed."""
    row = _find(services, number)
    if "application/json" in request.headers.get("accept", ""):
        done = row.ruled_count * 100 // max(1, row.fact_count)
        told = {"state": "done" if row.is_ruled else "running", "per_cent": min(100, done), "said": _tell_ruling(visitor.words, row)}
        return JSONResponse(told)
    return _show_import(request, visitor.words, session, row, [], "")


def withdraw(request: Request, services: House, visitor: Seen, session: StaffSession, form: Form, number: str) -> Response:
    """Withdraws an import: nothing that it alone says counts any more."""
    row, why = _find(services, number), form.text("why")
    if not why or len(why) > MOST_WHY:
        return _show_import(request, visitor.words, session, row, [Shown("why", "imports.why_missing", {"most": MOST_WHY})], why)
    refused = services.office.epidemic.withdraw(row.number, session.actor, why)
    if isinstance(refused, NotDone):
        return _show_import(request, visitor.words, session, _find(services, number), [Shown("", "imports.withdrawn_already")], why)
    return RedirectResponse(f"{PATH}/{row.number}", 303)


def _keep(file: IO[bytes]) -> IO[bytes]:
    """A copy that outlives the request and has no name on the disk."""
    kept = tempfile.TemporaryFile(prefix="import-")  # noqa: SIM115  the job closes it
    file.seek(0)
    shutil.copyfileobj(file, kept, 1 << 20)
    kept.flush()
    return kept


def _find(services: Services, number: str) -> ImportRow:
    row = services.office.epidemic.find(int(number)) if number.isdecimal() and len(number) < 16 else None
    if row is None:
        raise HTTPException(404)
    return row


def _show(request: Request, services: Services, session: StaffSession, typed: Mapping[str, str], faults: list[Shown]) -> Response:
    return show_desk(
        request,
        session,
        "desk_imports.html",
        "imports",
        status=422 if faults else 200,
        rows=services.office.epidemic.list_imports(MOST_IMPORTS),
        may_import=may(Role(session.actor.role), "POST", PATH),
        jobs=[job for job in services.jobs.list_jobs(KIND) if job.account == session.actor.account],
        kinds=[each.value for each in EpidemicKind],
        encodings=[each.value for each in Encoding],
        columns=[(kind.value, [(column.name, column.headings, column.is_required) for column in COLUMNS[kind]]) for kind in EpidemicKind],
        typed={"kind": "", "encoding": "", "source": "", "leaves_out": "", **typed},
        faults=faults,
    )


def _show_trial(request: Request, words: Words, session: StaffSession, job: Job, faults: list[Shown]) -> Response:
    tried = job.result
    if not isinstance(tried, Tried):
        raise TypeError("a trial without a result")
    staged = tried.staged
    told = () if isinstance(staged, KnownFile) else staged.faults[:MOST_FAULTS]
    return show_desk(
        request,
        session,
        "desk_import_trial.html",
        "imports",
        status=422 if faults else 200,
        job=job,
        outcome=tried.outcome,
        staged=staged,
        kind={Staged: "staged", Unfit: "unfit", KnownFile: "known"}[type(staged)],
        faulty=[(each.line, each.column, words(each.fault.key, **each.fault.params)) for each in told],
        preview=tried.preview,
        changed=sum(tried.preview.changed.values()) if tried.preview else 0,
        changes=sorted(tried.preview.changed.items(), key=lambda item: -item[1]) if tried.preview else [],
        faults=faults,
    )


def _show_import(request: Request, words: Words, session: StaffSession, row: ImportRow, faults: list[Shown], why: str) -> Response:
    changes = sorted(changed_of(row).items(), key=lambda item: -item[1])
    return show_desk(
        request,
        session,
        "desk_import.html",
        "imports",
        status=422 if faults else 200,
        row=row,
        changes=changes,
        changed=sum(count for _, count in changes),
        per_cent=min(100, row.ruled_count * 100 // max(1, row.fact_count)),
        said=_tell_ruling(words, row),
        may_withdraw=row.state == "in_force" and may(Role(session.actor.role), "POST", PATH + "/{number}"),
        why=why,
        faults=faults,
    )


def _tell_ruling(words: Words, row: ImportRow) -> str:
    per_cent = min(100, row.ruled_count * 100 // max(1, row.fact_count))
    step = words("job.step.ruling")
    return words("job.said", step=step, done=f"{row.ruled_count:,}", total=f"{row.fact_count:,}", per_cent=per_cent)
