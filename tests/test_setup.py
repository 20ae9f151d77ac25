"""What set-up stands on: pinned and hashed requirements that agree with pyproject.toml, and rooms that need only their own packages."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = {"edge": ["edge"], "server": ["server"], "bench": ["edge", "bench"], "release": ["edge", "server", "release"]}
FILES["test"] = ["edge", "server", "video", "release", "test"]
FILES["dev"] = ["edge", "server", "video", "release", "bench", "test", "dev"]


def pins(name: str) -> list[Requirement]:
    """The requirements in requirements/NAME.txt, without their hashes."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [Requirement(line.partition(" --hash=")[0].strip()) for line in lines]


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_one_version_with_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|--(index|extra|find|trusted)|(^|\s)/", text)
    for line in text.replace("\\\n", " ").splitlines():
        assert line.startswith("#") or re.match(r"\S+==\S+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+$", line), line[:80]


@pytest.mark.parametrize("name", FILES)
def test_the_pins_satisfy_what_the_project_asks_for(name: str) -> None:
    found = pins(name)
    asked = [*PROJECT["dependencies"], *(item for extra in FILES[name] for item in PROJECT["optional-dependencies"][extra])]
    for want in map(Requirement, asked):
        mine = [pin for pin in found if canonicalize_name(pin.name) == canonicalize_name(want.name)]
        assert mine, f"{want} is not in requirements/{name}.txt: run requirements/compile.sh"
        assert any(want.specifier.contains(str(pin.specifier).removeprefix("==")) for pin in mine), str(want)


def test_the_files_agree_on_every_version() -> None:
    def versions(*names: str) -> set[str]:
        return {f"{pin.name}{pin.specifier}" for name in names for pin in pins(name)}

    assert versions("edge", "server", "bench", "test") <= versions("dev")


def test_numpy_stays_below_two_where_the_pi_camera_needs_it() -> None:
    versions = {str(pin.marker): str(pin.specifier) for pin in pins("edge") if pin.name == "numpy"}
    assert versions['python_full_version < "3.12"'].startswith("==1.")


def test_a_gate_needs_nothing_of_the_server() -> None:
    names = {canonicalize_name(pin.name) for pin in pins("edge")}
    assert not names & {canonicalize_name(Requirement(item).name) for item in PROJECT["optional-dependencies"]["server"]}
    modules = [path.stem for path in sorted((ROOT / "edge").glob("*.py")) if not path.stem.startswith("__")]
    imports = "\n".join(["import healthgate.__main__", *(f"import edge.{module}" for module in modules)])
    code = (
        f"import sys\nsys.modules['sqlalchemy'] = None\n{imports}\nassert not [name for name in sys.modules if name.startswith('server')]"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_python_that_is_too_old_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes((ROOT / "run").read_bytes())
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(old)}
    done = subprocess.run(
        ["bash", str(tmp_path / "run"), "edge"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1:] == [
        f"healthgate: {old} is Python 3.9.2, expected Python 3.11 to 3.13: install one, or name it: PYTHON=/path/to/python3.12 ./run"
    ]
    assert len(done.stderr.splitlines()) == 1


def test_every_command_is_named_where_the_script_explains_itself() -> None:
    head = (ROOT / "run").read_text(encoding="utf-8").split("set -euo pipefail")[0]
    assert all(word in head for word in ("./run demo", "./run test", "--fast", "--fuzz", "--simulation", "--kernel", "--arm64", "PYTHON="))
