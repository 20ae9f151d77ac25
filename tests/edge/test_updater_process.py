"""The updater as a process on a real disk: fetched over TLS, cut off, killed, installed by pip, tested, tried out, and refused.

The releases are as small as can be: their wheel leads to this checkout and has a version of its own. Nothing comes from anywhere but the
bundle.
"""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import site as python_site
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import msgspec
import pytest

from edge.config import Updates
from edge.releasedoor import GateSays, read_updater, wish
from edge.releasefolder import ReleaseFolder
from edge.updates import TRIAL_S, Phase
from edge.venvs import own_platform
from healthcode import signed
from healthcode.cose import SoftwareKey
from healthcode.messages import Release
from healthgate import keyring_files, keys_release
from healthgate.bundles import pack
from tests.edge.test_fetching import Site
from tests.gate_toml import GATE

pytestmark = pytest.mark.slow
LIMIT_S = 240.0
CHECKOUT = Path(__file__).parent.parent.parent
OLD, NEW, BROKEN = "0.1.0", "0.2.0", "0.3.0"


def make_wheel(folder: Path, version: str, main: str = "") -> Path:
    """A wheel named healthgate: a path to this checkout, and where `main` is given a program of its own in its place."""
    files = {"healthgate_here.pth": "\n".join([str(CHECKOUT), *python_site.getsitepackages()]) + "\n"}
    if main:
        files |= {"healthgate/__init__.py": "", "healthgate/__main__.py": main}
    info = f"healthgate-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: healthgate\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{name},sha256={digest},{len(text.encode())}\n")
    path = folder / f"healthgate-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/RECORD", "".join(record) + f"{info}/RECORD,,\n")
    return path


class House:
    """A unit's folders, its server, and the updater's process. The test plays the gate."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, Site(folder)
        self.keys, self.data, self.run = folder / "keys", folder / "data", folder / "run"
        now = time.time()
        keyring_files.init(self.keys, "CN-HB", "https://hb.example/s/1", now)
        keys_release.make(self.keys, self.keys / "release.pem", now)
        for each in (self.data / "cache", self.run):
            each.mkdir(parents=True)
        (self.data / "cache" / "trust").write_bytes((self.keys / "trust.cbor").read_bytes())
        (folder / "root.pub.pem").write_bytes((self.keys / "root.pub.pem").read_bytes())
        self.config = folder / "gate.toml"
        updates = f'folder = "{folder}/opt"\nserver = "{self.server.address}"\nca = "{self.server.certificate}"\nrun = "{self.run}"\n'
        self.config.write_text(GATE.format(folder=folder) + "[updates]\n" + updates)
        self.releases = ReleaseFolder(folder / "opt")
        self.releases.begin(OLD)
        self.releases.finish(OLD, bytes(32))
        for name in ("good", "current"):
            self.releases.point(name, OLD)
        self.process: subprocess.Popen[bytes] | None = None
        self.published: dict[str, bytes] = {}
        self.cuts: list[int] = []
        self.server.answers = [self.answer]

    def publish(self, version: str, main: str = "", signer: SoftwareKey | None = None) -> None:
        bundle = pack(make_wheel(self.folder, version, main), [], "", version, self.folder / f"{version}.zip")
        key = signer or SoftwareKey.from_pem((self.keys / "release.pem").read_bytes())
        platforms, now = [own_platform()], int(time.time())
        release = Release(version=version, after=OLD, size=bundle.size, sha256=bundle.sha256, platforms=platforms, signed_at=now)
        self.published[f"/fleet/releases/{version}/release.cbor"] = signed.write(release, key)
        self.published[f"/fleet/releases/{version}/bundle.zip"] = bundle.path.read_bytes()

    def answer(self, request: BaseHTTPRequestHandler, begin: int) -> tuple[int, dict[str, str], bytes]:
        found = self.published.get(request.path)
        if found is None:
            return 404, {}, b""
        rest = found[begin:]
        headers = {"content-length": str(len(rest))}
        if begin:
            headers["content-range"] = f"bytes {begin}-{len(found) - 1}/{len(found)}"
        return 206 if begin else 200, headers, rest

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        command = [sys.executable, "-P", "-m", "edge.updater", str(self.config)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, env=environment)

    def end(self, how: signal.Signals | None = None) -> int:
        assert self.process is not None
        if how is not None:
            self.process.send_signal(how)
        return self.process.wait(LIMIT_S)

    def say(self, version: str, for_s: float) -> None:
        """The gate: it runs as `version` for so many seconds, and all is well."""
        at = time.monotonic()
        (self.run / "gate.json").write_bytes(msgspec.json.encode(GateSays(version, at - for_s, at, camera=True, sensor=True)))

    def wait_for(self, what: Callable[[], bool]) -> None:
        until = time.monotonic() + LIMIT_S
        while not what():
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.02)

    def phase(self) -> Phase | None:
        said = read_updater(self.run)
        return said.phase if said is not None else None

    def trouble(self) -> str:
        said = read_updater(self.run)
        return said.trouble if said is not None else ""

    def ask(self, version: str) -> None:
        assert wish(self.data, Updates(folder=f"{self.folder}/opt", run=str(self.run)), version, f"w-{version}", "li") is None

    def look(self) -> tuple[str, str]:
        return self.releases.version_at("current"), self.releases.version_at("good")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)
    made.server.close()


def test_a_release_from_the_server_to_the_end_of_its_trial_and_one_that_does_not_work(house: House) -> None:
    house.publish(NEW)
    house.publish(BROKEN, "import sys\nsys.exit('this release knows no MLX90614')\n")
    house.start()
    house.wait_for(lambda: house.phase() is Phase.RESTING)
    house.ask(NEW)
    house.wait_for(lambda: house.phase() is Phase.INSTALLING)
    house.end(signal.SIGKILL)
    assert house.look() == (OLD, OLD)

    house.start()  # after the power cut
    house.wait_for(lambda: house.look() == (NEW, OLD))
    house.say(NEW, TRIAL_S + 1)
    assert house.end() == 0, "it ends, to be started from what is good now"
    assert house.look() == (NEW, NEW)
    runs = [str(house.releases.path(NEW) / "bin" / "python"), "-P", "-m", "healthgate", "edge", "release", "--config", str(house.config)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    told = subprocess.run(runs, capture_output=True, text=True, check=True, env=environment, timeout=LIMIT_S)
    assert told.stdout.startswith("release 0.2.0 runs\n")

    house.ask(BROKEN)
    house.start()
    house.wait_for(lambda: "knows no MLX90614" in house.trouble())
    assert house.look() == (NEW, NEW)
    assert "knows no MLX90614" in house.releases.read().refused[BROKEN]
    assert house.end(signal.SIGTERM) == 0


def test_a_bad_signature_and_a_bundle_of_other_bytes_are_named_and_nothing_comes_of_them(house: House) -> None:
    house.publish(NEW, signer=SoftwareKey.generate())
    house.start()
    house.wait_for(lambda: house.phase() is Phase.RESTING)
    house.ask(NEW)
    house.wait_for(lambda: house.trouble() != "")
    assert house.trouble() == "release 0.2.0: UNKNOWN_KEY: expected a release signed by a key that the trust list has for it"
    house.publish(BROKEN)
    house.published[f"/fleet/releases/{BROKEN}/bundle.zip"] = bytes(len(house.published[f"/fleet/releases/{BROKEN}/bundle.zip"]))
    house.ask(BROKEN)
    house.wait_for(lambda: "its bundle has the SHA-256" in house.trouble())
    assert house.look() == (OLD, OLD)
    assert house.end(signal.SIGTERM) == 0
