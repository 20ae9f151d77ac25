"""Our styles, scripts and pictures: read once, named by their content, so that browsers keep them for good and never a stale one."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webmanifest": "application/manifest+json",
}
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class StaticFile:
    """A file, as it is and compressed."""

    name: str
    path: str
    content: bytes
    packed: bytes
    kind: str


def load_static() -> dict[str, StaticFile]:
    """Every file in `static/`, by its name."""
    found = {}
    for file in sorted((resources.files(__package__) / "static").iterdir(), key=lambda each: each.name):
        stem, _, ending = file.name.rpartition(".")
        content = file.read_bytes()
        path = f"/static/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
        found[file.name] = StaticFile(file.name, path, content, gzip.compress(content, 9, mtime=0), TYPES[ending])
    return found


def answer(request: Request, file: StaticFile, cache: str = FOREVER) -> Response:
    """The file, compressed where the browser takes that."""
    headers = {"cache-control": cache, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", "") and len(file.packed) < len(file.content):
        return Response(file.packed, media_type=file.kind, headers={**headers, "content-encoding": "gzip"})
    return Response(file.content, media_type=file.kind, headers=headers)


def make_router(files: dict[str, StaticFile]) -> APIRouter:
    """Serves `files` under the paths that name their content."""
    by_path = {file.path: file for file in files.values()}
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def serve(request: Request, name: str) -> Response:
        file = by_path.get(f"/static/{name}")
        if file is None:
            raise HTTPException(404)
        return answer(request, file)

    return router
