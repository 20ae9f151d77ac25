"""What a gate unit runs, on a Pi's processor under emulation: its packages, its reader, its tests, and one person let through."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from bench.presentations import present
from healthcode import topics
from healthcode.messages import Event, EventBatch, PassageEvent, PassEvent, decode
from healthcode.terms import Decision, PassageOutcome, Reason
from tests.arm64.root import CHECKOUT, SETS, Root, Share, say
from tests.broker import Broker, Client
from tests.edge.test_process import Site

PHOTOS = Path(os.environ.get("HEALTHGATE_PHOTOS") or CHECKOUT.parent / "shared" / "data" / "photos")
PHOTOS_READ = 6
"""Of the photographs, spread over the folder; each takes a second or two."""
SEED = 4
FRAMES = 4

SHORT_S = 60.0
SCAN_S = 180.0
TESTS_S = 1200.0

INSTALLED = """
import importlib, json, pathlib, platform, sys
for path in sorted(pathlib.Path("edge").rglob("*.py")):
    if "__main__" not in path.name:
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
for name in ("lgpio", "picamera2"):
    sys.modules.setdefault(name, None)
libraries = ("cbor2", "cryptography.hazmat.bindings._rust", "gpiozero", "linuxpy.video.device", "msgspec", "numpy", "paho.mqtt.client",
    "PIL.Image", "pyzbar.pyzbar", "seccompy", "segno", "smbus2", "zxingcpp")
for name in libraries:
    importlib.import_module(name)
print(json.dumps([platform.machine(), platform.python_version(), platform.freedesktop_os_release()["VERSION_CODENAME"]]))
"""


def pins_and_hashes(name: str) -> dict[str, set[str]]:
    """Each `package==version` of a file of requirements, in the form of pip's reports, and its hashes."""
    text = (CHECKOUT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.split()[0]: set(re.findall(r"--hash=sha256:([0-9a-f]{64})", line)) for line in lines}


@pytest.mark.parametrize("name", SETS)
def test_every_package_came_from_a_wheel_with_a_hash_that_we_know(root: Root, name: str) -> None:
    report = json.loads((root.folder / root.reports.lstrip("/") / f"{name}.json").read_text(encoding="utf-8"))
    assert report["environment"]["platform_machine"] == "aarch64"
    known = pins_and_hashes(name)
    files = []
    for package in report["install"]:
        origin = package["download_info"]
        files.append(origin["url"].rpartition("/")[2])
        pin = f"{package['metadata']['name'].lower().replace('_', '-')}=={package['metadata']['version']}"
        assert origin["archive_info"]["hash"].removeprefix("sha256=") in known[pin], pin
    assert all(re.search(r"-(any|[\w.]*_aarch64)\.whl$", file) for file in files), files
    compiled = [file for file in files if file.endswith("_aarch64.whl")]
    assert compiled, "nothing that was built for this processor"
    say(f"requirements/{name}.txt: {len(files)} wheels installed, {len(compiled)} of them built for arm64")


def test_the_units_modules_and_libraries_load(root: Root) -> None:
    done = root.run(root.python, "-c", INSTALLED, limit_s=SHORT_S)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[::2] == ["aarch64", "bookworm"]
    checked = root.run(root.python, "-m", "pip", "--disable-pip-version-check", "check", limit_s=SHORT_S)
    assert checked.returncode == 0, checked.stdout


def rendered(folder: Path) -> dict[Path, set[str]]:
    """Pictures of a phone held up at a tilt, with a hand's shake and a sensor's noise, and what is on each."""
    shown = present(SEED, 1)
    assert shown.condition == "tilt"
    files = [folder / f"{number}.png" for number in range(FRAMES)]
    for file, pixels in zip(files, shown.frames, strict=False):
        Image.fromarray(pixels).save(file)
    return {file: {shown.text} for file in files}


