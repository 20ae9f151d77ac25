"""The pages in a real browser: the application served on a port of its own, headless Chromium with an empty profile."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage", "--force-color-profile=srgb"]
PATIENCE_S = 30.0


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application's address while it is served from a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + PATIENCE_S
        while not server.started:
            if time.monotonic() > until:
                raise TimeoutError("uvicorn does not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()


@contextmanager
def chromium(*flags: str) -> Iterator[Chromium]:
    """Debian's Chromium without a window, with `flags` of its own."""
    path = shutil.which("chromium")
    assert path, "chromium is not here: apt-get install chromium fonts-noto-cjk, or ./run test, which does it"
    expect.set_options(timeout=PATIENCE_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()
