"""Pages that stay true by themselves: server-sent events (WHATWG HTML, 9.2) with what changed, made by asking the database again.

The web's process and the bridge share the database alone. A stream looks every second, which costs a unit nothing and the database two
small questions; it says nothing while nothing changes. Looking on is no use of a session: it ends after its rest, and the page says so.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from server.web.services import Services

KIND = "text/event-stream"
LOOK_EVERY_S = 1.0
STILL_THERE_EVERY_S = 15.0
"""How often the session is asked for, and a proxy told that the line is in use."""
LONGEST_S = 900.0
"""After so long a stream ends, and the browser asks for the next: no connection is for ever."""


@dataclass(frozen=True)
class News:
    """What is new since the last look: `token` to ask on with, and the message, None where nothing is."""

    token: str
    message: Mapping[str, object] | None


def follow(request: Request, services: Services, token: str, look: Callable[[str], News]) -> StreamingResponse:
    """Streams what `look` finds, which is told the last token and runs in a thread. 406 for whoever does not ask for a stream."""
    if KIND not in request.headers.get("accept", ""):
        raise HTTPException(406)
    begin = request.headers.get("last-event-id", "") or token
    return StreamingResponse(_stream(request, services, begin, look), media_type=KIND, headers={"x-accel-buffering": "no"})


async def _stream(request: Request, services: Services, token: str, look: Callable[[str], News]) -> AsyncIterator[str]:
    session = request.cookies.get(services.cookies.session, "")
    began = asked = time.monotonic()
    yield "retry: 2000\n\n"
    while (now := time.monotonic()) - began < LONGEST_S and not await request.is_disconnected():
        news = await run_in_threadpool(look, token)
        token = news.token
        if news.message is not None:
            yield f"id: {token}\ndata: {json.dumps(news.message, ensure_ascii=False)}\n\n"
        if now - asked >= STILL_THERE_EVERY_S:
            asked = now
            if await run_in_threadpool(services.office.sessions.session, session, is_use=False) is None:
                yield "event: ended\ndata: {}\n\n"
                return
            yield ": still here\n\n"
        await asyncio.sleep(LOOK_EVERY_S)
