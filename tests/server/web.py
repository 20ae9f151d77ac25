"""A browser without a window for tests of the pages: keeps cookies, fills in forms with their token, follows to the next page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import httpx2
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from starlette.testclient import TestClient

from healthcode.terms import Use
from server.accounts import Accounts
from server.office import Office
from server.passwords import Cost, Passwords
from server.sessions import Sessions
from server.web.app import create_app
from tests.server.office import Town

PASSWORD = "three blue herons"
SITE = "http://testserver"
LOOP: list[BlockingPortal] = []
"""The event loop in which all browsers of a process ask: to start one for each request takes as long as most requests."""


def quick(office: Office, clock: Callable[[], float]) -> Office:
    """The office with hashes of passwords that cost next to nothing."""
    accounts = Accounts(office.store, office.seal, clock, Passwords(Cost(1, 64, 1)))
    return replace(office, accounts=accounts, sessions=Sessions(office.store, accounts, office.seal, clock))


def make_app(town: Town, office: Office) -> FastAPI:
    """The application, signing with the town's key."""
    return create_app(office, lambda: town.keys[Use.TOKEN], town.ring)


class Browser:
    """One person's browser."""

    def __init__(self, app: FastAPI, language: str = "en", address: str = "198.51.100.7") -> None:
        self.http = TestClient(
            app, base_url=SITE, follow_redirects=True, headers={"accept": "text/html", "accept-language": language}, client=(address, 50000)
        )
        self.http.portal = LOOP[0] if LOOP else None

    def get(self, path: str) -> httpx2.Response:
        """Opens a page."""
        return self.http.get(path)

    def token(self, path: str) -> str:
        """The token of the forms on a page."""
        found = re.search(r'name="form" value="([0-9a-f]{64})"', self.get(path).text)
        assert found, f"{path} has no form"
        return found[1]

    def post(self, path: str, fields: dict[str, str | list[str]] | None = None, page: str | None = None) -> httpx2.Response:
        """Fills in the form of `page` (by default the page of the same path) and sends it to `path`."""
        token = self.token(page or path)
        return self.http.post(path, data={"form": token, **(fields or {})})

    def register(self, name: str = "13800138000") -> httpx2.Response:
        """Makes an account and is signed in."""
        return self.post("/register", {"name": name, "password": PASSWORD})

    def sign_in(self, name: str, password: str = PASSWORD) -> httpx2.Response:
        """Signs in."""
        return self.post("/sign-in", {"name": name, "password": password})
