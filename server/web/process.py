"""The web's process: configuration, keys, the application, uvicorn; until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvicorn

from healthcode.cose import Signer
from healthcode.terms import Use
from server.config import Config, load
from server.keys import Signers, TrustFiles, load_roots
from server.office import STARTING_ERRORS, Office, open_office
from server.web.app import create_app

log = logging.getLogger("server.web")


def token_signer(office: Office) -> Callable[[], Signer]:
    """The key that signs codes, asked anew for every pack: a rotated key or another trust list counts at once."""
    folder = Path(office.config.keys)
    trust = TrustFiles(folder, load_roots(office.config.roots))
    signers = Signers(folder, lambda: trust.current.ring, office.now)
    turn = threading.Lock()

    def choose() -> Signer:
        with turn:
            trust.refresh()
            return signers.signer(Use.TOKEN)

    return choose


def serve(config: Config, started: Callable[[], None] = lambda: None) -> int:
    """Serves the pages until it is told to end; its exit status."""
    office = open_office(config)
    try:
        app = create_app(office, token_signer(office))
        web = config.web
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=web.host,
                port=web.port,
                proxy_headers=bool(web.proxies),
                forwarded_allow_ips=list(web.proxies),
                ssl_certfile=web.certificate or None,
                ssl_keyfile=web.key or None,
                server_header=False,
                access_log=False,  # addresses and paths say who did what
                log_config=None,
                timeout_graceful_shutdown=10,
                timeout_keep_alive=20,
                limit_concurrency=1000,
                h11_max_incomplete_event_size=32 * 1024,
            )
        )
        tidying = threading.Event()
        tidier = threading.Thread(target=partial(_tidy, office, tidying), name="tidier", daemon=True)
        tidier.start()
        started()
        try:
            server.run()
        finally:
            tidying.set()
            tidier.join(5)
        return 0 if server.started else 2
    finally:
        office.store.close()


def _tidy(office: Office, stop: threading.Event, every_s: float = 600.0) -> None:
    """Forgets what has ended, now and then."""
    while not stop.wait(every_s):
        office.accounts.tidy()
        office.handovers.tidy()
        office.drafts.tidy()


def main(path: Path) -> int:
    """The process: configuration from `path`, log to the standard error. Its exit status."""
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        return serve(load(path))
    except STARTING_ERRORS as wrong:
        for line in str(wrong).splitlines():
            log.error("%s", line)
        return 2
