"""An app of a test: its token, its people, requests with fresh keys."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import date
from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient

from server.apps import Credentials, Scope
from server.office import Office
from tests.server.family import number
from tests.server.web import LOOP

ROOT = "/api/v1"
WELL: dict[str, Any] = {
    "symptoms": ["none"],
    "temperature": "36.6",
    "contact": "no",
    "travel": ["none"],
    "isolation": "none",
    "district": "420106",
    "phone": "13800138000",
}
TODAY: dict[str, Any] = {"symptoms": ["none"], "contact": "no", "isolation": "none"}


def paper(name: str = "居民甲", born: date = date(1980, 5, 1), sequence: int = 1, **more: str) -> dict[str, str]:
    """A person whose paper an app has seen."""
    return {"name": name, "paper": "citizen", "number": number(born, sequence), **more}


class AppClient:
    """One app that speaks to the application, with a fresh idempotency key for each request unless it is told one."""

    def __init__(self, app: FastAPI, office: Office, name: str = "City Mobile", scopes: Iterable[Scope] = tuple(Scope)) -> None:
        made = office.apps.add(name, scopes)
        assert isinstance(made, Credentials), made
        self.id, self.secret = made.app.app, made.secret
        self.http = TestClient(app, base_url="http://testserver", headers={"accept": "application/json"})
        self.http.portal = LOOP[0] if LOOP else None
        self._keys = (f"request-{self.id}-{count}" for count in itertools.count())
        self.token = self.fetch_token().json()["access_token"]

    def fetch_token(self, secret: str | None = None, **more: str) -> httpx2.Response:
        """Asks for a token."""
        given = {"grant_type": "client_credentials", **more}
        return self.http.post(f"{ROOT}/token", data=given, auth=(self.id, self.secret if secret is None else secret))

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx2.Response:
        """Asks for something."""
        return self.http.get(ROOT + path, headers={"authorization": f"Bearer {self.token}", **(headers or {})})

    def post(self, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> httpx2.Response:
        """Sends something."""
        headers = {"authorization": f"Bearer {self.token}", "idempotency-key": next(self._keys) if key is None else key}
        return self.http.post(ROOT + path, json=body, headers=headers)

    def patch(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        """Edits something."""
        return self.http.patch(ROOT + path, json=body, headers={"authorization": f"Bearer {self.token}"})

    def delete(self, path: str) -> httpx2.Response:
        """Ends something."""
        return self.http.delete(ROOT + path, headers={"authorization": f"Bearer {self.token}"})

    def join(self, **who: Any) -> tuple[str, str]:
        """Registers a person: (person, resident)."""
        answer = self.post("/people", paper(**who))
        assert answer.status_code in (200, 201), answer.text
        made = answer.json()
        return made["person"], made["resident"]

    def declare(self, person: str, resident: str, key: str | None = None, **answers: Any) -> httpx2.Response:
        """Declares that somebody is well, but for `answers`."""
        return self.post(f"/people/{person}/members/{resident}/declarations", {**WELL, **answers}, key)

    def check_in(self, person: str, resident: str, key: str | None = None, **answers: Any) -> httpx2.Response:
        """Checks somebody in who is well, but for `answers`."""
        return self.post(f"/people/{person}/members/{resident}/check-ins", {**TODAY, **answers}, key)

    def standing(self, person: str, resident: str) -> dict[str, Any]:
        """How somebody stands."""
        answer = self.get(f"/people/{person}/members/{resident}/standing")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """The status and the word of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["type"].removeprefix("/api/v1/problems/")
