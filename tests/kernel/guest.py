"""Process 1 of the kernel under test: mounts what a program expects, runs what it was booted for, and ends the machine.

Called by the kernel as `python guest.py FOLDER`. FOLDER is the one place of the host that may be written; `job.json` in it says what to do,
and `status` is left in it, with `stdout` and `stderr` of the commands. Everything else of the host is there too, for reading only.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NoReturn

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
MS_BIND = 4096
RB_AUTOBOOT, RB_POWER_OFF = 0x01234567, 0x4321FEDC
"""linux/sockios.h, linux/if.h, linux/mount.h, linux/reboot.h."""

PI_4 = "Revision\t: c03114\n"
"""A Pi 4, by what gpiozero asks for. Without it gpiozero takes no machine for a Pi."""

_libc = ctypes.CDLL(None, use_errno=True)


def mount(what: str, where: str, kind: str, options: str = "", flags: int = 0) -> None:
    """mount(2), at a folder that is made where it can be."""
    if not Path(where).exists():
        Path(where).mkdir(parents=True)
    if _libc.mount(what.encode(), where.encode(), kind.encode(), flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind} at {where}: {os.strerror(ctypes.get_errno())}")


def mount_all(folder: str) -> None:
    """The kernel's own file systems, memory for what is temporary, and `folder` of the host."""
    mount("proc", "/proc", "proc")
    mount("sys", "/sys", "sysfs")
    mount("pts", "/dev/pts", "devpts")
    mount("shm", "/dev/shm", "tmpfs", "mode=1777")
    mount("run", "/run", "tmpfs", "mode=755")
    mount("config", "/sys/kernel/config", "configfs")
    mount("debug", "/sys/kernel/debug", "debugfs")
    mount("trace", "/sys/kernel/tracing", "tracefs")
    mount("none", folder, "hostfs", folder)
    Path("/run/cpuinfo").write_text(Path("/proc/cpuinfo").read_text(encoding="ascii") + PI_4, encoding="ascii")
    mount("/run/cpuinfo", "/proc/cpuinfo", "", flags=MS_BIND)


def bring_up_loopback() -> None:
    """127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(asked, SIOCGIFFLAGS, request))
        fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def load_module(path: Path, parameters: str) -> None:
    """A kernel module, by the system call finit_module."""
    with path.open("rb") as file:
        if _libc.syscall(313, file.fileno(), parameters.encode(), 0) != 0:
            raise OSError(ctypes.get_errno(), f"{path}: {os.strerror(ctypes.get_errno())}")


def work(folder: Path) -> int:
    """Does what `job.json` says, one command after another; the first exit status that is not 0, or 0."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    bring_up_loopback()
    for path, parameters in job["modules"]:
        load_module(Path(path), parameters)
    environment = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run", "TMPDIR": "/dev/shm", **job["environment"]}
    worst = 0
    for command in job["commands"]:
        with (folder / "stdout").open("ab") as said, (folder / "stderr").open("ab") as complained:
            done = subprocess.run(
                command, cwd=job["cwd"], env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=complained, check=False
            )
        worst = worst or done.returncode
    return worst


def end() -> NoReturn:
    """Powers the machine off."""
    os.sync()
    _libc.reboot(RB_POWER_OFF)
    os._exit(1)


def main(folder: Path) -> None:
    """All of it; whatever happens, the machine is off afterwards."""
    try:
        mount_all(str(folder))
        status = work(folder)
        (folder / "status").write_text(f"{status}\n", encoding="ascii")
    except Exception:  # noqa: BLE001  nobody is above process 1 to tell
        sys.stdout.write(traceback.format_exc())
        sys.stdout.flush()
    end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
