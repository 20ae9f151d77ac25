"""What units are told to Home Assistant as, held against Home Assistant's own schemas, in an environment of its own.

Its pins and ours exclude each other (it wants paho 1, and cryptography of another year), so it cannot be an extra of this distribution:
./run test --homeassistant makes it once, in ~/.cache/healthgate.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from healthcode.messages import Info, stamp
from server.home_assistant import device

pytestmark = [pytest.mark.homeassistant, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "homeassistant.txt"


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment that holds Home Assistant as it is pinned."""
    stamp_ = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "healthgate" / f"homeassistant-{sys.version_info.minor}-{stamp_}"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
        (folder / "ready").touch()
    return folder / "bin" / "python"


def faults(python: Path, *devices: bytes) -> list[str]:
    inside = Path(__file__).with_name("inside.py")
    done = subprocess.run([str(python), str(inside)], input=b"\n".join(devices), capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    found: list[str] = json.loads(done.stdout)
    return found


INFO = Info(unit="hall-1", boot_id="0" * 32, software="healthgate 0.1.0", hardware="pi aarch64", started_at=stamp(0))


def test_home_assistant_takes_every_component_of_a_device(python: Path) -> None:
    assert faults(python, device("hall-1", INFO, "station"), device("N_1-x", None)) == []


def test_the_check_finds_what_is_wrong(python: Path) -> None:
    told = json.loads(device("hall-1", INFO))
    told["cmps"]["board_c"]["device_class"] = "warmth"
    told["cmps"]["identify"]["command_topic"] = "a/#"
    told["cmps"]["there"]["state_topik"] = "x"
    del told["cmps"]["fire"]["unique_id"]
    told["cmps"]["gate"]["p"] = "gate"
    found = faults(python, json.dumps(told).encode())
    assert {line.split(":")[0] for line in found} == {"board_c", "identify", "there", "fire", "gate"}
