"""The web's process: configuration, keys, the application, uvicorn; until SIGTERM or SIGINT."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from healthcode.cose import Signer
from healthcode.terms import Use
from healthcode.trust import KeyRing
from server.config import Config, ConfigError, load
from server.keys import Signers, TrustFiles, load_roots
from server.metrics import Listener, WebFigures, make_registry
from server.office import STARTING_ERRORS, Office, open_office
from server.web.app import create_app

log = logging.getLogger("server.web")

TIDY_S = 600.0
"""How often ended sessions, hand-over codes and old drafts are forgotten, in seconds."""


def load_keys(office: Office) -> tuple[Callable[[], Signer], Callable[[], KeyRing]]:
    """The key that signs codes and the keys that are trusted, asked anew each time: a rotated key or another trust list counts at once."""
    folder = Path(office.config.keys)
    trust = TrustFiles(folder, load_roots(office.config.roots))
    signers = Signers(folder, lambda: trust.current.ring, office.now)
    turn = threading.Lock()

    def choose() -> Signer:
        with turn:
            trust.refresh()
            return signers.signer(Use.TOKEN)

    def ring() -> KeyRing:
        with turn:
            trust.refresh()
            return trust.current.ring

    return choose, ring


def serve(config: Config) -> int:
    """Serves the pages until it is told to end; its exit status. ConfigError where address or certificate cannot be used."""
    office = open_office(config)
    try:
        web = config.web
        app = create_app(office, *load_keys(office))
        registry = make_registry() if config.metrics.web_port else None
        settings = uvicorn.Config(
            app if registry is None else WebFigures(app, registry),
            proxy_headers=bool(web.proxies),
            forwarded_allow_ips=list(web.proxies),
            ssl_certfile=web.certificate or None,
            ssl_keyfile=web.key or None,
            server_header=False,
            access_log=False,  # addresses and paths say who did what
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=10,
            timeout_keep_alive=20,
            limit_concurrency=1000,
            h11_max_incomplete_event_size=32 * 1024,
        )
        try:
            settings.load()
        except OSError as wrong:  # an ssl.SSLError is one
            raise ConfigError(f"web.certificate {web.certificate}, web.key {web.key}: {wrong.strerror or wrong}") from None
        figures = Listener(registry, config.metrics.host, config.metrics.web_port, "metrics.web_port") if registry is not None else None
        gc.collect()
        gc.freeze()  # what is made for good is not looked through for garbage again: everybody waits for that, a tenth of a second
        gc.set_threshold(700, 10, 200)  # and what was made since, seldom: it is looked through for 40 ms, while everybody waits
        with _listen(web.host, web.port) as listener:
            try:
                return _run(uvicorn.Server(settings), office, listener, "https" if web.certificate else "http")
            finally:
                app.state.services.jobs.close()
                if figures is not None:
                    figures.close()
    finally:
        office.store.close()


def _run(server: uvicorn.Server, office: Office, listener: socket.socket, scheme: str) -> int:
    ended = threading.Event()
    tidier = threading.Thread(target=_tidy, args=(office, ended), name="tidier", daemon=True)
    tidier.start()
    host, port = listener.getsockname()[:2]
    log.info("pages at %s://%s:%d", scheme, f"[{host}]" if ":" in host else host, port)
    try:
        server.run(sockets=[listener])
    finally:
        ended.set()
        tidier.join(5)
    return 0


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
        # Connections inherit it (Linux). asyncio leaves it to itself for sockets made so, and each answer would wait 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as wrong:
        raise ConfigError(f"web.host {host}, web.port {port}: cannot listen there: {wrong.strerror}") from None


def _tidy(office: Office, ended: threading.Event) -> None:
    """Forgets what is over and counts people for the charts, now and then."""
    while True:
        try:
            office.tidy()
            office.counts.refresh()
        except SQLAlchemyError as wrong:
            log.warning("not tidied: %s", str(wrong).splitlines()[0])
        if ended.wait(TIDY_S):
            return


def main(path: Path) -> int:
    """The process: configuration from `path`, log to the standard error. Its exit status."""
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        return serve(load(path))
    except STARTING_ERRORS as wrong:
        for line in str(wrong).splitlines():
            log.error("%s", line)
        return 2
