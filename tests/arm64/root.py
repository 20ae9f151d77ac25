"""A small Debian 12 for arm64, run on this machine's processor by QEMU: how it is made, once, and how a command runs in it.

Everything lies in one folder of the cache and nothing in there is ever a mount for the rest of the machine: `rm -r` of it is always safe.
A root is named by what it was made from, so a new recipe or new requirements make a new one beside the old.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parent.parent.parent
ENTER = Path(__file__).parent / "enter"

HANDLER = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
"""What qemu-user-static tells the kernel to do with an arm64 program; `enter` hands it over."""

SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "libzbar0", "mosquitto")
"""What `run` asks of a Pi, and the broker that some tests start."""

PROCESSOR = "cortex-a72"
"""A Pi 4's. QEMU's own choice has SVE, which no Pi has, and with which numpy's OpenBLAS multiplied matrices wrongly under emulation."""

KEEP_PROCESSOR = """\
import os, sys; "QEMU_CPU" in os.environ or os.execve(sys.executable, sys.orig_argv, {**os.environ, "QEMU_CPU": "%s"})
"""
"""A .pth of the root's Python. QEMU asks the environment for the processor, and the reader's process is started with one of its own."""

PYTHON = "3.11"
MARKERS = {
    "implementation_name": "cpython",
    "implementation_version": "3.11.2",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.2",
    "python_version": PYTHON,
    "sys_platform": "linux",
}
"""Debian 12's Python on arm64, as the markers of requirements see it."""

GLIBC_MINOR = 36
"""Debian 12 has glibc 2.36: wheels for manylinux_2_17 (the first with arm64) to manylinux_2_36 fit."""

SETS = ("edge", "test")
"""Files of requirements/, in the order in which they are installed: first what a gate has, then what its tests need."""

SPACE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private")
"""Begins a mount namespace: what is mounted in there nobody else sees, and it ends with its last process, which ends with us."""

OWN_PROCESSES = ("--pid", "--fork", "--kill-child")
"""And one of processes, all of which end with the first."""

WHEELS_ALONE = ("--only-binary", ":all:", "--require-hashes")

MIRROR_LIMIT_S = 20.0
OFF_LINE = re.compile(
    "NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|Failed to establish a new connection"
)
"""What pip says when it reaches nobody, rather than that somebody has no such wheel."""


class CannotRun(Exception):
    """This machine cannot run arm64 programs, or cannot fetch them; the text is the reason."""


class NotMade(Exception):
    """The root could be made here and was not: the recipe, the requirements or a package is at fault. The text says how."""


@dataclass(frozen=True)
class Share:
    """A folder or file of this machine that a command sees in the root, under the name `inside`."""

    host: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True)
class Root:
    """A root that is ready. `python` is its Python with the requirements, as the root names it."""

    folder: Path
    python: str
    reports: str
    """The folder, as the root names it, of pip's own reports on what it installed: edge.json and test.json."""

    def command(self, *command: str, shares: Sequence[Share] = ()) -> list[str]:
        """The command line that runs `command` in the root, in /healthgate, the checkout, which it cannot write to.

        The process becomes the command itself: signals reach it. Nothing of our environment does.
        """
        return self._line(SPACE, command, shares)

    def apart(self, *command: str, shares: Sequence[Share] = ()) -> list[str]:
        """The command line that runs `command` in the root; whatever ends it, all that it started ends too. Signals do not reach it."""
        return self._line((*SPACE, *OWN_PROCESSES), command, shares)

    def run(self, *command: str, shares: Sequence[Share] = (), limit_s: float) -> subprocess.CompletedProcess[str]:
        """Runs `command` to its end, at most `limit_s`."""
        line = self.apart(*command, shares=shares)
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=limit_s, stdin=subprocess.DEVNULL)

    def _line(self, unshare: Sequence[str], command: Sequence[str], shares: Sequence[Share]) -> list[str]:
        shared: list[str] = []
        for share in (Share(CHECKOUT, "/healthgate"), *shares):
            shared += ["rw" if share.writable else "ro", str(share.host), share.inside]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/tmp",
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "QEMU_CPU": PROCESSOR,
        }
        inside = ["env", "-i", "-C", "/healthgate", *(f"{name}={value}" for name, value in environment.items()), *command]
        return [*unshare, str(ENTER), str(self.folder), *shared, "--", *inside]


