"""The host's side: boots the kernel under test, as an ordinary process, with commands to run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
NOT_HERE = 77
"""What `prepare` returns where the kernel cannot be had."""

IN_GUEST = "HEALTHGATE_IN_KERNEL"
"""Set to the machine's folder in everything that runs inside."""

VIDEO = "/dev/video9"
MODULES = (("mlx90614_bus.ko", "bus=1"), ("v4l2loopback.ko", "video_nr=9 exclusive_caps=1 max_buffers=4"))
MEMORY = "768M"
RESET = "/bin/false"
"""What a machine that resets itself runs as its next kernel: nothing. It ends with status 1, and a clean one of the same kind is booted."""


def find_kernel() -> Path | str:
    """The folder with kernel and modules, or in one line why there is none."""
    asked = subprocess.run([HERE / "prepare", "check"], capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        return Path(asked.stdout.strip())
    assert asked.returncode == NOT_HERE, asked.stderr
    return asked.stderr.strip().splitlines()[-1].removeprefix("healthgate: ")


class Machine:
    """One machine, from power-on to power-off. What it wrote stays in `folder`; `with` ends it in any case."""

    def __init__(self, kernel: Path, folder: Path, commands: Sequence[Sequence[str]], disk: Path | None = None) -> None:
        """Boots. `commands` run one after another in the checkout; `disk` becomes /dev/ubda."""
        job = {
            "modules": [[str(kernel / name), parameters] for name, parameters in MODULES],
            "environment": {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", IN_GUEST: str(folder)},
            "cwd": str(CHECKOUT),
            "commands": [[*command] for command in commands],
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        self.folder = folder
        self._kernel = kernel / "linux"
        self._arguments = [
            *(RESET, f"umid={folder.name}", f"uml_dir={folder}/", f"mem={MEMORY}"),
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "random.trust_cpu=on"),
            *("con=null", "con0=null,fd:1", f"init={sys.executable}"),
            *([f"ubd0={disk}"] if disk else []),
            *("--", str(HERE / "guest.py"), str(folder)),
        ]
        self._process = self._boot()

    def _boot(self) -> subprocess.Popen[bytes]:
        with (self.folder / "console").open("ab") as console:
            return subprocess.Popen(
                self._arguments,
                executable=self._kernel,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": "/dev/shm"},
                start_new_session=True,
            )

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    def ends_within(self, limit_s: float) -> bool:
        """Whether it is off, at the latest in `limit_s` seconds."""
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait(self, limit_s: float, resets: int = 0) -> int:
        """Waits until it is off, and boots it again as often as it resets itself, `resets` times at most.

        The first exit status that is not 0, or 0. AssertionError with all that it said where there is none.
        """
        limit = time.monotonic() + limit_s
        status = self.folder / "status"
        for _ in range(resets + 1):
            assert self.ends_within(max(0.0, limit - time.monotonic())), f"the machine still runs after {limit_s:.0f} s\n{self.told()}"
            if status.exists():
                return int(status.read_text(encoding="ascii"))
            assert self._process.returncode == 1, f"the machine ended without having done its work\n{self.told()}"
            self.kill()
            self._process = self._boot()
        raise AssertionError(f"the machine reset itself more than {resets} times\n{self.told()}")

    def told(self) -> str:
        """The last of what it said: console, standard output and standard error."""
        parts = [self.folder / name for name in ("console", "stdout", "stderr")]
        return "\n".join(f"-- {part.name}\n{part.read_text(errors='replace')[-4000:]}" for part in parts if part.exists())

    def kill(self) -> None:
        """Pulls the plug: the kernel and every program on it are processes of the host, some of which may outlive it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
