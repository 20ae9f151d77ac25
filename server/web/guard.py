"""What stands before every page: the size of requests, where they come from, and the headers of every answer.

Headers follow OWASP's Secure Headers Project: no script, style or frame but our own, nothing cached unless a page says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from healthcode import admission
from server.web.api.problems import Problem, tell

LEAST_LIMIT = 64 * 1024
"""Bytes of a request's body unless a room says otherwise: a form with every field full has under 10 KB."""
MOST_DRAINED = 32 * 1024 * 1024
"""Bytes of a body that is too long which are read and dropped: a browser shows no answer before it has sent what it has."""
MOST_SILENT_S = 5.0
"""Who sends nothing for so long of a body that is too long is answered and left: nobody holds a connection by a length alone."""
MOST_DRAINING_S = 120.0
"""Nor by a byte now and then: 32 MB take so long on a line of 2 Mbit/s."""
NAMELESS = ("/health", admission.PATH, "/fleet/certificate/", "/fleet/releases/")
"""Beginnings of paths that are served under every name: units may know the server by an address."""
_SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), screen-wake-lock=(self)",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""A page that sets one of them itself keeps its own."""


class TooLarge(Exception):
    """A request's body is longer than its room takes."""


class Guard:
    """Wraps the application. `limits` gives the most bytes of a body by the beginning of the path, the longest that fits counts;
    `too_large` answers people who send more.

    With `origin` (https://...) requests must be made to that host, and browsers are told to come by TLS alone. `strangers` are the
    beginnings of paths where programs ask, without cookies: of units, which may know the server by another name, too.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origin: str,
        limits: Mapping[str, int],
        strangers: Sequence[str],
        too_large: Callable[[Request], Awaitable[Response]],
    ) -> None:
        self._app = app
        self._too_large = too_large
        self._host = urlsplit(origin).netloc
        self._limits = sorted(limits.items(), key=lambda item: -len(item[0]))
        self._strangers = tuple(strangers)
        self._headers = {**HEADERS, **({"strict-transport-security": "max-age=31536000"} if origin else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = next((limit for start, limit in self._limits if scope["path"].startswith(start)), LEAST_LIMIT)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    out.setdefault(name, value)
            await send(message)

        refusal = self._find_refusal(scope, headers)
        if refusal is None and not _fits(headers, limit):
            if scope["path"].startswith(self._strangers):
                refusal = tell(Problem.TOO_LARGE, headers={"connection": "close"})
            else:
                await _drain(receive)
                refusal = await self._too_large(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, dressed)
            return
        seen = 0

        async def measured() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise TooLarge
            return message

        await self._app(scope, measured, dressed)

    def _find_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Why a request goes no further. A browser says where a form was filled in; what is none says nothing and needs a token."""
        host = headers.get("host", "")
        if self._host and host != self._host and not scope["path"].startswith(NAMELESS):
            return PlainTextResponse(f"expected a request to {self._host}\n", 421)
        if scope["method"] in _SAFE or scope["path"].startswith(self._strangers):
            return None
        origin = headers.get("origin")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
            origin is not None and urlsplit(origin).netloc != host
        ):
            return PlainTextResponse("expected a form of this site\n", 403)
        return None


def _fits(headers: Headers, limit: int) -> bool:
    length = headers.get("content-length", "0")
    return length.isascii() and length.isdigit() and int(length) <= limit


async def _drain(receive: Receive) -> None:
    """Reads a body to its end, or as far and as long as is reasonable, and keeps nothing of it."""
    seen = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOST_DRAINING_S):
            while seen < MOST_DRAINED:
                message = await asyncio.wait_for(receive(), MOST_SILENT_S)
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                seen += len(message.get("body", b""))
