"""Makes a release out of its bundle. Needs nothing but Python, because a bundle carries this file as the program that installs it:

    python3 healthgate-0.2.0.zip /opt/healthgate

makes the first release of a unit. Every later one the unit's updater makes in the same way, beside the one that runs.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

WHEELS, DEPLOY, REQUIREMENTS, VERSION_FILE = "wheels", "deploy", "requirements.txt", "VERSION"
MOST_UNPACKED = 1024 * 1024 * 1024
INSTALL_S = 1800.0
"""How long pip may take, on a slow card."""
PIECE = 1024 * 1024
PI_PACKAGES = ("python3-picamera2",)
"""What a Raspberry Pi's own packages bring, and no bundle: the camera. Everything else is in the bundle, lgpio too."""


class InstallError(Exception):
    """A bundle that cannot be installed; the text is one line."""


def own_platform() -> str:
    """This Python and processor, as bundles name them."""
    return f"cp{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}"


def is_a_pi() -> bool:
    """Whether this is a Raspberry Pi, whose camera's package is Debian's."""
    try:
        return Path("/proc/device-tree/model").read_bytes().startswith(b"Raspberry Pi")
    except OSError:
        return False


def fits(name: str, machine: str) -> bool:
    """Whether a wheel of this name is for this processor, or for any."""
    return name.endswith("-any.whl") or name.endswith(f"_{machine}.whl")


def unpack(bundle: Path, into: Path, machine: str) -> None:
    """The bundle's requirements and its wheels for this processor, into the empty folder `into`. InstallError where it is no bundle."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            wanted = []
            for info in archive.infolist():
                folder, slash, name = info.filename.rpartition("/")
                is_wheel = folder == WHEELS and name.endswith(".whl") and "\\" not in name
                if is_wheel and fits(name, machine):
                    wanted.append((info, into / WHEELS / name))
                elif folder == DEPLOY and name and "\\" not in name:
                    wanted.append((info, into / DEPLOY / name))
                elif not slash and name in (REQUIREMENTS, VERSION_FILE):
                    wanted.append((info, into / name))
            if sum(info.file_size for info, _ in wanted) > MOST_UNPACKED:
                raise InstallError(f"{bundle}: over {MOST_UNPACKED} bytes unpacked")
            for each in (WHEELS, DEPLOY):
                (into / each).mkdir(parents=True)
            for info, path in wanted:
                with archive.open(info) as packed, path.open("wb") as file:
                    while piece := packed.read(PIECE):
                        file.write(piece)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as wrong:
        raise InstallError(f"{bundle}: {wrong}: expected a bundle that `healthgate release build` made") from None
    if not (into / REQUIREMENTS).exists():
        raise InstallError(f"{bundle}: has no {REQUIREMENTS}: expected a bundle that `healthgate release build` made")


def make(unpacked: Path, release: Path) -> None:
    """A virtual environment in the empty folder `release`, with the wheels of `unpacked` and nothing from anywhere else."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    _run([base, "-m", "venv", *(["--system-site-packages"] if is_a_pi() else []), str(release)], "python -m venv", 300.0)
    pip = [
        str(release / "bin" / "python"),
        "-P",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--no-input",
        "--isolated",
        "install",
        "--quiet",
    ]
    sources = ["--no-index", "--find-links", str(unpacked / WHEELS), "--require-hashes", "--only-binary", ":all:", "--no-cache-dir"]
    _run([*pip, *sources, "-r", str(unpacked / REQUIREMENTS)], "pip install", INSTALL_S)


def _run(command: list[str], name: str, limit_s: float) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    try:
        done = subprocess.run(  # noqa: S603  Python and pip, on what is signed
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=limit_s, cwd="/", env=environment
        )
    except subprocess.TimeoutExpired:
        raise InstallError(f"{name}: did not end within {limit_s:.0f} s") from None
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip() and not line.startswith("WARNING")]
        told = next((line for line in reversed(said) if "rror" in line), said[-1] if said else f"status {done.returncode}")
        raise InstallError(f"{name}: {told.strip()[:160]}")


def hash_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def main(arguments: list[str]) -> int:
    """The program in a bundle: installs the bundle that it is started from. Its exit status."""
    bundle = Path(sys.argv[0]).resolve()
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write(f"usage: python3 {bundle.name} FOLDER    installs this release there, such as /opt/healthgate\n")
        return 2
    folder = Path(arguments[0]).resolve()
    try:
        return _install_first(bundle, folder)
    except InstallError as wrong:
        sys.stderr.write(f"{wrong}\n")
    except OSError as wrong:
        sys.stderr.write(f"{wrong.filename or folder}: {wrong.strerror}\n")
    return 1


def _install_first(bundle: Path, folder: Path) -> int:
    if (folder / "current").is_symlink():
        raise InstallError(f"{folder / 'current'}: there is a release already: a unit takes the next one from its server")
    unpacked = folder / "incoming" / "unpacked"
    for left in (unpacked, folder / "releases"):
        if left.exists():
            shutil.rmtree(left)  # of an earlier try
    unpack(bundle, unpacked, platform.machine())
    version = (unpacked / VERSION_FILE).read_text(encoding="ascii").strip()
    release = folder / "releases" / version
    release.mkdir(parents=True, exist_ok=True)
    print(f"installing healthgate {version} in {release}: a minute or two")  # noqa: T201
    make(unpacked, release)
    (release / "whole").write_text(f"{hash_of(bundle)}\n", encoding="ascii")
    os.sync()
    for name in ("good", "current"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(f"releases/{version}")
    shutil.copytree(unpacked / DEPLOY, folder / DEPLOY, dirs_exist_ok=True)
    shutil.rmtree(unpacked.parent)
    os.sync()
    print(f"{folder / 'current'}: healthgate {version}: {release / 'bin' / 'healthgate'} --help")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
