"""Forms: every one carries the token of the session or browser that it was made for; what comes without is not looked at."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.datastructures import UploadFile

from server.web.services import Services, services_of
from server.web.visitors import Seen, form_token

FIELD = "form"
HEADER = "x-form"
"""Where the token is: a field of the form, or a header of a script's request."""
MOST_FIELDS = 200
MOST_FILES = 10
"""More than any room takes, so that the room can say so. Who is not signed in can send none: theirs are not read."""
SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Fields:
    """What a form says: texts by name in their order, stripped of blanks around them; and files."""

    texts: Mapping[str, Sequence[str]]
    files: Mapping[str, Sequence[UploadFile]]

    def text(self, name: str) -> str:
        """The last text of a field, empty where there is none."""
        return self.texts[name][-1] if name in self.texts else ""

    def every(self, name: str) -> Sequence[str]:
        """Every text of a field."""
        return self.texts.get(name, ())


async def take_form(request: Request, visitor: Seen, services: Annotated[Services, Depends(services_of)]) -> AsyncIterator[Fields]:
    """The form of a request that changes something; 403 without the visitor's token. Requests that only look have none.

    Its files are closed when the answer is given.
    """
    if request.method in SAFE:
        yield Fields({}, {})
        return
    if visitor.session is None and request.headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(403, "stale_form")
    form = await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS)
    try:
        texts: dict[str, list[str]] = {}
        files: dict[str, list[UploadFile]] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files.setdefault(name, []).append(value)
            else:
                texts.setdefault(name, []).append(value.strip())
        given = request.headers.get(HEADER) or (texts.get(FIELD) or [""])[-1]
        if not hmac.compare_digest(given.encode(), form_token(services, visitor).encode()):
            raise HTTPException(403, "stale_form")
        yield Fields(texts, files)
    finally:
        await form.close()


Form = Annotated[Fields, Depends(take_form)]


def make_router(prefix: str = "") -> APIRouter:
    """A router for pages: each of its forms is checked, whatever its functions ask for, and none is part of the API's description."""
    return APIRouter(prefix=prefix, dependencies=[Depends(take_form)], include_in_schema=False)
