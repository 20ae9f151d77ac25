"""Releases for the units: the signed message and the bundle of each, whole or from a byte on. Nothing here is secret or believed.

The folder `releases` of the server's configuration has a folder for each version; `healthgate release publish` puts them there.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import FileResponse

from healthcode.messages import ReleaseVersion
from server.web.services import services_in

PATH = "/fleet/releases"
FILES = {"release.cbor": "application/cose", "bundle.zip": "application/zip"}
CACHE = "public, max-age=300"


def make_router() -> APIRouter:
    """Serves them."""
    router = APIRouter(include_in_schema=False)

    @router.api_route(PATH + "/{version}/{name}", methods=["GET", "HEAD"])
    def serve(request: Request, version: str, name: str) -> FileResponse:
        try:
            msgspec.convert(version, ReleaseVersion)
        except msgspec.ValidationError:
            raise HTTPException(404) from None
        path = Path(services_in(request).office.config.releases) / version / name
        if name not in FILES or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, media_type=FILES[name], headers={"cache-control": CACHE})

    return router
