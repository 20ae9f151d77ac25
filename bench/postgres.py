"""A PostgreSQL server of its own for a benchmark or the tests: made in a folder, on a loopback port, gone at the end.

Debian's binaries, default settings but for the port: every commit is flushed. The server refuses root, so root runs it as `nobody`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine

BINARIES = Path("/usr/lib/postgresql/15/bin")
USER = "healthgate"
_NOBODY = 65534
_START_S = 60.0


class NoPostgres(Exception):
    """PostgreSQL cannot be run here; the text is one line."""


class Cluster:
    """A running server. `url()` gives a new database each time."""

    def __init__(self, port: int, password: str) -> None:
        self._base = f"postgresql+psycopg://{USER}:{password}@127.0.0.1:{port}/"
        self._engine = create_engine(f"{self._base}postgres", isolation_level="AUTOCOMMIT", hide_parameters=True)

    def url(self, like: str = "") -> str:
        """The SQLAlchemy URL of a new database: empty, or as the one at the URL `like`, which nobody has open."""
        name = f"h{uuid.uuid4().hex}"
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}" + (f" TEMPLATE {_name(like)}" if like else ""))
        return self._base + name

    def drop(self, url: str) -> None:
        """Forgets a database that nobody has open."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def close(self) -> None:
        """Closes our own connections."""
        self._engine.dispose()


def _name(url: str) -> str:
    return url.rsplit("/", maxsplit=1)[-1]


@contextmanager
def running(binaries: Path = BINARIES) -> Iterator[Cluster]:
    """A server that runs meanwhile. NoPostgres where it cannot."""
    if not (binaries / "initdb").exists():
        raise NoPostgres(f"no PostgreSQL 15 in {binaries}: expected Debian's package postgresql-15")
    folder = Path(tempfile.mkdtemp(prefix="healthgate-postgres-"))
    try:
        password = secrets.token_urlsafe(18)
        (folder / "password").write_text(password)
        (folder / "password").chmod(0o600)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                os.chown(path, _NOBODY, _NOBODY)
        data = folder / "data"
        secret = ["-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
        _init([str(binaries / "initdb"), "-D", str(data), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", *secret], folder)
        port = _free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "max_connections": 50}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            command = _as_nobody([str(binaries / "postgres"), "-D", str(data), *arguments])
            server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        try:
            _wait(server, port, folder / "log")
            cluster = Cluster(port, password)
            try:
                yield cluster
            finally:
                cluster.close()
        finally:
            server.send_signal(signal.SIGQUIT)  # nothing in it is to be kept
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_nobody(command: list[str]) -> list[str]:
    """`command` under `nobody` where we are root, and ended when this process ends, however that ends."""
    user = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "QUIT", *user, "--", *command]


def _init(command: list[str], folder: Path) -> None:
    done = subprocess.run(_as_nobody(command), cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise NoPostgres(f"initdb failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it takes connections."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        if b"database system is ready to accept connections" in log.read_bytes():
            return
        time.sleep(0.02)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise NoPostgres(f"PostgreSQL did not start on port {port}: {last}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