def photographs() -> dict[Path, set[str]]:
    """Some photographs of codes, from all over the folder, and what is on each."""
    listed = json.loads((PHOTOS / "index.json").read_text(encoding="utf-8"))
    codes = [entry for entry in listed if entry["expect"]]
    return {PHOTOS / entry["file"]: {text.strip() for text in entry["expect"]} for entry in codes[:: -(-len(codes) // PHOTOS_READ)]}


def test_scan_reads_pictures_of_codes(root: Root, tmp_path: Path) -> None:
    real = (PHOTOS / "index.json").exists()
    expected = photographs() if real else rendered(tmp_path)
    folder = PHOTOS if real else tmp_path
    say(f"healthgate scan: {len(expected)} {'photographs' if real else 'rendered pictures, as HEALTHGATE_PHOTOS names no photographs'}")
    names = [f"/pictures/{file.name}" for file in expected]
    done = root.run(root.python, "-m", "healthgate", "scan", "--json", *names, shares=[Share(folder, "/pictures")], limit_s=SCAN_S)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    said = [({text.strip() for text in line["texts"]}, texts) for line, texts in zip(lines, expected.values(), strict=True)]
    read = [texts for texts, _ in said if texts]
    say(f"healthgate scan: {len(read)} of {len(lines)} read")
    assert all(texts == shown for texts, shown in said if texts)
    assert len(read) >= len(lines) / 2


def test_the_tests_of_healthcode_and_edge_pass(root: Root, tmp_path: Path) -> None:
    """In two halves at once; the output of the second is shown when both have ended."""
    rooms = [CHECKOUT / "tests" / room for room in ("healthcode", "vectors", "edge")]
    files = sorted(str(file.relative_to(CHECKOUT)) for room in rooms for file in room.glob("test_*.py"))
    options = ["-p", "no:cacheprovider", "-p", "tests.arm64.inside", "-m", "not slow", "-rs", "--durations=5"]
    say("the fast tests of healthcode/ and edge/ under emulation (minutes)")
    ended, ran = [], 0
    with (tmp_path / "second.txt").open("w+", encoding="utf-8") as second:
        halves = []
        for half, output in enumerate((None, second)):
            pytest_here = [root.python, "-m", "pytest", *options, f"--junitxml=/report/{half}.xml", *files[half::2]]
            line = root.apart(*pytest_here, shares=[Share(tmp_path, "/report", writable=True)])
            halves.append(subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT if output else None, stdin=subprocess.DEVNULL))
        try:
            ended = [process.wait(TESTS_S) for process in halves]
        finally:
            for process in halves:
                process.kill()
                process.wait()
        second.seek(0)
        print(second.read())
    for half in range(2):
        suite = ET.parse(tmp_path / f"{half}.xml").getroot().find("testsuite")
        assert suite is not None
        ran += int(suite.attrib["tests"]) - int(suite.attrib["skipped"])
    say(f"{ran} tests of healthcode/ and edge/ ran")
    assert ended == [0, 0]
    assert ran > 1000


@pytest.fixture
def site(root: Root, tmp_path: Path, broker: Broker) -> Iterator[Site]:
    """A gate whose unit runs under emulation. World and broker are this machine's: the journal is a witness from outside."""
    python = root.command(root.python, shares=[Share(tmp_path, str(tmp_path), writable=True)])
    site = Site(tmp_path, broker, python)
    yield site
    site.close()


def test_a_unit_lets_one_person_through(site: Site, broker: Broker) -> None:
    listener = Client(broker, "", "")
    listener.subscribe(topics.up("north", "events"))
    site.start()
    assert site.process is not None
    assert "qemu" in Path(f"/proc/{site.process.pid}/exe").resolve().name
    rise = site.pass_code(7)
    site.world.set("north", shown=(), skin_c=None, beam=True)
    fall = site.world.wait_for("north", lambda entry: entry.get("pin") == "relay" and not entry["value"], SHORT_S, rise["n"])
    assert fall is not None
    site.world.set("north", beam=False)
    heard: dict[int, Event] = {}
    while not any(isinstance(event, PassageEvent) for event in heard.values()):
        _, payload = listener.next()
        heard |= {event.seq: event for event in decode(payload, EventBatch).events}
    (verdict,) = [event for event in heard.values() if isinstance(event, PassEvent)]
    assert (verdict.decision, verdict.reason, verdict.index) == (Decision.ADMIT, Reason.GREEN, 7)
    (passage,) = [event for event in heard.values() if isinstance(event, PassageEvent)]
    assert (passage.outcome, passage.grant) == (PassageOutcome.USED, verdict.seq)
    status, log = site.end(signal.SIGTERM)
    listener.close()
    assert status == 0, log
    assert [bool(entry["value"]) for entry in site.relay_entries() if "cause" not in entry][-2:] == [True, False]
    assert site.world.wait_gone("north", SHORT_S)
