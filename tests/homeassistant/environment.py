"""An environment of its own for Home Assistant: it wants another Python than most systems have, and other versions of what we use too."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "homeassistant.txt"
NAMED = "HEALTHGATE_PYTHON313"
"""The variable that names the interpreter, where it is in no usual place."""
FITS = "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 13))"


class Unfit(Exception):
    """There is no such environment; one line says what to do about it."""


def interpreter(variables: Mapping[str, str], home: Path) -> str:
    """A Python 3.13 that can make environments: the one that is named, else ours, one on PATH, pyenv's or uv's newest. Else Unfit."""
    named = variables.get(NAMED, "")
    if named:
        if _fits(named):
            return named
        raise Unfit(f"{NAMED}={named}: expected a Python 3.13 that can make virtual environments (venv and ensurepip)")
    for place in _places(variables, home):
        if _fits(place):
            return place
    raise Unfit(
        "Home Assistant wants a Python 3.13 with venv, and none is on PATH, in pyenv's folder or uv's: install one (apt install "
        "python3.13-venv where Debian has it, else pyenv install 3.13 or uv python install 3.13), or name it: "
        f"{NAMED}=/path/to/python3.13"
    )


def _places(variables: Mapping[str, str], home: Path) -> Iterator[str]:
    yield sys.executable
    yield shutil.which("python3.13", path=variables.get("PATH", "")) or ""
    pyenv = Path(variables.get("PYENV_ROOT") or home / ".pyenv")
    uv = Path(variables.get("UV_PYTHON_INSTALL_DIR") or home / ".local" / "share" / "uv" / "python")
    for found in (pyenv.glob("versions/3.13*/bin/python3.13"), uv.glob("cpython-3.13*/bin/python3.13")):
        yield from sorted(map(str, found), key=lambda place: [int(number) for number in re.findall(r"\d+", place)], reverse=True)


def _fits(python: str) -> bool:
    try:
        return bool(python) and subprocess.run([python, "-I", "-c", FITS], capture_output=True, check=False, timeout=60).returncode == 0
    except OSError:
        return False


def environment(variables: Mapping[str, str], home: Path) -> Path:
    """The interpreter of an environment that holds Home Assistant as it is pinned; made once, by whichever process is first."""
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = Path(variables.get("XDG_CACHE_HOME") or home / ".cache") / "healthgate" / f"homeassistant-{pins}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            _make(folder, interpreter(variables, home))
    return folder / "bin" / "python"


def _make(folder: Path, python: str) -> None:
    pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", "--no-compile"]
    pins = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(REQUIREMENTS)]
    for command in ([python, "-I", "-m", "venv", "--clear", str(folder)], [*pip, *pins]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unfit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    (folder / "ready").touch()
