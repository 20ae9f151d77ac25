"""What units are told to Home Assistant as, held against the schemas of Home Assistant's own discovery."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from healthcode.messages import Info, stamp
from server.home_assistant import device

pytestmark = [pytest.mark.homeassistant, pytest.mark.timeout(1800)]


def faults(python: Path, *devices: bytes) -> list[list[str]]:
    """What Home Assistant finds wrong with each."""
    inside = Path(__file__).with_name("inside.py")
    done = subprocess.run([str(python), "-I", str(inside)], input=b"\n".join(devices), capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    found: list[list[str]] = json.loads(done.stdout)
    return found


INFO = Info(unit="hall-1", boot_id="0" * 32, software="healthgate 0.1.0", hardware="pi aarch64", started_at=stamp(0))


def test_home_assistant_takes_all_that_is_told_of_a_device(python: Path) -> None:
    assert faults(python, device("hall-1", INFO, "station"), device("N_1-x", None)) == [[], []]


FAULTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "no origin": (lambda told: told.pop("o"), "required key not provided @ data['origin']"),
    "an origin without a name": (lambda told: told["o"].pop("name"), "required key not provided @ data['origin']['name']"),
    "an origin of another kind": (lambda told: told.update(o="healthgate"), "expected a dictionary for dictionary value @ data['origin']"),
    "no device": (lambda told: told.pop("dev"), "required key not provided @ data['device']"),
    "a device that cannot be told": (lambda told: told["dev"].pop("identifiers"), "at least one identifying value"),
    "a device's unknown option": (lambda told: told["dev"].update(maker="x"), "extra keys not allowed @ data['device']['maker']"),
    "no components": (lambda told: told.pop("cmps"), "required key not provided @ data['components']"),
    "an unknown option of all": (lambda told: told.update(compts={}), "extra keys not allowed @ data['compts']"),
    "an unknown way of being there": (lambda told: told.update(availability_mode="some"), "@ data['availability_mode']"),
    "no platform": (lambda told: told["cmps"]["gate"].pop("p"), "required key not provided @ data['components']['gate']['platform']"),
    "an unknown platform": (lambda told: told["cmps"]["gate"].update(p="gate"), "@ data['components']['gate']['platform']"),
    "no unique id": (
        lambda told: told["cmps"]["fire"].pop("unique_id"),
        "required key not provided @ data['components']['fire']['unique_id']",
    ),
    "a component's unknown option": (
        lambda told: told["cmps"]["there"].update(state_topik="x"),
        "there: state_topik: there is no such option",
    ),
    "one of its availability": (
        lambda told: told["cmps"]["there"]["availability"][0].update(topik="x"),
        "there: availability: topik: there is no such option",
    ),
    "an unknown class": (lambda told: told["cmps"]["board_c"].update(device_class="warmth"), "board_c: expected SensorDeviceClass"),
    "a unit of another class": (
        lambda told: told["cmps"]["board_c"].update(unit_of_measurement="hPa"),
        "board_c: The unit of measurement `hPa`",
    ),
    "a choice that is none": (lambda told: told["cmps"]["light"].update(options=["pass"]), "light: The option `options`"),
    "a template that does not end": (
        lambda told: told["cmps"]["light"].update(value_template="{{ value_json.x"),
        "light: invalid template",
    ),
    "a button to everybody": (lambda told: told["cmps"]["identify"].update(command_topic="a/#"), "identify: Wildcards cannot be used"),
    "no topic": (lambda told: told["cmps"]["passes"].pop("state_topic"), "passes: required key not provided @ data['state_topic']"),
}


def test_the_check_finds_what_is_wrong(python: Path) -> None:
    messages = []
    for spoil, _ in FAULTS.values():
        told = json.loads(device("hall-1", INFO))
        spoil(told)
        messages.append(json.dumps(told).encode())
    found = dict(zip(FAULTS, faults(python, *messages), strict=True))
    for fault, (_, expected) in FAULTS.items():
        assert len(found[fault]) == 1, f"{fault}: {found[fault]}"
        assert expected in found[fault][0], f"{fault}: {found[fault]}"


def test_what_is_no_message_is_found_too(python: Path) -> None:
    assert ["Unable to parse JSON" in line for (line,) in faults(python, b"{", b"[]")] == [True, True]
