"""A private mosquitto for tests: on 127.0.0.1 and a free port, with the persistent settings of deploy, killed and restarted at will."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import threading
from pathlib import Path

HOST = "127.0.0.1"
_START_LIMIT_S = 10.0

SETTINGS = """\
listener {port} {host}
allow_anonymous true
user {user}
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes false
max_queued_messages 100000
max_queued_bytes 268435456
persistent_client_expiration 1d
max_inflight_messages 100
message_size_limit 1048576
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
connection_messages false
"""


def find_mosquitto() -> str | None:
    """The broker's program: Debian puts it into /usr/sbin, which is not on everybody's PATH."""
    return shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") or shutil.which("mosquitto")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class Broker:
    """One mosquitto process; `kill` is SIGKILL, `restart` brings it back on the same port with what it had saved."""

    host = HOST

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []

    def start(self) -> None:
        """Starts the broker and waits until it says that it runs."""
        if self._process is not None:
            raise RuntimeError("the broker runs already")
        program = find_mosquitto()
        if program is None:
            raise FileNotFoundError("mosquitto: expected Debian's package of that name")
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "mosquitto.conf"
        settings.write_text(SETTINGS.format(port=self.port, host=self.host, user=getpass.getuser(), folder=self.folder))
        self._process = subprocess.Popen([program, "-c", str(settings)], stderr=subprocess.PIPE, text=True)
        running = threading.Event()
        threading.Thread(target=self._watch, args=(self._process, running), daemon=True).start()
        if not running.wait(_START_LIMIT_S) or self._process.poll() is not None:
            self.kill()
            raise RuntimeError(f"mosquitto did not start: {' '.join(self._lines[-3:])}")

    def kill(self) -> None:
        """Ends the broker as a power cut would (SIGKILL); nothing happens where none runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ends the broker in order, so that it saves what it holds."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:  # mosquitto 2.0.11 forgets a SIGTERM that comes before its loop runs
                self._process.terminate()
                self._process.wait(_START_LIMIT_S)
            self._process = None

    def restart(self) -> None:
        """Kills the broker where it runs and starts it again on the same port and folder."""
        self.kill()
        self.start()

    def _watch(self, process: subprocess.Popen[str], running: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self._lines = [*self._lines[-200:], line.strip()]
                if line.rstrip().endswith(" running"):
                    running.set()
        running.set()
