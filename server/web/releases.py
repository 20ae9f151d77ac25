"""Releases for the units: the signed message and the bundle of each, whole or from a byte on. Nothing here is secret or believed.

The folder `releases` of the server's configuration has a folder for each version; `healthgate release publish` puts them there.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import FileResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from healthcode.messages import ReleaseVersion
from server.web.services import services_in

PATH = "/fleet/releases"
FILES = {"release.cbor": "application/cose", "bundle.zip": "application/zip"}
CACHE = "public, max-age=300"
MOST_AT_ONCE = 64
"""Downloads at once. Anybody may ask for 70 MB and read them slowly; residents' pages share the process's connections."""
MOST_S = 3600.0
"""Of one download: 70 MB take so long at 160 kbit/s, and a unit that is cut off goes on from there."""
RETRY_S = 60


class Download(FileResponse):
    """A file for whoever gets one of `slots`; 503 for the others, upon which a unit comes again by itself."""

    def __init__(self, path: Path, name: str, slots: asyncio.Semaphore, most_s: float = MOST_S) -> None:
        super().__init__(path, media_type=FILES[name], headers={"cache-control": CACHE})
        self._slots, self._most_s = slots, most_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves it; after `most_s` the connection is cut."""
        if self._slots.locked():
            headers = {"retry-after": str(RETRY_S)}
            await PlainTextResponse("many are fetching just now; come again", 503, headers)(scope, receive, send)
            return
        async with self._slots:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._most_s):
                    await super().__call__(scope, receive, send)


def make_router() -> APIRouter:
    """Serves them."""
    router = APIRouter(include_in_schema=False)
    slots = asyncio.Semaphore(MOST_AT_ONCE)

    @router.api_route(PATH + "/{version}/{name}", methods=["GET", "HEAD"])
    def serve(request: Request, version: str, name: str) -> Download:
        try:
            msgspec.convert(version, ReleaseVersion)
        except msgspec.ValidationError:
            raise HTTPException(404) from None
        path = Path(services_in(request).office.config.releases) / version / name
        if name not in FILES or not path.is_file():
            raise HTTPException(404)
        return Download(path, name, slots)

    return router
