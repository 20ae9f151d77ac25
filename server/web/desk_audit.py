"""The audit log with filters in the address, the result of its verification, and the daily heads. Reading the log is in the log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from server import audit
from server.audit import Action, Broken, Sound
from server.audit_heads import read_stored
from server.keys import load_roots, read_trust
from server.store import audit as rows
from server.store import epidemic
from server.web import desk_jobs
from server.web.desk_pages import show_desk
from server.web.desk_rules import StaffSession, add
from server.web.desk_telling import tell_entry
from server.web.jobs import Job
from server.web.services import Services, services_of
from server.web.visitors import Seen

House = Annotated[Services, Depends(services_of)]
PATH = "/desk/audit"
PAGE = 100
KIND = "audit"
_ID_LETTERS = 8
_RESIDENT = audit.about("resident", "")


@dataclass(frozen=True)
class Verified:
    """What came of computing every entry's digest anew, with how many stored heads that no key of today vouches for."""

    found: Sound | Broken
    of_unknown_keys: int
    forged: float | None


def add_routes(router: APIRouter) -> None:
    """The log and its verification."""
    add(router, "GET", PATH, audit_page)
    add(router, "POST", PATH, verify)
    add(router, "GET", PATH + "/jobs/{job}", verified_page)


def audit_page(
    request: Request,
    services: House,
    visitor: Seen,
    session: StaffSession,
    subject: str = "",
    account: str = "",
    action: str = "",
    before: str = "",
) -> Response:
    """Entries, the newest first; of a resident also the imports that say something of them."""
    about = subject.strip()
    about = audit.about("resident", about) if len(about) == _ID_LETTERS and about.isalnum() else about
    is_known = audit.is_word(about) and audit.is_word(account.strip())
    wanted = {"subject": about, "account": account.strip(), "action": action if action in tuple(Action) else ""}
    limit = int(before) if before.isdecimal() and len(before) < 16 else None
    with services.office.store.write() as tx:
        found = rows.list_newest(tx, PAGE + 1, before=limit, **wanted) if is_known else []
        telling = epidemic.list_telling(tx, about.removeprefix(_RESIDENT)) if is_known and about.startswith(_RESIDENT) else []
        heads = rows.list_heads(tx)
        tip = rows.find_tip(tx)
        shown = {"entries": len(found[:PAGE])}
        audit.append(tx, session.actor, Action.AUDIT_SHOWN, about if is_known else "", shown, services.office.now())
    filters = urlencode([(name, value) for name, value in wanted.items() if value])
    more = f"{PATH}?{filters}{'&' if filters else ''}before={found[PAGE - 1].entry}" if len(found) > PAGE else ""
    jobs = services.jobs.list_jobs(KIND)
    return show_desk(
        request,
        session,
        "desk_audit.html",
        "audit",
        rows=[tell_entry(visitor.words, row) for row in found[:PAGE]],
        telling=[(row, facts, audit.in_groups(row.digest)) for row, facts in telling],
        entries=tip.entry,
        heads=[(head.at_ms / 1000, head.entry) for head in reversed(heads[-60:])],
        actions=[each.value for each in Action],
        action=wanted["action"],
        subject=about,
        account=wanted["account"],
        next=more,
        is_first=limit is None,
        first=f"{PATH}?{filters}" if filters else PATH,
        jobs=[(job, _verified(job)) for job in jobs[:5]],
    )


def verify(services: House, session: StaffSession) -> Response:
    """Begins to read the whole log."""
    config = services.office.config

    def work(job: Job) -> Verified:
        ring = read_trust(Path(config.keys), load_roots(config.roots)).ring
        with services.office.store.read() as tx:
            stored = read_stored(rows.list_heads(tx), ring)
            job.enter("reading_log", rows.find_tip(tx).entry)
            return Verified(audit.verify(tx, stored.heads, lambda done, _: job.tell(done)), stored.of_unknown_keys, stored.forged)

    job = Job(KIND, session.actor.account, services.office.now(), "")
    desk_jobs.begin(services, job, work)
    return RedirectResponse(f"{PATH}/jobs/{job.name}", 303)


def verified_page(request: Request, services: House, visitor: Seen, session: StaffSession, job: str) -> Response:
    """How far a verification is, and what came of it."""
    found = desk_jobs.find(services, job, KIND)
    waiting = desk_jobs.answer(request, visitor.words, session, found, "audit", f"{PATH}/jobs/{job}")
    if waiting is not None:
        return waiting
    return show_desk(request, session, "desk_verified.html", "audit", result=_verified(found), at=found.began)


def _verified(job: Job) -> Verified | None:
    return job.result if isinstance(job.result, Verified) else None
