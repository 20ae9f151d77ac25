"""A desk with one account of each role, and residents of every colour, for tests of the officers' pages."""

from __future__ import annotations

import threading
import time

from fastapi import FastAPI

from server.accounts import Account
from server.actors import Role
from server.office import Office
from tests.server.web import PASSWORD, Browser

STAFF = {Role.OFFICER: "officer.li", Role.APPROVER: "approver.wu", Role.OPERATOR: "operator.he", Role.AUDITOR: "auditor.xu"}
SECOND_APPROVER = "approver.tang"


def hire(office: Office) -> None:
    """Makes the staff's accounts."""
    for role, name in (*STAFF.items(), (Role.APPROVER, SECOND_APPROVER)):
        added = office.accounts.add(name, PASSWORD, role)
        assert isinstance(added, Account), added


def sit_down(app: FastAPI, role: Role, name: str = "", language: str = "en") -> Browser:
    """The browser of one of the staff, signed in."""
    browser = Browser(app, language)
    answer = browser.sign_in(name or STAFF[role])
    assert answer.url.path == "/desk", answer.text
    return browser


def wait_for(browser: Browser, path: str, most_s: float = 30.0) -> str:
    """The page of a job, when it has ended."""
    until = time.monotonic() + most_s
    while browser.http.get(path, headers={"accept": "application/json"}).json()["state"] == "running":
        assert time.monotonic() < until, f"{path} still runs"
        threading.Event().wait(0.02)
    return browser.get(path).text
