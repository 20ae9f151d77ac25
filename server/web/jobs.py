"""What takes longer than a page may: work in the background, one after the other, whose progress any page can show.

Jobs live in the memory of the pages' process: a page that is loaded anew finds them, a process that is started anew does not.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

MOST_HELD = 50
"""Jobs that are kept; the oldest that have ended go first."""
MOST_WAITING = 5


class Job:
    """One piece of work: how far it is, and what came of it. Read by pages while a thread works on it."""

    def __init__(self, kind: str, account: str, began: float, subject: str) -> None:
        """`began` in seconds since 1970; `subject`, what it works on, for people: a file's name."""
        self.name = secrets.token_urlsafe(9)
        self.kind = kind
        self.account = account
        self.began = began
        self.subject = subject
        self.step = "waiting"
        """What it does now; sentences job.step.{word}."""
        self.done = 0
        self.total = 0
        self.result: object = None
        self.is_over = False
        self.has_failed = False
        self.is_stopped = threading.Event()

    @property
    def state(self) -> str:
        """running, done or failed."""
        return "running" if not self.is_over else "failed" if self.has_failed else "done"

    @property
    def per_cent(self) -> int:
        """How much of the step is done, 0 to 100."""
        return min(100, self.done * 100 // self.total) if self.total else 0

    def enter(self, step: str, total: int) -> None:
        """Begins a step of so many units of whatever it counts."""
        self.step, self.done, self.total = step, 0, total

    def tell(self, done: int) -> None:
        """So much of the step is done. JobStopped where the process ends."""
        self.done = done
        if self.is_stopped.is_set():
            raise JobStopped


class JobStopped(Exception):
    """The process ends, and the work with it."""


@dataclass
class Jobs:
    """The jobs of one process."""

    _held: dict[str, Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "job"))

    def start(self, job: Job, work: Callable[[Job], object]) -> bool:
        """Begins `work`, when those before it are through; what it returns is the job's result. False where too many wait."""
        with self._lock:
            if sum(not each.is_over for each in self._held.values()) >= MOST_WAITING:
                return False
            for name in [name for name, each in self._held.items() if each.is_over][: max(0, len(self._held) + 1 - MOST_HELD)]:
                del self._held[name]
            self._held[job.name] = job
        self._pool.submit(self._run, job, work)
        return True

    def find(self, name: str, kind: str) -> Job | None:
        """The job of this name and kind; None where there is none (any more)."""
        with self._lock:
            job = self._held.get(name)
        return job if job is not None and job.kind == kind else None

    def list_jobs(self, kind: str) -> list[Job]:
        """The jobs of a kind, the newest first."""
        with self._lock:
            return [job for job in reversed(self._held.values()) if job.kind == kind]

    def close(self) -> None:
        """Ends what runs at its next word, and what waits."""
        with self._lock:
            for job in self._held.values():
                job.is_stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job, work: Callable[[Job], object]) -> None:
        try:
            if not job.is_stopped.is_set():
                job.result = work(job)
        except JobStopped:
            job.has_failed = True
        except Exception as wrong:  # the thread's last word: its job is told as failed, the rest goes to the log
            log.error("job %s: %s", job.kind, type(wrong).__name__, exc_info=wrong)
            job.has_failed = True
        finally:
            job.is_over = True
