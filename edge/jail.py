"""What a plain process may take away from itself for good: files, network, other processes, new descriptors, memory beyond a bound.

seccompy makes the filter of system calls for x86-64 and aarch64, and refuses others; there, and on a kernel without seccomp, the limits
hold alone. Landlock would add nothing: of all calls that take a path, an address or another process none is left to ask it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

ALLOWED = (
    *("recvfrom", "sendto", "read", "write"),  # of the one descriptor that is left
    *("munmap", "mremap", "brk", "madvise", "futex", "sched_yield"),
    *("clock_gettime", "gettimeofday", "getrandom", "restart_syscall"),
    *("rt_sigreturn", "rt_sigprocmask", "exit", "exit_group"),
)
"""System calls that decoding a picture in memory needs, whatever their arguments."""

PROT_EXEC = 0x4
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
"""linux/mman.h, linux/prctl.h."""

NOTHING = (
    resource.RLIMIT_CORE,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_MEMLOCK,
    resource.RLIMIT_MSGQUEUE,
    resource.RLIMIT_RTPRIO,
)
"""Limits that are set to nothing: core dumps, files, processes and threads, locked memory, message queues, real-time priority."""

_libc = ctypes.CDLL(None, use_errno=True)


def make_filter() -> Callable[[], object] | None:
    """What loads the filter: ALLOWED, and memory that is not executable; all else fails with EPERM. None where it cannot be loaded here."""
    try:
        import seccompy
    except ImportError:  # a 32-bit Pi
        return None
    try:
        if not seccompy.supported():
            return None
        wall = seccompy.Filter(default=seccompy.Action.ERRNO | errno.EPERM)
        for name in ALLOWED:
            wall.allow(name)
        for name in ("mmap", "mprotect"):
            wall.allow(name, args=[seccompy.ArgCmp(2, seccompy.CmpOp.MASKED_EQ, 0, mask=PROT_EXEC)])
        return wall.load if wall.program else None
    except seccompy.SeccompError:
        return None


def keep_only(descriptor: int) -> None:
    """Closes every descriptor but `descriptor`, which becomes number 0. What prints afterwards prints to nowhere."""
    os.dup2(descriptor, 0)
    os.closerange(1, 1 << 16)
    sys.stdin = sys.stdout = sys.stderr = None


def lock_in(memory: int, load_filter: Callable[[], object] | None) -> None:
    """Takes everything away that decoding does not need; `memory` bytes of address space are left on top of what is in use.

    No descriptor can be opened beside number 0, and the process dies with the one that forked it.
    """
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _control(PR_SET_PDEATHSIG, signal.SIGKILL)
    _control(PR_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, 1))
    for limit in NOTHING:
        resource.setrlimit(limit, (0, 0))
    if load_filter is not None:
        load_filter()


def _control(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
