"""People of the tests of the pages: numbers whose checksums are right, and a family that has declared."""

from __future__ import annotations

import re

from server.identity import check_character
from tests.server.web import Browser

ZHANG = "110105194912310028"
WELL = {
    "symptoms": "none",
    "temperature": "36.6",
    "contact": "no",
    "travel": "none",
    "isolation": "none",
    "district": "420106",
    "phone": "138 0013 8000",
}


def number(born: str, sequence: int = 7) -> str:
    """A citizen's number of somebody born on `born` (YYYYMMDD) in Wuchang."""
    first = f"420106{born}{sequence:03d}"
    return first + check_character(first)


def join(browser: Browser, name: str, born: str, relation: str = "self", sequence: int = 7) -> str:
    """Registers a person; their id."""
    answer = browser.post("/family/add", {"relation": relation, "name": name, "paper": "citizen", "number": number(born, sequence)})
    found = re.search(r"[?&]who=([0-9a-z]+)", str(answer.url))
    assert found, answer.text
    return found[1]


def report(browser: Browser, path: str, who: str, answers: dict[str, str]) -> str:
    """Goes one of the three ways (declare, check-in, correct) to its end; the text of the last page."""
    page = browser.get(f"/{path}/symptoms?who={who}")
    while not page.url.path.endswith("/check"):
        field = page.url.path.rsplit("/", 1)[1]
        page = browser.post(f"/{path}/{field}?who={who}", {field: answers[field]})
        assert page.status_code == 200, page.text
    submission = re.search(r'name="submission" value="([^"]+)"', page.text)
    assert submission, page.text
    return browser.post(f"/{path}/send?who={who}", {"submission": submission[1]}, page=f"/{path}/check?who={who}").text


def declare(browser: Browser, who: str, **answers: str) -> str:
    """Declares that somebody is well, but for `answers`; the text of the last page."""
    return report(browser, "declare", who, {**WELL, **answers})