def cache() -> Path:
    """The folder of all arm64 roots."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "healthgate" / "arm64"


def say(text: str) -> None:
    """A line for people, who may be waiting."""
    print(f"healthgate: arm64: {text}", file=sys.stderr, flush=True)


def missing_packages() -> list[str]:
    """The Debian packages without which no root is made, as `run` takes them: package=why. None where they alone would not help."""
    if platform.machine() == "aarch64" or os.geteuid() != 0:
        return []
    lacking = []
    if shutil.which("debootstrap") is None:
        lacking.append("debootstrap=makes the root of Debian for arm64")
    if not HANDLER.exists():
        lacking.append("qemu-user-static=runs arm64 programs on this processor")
    return lacking


def made() -> Root:
    """The root that fits today's recipe and requirements, made where it is missing. Raises CannotRun and NotMade."""
    _check_machine()
    folder = cache() / _hash_of(SUITE, *PACKAGES)
    files = [CHECKOUT / "requirements" / f"{name}.txt" for name in SETS]
    environment = "/opt/healthgate-" + _hash_of(*(file.read_text(encoding="utf-8") for file in files))
    root = Root(folder / "root", f"{environment}/bin/python", f"{environment}/reports")
    cache().mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(cache() / "lock"):
        if not root.folder.exists():
            _make_root(root.folder)
        if not _in(root, root.reports).exists():
            _make_environment(root, environment, folder / "wheels")
        packages = _in(root, environment) / "lib" / f"python{PYTHON}" / "site-packages"
        (packages / "processor.pth").write_text(KEEP_PROCESSOR % PROCESSOR, encoding="utf-8")
    return root


def _check_machine() -> None:
    """Raises CannotRun where no arm64 program can run, before anything is fetched."""
    if platform.machine() == "aarch64":
        raise CannotRun("this machine is an arm64 one itself: ./run test has tried all of it")
    if os.geteuid() != 0:
        raise CannotRun("it needs root, to mount and to change root")
    for tool in ("setpriv", "unshare", "mount", "chroot"):
        if shutil.which(tool) is None:
            raise CannotRun(f"the command {tool} is missing")
    tried = subprocess.run([*SPACE, str(ENTER)], capture_output=True, text=True, check=False, timeout=30)
    if tried.returncode:
        raise CannotRun(f"no arm64 programs through binfmt_misc and qemu-user-static: {tried.stderr.strip()}")


def _make_root(folder: Path) -> None:
    """Debian's own packages, by debootstrap, into `folder`, which appears when all of them are in."""
    if shutil.which("debootstrap") is None:
        raise CannotRun("there is no root in the cache, and debootstrap to make one is not installed")
    mirror = _mirror()
    try:
        with urllib.request.urlopen(f"{mirror}/dists/{SUITE}/InRelease", timeout=MIRROR_LIMIT_S):
            pass
    except (OSError, urllib.error.URLError) as wrong:
        raise CannotRun(f"there is no root in the cache, and Debian's mirror does not answer: {wrong}") from None
    part = folder.with_name("root.part")
    _remove(part)
    part.mkdir(parents=True)
    bootstrap = ["debootstrap", "--arch=arm64", "--variant=minbase", "--force-check-gpg", f"--include={','.join(PACKAGES)}"]
    mount_binfmt = f'{ENTER} && exec "$@"'  # binfmt_misc stays as long as this namespace does
    with _step(f"making a root: Debian {SUITE} for arm64, from the mirror that apt uses (about two minutes, once)") as seen:
        _follow(
            [*SPACE, *OWN_PROCESSES, "--mount-proc", "sh", "-c", mount_binfmt, "sh", *bootstrap, SUITE, str(part), mirror],
            seen,
            part.with_name("debootstrap.log"),
        )
    for file in (part / "var/cache/apt/archives").glob("*.deb"):
        file.unlink()
    part.rename(folder)


