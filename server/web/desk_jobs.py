"""Pages of work that runs in the background: how far it is, for a page and for its script."""

from __future__ import annotations

import re
from collections.abc import Callable

from fastapi import HTTPException, Request
from starlette.responses import JSONResponse, Response

from server.sessions import Session
from server.web.desk_pages import show_desk
from server.web.jobs import Job
from server.web.language import Words
from server.web.pages import visitor_of
from server.web.services import Services

ROOMS = {"policy": "/desk/policy", "import": "/desk/imports", "audit": "/desk/audit"}
"""Where each kind of job is begun."""
_NAME = re.compile(r"[A-Za-z0-9_-]{12}")


class JobGone(Exception):
    """The job of an address is not held any more: the process was started anew, or fifty others came after it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def begin(services: Services, job: Job, work: Callable[[Job], object]) -> None:
    """Starts a job; 503 where too many wait."""
    if not services.jobs.start(job, work):
        raise HTTPException(503)


def find(services: Services, name: str, kind: str) -> Job:
    """The job of this name; JobGone where there is none any more, 404 where there cannot have been one."""
    job = services.jobs.find(name, kind)
    if job is None:
        raise JobGone(kind) if _NAME.fullmatch(name) else HTTPException(404)
    return job


async def tell_gone(request: Request, wrong: Exception) -> Response:
    """Says that a job is gone, that nothing came of it, and how it is begun again."""
    session = visitor_of(request).session
    if not isinstance(wrong, JobGone) or session is None:
        raise wrong
    words = visitor_of(request).words
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"state": "gone", "per_cent": 0, "said": words("job.gone")})
    room = ROOMS[wrong.kind].rpartition("/")[2]
    return show_desk(request, session, "desk_gone.html", room, status=410, kind=wrong.kind, begins=ROOMS[wrong.kind])


def tell(words: Words, job: Job) -> str:
    """How far it is, in a line."""
    step = words(f"job.step.{job.step}")
    if not job.total:
        return step
    return words("job.said", step=step, done=f"{job.done:,}", total=f"{job.total:,}", per_cent=job.per_cent)


def answer(request: Request, words: Words, session: Session, job: Job, room: str, path: str) -> Response | None:
    """What is answered while a job runs, or after it failed; None where it is done and its result can be shown."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"state": job.state, "per_cent": job.per_cent, "said": tell(words, job)})
    if job.state == "done":
        return None
    return show_desk(request, session, "desk_job.html", room, job=job, said=tell(words, job), job_path=path)
