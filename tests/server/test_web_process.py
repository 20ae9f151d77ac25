"""`healthgate server web` as a process of its own: it says where it is, answers, ends on a signal, and says what is wrong in a line."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.server.office import ISSUER, URI, Town
from tests.tls import self_signed

pytestmark = pytest.mark.slow
LIMIT_S = 30


def configure(town: Town, web: str) -> Path:
    path = town.folder / "server.toml"
    path.write_text(f'issuer = "{ISSUER}"\nuri = "{URI}"\n[web]\n{web}\n')
    return path


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "healthgate", "server", "web", "--config", path], stderr=subprocess.PIPE, text=True)


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"pages at (\S+)", line)
        if found:
            return found[1]
    raise AssertionError("it ended without a word of where it is")


def ask(url: str, verify: ssl.SSLContext | bool = True) -> httpx2.Response:
    ends = time.monotonic() + LIMIT_S
    while True:
        try:
            return httpx2.get(url, verify=verify, trust_env=False)
        except httpx2.TransportError:
            assert time.monotonic() < ends


def test_it_serves_and_ends_when_told(town: Town, processes: list[subprocess.Popen[str]]) -> None:
    (town.folder / "data" / "registry.sqlite").unlink(missing_ok=True)  # whoever makes it makes it private
    process = start(configure(town, "port = 0"))
    processes.append(process)
    site = address(process)
    assert ask(f"{site}/health").json() == {"status": "pass", "database": "pass"}
    assert "server" not in ask(f"{site}/sign-in").headers
    second = start(configure(town, f"port = {site.rsplit(':', 1)[1]}"))
    _, said = second.communicate(timeout=LIMIT_S)
    assert second.returncode == 2
    assert "cannot listen there: Address already in use" in said
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode in (0, -signal.SIGTERM)
    assert "13800138000" not in said
    assert (town.folder / "data" / "registry.sqlite").stat().st_mode & 0o077 == 0


def test_it_speaks_tls_by_itself(town: Town, processes: list[subprocess.Popen[str]]) -> None:
    certificate, key = self_signed(town.folder, "127.0.0.1")
    process = start(configure(town, f'port = 0\ncertificate = "{certificate.name}"\nkey = "{key.name}"'))
    processes.append(process)
    site = address(process)
    assert site.startswith("https://")
    assert ask(f"{site}/health", ssl.create_default_context(cafile=str(certificate))).status_code == 200


@pytest.mark.parametrize(
    ("web", "sentence"),
    [
        ('host = "192.0.2.1"', "cannot listen there"),
        ('certificate = "absent.pem"\nkey = "absent.key"', "absent.pem"),
        ('certificate = "absent.pem"', "expected both or neither"),
        ('zone = "Asia/Nowhere"', "expected a zone of the tz database"),
        ('origin = "http://code.example.org"', "web.origin"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(town: Town, web: str, sentence: str) -> None:
    process = start(configure(town, web))
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2
    assert sentence in said
    assert "Traceback" not in said
