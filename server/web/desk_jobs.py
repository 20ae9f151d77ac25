"""Pages of work that runs in the background: how far it is, for a page and for its script."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import HTTPException, Request
from starlette.responses import JSONResponse, Response

from server.sessions import Session
from server.web.desk_pages import show_desk
from server.web.jobs import Job
from server.web.language import Words
from server.web.services import Services


def begin(services: Services, job: Job, work: Callable[[Job], object]) -> None:
    """Starts a job; 503 where too many wait."""
    if not services.jobs.start(job, work):
        raise HTTPException(503)


def find(services: Services, name: str, kind: str) -> Job:
    """The job of this name; 404 where there is none (any more)."""
    job = services.jobs.find(name, kind)
    if job is None:
        raise HTTPException(404)
    return job


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
