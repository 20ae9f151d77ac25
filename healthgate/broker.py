"""A private mosquitto for the demo: loopback only, a free port, passwords, the access rules of docs/operations.md, its own folder."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from healthcode.topics import NAMELESS, ROOT

START_LIMIT_S = 10.0

_NAMELESS = "".join(f"topic read {each}\n" for each in NAMELESS)
ACL = f"""\
# A unit writes only under its own up/ and reads only its own down/ and what is for all; its user name is its id.
pattern write {ROOT}/gates/%u/up/#
pattern read {ROOT}/gates/%u/down/#
pattern read {ROOT}/all/#

user bridge
topic readwrite {ROOT}/#

user operator
topic write {ROOT}/gates/+/down/request/#
{_NAMELESS}topic read {ROOT}/bridge/#
"""

CONF = """\
per_listener_settings false
listener {port} 127.0.0.1
allow_anonymous false
use_username_as_clientid true
password_file {folder}/passwords
acl_file {folder}/acl
persistence true
persistence_location {folder}/
autosave_interval 1
max_queued_messages 20000
max_queued_bytes 67108864
max_packet_size 1048576
max_inflight_messages 200
set_tcp_nodelay true
persistent_client_expiration 7d
log_dest file {folder}/mosquitto.log
log_type error
log_type warning
user root
"""


class BrokerMissing(Exception):
    """mosquitto is not installed or does not start; the text is one line that says what to type."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_program(name: str) -> str:
    """The path of `name`, also where Debian keeps servers; BrokerMissing where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BrokerMissing(f"{name} is not installed: type sudo apt-get install mosquitto")
    return found


class Broker:
    """One mosquitto process and its folder; a restart finds what the last one kept."""

    def __init__(self, folder: Path, passwords: Mapping[str, str]) -> None:
        """Writes configuration, access rules and `passwords` (user to password) into `folder`; does not start yet."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self.port = free_port()
        self.host = "127.0.0.1"
        self._process: subprocess.Popen[bytes] | None = None
        (self.folder / "acl").write_text(ACL)
        (self.folder / "acl").chmod(0o600)
        (self.folder / "mosquitto.conf").write_text(CONF.format(port=self.port, folder=self.folder))
        secrets = self.folder / "passwords"
        secrets.touch(0o600)
        secrets.write_text("".join(f"{user}:{password}\n" for user, password in passwords.items()))
        subprocess.run([find_program("mosquitto_passwd"), "-U", str(secrets)], check=True, capture_output=True)  # noqa: S603

    def start(self) -> None:
        """Starts it and waits until it listens; BrokerMissing where it does not."""
        command = [find_program("mosquitto"), "-c", str(self.folder / "mosquitto.conf")]
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex((self.host, self.port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise BrokerMissing(f"mosquitto does not listen on port {self.port}: see {self.folder}/mosquitto.log")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(5)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """A broker that hangs: it has its connections, takes new ones, and answers nothing. RuntimeError where it does not run."""
        if self._process is None:
            raise RuntimeError("the broker does not run: expected one that was started")
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Asks it to end, and makes sure that it does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
            self._process = None