def _make_environment(root: Root, environment: str, wheels: Path) -> None:
    """A virtual environment in the root, filled from wheels alone, with hashes: this machine's pip fetches, the root's own pip installs."""
    _remove(_in(root, environment))
    wheels.mkdir(exist_ok=True)
    with _step("fetching arm64 wheels") as seen:
        fits = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(GLIBC_MINOR, 16, -1)] + ["--platform=manylinux2014_aarch64"]
        fits += [f"--python-version={PYTHON}", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none"]
        for name in SETS:
            pins = wheels / f"{name}.txt"
            pins.write_text("".join(_pins(CHECKOUT / "requirements" / f"{name}.txt")), encoding="utf-8")
            pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps", *WHEELS_ALONE]
            try:
                _follow([*pip, *fits, f"--dest={wheels}", f"--requirement={pins}"], seen, wheels / "pip.log")
            except NotMade as wrong:
                if OFF_LINE.search((wheels / "pip.log").read_text(encoding="utf-8")):
                    raise CannotRun(f"the packages of requirements/{name}.txt are not in the cache, and pip reaches nobody") from wrong
                raise
    with _step("installing them under emulation (about a minute, once)") as seen:
        shares = [Share(wheels, "/wheels")]
        reports = f"{environment}/reports.part"
        _follow(root.command("python3", "-m", "venv", environment), seen, wheels / "pip.log")
        _in(root, reports).mkdir()
        for name in SETS:
            pip = [root.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-index", "--find-links=/wheels", *WHEELS_ALONE]
            pip += [f"--report={reports}/{name}.json", f"--requirement=/healthgate/requirements/{name}.txt"]
            _follow(root.command(*pip, shares=shares), seen, wheels / "pip.log")
    _in(root, reports).rename(_in(root, root.reports))


def _pins(file: Path) -> Iterator[str]:
    """The lines of a file of requirements that count for Debian 12 on arm64, each without its marker: pip would ask this machine."""
    for line in file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            pin, _, hashes = line.partition(" --hash=")
            wanted = Requirement(pin.strip())
            if wanted.marker is None or wanted.marker.evaluate(MARKERS):
                yield f"{wanted.name}{wanted.specifier} --hash={hashes}\n"


def _mirror() -> str:
    """The mirror of Debian that this machine's apt takes its own packages from."""
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages", "Component: main"]
    if shutil.which("apt-get") is None:
        raise CannotRun("there is no root in the cache, and no apt-get that could name a mirror of Debian")
    told = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60).stdout
    for line in told.splitlines():
        address, _, release = line.partition(" ")
        if release == SUITE or (address.rstrip("/").endswith("/debian") and "-" not in release):
            return address.rstrip("/")
    raise CannotRun("there is no root in the cache, and apt's sources name no mirror of Debian")


def _follow(command: Sequence[str], seen: _Seen, log: Path) -> None:
    """Runs `command` with all that it says in `log`, and its steps shown. Raises NotMade with the last lines where it fails."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, env=environment, errors="replace"
    )
    assert process.stdout is not None
    with process, log.open("w", encoding="utf-8") as file:
        try:
            for line in process.stdout:
                file.write(line)
                seen.line(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        last = "".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[-8:])
        raise NotMade(f"{command[0]} failed with status {process.returncode}; all that it said is in {log}, and last:\n{last}")


class _Seen:
    """Counts what a program's lines name, one after another, on a terminal."""

    STEP = re.compile(r"(?:I: (?:Retrieving|Extracting|Unpacking|Configuring)|Collecting|Processing) (\S+)")

    def __init__(self) -> None:
        self._count = 0

    def line(self, line: str) -> None:
        """Shows what `line` is about."""
        match = self.STEP.search(line)
        if match and sys.stderr.isatty():
            self._count += 1
            print(f"\r\033[K  {self._count} {Path(match[1]).name[:60]}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Takes the count away."""
        if self._count:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


@contextmanager
def _step(text: str) -> Iterator[_Seen]:
    """Says what begins, and how long it took."""
    say(text)
    begun = time.monotonic()
    seen = _Seen()
    try:
        yield seen
    finally:
        seen.end()
    say(f"that took {time.monotonic() - begun:.0f} s")


@contextmanager
def _one_at_a_time(file: Path) -> Iterator[None]:
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("somebody else is making the root: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove(folder: Path) -> None:
    """Removes what an earlier try left behind, unless something is mounted in there, which nobody of ours does."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    within = [mount for mount in mounts if Path(mount).is_relative_to(folder.resolve())]
    if within:
        raise CannotRun(f"{', '.join(within)} is a mount in the cache: unmount it first")
    if folder.exists():
        shutil.rmtree(folder)


def _in(root: Root, path: str) -> Path:
    """The file of this machine that is `path` in the root."""
    return root.folder / path.lstrip("/")


def _hash_of(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


if __name__ == "__main__":
    print("\n".join(missing_packages()), end="")
