"""A PostgreSQL server of its own for a benchmark or the tests: made in a folder, on a loopback port, gone at the end.

Debian's binaries, default settings but for the port: every commit is flushed. The server refuses root, so root runs it as `nobody`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
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
    """A running server. `url()` gives a new, empty database each time."""

    def __init__(self, port: int, password: str) -> None:
        self._base = f"postgresql+psycopg://{USER}:{password}@127.0.0.1:{port}/"
        self._engine = create_engine(f"{self._base}postgres", isolation_level="AUTOCOMMIT", hide_parameters=True)

    def url(self) -> str:
        """The SQLAlchemy URL of a new database."""
        name = f"h{uuid.uuid4().hex}"
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return self._base + name

    def drop(self, url: str) -> None:
        """Forgets a database that nobody has open."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {url.rsplit('/', maxsplit=1)[-1]} WITH (FORCE)")

    def close(self) -> None:
        """Closes our own connections."""
        self._engine.dispose()


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
        _run([str(binaries / "initdb"), "-D", str(data), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", *secret], folder)
        port = _free_port()
        settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c max_connections=50"
        control = [str(binaries / "pg_ctl"), "-D", str(data), "-w", "-t", f"{_START_S:.0f}"]
        _run([*control, "-l", str(folder / "log"), "-o", settings, "start"], folder)
        try:
            cluster = Cluster(port, password)
            try:
                yield cluster
            finally:
                cluster.close()
        finally:
            _run([*control, "-m", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[str], folder: Path) -> None:
    mine = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    # Its own standard streams: the server that pg_ctl leaves behind must not hold ours open.
    with (folder / f"output-{secrets.token_hex(4)}").open("w+b") as output:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, **mine)  # type: ignore[call-overload]  # noqa: S603
        if done.returncode:
            output.seek(0)
            lines = output.read().decode(errors="replace").strip().splitlines() or ["nothing said"]
            raise NoPostgres(f"{Path(command[0]).name} failed: {lines[-1]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
